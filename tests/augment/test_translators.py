from __future__ import annotations

import pytest

from sentemb.augment.translators import one_line, sentences_of
from tests.augment.toy import NASTY, random_texts


@pytest.mark.parametrize("text", [*NASTY, *random_texts(200, 1)])
def test_one_line_is_what_a_pipe_and_a_model_can_take(text):
    line = one_line(text)
    line.encode("utf-8")
    assert not any(c in line for c in "\0\n\r\t\x1c\x85\u2028") and "  " not in line and line == line.strip()
    assert one_line(line) == line
    kept = [c for c in text if not c.isspace() and not (ord(c) < 32 or 127 <= ord(c) < 160)]
    assert [c for c in line if c != " "] == ["\ufffd" if 0xD800 <= ord(c) < 0xE000 else c for c in kept]


@pytest.mark.parametrize("text", [*NASTY, *random_texts(200, 2)])
def test_sentences_joined_by_spaces_are_the_line(text):
    line = one_line(text)
    assert " ".join(sentences_of(line)) == line


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("One. Two! Three? Four… Five", ["One.", "Two!", "Three?", "Four…", "Five"]),
        ('He said "Go." "Why?" she asked.', ['He said "Go."', '"Why?" she asked.']),
        ("It cost 3.50 or so. 7 came.", ["It cost 3.50 or so.", "7 came."]),
        ("J. R. Smith and e.g. this one", ["J. R. Smith and e.g. this one"]),
        ("no capital. after it", ["no capital. after it"]),
        ("", []),
    ],
)
def test_where_sentences_end(line, expected):
    assert sentences_of(line) == expected
