"""Every way in which an encoded folder can differ from its manifest is seen, with the file and a remedy."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sentemb.corpus import parts
from sentemb.corpus import verify as verifying
from sentemb.corpus.manifest import read_manifest
from sentemb.corpus.parts import blocks, part_names
from sentemb.corpus.verify import verify
from tests.corpus.encoded import write_encoded

KINDS = pytest.mark.parametrize("kind", ["npy", "parquet"])
IDS = [f"id {i}" for i in range(12)]


@pytest.fixture
def vectors(rng):
    return rng.normal(size=(12, 4)).astype(np.float32)


def faults(folder):
    return [str(fault) for fault in verify(folder).faults]


def the_fault(folder):
    (fault,) = faults(folder)
    return fault


def edit(folder, change):
    """Changes manifest.json."""
    file = folder / "manifest.json"
    value = json.loads(file.read_text())
    change(value)
    file.write_text(json.dumps(value))


def rewrite(folder, name, content):
    """A file with other bytes, recorded as if it had been written so: only its content can tell."""
    (folder / name).write_bytes(content)

    def change(value):
        for part in value["parts"]:
            for entry in part["files"]:
                if entry["name"] == name:
                    entry |= {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

    edit(folder, change)


def npy(folder, name, array):
    np.save(folder / name, array)
    rewrite(folder, name, (folder / name).read_bytes())


@KINDS
@pytest.mark.parametrize("ids", [None, IDS], ids=["numbers", "texts"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_what_was_written_is_whole_and_read_back(tmp_path, vectors, kind, ids, dtype, monkeypatch):
    monkeypatch.setattr(parts, "BLOCK_BYTES", 4 * 4 * 2)  # two rows a block
    manifest = write_encoded(tmp_path, vectors.astype(dtype), ids=ids, kind=kind)
    seen = []
    result = verify(tmp_path, on_bytes=lambda read, total: seen.append((read, total)))
    assert (result.rows, result.parts, result.faults) == (12, 3, [])
    assert result.bytes == sum(f.stat().st_size for f in tmp_path.glob("part-*")) == seen[-1][0] == seen[-1][1]
    assert seen == sorted(seen)
    found = list(blocks(tmp_path, manifest))
    assert max(len(block.vectors) for block in found) == 2
    assert (np.concatenate([block.vectors for block in found]) == vectors.astype(dtype)).all()
    assert [i for block in found for i in block.ids] == (ids or list(range(12)))
    assert [part_names(i, manifest) for i in range(3)] == [tuple(f.name for f in p.files) for p in manifest.parts]


def test_no_rows_at_all(tmp_path):
    write_encoded(tmp_path, np.zeros((0, 4), dtype=np.float32))
    assert not faults(tmp_path)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_one_row(tmp_path, dtype):
    write_encoded(tmp_path, np.ones((1, 1), dtype=dtype), kind="parquet", ids=["only"])
    assert not faults(tmp_path)


def test_no_folder_no_manifest_another_manifest(tmp_path):
    assert the_fault(tmp_path / "gone").endswith("gone: there is no such folder. Name the --output of sentemb encode.")
    assert "has no manifest.json of sentemb encode. Name the --output" in the_fault(tmp_path)
    (tmp_path / "manifest.json").write_text("{}")
    assert "manifest.json: was not written by this version of sentemb encode. Name a folder that" in the_fault(tmp_path)


def test_an_unfinished_run(tmp_path, vectors):
    write_encoded(tmp_path, vectors, status="running")
    assert "manifest.json: the run is not complete: 12 rows are in parts so far. Finish it with" in the_fault(tmp_path)


@KINDS
def test_any_changed_byte_and_any_cut(tmp_path, vectors, kind):
    write_encoded(tmp_path, vectors, ids=IDS, kind=kind)
    for file in tmp_path.glob("part-*"):
        content = file.read_bytes()
        for at in range(0, len(content), 37):
            file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            assert f"{file}: its SHA-256 is " in the_fault(tmp_path), at
        file.write_bytes(content[:-1])
        expected = (
            f"{file}: the manifest records this file, but it has {len(content) - 1:,} bytes, not {len(content):,}"
        )
        assert the_fault(tmp_path) == f"{expected}. Put it back from a copy, or encode again with --overwrite."
        file.write_bytes(content)
    assert not faults(tmp_path)


def test_every_fault_is_named_not_only_the_first(tmp_path, vectors):
    write_encoded(tmp_path, vectors, ids=IDS)
    (tmp_path / "part-00000.npy").unlink()
    (tmp_path / "part-00001.ids.txt").write_text("x\n")
    (tmp_path / "part-00002.npy").write_bytes((tmp_path / "part-00002.npy").read_bytes()[::-1])
    (tmp_path / "part-00003.npy").touch()
    (tmp_path / ".part-00004.npy.tmp").touch()
    (tmp_path / "notes.txt").touch()
    found = faults(tmp_path)
    names = [fault.removeprefix(f"{tmp_path}/").split(":")[0] for fault in found]
    assert names == [
        "part-00000.npy",
        "part-00001.ids.txt",
        "part-00002.npy",
        ".part-00004.npy.tmp",
        "part-00003.npy",
    ]
    assert "but it is missing" in found[0]
    assert found[-1].endswith("is in the folder, but the manifest does not record it. Remove it.")


def test_content_that_only_a_look_inside_tells(tmp_path, vectors):
    write_encoded(tmp_path, vectors)
    for wrong, expected in (
        (vectors[:5].astype(np.float16), "holds float16 of shape (5, 4), not float32 of shape (5, 4)"),
        (vectors[:4], "holds float32 of shape (4, 4), not float32 of shape (5, 4)"),
        (vectors[:5, :3], "holds float32 of shape (5, 3), not float32 of shape (5, 4)"),
    ):
        npy(tmp_path, "part-00001.npy", wrong)
        assert f"part-00001.npy: {expected}" in the_fault(tmp_path)
    rewrite(tmp_path, "part-00001.npy", b"not an array")
    assert "part-00001.npy: is not a whole .npy file (" in the_fault(tmp_path)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@KINDS
def test_a_number_that_is_not_finite(tmp_path, vectors, kind, bad, monkeypatch):
    monkeypatch.setattr(parts, "BLOCK_BYTES", 4 * 4 * 2)
    vectors[8, 2] = bad
    write_encoded(tmp_path, vectors, ids=IDS, kind=kind)
    name = part_names(1, read_manifest(tmp_path))[0]
    assert f"{name}: the vector of id id 8 (row 8) is not finite" in the_fault(tmp_path)


def test_ids_of_the_wrong_kind_number_or_order(tmp_path, vectors):
    write_encoded(tmp_path / "a", vectors)
    for wrong in ([5, 6, 7, 9, 8], [0, 1, 2, 3, 4]):
        npy(tmp_path / "a", "part-00001.ids.npy", np.array(wrong))
        assert "part-00001.ids.npy: its ids are not the row numbers from 5" in the_fault(tmp_path / "a")
    write_encoded(tmp_path / "b", vectors, ids=IDS)
    rewrite(tmp_path / "b", "part-00001.ids.txt", b"a\nb\n")
    assert "part-00001.ids.txt: holds 2 ids for 5 rows" in the_fault(tmp_path / "b")
    rewrite(tmp_path / "b", "part-00001.ids.txt", b"\xff\nb\n")
    assert "part-00001.ids.txt: can't be read as lines of UTF-8" in the_fault(tmp_path / "b")


@KINDS
def test_an_id_that_stands_twice(tmp_path, vectors, kind):
    write_encoded(tmp_path, vectors, ids=[*IDS[:7], "id 1", *IDS[8:11], "id 2"], kind=kind)
    name = part_names(1, read_manifest(tmp_path))[-1]
    expected = f'{name}: the id "id 1" stands for 2 rows; 1 more ids are repeated. Give each row of the input an id'
    assert expected in the_fault(tmp_path)


def test_ids_whose_hashes_meet_are_no_fault(tmp_path, vectors, monkeypatch):
    write_encoded(tmp_path, vectors, ids=IDS)
    monkeypatch.setattr(verifying, "hash", lambda identity: len(identity), raising=False)
    assert not faults(tmp_path)


def test_a_parquet_file_of_another_schema(tmp_path, vectors):
    write_encoded(tmp_path, vectors, kind="parquet")
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table({"id": [1, 2], "vector": [1.0, 2.0]}), buffer)
    rewrite(tmp_path, "part-00000.parquet", buffer.getvalue().to_pybytes())
    assert "part-00000.parquet: holds 2 rows of id int64, vector double, not 5 of id int64, embedding" in the_fault(
        tmp_path
    )
    rewrite(tmp_path, "part-00000.parquet", b"PAR1")
    assert "part-00000.parquet: is not a whole parquet file" in the_fault(tmp_path)


def test_parts_that_the_manifest_has_lost_or_exchanged(tmp_path, vectors):
    write_encoded(tmp_path, vectors)
    saved = (tmp_path / "manifest.json").read_text()
    edit(tmp_path, lambda value: value["parts"].pop(1))
    assert "part 1 is not recorded as part-00001.npy and part-00001.ids.npy" in faults(tmp_path)[0]
    (tmp_path / "manifest.json").write_text(saved)
    edit(tmp_path, lambda value: value["parts"][2].update(first_row=9))
    assert "manifest.json: part 2 begins at row 9, but 10 rows stand before it" in the_fault(tmp_path)
    (tmp_path / "manifest.json").write_text(saved)
    edit(tmp_path, lambda value: value["parts"].pop())
    assert [fault.split(": ")[0][-14:] for fault in faults(tmp_path)] == ["-00002.ids.npy", "part-00002.npy"]
