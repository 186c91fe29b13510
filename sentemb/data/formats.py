"""One file of texts, read as a stream: txt, jsonl, csv, tsv and parquet; all but parquet also gzipped.

A reader holds one line (parquet: one batch of rows) at a time. What it can't read it refuses with the file and the
line. A tsv has a header and no quoting: a `"` is a plain character. A csv has a header and is quoted as in RFC 4180.
A txt has one text a line and counts as one column, `text`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from sentemb.data.lines import MAX_LINE_BYTES, OnRead, file_size, open_stream, place_of, read_lines
from sentemb.errors import DataError, nearest, shortened

Value = str | float | int | None

MAX_TEXT_CHARACTERS = 500_000
"""A longer text is refused: most likely the file has no line breaks."""

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
    if file_size(path) == 0:
        raise DataError(str(path), "the file is empty", "Name a file with rows in it")
    found = False
    rows = _read_parquet(path, pick, on_read) if extension == ".parquet" else _read_text(path, extension, pick, on_read)
    for record in rows:
        found = True
        yield record
    if not found:
        raise DataError(str(path), "the file has no data rows", "Name a file with rows in it")


def read_stream(stream: BinaryIO, name: str, extension: str, pick: Pick) -> Iterator[Record]:
    """The rows of an open stream of bytes in one of the text formats; `name` stands in the places."""
    lines = read_lines(stream, name)
    if extension == ".txt":
        pick(name, ["text"])
        records: Iterator[Record] = (Record(place_of(name, number), (line,)) for number, line in lines)
    elif extension == ".jsonl":
        records = _json_records(lines, name, pick)
    else:
        rows = _csv_rows(lines, name) if extension == ".csv" else _tsv_rows(lines)
        records = _table_records(rows, name, pick)
    for record in records:
        for value in record.values:
            check_length(record.place, value)
        yield record


def _read_text(path: Path, extension: str, pick: Pick, on_read: OnRead | None) -> Iterator[Record]:
    with open_stream(path, on_read) as stream:
        yield from read_stream(stream, str(path), extension, pick)


def check_length(place: str, value: Value) -> None:
    """Refuses a text longer than `MAX_TEXT_CHARACTERS`."""
    if isinstance(value, str) and len(value) > MAX_TEXT_CHARACTERS:
        raise DataError(
            place,
            f"the text has {len(value):,} characters; up to {MAX_TEXT_CHARACTERS:,} are read: {shortened(value[:50])}",
            "Split it into sentences, one a line",
        )


# ------------------------------------------------------------------------------------------------ formats
def _json_records(lines: Iterator[tuple[int, str]], name: str, pick: Pick) -> Iterator[Record]:
    columns: Sequence[str] = ()
    for number, line in lines:
        if not line.strip():
            continue
        place = place_of(name, number)
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
                place_of(name, number), f"broken csv ({error})", 'Close the quotes; a " inside quotes is written ""'
            ) from error
        yield number, row or [""]


def _table_records(rows: Iterator[tuple[int, list[str]]], name: str, pick: Pick) -> Iterator[Record]:
    header: list[str] = []
    where: list[int] = []
    for number, row in rows:
        place = place_of(name, number)
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
