"""Principal axes of a covariance, and what is done about directions that have no variance."""

from __future__ import annotations

import warnings

import numpy as np

from sentemb.errors import DataError
from sentemb.postprocess.blocks import Float64
from sentemb.postprocess.moments import Moments


def principal_axes(covariance: Float64) -> tuple[Float64, Float64]:
    """Eigenvalues (D,), descending and ≥ 0, and eigenvectors (D, D), the columns, of a covariance U Λ Uᵀ.

    The sign of a column is such that its entry of largest magnitude is positive (the first of equals), so the same
    covariance gives the same axes. Axes of equal eigenvalues are any basis of their space.

    >>> principal_axes(np.array([[1.0, 0.0], [0.0, 4.0]]))
    (array([4., 1.]), array([[0., 1.],
           [1., 0.]]))
    """
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    largest = np.argmax(np.abs(vectors), axis=0)
    vectors = vectors * np.where(vectors[largest, np.arange(len(values))] < 0.0, -1.0, 1.0)
    return values, vectors


def above_floor(
    place: str, variances: Float64, *, floor: float, moments: Moments, n_singular: int, remedy: str
) -> tuple[Float64, int]:
    """Variances (K,), those below `floor` times the largest raised to that; and how many were raised, with a warning.

    Args:
        place: who asks.
        variances: (K,) float64 ≥ 0.
        floor: in [0, 1), relative to the largest.
        moments: where the variances are from, to say why some are zero.
        n_singular: how many of the variances are zero up to rounding.
        remedy: what to do about that.

    Raises:
        DataError: all rows are alike; or a variance is zero up to rounding and the floor is 0.
    """
    constant = moments.constant_columns()
    if len(constant) == moments.width:
        problem = f"all {moments.count} rows are alike, so there is nothing to scale"
        raise DataError(place, problem, "Fit on embeddings of different texts")
    if n_singular and floor == 0.0:
        problem = f"{n_singular} of {len(variances)} directions have no variance: {_cause(moments, constant)}"
        raise DataError(place, problem, remedy)
    limit = floor * float(variances.max())
    n_floored = int((variances < limit).sum())
    if n_floored:
        warnings.warn(
            f"{place}: {n_floored} of {len(variances)} variances were raised to {floor:g} of the largest", stacklevel=5
        )
    return np.maximum(variances, limit), n_floored


def rounding_level(eigenvalues: Float64) -> float:
    """D ε λ_1, as in NumPy's `matrix_rank`: an eigenvalue below it is the rounding of the largest."""
    return float(eigenvalues.max()) * len(eigenvalues) * float(np.finfo(np.float64).eps)


def _cause(moments: Moments, constant: list[int]) -> str:
    if constant:
        shown = ", ".join(map(str, constant[:5])) + (", …" if len(constant) > 5 else "")
        return f"constant in all rows are the columns {shown} (from 0)"
    if moments.count <= moments.width:
        return f"{moments.count} rows span at most {moments.count - 1} of {moments.width} directions"
    return "rows repeat, or columns are sums of other columns"
