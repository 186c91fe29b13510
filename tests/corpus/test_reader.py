from __future__ import annotations

import json

import pytest

from sentemb.corpus import reader
from sentemb.corpus.reader import RowsDigest, TextRow, read_text_rows, skip_rows, take_window
from sentemb.corpus.settings import EncodeSettings
from sentemb.errors import ConfigError, DataError


def rows_of(tmp_path, entries, **settings):
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, entries)))
    return list(read_text_rows([str(tmp_path / "x.jsonl")], EncodeSettings(**settings)))


def digest(rows):
    found = RowsDigest()
    found.update(rows)
    return found.hexdigest()


def test_inputs_one_after_another_and_whole_numbers_as_ids(tmp_path):
    (tmp_path / "y.tsv").write_text("id\tbody\tother\nx 1\ttwo\t-\n")
    (tmp_path / "x.jsonl").write_text('{"body": "one", "id": 7}\n')
    settings = EncodeSettings(column="body", id_column="id")
    found = read_text_rows([str(tmp_path / "x.jsonl"), str(tmp_path / "y.tsv")], settings)
    assert list(found) == [TextRow("one", "7"), TextRow("two", "x 1")]


def test_with_an_id_column_the_only_other_column_is_the_text(tmp_path):
    assert rows_of(tmp_path, [{"key": "k", "body": "b"}], id_column="key") == [TextRow("b", "k")]
    assert rows_of(tmp_path, [{"text": "b"}], column="text", id_column="text") == [TextRow("b", "b")]


def test_empty_texts(tmp_path):
    entries = [{"text": text} for text in ("a", "", " \t", None)]
    kept = rows_of(tmp_path, entries, on_empty="zero")
    assert [row.is_empty for row in kept] == [False, True, True, True]
    for index, problem in ((1, "the text is empty"), (2, "the text is white space only"), (3, "the text is empty")):
        with pytest.raises(DataError, match=f"line 1: {problem}. Remove it, or pass --on-empty zero"):
            rows_of(tmp_path, [entries[index]])


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"text": 3, "id": 1}, "line 1: 3 is not a text"),
        ({"text": "a", "id": None}, "line 1: the id is None, not a text or a whole number"),
        ({"text": "a", "id": ""}, 'the id is "", not a text'),
        ({"text": "a", "id": 1.5}, "the id is 1.5, not a text or a whole number"),
        ({"text": "a", "id": "b\nc"}, "holds a line break"),
        ({"text": "a", "id": "b\r"}, "holds a line break"),
        ({"text": "a"}, 'there is no column "id"'),
    ],
)
def test_rows_that_can_not_be_used(tmp_path, entry, problem):
    with pytest.raises(DataError, match=problem):
        rows_of(tmp_path, [entry], id_column="id")


def test_a_window_ends_at_its_rows_or_characters_and_reads_nothing_ahead(monkeypatch):
    monkeypatch.setattr(reader, "MAX_WINDOW_CHARACTERS", 10)
    pulled = []

    def rows():
        for text in ("a", "b", "c", "long " * 4, "d", "e"):
            pulled.append(text)
            yield TextRow(text, None)

    stream = rows()
    sizes = []
    while window := take_window(stream, 2):
        sizes.append(len(window))
        assert len(pulled) == sum(sizes)
    assert sizes == [2, 2, 2]
    monkeypatch.setattr(reader, "MAX_WINDOW_CHARACTERS", 3)
    assert [len(take_window(stream, 5)) for stream in [rows()] for _ in range(3)] == [3, 1, 2]


def test_the_digest_tells_rows_apart():
    lists = [
        [("ab", None), ("c", None)],
        [("a", None), ("bc", None)],
        [("abc", None)],
        [("ab", "c")],
        [("a", "bc")],
        [("abc", None), ("", None)],
        [],
    ]
    assert len({digest([TextRow(*row) for row in rows]) for rows in lists}) == len(lists)


def test_skipping_checks_the_rows_only_if_something_changed():
    rows = [TextRow(f"t{i}", None) for i in range(7)]
    parts = [(3, digest(rows[:3])), (3, digest(rows[3:6]))]
    stream = iter(rows)
    skip_rows(stream, parts, window_rows=2, changed=["x.txt"])
    assert list(stream) == rows[6:]
    edited = [*rows[:4], TextRow("edited", None), *rows[5:]]
    with pytest.raises(
        ConfigError, match=r"the inputs have changed \(x\.txt\): part 1 was made from other rows than 4 to 6"
    ):
        skip_rows(iter(edited), parts, window_rows=2, changed=["x.txt"])
    skip_rows(iter(edited), parts, window_rows=2)
    with pytest.raises(ConfigError, match="part 1"):
        skip_rows(iter(rows[:5]), parts, window_rows=2)


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ({"shard_rows": 0}, "--shard-rows: 0 is not 1 or more"),
        ({"max_tokens": -1}, "--max-tokens: -1 is not 1 or more"),
        ({"dtype": "float23"}, '--dtype: unknown value "float23". Did you mean "float32"'),
        ({"on_empty": "skip"}, "--on-empty: .* Use error or zero"),
    ],
)
def test_settings_out_of_range(setting, problem):
    with pytest.raises(ConfigError, match=problem):
        EncodeSettings(**setting)
