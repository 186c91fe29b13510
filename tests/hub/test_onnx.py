"""`sentemb export --onnx`: the whole encoder in one file, compared in ONNX Runtime; and encoders that end in a flow."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sentence_transformers import SentenceTransformer

from sentemb.embedding import embed
from sentemb.encoder import (
    append_affine,
    append_flow,
    append_tanh_layer,
    build_encoder,
    insert_convolutions,
    load,
    save_encoder,
)
from sentemb.errors import ConfigError, OutputError
from sentemb.hub import onnx
from sentemb.hub.export import export_encoder
from sentemb.hub.push import plan_push
from sentemb.hub.self_check import check_onnx
from tests.augment.tiny_roberta import save_tiny_roberta
from tests.postprocess.flows import trained_flow
from tests.tiny import SENTENCES, tiny_encoder

TEXTS = [*SENTENCES, "dog", "🙂 Ωμέγα", " ".join(["dog runs"] * 100)]


@pytest.fixture(scope="module")
def flow_encoder():
    return append_flow(tiny_encoder(), trained_flow(32, n_levels=3).float())


@pytest.fixture(scope="module")
def exported(flow_encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx") / "with-flow"
    return folder, export_encoder(flow_encoder, folder, license="mit", onnx=True)


def test_a_flow_is_exported_with_all_that_opens_it(flow_encoder, exported):
    folder, report = exported
    expected = embed(flow_encoder, TEXTS)
    assert_allclose(embed(load(str(folder)), TEXTS), expected, atol=1e-5)
    plain = SentenceTransformer(str(folder), device="cpu", trust_remote_code=True)
    assert_allclose(plain.encode(TEXTS), expected, atol=1e-5)
    assert_allclose(onnx.OnnxEncoder(folder)(TEXTS), expected, atol=1e-4)
    checked = "\n".join(report.check.checks)
    assert "sentence-transformers' own but the flow" in checked
    assert "opens it, with trust_remote_code=True and sentemb installed" in checked and "no flag" not in checked
    assert "encoder.onnx gives 8 texts the same vectors in ONNX Runtime, in one batch and alone" in checked
    assert report.files["encoder.onnx"] == (folder / "encoder.onnx").stat().st_size


def test_the_card_of_a_flow_says_what_opens_it_and_its_code_runs(exported, flow_encoder, tmp_path):
    folder, _ = exported
    card = (folder / "README.md").read_text()
    assert "with no flag" not in card
    assert "with `trust_remote_code=True` where sentemb is installed; `encoder.onnx` needs neither" in card
    blocks = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
    assert len(blocks) == 2
    assert 'SentenceTransformer("with-flow", trust_remote_code=True)' in blocks[0]
    script = blocks[1] + "import sys\nassert 'torch' not in sys.modules\nnp.save(sys.argv[1], embeddings)\n"
    subprocess.run([sys.executable, "-c", script, tmp_path / "found.npy"], cwd=folder.parent, check=True)
    expected = embed(flow_encoder, ["A man is playing a guitar.", "Someone plays an instrument."])
    assert_allclose(np.load(tmp_path / "found.npy"), expected, atol=1e-4)


def test_the_file_is_pushed_with_the_folder(exported):
    assert "encoder.onnx" in {file.path for file in plan_push(exported[0], "me/x").files}


def test_weights_too_large_for_one_file_lie_beside_it_and_are_pushed_too(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx, "_ONE_FILE", 0)
    encoder = tiny_encoder()
    report = export_encoder(encoder, tmp_path / "out", onnx=True)
    assert report.files["encoder.onnx.data"] > 50_000  # what is small stays in the graph
    pushed = {file.path for file in plan_push(tmp_path / "out", "me/x").files}
    assert {"encoder.onnx", "encoder.onnx.data"} <= pushed


def roberta(folder):
    save_tiny_roberta(folder / "roberta")
    encoder = build_encoder(str(folder / "roberta"))
    encoder.max_seq_length = 32  # of 34 positions; two are the padding's
    return encoder


@pytest.mark.integration
@pytest.mark.parametrize(
    "build",
    [
        lambda _: tiny_encoder(pooling="first_last_avg", n_layers=3),
        lambda _: append_tanh_layer(tiny_encoder(pooling="cls")),
        lambda _: append_affine(tiny_encoder(pooling="max"), *_affine()),
        roberta,
    ],
    ids=["first_last_avg", "tanh on cls", "affine on max", "roberta, whose positions skip padding"],
)
def test_every_readout_gives_the_same_vectors_whatever_the_padding(build, tmp_path):
    encoder = build(tmp_path)
    onnx.export_onnx(encoder, _saved(encoder, tmp_path / "out"))
    session = onnx.OnnxEncoder(tmp_path / "out")
    expected = embed(encoder, TEXTS)
    assert_allclose(session(TEXTS), expected, atol=1e-5)
    for text, vector in zip(TEXTS, expected, strict=True):
        assert_allclose(session([text])[0], vector, atol=1e-5)


@pytest.mark.integration
def test_convolutions_do_not_read_padding(tmp_path):
    encoder = insert_convolutions(tiny_encoder(), 8, relu=False)
    folder = _saved(encoder, tmp_path / "out")
    onnx.export_onnx(encoder, folder)
    expected = embed(encoder, TEXTS)
    assert_allclose(onnx.OnnxEncoder(folder)(TEXTS), expected, atol=1e-5)


def test_the_check_tells_another_encoders_file(tmp_path):
    encoder = tiny_encoder()
    folder = _saved(encoder, tmp_path / "out")
    onnx.export_onnx(tiny_encoder(seed=1), folder)
    with pytest.raises(OutputError, match="self-check: as ONNX it gives other vectors"):
        check_onnx(encoder, folder)


def test_the_encoder_in_memory_is_left_as_it_was(tmp_path):
    encoder = tiny_encoder().train()
    onnx.export_onnx(encoder, _saved(encoder, tmp_path / "out"))
    assert encoder.training
    trained = {name for name, p in encoder.named_parameters() if p.requires_grad}
    assert trained == {name for name, _ in encoder.named_parameters() if ".pooler." not in name}


def test_a_missing_package_is_told_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx, "find_spec", lambda name: None if name == "onnxscript" else find_spec(name))
    with pytest.raises(ConfigError, match=r"--onnx: onnxscript missing. Install them: pip install 'sentemb\[onnx\]'"):
        export_encoder(tiny_encoder(), tmp_path / "out", onnx=True)
    assert not list(tmp_path.iterdir())


def _saved(encoder, folder):
    save_encoder(encoder, folder)
    return folder


def _affine():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(8, 32, generator=generator), torch.randn(8, generator=generator)


def test_the_card_of_a_postprocessed_encoder_tells_how_it_was_made(tmp_path):
    folder = _saved(append_affine(tiny_encoder(), *_affine()), tmp_path / "whitened")
    fit = {
        "sentemb": "0.1.0",
        "model": "owner/name",
        "settings": {"kind": "whitening", "n_components": 8},
        "corpus": {"source": "/home/ann/texts.txt", "files": [{"name": "texts.txt", "bytes": 9, "sha256": "ab" * 32}]},
        "n_fitted": 1234,
        "before": {"stsb_dev_spearman": 67.16},
        "after": {"stsb_dev_spearman": 75.77},
    }
    (folder / "postprocess.json").write_text(json.dumps(fit))
    report = export_encoder(str(folder), tmp_path / "out", license="mit")
    card = (tmp_path / "out" / "README.md").read_text()
    assert "A sentence encoder, made from `owner/name`" in card and "base_model: owner/name" in card
    assert "Whitening (`whitening`; Su et al. 2021)" in card and "su2021whitening" in card
    assert "| `texts.txt` |  | 1,234 | `texts.txt` 9 bytes, SHA-256" in card and "/home/ann" not in card
    assert "| stsb-dev | dev | all | 67.16 | 75.77 |" in card and "This encoder is `after`." in card
    assert report.notes == ()
    fit["settings"] = 3
    (folder / "postprocess.json").write_text(json.dumps(fit))
    assert "No run folder" in export_encoder(str(folder), tmp_path / "again", license="mit").notes[0]
