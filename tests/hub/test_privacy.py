from __future__ import annotations

from pathlib import Path

import pytest

from sentemb.hub.privacy import public_recipe, public_source, without_paths


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("read /home/ann/a.txt.", "read a.txt."),
        ("(/home/ann/a.txt)", "(a.txt)"),
        ("data=/home/ann/a.txt, rest", "data=a.txt, rest"),
        ("at:/home/ann/a.txt", "at:a.txt"),
        ("~/a/b.txt ~ann/c.txt ../ann/d.txt ./ann/e.txt", "b.txt c.txt d.txt e.txt"),
        (r"C:\Users\ann\a.txt and \\server\ann\b.txt", "a.txt and b.txt"),
        ("file:///home/ann/a.txt", "a.txt"),
        ("/home/ann/folder/", "folder"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("hf://owner/name", "hf://owner/name"),
        ("and/or, 1/2, a / b, [u; |u-v|]", "and/or, 1/2, a / b, [u; |u-v|]"),
    ],
)
def test_paths_in_text_are_cut_to_their_last_name(text, expected):
    assert without_paths(text) == expected


def test_a_home_with_a_space_in_its_name_is_cut_too(monkeypatch):
    monkeypatch.setattr(Path, "home", classmethod(lambda cls: Path("/home/Ann Lee")))
    assert without_paths("in /home/Ann Lee/texts/a.txt") == "in a.txt"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("/home/ann/texts of mine/*.txt", "*.txt"),
        ("ann/wiki.txt", "wiki.txt"),
        ("wiki.txt", "wiki.txt"),
        ("-", "-"),
        ("bundled:wiki", "bundled:wiki"),
        ("hf://owner/name/config/train", "hf://owner/name/config/train"),
        ("data:nli/train.jsonl", "data:nli/train.jsonl"),
        ("data:/home/ann/train.jsonl", "data:train.jsonl"),
        ("data:../ann/train.jsonl", "data:train.jsonl"),
        (r"C:\Users\ann\a.txt", "a.txt"),
        ("/", "a local folder"),
    ],
)
def test_a_source_keeps_only_what_may_be_published(source, expected):
    assert public_source(source) == expected


def test_a_recipe_keeps_its_keys_and_numbers():
    recipe = {
        "encoder": {"name": "/home/ann/tiny", "pooling": "cls"},
        "stages": [{"name": "one", "data": {"source": "ann/a.csv", "columns": ["a", "b"], "score_range": [0.0, 5.0]}}],
        "evaluation": {"dev": "stsb-dev", "suite": "ann/own.tsv"},
    }
    assert public_recipe(recipe) == {
        "encoder": {"name": "tiny", "pooling": "cls"},
        "stages": [{"name": "one", "data": {"source": "a.csv", "columns": ["a", "b"], "score_range": [0.0, 5.0]}}],
        "evaluation": {"dev": "stsb-dev", "suite": "own.tsv"},
    }
