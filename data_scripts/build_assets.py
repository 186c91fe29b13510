#!/usr/bin/env python3
"""Make the data files that travel with the package (`sentemb/assets`) from a `--data` folder.

    python data_scripts/build_assets.py --data DATA                      # writes sentemb/assets/
    python data_scripts/build_assets.py --data DATA --output OTHER       # writes elsewhere, to compare

The same input gives the same bytes: choices are made by hashes of the text and `--seed`, and the gzip header holds
neither time nor name. Packed bytes also depend on the zlib at hand, so the sha256 printed is that of the text inside.

It reads sts/{sts12 … sts16, stsb-*, sickr-*}.tsv, corpora/wiki-*.txt.gz and nli/{snli-dev, snli-test, cad-snli}.tsv,
packed (.gz) or not, and writes stsb-{train,dev,test}, a Wikipedia sample in document order, NLI triplets and labelled
NLI pairs. No sentence of an STS, STS-B or SICK file, compared without case, spaces and punctuation, stands in the
Wikipedia or NLI samples. SNLI test is read only to keep its premises out, so that it stays a test set.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

STSB_ROWS = {"train": 5749, "dev": 1500, "test": 1379}
STS_FILES = (
    *(f"sts{year}" for year in range(12, 17)),
    *(f"stsb-{split}" for split in STSB_ROWS),
    *(f"sickr-{split}" for split in STSB_ROWS),
)
LABELS = ("entailment", "neutral", "contradiction")
MIN_WORDS, MAX_WORDS = 4, 60
MIN_SENTENCES = 5
LICENCES = {
    "stsb": "CC BY-SA 4.0 and the terms of its sources",
    "wiki": "CC BY-SA 3.0 (English Wikipedia)",
    "nli": "CC BY-SA 4.0 (SNLI; revisions of Kaushik et al. 2020)",
}

Pair = tuple[str, str, str]


def key(text: str) -> str:
    """What two sentences are compared by: their letters and digits, in lower case.

    >>> key("It's 5 o'clock.") == key("it 's 5 o ' clock")
    True
    """
    return "".join(re.findall(r"[^\W_]+", unicodedata.normalize("NFKC", text).casefold()))


def find(folder: Path, name: str) -> Path:
    """`folder/name`, packed or not."""
    for file in (folder / name, folder / f"{name}.gz"):
        if file.is_file():
            return file
    sys.exit(f"{folder / name}[.gz] is missing: data_scripts/README.md says where each file comes from")


def read_text(file: Path) -> str:
    data = file.read_bytes()
    return (gzip.decompress(data) if file.suffix == ".gz" else data).decode("utf-8")


def read_rows(file: Path, *columns: str) -> list[tuple[str, ...]]:
    """The named columns of a tab-separated file with a header line and no quoting."""
    header, *lines = read_text(file).rstrip("\n").split("\n")
    places = [header.split("\t").index(column) for column in columns]
    return [tuple(line.split("\t")[place] for place in places) for line in lines]


def evaluation_keys(data: Path) -> frozenset[str]:
    """The keys of every sentence of every STS, STS-B and SICK file."""
    rows = (row for name in STS_FILES for row in read_rows(find(data / "sts", f"{name}.tsv"), "sentence1", "sentence2"))
    return frozenset(key(text) for row in rows for text in row)


def order(seed: int, text: str) -> bytes:
    """A place in a random order that depends on the seed and the text only."""
    return hashlib.sha256(f"{seed}\n{text}".encode()).digest()


def wiki_documents(data: Path, excluded: frozenset[str]) -> Iterator[list[str]]:
    """The documents of all Wikipedia files, without the sentences that are too short, too long or excluded."""
    files = sorted((data / "corpora").glob("wiki-*.txt.gz"))
    if not files:
        sys.exit(f"{data / 'corpora'} holds no wiki-*.txt.gz")
    for file in files:
        for document in read_text(file).strip("\n").split("\n\n"):
            fits = [line for line in document.split("\n") if MIN_WORDS <= len(line.split()) <= MAX_WORDS]
            kept = [line for line in fits if key(line) not in excluded]
            if len(kept) >= MIN_SENTENCES:
                yield kept


def wiki_sample(documents: list[list[str]], n_sentences: int, seed: int) -> list[list[str]]:
    """Whole documents, chosen by hash until there are `n_sentences`, in the order of the source."""
    chosen, total = set(), 0
    for index in sorted(range(len(documents)), key=lambda index: order(seed, documents[index][0])):
        if total >= n_sentences:
            break
        chosen.add(index)
        total += len(documents[index])
    return [documents[index] for index in sorted(chosen)]


def untokenised(text: str) -> str:
    """Joins punctuation and clitics that were set apart by spaces.

    >>> untokenised("A dog that does n't run , or is n't the boy 's .")
    "A dog that doesn't run, or isn't the boy's."
    """
    return re.sub(r"(?i) +(n't\b|'(?:s|re|ve|ll|d|m)\b|[.,!?;:%])", r"\1", text)


def nli_pairs(data: Path, excluded: frozenset[str]) -> list[Pair]:
    """(label, premise, hypothesis) of SNLI dev and its counterfactual revisions.

    Each pair once; none with an excluded text, none with a premise of SNLI test.
    """
    test = read_rows(find(data / "nli", "snli-test.tsv"), "premise")
    barred = excluded | {key(premise) for (premise,) in test} | {""}
    pairs: dict[tuple[str, str], Pair] = {}
    for name in ("snli-dev", "cad-snli"):
        for label, *texts in read_rows(find(data / "nli", f"{name}.tsv"), "label", "premise", "hypothesis"):
            premise, hypothesis = map(untokenised, texts)
            keys = key(premise), key(hypothesis)
            if label in LABELS and not barred.intersection(keys) and keys[0] != keys[1]:
                pairs.setdefault(keys, (label, premise, hypothesis))
    return list(pairs.values())


def nli_triplets(pairs: Iterable[Pair]) -> list[Pair]:
    """(premise, entailed hypothesis, contradicting hypothesis), each hypothesis at least once.

    Where a premise has fewer of one kind, these are used again in turn.
    """
    by_premise: dict[str, dict[str, list[Pair]]] = {}
    for pair in pairs:
        by_premise.setdefault(key(pair[1]), {label: [] for label in LABELS})[pair[0]].append(pair)
    triplets = []
    for kinds in by_premise.values():
        entailed, contradicted = kinds["entailment"], kinds["contradiction"]
        for place in range(max(len(entailed), len(contradicted)) if entailed and contradicted else 0):
            positive, negative = entailed[place % len(entailed)], contradicted[place % len(contradicted)]
            triplets.append((positive[1], positive[2], negative[2]))
    return triplets


def nli_labelled(pairs: list[Pair], n_rows: int, seed: int) -> list[Pair]:
    """(sentence1, sentence2, label): as many of each label, chosen by hash, in the order of the source."""
    chosen: set[Pair] = set()
    for label in LABELS:
        of_label = sorted((pair for pair in pairs if pair[0] == label), key=lambda pair: order(seed, "\t".join(pair)))
        chosen.update(of_label[: n_rows // len(LABELS)])
    return [(pair[1], pair[2], pair[0]) for pair in pairs if pair in chosen]


def table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    return "".join("\t".join(row) + "\n" for row in (columns, *rows))


def write(file: Path, text: str, n_rows: int, kind: str) -> None:
    """Writes one asset, packed where its name says so, and prints what it is."""
    content = text.encode("utf-8")
    packed = gzip.compress(content, compresslevel=9, mtime=0) if file.suffix == ".gz" else content
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.tmp")
    temporary.write_bytes(packed)
    temporary.replace(file)
    print(f"{file.name}: {n_rows:,} rows, {len(packed):,} bytes, text sha256 {hashlib.sha256(content).hexdigest()}")
    print(f"    licence: {LICENCES[kind]}")


def build(data: Path, output: Path, *, seed: int, n_wiki: int, n_labelled: int) -> None:
    """Writes every asset but the encoder."""
    for split, n_rows in STSB_ROWS.items():
        rows = read_rows(find(data / "sts", f"stsb-{split}.tsv"), "score", "sentence1", "sentence2")
        if len(rows) != n_rows:
            sys.exit(f"stsb-{split}: {len(rows)} rows, but STS-B {split} has {n_rows}")
        name = f"stsb-{split}.tsv" + (".gz" if split == "train" else "")
        write(output / name, table(("score", "sentence1", "sentence2"), rows), len(rows), "stsb")
    excluded = evaluation_keys(data)
    wiki = wiki_sample(list(wiki_documents(data, excluded)), n_wiki, seed)
    write(output / "wiki.txt.gz", "\n\n".join("\n".join(lines) for lines in wiki) + "\n", sum(map(len, wiki)), "wiki")
    print(f"    {len(wiki)} documents")
    pairs = nli_pairs(data, excluded)
    triplets, labelled = nli_triplets(pairs), nli_labelled(pairs, n_labelled, seed)
    write(output / "nli-triplets.tsv.gz", table(("anchor", "positive", "negative"), triplets), len(triplets), "nli")
    write(output / "nli-labelled.tsv.gz", table(("sentence1", "sentence2", "label"), labelled), len(labelled), "nli")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="the data folder")
    assets = Path(__file__).resolve().parent.parent / "sentemb" / "assets"
    parser.add_argument("--output", type=Path, default=assets, metavar="DIR", help="where to write (sentemb/assets)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the choices (0)")
    parser.add_argument("--wiki", type=int, default=60_000, metavar="N", help="Wikipedia sentences, at least (60000)")
    parser.add_argument("--labelled", type=int, default=12_000, metavar="N", help="labelled NLI pairs, at most (12000)")
    given = parser.parse_args()
    build(given.data, given.output, seed=given.seed, n_wiki=given.wiki, n_labelled=given.labelled)


if __name__ == "__main__":
    main()
