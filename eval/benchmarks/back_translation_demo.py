"""A few bundled sentences by way of Portuguese (Bergamot) and of Spanish (Apertium), side by side.

`make back-translation-demo` runs it. Exits 0 when one of the two is installed, else 2. Nothing is cached.
"""

from __future__ import annotations

import gzip
import sys
import textwrap
import time
from itertools import islice

from sentemb import assets
from sentemb.augment.back_translation import BackTranslation
from sentemb.augment.translators_apertium import ApertiumTranslator
from sentemb.augment.translators_bergamot import BergamotTranslator
from sentemb.errors import ConfigError

COUNT = 8
WIDTH = 40
PIVOTS = {
    "via Portuguese": lambda: (BergamotTranslator("en-pt"), BergamotTranslator("pt-en")),
    "via Spanish": lambda: (ApertiumTranslator("eng-spa"), ApertiumTranslator("spa-eng")),
}


def sentences() -> list[str]:
    """The first bundled sentences of a middling length."""
    with gzip.open(assets.path("bundled:wiki"), "rt", encoding="utf-8") as stream:
        lines = (line.strip() for line in stream)
        return list(islice((line for line in lines if 40 <= len(line) <= 120), COUNT))


def main() -> int:
    """Translates, prints, and gives the exit code."""
    texts = sentences()
    columns: dict[str, list[str]] = {"original": texts}
    for name, make in PIVOTS.items():
        try:
            forward, backward = make()
        except ConfigError as error:
            print(f"{name}: left out. {error}\n")
            continue
        view = BackTranslation(forward, backward, cache=None, min_length_ratio=0.5, texts_per_call=64)
        started = time.monotonic()
        outputs = view(texts, [0] * len(texts))
        flags = {flagged.text: flagged.reason for flagged in view.report.flagged}
        columns[name] = [
            f"[{flags[text]}: stays as it is]" if text in flags else output
            for text, output in zip(texts, outputs, strict=True)
        ]
        print(f"{name}: {view.report}; {time.monotonic() - started:.1f} s with loading.")
    if len(columns) == 1:
        return 2
    print_side_by_side(columns)
    return 0


def print_side_by_side(columns: dict[str, list[str]]) -> None:
    """A table of wrapped cells, headings first."""
    print("\n" + " | ".join(f"{name:{WIDTH}}" for name in columns))
    for row in zip(*columns.values(), strict=True):
        cells = [textwrap.wrap(cell, WIDTH) for cell in row]
        print("-+-".join("-" * WIDTH for _ in cells))
        for line in range(max(map(len, cells))):
            print(" | ".join(f"{cell[line] if line < len(cell) else '':{WIDTH}}" for cell in cells))


if __name__ == "__main__":
    sys.exit(main())
