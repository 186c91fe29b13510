"""Mean and scatter of embeddings in one pass, in float64, whatever the blocks they come in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sentemb.errors import DataError, ModelError
from sentemb.postprocess.arrays import read_arrays, write_arrays
from sentemb.postprocess.blocks import Array, Float64, check_embeddings, parts_of

_ROUNDING = 1e-13
"""A column whose standard deviation is below this fraction of its mean is constant: what varies is the rounding."""


class Moments:
    """The sums over N rows x_i, about their mean, that covariance and its Ledoit-Wolf shrinkage are made of.

    Each part is centred at its own mean before its product is taken, and two sets of moments are joined by the
    update of Chan, Golub and LeVeque (1983), here for vectors: with δ = μ_B − μ_A,

        μ = μ_A + (N_B / N) δ,     S = S_A + S_B + (N_A N_B / N) δ δᵀ

    so nothing cancels, and neither the cut into blocks nor the shards that were merged change the result by more
    than rounding. The sums of third and fourth order are moved to the joint mean in the same way.

    Args:
        width: D ≥ 1.

    Attributes:
        count: N.
        mean: (D,) float64, μ.
        scatter: (D, D) float64, S = Σ (x_i − μ)(x_i − μ)ᵀ.
        third: (D,) float64, Σ ‖x_i − μ‖² (x_i − μ); it is kept to move `fourth`.
        fourth: Σ ‖x_i − μ‖⁴.
        resolution: the machine epsilon of the coarsest dtype seen: 2⁻²³ after float32. Variance at that level is noise.

    >>> moments = Moments(1)
    >>> moments.update(np.array([[1.0], [2.0]]))
    >>> moments.update(np.array([[6.0]]))
    >>> moments.count, moments.mean, moments.scatter
    (3, array([3.]), array([[14.]]))
    """

    def __init__(self, width: int) -> None:
        if width < 1:
            raise ValueError(f"width must be 1 or more, not {width}")
        self.count = 0
        self.mean: Float64 = np.zeros(width)
        self.scatter: Float64 = np.zeros((width, width))
        self.third: Float64 = np.zeros(width)
        self.fourth = 0.0
        self.resolution = 0.0

    @property
    def width(self) -> int:
        """D."""
        return len(self.mean)

    def update(self, embeddings: Array) -> None:
        """Takes in a block of rows, all of it or, on an error, nothing.

        Args:
            embeddings: (N, D) float16, float32 or float64, finite; N may be 0. May be a read-only memory map of any
                size: see `parts_of`. Values of 1e75 and more overflow the sums of fourth order.

        Raises:
            DataError: another width or dtype, or a row that is not finite (rows are counted from 0 over all blocks).
        """
        check_embeddings("Moments.update", embeddings, self.width)
        block = Moments(self.width)
        for _, rows in parts_of(embeddings, first_row=self.count):
            block.merge(_of_part(rows))
        self.merge(block)
        self.resolution = max(self.resolution, float(np.finfo(embeddings.dtype).eps))

    def merge(self, other: Moments) -> None:
        """Takes in the rows that `other` has seen; `other` stays as it is.

        Raises:
            DataError: `other` has another width.
        """
        if other.width != self.width:
            problem = f"moments of width {other.width} can't be merged into those of width {self.width}"
            raise DataError("Moments.merge", problem, "Merge shards of one encoder's embeddings")
        self.resolution = max(self.resolution, other.resolution)
        if other.count == 0:
            return
        count = self.count + other.count
        between = other.mean - self.mean
        mean = self.mean + (other.count / count) * between
        (third, fourth), (their_third, their_fourth) = self._about(mean), other._about(mean)
        self.scatter += other.scatter
        self.scatter += np.outer((self.count * other.count / count) * between, between)
        self.third, self.fourth = third + their_third, fourth + their_fourth
        self.count, self.mean = count, mean

    def _about(self, centre: Float64) -> tuple[Float64, float]:
        """`third` and `fourth` about another centre: ‖y − δ‖² = ‖y‖² − 2 y·δ + ‖δ‖² put in, where Σ y = 0."""
        shift = centre - self.mean
        square = float(shift @ shift)
        spread = self.scatter @ shift
        energy = float(np.trace(self.scatter))
        third = self.third - energy * shift - 2.0 * spread - (self.count * square) * shift
        fourth = (
            self.fourth
            - 4.0 * float(shift @ self.third)
            + 4.0 * float(shift @ spread)
            + 2.0 * square * energy
            + self.count * square**2
        )
        return third, fourth

    def covariance(self, ddof: int) -> Float64:
        """(D, D) float64, S / (N − ddof).

        Args:
            ddof: 1 for the sample covariance (NumPy's `cov`), 0 for the mean over the rows.

        Raises:
            DataError: ddof rows or fewer.
        """
        if self.count <= ddof:
            problem = f"{self.count} row(s), but a covariance with ddof {ddof} needs {ddof + 1} or more"
            raise DataError("embeddings", problem, "Fit on more embeddings")
        covariance: Float64 = self.scatter / (self.count - ddof)
        return covariance

    def constant_columns(self) -> list[int]:
        """The columns, from 0, that hold one value in all rows, up to float64 rounding of their mean."""
        variances = np.diagonal(self.scatter) / max(self.count, 1)
        return [int(column) for column in np.flatnonzero(variances <= (_ROUNDING * self.mean) ** 2)]

    def copy(self) -> Moments:
        """The same moments, sharing nothing."""
        twin = Moments(self.width)
        twin.merge(self)
        return twin

    def save(self, file: Path) -> None:
        """Writes one safetensors file in one rename."""
        write_arrays(file, {name: np.asarray(getattr(self, name)) for name in _SAVED})

    @classmethod
    def load(cls, file: Path) -> Moments:
        """Moments written by `save`, bit for bit.

        Raises:
            ModelError: no such file, or it holds something else.
        """
        arrays = read_arrays(file, _SAVED)
        width = arrays["mean"].size
        shapes = {name: array.shape for name, array in arrays.items()}
        vector = dict.fromkeys(["mean", "third"], (width,))
        if shapes != dict.fromkeys(_SAVED, ()) | vector | {"scatter": (width, width)}:
            raise ModelError(str(file), f"its shapes don't fit each other: {shapes}", "Save the moments again")
        moments = cls(width)
        moments.count, moments.fourth = int(arrays["count"]), float(arrays["fourth"])
        moments.resolution = float(arrays["resolution"])
        moments.mean, moments.scatter, moments.third = arrays["mean"], arrays["scatter"], arrays["third"]
        return moments


_SAVED = ("count", "mean", "scatter", "third", "fourth", "resolution")


def _of_part(rows: Float64) -> Moments:
    """The moments of rows that fit into memory; changes the rows."""
    part = Moments(rows.shape[1])
    part.count, part.mean = len(rows), rows.mean(axis=0)
    rows -= part.mean
    squares = np.einsum("nd,nd->n", rows, rows)
    part.scatter = rows.T @ rows  # NumPy sees the product with itself and calls BLAS syrk: half the work of gemm
    part.third, part.fourth = squares @ rows, float(squares @ squares)
    return part
