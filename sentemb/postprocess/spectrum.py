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


def rounding_levels(eigenvalues: Float64, axes: Float64, moments: Moments) -> Float64:
    """(D,) float64: the variance along each axis that is there by rounding alone.

    The larger of D ε λ_1, what float64 sums leave (as in NumPy's `matrix_rank`), and 10 r² Σ_j u_j² E x_j², what
    embeddings stored with r = `moments.resolution` carry. The second matters: the layer norm that ends an encoder makes
    one weighted sum of its outputs constant, so one of the D directions holds nothing but float32 rounding (0.2 to 0.6
    of r² Σ_j u_j² E x_j² where it was measured; the next direction held 10⁹ times that).
    """
    summed = float(eigenvalues.max()) * len(eigenvalues) * float(np.finfo(np.float64).eps)
    squares = np.square(moments.mean) + np.diagonal(moments.scatter) / moments.count
    stored: Float64 = 10.0 * moments.resolution**2 * (squares @ np.square(axes))
    return np.maximum(stored, summed)


def _cause(moments: Moments, constant: list[int]) -> str:
    if constant:
        shown = ", ".join(map(str, constant[:5])) + (", …" if len(constant) > 5 else "")
        return f"constant in all rows are the columns {shown} (from 0)"
    if moments.count <= moments.width:
        return f"{moments.count} rows span at most {moments.count - 1} of {moments.width} directions"
    return "rows repeat, or columns depend on each other, as they do after a layer norm"
