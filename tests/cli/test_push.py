from __future__ import annotations

import json
from pathlib import Path

import huggingface_hub
import pytest
import typer
from typer.testing import CliRunner

from sentemb.cli.push import push
from sentemb.errors import OutputError

app = typer.Typer()
app.command()(push)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    folder = tmp_path / "[out]"
    folder.mkdir()
    (folder / "modules.json").write_text('[{"path": ""}]', encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"x" * 1234)
    (folder / "README.md").write_text("card", encoding="utf-8")
    (folder / "[x].txt").write_text("text", encoding="utf-8")
    return folder


def test_a_dry_run_lists_files_sizes_total_and_what_stays_without_network_or_token(exported, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "HfApi", None)
    monkeypatch.setattr(huggingface_hub, "get_token", None)
    result = CliRunner().invoke(app, [str(exported), "me/x", "--dry-run"])
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["model.safetensors", "1,234"] in lines
    assert ["3", "files", "for", "me/x", "1,252"] in lines
    assert ["[x].txt", "text", "or", "data"] in lines
    assert "nothing was uploaded" in result.stderr


def test_json_says_what_was_done(exported, monkeypatch):
    result = CliRunner().invoke(app, [str(exported), "me/x", "--dry-run", "--private", "--json"])
    plan = json.loads(result.stdout)
    assert (plan["uploaded"], plan["url"], plan["private"], plan["revision"]) == (False, None, True, "main")
    assert plan["total_bytes"] == 1252
    assert plan["left_out"] == [{"path": "[x].txt", "reason": "text or data"}]


def test_without_dry_run_it_uploads(exported, monkeypatch):
    handed = {}

    class Api:
        def __init__(self, token: str) -> None:
            pass

        def create_repo(self, repo: str, **options: object) -> str:
            return f"https://huggingface.co/{repo}"

        def upload_folder(self, **options: object) -> None:
            handed.update(options)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    result = CliRunner().invoke(app, [str(exported), "me/x"])
    assert result.exit_code == 0, result.output
    assert handed["allow_patterns"] == ["README.md", "model.safetensors", "modules.json"]
    assert handed.get("delete_patterns") is None
    assert "Uploaded: https://huggingface.co/me/x" in result.stderr
    assert "hf_secret" not in result.output


def test_without_a_token_it_ends_with_one_message(exported, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    result = CliRunner().invoke(app, [str(exported), "me/x"])
    assert isinstance(result.exception, OutputError)
    assert "hf auth login" in str(result.exception)
