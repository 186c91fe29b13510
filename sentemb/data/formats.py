"""One file of texts, read as a stream: txt, jsonl, csv, tsv and parquet; all but parquet also gzipped.

A reader holds one line (parquet: one batch of rows) at a time. What it can't read it refuses with the file and the
line. A tsv has a header and no quoting: a `"` is a plain character. A csv has a header and is quoted as in RFC 4180.
A txt has one text a line and counts as one column, `text`.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from sentemb.errors import DataError, nearest, shortened

Value = str | float | int | None

MAX_TEXT_CHARACTERS = 500_000
"""A longer text is refused: most likely the file has no line breaks."""
MAX_LINE_BYTES = 16 * 2**20
"""The longest line that is read; it bounds memory whatever the file holds."""

EXTENSIONS = (".txt", ".jsonl", ".csv", ".tsv", ".parquet")
_ACCEPTED = f"{', '.join(EXTENSIONS)}, and each but .parquet with .gz after it"
_PARQUET_BATCH = 1024


class Record(NamedTuple):
    """One row of a file.

    Attributes:
        place: where it stands, `train.tsv, line 12` (lines count from 1; parquet and hub: `row 12`).
        values: the columns asked for, in the order asked. Text formats hold strings only.
    """

    place: str
    values: tuple[Value, ...]


Pick = Callable[[str, Sequence[str]], Sequence[str]]
"""(place, the columns there are) → the columns to read; raises a `DataError` when they are not there."""
OnRead = Callable[[int], None]
"""Told of each piece read: how many bytes of the file, as it lies on disk."""


def named_columns(columns: Sequence[str]) -> Pick:
    """Picks the columns of these names."""

    def pick(place: str, known: Sequence[str]) -> Sequence[str]:
        for column in columns:
            if column not in known:
                raise DataError(
                    place,
                    f"there is no column {shortened(column)}.{nearest(column, known)}",
                    f"Use one of: {', '.join(known)}",
                )
        return columns

    return pick


def text_column(place: str, known: Sequence[str]) -> Sequence[str]:
    """Picks `text`, else `sentence`, else the only column."""
    for name in ("text", "sentence"):
        if name in known:
            return [name]
    if len(known) == 1:
        return known
    raise DataError(
        place,
        f'there are {len(known)} columns and none is named "text"',
        f"Name the column to read: {', '.join(known)}",
    )


def format_of(path: Path) -> str:
    """The extension that says how to read a file, without `.gz`: one of `EXTENSIONS`.

    Raises:
        DataError: no known extension.
    """
    bare = path.with_suffix("") if path.suffix == ".gz" else path
    if bare.suffix not in EXTENSIONS or (bare.suffix == ".parquet" and bare != path):
        found = path.name[path.name.find(".", 1) :] if "." in path.name[1:] else "no extension"
        raise DataError(str(path), f"{found} is not a known format", f"Use {_ACCEPTED}")
    return bare.suffix


def read_file(path: Path, pick: Pick, on_read: OnRead | None = None) -> Iterator[Record]:
    """The rows of one file, as a stream.

    Raises:
        DataError: the file is empty or holds a header only, can't be decoded, or a line is broken.
    """
    extension = format_of(path)
    if _size(path) == 0:
        raise DataError(str(path), "the file is empty", "Name a file with rows in it")
    found = False
    rows = _read_parquet(path, pick, on_read) if extension == ".parquet" else _read_text_file(path, pick, on_read)
    for record in rows:
        found = True
        yield record
    if not found:
        raise DataError(str(path), "the file has no data rows", "Name a file with rows in it")


def read_stream(stream: BinaryIO, name: str, extension: str, pick: Pick) -> Iterator[Record]:
    """The rows of an open stream of bytes in one of the text formats; `name` stands in the places."""
    lines = _lines(stream, name)
    if extension == ".txt":
        pick(name, ["text"])
        records: Iterator[Record] = (Record(_place(name, number), (line,)) for number, line in lines)
    elif extension == ".jsonl":
        records = _json_records(lines, name, pick)
    else:
        rows = _csv_rows(lines, name) if extension == ".csv" else _tsv_rows(lines)
        records = _table_records(rows, name, pick)
    for record in records:
        for value in record.values:
            check_length(record.place, value)
        yield record


def check_length(place: str, value: Value) -> None:
    """Refuses a text longer than `MAX_TEXT_CHARACTERS`."""
    if isinstance(value, str) and len(value) > MAX_TEXT_CHARACTERS:
        raise DataError(
            place,
            f"the text has {len(value):,} characters; up to {MAX_TEXT_CHARACTERS:,} are read: {shortened(value[:50])}",
            "Split it into sentences, one a line",
        )


# ------------------------------------------------------------------------------------------------ bytes and lines
class _Counted(io.FileIO):
    """A file that tells how much of it was read."""

    def __init__(self, path: Path, on_read: OnRead) -> None:
        super().__init__(path)
        self._on_read = on_read

    def readinto(self, buffer: Any, /) -> int | None:
        count = super().readinto(buffer)
        self._on_read(count or 0)
        return count


def _size(path: Path) -> int:
    """Bytes on disk of a file that can be opened."""
    try:
        with path.open("rb"):
            return path.stat().st_size
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(str(path), f"can't be read ({reason})", "Check the path and the file's permissions") from error


def _read_text_file(path: Path, pick: Pick, on_read: OnRead | None) -> Iterator[Record]:
    with io.BufferedReader(_Counted(path, on_read or (lambda _: None)), 2**18) as stored:
        if path.suffix == ".gz":
            with gzip.GzipFile(fileobj=stored) as unpacked:
                yield from read_stream(unpacked, str(path), format_of(path), pick)  # type: ignore[arg-type]
        else:
            yield from read_stream(stored, str(path), format_of(path), pick)


def _place(name: str, line: int) -> str:
    return f"{name}, line {line}"


def _lines(stream: BinaryIO, name: str) -> Iterator[tuple[int, str]]:
    """(line number from 1, line without its line break). Only a line feed ends a line; a CR before it goes too."""
    number = offset = 0
    while raw := _next_line(stream, name, number + 1):
        number += 1
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            skipped = 3 if number == 1 and raw.startswith(b"\xef\xbb\xbf") else 0
            at = error.start + skipped
            raise DataError(
                _place(name, number),
                f"invalid UTF-8: byte 0x{raw[at]:02x} at byte {at + 1} of the line (offset {offset + at} in the file)",
                "Convert the file with: iconv -f latin1 -t utf-8",
            ) from error
        offset += len(raw)
        yield number, line.removesuffix("\n").removesuffix("\r")


def _next_line(stream: BinaryIO, name: str, number: int) -> bytes:
    place = _place(name, number)
    try:
        raw = stream.readline(MAX_LINE_BYTES + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        problem = "the gzip file is cut off here" if isinstance(error, EOFError) else f"is not valid gzip ({error})"
        raise DataError(place, problem, "Copy or download the file again") from error
    except OSError as error:
        raise DataError(place, f"can't be read ({error.strerror or error})", "Check the disk and the file") from error
    if len(raw) > MAX_LINE_BYTES:
        raise DataError(
            place, f"the line is longer than {MAX_LINE_BYTES:,} bytes", "Break the file into lines, one text each"
        )
    return raw


# ------------------------------------------------------------------------------------------------ formats
def _json_records(lines: Iterator[tuple[int, str]], name: str, pick: Pick) -> Iterator[Record]:
    columns: Sequence[str] = ()
    for number, line in lines:
        if not line.strip():
            continue
        place = _place(name, number)
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            why = f"{error.msg} at character {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
            raise DataError(
                place, f"broken JSON ({why}): {shortened(line)}", "Correct the line or remove it"
            ) from error
        if not isinstance(entry, dict):
            raise DataError(place, f"{shortened(line)} is not a JSON object", 'Write each line as {"column": value, …}')
        if not columns:
            columns = tuple(pick(place, list(entry)))
        if any(column not in entry for column in columns):
            named_columns(columns)(place, list(entry))
        yield Record(place, tuple(plain_value(place, column, entry[column]) for column in columns))


def plain_value(place: str, column: str, value: Any) -> Value:
    """The value, if it is a text (that can be written as UTF-8), a number or None; else a `DataError`."""
    if isinstance(value, bool) or not (value is None or isinstance(value, str | int | float)):
        raise DataError(
            place, f"column {shortened(column)} is {shortened(value)}, not a text or a number", "Name another column"
        )
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            half = f"\\u{ord(value[error.start]):04x}"
            raise DataError(
                place, f"column {shortened(column)} holds half a character ({half})", "Mend the text"
            ) from error
    plain: Value = value
    return plain


def _tsv_rows(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, list[str]]]:
    return ((number, line.split("\t")) for number, line in lines)


def _csv_rows(lines: Iterator[tuple[int, str]], name: str) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(MAX_LINE_BYTES)  # the module's own limit, 131,072, is below the longest text read
    reader = csv.reader((line + "\n" for _, line in lines), strict=True)
    while True:
        number = reader.line_num + 1  # a field may hold line breaks: the row begins on the line after the last one read
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                _place(name, number), f"broken csv ({error})", 'Close the quotes; a " inside quotes is written ""'
            ) from error
        yield number, row or [""]


def _table_records(rows: Iterator[tuple[int, list[str]]], name: str, pick: Pick) -> Iterator[Record]:
    header: list[str] = []
    where: list[int] = []
    for number, row in rows:
        place = _place(name, number)
        if not header:
            header = row
            doubled = sorted({column for column in header if header.count(column) > 1})
            if doubled:
                raise DataError(
                    place, f"the header names {shortened(doubled[0])} twice", "Give each column its own name"
                )
            where = [header.index(column) for column in pick(place, header)]
            continue
        if row == [""] and len(header) > 1:  # a blank line
            continue
        if len(row) != len(header):
            raise DataError(
                place,
                f"{len(row)} columns, but the header has {len(header)} ({', '.join(header)}): {shortened(row[0])} …",
                "Correct the line or remove it",
            )
        yield Record(place, tuple(row[index] for index in where))


def _read_parquet(path: Path, pick: Pick, on_read: OnRead | None) -> Iterator[Record]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            columns = list(pick(str(path), file.schema_arrow.names))
            size, total = path.stat().st_size, max(1, file.metadata.num_rows)
            for batch in file.iter_batches(_PARQUET_BATCH, columns=columns):
                vectors = [batch.column(batch.schema.get_field_index(column)) for column in columns]
                for values in zip(*(_values(path, number, vector) for vector in vectors), strict=True):
                    number += 1
                    place = f"{path}, row {number}"
                    plain = tuple(
                        plain_value(place, column, value) for column, value in zip(columns, values, strict=True)
                    )
                    for value in plain:
                        check_length(place, value)
                    yield Record(place, plain)
                if on_read is not None:
                    on_read(size * number // total - size * (number - len(batch)) // total)
    except (pa.ArrowException, OSError) as error:
        why = shortened(str(error).split("\n")[0])
        raise DataError(
            f"{path}, after row {number}", f"is not a whole parquet file ({why})", "Write it again"
        ) from error


def _values(path: Path, before: int, vector: Any) -> list[Any]:
    """The column's values as Python objects; pyarrow doesn't check strings for UTF-8 before it is asked for them."""
    try:
        values: list[Any] = vector.to_pylist()
    except UnicodeDecodeError:
        for row, value in enumerate(vector, start=before + 1):
            try:
                value.as_py()
            except UnicodeDecodeError as error:
                byte = error.object[error.start]
                raise DataError(
                    f"{path}, row {row}",
                    f"invalid UTF-8: byte 0x{byte:02x} at byte {error.start + 1} of the text",
                    "Write the column again as UTF-8",
                ) from error
        raise
    return values
