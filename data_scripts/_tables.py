"""Tables of the `--data` layout and the frame of every fetch script. Standard library only."""

from __future__ import annotations

import argparse
import gzip
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from _download import FetchError, Remote, download

PACK_ABOVE = 300_000  # bytes: a larger table is stored as .gz


def tidy(text: str) -> str:
    r"""A cell: Unicode NFC; tabs, line ends, control characters and runs of spaces become one space; no soft hyphens.

    >>> tidy(" a\tb \n c\x92d ")
    'a b c d'
    """
    spaced = (" " if unicodedata.category(char) == "Cc" else char for char in unicodedata.normalize("NFC", text))
    return " ".join("".join(spaced).replace("\xad", "").split())


def number(text: str, place: str) -> str:
    """A score as it stands in the file, after a look that it is a number."""
    try:
        float(text)
    except ValueError as error:
        raise FetchError(f"{place}: the score is {text!r}, not a number. The format changed.") from error
    return text.strip()


def columns_of(line: str, at_least: int, place: str) -> list[str]:
    """The tab-separated cells of a line, after a look that there are enough."""
    cells = line.split("\t")
    if len(cells) < at_least:
        raise FetchError(f"{place}: {len(cells)} tab-separated columns, not {at_least}. The format changed.")
    return cells


def lines_of(file: Path, encoding: str = "utf-8-sig") -> list[str]:
    """The lines of a text file; only line feeds end one (`str.splitlines` knows more)."""
    try:
        text = file.read_bytes().decode(encoding)
    except UnicodeDecodeError as error:
        raise FetchError(f"{file}: not {encoding} at byte {error.start}. The format changed.") from error
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")] if text else []


def write_table(
    file: Path,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    expected: int,
    licence: str,
    about: bool = False,
) -> int:
    """Writes `file` (or `file.gz`, when large) in one rename, after the number of rows was checked; prints what it is.

    Args:
        file: where, without `.gz`; larger than `PACK_ABOVE`, it is packed and gets that ending.
        header: column names; none for a plain text file of one text a line.
        rows: the cells of each row; they are made tidy here.
        expected: the published number of rows. Another number is an error.
        licence: printed after the table is written.
        about: the number is not certain: another one is a warning only.

    Raises:
        FetchError: another number of rows, or a row with an empty or missing cell.

    """
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary, n_rows = file.with_name(f".{file.name}.tmp"), 0
    with temporary.open("w", encoding="utf-8", newline="\n") as stream:
        if header:
            stream.write("\t".join(header) + "\n")
        for row in rows:
            cells, n_rows = [tidy(cell) for cell in row], n_rows + 1
            if len(cells) != max(1, len(header)) or not all(cells):
                raise FetchError(
                    f"{file.name}: row {n_rows} is {cells}; every column must have text. The format changed."
                )
            stream.write("\t".join(cells) + "\n")
    if n_rows != expected:
        message = f"{file.name}: {n_rows:,} rows, but {expected:,} are expected"
        if not about:
            temporary.unlink()
            raise FetchError(f"{message}. Nothing was written: the source changed, or the download is not whole.")
        print(f"warning: {message} (a number from the paper, not checked)", file=sys.stderr)
    packed = file.with_name(f"{file.name}.gz")
    if temporary.stat().st_size > PACK_ABOVE:
        _pack(temporary, packed)
        temporary.unlink()
        file.unlink(missing_ok=True)
    else:
        temporary.replace(file)
        packed.unlink(missing_ok=True)
    written = packed if packed.exists() else file
    print(f"{written}: {n_rows:,} rows\n    licence: {licence}")
    return n_rows


def _pack(source: Path, target: Path) -> None:
    """Gzip without name or time, so that the same text gives the same bytes."""
    temporary = target.with_name(f".{target.name}.tmp")
    with source.open("rb") as plain, temporary.open("wb") as raw:
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as packed:
            shutil.copyfileobj(plain, packed, 1 << 20)
    temporary.replace(target)


class Folders:
    """Where a script puts its tables, and where it keeps what it downloaded."""

    def __init__(self, output: Path, raw: Path | None = None) -> None:
        self.output, self.raw = output, raw or output / "raw"

    def get(self, remote: Remote) -> Path:
        """The downloaded file."""
        return download(remote, self.raw)


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """The options that all scripts share."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="the data folder to make or add to")
    parser.add_argument(
        "--raw", type=Path, metavar="DIR", help="where downloads are kept (OUTPUT/raw); a file put there is not fetched"
    )
    return parser


def run(main: Callable[[], None]) -> None:
    """Runs a script: a `FetchError` is one line and exit code 2; Ctrl-C says that the next run goes on."""
    try:
        main()
    except FetchError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("stopped; the next run goes on from here", file=sys.stderr)
        sys.exit(130)
