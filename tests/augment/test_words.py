from __future__ import annotations

import pickle

import pytest

from sentemb.augment import words
from sentemb.augment.stop_words import STOP_WORDS
from sentemb.augment.words import Memo, Word, letters_only, word_of
from tests.augment.toy import NASTY, random_texts


def test_the_stop_words_are_the_127():
    assert len(STOP_WORDS) == 127
    assert {"i", "the", "don", "now", "yourselves"} <= STOP_WORDS
    assert all(word.isascii() and word.islower() for word in STOP_WORDS)


@pytest.mark.parametrize(
    ("token", "parts"),
    [
        ("dog", ("", "dog", "")),
        ('"Dog,"', ('"', "Dog", ',"')),
        ("dog's", ("", "dog's", "")),
        ("(well-known).", ("(", "well-known", ").")),
        ("$5", ("$", "5", "")),
        ("cafe\u0301,", ("", "cafe\u0301", ",")),
    ],
)
def test_a_word_is_taken_apart(token, parts):
    assert word_of(token, excluded=frozenset()) == Word(parts[1].lower(), *parts)


@pytest.mark.parametrize("token", ["...", "👍", "—", "The", "(the)", "THE!"])
def test_punctuation_and_excluded_words_are_left_alone(token):
    assert word_of(token, excluded=frozenset({"the"})) is None


def test_parts_join_to_the_token():
    tokens = [token for text in [*NASTY, *random_texts(300, seed=1)] for token in text.split()]
    found = [(token, word_of(token, excluded=STOP_WORDS)) for token in tokens]
    assert sum(word is not None for _, word in found) > 1000
    assert all(word is None or word.before + word.core + word.after == token for token, word in found)


@pytest.mark.parametrize(
    ("core", "synonym", "replaced"),
    [("dog", "hot dog", "hot dog"), ("Dog", "hot dog", "Hot dog"), ("DOG", "hot dog", "HOT DOG"), ("X", "ten", "Ten")],
)
def test_a_synonym_takes_over_the_capitals(core, synonym, replaced):
    assert Word(core.lower(), "(", core, "!").replaced_by(synonym) == f"({replaced}!"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("It's", "its"),
        ("It’s", "its"),
        ("well-known", "well known"),
        ("a\tb\nc", "a b c"),
        ("42 cats, 3.14!", "cats"),
        ("Café", "caf"),
        (" dog. ", "dog"),
        ("42!", ""),
        ("", ""),
    ],
)
def test_cleaning_as_the_authors(text, cleaned):
    assert letters_only(text) == cleaned


def test_cleaning_agrees_with_their_loop():
    def loop(text: str) -> str:
        kept = ""
        for character in text.replace("’", "").replace("'", "").lower():
            kept += character if character in "abcdefghijklmnopqrstuvwxyz" else " "
        while "  " in kept:
            kept = kept.replace("  ", " ")
        return kept.strip(" ")

    for text in [*NASTY, *random_texts(300, seed=2)]:
        assert letters_only(text) == loop(text)


def test_a_memo_asks_once_is_bounded_and_is_pickled_empty(monkeypatch):
    asked: list[str] = []
    memo = Memo(lambda text: asked.append(text) or len(text))
    assert [memo["ab"], memo["ab"], memo["c"]] == [2, 2, 1]
    assert asked == ["ab", "c"]
    monkeypatch.setattr(words, "_REMEMBERED", 3)
    assert [memo[letter] for letter in "defgh"] == [1] * 5
    assert len(memo) <= 3
    full = Memo(len)
    assert full["abc"] == 3
    again = pickle.loads(pickle.dumps(full))
    assert (len(again), again["abc"]) == (0, 3)
