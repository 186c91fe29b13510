from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import HfHubHTTPError, HTTPError
from huggingface_hub.utils import filter_repo_objects

from sentemb.encoder import append_tanh_layer
from sentemb.errors import ConfigError, ModelError, OutputError
from sentemb.hub.export import export_encoder
from sentemb.hub.push import plan_push, push
from tests.hub.runs import make_run
from tests.tiny import tiny_encoder

httpx = importlib.import_module(HTTPError.__module__.split(".")[0])  # httpx or httpx2, whichever the hub library uses
TOKEN = "hf_SeCrEtSeCrEt"
ENCODER_FILES = {
    "1_Pooling/config.json",
    "2_Dense/config.json",
    "2_Dense/model.safetensors",
    "README.md",
    "config.json",
    "config_sentence_transformers.json",
    "model.safetensors",
    "modules.json",
    "sentence_bert_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
}
STRAY = {
    "optimizer.pt": "weights or state in pickle form",
    "pytorch_model.bin": "weights or state in pickle form",
    "training_args.json": "training state",
    "optimizer.safetensors": "training state",
    "metrics.jsonl": "measurements; the card holds the scores",
    "scores.json": "measurements; the card holds the scores",
    "recipe.resolved.yaml": "a recipe; the card holds it",
    "wiki.txt": "text or data",
    "pairs.tsv": "text or data",
    ".env": "hidden",
    "notes.md": "not part of an encoder",
    "2_Dense/rng_state.pth": "weights or state in pickle form",
    "2_Dense/README.md": "not part of an encoder",
}
STRAY_FOLDERS = ("checkpoints", "cache", ".cache", "3_Other")


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported folder in which much else lies about."""
    folder = tmp_path_factory.mktemp("push") / "out"
    export_encoder(append_tanh_layer(tiny_encoder()), folder)
    for name in STRAY:
        (folder / name).write_text("secret", encoding="utf-8")
    for name in STRAY_FOLDERS:
        (folder / name).mkdir()
        (folder / name / "model.safetensors").write_text("secret", encoding="utf-8")
    (folder / "vocab.txt").symlink_to(folder / "wiki.txt")
    (folder / "4_Link").symlink_to(folder / "2_Dense")
    return folder


class FakeApi:
    """A hub that only remembers what it was asked for."""

    calls: list[tuple[str, dict[str, Any]]]
    public = False
    error: Exception | None = None

    def __init__(self, token: str | None = None) -> None:
        assert token == TOKEN

    def create_repo(self, repo_id: str, **options: Any) -> str:
        if self.error is not None:
            raise self.error
        self.calls.append(("create_repo", {"repo_id": repo_id, **options}))
        return f"https://huggingface.co/{repo_id}"

    def repo_info(self, repo_id: str, **options: Any) -> SimpleNamespace:
        return SimpleNamespace(private=not self.public)

    def create_branch(self, repo_id: str, **options: Any) -> None:
        self.calls.append(("create_branch", {"repo_id": repo_id, **options}))

    def upload_folder(self, folder_path: str, allow_patterns: list[str], **options: Any) -> None:
        """Picks the files as the real one does: those of the whole folder that match the patterns."""
        inside = [path.relative_to(folder_path).as_posix() for path in Path(folder_path).rglob("*") if path.is_file()]
        handed = sorted(filter_repo_objects(inside, allow_patterns=allow_patterns))
        self.calls.append(("upload_folder", {"files": handed, **options}))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> type[FakeApi]:
    class Api(FakeApi):
        calls: list[tuple[str, dict[str, Any]]] = []  # noqa: RUF012 - one list per test

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return Api


def _refusal(status: int, text: str) -> HfHubHTTPError:
    return HfHubHTTPError(
        text, response=httpx.Response(status, request=httpx.Request("POST", "https://huggingface.co"))
    )


# ------------------------------------------------------------------------------------------------ what goes
def test_only_the_encoder_s_own_files_are_planned_and_each_other_one_has_a_reason(exported):
    plan = plan_push(exported, "me/my-encoder")
    assert {file.path for file in plan.files} == ENCODER_FILES
    assert plan.total_bytes == sum((exported / name).stat().st_size for name in ENCODER_FILES)
    left = {entry.path: entry.reason for entry in plan.left_out}
    folders = {f"{name}/": "not a module of the encoder" for name in STRAY_FOLDERS}
    assert left == STRAY | folders | {"vocab.txt": "a link", "4_Link": "a link"}


def test_exactly_the_planned_files_are_handed_over_in_one_commit_that_deletes_nothing(exported, hub):
    url = push(plan_push(exported, "me/my-encoder"))
    assert url == "https://huggingface.co/me/my-encoder"
    assert [name for name, _ in hub.calls] == ["create_repo", "upload_folder"]
    upload = hub.calls[-1][1]
    assert set(upload["files"]) == ENCODER_FILES
    assert upload["repo_id"] == "me/my-encoder"
    assert "delete_patterns" not in upload
    assert hub.calls[0][1]["private"] is None


def test_private_branch_and_message_are_passed_on(exported, hub):
    push(plan_push(exported, "me/my-encoder"), private=True, revision="try", message="First try")
    (_, made), (branching, branch), (_, commit) = hub.calls
    assert made["private"] is True
    assert (branching, branch["branch"], branch["exist_ok"]) == ("create_branch", "try", True)
    assert (commit["revision"], commit["commit_message"]) == ("try", "First try")


def test_a_public_repository_is_refused_when_private_was_asked_for(exported, hub, monkeypatch):
    monkeypatch.setattr(hub, "public", True)
    with pytest.raises(OutputError, match="is there already and is public; nothing was uploaded"):
        push(plan_push(exported, "me/my-encoder"), private=True)
    assert [name for name, _ in hub.calls] == ["create_repo"]


def test_planning_makes_no_api_and_needs_no_token(exported, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(huggingface_hub, "HfApi", None)
    monkeypatch.setattr(huggingface_hub, "get_token", None)
    assert plan_push(exported, "me/my-encoder").files


# ------------------------------------------------------------------------------------------------ refusals
def test_without_a_token_it_says_how_to_log_in(exported, hub, monkeypatch):
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(OutputError, match=r"no token for the hub .* Log in with hf auth login, or set HF_TOKEN"):
        push(plan_push(exported, "me/my-encoder"))
    assert hub.calls == []


def test_without_a_network_it_says_so(exported, monkeypatch):
    """The real API: the tests run with HF_HUB_OFFLINE=1."""
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(OutputError, match=r"could not be reached, .*HF_HUB_OFFLINE") as caught:
        push(plan_push(exported, "me/my-encoder"))
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (_refusal(401, f"Invalid credentials {TOKEN}"), r"does not accept the token\. Log in again"),
        (_refusal(403, f"Forbidden {TOKEN}"), r"the token may not write there\. Name a repository under your own"),
        (_refusal(400, f"Bad license {TOKEN}\nmore"), r'the hub refused \("Bad license \*\*\* more"\)'),
        (
            ValueError(f"Invalid metadata in README.md.\n{TOKEN}"),
            r'the hub refused \("Invalid metadata in README\.md\. \*\*\*"\)',
        ),
        (ConnectionError(f"reset {TOKEN}"), r'the upload broke off \("reset \*\*\*"\)'),
        (httpx.ConnectError(f"no route {TOKEN}"), r'the upload broke off \("no route \*\*\*"\)'),
        (RuntimeError(f"xet: {TOKEN}"), r'the upload broke off \("xet: \*\*\*"\)'),
    ],
)
def test_what_the_hub_says_becomes_one_message_without_the_token(error, message, exported, hub, monkeypatch):
    monkeypatch.setattr(hub, "error", error)
    with pytest.raises(OutputError, match=message) as caught:
        push(plan_push(exported, "me/my-encoder"))
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    "repo", ["my-encoder", "a/b/c", "me/", "/x", "me/my encoder", "me/a--b", "me/x.git", "me/" + "x" * 100]
)
def test_a_repository_name_that_the_hub_would_refuse_is_refused_here(repo, exported):
    with pytest.raises(ConfigError, match=r"USER/REPO: .*owner/name"):
        plan_push(exported, repo)


def test_a_folder_that_is_no_export_is_refused(tmp_path):
    with pytest.raises(ModelError, match="there is no such folder"):
        plan_push(tmp_path / "none", "me/x")
    with pytest.raises(ModelError, match=r"lacks modules\.json, README\.md, \*\.safetensors"):
        plan_push(tmp_path, "me/x")
    run = make_run(tmp_path / "run")
    with pytest.raises(ModelError, match=r"is a run folder, .* sentemb export"):
        plan_push(run, "me/x")
    with pytest.raises(ModelError, match=r"is no exported encoder \(it lacks README\.md\)"):
        plan_push(run / "encoder", "me/x")


@pytest.mark.parametrize("content", ["{", '[{"name": "0"}]', "3", '"text"'])
def test_a_broken_list_of_modules_is_named(content, tmp_path):
    for name in ("README.md", "model.safetensors"):
        (tmp_path / name).write_text("", encoding="utf-8")
    (tmp_path / "modules.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=r"modules\.json: is not a list of modules"):
        plan_push(tmp_path, "me/x")


def test_a_module_path_that_leaves_the_folder_is_not_followed(tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "config.json").write_text("secret", encoding="utf-8")
    folder = tmp_path / "out"
    folder.mkdir()
    for name in ("README.md", "model.safetensors"):
        (folder / name).write_text("", encoding="utf-8")
    (folder / "modules.json").write_text('[{"path": ""}, {"path": "../secret"}, {"path": ".."}]', encoding="utf-8")
    assert {file.path for file in plan_push(folder, "me/x").files} == set(os.listdir(folder))
