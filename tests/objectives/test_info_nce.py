from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sentemb.objectives.info_nce import info_nce
from tests import oracles

SHAPES = [(1, 1), (1, 5), (2, 1), (4, 3), (7, 16)]


@pytest.mark.parametrize(("batch", "dim"), SHAPES)
@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_agrees_with_the_paper_in_loops(batch, dim, temperature, rng):
    a, p = rng.normal(size=(2, batch, dim))
    got = info_nce(torch.tensor(a), torch.tensor(p), temperature=temperature)
    assert_allclose(got.numpy(), oracles.info_nce(a, p, temperature), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("batch", "dim"), SHAPES)
@pytest.mark.parametrize("alpha", [0.5, 1.0, 3.0])
def test_hard_negatives_agree_with_the_paper_in_loops(batch, dim, alpha, rng):
    a, p, n = rng.normal(size=(3, batch, dim))
    got = info_nce(*map(torch.tensor, (a, p)), negatives=torch.tensor(n), temperature=0.1, own_negative_weight=alpha)
    assert_allclose(got.numpy(), oracles.info_nce(a, p, 0.1, n, alpha), rtol=1e-10, atol=1e-12)


def test_duplicate_rows_and_ties(rng):
    a = np.repeat(rng.normal(size=(2, 4)), 2, axis=0)
    got = info_nce(torch.tensor(a), torch.tensor(a), temperature=0.05)
    assert_allclose(got.numpy(), oracles.info_nce(a, a, 0.05), rtol=1e-10)


@pytest.mark.parametrize("n", [1, 2, 64])
def test_all_rows_alike_gives_ln_of_the_number_of_candidates(n):
    rows = torch.ones(n, 8, dtype=torch.float64)
    assert_allclose(info_nce(rows, rows, temperature=0.05).numpy(), math.log(n), atol=1e-12)
    assert_allclose(info_nce(rows, rows, negatives=rows, temperature=0.05).numpy(), math.log(2 * n), atol=1e-12)


def test_equals_sentence_transformers_ranking_loss(rng):
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    from tests.tiny import tiny_encoder

    a, p, n = (torch.tensor(x, dtype=torch.float32) for x in rng.normal(size=(3, 6, 8)))
    theirs = MultipleNegativesRankingLoss(tiny_encoder(), scale=20.0)
    assert_allclose(
        info_nce(a, p, temperature=0.05).mean(), theirs.compute_loss_from_embeddings([a, p], None), rtol=1e-5
    )
    ours = info_nce(a, p, negatives=n, temperature=0.05).mean()
    assert_allclose(ours, theirs.compute_loss_from_embeddings([a, p, n], None), rtol=1e-5)


def test_gradients(rng):
    a, p, n = (torch.tensor(x, requires_grad=True) for x in rng.normal(size=(3, 3, 4)))
    assert torch.autograd.gradcheck(
        lambda *x: info_nce(x[0], x[1], negatives=x[2], temperature=0.5, own_negative_weight=2.0), (a, p, n)
    )


def test_invariant_to_batch_order_and_row_scale(rng):
    a, p = (torch.tensor(x) for x in rng.normal(size=(2, 6, 4)))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    whole = info_nce(a, p, temperature=0.1)
    assert_allclose(info_nce(a[order], p[order], temperature=0.1), whole[order], rtol=1e-12)
    assert_allclose(info_nce(7.0 * a, 0.1 * p, temperature=0.1), whole, rtol=1e-10)
    assert not np.allclose(info_nce(a, p[order], temperature=0.1), whole)  # the pairing matters


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow_at_a_small_temperature(dtype):
    rows = torch.eye(4, dtype=dtype)
    loss = info_nce(rows, rows.roll(1, 0), temperature=0.01)
    assert_allclose(loss.numpy(), 100.0, rtol=1e-4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        exact = info_nce(torch.tensor([[1.0, 0.003]]), torch.tensor([[0.003, 1.0], [1.0, 0.0]]), temperature=0.01)
    assert exact.dtype == torch.float32
    assert_allclose(
        exact.item(), oracles.info_nce(np.array([[1, 0.003]]), np.array([[0.003, 1], [1, 0]]), 0.01)[0], rtol=1e-4
    )


def test_offset_picks_the_positives_of_this_process(rng):
    a, p = (torch.tensor(x) for x in rng.normal(size=(2, 6, 4)))
    whole = info_nce(a, p, temperature=0.1)
    assert_allclose(
        torch.cat([info_nce(a[:3], p, temperature=0.1), info_nce(a[3:], p, temperature=0.1, offset=3)]), whole
    )


def test_an_own_weight_without_aligned_negatives_is_refused():
    rows = torch.ones(3, 2)
    with pytest.raises(ValueError, match="one negative per positive, not 2 for 3"):
        info_nce(rows, rows, negatives=rows[:2], temperature=1.0, own_negative_weight=2.0)
