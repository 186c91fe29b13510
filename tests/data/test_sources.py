from __future__ import annotations

import io
import tracemalloc

import pytest

from sentemb.data.sources import find_data_dir, fingerprint, read_records, resolve
from sentemb.errors import DataError


@pytest.fixture
def folder(tmp_path):
    for name in ("b.txt", "a.txt", "c.jsonl", "README.md", ".hidden.txt"):
        (tmp_path / name).write_text('{"text": "from c"}\n' if name == "c.jsonl" else f"from {name}\nsecond\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "d.txt").write_text("from d\n")
    return tmp_path


def texts(*args, **kwargs):
    return [record.values[0] for record in read_records(*args, **kwargs)]


def test_a_file_a_glob_and_a_folder(folder):
    assert resolve(str(folder / "b.txt")) == [folder / "b.txt"]
    assert resolve(str(folder / "*.txt")) == [folder / "a.txt", folder / "b.txt"]
    assert resolve(str(folder / "**" / "*.txt")) == [folder / "a.txt", folder / "b.txt", folder / "deep" / "d.txt"]
    assert resolve(str(folder)) == [folder / "a.txt", folder / "b.txt", folder / "c.jsonl"]
    assert texts(str(folder), None) == ["from a.txt", "second", "from b.txt", "second", "from c"]


def test_a_file_whose_name_looks_like_a_glob(folder):
    (folder / "[1].txt").write_text("odd\n")
    assert resolve(str(folder / "[1].txt")) == [folder / "[1].txt"]


def test_skip_reads_over_rows_across_files(folder):
    assert texts(str(folder), None, skip=3) == ["second", "from c"]
    assert texts(str(folder), None, skip=99) == []


def test_what_travels_with_the_package():
    assert len(texts("bundled:stsb-dev", ["sentence1"])) == 1500
    with pytest.raises(DataError, match="bundled:mini: is an encoder, not texts"):
        resolve("bundled:mini")
    with pytest.raises(DataError, match='Did you mean "wiki"'):
        resolve("bundled:wikis")


def test_the_data_folder(folder, monkeypatch):
    monkeypatch.delenv("SENTEMB_DATA", raising=False)
    assert find_data_dir() is None
    with pytest.raises(
        DataError, match=r"data:a\.txt: no data folder is named\. Name it with --data DIR or in .* SENTEMB_DATA"
    ):
        resolve("data:a.txt")
    assert resolve("data:a.txt", folder) == [folder / "a.txt"]
    monkeypatch.setenv("SENTEMB_DATA", str(folder))
    assert find_data_dir() == folder
    assert find_data_dir(folder / "deep") == folder / "deep"
    assert resolve("data:deep/d.txt") == [folder / "deep" / "d.txt"]
    (folder / "z.tsv.gz").write_bytes(b"")
    assert resolve("data:z.tsv") == [folder / "z.tsv.gz"]
    monkeypatch.setenv("SENTEMB_DATA", str(folder / "gone"))
    with pytest.raises(DataError, match=r"gone: there is no such folder \(named by SENTEMB_DATA\)"):
        find_data_dir()


def test_what_leads_nowhere(folder):
    with pytest.raises(DataError, match=r'there is no such file\. Did you mean "a\.txt"\? Check the path'):
        resolve(str(folder / "aa.txt"))
    with pytest.raises(DataError, match=r"there is no such file \(there is no folder .*nowhere"):
        resolve(str(folder / "nowhere" / "a.txt"))
    with pytest.raises(DataError, match=r"\*\.tsv: no file matches"):
        resolve(str(folder / "*.tsv"))
    (folder / "bare").mkdir()
    with pytest.raises(DataError, match=r"the folder holds no \.txt, \.jsonl"):
        resolve(str(folder / "bare"))


def test_standard_input(monkeypatch):
    def pipe(data):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))

    pipe("one\n\nnaïve\n".encode())
    found = list(read_records("-", None))
    assert [record.values[0] for record in found] == ["one", "", "naïve"]
    assert found[2].place == "standard input, line 3"
    pipe(b"")
    with pytest.raises(DataError, match="standard input: is empty"):
        list(read_records("-", None))
    assert resolve("-") == [] and fingerprint("-") == {"source": "-"}


def test_a_fingerprint_changes_with_any_byte(folder):
    before = fingerprint(str(folder / "*.txt"))
    assert [file["name"] for file in before["files"]] == ["a.txt", "b.txt"]
    assert before["files"][0]["bytes"] == len("from a.txt\nsecond\n")
    assert fingerprint(str(folder / "*.txt")) == before
    (folder / "b.txt").write_text("from B.txt\nsecond\n")
    after = fingerprint(str(folder / "*.txt"))
    assert after["files"][0] == before["files"][0] and after["files"][1]["sha256"] != before["files"][1]["sha256"]


@pytest.mark.parametrize("name", ["x.txt", "x.csv"])
def test_memory_does_not_grow_with_the_file(tmp_path, name):
    peaks = []
    for rows in (2_000, 20_000):
        (tmp_path / name).write_text("text\n" + "a line of some length, over and over\n".replace(",", "") * rows)
        tracemalloc.start()
        assert sum(1 for _ in read_records(str(tmp_path / name), ["text"])) >= rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0], peaks
