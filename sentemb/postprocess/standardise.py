"""Each dimension to mean zero and variance one: whitening of a covariance taken as diagonal."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from sentemb.errors import ConfigError, shortened
from sentemb.postprocess.affine import AffinePostProcessor
from sentemb.postprocess.blocks import Array, Float64
from sentemb.postprocess.moments import Moments
from sentemb.postprocess.spectrum import above_floor


class Standardise(AffinePostProcessor):
    """y_j = (x_j − μ_j) / σ_j, the z-score of each dimension (for encoders: Timkey and van Schijndel 2021).

    Args:
        variance_floor: in [0, 1): variances below this fraction of the largest are raised to it, with a warning and
            counted in `n_floored_`. 0 refuses a constant column.
        ddof: σ² is divided by N − ddof, 0 or 1. Cosines do not depend on it.

    Raises:
        ConfigError: a setting out of its range.

    >>> scaled = Standardise(variance_floor=0.0, ddof=0).fit(np.array([[1.0, 10.0], [3.0, 50.0]]))
    >>> scaled.scale_
    array([ 1., 20.])
    >>> scaled.transform(np.array([[4.0, 10.0]]))
    array([[ 2., -1.]])
    """

    _NAMES: ClassVar = ("mean", "scale", "n_floored")

    def __init__(self, *, variance_floor: float, ddof: int) -> None:
        super().__init__()
        if not 0.0 <= variance_floor < 1.0:
            problem = f"it is {shortened(variance_floor)}, but must be at least 0 and below 1"
            raise ConfigError("Standardise.variance_floor", problem, "Use 0 for none")
        if ddof not in (0, 1):
            raise ConfigError("Standardise.ddof", f"it is {shortened(ddof)}, but must be 0 or 1", "Use 1")
        self.variance_floor, self.ddof = variance_floor, ddof

    @property
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {"variance_floor": self.variance_floor, "ddof": self.ddof}

    @property
    def scale_(self) -> Float64:
        """(D,) float64, σ."""
        return self._learnt("scale")

    @property
    def n_floored_(self) -> int:
        """How many variances were raised to the floor."""
        return int(self._learnt("n_floored"))

    def _check_width(self, width: int) -> None:
        """Any width will do."""

    def _learn(self, moments: Moments) -> dict[str, Array]:
        variances, n_floored = above_floor(
            "Standardise",
            np.diagonal(moments.covariance(self.ddof)),
            floor=self.variance_floor,
            moments=moments,
            n_singular=len(moments.constant_columns()),
            remedy="Fit on more texts, or set variance_floor",
        )
        return {"mean": moments.mean.copy(), "scale": np.sqrt(variances), "n_floored": np.array(n_floored)}

    def _forward(self, centred: Float64) -> Float64:
        return centred / self.scale_

    def _backward(self, mapped: Float64) -> Float64:
        return mapped * self.scale_
