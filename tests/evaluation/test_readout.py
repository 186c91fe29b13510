from __future__ import annotations

import pytest
import torch

from sentemb.embedding import embed
from sentemb.encoder import append_affine, append_tanh_layer, limit_tokens, load, save_encoder
from sentemb.errors import ModelError
from sentemb.evaluation.readout import describe_pooling
from tests.tiny import tiny_encoder


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "first_last_avg", "last2_avg"])
def test_a_pooler_is_told_by_its_name_also_after_saving(pooling, tmp_path):
    encoder = tiny_encoder(pooling=pooling, n_layers=3)
    assert describe_pooling(encoder) == pooling
    save_encoder(encoder, tmp_path / "saved")
    assert describe_pooling(load(str(tmp_path / "saved"))) == pooling


def test_layers_after_the_pooling_are_told():
    encoder = tiny_encoder(pooling="cls")
    assert describe_pooling(append_tanh_layer(encoder)) == "cls + tanh layer"
    assert describe_pooling(append_affine(encoder, torch.eye(32), torch.zeros(32))) == "cls + linear layer"


def test_texts_are_cut_to_the_tokens_asked_for():
    encoder = tiny_encoder()
    short, long = "a man", "a man plays the piano outside"
    assert not torch.allclose(*torch.tensor(embed(encoder, [short, long])))
    limit_tokens(encoder, 4, "tiny")  # [CLS] a man [SEP]
    assert torch.allclose(*torch.tensor(embed(encoder, [short, long])), atol=1e-6)


def test_more_tokens_than_positions_are_refused():
    with pytest.raises(ModelError, match="tiny: --max-tokens is 65, but the encoder has 64 positions. Use 64 or fewer"):
        limit_tokens(tiny_encoder(), 65, "tiny")
