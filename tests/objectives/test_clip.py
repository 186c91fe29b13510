from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sentemb.objectives.clip import clip
from sentemb.objectives.info_nce import info_nce
from tests.oracles import two_views as oracles
from tests.tiny import tiny_encoder

SHAPES = [(1, 1), (1, 5), (2, 1), (4, 3), (7, 16)]


def scalar(value: float, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.tensor(value, dtype=dtype)


@pytest.mark.parametrize(("batch", "dim"), SHAPES)
@pytest.mark.parametrize("log_scale", [-1.0, 0.0, math.log(1 / 0.07), 9.0])
def test_agrees_with_the_paper_in_loops(batch, dim, log_scale, rng):
    for sides in (rng.normal(size=(2, batch, dim)), oracles.repeated(rng, batch, dim)):
        got = clip(*map(torch.tensor, sides), log_scale=scalar(log_scale), max_scale=100.0)
        assert_allclose(got, oracles.clip(*sides, log_scale, 100.0), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_all_rows_alike_gives_ln_of_the_number_of_candidates(batch):
    rows = torch.ones(batch, 8, dtype=torch.float64)
    assert_allclose(clip(rows, rows, log_scale=scalar(3.0), max_scale=100.0), math.log(batch), atol=1e-12)


def test_is_the_mean_of_info_nce_both_ways(rng):
    first, second = torch.tensor(rng.normal(size=(2, 5, 4)))
    there, back = info_nce(first, second, temperature=0.1), info_nce(second, first, temperature=0.1)
    got = clip(first, second, log_scale=scalar(math.log(10.0)), max_scale=100.0)
    assert_allclose(got, (there + back) / 2, rtol=1e-10)
    assert not np.allclose(got, there)


def test_equals_sentence_transformers_at_a_fixed_scale(rng):
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    first, second = torch.tensor(rng.normal(size=(2, 6, 8)))
    theirs = MultipleNegativesRankingLoss(
        tiny_encoder(), scale=20.0, directions=("query_to_doc", "doc_to_query"), partition_mode="per_direction"
    )
    got = clip(first, second, log_scale=scalar(math.log(20.0)), max_scale=100.0)
    assert_allclose(got.mean(), theirs.compute_loss_from_embeddings([first, second], None), rtol=1e-6)


def test_the_scale_stops_at_the_maximum(rng):
    first, second = torch.tensor(rng.normal(size=(2, 5, 4)))
    at = clip(first, second, log_scale=scalar(math.log(100.0)), max_scale=100.0)
    for beyond in (5.0, 1000.0):
        log_scale = scalar(beyond).requires_grad_()
        got = clip(first, second, log_scale=log_scale, max_scale=100.0)
        assert_allclose(got.detach(), at, rtol=1e-10, atol=1e-12)
        got.sum().backward()
        assert log_scale.grad.item() == 0.0
    assert not np.allclose(at, clip(first, second, log_scale=scalar(4.0), max_scale=100.0))


def test_the_scale_learns_below_the_maximum(rng):
    first, second = torch.tensor(rng.normal(size=(2, 5, 4)))
    log_scale = scalar(1.0).requires_grad_()
    clip(first, second, log_scale=log_scale, max_scale=100.0).sum().backward()
    assert log_scale.grad.item() != 0.0


def test_gradients(rng):
    sides = [torch.tensor(x, requires_grad=True) for x in rng.normal(size=(2, 3, 4))]
    log_scale = scalar(1.0).requires_grad_()
    assert torch.autograd.gradcheck(lambda u, v, s: clip(u, v, log_scale=s, max_scale=100.0), (*sides, log_scale))


def test_gradients_are_finite_for_zero_and_equal_rows():
    for rows in (torch.zeros(2, 3), torch.ones(2, 3)):
        first = rows.clone().requires_grad_()
        clip(first, rows, log_scale=torch.tensor(4.6), max_scale=100.0).sum().backward()
        assert torch.isfinite(first.grad).all()


def test_invariant_to_batch_order_row_scale_and_the_order_of_the_sides(rng):
    first, second = torch.tensor(rng.normal(size=(2, 6, 4)))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    settings = {"log_scale": scalar(2.0), "max_scale": 100.0}
    whole = clip(first, second, **settings)
    assert_allclose(clip(first[order], second[order], **settings), whole[order], rtol=1e-10)
    assert_allclose(clip(7.0 * second, 0.1 * first, **settings), whole, rtol=1e-10)
    assert not np.allclose(clip(first, second[order], **settings), whole)  # the pairing matters


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow_at_a_large_scale(dtype, rng):
    first, second = torch.tensor(rng.normal(size=(2, 5, 8))).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = clip(first, second, log_scale=scalar(20.0, dtype), max_scale=100.0)
    assert got.dtype == torch.float32 and torch.isfinite(got).all()
    exact = clip(first.double(), second.double(), log_scale=scalar(20.0), max_scale=100.0)
    assert_allclose(got, exact, rtol=1e-4, atol=1e-4)


def test_nan_reaches_every_loss(rng):
    first, second = torch.tensor(rng.normal(size=(2, 3, 4)))
    assert clip(first, second, log_scale=scalar(math.nan), max_scale=100.0).isnan().all()
    first[0, 0] = math.nan
    assert clip(first, second, log_scale=scalar(1.0), max_scale=100.0).isnan().all()


def test_bad_input_is_refused():
    rows, log_scale = torch.ones(3, 2), torch.tensor(0.0)
    with pytest.raises(ValueError, match=r"one shape, not first \(3, 2\), second \(2, 2\)"):
        clip(rows, rows[:2], log_scale=log_scale, max_scale=100.0)
    with pytest.raises(ValueError, match="an empty batch has no loss"):
        clip(rows[:0], rows[:0], log_scale=log_scale, max_scale=100.0)
    with pytest.raises(ValueError, match=r"log_scale must be a scalar tensor, not \(1,\)"):
        clip(rows, rows, log_scale=log_scale[None], max_scale=100.0)
    with pytest.raises(ValueError, match="max_scale must be above 0, not 0.0"):
        clip(rows, rows, log_scale=log_scale, max_scale=0.0)
