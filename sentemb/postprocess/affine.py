"""What the linear post-processors share: the estimator contract over streamed moments."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from sentemb.errors import ModelError, OutputError
from sentemb.postprocess.arrays import read_arrays, write_arrays
from sentemb.postprocess.blocks import Array, Float64, check_embeddings, parts_of
from sentemb.postprocess.moments import Moments
from sentemb.saving import replace_folder, write_json

_RECORD, _LEARNT, _MOMENTS = "postprocess.json", "postprocess.safetensors", "moments.safetensors"


class AffinePostProcessor(ABC):
    """y = L(x − μ) with L linear, learnt from the mean and covariance of embeddings.

    As in scikit-learn: `fit` forgets what was learnt before, `partial_fit` adds to it, what is learnt ends in `_`.
    Unlike there, a setting that can't be right is refused at once, before any data is read. After `partial_fit` the map
    is worked out when it is first asked for, so a stream of small blocks costs no more than one `fit`.

    The vectors that come out are not L2-normalised: similarity by cosine needs nothing, a dot product needs it done.
    """

    _NAMES: ClassVar[tuple[str, ...]]
    """What is learnt, `mean` among it; each is a property with `_` at its end."""

    def __init__(self) -> None:
        self._moments: Moments | None = None
        self._state: dict[str, Array] | None = None

    # -------------------------------------------------------------------------------------- what a subclass says
    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The constructor's arguments, as JSON has them."""

    @abstractmethod
    def _learn(self, moments: Moments) -> dict[str, Array]:
        """The arrays of `_NAMES`."""

    @abstractmethod
    def _forward(self, centred: Float64) -> Float64:
        """L of rows (N, D) that the mean was taken from: (N, K)."""

    @abstractmethod
    def _backward(self, mapped: Float64) -> Float64:
        """Rows (N, K) back to (N, D), the mean not yet added: L's inverse, or its pseudo-inverse."""

    @abstractmethod
    def _check_width(self, width: int) -> None:
        """Refuses embeddings of a width that the settings don't fit."""

    # -------------------------------------------------------------------------------------- fit
    def fit(self, embeddings: Array) -> Self:
        """Learns from these embeddings alone.

        Args:
            embeddings: (N, D) float16, float32 or float64, finite. A file opened by `np.load(…, mmap_mode="r")` is
                read in parts and never held whole.

        Raises:
            DataError: embeddings of another form, not finite, or without the variance that the map needs. What was
                learnt before is then kept.
            ConfigError: the settings don't fit the width.
        """
        check_embeddings(self._place("fit"), embeddings)
        self._check_width(embeddings.shape[1])
        moments = Moments(embeddings.shape[1])
        moments.update(embeddings)
        return self.fit_moments(moments)

    def partial_fit(self, embeddings: Array) -> Self:
        """Takes in one more block; raises as `fit` does, save that missing variance is told when the map is used."""
        width = None if self._moments is None else self._moments.width
        check_embeddings(self._place("partial_fit"), embeddings, width)
        self._check_width(embeddings.shape[1])
        moments = self._moments or Moments(embeddings.shape[1])
        moments.update(embeddings)
        self._moments, self._state = moments, None
        return self

    def fit_moments(self, moments: Moments) -> Self:
        """Learns from moments made elsewhere, such as those of merged shards; they are copied."""
        self._check_width(moments.width)
        moments = moments.copy()
        self._state = self._learn(moments)
        self._moments = moments
        return self

    # -------------------------------------------------------------------------------------- use
    def transform(self, embeddings: Array) -> Array:
        """(N, K) mapped rows: float64 for float64, float32 for narrower ones. Computed in float64, in parts.

        Raises:
            ModelError: not fitted.
            DataError: another width than was fitted, or a row that is not finite.
        """
        mean = self.mean_
        check_embeddings(self._place("transform"), embeddings, len(mean))
        return _in_parts(embeddings, self._n_outputs(), lambda rows: self._forward(rows - mean))

    def inverse_transform(self, mapped: Array) -> Array:
        """(N, D) embeddings whose image is `mapped` (N, K); the nearest to the mean of these where L drops directions.

        Raises:
            ModelError: not fitted.
            DataError: another width than `transform` gives, or a row that is not finite.
        """
        mean = self.mean_
        check_embeddings(self._place("inverse_transform"), mapped, self._n_outputs())
        return _in_parts(mapped, len(mean), lambda rows: self._backward(rows) + mean)

    def affine(self) -> tuple[Float64, Float64]:
        """The map as y = W x + b: W (K, D) and b (K,), float64, for export as a stock `Dense`.

        In float32, W x and b may be large and nearly cancel; what is lost then is about 1e-7 ‖W x‖.

        Raises:
            ModelError: not fitted.
        """
        mean = self.mean_
        return np.ascontiguousarray(self._forward(np.eye(len(mean))).T), self._forward(-mean[None, :])[0]

    @property
    def mean_(self) -> Float64:
        """(D,) float64, μ."""
        return self._learnt("mean")

    def _n_outputs(self) -> int:
        return len(self._forward(np.zeros((1, len(self.mean_))))[0])

    def _learnt(self, name: str) -> Array:
        if self._state is None:
            self._state = self._learn(self._fitted_moments())
        return self._state[name]

    def _fitted_moments(self) -> Moments:
        if self._moments is None:
            raise ModelError(type(self).__name__, "it is not fitted", "Call fit or partial_fit, or load a saved one")
        return self._moments

    def _place(self, verb: str) -> str:
        return f"{type(self).__name__}.{verb}"

    # -------------------------------------------------------------------------------------- save and load
    def save(self, folder: Path) -> None:
        """Writes settings (JSON), what is learnt and the moments (safetensors): `partial_fit` can go on after `load`.

        Raises:
            ModelError: not fitted.
            OutputError: the folder holds other things, or can't be written to.
        """
        moments, state = self._fitted_moments(), {name: self._learnt(name) for name in self._NAMES}
        if folder.exists() and not (folder.is_dir() and {path.name for path in folder.iterdir()} <= _FILES):
            raise OutputError(str(folder), "it holds other things than a post-processor", "Name a new folder")
        with replace_folder(folder) as temporary:
            write_json(temporary / _RECORD, {"kind": type(self).__name__, "settings": self.settings})
            write_arrays(temporary / _LEARNT, state)
            moments.save(temporary / _MOMENTS)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """One that `save` wrote; its map is the same bit for bit.

        Raises:
            ModelError: the folder holds none, or one of another kind.
        """
        settings = _read_settings(folder / _RECORD, cls.__name__)
        try:
            loaded = cls(**settings)
        except TypeError as error:
            raise ModelError(
                str(folder / _RECORD), f"its settings don't fit ({error})", "Fit and save again"
            ) from error
        loaded._state = read_arrays(folder / _LEARNT, cls._NAMES)
        loaded._moments = Moments.load(folder / _MOMENTS)
        if len(loaded._state["mean"]) != loaded._moments.width:
            raise ModelError(str(folder), "its two files are of different fits", "Fit and save again")
        return loaded


_FILES = {_RECORD, _LEARNT, _MOMENTS}


def _read_settings(file: Path, kind: str) -> dict[str, Any]:
    if not file.is_file():
        raise ModelError(str(file.parent), f"it holds no {file.name}", f"Name a folder that {kind}.save wrote")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        found, settings = record["kind"], dict(record["settings"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(str(file), f"it is no record of a post-processor ({error})", "Fit and save again") from error
    if found != kind:
        raise ModelError(str(file), f"it is of a {found}, not of a {kind}", f"Load it with {found}.load")
    return settings


def _in_parts(rows: Array, width: int, function: Callable[[Float64], Float64]) -> Array:
    results = np.empty((len(rows), width), dtype=np.float64 if rows.dtype == np.float64 else np.float32)
    for start, part in parts_of(rows):
        results[start : start + len(part)] = function(part)
    return results
