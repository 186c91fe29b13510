"""Hubness: whether a few rows are near neighbours of very many (Radovanović, Nanopoulos and Ivanović 2010, JMLR 11)."""

from __future__ import annotations

from typing import Any

import numpy as np

from sentemb.metrics.neighbours import nearest_by_cosine
from sentemb.metrics.rows import unit_rows

Array = np.ndarray[Any, np.dtype[Any]]


def k_occurrences(vectors: Array, *, n_neighbours: int) -> Array:
    """N_k: how many other rows have each row among their k nearest, by cosine; exact.

    Args:
        vectors: (N, D) float, finite, no zero row.
        n_neighbours: k, from 1 to N − 1; the paper uses 10. A row is no neighbour of its own; of neighbours at the
            same cosine (to 12 decimals) the first rows count.

    Returns:
        (N,) int64, each from 0 to N − 1, with mean k.

    Raises:
        DataError: N ≤ k, a value that is not finite, or a zero vector.
        ValueError: k < 1.

    >>> k_occurrences(np.array([[1.0, 0.0], [2.0, 1.0], [0.0, 1.0]]), n_neighbours=1).tolist()
    [1, 2, 0]
    """
    place = "k_occurrences"
    nearest = nearest_by_cosine(place, unit_rows(place, vectors, 1), n_neighbours)
    return np.bincount(nearest.ravel(), minlength=len(vectors))


def hubness(vectors: Array, *, n_neighbours: int) -> float:
    """The skewness of the k-occurrences: S = E (N_k − μ)³ / σ³, over the rows (μ = k; σ over N, not N − 1).

    Args:
        vectors: (N, D) float, as for `k_occurrences`.
        n_neighbours: k; the paper uses 10.

    Returns:
        About 0 without hubs, large where few rows are neighbours of many; (N − 2) / √(N − 1) at most. 0 where all
        N_k are alike, for which the quotient is 0 / 0.

    Raises:
        DataError, ValueError: as `k_occurrences`.

    >>> round(hubness(np.array([[1.0, 0.0], [2.0, 1.0], [0.0, 1.0]]), n_neighbours=1), 4)  # N_1 = 1, 2, 0
    0.0
    """
    deviations = k_occurrences(vectors, n_neighbours=n_neighbours) - float(n_neighbours)
    variance = np.square(deviations).mean()
    return float((deviations**3).mean() / variance**1.5) if variance > 0.0 else 0.0
