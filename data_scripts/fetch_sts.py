#!/usr/bin/env python3
"""Fetch the English test sets of SemEval STS 2012-2016 and write sts/sts12 … sts16.tsv (columns subset, score,
sentence1, sentence2; scores 0-5).

    python data_scripts/fetch_sts.py --output DATA                # all five years, about 3 MB
    python data_scripts/fetch_sts.py --output DATA --years 12 15
    python data_scripts/fetch_sts.py --output DATA --original     # the organisers' zip files

Source: the organisers' files as copied in github.com/alvations/stasis (2012-2015) and github.com/brmson/dataset-sts
(2016) at fixed commits, with known checksums. `--original` takes http://ixa2.si.ehu.eus/stswiki, which is not always
up.

Pairs with no score were not part of the official test and are left out. STS13 is without SMT, which the LDC licenses.
Subsets stand in the order in which papers list them; `all` scores join them, so their order does not matter.

Rows: 3108, 1500, 3750, 3000, 1186. The parsing was checked on the real files of the GitHub copies; this script was
written where the original host can't be reached, so `--original` was tested on files made in the same format only.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

from _download import FetchError, Remote
from _pinned import pinned
from _tables import Folders, columns_of, lines_of, number, parser_of, run, write_table

LICENCE = "SemEval STS task data: free for research, parts under the licences of their sources (see the task's readme)"
ROWS = {12: 3108, 13: 1500, 14: 3750, 15: 3000, 16: 1186}
SUBSETS = {
    12: ("MSRpar", "MSRvid", "SMTeuroparl", "surprise.OnWN", "surprise.SMTnews"),
    13: ("headlines", "OnWN", "FNWN"),
    14: ("deft-forum", "deft-news", "headlines", "images", "OnWN", "tweet-news"),
    15: ("answers-forums", "answers-students", "belief", "headlines", "images"),
    16: ("answer-answer", "headlines", "plagiarism", "postediting", "question-question"),
}
_WIKI = "http://ixa2.si.ehu.eus/stswiki/images"
ORIGINAL = {
    12: f"{_WIKI}/4/40/STS2012-en-test.zip",
    13: f"{_WIKI}/2/2f/STS2013-en-test.zip",
    14: f"{_WIKI}/8/8c/STS2014-en-test.zip",
    15: f"{_WIKI}/d/da/STS2015-en-test.zip",
    16: f"{_WIKI}/9/98/STS2016-en-test.zip",
}

Row = tuple[str, str, str, str]


def subset_name(subset: str) -> str:
    """`surprise.OnWN` → `OnWN`: the files' prefix is not part of the name."""
    return subset.removeprefix("surprise.")


def parse_pairs(subset: str, pairs: list[str], scores: list[str], place: str) -> list[Row]:
    """The organisers' two files: `sentence1 TAB sentence2 [TAB notes]` a line; a score a line, blank where none."""
    if len(pairs) != len(scores):
        raise FetchError(f"{place}: {len(pairs)} pairs but {len(scores)} scores. The download is not whole.")
    rows = []
    for line, (pair, score) in enumerate(zip(pairs, scores, strict=True), 1):
        if score.strip():
            first, second = columns_of(pair, 2, f"{place}, line {line}")[:2]
            rows.append((subset_name(subset), number(score, f"{place}, line {line}"), first, second))
    return rows


def parse_scored(subset: str, file: Path) -> list[Row]:
    """`score TAB sentence1 TAB sentence2` a line, the score blank where the pair was not scored."""
    rows = []
    for line, text in enumerate(lines_of(file), 1):
        score, first, second = columns_of(text, 3, f"{file}, line {line}")[:3]
        if score.strip():
            rows.append((subset_name(subset), number(score, f"{file}, line {line}"), first, second))
    return rows


def parse_zip(year: int, file: Path) -> list[Row]:
    """The organisers' zip of one year: `…/STS.input.SUBSET.txt` and `…/STS.gs.SUBSET.txt` (2016: `STS2016.…`)."""
    start = "STS2016" if year == 16 else "STS"
    rows: list[Row] = []
    try:
        with zipfile.ZipFile(file) as archive:
            members = {Path(name).name: name for name in archive.namelist() if "__MACOSX" not in name}
            for subset in SUBSETS[year]:
                texts = [
                    archive.read(members[f"{start}.{kind}.{subset}.txt"]).decode("utf-8-sig")
                    for kind in ("input", "gs")
                ]
                pairs, scores = ([cell.removesuffix("\r") for cell in text.split("\n")] for text in texts)
                pairs, scores = _without_end(pairs), scores[: len(_without_end(pairs))]
                rows += parse_pairs(subset, pairs, scores, f"{file}: {subset}")
    except (KeyError, zipfile.BadZipFile) as error:
        raise FetchError(f"{file}: not the zip that was expected ({error}). Remove it and run again.") from error
    return rows


def _without_end(lines: list[str]) -> list[str]:
    """The lines without the empty one after the last line feed."""
    return lines[:-1] if lines and not lines[-1] else lines


def fetch_year(year: int, folders: Folders, *, original: bool) -> list[Row]:
    """The rows of one year, subset after subset."""
    if original:
        return parse_zip(year, folders.get(Remote(ORIGINAL[year], f"sts/STS20{year}-en-test.zip")))
    rows: list[Row] = []
    for subset in SUBSETS[year]:
        if year == 16:
            file = folders.get(pinned("brmson/dataset-sts", f"data/sts/semeval-sts/2016/{subset}.test.tsv"))
            rows += parse_scored(subset, file)
            continue
        base = f"STS-data/STS20{year}-gold/STS"
        pairs, scores = (
            folders.get(pinned("alvations/stasis", f"{base}.{kind}.{subset}.txt")) for kind in ("input", "gs")
        )
        rows += parse_pairs(subset, lines_of(pairs), lines_of(scores), str(pairs))
    return rows


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--years", type=int, nargs="+", choices=ROWS, default=list(ROWS), help="two digits each (all)")
    parser.add_argument("--original", action="store_true", help="the organisers' zip files")
    given = parser.parse_args()
    folders = Folders(given.output, given.raw)
    for year in given.years:
        rows = fetch_year(year, folders, original=given.original)
        file = folders.output / "sts" / f"sts{year}.tsv"
        write_table(file, ("subset", "score", "sentence1", "sentence2"), rows, expected=ROWS[year], licence=LICENCE)


if __name__ == "__main__":
    run(main)
