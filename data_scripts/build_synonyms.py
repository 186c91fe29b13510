#!/usr/bin/env python3
"""Make the synonym table that travels with the package (`sentemb/assets/synonyms.txt.gz`) from WordNet 3.0.

    apt-get install wordnet-base                                 # Debian: /usr/share/wordnet
    python data_scripts/build_synonyms.py                        # writes sentemb/assets/
    python data_scripts/build_synonyms.py --wordnet DIR --output OTHER

It reads data.{noun,verb,adj,adv} and {noun,verb,adj,adv}.exc, and needs Python only. The synonyms of a word are all
lemmas of all synsets that it is in: `_` and `-` become spaces, letters lower case, all but a to z goes, and so does the
word itself. One line a head word, sorted, with a field for each part of speech that the word has (n v a r):

    dog <TAB> n:andiron|blackguard|…|wiener <TAB> v:chase|chase after|…|trail

A field may be empty: a lemma alone in its synsets. A listed irregular form ("geese", "ran") has a field marked `=` with
its base forms and their synonyms; regular inflections are undone at look-up (`sentemb.augment.synonyms`). Head words of
several words, and those without a letter, are left out: EDA looks up single words. The same input gives the same text;
the gzip header holds neither time nor name.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

PARTS_OF_SPEECH = {"n": "noun", "v": "verb", "a": "adj", "r": "adv"}
NAME = "synonyms.txt.gz"

Lemmas = dict[str, set[str]]
"""Lower-case lemma → the names of all lemmas of its synsets, as WordNet writes them; of one part of speech."""


def cleaned(lemma: str) -> str:
    """A lemma as it is written into a text; may be empty (also in `sentemb.augment.synonyms`, which no script imports).

    >>> cleaned("Mary_Baker-Eddy's")
    'mary baker eddys'
    """
    return " ".join(re.sub("[^a-z ]", "", re.sub("[_-]", " ", lemma.lower())).split())


def synset_lemmas(line: str) -> list[str]:
    """The lemmas of a line of a data file (wndb(5WN)): the word count is hexadecimal, adjectives may have a marker.

    >>> synset_lemmas("00014490 00 s 02 galore(ip) 0 a_lot 0 001 & 00013887 a 0000 | existing in abundance")
    ['galore', 'a_lot']
    """
    fields = line.split(" ")
    return [re.sub(r"\(\w+\)$", "", fields[4 + 2 * place]) for place in range(int(fields[3], 16))]


def lines_of(file: Path) -> Iterator[str]:
    """The lines of a WordNet file without its licence, which is indented."""
    if not file.is_file():
        sys.exit(f"{file} is missing: install Debian's wordnet-base, or name WordNet 3.0's folder dict with --wordnet")
    return (line for line in file.read_text(encoding="ascii").splitlines() if not line.startswith(" "))


def read_lemmas(file: Path) -> Lemmas:
    """All lemmas of a data file with the lemmas that they share a synset with."""
    lemmas: Lemmas = defaultdict(set)
    for line in lines_of(file):
        names = synset_lemmas(line)
        for name in names:
            lemmas[name.lower()].update(names)
    return dict(lemmas)


def is_head(word: str) -> bool:
    """Whether a word gets a line: a single one, with a letter.

    >>> [is_head(word) for word in ("well-known", "hot_dog", "42")]
    [True, False, False]
    """
    return "_" not in word and re.search("[a-z]", word) is not None


def field(mark: str, word: str, names: set[str]) -> str:
    """One field of a line.

    >>> field("n:", "abstraction", {"abstract_entity", "Abstraction"})
    'n:abstract entity'
    """
    return mark + "|".join(sorted({cleaned(name) for name in names} - {cleaned(word), word, ""}))


def table(wordnet: Path) -> list[str]:
    """All lines of the table, sorted by head word in the order of code points."""
    fields: dict[str, list[str]] = defaultdict(list)
    for mark, name in PARTS_OF_SPEECH.items():
        lemmas = read_lemmas(wordnet / f"data.{name}")
        for word, names in lemmas.items():
            fields[word].append(field(f"{mark}:", word, names))
        bases: dict[str, set[str]] = defaultdict(set)
        for line in lines_of(wordnet / f"{name}.exc"):
            form, *of = line.split()
            bases[form].update(of)
        for form, words in bases.items():
            names = set().union(*(lemmas.get(word, ()) for word in words - {form}))
            fields[form].append(field(f"{mark}=", form, names))
    return ["\t".join([word, *fields[word]]) for word in sorted(fields) if is_head(word)]


def build(wordnet: Path, output: Path) -> None:
    """Writes the table and prints what it is."""
    lines = table(wordnet)
    content = "".join(f"{line}\n" for line in lines).encode("ascii")
    packed = gzip.compress(content, compresslevel=9, mtime=0)
    output.mkdir(parents=True, exist_ok=True)
    temporary = output / f".{NAME}.tmp"
    temporary.write_bytes(packed)
    temporary.replace(output / NAME)
    print(f"{NAME}: {len(lines):,} words, {len(packed):,} bytes, text sha256 {hashlib.sha256(content).hexdigest()}")
    print("    licence: WordNet 3.0 licence (sentemb/assets/LICENCES.md holds it)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    debian = Path("/usr/share/wordnet")
    parser.add_argument("--wordnet", type=Path, default=debian, metavar="DIR", help=f"WordNet's files ({debian})")
    assets = Path(__file__).resolve().parent.parent / "sentemb" / "assets"
    parser.add_argument("--output", type=Path, default=assets, metavar="DIR", help="where to write (sentemb/assets)")
    given = parser.parse_args()
    build(given.wordnet, given.output)


if __name__ == "__main__":
    main()
