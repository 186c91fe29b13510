"""BERT-whitening: embeddings with mean zero and covariance one, in as many dimensions as asked for."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from sentemb.errors import ConfigError, shortened
from sentemb.postprocess.affine import AffinePostProcessor
from sentemb.postprocess.blocks import Array, Float64
from sentemb.postprocess.ledoit_wolf import ledoit_wolf_shrinkage
from sentemb.postprocess.moments import Moments
from sentemb.postprocess.spectrum import above_floor, principal_axes, rounding_levels


class Whitening(AffinePostProcessor):
    """x̃ = (x − μ) W with Wᵀ Σ W = I, row vectors (Su et al. 2021, §3).

    With Σ = U Λ Uᵀ, eigenvalues descending: W = (U Λ^(-1/2))[:, :k], or in the ZCA form W = U Λ^(-1/2) Uᵀ. At full
    width the two differ by a rotation and give the same cosines; ZCA stays nearest to the embeddings. Cosines do not
    depend on ddof either; the scale of x̃ does.

    Args:
        n_components: k, 1 … D, or None for D. The paper takes 256 of 768 and 384 of 1024.
        eigenvalue_floor: in [0, 1): kept eigenvalues below this fraction of the largest are raised to it, with a
            warning and counted in `n_floored_`. 0 refuses a covariance without full rank (of fewer texts than D, or
            of a last layer norm: see `rounding_levels`); the authors' code divides by what rounding left there.
            Directions absent from the fitted texts are magnified by up to 1/√floor in others, so a smaller
            `n_components` or shrinkage is the better cure.
        shrinkage: α in [0, 1] for (1 − α) Σ + α (tr Σ / D) I, "ledoit_wolf" to estimate it, or None for none (the
            paper).
        form: "pca" (the paper) or "zca".
        ddof: Σ is divided by N − ddof: 1 as in the authors' `np.cov`, 0 as in scikit-learn's covariances.

    Differs from the authors' code: sums are streamed (theirs holds all vectors), signs are fixed, and L2-normalising
    is left to the caller.

    Raises:
        ConfigError: a setting out of its range; `n_components` above the width, or below it with ZCA, when fitting.

    >>> settings = {"n_components": None, "eigenvalue_floor": 0.0, "shrinkage": None, "form": "pca", "ddof": 0}
    >>> whitening = Whitening(**settings).fit(np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    >>> whitening.eigenvalues_  # 18/4 and 2/4
    array([4.5, 0.5])
    >>> whitening.transform(np.array([[3.0, 0.0]])).round(4)  # 3/√4.5
    array([[1.4142, 0.    ]])
    """

    _NAMES: ClassVar = ("mean", "kernel", "inverse_kernel", "eigenvalues", "n_floored", "shrinkage")

    def __init__(
        self,
        *,
        n_components: int | None,
        eigenvalue_floor: float,
        shrinkage: float | Literal["ledoit_wolf"] | None,
        form: Literal["pca", "zca"],
        ddof: int,
    ) -> None:
        super().__init__()
        if n_components is not None and n_components < 1:
            raise _refused("n_components", n_components, "a whole number from 1, or None", "Use 256, or None for all")
        if not 0.0 <= eigenvalue_floor < 1.0:
            raise _refused("eigenvalue_floor", eigenvalue_floor, "at least 0 and below 1", "Use 0 for none")
        named = isinstance(shrinkage, str)
        if (named and shrinkage != "ledoit_wolf") or not (named or shrinkage is None or 0.0 <= float(shrinkage) <= 1.0):
            accepted = 'a number from 0 to 1, "ledoit_wolf" or None'
            raise _refused("shrinkage", shrinkage, accepted, "Use None for none")
        if form not in ("pca", "zca"):
            raise _refused("form", form, '"pca" or "zca"', 'Use "pca" for the paper\'s')
        if ddof not in (0, 1):
            raise _refused("ddof", ddof, "0 or 1", "Use 1 for the authors'")
        self.n_components, self.eigenvalue_floor, self.shrinkage = n_components, eigenvalue_floor, shrinkage
        self.form, self.ddof = form, ddof

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {name: getattr(self, name) for name in _SETTINGS}

    @property
    def kernel_(self) -> Float64:
        """(D, K) float64, W."""
        return self._learnt("kernel")

    @property
    def inverse_kernel_(self) -> Float64:
        """(K, D) float64, the pseudo-inverse of W."""
        return self._learnt("inverse_kernel")

    @property
    def eigenvalues_(self) -> Float64:
        """(D,) float64, all eigenvalues of Σ, descending, shrunk but not floored."""
        return self._learnt("eigenvalues")

    @property
    def n_floored_(self) -> int:
        """How many of the K kept eigenvalues were raised to the floor."""
        return int(self._learnt("n_floored"))

    @property
    def shrinkage_(self) -> float:
        """α, given or estimated; 0 for None."""
        return float(self._learnt("shrinkage"))

    def _check_width(self, width: int) -> None:
        if self.n_components is None:
            return
        if self.n_components > width:
            problem = f"{self.n_components} is more than the width of the embeddings, {width}"
            raise ConfigError("Whitening.n_components", problem, f"Use {width} or fewer, or None")
        if self.form == "zca" and self.n_components < width:
            problem = f'{self.n_components} of {width} dimensions, but form "zca" keeps all: its axes are not ordered'
            raise ConfigError("Whitening.n_components", problem, 'Use form "pca", or None')

    def _learn(self, moments: Moments) -> dict[str, Array]:
        eigenvalues, axes = principal_axes(moments.covariance(self.ddof))
        alpha = ledoit_wolf_shrinkage(moments) if self.shrinkage == "ledoit_wolf" else float(self.shrinkage or 0.0)
        eigenvalues = (1.0 - alpha) * eigenvalues + alpha * eigenvalues.mean()  # a multiple of I turns no axis
        is_singular = eigenvalues <= rounding_levels(eigenvalues, axes, moments)
        kept, axes = eigenvalues[: self.n_components], axes[:, : self.n_components]
        n_singular = int(is_singular[: self.n_components].sum())
        fewer = f"set n_components to {len(kept) - n_singular} or fewer" if self.form == "pca" else 'use form "pca"'
        variances, n_floored = above_floor(
            "Whitening",
            kept,
            floor=self.eigenvalue_floor,
            moments=moments,
            n_singular=n_singular,
            remedy=f"Fit on more texts, {fewer}, or set shrinkage or eigenvalue_floor",
        )
        scales = np.sqrt(variances)
        kernel, inverse = axes / scales, scales[:, None] * axes.T
        if self.form == "zca":
            kernel, inverse = kernel @ axes.T, axes @ inverse
        return {
            "mean": moments.mean.copy(),
            "kernel": kernel,
            "inverse_kernel": inverse,
            "eigenvalues": eigenvalues,
            "n_floored": np.array(n_floored),
            "shrinkage": np.array(alpha),
        }

    def _forward(self, centred: Float64) -> Float64:
        return centred @ self.kernel_

    def _backward(self, mapped: Float64) -> Float64:
        return mapped @ self.inverse_kernel_


_SETTINGS = ("n_components", "eigenvalue_floor", "shrinkage", "form", "ddof")


def _refused(name: str, value: object, accepted: str, remedy: str) -> ConfigError:
    return ConfigError(f"Whitening.{name}", f"it is {shortened(value)}, but must be {accepted}", remedy)
