"""Alignment and uniformity of an embedding space (Wang and Isola 2020), as SimCSE reports them. Lower is better.

SimCSE takes as positives the STS-B pairs scored above 4, and all STS-B sentences for uniformity (Gao et al. 2021, §2).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sentemb.metrics.rows import unit_rows

Array = np.ndarray[Any, np.dtype[Any]]

_BLOCK = 512


def alignment(first: Array, second: Array) -> float:
    """E ‖f(x) − f(x⁺)‖², over positive pairs of L2-normalised vectors: 0 (all alike) to 4 (opposite).

    Args:
        first: (N, D) float, N ≥ 1, no zero row; normalised here.
        second: (N, D) float; row i is the positive of row i.

    Raises:
        DataError: no pairs, a value that is not finite, or a zero vector, which has no direction.

    >>> alignment(np.array([[2.0, 0.0]]), np.array([[0.0, 5.0]]))
    2.0
    """
    distances = np.square(unit_rows("alignment", first, 1) - unit_rows("alignment", second, 1)).sum(axis=1)
    return float(distances.mean())


def uniformity(vectors: Array) -> float:
    """The log of E exp(−2 ‖f(x) − f(y)‖²) over pairs of different rows, L2-normalised: 0 (all alike) down to −8.

    Args:
        vectors: (N, D) float, N ≥ 2, no zero row; normalised here. Takes O(N) memory: pairs are summed in blocks.

    Raises:
        DataError: fewer than two rows, a value that is not finite, or a zero vector.

    >>> uniformity(np.array([[1.0, 0.0], [-1.0, 0.0]]))
    -8.0
    """
    rows = unit_rows("uniformity", vectors, 2)
    n = len(rows)
    total = 0.0
    for start in range(0, n, _BLOCK):
        block = rows[start : start + _BLOCK]
        potentials = np.exp(4.0 * (np.minimum(block @ rows.T, 1.0) - 1.0))  # ‖u − v‖² = 2 − 2 u·v
        potentials[np.arange(len(block)), np.arange(start, start + len(block))] = 0.0  # a row with itself
        total += float(potentials.sum())
    return float(np.log(total / (n * (n - 1))))
