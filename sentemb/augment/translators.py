"""What back-translation asks of a translator, and what translators share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal, Protocol

Translate = Callable[[list[str]], list[str]]
"""N texts → N translations, in order; any function will do.

Two attributes are read where it has them. `identity`, a string that names the model, the direction and all settings
that decide the output, is what a `TranslationCache` keys on. `takes_seeds` says that it is a `SeededTranslate`.
"""


class SeededTranslate(Protocol):
    """A translator that samples: what it draws for a text depends on the text and its seed alone."""

    takes_seeds: Literal[True]

    def __call__(self, texts: list[str], *, seeds: list[int]) -> list[str]:
        """N translations; `seeds` are N whole numbers from 0 below 2⁶³."""


class CutTranslation(str):
    """A translation whose translator knows that it lacks the end: of the text it read or of the text it wrote."""

    __slots__ = ()


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def one_line(text: str) -> str:
    r"""The text as a translator can read it: control characters and runs of white space are one space.

    A lone surrogate, which is no text, becomes U+FFFD.

    >>> one_line(" A man\n\tsings.\0")
    'A man sings.'
    """
    return " ".join(_SURROGATE.sub("\ufffd", _CONTROL.sub(" ", text)).split())


_SENTENCE_END = re.compile(r"""(?<=[.!?…])(?<!\b[A-Z]\.)["'”’)\]]*\s+(?=["'“‘(\[]*[A-Z0-9])""")


def sentences_of(text: str) -> list[str]:
    """The sentences of a line, for models that know one at a time; joined by a space they are the line again.

    A sentence ends at a full stop, a mark or an ellipsis before a space and a capital or digit, and not after a single
    capital. So titles ("Dr. Who") are split as well; what is lost then is context, never words.

    >>> sentences_of("J. Smith ran. He won! (Twice.) Yes")
    ['J. Smith ran.', 'He won!', '(Twice.)', 'Yes']
    """
    found, start = [], 0
    for match in _SENTENCE_END.finditer(text):
        found.append(text[start : match.end()].rstrip())
        start = match.end()
    return [sentence for sentence in [*found, text[start:]] if sentence]
