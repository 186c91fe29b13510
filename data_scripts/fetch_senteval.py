#!/usr/bin/env python3
"""Fetch the transfer tasks of SentEval (Conneau and Kiela 2018) and write senteval/*.tsv.

    python data_scripts/fetch_senteval.py --output DATA                    # all seven, about 8 MB
    python data_scripts/fetch_senteval.py --output DATA --tasks mr trec

    task  files                                             rows                   columns
    mr    mr                                                10662                  label (1 positive), text
    cr    cr                                                3771                   label (1 positive), text
    subj  subj                                              10000                  label (1 objective), text
    mpqa  mpqa                                              10603                  label (1 positive), text
    trec  trec-train, trec-test                             5452, 500              label (6 coarse types), text
    sst2  sst2-train, sst2-train-sentences, sst2-dev, -test 77616, 6920, 872, 1821 label (1 positive), text
    mrpc  mrpc-train, mrpc-test                             4076, 1725             label (1 paraphrase), two sentences

Source: copies on GitHub at fixed commits, with known checksums: harvardnlp/sent-conv-torch (MR, CR, SUBJ, MPQA,
TREC), munikarmanish/RNTN (the trees of the Stanford Sentiment Treebank), brmson/dataset-sts (MRPC). Not all
hosts that SentEval's own script names still answer.

Differs from SentEval: rows without text are left out (4 in CR, 3 in MPQA), character codes are undone; SST-2 is cased
and made from the trees: sst2-train holds every distinct phrase that is not neutral (SentEval and GLUE train on 67,349
of them, lower-case). The 500 MRPC training pairs that the copy keeps as a validation set are the last rows of
mrpc-train. The parsing was checked on the real files.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from _download import FetchError
from _pinned import pinned
from _tables import Folders, columns_of, lines_of, parser_of, run, tidy, write_table

CONV, SST, STS = "harvardnlp/sent-conv-torch", "munikarmanish/RNTN", "brmson/dataset-sts"
TREES = {"train": 8544, "dev": 1101, "test": 2210}
RESEARCH = "free for research, no explicit licence"
LICENCES = {
    "mr": f"Pang and Lee 2005: {RESEARCH}",
    "cr": f"Hu and Liu 2004: {RESEARCH}",
    "subj": f"Pang and Lee 2004: {RESEARCH}",
    "mpqa": f"MPQA opinion corpus, Wiebe et al. 2005: {RESEARCH}",
    "trec": f"Li and Roth 2002: {RESEARCH}",
    "sst2": f"Stanford Sentiment Treebank, Socher et al. 2013: {RESEARCH}",
    "mrpc": "Microsoft Research Paraphrase Corpus: Microsoft's shared source licence, for research",
}
ROWS = {
    "mr": 10662, "cr": 3771, "subj": 10000, "mpqa": 10603, "trec-train": 5452, "trec-test": 500, "sst2-train": 77616,
    "sst2-train-sentences": 6920, "sst2-dev": 872, "sst2-test": 1821, "mrpc-train": 4076, "mrpc-test": 1725,
}  # fmt: skip
BINARY = {
    "mr": ("rt-polarity.pos", "rt-polarity.neg", "cp1252"),
    "cr": ("custrev.pos", "custrev.neg", "utf-8"),
    "subj": ("subj.objective", "subj.subjective", "cp1252"),
    "mpqa": ("mpqa.pos", "mpqa.neg", "utf-8"),
}
_ESCAPES = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}

Row = tuple[str, ...]


def parse_lines(file: Path, label: str, encoding: str) -> list[Row]:
    """One text a line, all of one label; lines without text are left out, codes like `&#225 ;` are undone."""
    undo = re.compile(r"&#?\w+(?= ;)")
    lines = (undo.sub(lambda code: html.unescape(f"{code[0]};"), line) for line in lines_of(file, encoding))
    return [(label, line) for line in lines if tidy(line)]


def parse_trec(file: Path) -> list[Row]:
    """`COARSE:fine question` a line, Latin-1; the coarse type is the label. One stray byte stands for a hyphen."""
    rows = []
    for line, text in enumerate((line.replace("\xf0", "-") for line in lines_of(file, "latin-1")), 1):
        found = re.fullmatch(r"([A-Z]+):\S+ (.+)", text.strip())
        if not found:
            raise FetchError(f"{file}, line {line}: {text!r} is not `TYPE:fine question`. The format changed.")
        rows.append((found[1], found[2]))
    return rows


def parse_mrpc(file: Path) -> list[Row]:
    """Quality, #1 ID, #2 ID, #1 String, #2 String; a header line, tabs, no quoting."""
    header, *lines = lines_of(file)
    if not header.startswith("Quality\t"):
        raise FetchError(f"{file}: the header is {header!r}, not Quality, #1 ID, … The format changed.")
    cells = [columns_of(text, 5, f"{file}, line {line}") for line, text in enumerate(lines, 2)]
    return [(quality, first, second) for quality, _, _, first, second, *_ in cells]


