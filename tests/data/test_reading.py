"""Every format gives the same rows; every mistake gives its place."""

from __future__ import annotations

import csv
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentemb.data.rows import read_rows
from sentemb.data.sources import find_data_dir, fingerprint, read_records, resolve
from sentemb.errors import DataError
from sentemb.types import Row

ROWS = [("A man plays.", 'He said "no", twice.', 5.0), ("Ωμέγα 🙂", "naïve, café", 0.0), ("two", "three", 2.5)]
COLUMNS = ["sentence1", "sentence2", "score"]


def write(folder, extension):
    path = folder / f"rows.{extension}"
    bare = extension.removesuffix(".gz")
    if bare == "parquet":
        pq.write_table(pa.table(dict(zip(COLUMNS, zip(*ROWS, strict=True), strict=True))), path)
        return path
    opened = gzip.open if extension.endswith(".gz") else open
    with opened(path, "wt", encoding="utf-8", newline="") as file:
        if bare == "jsonl":
            file.writelines(json.dumps(dict(zip(COLUMNS, row, strict=True)), ensure_ascii=False) + "\n" for row in ROWS)
        elif bare == "csv":
            csv.writer(file).writerows([COLUMNS, *ROWS])
        else:
            file.writelines("\t".join(map(str, row)) + "\n" for row in [COLUMNS, *ROWS])
    return path


@pytest.mark.parametrize("extension", ["jsonl", "csv", "tsv", "parquet", "jsonl.gz", "csv.gz", "tsv.gz"])
def test_every_format_gives_the_same_rows(tmp_path, extension):
    path = write(tmp_path, extension)
    expected = [Row((a, b), score / 5) for a, b, score in ROWS]
    assert read_rows(str(path), "scored_pairs") == expected
    assert read_rows(str(path), "scored_pairs", limit=2) == expected[:2]
    swapped = read_rows(str(path), "pairs", columns=["sentence2", "sentence1"])
    assert [row.texts for row in swapped] == [(b, a) for a, b, _ in ROWS]


def test_a_quote_in_a_tsv_is_a_plain_character(tmp_path):
    (tmp_path / "a.tsv").write_text('anchor\tpositive\n"open\tstill "two" cells\nnext\trow\n')
    assert [r.texts for r in read_rows(str(tmp_path / "a.tsv"), "pairs")] == [
        ('"open', 'still "two" cells'),
        ("next", "row"),
    ]


def test_line_numbers_are_right_after_a_csv_field_with_line_breaks(tmp_path):
    (tmp_path / "a.csv").write_text('text,n\n"one\ntwo",1\nthree\n')
    with pytest.raises(DataError, match=r"a\.csv, line 4: 1 columns, but the header has 2"):
        list(read_records(str(tmp_path / "a.csv"), ["text"]))


