#!/usr/bin/env python3
"""Fetch SICK (SemEval 2014 task 1) and write sts/sickr-train, sickr-dev and sickr-test.tsv (columns score,
entailment, sentence1, sentence2; relatedness 1-5).

    python data_scripts/fetch_sickr.py --output DATA
    python data_scripts/fetch_sickr.py --output DATA --original    # the task's zip files

Source: github.com/brmson/dataset-sts (data/sts/sick2014) at a fixed commit, with known checksums: the task's own
three files. `--original` takes the zip files of https://alt.qcri.org/semeval2014/task1, which is not always up.

Marelli et al. 2014, CC BY-NC-SA 3.0: not for commercial use.

Rows: 4500, 500, 4927. The parsing was checked on the real files; this script was written where the original host
can't be reached, so `--original` was tested on files made in the same format only.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from _download import FetchError, Remote
from _pinned import pinned
from _tables import Folders, columns_of, number, parser_of, run, write_table

LICENCE = "CC BY-NC-SA 3.0 (not for commercial use)"
ROWS = {"train": 4500, "dev": 500, "test": 4927}
NAMES = {"train": "train", "dev": "trial", "test": "test_annotated"}
HEADER = ["pair_ID", "sentence_A", "sentence_B", "relatedness_score", "entailment_judgment"]
ORIGINAL = "https://alt.qcri.org/semeval2014/task1/data/uploads"

Row = tuple[str, str, str, str]


def parse(data: bytes, place: str) -> list[Row]:
    """The rows of a SICK_*.txt: the columns of `HEADER`, a header line, tabs, lines that end in LF or CRLF."""
    lines = [line.removesuffix("\r") for line in data.decode("utf-8-sig").removesuffix("\n").split("\n")]
    if lines[0].split("\t") != HEADER:
        raise FetchError(f"{place}: the header is {lines[0]!r}, not {' '.join(HEADER)}. The format changed.")
    rows = []
    for line, text in enumerate(lines[1:], 2):
        _, first, second, score, judgment = columns_of(text, 5, f"{place}, line {line}")[:5]
        rows.append((number(score, f"{place}, line {line}"), judgment.strip().lower(), first, second))
    return rows


def parse_zip(file: Path, name: str) -> list[Row]:
    """`SICK_NAME.txt` out of one of the task's zip files."""
    try:
        with zipfile.ZipFile(file) as archive:
            return parse(archive.read(f"SICK_{name}.txt"), f"{file}: SICK_{name}.txt")
    except (KeyError, zipfile.BadZipFile) as error:
        raise FetchError(f"{file}: not the zip that was expected ({error}). Remove it and run again.") from error


def fetch_split(split: str, folders: Folders, *, original: bool) -> list[Row]:
    """The rows of one split."""
    name = NAMES[split]
    if original:
        return parse_zip(folders.get(Remote(f"{ORIGINAL}/sick_{name}.zip", f"sts/sick_{name}.zip")), name)
    file = folders.get(pinned("brmson/dataset-sts", f"data/sts/sick2014/SICK_{name}.txt"))
    return parse(file.read_bytes(), str(file))


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--original", action="store_true", help="the task's zip files")
    given = parser.parse_args()
    folders = Folders(given.output, given.raw)
    for split, n_rows in ROWS.items():
        rows = fetch_split(split, folders, original=given.original)
        file = folders.output / "sts" / f"sickr-{split}.tsv"
        write_table(file, ("score", "entailment", "sentence1", "sentence2"), rows, expected=n_rows, licence=LICENCE)


if __name__ == "__main__":
    run(main)
