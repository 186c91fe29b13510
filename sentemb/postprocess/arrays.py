"""Named arrays in a safetensors file, read with an error that says what is wrong with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from sentemb.errors import ModelError
from sentemb.postprocess.blocks import Array
from sentemb.saving import write_bytes


def write_arrays(file: Path, arrays: Mapping[str, Array]) -> None:
    """Writes the arrays in one rename."""
    write_bytes(file, safetensors.numpy.save({name: np.asarray(array, order="C") for name, array in arrays.items()}))


def read_arrays(file: Path, names: Collection[str]) -> dict[str, Array]:
    """The arrays of a file written by `write_arrays`.

    Raises:
        ModelError: no such file, not a safetensors file, or it does not hold exactly `names`.
    """
    if not file.is_file():
        raise ModelError(str(file), "there is no such file", "Check the path")
    try:
        arrays: dict[str, Array] = safetensors.numpy.load_file(file)
    except SafetensorError as error:
        raise ModelError(str(file), f"it is not a whole safetensors file ({error})", "Save it again") from error
    if set(arrays) != set(names):
        held, wanted = ", ".join(sorted(arrays)), ", ".join(sorted(names))
        raise ModelError(str(file), f"it holds {held}, not {wanted}", "Name a file saved by the same class")
    return arrays