def phrases(tree: str, place: str) -> Iterator[tuple[int, str]]:
    """(label 0-4, text) of every node of a tree `(3 (2 It) (4 works))`, each before its parts."""
    tokens = re.findall(r"\(|\)|[^\s()]+", tree)
    found: list[tuple[int, list[str]]] = []
    open_nodes: list[int] = []
    for place_in_tree, token in enumerate(tokens):
        if token == "(":
            open_nodes.append(len(found))
            label = tokens[place_in_tree + 1]
            if not re.fullmatch("[0-4]", label):
                raise FetchError(f"{place}: a node's label is {label!r}, not 0-4. The format changed.")
            found.append((int(label), []))
        elif token == ")":
            if not open_nodes:
                break
            open_nodes.pop()
        elif tokens[place_in_tree - 1] != "(":
            for index in open_nodes:
                found[index][1].append(_ESCAPES.get(token, token.replace("\\/", "/").replace("\\*", "*")))
    if open_nodes or not found:
        raise FetchError(f"{place}: brackets don't match. The format changed.")
    return ((label, " ".join(words)) for label, words in found)


def parse_sst(file: Path, n_trees: int, *, whole: bool) -> list[Row]:
    """Binary rows of the first trees of a file, neutral ones left out: whole sentences, or every distinct phrase.

    The copy's train.txt is the 8544 training trees followed by the development trees, which must not be trained on.
    """
    rows: dict[str, Row] = {}
    sentences: list[Row] = []
    for line, tree in enumerate(lines_of(file)[:n_trees], 1):
        nodes = list(phrases(tree, f"{file}, line {line}"))
        polar = [("1" if label > 2 else "0", text) for label, text in (nodes[:1] if whole else nodes) if label != 2]
        sentences += polar
        for row in polar:
            rows.setdefault(row[1], row)
    return sentences if whole else list(rows.values())


def binary_task(task: str, folders: Folders) -> dict[str, list[Row]]:
    positive, negative, encoding = BINARY[task]
    rows = []
    for label, name in (("1", positive), ("0", negative)):
        rows += parse_lines(folders.get(pinned(CONV, f"data/raw/{name}")), label, encoding)
    return {task: rows}


def trec_task(folders: Folders) -> dict[str, list[Row]]:
    splits = ("train", "test")
    return {f"trec-{split}": parse_trec(folders.get(pinned(CONV, f"data/raw/TREC.{split}"))) for split in splits}


def sst2_task(folders: Folders) -> dict[str, list[Row]]:
    train, dev, test = (folders.get(pinned(SST, f"trees/{split}.txt")) for split in ("train", "dev", "test"))
    return {
        "sst2-train": parse_sst(train, TREES["train"], whole=False),
        "sst2-train-sentences": parse_sst(train, TREES["train"], whole=True),
        "sst2-dev": parse_sst(dev, TREES["dev"], whole=True),
        "sst2-test": parse_sst(test, TREES["test"], whole=True),
    }


def mrpc_task(folders: Folders) -> dict[str, list[Row]]:
    train, val, test = (
        parse_mrpc(folders.get(pinned(STS, f"data/para/msr/msr-para-{split}.tsv")))
        for split in ("train", "val", "test")
    )
    return {"mrpc-train": train + val, "mrpc-test": test}


OTHER: dict[str, Callable[[Folders], dict[str, list[Row]]]] = {"trec": trec_task, "sst2": sst2_task, "mrpc": mrpc_task}


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--tasks", nargs="+", choices=LICENCES, default=list(LICENCES), help="which (all)")
    given = parser.parse_args()
    folders = Folders(given.output, given.raw)
    for task in given.tasks:
        tables = OTHER[task](folders) if task in OTHER else binary_task(task, folders)
        header = ("label", "sentence1", "sentence2") if task == "mrpc" else ("label", "text")
        for name, rows in tables.items():
            file = folders.output / "senteval" / f"{name}.tsv"
            write_table(file, header, rows, expected=ROWS[name], licence=LICENCES[task])


if __name__ == "__main__":
    run(main)
