"""Unit vectors in a temporary file: written once, read block by block, gone when closed or when the process ends."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sentemb.errors import OutputError
from sentemb.saving import writing

Array = np.ndarray[Any, np.dtype[Any]]

BLOCK_BYTES = 64 * 2**20
"""A block of vectors that is held at once."""


class VectorFile:
    """(N, D) float32 rows of length 1 in a nameless file.

    Args:
        folder: where it lies; must exist. Not the folder for temporary files, which may itself be memory.
        n_rows: N.
        width: D.

    Raises:
        OutputError: there is no space for it.
    """

    def __init__(self, folder: Path, n_rows: int, width: int) -> None:
        self._folder, self._width = folder, width
        needed, free = n_rows * width * 4, shutil.disk_usage(folder).free
        if needed > free:
            raise OutputError(
                str(folder),
                f"{n_rows:,} embeddings, {width} wide, need {needed / 1e9:,.1f} GB for a temporary file, "
                f"and {free / 1e9:,.1f} GB are free",
                "Free some space, name an --output on another disk, or use a smaller corpus",
            )
        with writing(folder):
            self._file = tempfile.TemporaryFile(dir=folder)

    def append(self, vectors: Array) -> None:
        """Writes (n, D) float vectors of any length, scaled to length 1; zeros stay zeros, at cosine 0 to all."""
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        with writing(self._folder):
            self._file.seek(0, 2)
            self._file.write((vectors / np.maximum(lengths, 1e-12)).astype(np.float32).tobytes())
            self._file.flush()

    def rows(self, numbers: Sequence[int]) -> Array:
        """(n, D), a copy of the rows of these numbers."""
        mapped = self._mapped(0, max(numbers) + 1)
        return np.array(mapped[list(numbers)])

    def blocks(self, n_rows: int) -> Iterator[Array]:
        """The first rows, block by block. A block is mapped only while it is used, so that none is held."""
        step = max(1, BLOCK_BYTES // (4 * self._width))
        for first in range(0, n_rows, step):
            yield self._mapped(first, min(first + step, n_rows))

    def close(self) -> None:
        """Removes the file."""
        self._file.close()

    def _mapped(self, first: int, end: int) -> Array:
        shape, offset = (end - first, self._width), first * self._width * 4
        return np.memmap(self._file, dtype=np.float32, mode="r", offset=offset, shape=shape)
