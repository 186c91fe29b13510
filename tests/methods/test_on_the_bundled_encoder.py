"""Each method raises STS-B dev on the bundled encoder, read out with [CLS], within a minute of training."""

from __future__ import annotations

from functools import partial

import pytest
from rich.console import Console

from sentemb.embedding import embed
from sentemb.encoder import load
from sentemb.evaluation.dev import STSDevEvaluator
from sentemb.recipe.loader import load_recipe
from sentemb.recipe.run import train

pytestmark = pytest.mark.slow

RECIPES = ["simcse", "simcse-mlm", "simcse-supervised", "sbert-softmax", "sbert-regression", "sbert-triplet"]
RECIPES += ["siamese", "moco", "swav", "deep-cluster", "instance-discrimination", "gist"]
SETTINGS = ["encoder.pooling=cls", "evaluation.suite=null", "evaluation.dev=null", "data.limit=1280"]
SETTINGS += ["train.batch_size=32", "train.max_steps=40", "train.learning_rate=5.0e-5"]


@pytest.fixture(scope="module")
def dev():
    return STSDevEvaluator("stsb-dev")


@pytest.fixture(scope="module")
def untrained(dev):
    return dev(partial(embed, load("bundled:mini", "cls")))[dev.metric]


@pytest.mark.parametrize("name", RECIPES)
def test_the_last_encoder_beats_the_untrained_one(name, dev, untrained, tmp_path):
    train(load_recipe(f"smoke/{name}", SETTINGS), tmp_path / "run", console=Console(quiet=True))
    trained = dev(partial(embed, load(str(tmp_path / "run"))))[dev.metric]
    assert trained > untrained + 1.0, f"{name}: STS-B dev {untrained:.2f} before, {trained:.2f} after"
