"""Each method raises STS-B dev on the bundled encoder, read out with [CLS], within a minute of training."""

from __future__ import annotations

import json
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
RECIPES += ["siamese", "moco", "swav", "deep-cluster", "instance-discrimination", "gist", "quick-thought"]
SETTINGS = ["encoder.pooling=cls", "evaluation.suite=null", "evaluation.dev=null", "data.limit=1280"]
SETTINGS += ["train.batch_size=32", "train.max_steps=40", "train.learning_rate=5.0e-5"]


@pytest.fixture(scope="module")
def dev():
    return STSDevEvaluator("stsb-dev")


@pytest.fixture(scope="module")
def untrained(dev):
    return dev(partial(embed, load("bundled:mini", "cls")))[dev.metric]


def test_cert_beats_the_untrained_one_before_it_sees_a_label(dev, untrained, tmp_path):
    """Its first stage, on the back-translated pairs; the second hardly moves."""
    settings = [
        "evaluation.suite=null",
        "evaluation.dev=null",
        "stages.0.data.limit=1280",
        "stages.0.train.max_steps=40",
    ]
    settings += ["stages.1.train.max_steps=1", "stages.1.train.learning_rate=1.0e-9"]
    train(load_recipe("smoke/cert", settings), tmp_path / "run", console=Console(quiet=True))
    trained = dev(partial(embed, load(str(tmp_path / "run" / "stages" / "1-cert"))))[dev.metric]
    assert trained > untrained + 1.0, f"cert: STS-B dev {untrained:.2f} before, {trained:.2f} after"


def test_masked_language_modelling_lowers_the_held_out_loss_and_not_the_dev_score_by_much(dev, untrained, tmp_path):
    """The bundled encoder was trained so already: STS-B dev doesn't rise, and isn't asked to."""
    settings = ["evaluation.suite=null", "stages.0.data.limit=2560", "stages.0.train.max_steps=40"]
    settings += ["stages.1.train.max_steps=1", "stages.0.train.eval_steps=20"]
    train(load_recipe("smoke/mlm", settings), tmp_path / "run", console=Console(quiet=True))
    stage = tmp_path / "run" / "stages" / "1-mlm"
    logged = [json.loads(line) for line in (stage / "metrics.jsonl").read_text().splitlines()]
    losses = [line["eval_masked_lm"] for line in logged if "eval_masked_lm" in line]
    assert losses[-1] < losses[0]
    assert abs(logged[-1]["eval_stsb_dev_spearman"] - untrained) < 3.0


@pytest.mark.parametrize("name", RECIPES)
def test_the_last_encoder_beats_the_untrained_one(name, dev, untrained, tmp_path):
    train(load_recipe(f"smoke/{name}", SETTINGS), tmp_path / "run", console=Console(quiet=True))
    trained = dev(partial(embed, load(str(tmp_path / "run"))))[dev.metric]
    assert trained > untrained + 1.0, f"{name}: STS-B dev {untrained:.2f} before, {trained:.2f} after"
