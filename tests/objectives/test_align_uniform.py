from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sentemb.metrics.geometry import alignment, uniformity
from sentemb.objectives.align_uniform import alignment_loss, uniformity_loss
from tests.oracles import metric_learning as oracles


@pytest.mark.parametrize(("batch", "dim"), [(1, 1), (1, 5), (2, 1), (4, 3), (7, 16)])
@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 3.0])
def test_alignment_agrees_with_the_paper_in_loops(batch, dim, alpha, rng):
    first, second = rng.normal(size=(2, batch, dim))
    got = alignment_loss(torch.tensor(first), torch.tensor(second), alpha=alpha)
    assert_allclose(got, oracles.alignment(first, second, alpha), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("n_rows", "dim"), [(2, 1), (3, 4), (7, 1), (9, 8)])
@pytest.mark.parametrize("t", [0.1, 2.0, 10.0])
def test_uniformity_agrees_with_the_paper_in_loops(n_rows, dim, t, rng):
    rows = rng.normal(size=(n_rows, dim))
    rows[-1] = 2 * rows[0]  # a duplicate, once normalised
    assert_allclose(uniformity_loss(torch.tensor(rows), t=t), oracles.uniformity(rows, t), rtol=1e-10, atol=1e-12)


def test_equal_to_the_metrics(rng):
    first, second = rng.normal(size=(2, 9, 4))
    assert_allclose(alignment_loss(*map(torch.tensor, (first, second)), alpha=2.0).mean(), alignment(first, second))
    assert_allclose(uniformity_loss(torch.tensor(first), t=2.0), uniformity(first), rtol=1e-10)


def test_closed_forms():
    x = torch.eye(3, dtype=torch.float64)
    assert alignment_loss(x, 3 * x, alpha=2.0).tolist() == [0.0, 0.0, 0.0]
    assert alignment_loss(x, -x, alpha=3.0).tolist() == [8.0, 8.0, 8.0]
    assert uniformity_loss(torch.ones(5, 3), t=2.0).item() == pytest.approx(0.0, abs=1e-6)
    assert_allclose(uniformity_loss(x, t=2.0), -4.0)  # every pair at squared distance 2
    assert_allclose(uniformity_loss(torch.cat([x, -x]), t=2.0), math.log((12 * math.exp(-4) + 3 * math.exp(-8)) / 15))


def test_uniformity_equals_torch_in_the_authors_form(rng):
    rows = torch.nn.functional.normalize(torch.tensor(rng.normal(size=(8, 3))))
    assert_allclose(uniformity_loss(rows, t=2.0), torch.pdist(rows).pow(2).mul(-2).exp().mean().log(), rtol=1e-12)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_gradients(alpha, rng):
    pair = tuple(torch.tensor(x, requires_grad=True) for x in rng.normal(size=(2, 4, 3)))
    assert torch.autograd.gradcheck(lambda u, v: alignment_loss(u, v, alpha=alpha), pair)
    assert torch.autograd.gradcheck(lambda u: uniformity_loss(u, t=2.0), pair[:1])


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_gradients_of_equal_and_zero_rows_are_finite(alpha, value):
    rows = torch.full((4, 3), value, requires_grad=True)
    (alignment_loss(rows, rows.detach(), alpha=alpha).sum() + uniformity_loss(rows, t=2.0)).backward()
    assert torch.isfinite(rows.grad).all()


def test_invariant_to_batch_order_and_row_scale(rng):
    first, second = (torch.tensor(x) for x in rng.normal(size=(2, 6, 4)))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    whole = alignment_loss(first, second, alpha=2.0)
    assert_allclose(alignment_loss(7 * first[order], second[order], alpha=2.0), whole[order], rtol=1e-10)
    assert not np.allclose(alignment_loss(first, second[order], alpha=2.0), whole)  # the pairing matters
    assert_allclose(uniformity_loss(7 * first[order], t=2.0), uniformity_loss(first, t=2.0), rtol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_underflow(dtype, rng):
    first, second = (torch.tensor(x).to(dtype) for x in rng.normal(size=(2, 6, 8)))
    aligned, uniform = alignment_loss(first, second, alpha=2.0), uniformity_loss(first, t=100.0)
    assert aligned.dtype == uniform.dtype == torch.float32
    assert_allclose(aligned, oracles.alignment(first.double().numpy(), second.double().numpy(), 2.0), rtol=1e-5)
    assert uniform < -20  # the premise: every potential is 0 in float16
    assert_allclose(uniform, oracles.uniformity(first.double().numpy(), 100.0), rtol=1e-4)


def test_potentials_below_the_smallest_number_keep_their_logarithm():
    assert uniformity_loss(torch.tensor([[1.0], [-1.0]]), t=1000.0).item() == -4000.0


def test_nan_is_not_dropped(rng):
    first, second = (torch.tensor(x) for x in rng.normal(size=(2, 3, 2)))
    first[1, 0] = torch.nan
    assert alignment_loss(first, second, alpha=2.0).isnan().tolist() == [False, True, False]
    assert uniformity_loss(first, t=2.0).isnan()


def test_bad_input_is_refused():
    rows = torch.ones(3, 2)
    with pytest.raises(ValueError, match="alpha must be above 0, not 0.0"):
        alignment_loss(rows, rows, alpha=0.0)
    with pytest.raises(ValueError, match=r"one shape, not first \(3, 2\), second \(2, 2\)"):
        alignment_loss(rows, rows[:2], alpha=2.0)
    with pytest.raises(ValueError, match="an empty batch has no loss"):
        alignment_loss(rows[:0], rows[:0], alpha=2.0)
    with pytest.raises(ValueError, match="t must be above 0, not -2"):
        uniformity_loss(rows, t=-2)
    with pytest.raises(ValueError, match="2 rows or more to form a pair, not 1"):
        uniformity_loss(rows[:1], t=2.0)
