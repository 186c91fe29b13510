"""Alignment and uniformity of an embedding space (Wang and Isola 2020), as SimCSE reports them. Lower is better.

SimCSE takes as positives the STS-B pairs scored above 4, and all STS-B sentences for uniformity (Gao et al. 2021, §2).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sentemb.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]

_BLOCK = 512


def alignment(first: Array, second: Array) -> float:
    """E ‖f(x) − f(x⁺)‖², over positive pairs of L2-normalised vectors: 0 (all alike) to 4 (opposite).

    Args:
        first: (N, D) float, N ≥ 1, no zero row; normalised here.
        second: (N, D) float; row i is the positive of row i.

    Raises:
        DataError: no pairs, or a zero vector, which has no direction.

    >>> alignment(np.array([[2.0, 0.0]]), np.array([[0.0, 5.0]]))
    2.0
    """
    distances = np.square(_normalised("alignment", first) - _normalised("alignment", second)).sum(axis=1)
    return float(distances.mean())


def uniformity(vectors: Array) -> float:
    """The log of E exp(−2 ‖f(x) − f(y)‖²) over pairs of different rows, L2-normalised: 0 (all alike) down to −8.

    Args:
        vectors: (N, D) float, N ≥ 2, no zero row; normalised here. Takes O(N) memory: pairs are summed in blocks.

    Raises:
        DataError: fewer than two rows, or a zero vector.

    >>> uniformity(np.array([[1.0, 0.0], [-1.0, 0.0]]))
    -8.0
    """
    rows = _normalised("uniformity", vectors)
    n = len(rows)
    if n < 2:
        raise DataError("uniformity", "1 vector, but pairs of vectors are needed", "Pass 2 vectors or more")
    total = 0.0
    for start in range(0, n, _BLOCK):
        block = rows[start : start + _BLOCK]
        potentials = np.exp(4.0 * (np.minimum(block @ rows.T, 1.0) - 1.0))  # ‖u − v‖² = 2 − 2 u·v
        potentials[np.arange(len(block)), np.arange(start, start + len(block))] = 0.0  # a row with itself
        total += float(potentials.sum())
    return float(np.log(total / (n * (n - 1))))


def _normalised(place: str, vectors: Array) -> Array:
    if vectors.ndim != 2 or len(vectors) == 0:
        raise DataError(place, f"vectors of shape {vectors.shape}", "Pass one vector or more, as rows")
    rows: Array = vectors.astype(np.float64)
    norms: Array = np.linalg.norm(rows, axis=1, keepdims=True)
    if (norms == 0.0).any():
        row = int(np.flatnonzero(norms[:, 0] == 0.0)[0])
        raise DataError(place, f"vector {row} is zero, so it has no direction", "Leave zero vectors out")
    directions: Array = rows / norms
    return directions
