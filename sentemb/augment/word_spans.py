"""Where the words of a text are, and how a word is written in the case of another."""

from __future__ import annotations

import re
import unicodedata

_ALONE = "一"
_WORD = re.compile(rf"{_ALONE}|[^\W_{_ALONE}]+(?:['’][^\W_{_ALONE}]+)*")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")  # kana and Han
_JOINERS = "\u200c\u200d"


def is_unspaced(word: str) -> bool:
    """Whether a word is a kana or Han character, which is written without spaces."""
    return bool(_UNSPACED.fullmatch(word))


def find_words(text: str) -> list[tuple[int, int]]:
    """(start, end) character offsets of the words of a text, in order.

    A word is a run of letters, digits and the marks upon them, with single apostrophes inside. A kana or Han character
    is a word of its own; other scripts without spaces (Thai) are not divided. Punctuation, symbols and emoji are none.

    >>> find_words("It doesn't rain, 2 dogs!")
    [(0, 2), (3, 10), (11, 15), (17, 18), (19, 23)]
    """
    if text.isascii():
        return [match.span() for match in _WORD.finditer(text)]
    spans = (match.span() for match in _WORD.finditer("".join(map(_shape, text))))
    return [(start, end) for start, end in spans if any(map(str.isalnum, text[start:end]))]


def _shape(character: str) -> str:
    """A stand-in for a character of its kind, so that `re`, to which a mark is no letter, sees words whole."""
    if _UNSPACED.match(character):
        return _ALONE
    if character.isalnum() or character in _JOINERS or unicodedata.category(character)[0] == "M":
        return "a"
    return character


def in_case_of(word: str, replacement: str) -> str:
    """`replacement` in the case of `word`: in capitals, with a first capital, or else as it is.

    >>> in_case_of("DOG", "cat"), in_case_of("Dog", "cat"), in_case_of("dog", "Rome"), in_case_of("I", "we")
    ('CAT', 'Cat', 'Rome', 'We')
    """
    if word.isupper() and sum(map(str.isalpha, word)) > 1:
        return replacement.upper()
    if word[:1].isupper():
        return replacement[:1].upper() + replacement[1:]
    return replacement
