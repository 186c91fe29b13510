from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sentemb.objectives.barlow_twins import barlow_twins
from tests.oracles import schemes as oracles


@pytest.mark.parametrize(("batch", "dim"), [(2, 1), (2, 5), (3, 1), (5, 3), (7, 16)])
@pytest.mark.parametrize("weight", [0.0051, 1.0])
def test_agrees_with_the_paper_in_loops(batch, dim, weight, rng):
    first, second = rng.normal(loc=3.0, size=(2, batch, dim))
    got = barlow_twins(torch.tensor(first), torch.tensor(second), off_diagonal_weight=weight)
    assert got.shape == ()
    assert_allclose(got, oracles.barlow_twins(first, second, weight), rtol=1e-10)


def test_duplicate_rows_and_dimensions(rng):
    first, second = np.repeat(rng.normal(size=(2, 3, 2)), 2, axis=1).repeat(2, axis=2)
    got = barlow_twins(torch.tensor(first), torch.tensor(second), off_diagonal_weight=0.3)
    assert_allclose(got, oracles.barlow_twins(first, second, 0.3), rtol=1e-10)


def test_equals_the_authors_batch_normalisation(rng):
    first, second = (torch.tensor(x) for x in rng.normal(size=(2, 6, 4)))
    norm = torch.nn.BatchNorm1d(4, affine=False, dtype=torch.float64)
    c = norm(first).T @ norm(second) / 6
    on_diagonal = (torch.diagonal(c) - 1).pow(2).sum()
    off_diagonal = c.pow(2).sum() - torch.diagonal(c).pow(2).sum()
    assert_allclose(barlow_twins(first, second, off_diagonal_weight=0.1), on_diagonal + 0.1 * off_diagonal, rtol=1e-10)


def test_closed_forms():
    signs = torch.tensor([[1, 1], [1, -1], [-1, 1], [-1, -1]], dtype=torch.float64)  # variance 1, uncorrelated
    own = 1 / (1 + 1e-5)
    assert_allclose(barlow_twins(signs, signs, off_diagonal_weight=0.7), 2 * (1 - own) ** 2, rtol=1e-6)
    assert_allclose(barlow_twins(signs, -signs, off_diagonal_weight=0.7), 2 * (1 + own) ** 2, rtol=1e-12)
    swapped = 2 + 0.7 * 2 * own**2
    assert_allclose(barlow_twins(signs, signs.flip(1), off_diagonal_weight=0.7), swapped, rtol=1e-12)
    alike = signs[:, :1].expand(4, 3)
    assert_allclose(barlow_twins(alike, alike, off_diagonal_weight=0.5), 0.5 * 6 * own**2, rtol=1e-8)


def test_each_dimension_is_centred_and_scaled_over_the_batch(rng):
    first, second = (torch.tensor(x) for x in rng.normal(size=(2, 6, 4)))
    whole = barlow_twins(first, second, off_diagonal_weight=0.1)
    moved = barlow_twins(first + torch.arange(4), second - 3.0, off_diagonal_weight=0.1)
    assert_allclose(moved, whole, rtol=1e-10)
    scaled = barlow_twins(100.0 * first, second, off_diagonal_weight=0.1)
    assert_allclose(scaled, whole, rtol=1e-3)  # the 10⁻⁵ under the root
    assert abs(barlow_twins(first, second[:, [1, 0, 2, 3]], off_diagonal_weight=0.1) - whole) > 0.01


def test_a_constant_dimension_costs_1_and_has_a_finite_gradient(rng):
    varied = torch.tensor(rng.normal(size=(6, 2)))
    rows = torch.cat([varied, torch.full((6, 1), 0.1, dtype=torch.float64)], dim=1).requires_grad_()
    loss = barlow_twins(rows, rows, off_diagonal_weight=0.1)
    assert_allclose(loss.detach(), 1 + barlow_twins(varied, varied, off_diagonal_weight=0.1), rtol=1e-9)
    loss.backward()
    assert torch.isfinite(rows.grad).all() and rows.grad[:, 2].abs().max() < 1e-6


def test_invariant_to_batch_order_and_to_exchanging_the_views(rng):
    first, second = (torch.tensor(x) for x in rng.normal(size=(2, 6, 4)))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    whole = barlow_twins(first, second, off_diagonal_weight=0.1)
    assert_allclose(barlow_twins(first[order], second[order], off_diagonal_weight=0.1), whole, rtol=1e-12)
    assert_allclose(barlow_twins(second, first, off_diagonal_weight=0.1), whole, rtol=1e-12)
    assert abs(barlow_twins(first, second[order], off_diagonal_weight=0.1) - whole) > 0.01  # the pairing matters


def test_gradients(rng):
    views = tuple(torch.tensor(x, requires_grad=True) for x in rng.normal(size=(2, 5, 3)))
    assert torch.autograd.gradcheck(lambda a, b: barlow_twins(a, b, off_diagonal_weight=0.3), views)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("scale", [1.0, 1000.0])  # squares of the latter overflow float16
def test_half_precision_does_not_overflow(dtype, scale, rng):
    first, second = (torch.tensor(scale * x).to(dtype) for x in rng.normal(size=(2, 64, 8)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = barlow_twins(first, second, off_diagonal_weight=0.0051)
    assert got.dtype == torch.float32
    assert_allclose(got, oracles.barlow_twins(first.double().numpy(), second.double().numpy(), 0.0051), rtol=1e-4)


def test_nan_is_not_dropped(rng):
    first, second = (torch.tensor(x) for x in rng.normal(size=(2, 4, 3)))
    first[2, 0] = math.nan
    assert barlow_twins(first, second, off_diagonal_weight=0.1).isnan()
    assert barlow_twins(second, first, off_diagonal_weight=0.1).isnan()


def test_bad_input_is_refused():
    rows = torch.ones(3, 2)
    with pytest.raises(ValueError, match="off_diagonal_weight must be above 0, not 0.0"):
        barlow_twins(rows, rows, off_diagonal_weight=0.0)
    with pytest.raises(ValueError, match=r"one shape, not first \(3, 2\), second \(2, 2\)"):
        barlow_twins(rows, rows[:2], off_diagonal_weight=0.1)
    with pytest.raises(ValueError, match="2 rows or more to standardise over, not 1"):
        barlow_twins(rows[:1], rows[:1], off_diagonal_weight=0.1)
    with pytest.raises(ValueError, match="an empty batch has no loss"):
        barlow_twins(rows[:0], rows[:0], off_diagonal_weight=0.1)
