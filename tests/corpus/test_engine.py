"""The fingerprint: equal for equal encoders wherever they lie, another for anything that changes an embedding."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sentemb.corpus.engine import fingerprint, open_engine
from sentemb.corpus.settings import EncodeSettings
from sentemb.errors import ConfigError, ModelError
from tests.tiny import SENTENCES, save_tiny


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("model") / "tiny")


def of(folder, **settings):
    return fingerprint(open_engine(str(folder), EncodeSettings(**settings)).encoder)


def test_equal_for_the_same_encoder_in_another_folder_and_after_use(tiny, tmp_path):
    copy = shutil.copytree(tiny, tmp_path / "copy")
    engine = open_engine(str(copy), EncodeSettings())
    assert fingerprint(engine.encoder) == of(tiny)
    engine(SENTENCES)
    engine.encoder.encode(SENTENCES, show_progress_bar=False)
    assert fingerprint(engine.encoder) == of(tiny)


def test_another_for_one_changed_weight_another_pooling_a_setting_or_a_token(tiny, tmp_path):
    found = {of(tiny), of(tiny, pooling="cls"), of(tiny, pooling="first_last_avg"), of(tiny, pooling="max")}
    weight = shutil.copytree(tiny, tmp_path / "weight")
    tensors = load_file(weight / "model.safetensors")
    name = next(name for name in tensors if name.endswith("layer.1.output.dense.bias"))
    tensors[name][0] = torch.nextafter(tensors[name][0], torch.tensor(9.0))
    save_file(tensors, weight / "model.safetensors", metadata={"format": "pt"})
    found.add(of(weight))
    config = shutil.copytree(tiny, tmp_path / "config")
    values = json.loads((config / "config.json").read_text())
    (config / "config.json").write_text(json.dumps(values | {"layer_norm_eps": 1e-6}))
    found.add(of(config))
    token = shutil.copytree(tiny, tmp_path / "token")
    text = (token / "tokenizer.json").read_text()
    assert '"piano"' in text
    (token / "tokenizer.json").write_text(text.replace('"piano"', '"viola"'))
    found.add(of(token))
    assert len(found) == 7


def test_max_tokens_is_a_setting_and_cuts(tiny):
    engine = open_engine(str(tiny), EncodeSettings(max_tokens=4))
    assert engine.max_tokens == 4 and fingerprint(engine.encoder) == of(tiny)
    a, b = engine(["the dog runs in the park", "the dog eats bread"])
    np.testing.assert_allclose(a, b, atol=1e-6)
    with pytest.raises(ModelError, match="--max-tokens is 65, but the encoder has 64 positions. Use 64 or fewer"):
        open_engine(str(tiny), EncodeSettings(max_tokens=65))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(tiny):
    assert open_engine(str(tiny), EncodeSettings()).device == "cpu"
    with pytest.raises(ConfigError, match="--device: cuda .* Use --device cpu or auto"):
        open_engine(str(tiny), EncodeSettings(device="cuda"))
