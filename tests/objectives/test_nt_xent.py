from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sentemb.objectives.nt_xent import nt_xent
from tests.oracles import two_views as oracles
from tests.tiny import tiny_encoder

SHAPES = [(1, 1), (1, 5), (2, 1), (4, 3), (7, 16)]


@pytest.mark.parametrize(("batch", "dim"), SHAPES)
@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_agrees_with_the_paper_in_loops(batch, dim, temperature, rng):
    for views in (rng.normal(size=(2, batch, dim)), oracles.repeated(rng, batch, dim)):
        got = nt_xent(*map(torch.tensor, views), temperature=temperature)
        assert_allclose(got, oracles.nt_xent(*views, temperature), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_all_rows_alike_gives_ln_of_the_number_of_candidates(batch):
    rows = torch.ones(batch, 8, dtype=torch.float64)
    losses = nt_xent(rows, rows, temperature=0.05)
    assert losses.shape == (2 * batch,)
    assert_allclose(losses, math.log(2 * batch - 1), atol=1e-12)


def test_equals_sentence_transformers_with_negatives_of_both_views(rng):
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    first, second = torch.tensor(rng.normal(size=(2, 6, 8)))
    theirs = MultipleNegativesRankingLoss(tiny_encoder(), scale=20.0, directions=("query_to_doc", "query_to_query"))
    got = nt_xent(first, second, temperature=0.05)
    assert_allclose(got[:6].mean(), theirs.compute_loss_from_embeddings([first, second], None), rtol=1e-6)
    assert_allclose(got[6:].mean(), theirs.compute_loss_from_embeddings([second, first], None), rtol=1e-6)


def test_gradients(rng):
    views = tuple(torch.tensor(x, requires_grad=True) for x in rng.normal(size=(2, 3, 4)))
    assert torch.autograd.gradcheck(lambda *x: nt_xent(*x, temperature=0.5), views)


def test_gradients_are_finite_for_zero_rows_duplicates_and_one_text():
    for rows in (torch.zeros(2, 3), torch.ones(2, 3), torch.ones(1, 3)):
        first = rows.clone().requires_grad_()
        nt_xent(first, rows, temperature=0.01).sum().backward()
        assert torch.isfinite(first.grad).all()


def test_invariant_to_batch_order_row_scale_and_the_order_of_the_views(rng):
    first, second = torch.tensor(rng.normal(size=(2, 6, 4)))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    whole = nt_xent(first, second, temperature=0.1)
    both = torch.cat([order, order + 6])
    assert_allclose(nt_xent(first[order], second[order], temperature=0.1), whole[both], rtol=1e-10)
    assert_allclose(nt_xent(7.0 * first, 0.1 * second, temperature=0.1), whole, rtol=1e-10)
    assert_allclose(nt_xent(second, first, temperature=0.1), whole.roll(6), rtol=1e-10)
    assert not np.allclose(nt_xent(first, second[order], temperature=0.1), whole)  # the pairing matters


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow_at_a_small_temperature(dtype, rng):
    first, second = torch.tensor(rng.normal(size=(2, 5, 8))).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = nt_xent(first, second, temperature=0.01)
    assert got.dtype == torch.float32 and torch.isfinite(got).all()
    assert_allclose(got, nt_xent(first.double(), second.double(), temperature=0.01), rtol=1e-4, atol=1e-4)


def test_nan_reaches_every_loss(rng):
    first, second = torch.tensor(rng.normal(size=(2, 3, 4)))
    first[0, 0] = math.nan
    assert nt_xent(first, second, temperature=0.1).isnan().all()


def test_bad_input_is_refused():
    rows = torch.ones(3, 2)
    with pytest.raises(ValueError, match=r"one shape, not first \(3, 2\), second \(2, 2\)"):
        nt_xent(rows, rows[:2], temperature=0.1)
    with pytest.raises(ValueError, match=r"\(B, D\), not first \(2,\)"):
        nt_xent(rows[0], rows[0], temperature=0.1)
    with pytest.raises(ValueError, match="an empty batch has no loss"):
        nt_xent(rows[:0], rows[:0], temperature=0.1)
    with pytest.raises(ValueError, match="temperature must be above 0, not 0.0"):
        nt_xent(rows, rows, temperature=0.0)
