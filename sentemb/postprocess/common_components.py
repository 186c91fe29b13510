"""All-but-the-top: embeddings without their mean and the few directions that they all share."""

from __future__ import annotations

from typing import Any, ClassVar

from sentemb.errors import ConfigError, DataError, shortened
from sentemb.postprocess.affine import AffinePostProcessor
from sentemb.postprocess.blocks import Array, Float64
from sentemb.postprocess.moments import Moments
from sentemb.postprocess.spectrum import principal_axes, rounding_levels


class CommonComponents(AffinePostProcessor):
    """y = (x − μ) − Σ_i ((x − μ)·u_i) u_i over the top principal components u_i (Mu and Viswanath 2018, Algorithm 1).

    The width stays D. The centred vector is projected, so nothing is left along u_i. Implementations that project the
    uncentred one, v(w)·u_i, leave the constant −μ·u_i there in every row.

    Args:
        n_removed: the paper's D, 0 or more and below the width; None is the paper's rule of about a hundredth of the
            width: max(1, D // 100), 7 of 768.

    Raises:
        ConfigError: `n_removed` is negative, or not below the width when fitting.

    >>> import numpy as np
    >>> x = np.array([[9.0, 1.0], [-9.0, 1.0], [0.0, 2.0], [0.0, 0.0]])  # μ = (0, 1), u_1 = (1, 0)
    >>> CommonComponents(n_removed=1).fit(x).transform(np.array([[5.0, 4.0]]))
    array([[0., 3.]])
    """

    _NAMES: ClassVar = ("mean", "components", "eigenvalues")

    def __init__(self, *, n_removed: int | None) -> None:
        super().__init__()
        if n_removed is not None and n_removed < 0:
            problem = f"it is {shortened(n_removed)}, but must be 0 or more, or None"
            raise ConfigError("CommonComponents.n_removed", problem, "Use None for a hundredth of the width")
        self.n_removed = n_removed

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"n_removed": self.n_removed}

    @property
    def components_(self) -> Float64:
        """(n_removed, D) float64, orthonormal rows: the directions that are taken out."""
        return self._learnt("components")

    @property
    def eigenvalues_(self) -> Float64:
        """(D,) float64, the eigenvalues of the covariance (ddof 1), descending."""
        return self._learnt("eigenvalues")

    def _count(self, width: int) -> int:
        return max(1, width // 100) if self.n_removed is None else self.n_removed

    def _check_width(self, width: int) -> None:
        if self._count(width) >= width:
            problem = f"{self._count(width)} of {width} directions removed leaves nothing"
            raise ConfigError("CommonComponents.n_removed", problem, f"Use {width - 1} or fewer, on wider embeddings")

    def _learn(self, moments: Moments) -> dict[str, Array]:
        eigenvalues, axes = principal_axes(moments.covariance(ddof=1))
        n_removed = self._count(moments.width)
        constant = len(moments.constant_columns()) == moments.width
        n_varying = 0 if constant else int((eigenvalues > rounding_levels(eigenvalues, axes, moments)).sum())
        if n_removed > n_varying:
            problem = f"{n_removed} components are to be removed, but the {moments.count} rows vary along {n_varying}"
            raise DataError("CommonComponents", problem, "Fit on more texts, or lower n_removed")
        return {"mean": moments.mean.copy(), "components": axes.T[:n_removed].copy(), "eigenvalues": eigenvalues}

    def _forward(self, centred: Float64) -> Float64:
        components = self.components_
        return centred - (centred @ components.T) @ components

    def _backward(self, mapped: Float64) -> Float64:
        return self._forward(mapped)  # a projection is its own pseudo-inverse; what was taken out stays out
