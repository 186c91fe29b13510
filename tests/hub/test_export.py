from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize

from sentemb.embedding import embed
from sentemb.encoder import append_affine, append_tanh_layer, build_encoder, save_encoder
from sentemb.errors import ConfigError, DataError, ModelError, OutputError
from sentemb.hub import export as export_module
from sentemb.hub.export import export_encoder
from sentemb.hub.self_check import check_folder
from tests.hub.runs import make_run, recipe, run_facts, scores
from tests.tiny import SENTENCES, save_tiny, tiny_encoder

TEXTS = [*SENTENCES, "dog", "🙂 Ωμέγα", " ".join(["dog runs"] * 100)]


def _affine(encoder: SentenceTransformer) -> SentenceTransformer:
    generator = torch.Generator().manual_seed(1)
    return append_affine(encoder, torch.randn(8, 32, generator=generator), torch.randn(8, generator=generator))


def _plain(encoder: SentenceTransformer) -> SentenceTransformer:
    return encoder


def _normalised(encoder: SentenceTransformer) -> SentenceTransformer:
    return SentenceTransformer(modules=[*encoder, Normalize()], device="cpu")


def _perturb(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    name = "encoder.layer.1.output.LayerNorm.bias"  # the last one: no LayerNorm after it takes the change out again
    save_file(
        weights | {name: weights[name] + 1e-3 * torch.eye(32)[0]},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )


def _edit_json(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | changes), encoding="utf-8")


# ------------------------------------------------------------------------------------------------ vectors
@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "first_last_avg", "last2_avg"])
@pytest.mark.parametrize("tail", [_plain, _affine, append_tanh_layer, _normalised])
def test_plain_sentence_transformers_gives_the_same_vectors(pooling, tail, tmp_path):
    encoder = tail(tiny_encoder(pooling=pooling, n_layers=3))
    report = export_encoder(encoder, tmp_path / "out")
    found = SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(TEXTS)
    expected = embed(encoder, TEXTS)
    assert_allclose(found, expected, atol=1e-6 * max(1.0, abs(expected).max()))  # float32 rounds in proportion
    assert found.shape == (len(TEXTS), report.width)
    assert report.check.largest_difference <= report.check.allowed


def test_the_checkpoint_s_own_tanh_head_is_exported(tmp_path):
    encoder = build_encoder(str(save_tiny(tmp_path / "raw", pooler=True)), "cls_pooler")
    export_encoder(encoder, tmp_path / "out")
    found = SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(TEXTS)
    assert_allclose(found, embed(encoder, TEXTS), atol=1e-6)


@pytest.mark.parametrize("inside", ["", "encoder"])
def test_a_run_folder_is_exported_with_its_own_pooling_and_head(inside, tmp_path):
    encoder = append_tanh_layer(tiny_encoder(pooling="first_last_avg"))
    run = make_run(tmp_path / "run", encoder, run=run_facts())
    report = export_encoder(run / inside, tmp_path / "out")
    found = SentenceTransformer(str(tmp_path / "out"), device="cpu").encode(TEXTS)
    assert report.modules == ("Transformer", "WeightedLayerPooling", "Pooling", "Dense")
    assert_allclose(found, embed(encoder, TEXTS), atol=1e-6)
    assert "0123abc+" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")  # run.json was read


def test_a_raw_model_folder_is_exported(tmp_path):
    report = export_encoder(str(save_tiny(tmp_path / "raw")), tmp_path / "out")
    assert report.modules == ("Transformer", "Pooling")
    assert any("No run folder" in note for note in report.notes)


