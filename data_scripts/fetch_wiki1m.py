#!/usr/bin/env python3
"""Fetch the million Wikipedia sentences that unsupervised SimCSE is trained on and write corpora/wiki1m.txt.gz (one a
line).

    python data_scripts/fetch_wiki1m.py --output DATA

Source: wiki1m_for_simcse.txt of huggingface.co/datasets/princeton-nlp/datasets-for-simcse (Gao et al. 2021, section
3), sampled from English Wikipedia: CC BY-SA 3.0. About 120 MB. The sentences are in random order, so there are no
documents in it.

This script was written where the hub can't be reached: the parsing was tested on a small file in the same format, and
the number of rows is the paper's (another number is a warning: lines without text are left out). The checksum is
recorded at the first download; `--revision COMMIT` pins the data set.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from _download import FetchError, Remote
from _tables import Folders, parser_of, run, tidy, write_table

HUB = "https://huggingface.co/datasets/princeton-nlp/datasets-for-simcse/resolve"
LICENCE = "CC BY-SA 3.0 (English Wikipedia)"
ROWS = 1_000_000


def parse_sentences(file: Path) -> Iterator[tuple[str]]:
    """One sentence a line; lines without text are left out."""
    with file.open(encoding="utf-8", newline="\n") as stream:
        try:
            for line in stream:
                if tidy(line):
                    yield (line,)
        except UnicodeDecodeError as error:
            raise FetchError(f"{file}: not UTF-8 ({error}). Remove it and run again.") from error


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--revision", default="main", help="commit of the hub's data set (main)")
    given = parser.parse_args()
    folders = Folders(given.output, given.raw)
    file = folders.get(Remote(f"{HUB}/{given.revision}/wiki1m_for_simcse.txt", "corpora/wiki1m_for_simcse.txt"))
    target = folders.output / "corpora" / "wiki1m.txt"
    write_table(target, (), parse_sentences(file), expected=ROWS, licence=LICENCE, about=True)


if __name__ == "__main__":
    run(main)
