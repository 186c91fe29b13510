from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.spatial.distance import jensenshannon
from scipy.stats import entropy

from sentemb.objectives.cutoff_consistency import jensen_shannon_consistency, reversed_consistency
from tests.oracles import schemes as oracles

BOTH = pytest.mark.parametrize("objective", [jensen_shannon_consistency, reversed_consistency])
SHAPES = [(2, 1, 1), (2, 1, 4), (2, 5, 2), (3, 4, 3), (5, 2, 7)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [0.1, 5.0])
def test_agrees_with_the_definition_in_loops(shape, scale, rng):
    logits = scale * rng.normal(size=shape)
    for objective, is_reversed in ((jensen_shannon_consistency, False), (reversed_consistency, True)):
        got = objective(torch.tensor(logits))
        assert got.shape == shape[1:2]
        assert_allclose(got, oracles.consistency(logits, is_reversed), rtol=1e-10, atol=1e-14)


def test_equals_scipy(rng):
    logits = torch.tensor(rng.normal(size=(2, 6, 4)))
    p, q = logits.softmax(-1).numpy()
    assert_allclose(jensen_shannon_consistency(logits), jensenshannon(p, q, axis=1) ** 2, rtol=1e-10)
    mean = (p + q) / 2
    assert_allclose(reversed_consistency(logits), (entropy(mean, p, axis=1) + entropy(mean, q, axis=1)) / 2, rtol=1e-10)


def test_equals_the_entropy_of_the_mean_less_the_mean_entropy(rng):
    logits = torch.tensor(rng.normal(size=(4, 6, 5)))
    p = logits.softmax(-1).numpy()
    expected = entropy(p.mean(0), axis=1) - entropy(p, axis=2).mean(0)
    assert_allclose(jensen_shannon_consistency(logits), expected, rtol=1e-10)


@pytest.mark.parametrize("n_views", [2, 3, 5])
def test_is_from_0_for_equal_to_ln_v_for_disjoint_predictions(n_views, rng):
    apart = 100 * torch.eye(n_views, dtype=torch.float64)[:, None]
    assert_allclose(jensen_shannon_consistency(apart), math.log(n_views), rtol=1e-12)
    assert reversed_consistency(apart) > 10  # no such bound
    equal = torch.tensor(rng.normal(size=(1, 4, 3))).expand(n_views, 4, 3)
    for objective in (jensen_shannon_consistency, reversed_consistency):
        assert_allclose(objective(equal), 0.0, atol=1e-14)
    logits = 3 * torch.tensor(rng.normal(size=(n_views, 200, 3)))
    losses = jensen_shannon_consistency(logits)
    assert (losses > 0).all() and (losses < math.log(n_views)).all()


@BOTH
def test_symmetric_in_views_and_invariant_to_order_and_shift(objective, rng):
    logits = torch.tensor(rng.normal(size=(3, 6, 4)))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    whole = objective(logits)
    assert_allclose(objective(logits[[2, 0, 1]]), whole, rtol=1e-12)
    assert_allclose(objective(logits[:, order]), whole[order], rtol=1e-12)
    assert_allclose(objective(logits.flip(-1)), whole, rtol=1e-12)
    assert_allclose(objective(logits + torch.tensor(rng.normal(size=(3, 6, 1)))), whole, rtol=1e-10)
    assert not np.allclose(objective(torch.cat([logits[:2], logits[2:, order]])), whole)


def test_the_two_directions_differ(rng):
    logits = torch.tensor(rng.normal(size=(2, 3, 4)))
    assert not np.allclose(jensen_shannon_consistency(logits), reversed_consistency(logits), rtol=1e-3)


@BOTH
def test_gradients(objective, rng):
    assert torch.autograd.gradcheck(objective, torch.tensor(rng.normal(size=(3, 2, 4)), requires_grad=True))


@BOTH
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
def test_gradients_of_equal_and_far_apart_predictions_are_finite(objective, scale):
    logits = (scale * torch.eye(3)[:, None]).requires_grad_()
    losses = objective(logits)
    losses.sum().backward()
    assert torch.isfinite(losses).all() and torch.isfinite(logits.grad).all()


@BOTH
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow(objective, dtype, rng):
    logits = torch.tensor(100 * rng.normal(size=(2, 5, 3))).to(dtype)  # cosines over τ = 0.01
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = objective(logits)
    assert got.dtype == torch.float32
    assert_allclose(got, objective(logits.double()), rtol=1e-5, atol=1e-6)


@BOTH
def test_nan_stays_in_its_row(objective):
    logits = torch.zeros(2, 3, 4)
    logits[1, 2, 0] = math.nan
    assert objective(logits).isnan().tolist() == [False, False, True]


@BOTH
def test_bad_input_is_refused(objective):
    logits = torch.ones(2, 3, 4)
    with pytest.raises(ValueError, match=r"views must be \(V, B, K\), not logits \(3, 4\)"):
        objective(logits[0])
    with pytest.raises(ValueError, match=r"2 views or more are needed, not logits \(1, 3, 4\)"):
        objective(logits[:1])
    with pytest.raises(ValueError, match="an empty batch has no loss"):
        objective(logits[:, :0])
