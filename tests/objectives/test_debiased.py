from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sentemb.objectives.debiased import debiased
from sentemb.objectives.nt_xent import nt_xent
from tests.oracles import two_views as oracles

SHAPES = [(2, 1), (2, 5), (4, 3), (7, 16)]
OPPOSITE = torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)


@pytest.mark.parametrize(("batch", "dim"), SHAPES)
@pytest.mark.parametrize(("temperature", "tau_plus"), [(0.5, 0.1), (0.07, 0.0), (1.0, 0.6)])
def test_agrees_with_the_paper_in_loops(batch, dim, temperature, tau_plus, rng):
    for views in (rng.normal(size=(2, batch, dim)), oracles.repeated(rng, batch, dim)):
        got = debiased(*map(torch.tensor, views), temperature=temperature, tau_plus=tau_plus)
        assert_allclose(got, oracles.hard_negative(*views, temperature, tau_plus), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("tau_plus", [0.0, 0.1, 0.9])
def test_all_rows_alike_gives_ln_of_the_number_of_candidates(tau_plus):
    rows = torch.ones(5, 8, dtype=torch.float64)
    assert_allclose(debiased(rows, rows, temperature=0.05, tau_plus=tau_plus), math.log(9), rtol=1e-10)


@pytest.mark.parametrize("temperature", [0.1, 0.5, 1.0])
def test_positives_at_1_and_negatives_at_minus_1_meet_the_bound(temperature):
    got = debiased(OPPOSITE, OPPOSITE, temperature=temperature, tau_plus=0.1)
    assert_allclose(got, math.log1p(2 * math.exp(-2 / temperature)), rtol=1e-10)


def test_at_the_bound_an_anchor_s_loss_and_gradient_are_its_own_pair_s_alone():
    first = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    second = torch.tensor([[1.0, 0.1], [-0.1, 1.0]], dtype=torch.float64, requires_grad=True)
    pair = torch.nn.functional.cosine_similarity(first, second)
    assert 0.5 * 2 * math.exp(pair[0].item() / 0.1) > 2 > math.exp(0.0) + math.exp(-0.0995 / 0.1)  # τ⁺ N p > Σ e^{s/τ}
    losses = debiased(first, second, temperature=0.1, tau_plus=0.5)
    assert_allclose(losses[:2].detach(), torch.log1p(2 * torch.exp(-(1 + pair) / 0.1)).detach(), rtol=1e-9)
    losses[0].backward()
    assert second.grad[0].abs().max() > 0 and second.grad[1].abs().max() == 0


def test_tau_plus_0_is_nt_xent(rng):
    views = torch.tensor(rng.normal(size=(2, 6, 5)))
    got = debiased(*views, temperature=0.2, tau_plus=0.0)
    assert_allclose(got, nt_xent(*views, temperature=0.2), rtol=1e-10, atol=1e-12)
    assert not np.allclose(got, debiased(*views, temperature=0.2, tau_plus=0.2))


def test_gradients(rng):
    views = tuple(torch.tensor(x, requires_grad=True) for x in rng.normal(size=(2, 3, 4)))
    for tau_plus in (0.0, 0.1):
        assert torch.autograd.gradcheck(lambda *x, t=tau_plus: debiased(*x, temperature=0.7, tau_plus=t), views)


@pytest.mark.parametrize("tau_plus", [0.0, 0.3])
@pytest.mark.parametrize("temperature", [0.01, 0.5])
@pytest.mark.parametrize("rows", [OPPOSITE, torch.zeros(3, 2), torch.ones(3, 2)], ids=["bound", "zero", "equal"])
def test_gradients_are_finite(rows, temperature, tau_plus):
    first = rows.float().requires_grad_()
    losses = debiased(first, rows.float(), temperature=temperature, tau_plus=tau_plus)
    losses.sum().backward()
    assert torch.isfinite(losses).all() and torch.isfinite(first.grad).all()


def test_invariant_to_batch_order_and_row_scale(rng):
    first, second = torch.tensor(rng.normal(size=(2, 6, 4)))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    whole = debiased(first, second, temperature=0.3, tau_plus=0.1)
    got = debiased(first[order], second[order], temperature=0.3, tau_plus=0.1)
    assert_allclose(got, whole[torch.cat([order, order + 6])], rtol=1e-10)
    assert_allclose(debiased(7.0 * first, 0.1 * second, temperature=0.3, tau_plus=0.1), whole, rtol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow_at_a_small_temperature(dtype, rng):
    first, second = torch.tensor(rng.normal(size=(2, 5, 8))).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = debiased(first, second, temperature=0.01, tau_plus=0.1)
    assert got.dtype == torch.float32 and torch.isfinite(got).all()
    exact = debiased(first.double(), second.double(), temperature=0.01, tau_plus=0.1)
    assert_allclose(got, exact, rtol=1e-4, atol=1e-3)


def test_nan_reaches_every_loss(rng):
    first, second = torch.tensor(rng.normal(size=(2, 3, 4)))
    second[1, 0] = math.nan
    assert debiased(first, second, temperature=0.1, tau_plus=0.1).isnan().all()


def test_bad_input_is_refused():
    rows = torch.ones(3, 2)
    with pytest.raises(ValueError, match="temperature must be above 0, not 0"):
        debiased(rows, rows, temperature=0, tau_plus=0.1)
    with pytest.raises(ValueError, match="tau_plus must be at least 0 and below 1, not 1.0"):
        debiased(rows, rows, temperature=0.5, tau_plus=1.0)
    with pytest.raises(ValueError, match="at least 2 rows to have negatives, not 1"):
        debiased(rows[:1], rows[:1], temperature=0.5, tau_plus=0.1)
    with pytest.raises(ValueError, match="an empty batch has no loss"):
        debiased(rows[:0], rows[:0], temperature=0.5, tau_plus=0.1)
