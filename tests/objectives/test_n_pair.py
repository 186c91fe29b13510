from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sentemb.objectives.n_pair import n_pair
from tests.oracles import metric_learning as oracles


@pytest.mark.parametrize(("batch", "dim"), [(1, 1), (1, 5), (2, 1), (4, 3), (7, 16)])
@pytest.mark.parametrize("l2_weight", [0.0, 0.02, 1.0])
def test_agrees_with_the_paper_in_loops(batch, dim, l2_weight, rng):
    a, p = rng.normal(size=(2, batch, dim))
    got = n_pair(torch.tensor(a), torch.tensor(p), l2_weight=l2_weight)
    assert_allclose(got, oracles.n_pair(a, p, l2_weight), rtol=1e-10, atol=1e-12)


def test_duplicate_rows_and_ties(rng):
    a = np.repeat(rng.normal(size=(2, 4)), 2, axis=0)
    got = n_pair(torch.tensor(a), torch.tensor(a), l2_weight=0.1)
    assert_allclose(got, oracles.n_pair(a, a, 0.1), rtol=1e-10)


@pytest.mark.parametrize("n", [1, 2, 64])
def test_all_rows_alike_gives_ln_of_the_batch_and_the_squared_norm(n):
    rows = 2 * torch.ones(n, 3, dtype=torch.float64)
    assert_allclose(n_pair(rows, rows, l2_weight=0.0), math.log(n), atol=1e-12)
    assert_allclose(n_pair(rows, rows, l2_weight=0.5), math.log(n) + 0.5 * 12, rtol=1e-12)


def test_the_dot_product_is_raw():
    a, p = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[3.0, 0.0], [0.0, 1.0]])
    got = n_pair(a, p, l2_weight=0.0)
    assert_allclose(got, [math.log1p(math.exp(-6)), math.log1p(math.exp(-1))], rtol=1e-4)


def test_equals_sentence_transformers_ranking_loss_with_the_dot_product(rng):
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.util import dot_score

    from tests.tiny import tiny_encoder

    a, p = (torch.tensor(x) for x in rng.normal(size=(2, 6, 8)))
    theirs = MultipleNegativesRankingLoss(tiny_encoder(), scale=1.0, similarity_fct=dot_score)
    expected = theirs.compute_loss_from_embeddings([a, p], None)
    assert_allclose(n_pair(a, p, l2_weight=0.0).mean(), expected, rtol=1e-6)


def test_gradients(rng):
    pair = tuple(torch.tensor(x, requires_grad=True) for x in rng.normal(size=(2, 3, 4)))
    assert torch.autograd.gradcheck(lambda a, p: n_pair(a, p, l2_weight=0.3), pair)


def test_invariant_to_batch_order(rng):
    a, p = (torch.tensor(x) for x in rng.normal(size=(2, 6, 4)))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    whole = n_pair(a, p, l2_weight=0.1)
    assert_allclose(n_pair(a[order], p[order], l2_weight=0.1), whole[order], rtol=1e-12)
    assert not np.allclose(n_pair(a, p[order], l2_weight=0.1), whole)  # the pairing matters


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow_for_long_rows(dtype):
    rows = 300 * torch.eye(4, dtype=dtype)  # dot products of 90,000: beyond float16, and their exponential beyond all
    loss = n_pair(rows, rows.roll(1, 0), l2_weight=0.01)
    assert loss.dtype == torch.float32
    assert_allclose(loss, 90_000 * 1.01, rtol=1e-2 if dtype == torch.bfloat16 else 1e-6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        exact = n_pair(torch.tensor([[1.003]]), torch.tensor([[1.003]]), l2_weight=1.0)
    assert_allclose(exact, 1.003**2, rtol=1e-6)


def test_nan_is_not_dropped(rng):
    a, p = (torch.tensor(x) for x in rng.normal(size=(2, 3, 2)))
    a[1, 0] = torch.nan
    assert n_pair(a, p, l2_weight=0.0).isnan().tolist() == [False, True, False]
    assert n_pair(p, a, l2_weight=0.0).isnan().all()  # a negative of every anchor


def test_bad_input_is_refused():
    rows = torch.ones(3, 2)
    with pytest.raises(ValueError, match="l2_weight must be 0 or above, not -0.1"):
        n_pair(rows, rows, l2_weight=-0.1)
    with pytest.raises(ValueError, match="l2_weight must be 0 or above, not nan"):
        n_pair(rows, rows, l2_weight=math.nan)
    with pytest.raises(ValueError, match=r"one shape, not anchors \(3, 2\), positives \(2, 2\)"):
        n_pair(rows, rows[:2], l2_weight=0.0)
    with pytest.raises(ValueError, match="an empty batch has no loss"):
        n_pair(rows[:0], rows[:0], l2_weight=0.0)