def test_blank_lines_of_a_txt_part_documents(tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo \n")
    assert [row.texts for row in read_rows(str(tmp_path / "a.txt"), "sentences")] == [("one",), ("two ",)]
    places = [record.place.rpartition("/")[2] for record in read_records(str(tmp_path / "a.txt"), None)]
    assert places == ["a.txt, line 1", "a.txt, line 2", "a.txt, line 3"]


def test_globs_folders_bundled_and_the_data_folder(tmp_path, monkeypatch):
    for name in ("b.txt", "a.txt"):
        (tmp_path / name).write_text(name + "\n")
    (tmp_path / "notes.md").write_text("not read\n")
    expected = [tmp_path / "a.txt", tmp_path / "b.txt"]
    assert resolve(str(tmp_path / "*.txt")) == expected and resolve(str(tmp_path)) == expected
    assert resolve("bundled:stsb-dev")[0].name == "stsb-dev.tsv"
    monkeypatch.setenv("SENTEMB_DATA", str(tmp_path))
    assert find_data_dir() == tmp_path and resolve("data:a.txt") == [tmp_path / "a.txt"]
    (tmp_path / "z.txt.gz").write_bytes(gzip.compress(b"z\n"))
    assert resolve("data:z.txt") == [tmp_path / "z.txt.gz"]


def test_labels_become_class_numbers_in_the_order_given(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"premise": "a", "hypothesis": "b", "label": "neutral"}\n')
    rows = read_rows(str(tmp_path / "a.jsonl"), "labelled_pairs", label_names=["neutral", "entailment"])
    assert rows == [Row(("a", "b"), 0)]
    with pytest.raises(DataError, match=r'line 1: unknown label "neutral"; known: no, yes'):
        read_rows(str(tmp_path / "a.jsonl"), "labelled_pairs", label_names=["no", "yes"])


BAD = {
    "missing file": (None, r"corpus\.txt"),
    "empty file": (b"", "the file is empty"),
    "invalid UTF-8": (b"fine\nna\xefve\n", r"line 2: .*0xef"),
    "a text of over 500,000 characters": (b"short\n" + b"x" * 600_000, r"line 2: .*600,000 characters; up to 500,000"),
}


@pytest.mark.parametrize("case", list(BAD))
def test_texts_that_are_refused(tmp_path, case):
    content, message = BAD[case]
    if content is not None:
        (tmp_path / "corpus.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_rows(str(tmp_path / "corpus.txt"), "sentences")


def test_a_missing_file_names_its_neighbour(tmp_path):
    (tmp_path / "corpus.txt").write_text("x\n")
    with pytest.raises(DataError, match=r"corpus\.txt"):
        resolve(str(tmp_path / "corpsu.txt"))
    with pytest.raises(DataError, match=r"\*\.csv"):
        resolve(str(tmp_path / "*.csv"))
    with pytest.raises(DataError, match=r"corpus\.doc"):
        (tmp_path / "corpus.doc").write_text("x")
        read_rows(str(tmp_path / "corpus.doc"), "sentences")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a\tb\tnan", "line 3: the score is"),
        ("a\tb\thigh", 'the score is "high"'),
        ("a\tb\t5.5", "not a number from 0 to 5"),
        ("a\tb", "2 columns, but the header has 3"),
        ("a\tb\t1\t2", "4 columns, but the header has 3"),
        (" \tb\t1", "white space only"),
        ("\tb\t1", "the text is empty"),
    ],
)
def test_rows_that_are_refused(tmp_path, line, message):
    (tmp_path / "a.tsv").write_text(f"sentence1\tsentence2\tscore\nx\ty\t1\n{line}\n")
    with pytest.raises(DataError, match=message) as found:
        read_rows(str(tmp_path / "a.tsv"), "scored_pairs")
    assert "a.tsv, line 3" in str(found.value)


def test_a_missing_column_names_the_nearest(tmp_path):
    path = write(tmp_path, "tsv")
    with pytest.raises(DataError, match=r'there is no column "sentence3"\. Did you mean "sentence2"'):
        read_rows(str(path), "pairs", columns=["sentence1", "sentence3"])


def test_broken_json_and_broken_gzip(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "fine"}\n{"text": \n')
    with pytest.raises(DataError, match=r"a\.jsonl, line 2: broken JSON"):
        read_rows(str(tmp_path / "a.jsonl"), "sentences")
    (tmp_path / "b.txt.gz").write_bytes(gzip.compress(b"a line\n" * 9999)[:-20])
    with pytest.raises(DataError, match=r"b\.txt\.gz"):
        read_rows(str(tmp_path / "b.txt.gz"), "sentences")


def test_a_hub_dataset_streams_and_says_when_there_is_no_network(monkeypatch):
    import datasets

    asked = []

    def fake(*args, **kwargs):
        asked.append((args, kwargs))
        return datasets.Dataset.from_dict({"text": ["one", "two"]}).to_iterable_dataset()

    monkeypatch.setattr(datasets, "load_dataset", fake)
    assert [row.texts for row in read_rows("hf://owner/name/config/train", "sentences")] == [("one",), ("two",)]
    assert asked and asked[0][1].get("streaming") is True
    monkeypatch.undo()
    with pytest.raises(DataError, match="owner/no-such-data"):
        read_rows("hf://owner/no-such-data", "sentences")


def test_fingerprints_tell_one_state_of_a_file_from_another(tmp_path):
    (tmp_path / "a.txt").write_text("one\n")
    before = fingerprint(str(tmp_path / "a.txt"))
    assert before == fingerprint(str(tmp_path / "a.txt")) and before["files"][0]["bytes"] == 4
    (tmp_path / "a.txt").write_text("two\n")
    assert fingerprint(str(tmp_path / "a.txt")) != before
