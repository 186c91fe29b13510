#!/usr/bin/env python3
"""Fetch natural language inference data: SimCSE's triplets, and SNLI and MultiNLI with labels.

    python data_scripts/fetch_nli.py --output DATA                     # everything, about 370 MB of downloads
    python data_scripts/fetch_nli.py --output DATA --only triplets     # what supervised SimCSE needs
    python data_scripts/fetch_nli.py --output DATA --only labelled     # what SBERT with the softmax objective needs

    file                       rows (about)  columns                     source
    nli/triplets.tsv.gz        275,601       anchor, positive, negative  hub: princeton-nlp/datasets-for-simcse
    nli/train-all.tsv.gz       942,069       label, premise, hypothesis  SNLI 1.0 train and MultiNLI 1.0 train
    nli/snli-dev, snli-test    9842, 9824    label, premise, hypothesis  nlp.stanford.edu/projects/snli/snli_1.0.zip
    nli/mnli-dev-matched       9815          label, premise, hypothesis  cims.nyu.edu/~sbowman/multinli/multinli_1.0.zip

Pairs on which the annotators did not agree (label "-") and rows without text are left out. A triplet is a premise, an
entailed and a contradicting hypothesis (Gao et al. 2021, section 4).

This script was written where neither the hub nor these hosts can be reached: the parsing was tested on small files
made in the published formats, the row counts of training sets are from the papers (another number is a warning), and
SNLI's checksum is one that a textbook's download code publishes. The other checksums are recorded at the first
download.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

from _download import FetchError, Remote
from _tables import Folders, parser_of, run, tidy, write_table

HUB = "https://huggingface.co/datasets/princeton-nlp/datasets-for-simcse/resolve"
SNLI = Remote(
    "https://nlp.stanford.edu/projects/snli/snli_1.0.zip",
    "nli/snli_1.0.zip",
    checksum="sha1:9fcde07509c7e87ec61c640c1b2753d9041758e4",
)
MNLI = Remote("https://cims.nyu.edu/~sbowman/multinli/multinli_1.0.zip", "nli/multinli_1.0.zip")
SNLI_LICENCE = "SNLI: CC BY-SA 4.0"
MNLI_LICENCE = "MultiNLI: OANC's licence, CC BY-SA 3.0 and CC BY 3.0 by genre (see its paper)"
LABELS = ("entailment", "neutral", "contradiction")
TRIPLET_COLUMNS = ["sent0", "sent1", "hard_neg"]
LABELLED_HEADER = ("label", "premise", "hypothesis")

Row = tuple[str, str, str]


def parse_triplets(file: Path) -> Iterator[Row]:
    """nli_for_simcse.csv: sent0, sent1, hard_neg; a header line, commas, quotes. Rows without text are left out."""
    with file.open(encoding="utf-8", newline="") as stream:
        reader = csv.reader(stream)
        header = next(reader, [])
        if header != TRIPLET_COLUMNS:
            raise FetchError(f"{file}: the header is {header}, not {TRIPLET_COLUMNS}. The format changed.")
        for cells in reader:
            if len(cells) != 3:
                raise FetchError(f"{file}, line {reader.line_num}: {len(cells)} columns, not 3. The format changed.")
            if all(tidy(cell) for cell in cells):
                yield cells[0], cells[1], cells[2]


def parse_labelled(file: Path, member: str) -> Iterator[Row]:
    """A .jsonl member of the SNLI or MultiNLI zip: gold_label, sentence1, sentence2.

    Rows labelled "-" and rows without text are left out.
    """
    try:
        with zipfile.ZipFile(file) as archive, archive.open(member) as stream:
            for line, text in enumerate(io.TextIOWrapper(stream, encoding="utf-8"), 1):
                row = json.loads(text)
                label, premise, hypothesis = row["gold_label"], row["sentence1"], row["sentence2"]
                if label not in (*LABELS, "-"):
                    raise FetchError(f"{file}: {member}, line {line}: the label is {label!r}. The format changed.")
                if label != "-" and tidy(premise) and tidy(hypothesis):
                    yield label, premise, hypothesis
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
        raise FetchError(f"{file}: {member}: not what was expected ({error}). Remove it and run again.") from error


def fetch_triplets(folders: Folders, revision: str) -> None:
    file = folders.get(Remote(f"{HUB}/{revision}/nli_for_simcse.csv", "nli/nli_for_simcse.csv"))
    licence = f"{SNLI_LICENCE}; {MNLI_LICENCE}"
    target = folders.output / "nli" / "triplets.tsv"
    header = ("anchor", "positive", "negative")
    write_table(target, header, parse_triplets(file), expected=275_601, licence=licence, about=True)


def fetch_labelled(folders: Folders) -> None:
    snli, mnli = folders.get(SNLI), folders.get(MNLI)

    def training() -> Iterator[Row]:
        yield from parse_labelled(snli, "snli_1.0/snli_1.0_train.jsonl")
        yield from parse_labelled(mnli, "multinli_1.0/multinli_1.0_train.jsonl")

    folder, both = folders.output / "nli", f"{SNLI_LICENCE}; {MNLI_LICENCE}"
    write_table(folder / "train-all.tsv", LABELLED_HEADER, training(), expected=942_069, licence=both, about=True)
    for split, n_rows in (("dev", 9842), ("test", 9824)):
        rows = parse_labelled(snli, f"snli_1.0/snli_1.0_{split}.jsonl")
        write_table(folder / f"snli-{split}.tsv", LABELLED_HEADER, rows, expected=n_rows, licence=SNLI_LICENCE)
    rows = parse_labelled(mnli, "multinli_1.0/multinli_1.0_dev_matched.jsonl")
    target = folder / "mnli-dev-matched.tsv"
    write_table(target, LABELLED_HEADER, rows, expected=9815, licence=MNLI_LICENCE, about=True)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--only", choices=("triplets", "labelled"), help="one of the two (both)")
    parser.add_argument("--revision", default="main", help="commit of the hub's data set, to pin the triplets (main)")
    given = parser.parse_args()
    folders = Folders(given.output, given.raw)
    if given.only != "labelled":
        fetch_triplets(folders, given.revision)
    if given.only != "triplets":
        fetch_labelled(folders)


if __name__ == "__main__":
    run(main)
