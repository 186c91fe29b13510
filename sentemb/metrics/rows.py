"""What every figure of an embedding space starts from: (N, D) rows, checked at the entry, and their directions."""

from __future__ import annotations

from typing import Any

import numpy as np

from sentemb.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]


def checked_rows(place: str, vectors: Array, at_least: int) -> Array:
    """The vectors as (N, D) float64, or a refusal in the name of `place`.

    Raises:
        DataError: not two axes, D = 0, fewer than `at_least` rows, or a value that is not finite.
    """
    if vectors.ndim != 2 or 0 in vectors.shape:
        raise DataError(place, f"vectors of shape {vectors.shape}", "Pass one vector or more, as rows")
    n = len(vectors)
    if n < at_least:
        given = f"{n} vector{'' if n == 1 else 's'}, but {at_least} or more are needed"
        raise DataError(place, given, f"Pass {at_least} vectors or more")
    rows: Array = vectors.astype(np.float64)
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        problem = f"vector {int(np.flatnonzero(~finite)[0])} holds a value that is not finite"
        raise DataError(place, problem, "Leave out vectors with NaN or infinity")
    return rows


def unit_rows(place: str, vectors: Array, at_least: int) -> Array:
    """The L2-normalised vectors, (N, D) float64.

    Raises:
        DataError: as `checked_rows`, or a zero vector, which has no direction.
    """
    rows = directions(checked_rows(place, vectors, at_least))
    zero = ~rows.any(axis=1)
    if zero.any():
        row = int(np.flatnonzero(zero)[0])
        raise DataError(place, f"vector {row} is zero, so it has no direction", "Leave zero vectors out")
    return rows


def directions(vectors: Array) -> Array:
    """Rows of length 1; a zero row stays zero. Scaled by its largest entry first, so that no tiny row underflows.

    >>> directions(np.array([[3e-200, 4e-200], [0.0, 0.0]])).round(4).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    rows = vectors.astype(np.float64)
    rows = rows / _or_one(np.abs(rows).max(axis=1, keepdims=True, initial=0.0))
    return rows / _or_one(np.linalg.norm(rows, axis=1, keepdims=True))


def _or_one(scale: Array) -> Array:
    return np.where(scale == 0.0, 1.0, scale)
