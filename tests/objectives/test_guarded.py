from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sentence_transformers.sentence_transformer.losses import GISTEmbedLoss, gist_embed

from sentemb.objectives.guarded import guarded_info_nce
from sentemb.objectives.info_nce import info_nce
from tests.oracles import two_views as oracles
from tests.tiny import SENTENCES, tiny_encoder

SHAPES = [(1, 1), (1, 5), (2, 3), (4, 3), (7, 16)]
NAMES = ("anchors", "positives", "guide_anchors", "guide_positives", "negatives", "guide_negatives")


def rows(rng: np.random.Generator, batch: int, dim: int, guide_dim: int = 6) -> dict[str, np.ndarray]:
    return {n: rng.normal(size=(batch, guide_dim if n.startswith("guide") else dim)) for n in NAMES}


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(array) for name, array in arrays.items()}


def without_negatives(inputs: dict) -> dict:
    return {name: value for name, value in inputs.items() if "negatives" not in name}


@pytest.mark.parametrize(("batch", "dim"), SHAPES)
@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_agrees_with_the_paper_in_loops(batch, dim, temperature, rng):
    for _ in range(5):
        inputs = rows(rng, batch, dim)
        for given in (inputs, without_negatives(inputs)):
            got = guarded_info_nce(**tensors(given), temperature=temperature)
            expected = oracles.guarded_info_nce(**given, temperature=temperature)
            assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


def test_duplicate_rows_and_ties_stay(rng):
    """One-hot guides, so that ties are exact: cosines are 0 or 1."""
    inputs = rows(rng, 6, 4)
    inputs["anchors"][3] = inputs["anchors"][0]
    for name in NAMES:
        if name.startswith("guide"):
            inputs[name] = np.eye(6)[rng.integers(3, size=6)]
    got = guarded_info_nce(**tensors(inputs), temperature=0.5)
    assert_allclose(got, oracles.guarded_info_nce(**inputs, temperature=0.5), rtol=1e-10)


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_all_rows_alike_gives_ln_of_the_number_of_candidates(batch):
    same, guide = torch.ones(batch, 5, dtype=torch.float64), torch.eye(4, dtype=torch.float64)[[0] * batch]
    losses = guarded_info_nce(same, same, guide, guide, temperature=0.05)
    assert_allclose(losses, math.log(3 * batch - 2), atol=1e-12)
    losses = guarded_info_nce(same, same, guide, guide, temperature=0.05, negatives=same, guide_negatives=guide)
    assert_allclose(losses, math.log(4 * batch - 2), atol=1e-12)


def test_a_guide_that_only_tells_the_two_sides_apart_leaves_info_nce(rng):
    a, p = torch.tensor(rng.normal(size=(2, 5, 4)))
    side = torch.ones(5, 1, dtype=torch.float64)  # σ(a, p) = −1 for all pairs, σ(a, a) = σ(p, p) = 1
    assert_allclose(guarded_info_nce(a, p, side, -side, temperature=0.1), info_nce(a, p, temperature=0.1), rtol=1e-10)


def test_two_copies_of_a_text_are_no_negatives_of_themselves(rng):
    a, p, guide = torch.tensor(rng.normal(size=(3, 5, 4)))
    got = guarded_info_nce(a, p, guide, guide, temperature=0.1)
    assert_allclose(got, oracles.guarded_info_nce(*(x.numpy() for x in (a, p, guide, guide)), 0.1), rtol=1e-10)


@pytest.mark.parametrize("n_columns", [2, 3])
def test_equals_sentence_transformers_on_sentences(n_columns):
    encoder, guide = tiny_encoder(0), tiny_encoder(1)
    columns = [SENTENCES[:4], SENTENCES[4:], SENTENCES[2:6]][:n_columns]
    features = [encoder.preprocess(column) for column in columns]
    theirs = GISTEmbedLoss(encoder, guide, temperature=0.05)([dict(f) for f in features], None).item()
    with torch.no_grad():
        own, guides = ([e(dict(f))["sentence_embedding"] for f in features] for e in (encoder, guide))
    more = {} if n_columns == 2 else {"negatives": own[2], "guide_negatives": guides[2]}
    ours = guarded_info_nce(*own[:2], *guides[:2], temperature=0.05, **more).mean().item()
    assert_allclose(ours, theirs, rtol=1e-6)
    blind = [torch.ones(4, 1)] * 2
    if n_columns == 2:  # the premise: the guide drops something
        assert abs(guarded_info_nce(*own[:2], *blind, temperature=0.05).mean().item() - theirs) > 0.1


