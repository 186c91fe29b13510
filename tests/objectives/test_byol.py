from __future__ import annotations

import math

import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn.functional import cosine_similarity, normalize

from sentemb.objectives.byol import byol_regression
from tests.oracles import schemes as oracles


@pytest.mark.parametrize(("batch", "dim"), [(1, 1), (1, 5), (3, 1), (5, 3), (7, 16)])
def test_agrees_with_the_paper_in_loops(batch, dim, rng):
    q, z = rng.normal(size=(2, batch, dim))
    z[-1] = q[0]
    got = byol_regression(torch.tensor(q), torch.tensor(z))
    assert got.shape == (batch,)
    assert_allclose(got, oracles.byol(q, z), rtol=1e-10, atol=1e-14)


def test_closed_forms(rng):
    q = torch.tensor(rng.normal(size=(4, 3)))
    assert_allclose(byol_regression(q, 3 * q), 0.0, atol=1e-12)
    assert_allclose(byol_regression(q, -q), 4.0, rtol=1e-12)
    assert byol_regression(torch.eye(2), torch.eye(2).flip(0)).tolist() == [2.0, 2.0]
    assert byol_regression(torch.zeros(1, 2), torch.ones(1, 2)).tolist() == [2.0]


def test_equals_the_squared_distance_on_the_sphere_and_torch(rng):
    q, z = (torch.tensor(x) for x in rng.normal(size=(2, 6, 5)))
    got = byol_regression(q, z)
    assert_allclose(got, (normalize(q) - normalize(z)).square().sum(-1), rtol=1e-10)
    assert_allclose(got, 2 - 2 * cosine_similarity(q, z), rtol=1e-10)


def test_targets_get_no_gradient(rng):
    q, z = (torch.tensor(x, requires_grad=True) for x in rng.normal(size=(2, 4, 3)))
    byol_regression(q, z).sum().backward()
    assert z.grad is None and q.grad.abs().sum() > 0


def test_gradients(rng):
    q, z = (torch.tensor(x) for x in rng.normal(size=(2, 4, 3)))
    assert torch.autograd.gradcheck(lambda rows: byol_regression(rows, z), (q.requires_grad_(),))


def test_gradients_of_equal_and_zero_rows_are_finite():
    for rows in (torch.ones(2, 3), torch.zeros(2, 3)):
        q = rows.clone().requires_grad_()
        byol_regression(q, torch.ones(2, 3)).sum().backward()
        assert torch.isfinite(q.grad).all()


def test_invariant_to_batch_order_and_row_scale(rng):
    q, z = (torch.tensor(x) for x in rng.normal(size=(2, 6, 4)))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    whole = byol_regression(q, z)
    assert_allclose(byol_regression(q[order], z[order]), whole[order], rtol=1e-12)
    assert_allclose(byol_regression(7.0 * q, 0.1 * z), whole, rtol=1e-10)
    assert (byol_regression(q, z[order]) - whole).abs().max() > 0.1  # the pairing matters


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow(dtype, rng):
    q, z = (torch.tensor(1000 * x).to(dtype) for x in rng.normal(size=(2, 4, 8)))  # squares overflow float16
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = byol_regression(q, z)
    assert got.dtype == torch.float32
    assert_allclose(got, oracles.byol(q.double().numpy(), z.double().numpy()), rtol=1e-5)


def test_nan_stays_in_its_row():
    q = torch.tensor([[1.0, 0.0], [math.nan, 1.0], [0.0, 1.0]])
    assert byol_regression(q, torch.ones(3, 2)).isnan().tolist() == [False, True, False]
    assert byol_regression(torch.ones(3, 2), q).isnan().tolist() == [False, True, False]


def test_bad_input_is_refused():
    rows = torch.ones(3, 2)
    with pytest.raises(ValueError, match=r"one shape, not predictions \(3, 2\), targets \(2, 2\)"):
        byol_regression(rows, rows[:2])
    with pytest.raises(ValueError, match="an empty batch has no loss"):
        byol_regression(rows[:0], rows[:0])
