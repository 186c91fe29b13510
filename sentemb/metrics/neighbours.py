"""The exact nearest neighbours of every row among the others, in blocks of rows: O(N) memory, O(N² D) time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sentemb.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]

_BLOCK = 256
_COSINE_DECIMALS = 12  # cosines that differ by rounding error only count as equal


def nearest_by_cosine(place: str, unit: Array, n_neighbours: int) -> Array:
    """(N, k) int64, the k rows with the largest cosine to each row, in ascending order of their number.

    Of rows with the same cosine, to 12 decimals, the first ones are taken.

    Args:
        place: named in a refusal.
        unit: (N, D) float64, rows of length 1.
        n_neighbours: k, from 1 to N − 1.

    Raises:
        DataError: N ≤ k.
        ValueError: k < 1.
    """
    return _nearest(place, unit, n_neighbours, lambda block: np.round(block @ unit.T, _COSINE_DECIMALS))


def nearest_by_distance(place: str, rows: Array, n_neighbours: int) -> Array:
    """As `nearest_by_cosine`, by the Euclidean distance of (N, D) float64 rows of any length."""
    centred = rows - rows.mean(axis=0)  # the distances stay, and lose fewer digits
    half_squares = 0.5 * np.square(centred).sum(axis=1)
    return _nearest(place, centred, n_neighbours, lambda block: block @ centred.T - half_squares)


def _nearest(place: str, rows: Array, k: int, closeness: Callable[[Array], Array]) -> Array:
    """`closeness` takes (B, D) rows to (B, N), for each of them larger where nearer."""
    n = len(rows)
    if k < 1:
        raise ValueError(f"n_neighbours must be 1 or more, not {k}")
    if n <= k:
        problem = f"{n} vectors, but {k} neighbours of each need {k + 1} or more"
        raise DataError(place, problem, "Pass more vectors, or ask for fewer neighbours")
    indices = np.empty((n, k), dtype=np.int64)
    for start in range(0, n, _BLOCK):
        block = closeness(rows[start : start + _BLOCK])
        own = np.arange(len(block))
        block[own, start + own] = -np.inf
        indices[start : start + _BLOCK] = _largest(block, k)
    return indices


def _largest(values: Array, k: int) -> Array:
    """(B, k) the columns of the k largest of each row, ascending; of those level with the least, the first."""
    least = np.partition(values, -k, axis=1)[:, -k, None]
    above = values > least
    level = values == least
    taken = above | (level & (np.cumsum(level, axis=1) <= k - above.sum(axis=1, keepdims=True)))
    columns: Array = np.nonzero(taken)[1].reshape(-1, k)
    return columns
