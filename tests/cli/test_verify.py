"""`sentemb encode --verify`: exit codes, one line, each fault, JSON on stdout only; the arguments of encode itself."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.corpus.encoded import write_encoded


@pytest.fixture
def folder(tmp_path):
    write_encoded(tmp_path / "out", np.ones((12, 4), dtype=np.float32))
    return tmp_path / "out"


def test_a_whole_folder_is_one_line(run_command, folder):
    code, out, errors = run_command("encode", "--verify", "out")
    assert code == 0 and not errors
    assert out.startswith("out: 12 rows in 3 parts, 0.0 MB: checksums, shapes, dtypes and ids are those of the")
    assert out.count("\n") == 1
    code, out, errors = run_command("encode", "--verify", "out", "--json")
    assert code == 0 and not errors
    size = sum(file.stat().st_size for file in folder.glob("part-*"))
    assert json.loads(out) == {"folder": "out", "status": "whole", "rows": 12, "parts": 3, "bytes": size, "faults": []}


def test_each_fault_is_told_and_the_exit_code_is_2(run_command, folder):
    (folder / "part-00000.npy").unlink()
    (folder / "part-00007.npy").touch()
    code, out, errors = run_command("encode", "--verify", "out")
    assert code == 2 and not out and errors.count("error ") == 2
    assert "error out/part-00000.npy: the manifest records this file, but it is missing. Put it back" in errors
    assert "error out/part-00007.npy: is in the folder, but the manifest does not record it. Remove it." in errors
    code, out, _ = run_command("encode", "--json", "--verify", "out")
    summary = json.loads(out)
    assert code == 2 and summary["status"] == "faulty"
    assert [fault["file"] for fault in summary["faults"]] == ["out/part-00000.npy", "out/part-00007.npy"]
    assert all(fault["problem"] and fault["remedy"] for fault in summary["faults"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--verify", "out", "bundled:mini"], "--verify: encodes nothing, so it takes no MODEL, INPUT and --output"),
        (["--verify", "out", "--output", "x"], "--verify: encodes nothing, so it takes no MODEL, INPUT and --output"),
        (["--verify", "gone"], "gone: there is no such folder. Name the --output of sentemb encode."),
        ([], 'MODEL: is missing. Name a folder, a hub name or "bundled:mini", then the inputs.'),
        (["bundled:mini", "a.txt"], "--output: is missing. Name the folder to write, as --output vectors."),
        (["bundled:mini", "--output", "x"], "INPUT: none is named"),
    ],
)
def test_what_is_missing_or_too_much(run_command, folder, arguments, expected):
    code, out, errors = run_command("encode", *arguments)
    assert code == 2 and expected in errors and not out
