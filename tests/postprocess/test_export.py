"""A post-processor leaves with its encoder, as a module that plain sentence-transformers knows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sentence_transformers import SentenceTransformer

from sentemb.embedding import embed
from sentemb.encoder import append_affine, save_encoder
from sentemb.errors import DataError
from tests.postprocess.samples import MAKERS, whitening
from tests.tiny import SENTENCES, WORDS, tiny_encoder


@pytest.fixture(scope="module")
def encoder():
    return tiny_encoder()


@pytest.fixture(scope="module")
def texts():
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, size=rng.integers(3, 12))) for _ in range(300)]


# The tiny encoder ends in a layer norm with equal gains: its 32 dimensions vary along 31 directions.
FITTING = MAKERS | {
    "whitening": lambda: whitening(n_components=31),
    "whitening zca": lambda: whitening(form="zca", shrinkage=0.01),
}


def test_the_last_layer_norm_takes_a_direction(encoder, texts):
    with pytest.raises(DataError, match=r"1 of 32 directions have no variance: .*as they do after a layer norm"):
        whitening().fit(embed(encoder, texts))


@pytest.mark.parametrize("name", list(FITTING))
def test_the_saved_encoder_gives_the_transformed_embeddings(name, encoder, texts, tmp_path):
    fitted = FITTING[name]().fit(embed(encoder, texts))
    raw = embed(encoder, SENTENCES)
    expected = fitted.transform(raw)
    weight, bias = (torch.from_numpy(array) for array in fitted.affine())
    save_encoder(append_affine(encoder, weight, bias), tmp_path / "saved")
    plain = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    assert plain.get_embedding_dimension() == expected.shape[1]
    got = plain.encode(SENTENCES)
    if expected.shape == raw.shape:
        assert np.abs(raw - expected).max() > 0.1  # the premise: the map does something
    assert_allclose(got, expected, atol=1e-5)
