"""How the spread of an embedding space falls over its principal axes."""

from __future__ import annotations

from typing import Any

import numpy as np

from sentemb.errors import DataError
from sentemb.metrics.rows import checked_rows

Array = np.ndarray[Any, np.dtype[Any]]


def singular_values(place: str, vectors: Array) -> Array:
    """The singular values of the rows as they are, over the largest: (min(N, D),) float64, descending from 1.

    Raises:
        DataError: as `checked_rows`, or all vectors are zero.
    """
    rows = checked_rows(place, vectors, 1)
    if not rows.any():
        raise DataError(place, f"all {len(rows)} vectors are zero", "Pass vectors that are not")
    return _over_largest(rows)


def centred_singular_values(place: str, vectors: Array) -> Array:
    """As `singular_values`, of the rows less their mean. Squared, they are the principal variances over the largest.

    Raises:
        DataError: as `checked_rows`, fewer than two rows, or all rows alike.
    """
    rows = checked_rows(place, vectors, 2)
    if (rows == rows[0]).all():
        raise DataError(place, f"all {len(rows)} vectors are alike, so they spread in no direction", "Pass others")
    return _over_largest(rows - rows.mean(axis=0))


def _over_largest(rows: Array) -> Array:
    values: Array = np.linalg.svd(rows, compute_uv=False)
    values /= values[0]  # so that their squares neither overflow nor underflow
    return values
