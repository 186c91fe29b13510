"""Parts on disk: written window by window to a temporary name, flushed to the disk, then renamed."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from sentemb.corpus.manifest import PartFile
from sentemb.corpus.settings import Dtype, Format

Vectors = NDArray[np.floating[Any]]


class PartWriter(Protocol):
    """Writes one part. Memory does not grow with the rows."""

    def write(self, ids: Sequence[str] | NDArray[np.int64], vectors: Vectors) -> None:
        """Appends n rows: n ids and (n, D) vectors of the part's dtype."""

    def finish(self) -> tuple[PartFile, ...]:
        """Flushes to the disk and renames: the part is there, whole. Returns its files, the vectors first."""

    def abandon(self) -> None:
        """Removes what was written."""


def open_part(
    folder: Path, index: int, *, kind: Format, dtype: Dtype, dimension: int, with_id_column: bool
) -> PartWriter:
    """A writer of `part-<index>`: `.npy` with `.ids.npy` (int64) or `.ids.txt`, or `.parquet`.

    Args:
        folder: where to write; it exists.
        index: from 0.
        kind: the format.
        dtype: of the vectors.
        dimension: D.
        with_id_column: ids are texts; otherwise int64 row numbers.
    """
    stem = f"part-{index:05d}"
    if kind == "parquet":
        return _ParquetPart(folder / f"{stem}.parquet", dtype, dimension, with_id_column)
    return _NpyPart(folder, stem, dtype, dimension, with_id_column)


def remove_parts(folder: Path, keep: Sequence[str] = ()) -> None:
    """Removes parts, and what a killed run left of one, but for the files to keep. Other files are left alone."""
    for pattern in ("part-*.npy", "part-*.ids.txt", "part-*.parquet", ".part-*.tmp", ".manifest.json.tmp"):
        for file in folder.glob(pattern):
            if file.name not in keep:
                file.unlink()


def sync_folder(folder: Path) -> None:
    """Flushes the names in a folder to the disk, so that a rename outlives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class _AtomicFile:
    """A file under a temporary name until it is whole. Nothing is on the disk before the first write."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._temporary = path.with_name(f".{path.name}.tmp")
        self._stream: BinaryIO | None = None

    @property
    def stream(self) -> BinaryIO:
        if self._stream is None:
            self._stream = self._temporary.open("wb")
        return self._stream

    def finish(self) -> PartFile:
        self.stream.flush()
        os.fsync(self.stream.fileno())
        self.stream.close()
        with self._temporary.open("rb") as written:
            digest = hashlib.file_digest(written, "sha256").hexdigest()
            size = written.tell()
        self._temporary.replace(self.path)
        return PartFile(self.path.name, size, digest)

    def abandon(self) -> None:
        if self._stream is not None:
            with suppress(OSError):  # what could not be written before can't be flushed now
                self._stream.close()
        self._temporary.unlink(missing_ok=True)


class _NpyFile:
    """An array that grows by rows. The header, as long for any number of rows, is rewritten at the end."""

    def __init__(self, path: Path, dtype: str, row_shape: tuple[int, ...]) -> None:
        self._dtype, self._row_shape, self._rows = np.dtype(dtype), row_shape, 0
        self._file = _AtomicFile(path)

    def write(self, values: NDArray[Any]) -> None:
        if not self._rows:
            self._file.stream.write(self._header())
        self._file.stream.write(np.ascontiguousarray(values, dtype=self._dtype).data)
        self._rows += len(values)

    def finish(self) -> PartFile:
        self._file.stream.seek(0)
        self._file.stream.write(self._header())
        return self._file.finish()

    def abandon(self) -> None:
        self._file.abandon()

    def _header(self) -> bytes:
        buffer = io.BytesIO()
        descr = np.lib.format.dtype_to_descr(self._dtype)
        shape = (self._rows, *self._row_shape)
        np.lib.format.write_array_header_1_0(buffer, {"descr": descr, "fortran_order": False, "shape": shape})
        return buffer.getvalue()


class _TextFile:
    """Texts, one a line."""

    def __init__(self, path: Path) -> None:
        self._file = _AtomicFile(path)

    def write(self, lines: Sequence[str]) -> None:
        self._file.stream.write("".join(f"{line}\n" for line in lines).encode())

    def finish(self) -> PartFile:
        return self._file.finish()

    def abandon(self) -> None:
        self._file.abandon()


class _NpyPart:
    """`part-00000.npy` and its ids."""

    def __init__(self, folder: Path, stem: str, dtype: Dtype, dimension: int, with_id_column: bool) -> None:
        self._vectors = _NpyFile(folder / f"{stem}.npy", "<f4" if dtype == "float32" else "<f2", (dimension,))
        self._ids: Any = (
            _TextFile(folder / f"{stem}.ids.txt") if with_id_column else _NpyFile(folder / f"{stem}.ids.npy", "<i8", ())
        )

    def write(self, ids: Sequence[str] | NDArray[np.int64], vectors: Vectors) -> None:
        self._vectors.write(vectors)
        self._ids.write(ids)

    def finish(self) -> tuple[PartFile, ...]:
        ids: PartFile = self._ids.finish()
        return self._vectors.finish(), ids

    def abandon(self) -> None:
        self._vectors.abandon()
        self._ids.abandon()


class _ParquetPart:
    """`part-00000.parquet`: `id` (int64 or string) and `embedding` (fixed-size list), one row group a window."""

    def __init__(self, path: Path, dtype: Dtype, dimension: int, with_id_column: bool) -> None:
        import pyarrow as pa

        self._dimension = dimension
        number = pa.float32() if dtype == "float32" else pa.float16()
        id_type = pa.string() if with_id_column else pa.int64()
        self._schema = pa.schema({"id": id_type, "embedding": pa.list_(number, dimension)})
        self._file = _AtomicFile(path)
        self._writer: Any = None

    def write(self, ids: Sequence[str] | NDArray[np.int64], vectors: Vectors) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._writer is None:
            self._writer = pq.ParquetWriter(self._file.stream, self._schema, use_dictionary=False)
        numbers = pa.array(
            np.ascontiguousarray(vectors).reshape(-1), type=self._schema.field("embedding").type.value_type
        )
        embedding = pa.FixedSizeListArray.from_arrays(numbers, self._dimension)
        id_column = pa.array(ids, type=self._schema.field("id").type)
        self._writer.write_table(pa.Table.from_arrays([id_column, embedding], schema=self._schema))

    def finish(self) -> tuple[PartFile, ...]:
        self._writer.close()
        return (self._file.finish(),)

    def abandon(self) -> None:
        if self._writer is not None:
            with suppress(OSError, ValueError):  # the footer of a file that is removed next
                self._writer.close()
        self._file.abandon()
