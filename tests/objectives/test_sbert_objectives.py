from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sentemb.objectives.cosine_regression import cosine_regression
from sentemb.objectives.softmax_pairs import PARTS, concatenate_pair
from sentemb.objectives.triplet import triplet_euclidean
from tests import oracles
from tests.tiny import tiny_encoder

SHAPES = [(1, 1), (1, 4), (3, 1), (5, 8)]


@pytest.mark.parametrize(("batch", "dim"), SHAPES)
def test_regression_agrees_with_the_paper_in_loops(batch, dim, rng):
    u, v = rng.normal(size=(2, batch, dim))
    gold = rng.uniform(size=batch)
    got = cosine_regression(*map(torch.tensor, (u, v, gold)))
    assert_allclose(got, oracles.cosine_regression(u, v, gold), rtol=1e-10, atol=1e-14)


def test_regression_of_a_zero_vector_is_the_gold_score_squared():
    assert cosine_regression(torch.zeros(1, 3), torch.ones(1, 3), torch.tensor([0.5])).item() == 0.25


@pytest.mark.parametrize(("batch", "dim"), SHAPES)
@pytest.mark.parametrize("margin", [0.1, 1.0, 5.0])
def test_triplet_agrees_with_the_paper_in_loops(batch, dim, margin, rng):
    a, p, n = rng.normal(size=(3, batch, dim))
    got = triplet_euclidean(*map(torch.tensor, (a, p, n)), margin=margin)
    assert_allclose(got, oracles.triplet(a, p, n, margin), rtol=1e-10, atol=1e-12)


def test_triplet_is_not_squared_and_not_normalised():
    a, p, n = torch.zeros(1, 2), torch.tensor([[6.0, 8.0]]), torch.tensor([[0.0, 1.0]])
    assert triplet_euclidean(a, p, n, margin=1.0).item() == 10.0 - 1.0 + 1.0


def test_triplet_of_equal_texts_has_a_finite_gradient():
    rows = torch.ones(2, 3, requires_grad=True)
    triplet_euclidean(rows, rows.detach(), rows.detach(), margin=1.0).sum().backward()
    assert torch.isfinite(rows.grad).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_float32_losses(dtype, rng):
    a, p, n = (torch.tensor(x).to(dtype) for x in 200 * rng.normal(size=(3, 2, 8)))  # squares overflow float16
    losses = triplet_euclidean(a, p, n, margin=1.0)
    assert losses.dtype == torch.float32 and torch.isfinite(losses).all()
    assert_allclose(losses, oracles.triplet(*(x.double().numpy() for x in (a, p, n)), 1.0), rtol=1e-4)


def test_equal_to_sentence_transformers(rng):
    from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss, TripletLoss

    a, p, n = (torch.tensor(x, dtype=torch.float32) for x in rng.normal(size=(3, 6, 32)))
    gold = torch.linspace(0, 1, 6)
    encoder = tiny_encoder()
    theirs = CosineSimilarityLoss(encoder).compute_loss_from_embeddings([a, p], gold)
    assert_allclose(cosine_regression(a, p, gold).mean(), theirs, rtol=1e-6)
    theirs = TripletLoss(encoder, triplet_margin=1).compute_loss_from_embeddings([a, p, n], None)
    assert_allclose(
        triplet_euclidean(a, p, n, margin=1.0).mean(), theirs, rtol=1e-4
    )  # theirs adds 1e-6 inside the norm


@pytest.mark.parametrize("mode", list(PARTS))
def test_concatenation_is_what_its_name_says(mode, rng):
    u, v = rng.normal(size=(2, 4, 3))
    expected = {"u": u, "v": v, "|u-v|": np.abs(u - v), "u*v": u * v}
    got = concatenate_pair(torch.tensor(u), torch.tensor(v), mode)
    assert_allclose(got, np.concatenate([expected[part] for part in mode.split(",")], axis=1))


@pytest.mark.parametrize("objective", ["regression", "triplet"])
def test_gradients(objective, rng):
    a, p, n = (torch.tensor(x, requires_grad=True) for x in rng.normal(size=(3, 3, 4)))
    if objective == "regression":
        gold = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
        assert torch.autograd.gradcheck(lambda u, v: cosine_regression(u, v, gold), (a, p))
    else:
        assert torch.autograd.gradcheck(lambda *x: triplet_euclidean(*x, margin=1.0), (a, p, n))
