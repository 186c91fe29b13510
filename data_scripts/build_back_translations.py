#!/usr/bin/env python3
"""Make the back-translated pairs that travel with the package (`sentemb/assets/wiki-back-translated.tsv.gz`).

    apt-get install apertium-eng-spa apertium-eng-cat            # Debian
    python data_scripts/build_back_translations.py               # writes sentemb/assets/
    python data_scripts/build_back_translations.py --output OTHER

As CERT makes its pairs (Fang et al. 2020), by two pivots: the anchor is a sentence of the bundled Wikipedia sample by
way of Spanish and back, the positive the same sentence by way of Catalan; neither is the sentence itself. The paper's
pivots are German and Chinese, and its translators neural; Apertium translates by rules and leaves unknown words as they
are.

Sentences of 6 to 30 words are chosen by a hash, and kept where both translations came back whole and differ from the
sentence and from each other, in the order of the sample. The same versions of Apertium give the same text; the gzip
header holds neither time nor name.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sentemb import assets
from sentemb.augment.back_translation import BackTranslation
from sentemb.augment.translators_apertium import ApertiumTranslator

PIVOTS = ("spa", "cat")
N_PAIRS = 1280
MIN_WORDS, MAX_WORDS = 6, 30
NAME = "wiki-back-translated.tsv.gz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=Path(assets.__file__).parent, help="folder to write to")
    output = parser.parse_args().output
    sentences = chosen(gzip.decompress(assets.path("wiki").read_bytes()).decode("utf-8").split("\n"))
    first, second = (back_translated(sentences, pivot) for pivot in PIVOTS)
    columns = zip(sentences, first, second, strict=True)
    pairs = [(a, b) for text, a, b in columns if len({text, a, b}) == 3 and "\t" not in a + b][:N_PAIRS]
    content = "".join(f"{a}\t{b}\n" for a, b in [("anchor", "positive"), *pairs]).encode()
    (output / NAME).write_bytes(gzip.compress(content, compresslevel=9, mtime=0))
    print(f"{NAME}: {len(pairs):,} pairs, sha256 of the text {hashlib.sha256(content).hexdigest()}")


def chosen(lines: list[str]) -> list[str]:
    """Half as many again as are needed, of fitting length, lowest hashes; in the order of the lines."""
    fitting = [line for line in dict.fromkeys(lines) if MIN_WORDS <= len(line.split()) <= MAX_WORDS]
    lowest = sorted(fitting, key=lambda line: hashlib.sha256(line.encode()).digest())[: N_PAIRS * 3 // 2]
    kept = set(lowest)
    return [line for line in fitting if line in kept]


def back_translated(sentences: list[str], pivot: str) -> list[str]:
    """The sentences by way of a language and back; one that is lost on the way stays as it is."""
    view = BackTranslation(
        ApertiumTranslator(f"eng-{pivot}"),
        ApertiumTranslator(f"{pivot}-eng"),
        cache=None,
        min_length_ratio=0.5,
        texts_per_call=64,
    )
    return [" ".join(text.split()) for text in view(sentences, [0] * len(sentences))]


if __name__ == "__main__":
    main()
