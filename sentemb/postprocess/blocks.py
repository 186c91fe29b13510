"""Rows of embeddings, checked and handed on as float64 parts small enough for any memory."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np

from sentemb.errors import DataError, shortened

Array = np.ndarray[Any, np.dtype[Any]]
Float64 = np.ndarray[Any, np.dtype[np.float64]]

_PART = 2**22  # numbers in a part: 32 MB of float64, 5461 rows of 768


def check_embeddings(place: str, embeddings: Array, width: int | None = None) -> None:
    """Refuses what is not an (N, D) array of float16, float32 or float64, or not of the width that is known.

    Raises:
        DataError: another type, number of axes, dtype or width.
    """
    if not isinstance(embeddings, np.ndarray):
        problem = f"embeddings are a {type(embeddings).__name__}, not a NumPy array"  # type: ignore[unreachable]
        raise DataError(place, problem, "Pass an (N, D) array of floats")
    if embeddings.ndim != 2 or embeddings.shape[1] == 0:
        problem = f"embeddings have shape {embeddings.shape}, not (N, D)"
        raise DataError(place, problem, "Pass one row per embedding")
    if embeddings.dtype.kind != "f" or embeddings.dtype.itemsize > 8:
        problem = f"embeddings are {embeddings.dtype}, not float16, float32 or float64"
        raise DataError(place, problem, "Convert them")
    if width is not None and embeddings.shape[1] != width:
        problem = f"embeddings are {embeddings.shape[1]} wide, but {width} is the width so far"
        raise DataError(place, problem, "Use the embeddings of one encoder, or start anew")


def parts_of(embeddings: Array, *, first_row: int = 0) -> Iterator[tuple[int, Float64]]:
    """(start, rows) of consecutive parts of `embeddings`; the rows are a float64 copy, the caller's to change.

    All parts lie in one buffer, since fresh memory costs as much as a pass: a part is gone when the next is asked for.

    Of an array that `np.load(…, mmap_mode="r")` opened, the pages read are given back to the system after each part,
    so a file of any size passes through.

    Args:
        embeddings: (N, D) float.
        first_row: the number of row 0, for messages.

    Raises:
        DataError: a row holds NaN or infinity; the message gives its number.
    """
    n_rows = max(_PART // embeddings.shape[1], 1)
    mapping = _read_only_mapping(embeddings)
    buffer: Float64 = np.empty((min(n_rows, len(embeddings)), embeddings.shape[1]))
    for start in range(0, len(embeddings), n_rows):
        part = buffer[: len(embeddings) - start]
        np.copyto(part, embeddings[start : start + n_rows])
        finite = np.isfinite(part)
        if not finite.all():
            row, column = (int(axis[0]) for axis in np.nonzero(~finite))
            raise DataError(
                f"embeddings, row {first_row + start + row} (from 0)",
                f"column {column} is {shortened(float(part[row, column]))}, not a finite number",
                "Leave the row out, or encode its text again",
            )
        if mapping is not None:
            mapping.madvise(mmap.MADV_DONTNEED)
        yield start, part


def _read_only_mapping(embeddings: Array) -> mmap.mmap | None:
    """The memory map under an array, if its pages can be dropped: those of a file that nobody here can change."""
    array: Any = embeddings
    modes = set()
    while isinstance(array, np.ndarray):
        modes.add(getattr(array, "mode", None))
        array = array.base
    droppable = "r" in modes and hasattr(mmap, "MADV_DONTNEED")
    return array if droppable and isinstance(array, mmap.mmap) else None
