from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sentemb.objectives.debiased import debiased
from sentemb.objectives.hard_negative import hard_negative
from sentemb.objectives.nt_xent import nt_xent
from tests.oracles import two_views as oracles

SHAPES = [(2, 1), (2, 5), (4, 3), (7, 16)]


@pytest.mark.parametrize(("batch", "dim"), SHAPES)
@pytest.mark.parametrize(("temperature", "tau_plus", "beta"), [(0.5, 0.1, 1.0), (0.07, 0.0, 2.5), (1.0, 0.6, 0.3)])
def test_agrees_with_the_paper_in_loops(batch, dim, temperature, tau_plus, beta, rng):
    for views in (rng.normal(size=(2, batch, dim)), oracles.repeated(rng, batch, dim)):
        got = hard_negative(*map(torch.tensor, views), temperature=temperature, tau_plus=tau_plus, beta=beta)
        assert_allclose(got, oracles.hard_negative(*views, temperature, tau_plus, beta), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("tau_plus", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("beta", [0.0, 1.0, 50.0])
def test_all_rows_alike_gives_ln_of_the_number_of_candidates(tau_plus, beta):
    rows = torch.ones(5, 8, dtype=torch.float64)
    losses = hard_negative(rows, rows, temperature=0.05, tau_plus=tau_plus, beta=beta)
    assert losses.shape == (10,)
    assert_allclose(losses, math.log(9), rtol=1e-10)


def test_beta_0_is_debiased_and_tau_plus_0_besides_is_nt_xent(rng):
    views = torch.tensor(rng.normal(size=(2, 6, 5)))
    plain = hard_negative(*views, temperature=0.2, tau_plus=0.1, beta=0.0)
    assert_allclose(plain, debiased(*views, temperature=0.2, tau_plus=0.1), rtol=1e-12)
    uncorrected = hard_negative(*views, temperature=0.2, tau_plus=0.0, beta=0.0)
    assert_allclose(uncorrected, nt_xent(*views, temperature=0.2), rtol=1e-10, atol=1e-12)
    assert not np.allclose(plain, uncorrected)
    assert not np.allclose(plain, hard_negative(*views, temperature=0.2, tau_plus=0.1, beta=1.0))


def test_a_large_beta_keeps_the_hardest_negative_alone(rng):
    views = rng.normal(size=(2, 4, 3))
    rows = np.concatenate(views)
    got = hard_negative(*map(torch.tensor, views), temperature=1.0, tau_plus=0.0, beta=1e6)
    for i in range(8):
        s = [oracles.cosine(rows[i], rows[k]) for k in range(8)]
        hardest = max(s[k] for k in range(8) if k % 4 != i % 4)
        assert_allclose(got[i], math.log(1 + 6 * math.exp(hardest - s[(i + 4) % 8])), rtol=1e-9)


def test_gradients(rng):
    views = tuple(torch.tensor(x, requires_grad=True) for x in rng.normal(size=(2, 3, 4)))
    for beta in (0.0, 1.5):
        loss = torch.autograd.gradcheck(
            lambda *x, beta=beta: hard_negative(*x, temperature=0.7, tau_plus=0.1, beta=beta), views
        )
        assert loss


def test_gradients_are_finite_at_the_bound_and_for_zero_and_equal_rows():
    opposite = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    for rows in (opposite, torch.zeros(3, 2), torch.ones(3, 2)):
        for temperature in (0.01, 0.5):
            for tau_plus in (0.0, 0.3):
                first = rows.clone().requires_grad_()
                hard_negative(first, rows, temperature=temperature, tau_plus=tau_plus, beta=1.0).sum().backward()
                assert torch.isfinite(first.grad).all()


def test_invariant_to_batch_order_and_row_scale(rng):
    first, second = torch.tensor(rng.normal(size=(2, 6, 4)))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    settings = {"temperature": 0.3, "tau_plus": 0.1, "beta": 1.0}
    whole = hard_negative(first, second, **settings)
    got = hard_negative(first[order], second[order], **settings)
    assert_allclose(got, whole[torch.cat([order, order + 6])], rtol=1e-10)
    assert_allclose(hard_negative(7.0 * first, 0.1 * second, **settings), whole, rtol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow_at_a_small_temperature(dtype, rng):
    first, second = torch.tensor(rng.normal(size=(2, 5, 8))).to(dtype)
    settings = {"temperature": 0.01, "tau_plus": 0.1, "beta": 5.0}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = hard_negative(first, second, **settings)
    assert got.dtype == torch.float32 and torch.isfinite(got).all()
    assert_allclose(got, hard_negative(first.double(), second.double(), **settings), rtol=1e-4, atol=1e-3)


def test_nan_reaches_every_loss(rng):
    first, second = torch.tensor(rng.normal(size=(2, 3, 4)))
    first[0, 0] = math.nan
    assert hard_negative(first, second, temperature=0.1, tau_plus=0.1, beta=1.0).isnan().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": -1.0}, "temperature must be above 0, not -1.0"),
        ({"tau_plus": 1.0}, "tau_plus must be at least 0 and below 1, not 1.0"),
        ({"tau_plus": -0.1}, "tau_plus must be at least 0 and below 1, not -0.1"),
        ({"beta": -1.0}, "beta must be at least 0 and finite, not -1.0"),
        ({"beta": math.nan}, "beta must be at least 0 and finite, not nan"),
    ],
)
def test_bad_settings_are_refused(change, message):
    rows = torch.ones(3, 2)
    with pytest.raises(ValueError, match=message):
        hard_negative(rows, rows, **{"temperature": 0.5, "tau_plus": 0.1, "beta": 1.0, **change})


def test_a_batch_without_negatives_is_refused():
    rows = torch.ones(3, 2)
    with pytest.raises(ValueError, match="at least 2 rows to have negatives, not 1"):
        hard_negative(rows[:1], rows[:1], temperature=0.5, tau_plus=0.1, beta=1.0)
    with pytest.raises(ValueError, match="must have one shape"):
        hard_negative(rows, rows[:2], temperature=0.5, tau_plus=0.1, beta=1.0)
