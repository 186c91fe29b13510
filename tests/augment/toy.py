"""Texts and synonyms for the tests of views: small enough to list every outcome."""

from __future__ import annotations

import random

TOY_SYNONYMS = {
    "dog": ("canine", "domestic dog", "hound"),
    "runs": ("races", "sprints"),
    "fast": ("quick",),
    "is": ("exists",),  # a stop word
    "hound": ("dog",),
}

NASTY = [
    "", " ", "\t\n", "a", "A.", "…", "42", "3.14 !", "the of and", "don't", "dog", "Dog dog DOG, (dog)", "-- -- --",
    "👍", "👩\u200d👩\u200d👧 dog ❤\ufe0f 🇩🇪", "e\u0301 cafe\u0301 dog\u0301", "\u0301", "''", "’", "dog-dog",
    "שלום עולם dog", "مرحبا \u202eبالعالم\u202c", "ǅ ﬁne ß İstanbul", "日本語の文です。", "a\u00a0b\u2003c\u3000d",
    "a\x1cb\x00c", "\ufeffdog", "\u200bdog\u200b", "\ud800 lone", "\\1 \\g<0> {} %s", "x" * 5000, "dog " * 300,
    " ".join(str(i) for i in range(10_000)),
]  # fmt: skip
"""What tends to break code that splits, cleans or changes text."""


def toy_synonyms(word: str) -> tuple[str, ...]:
    return TOY_SYNONYMS.get(word, ())


def random_texts(n: int, seed: int) -> list[str]:
    """Texts of 0 to 12 words of 1 to 6 characters from all of Unicode, or from ASCII, with the toy words among them."""
    draw = random.Random(seed)

    def word() -> str:
        kind = draw.randrange(4)
        if kind == 0:
            return draw.choice([*TOY_SYNONYMS, "The", "is"])
        top = 0x110000 if kind == 1 else 0x3000 if kind == 2 else 0x7F
        return "".join(chr(draw.randrange(1, top)) for _ in range(draw.randint(1, 6)))

    spaces = (" ", "  ", "\n", "\u3000")
    return ["".join(word() + draw.choice(spaces) for _ in range(draw.randrange(13))) for _ in range(n)]
