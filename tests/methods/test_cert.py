"""CERT: momentum contrast on back-translated pairs, then a stage on labelled data, as the shipped recipes have it."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from rich.console import Console
from torch.nn.functional import normalize

from sentemb.data.rows import read_rows
from sentemb.embedding import embed
from sentemb.encoder import load
from sentemb.recipe.build import build_method
from sentemb.recipe.loader import load_recipe
from sentemb.recipe.run import train as train_recipe
from tests.methods.shipped import numbered
from tests.methods.test_methods import train
from tests.oracles import schemes as oracles
from tests.tiny import save_tiny, tiny_encoder


def make(**changes):
    """The first stage of the smoke recipe on the tiny encoder, and eight of the pairs that come with sentemb."""
    torch.manual_seed(0)
    stage = load_recipe("smoke/cert").recipe.all_stages()[0]
    config = stage.method.model_copy(update={"queue_size": 20, "momentum": 0.9} | changes)
    method = build_method(config, stage, tiny_encoder(pooling="cls"), "bundled:mini", 8)
    return method, numbered(method, read_rows(stage.data.source, stage.row_type, limit=8))


def test_keys_are_queued_and_not_a_constant():
    """The released code writes its temperature where the keys should go."""
    method, batch = make()
    method.train()
    method.key_encoder.eval()
    keys = normalize(method.key_head(method.encode(batch)[1]), dim=-1).detach()
    assert (keys @ keys.T)[~torch.eye(8, dtype=torch.bool)].max() < 0.9999  # the premise: the keys are told apart
    for _ in range(3):
        method(batch)
    assert_allclose(method.queue, keys[method.queue_numbers], atol=1e-6)
    assert_allclose(method.queue.norm(dim=1), 1.0, atol=1e-6)
    assert method.queue.unique().numel() > 100 and not (method.queue == method.temperature).any()


def test_the_loss_is_the_paper_s_and_not_that_of_a_queue_of_constants():
    method, batch = make()
    train(method, batch, steps=3)
    method.eval()
    embeddings = method.encode(batch)
    arrays = [method.head(embeddings[0]), method.key_head(embeddings[1]), method.queue]
    q, k, queue = (x.detach().double().numpy() for x in arrays)
    own = (batch.numbers[:, None] == method.queue_numbers).numpy()
    got = method.objective(embeddings, batch).total.item()
    assert_allclose(got, np.mean(oracles.queue_info_nce(q, k, queue, 0.07, excluded=own)), rtol=1e-4)
    constants = np.full_like(queue, 0.07)
    assert abs(got - np.mean(oracles.queue_info_nce(q, k, constants, 0.07, excluded=own))) > 0.1


def test_the_two_wordings_are_query_and_key():
    method, batch = make()
    rows = read_rows("bundled:wiki-back-translated", "pairs", limit=8)
    queries, keys = method.eval().encode(batch).detach()
    for found, column in ((queries, 0), (keys, 1)):
        assert_allclose(found, embed(method.encoder, [row.texts[column] for row in rows]), atol=1e-5)
    assert abs(queries - keys).max() > 1e-3


def test_overfits_eight_pairs():
    """Judged in one state of heads and queue, that at the end: the encoder before and after."""
    method, batch = make()
    untrained = copy.deepcopy(method.encoder.state_dict())
    train(method, batch, steps=40)
    after = method.eval()(batch).total.item()
    method.encoder.load_state_dict(untrained)
    assert after < method(batch).total.item() - 0.3


def test_two_stages_leave_an_encoder_without_a_head(tmp_path):
    save_tiny(tmp_path / "tiny")
    settings = [f"encoder.name={tmp_path / 'tiny'}", "evaluation.suite=null", "stages.0.method.queue_size=16"]
    settings += [f"stages.{i}.{key}" for i in (0, 1) for key in ("data.limit=16", "train.batch_size=8")]
    settings += [f"stages.{i}.train.{key}" for i in (0, 1) for key in ("max_steps=2", "eval_steps=2")]
    run = train_recipe(load_recipe("smoke/cert", settings), tmp_path / "run", console=Console(quiet=True))
    facts = json.loads((run.folder / "run.json").read_text())
    assert list(facts["stages"]) == ["cert", "fine-tuning"]
    assert [type(module).__name__ for module in load(str(run.folder))] == ["Transformer", "Pooling"]


def test_the_recipe_of_the_paper_goes_by_two_pivots_and_its_queue_is_below_its_sentences():
    stage = load_recipe("cert/stsb-bert-large").recipe.all_stages()[0]
    there, back = zip(*((v[0].forward_model, v[0].backward_model) for v in stage.views), strict=True)
    assert [name.rsplit("-", 1)[1] for name in there] == ["zh", "de"]
    assert [name.split("-")[-2] for name in back] == ["zh", "de"]
    rows = read_rows(stage.data.source, stage.row_type, columns=stage.data.columns)
    assert len(rows) == 2 * 5749 > stage.method.queue_size
    assert (stage.method.temperature, stage.method.momentum, stage.train.batch_size) == (0.07, 0.999, 32)
    assert stage.method.queue_size % stage.train.batch_size == 0


@pytest.mark.parametrize("masking", ["tokens", "whole_words"])
def test_the_masked_lm_term_can_stand_beside_it(masking, tmp_path):
    save_tiny(tmp_path / "tiny")
    term = f"stages.0.method.mlm={{weight: 0.2, masking: {masking}}}"
    settings = [f"encoder.name={tmp_path / 'tiny'}", "evaluation.suite=null", "evaluation.dev=null", term]
    settings += ["stages.0.method.queue_size=16", "stages.0.train.log_steps=1"]
    settings += [f"stages.{i}.{key}" for i in (0, 1) for key in ("data.limit=16", "train.batch_size=8")]
    settings += [f"stages.{i}.train.max_steps=2" for i in (0, 1)]
    run = train_recipe(load_recipe("smoke/cert", settings), tmp_path / "run", console=Console(quiet=True))
    lines = (run.folder / "stages" / "1-cert" / "metrics.jsonl").read_text().splitlines()
    logged = [json.loads(line) for line in lines]
    assert logged and all(line["masked_lm"] > 1.0 for line in logged if "loss" in line)