def test_files_written_are_those_reported_and_hold_no_path_of_this_machine(tmp_path):
    run = make_run(tmp_path / "run", recipe_=recipe(), run=run_facts(), scores_=scores())
    report = export_encoder(run, tmp_path / "out", license="mit", languages=["en"])
    written = {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    assert written == set(report.files)
    assert {"README.md", "modules.json", "model.safetensors", "1_Pooling/config.json", "tokenizer.json"} <= written
    for name in written:
        content = (tmp_path / "out" / name).read_bytes()
        assert str(tmp_path).encode() not in content, name
        assert len(content) == report.files[name]
    assert report.notes == ()
    assert json.loads(json.dumps(report.to_json()))["check"]["n_texts"] == 8


def test_an_empty_output_folder_is_used_and_no_other_file_is_left(tmp_path):
    (tmp_path / "out").mkdir()
    export_encoder(tiny_encoder(), tmp_path / "out")
    assert os.listdir(tmp_path) == ["out"]


# ------------------------------------------------------------------------------------------------ self-check
def test_the_self_check_passes_on_what_was_written_and_fails_when_a_weight_is_changed(tmp_path):
    encoder = tiny_encoder()
    save_encoder(encoder, tmp_path)
    check = check_folder(encoder, tmp_path)
    assert check.largest_difference <= check.allowed
    assert any("max_seq_length 64" in line for line in check.checks)
    _perturb(tmp_path)
    with pytest.raises(OutputError, match=r"failed its self-check: opened again it gives other vectors \(by up to"):
        check_folder(encoder, tmp_path)


@pytest.mark.parametrize(
    ("file", "changes", "problem"),
    [
        (
            "1_Pooling/config.json",
            {"pooling_mode_cls_token": True},
            r"pooling flags in 1_Pooling/config.json don't say mean",
        ),
        (
            "1_Pooling/config.json",
            {"pooling_mode_mean_tokens": None},
            r"pooling flags in 1_Pooling/config.json don't say",
        ),
        ("sentence_bert_config.json", {"max_seq_length": None}, r"has max_seq_length None, not 64"),
        ("config.json", {"model_type": "no-such-model"}, r"plain sentence-transformers does not open it"),
    ],
)
def test_the_self_check_refuses_a_broken_layout(file, changes, problem, tmp_path):
    encoder = tiny_encoder()
    save_encoder(encoder, tmp_path)
    _edit_json(tmp_path / file, **changes)
    with pytest.raises(OutputError, match=problem):
        check_folder(encoder, tmp_path)


def test_the_self_check_refuses_modules_with_code_of_their_own(tmp_path):
    encoder = tiny_encoder()
    save_encoder(encoder, tmp_path)
    modules = (tmp_path / "modules.json").read_text(encoding="utf-8")
    (tmp_path / "modules.json").write_text(
        modules.replace("sentence_transformers.sentence", "mine.sentence"), encoding="utf-8"
    )
    with pytest.raises(OutputError, match=r"needs code of its own \(mine\.sentence"):
        check_folder(encoder, tmp_path)


def test_the_self_check_refuses_pickled_weights(tmp_path):
    encoder = tiny_encoder()
    save_encoder(encoder, tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(OutputError, match="not in safetensors form"):
        check_folder(encoder, tmp_path)


@pytest.mark.parametrize("exists", [False, True])
def test_a_failed_self_check_leaves_nothing_behind(exists, tmp_path, monkeypatch):
    def save_wrong(encoder: SentenceTransformer, folder: Path) -> None:
        save_encoder(encoder, folder)
        _perturb(folder)

    if exists:
        (tmp_path / "out").mkdir()
    monkeypatch.setattr(export_module, "save_encoder", save_wrong)
    with pytest.raises(OutputError, match=r"out: the exported folder failed its self-check"):
        export_encoder(tiny_encoder(), tmp_path / "out")
    assert list(tmp_path.rglob("*")) == ([tmp_path / "out"] if exists else [])


def test_differences_are_allowed_in_proportion_to_large_vectors(tmp_path):
    encoder = append_affine(tiny_encoder(), 1e4 * torch.eye(32), torch.zeros(32))
    report = export_encoder(encoder, tmp_path / "out")
    largest = np.abs(embed(encoder, SENTENCES)).max()
    assert largest > 1e3  # the premise
    assert report.check.allowed > 1e-2


# ------------------------------------------------------------------------------------------------ refusals
def test_an_output_that_is_not_empty_is_refused_and_untouched(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="is not an empty folder"):
        export_encoder(tiny_encoder(), tmp_path / "out")
    assert (tmp_path / "out" / "thesis.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("license", ["Apache 2.0", "MIT", ""])
def test_a_licence_the_hub_would_refuse_is_refused_here(license, tmp_path):
    with pytest.raises(ConfigError, match=r"--license: .* is no licence identifier\. Use .*apache-2.0"):
        export_encoder(tiny_encoder(), tmp_path / "out", license=license)


def test_a_language_that_is_no_code_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r'--language: "English" is no language code'):
        export_encoder(tiny_encoder(), tmp_path / "out", languages=["en", "English"])


def test_a_run_without_an_encoder_is_refused(tmp_path):
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match=r"has written no encoder yet\. Finish it with sentemb train --resume"):
        export_encoder(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("recipe.resolved.yaml", "a: [", "is not a YAML file"),
        ("recipe.resolved.yaml", "- a", "holds no recipe"),
        ("recipe.resolved.yaml", "!!python/object/apply:os.getcwd []", "is not a YAML file"),
        ("run.json", '{"status": ', "is not a JSON file"),
        ("run.json", "[]", "holds no JSON object"),
        ("scores.json", '{"models": [{"tasks": {}}]}', "is not laid out as sentemb eval writes it"),
        (
            "scores.json",
            '{"models": [{"name": "a", "tasks": {"t": {"aggregation": {"all": "x"}}}}]}',
            "is not laid out",
        ),
    ],
)
def test_a_broken_file_of_the_run_is_named_and_nothing_is_written(file, content, problem, tmp_path):
    run = make_run(tmp_path / "run")
    (run / file).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=rf"{file}: {problem}"):
        export_encoder(run, tmp_path / "out")
    assert os.listdir(tmp_path) == ["run"]


def test_a_model_that_does_not_begin_with_a_transformer_is_refused(tmp_path):
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    tokenizer = tiny_encoder().tokenizer.backend_tokenizer
    encoder = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=4)], device="cpu")
    with pytest.raises(ModelError, match="begins with the module StaticEmbedding, not with a transformer"):
        export_encoder(encoder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unfinished_run_is_exported_and_said_to_be_unfinished(tmp_path):
    run = make_run(tmp_path / "run", run=run_facts(status="running"))
    report = export_encoder(run, tmp_path / "out")
    assert any("its status: running" in note for note in report.notes)
    assert "had not finished" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
