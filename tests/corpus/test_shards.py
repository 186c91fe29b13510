from __future__ import annotations

import hashlib

import numpy as np
import pyarrow.parquet as pq
import pytest

from sentemb.corpus.shards import open_part, remove_parts


def write(folder, kind, dtype="float32", n_windows=3, *, with_id_column=False):
    writer = open_part(folder, 7, kind=kind, dtype=dtype, dimension=3, with_id_column=with_id_column)
    vectors = np.arange(n_windows * 6, dtype=dtype).reshape(n_windows, 2, 3) / 4
    for i, window in enumerate(vectors):
        ids = [f"id {2 * i}", f"id {2 * i + 1}"] if with_id_column else np.arange(2 * i, 2 * i + 2)
        writer.write(ids, window)
    return writer, vectors.reshape(-1, 3)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_npy(tmp_path, dtype):
    writer, vectors = write(tmp_path, "npy", dtype)
    assert all(name.startswith(".part") for name in names(tmp_path))
    files = writer.finish()
    assert names(tmp_path) == ["part-00007.ids.npy", "part-00007.npy"] == sorted(file.name for file in files)
    found = np.load(tmp_path / "part-00007.npy")
    assert found.dtype == dtype and (found == vectors).all()
    ids = np.load(tmp_path / "part-00007.ids.npy")
    assert ids.dtype == np.int64 and ids.tolist() == list(range(6))
    np.save(tmp_path / "whole.npy", vectors)
    assert (tmp_path / "whole.npy").read_bytes() == (tmp_path / "part-00007.npy").read_bytes()
    for file in files:
        content = (tmp_path / file.name).read_bytes()
        assert (file.bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())


def test_npy_with_ids_of_their_own(tmp_path):
    writer, _ = write(tmp_path, "npy", with_id_column=True)
    writer.finish()
    assert (tmp_path / "part-00007.ids.txt").read_text().split("\n") == [*(f"id {i}" for i in range(6)), ""]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("with_id_column", [False, True])
def test_parquet(tmp_path, dtype, with_id_column):
    writer, vectors = write(tmp_path, "parquet", dtype, with_id_column=with_id_column)
    (file,) = writer.finish()
    assert names(tmp_path) == [file.name] == ["part-00007.parquet"]
    table = pq.read_table(tmp_path / file.name)
    assert table.schema.field("embedding").type.list_size == 3
    assert table.column("id").to_pylist() == ([f"id {i}" for i in range(6)] if with_id_column else list(range(6)))
    found = np.array(table.column("embedding").to_pylist(), dtype=dtype)
    assert (found == vectors).all()


@pytest.mark.parametrize("kind", ["npy", "parquet"])
def test_abandoned_it_leaves_nothing(tmp_path, kind):
    writer, _ = write(tmp_path, kind)
    assert names(tmp_path)
    writer.abandon()
    assert not names(tmp_path)


def test_only_parts_are_removed(tmp_path):
    ours = ["part-00000.npy", "part-00000.ids.npy", "part-00001.ids.txt", "part-00002.parquet", ".part-00003.npy.tmp"]
    theirs = ["thesis.npy", "parts.txt", "part.npy", "part-one.txt", "manifest.json"]
    for name in (*ours, *theirs):
        (tmp_path / name).touch()
    remove_parts(tmp_path, keep=["part-00000.npy"])
    assert names(tmp_path) == sorted(["part-00000.npy", *theirs])
