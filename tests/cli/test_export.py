from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from sentence_transformers import SentenceTransformer
from typer.testing import CliRunner

from sentemb.cli.export import export
from sentemb.errors import OutputError
from tests.hub.runs import make_run, recipe, run_facts, scores

app = typer.Typer()
app.command()(export)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run"), recipe_=recipe(), run=run_facts(), scores_=scores())


def test_it_prints_what_it_checked_and_what_to_do_next(run, tmp_path):
    out = tmp_path / "out"
    result = CliRunner().invoke(
        app, [str(run), "--output", str(out), "--name", "Tiny", "--license", "mit", "--language", "en"]
    )
    assert result.exit_code == 0, result.output
    assert "checked: plain SentenceTransformer(folder) opens it, with no flag" in result.stdout
    assert "largest difference: " in result.stdout
    assert f"Next: sentemb push {out} USER/REPO --dry-run" in result.stderr
    card = (out / "README.md").read_text(encoding="utf-8")
    assert "# Tiny" in card
    assert "license: mit" in card
    assert SentenceTransformer(str(out), device="cpu").encode(["dog"]).shape == (1, 32)


def test_json_is_all_that_stdout_holds(run, tmp_path):
    result = CliRunner().invoke(app, [str(run), "--output", str(tmp_path / "out"), "--json"])
    report = json.loads(result.stdout)
    assert report["check"]["largest_difference"] <= report["check"]["allowed"]
    assert report["modules"] == ["Transformer", "Pooling"]
    assert "names no licence" in result.stderr


def test_a_folder_that_is_not_empty_is_refused(run, tmp_path):
    (tmp_path / "a.txt").write_text("mine", encoding="utf-8")
    result = CliRunner().invoke(app, [str(run), "--output", str(tmp_path)])
    assert isinstance(result.exception, OutputError)
    assert "the folder is not empty (it holds a.txt)" in str(result.exception)


@pytest.mark.integration
def test_onnx_adds_the_file_and_says_what_was_checked(run, tmp_path):
    out = tmp_path / "out"
    result = CliRunner().invoke(app, [str(run), "--output", str(out), "--onnx"])
    assert result.exit_code == 0, result.output
    assert "checked: encoder.onnx gives 8 texts the same vectors in ONNX Runtime" in result.stdout
    assert (out / "encoder.onnx").stat().st_size > 1000