@pytest.mark.parametrize("n_columns", [2, 3])
def test_equals_sentence_transformers_on_vectors(n_columns, rng, monkeypatch):
    encoder, guide = tiny_encoder(0), tiny_encoder(1)
    monkeypatch.setattr(gist_embed, "embed_columns", lambda model, features: [f[str(model is guide)] for f in features])
    loss = GISTEmbedLoss(encoder, guide, temperature=0.05)
    for _ in range(10):
        inputs = tensors(rows(rng, 6, 8))
        given = inputs if n_columns == 3 else without_negatives(inputs)
        features = [
            {"False": inputs[name], "True": inputs["guide_" + name]} for name in ("anchors", "positives", "negatives")
        ]
        ours = guarded_info_nce(**given, temperature=0.05)
        assert_allclose(ours.mean(), loss(features[:n_columns], None), rtol=1e-6)


def test_the_guide_matters_and_gets_no_gradient(rng):
    inputs = {name: value.requires_grad_() for name, value in tensors(rows(rng, 6, 4)).items()}
    losses = guarded_info_nce(**inputs, temperature=0.5)
    losses.sum().backward()
    assert all((value.grad is None) == name.startswith("guide") for name, value in inputs.items())
    other = {**inputs, "guide_positives": inputs["guide_positives"].flip(0)}
    assert not np.allclose(losses.detach(), guarded_info_nce(**other, temperature=0.5).detach())


def test_gradients(rng):
    inputs = tensors(rows(rng, 3, 4))
    guides = {name: value for name, value in inputs.items() if name.startswith("guide")}
    own = tuple(inputs[name].requires_grad_() for name in ("anchors", "positives", "negatives"))
    assert torch.autograd.gradcheck(lambda a, p, n: guarded_info_nce(a, p, negatives=n, **guides, temperature=0.5), own)


def test_gradients_are_finite_when_all_negatives_are_dropped_and_for_zero_and_equal_rows():
    guide = torch.ones(2, 1)
    for vectors in (torch.zeros(2, 3), torch.ones(2, 3)):
        for guide_positives in (-guide, guide, torch.tensor([[-1.0], [1.0]])):
            anchors = vectors.clone().requires_grad_()
            losses = guarded_info_nce(anchors, vectors, guide, guide_positives, temperature=0.01)
            losses.sum().backward()
            assert torch.isfinite(losses).all() and torch.isfinite(anchors.grad).all()


def test_invariant_to_batch_order_and_row_scale(rng):
    inputs = tensors(rows(rng, 6, 4))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    whole = guarded_info_nce(**inputs, temperature=0.1)
    moved = {name: value[order] for name, value in inputs.items()}
    assert_allclose(guarded_info_nce(**moved, temperature=0.1), whole[order], rtol=1e-10)
    scaled = {name: 7.0 * value for name, value in inputs.items()}
    assert_allclose(guarded_info_nce(**scaled, temperature=0.1), whole, rtol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow_at_a_small_temperature(dtype, rng):
    inputs = {name: value.to(dtype) for name, value in tensors(rows(rng, 5, 8)).items()}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = guarded_info_nce(**inputs, temperature=0.01)
    assert got.dtype == torch.float32 and torch.isfinite(got).all()
    exact = guarded_info_nce(**{name: value.double() for name, value in inputs.items()}, temperature=0.01)
    assert_allclose(got, exact, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_nan_reaches_every_loss(name, rng):
    inputs = tensors(rows(rng, 4, 5))
    inputs[name][2, 0] = math.nan
    assert guarded_info_nce(**inputs, temperature=0.1).isnan().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0.0}, "temperature must be above 0, not 0.0"),
        ({"positives": torch.ones(2, 2)}, r"one shape, not anchors \(3, 2\), positives \(2, 2\)"),
        ({"anchors": torch.ones(0, 2), "positives": torch.ones(0, 2)}, "an empty batch has no loss"),
        ({"guide_anchors": torch.ones(3, 1)}, r"one shape, not guide_anchors \(3, 1\), guide_positives \(3, 4\)"),
        (
            {"guide_anchors": torch.ones(2, 4), "guide_positives": torch.ones(2, 4)},
            "guide_anchors must have the anchors' 3 rows, not 2",
        ),
        ({"negatives": torch.ones(5, 2)}, "negatives and guide_negatives must be given together"),
        (
            {"negatives": torch.ones(5, 2), "guide_negatives": torch.ones(4, 4)},
            r"must be \(5, 2\) and \(5, 4\), not \(\(5, 2\), \(4, 4\)\)",
        ),
    ],
)
def test_bad_input_is_refused(change, message):
    pairs, guides = torch.ones(3, 2), torch.ones(3, 4)
    good = {"anchors": pairs, "positives": pairs, "guide_anchors": guides, "guide_positives": guides}
    guarded_info_nce(**good, temperature=0.1)
    with pytest.raises(ValueError, match=message):
        guarded_info_nce(**{**good, "temperature": 0.1, **change})
