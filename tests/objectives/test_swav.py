from __future__ import annotations

import math

import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn.functional import cross_entropy

from sentemb.functional.sinkhorn import sinkhorn
from sentemb.objectives.swav import swapped_prediction
from tests.oracles import schemes as oracles

SHAPES = [(2, 1, 1), (2, 1, 5), (2, 4, 1), (2, 5, 3), (4, 3, 6)]


def views(rng, shape):
    return torch.tensor(rng.uniform(-1, 1, size=shape)), torch.tensor(rng.dirichlet([1.0] * shape[2], size=shape[:2]))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_agrees_with_the_paper_in_loops(shape, temperature, rng):
    scores, codes = views(rng, shape)
    got = swapped_prediction(scores, codes, temperature=temperature)
    assert got.shape == shape[1:2]
    assert_allclose(got, oracles.swapped_prediction(scores.numpy(), codes.numpy(), temperature), rtol=1e-10, atol=1e-14)


def test_equals_torch_cross_entropy_over_two_views(rng):
    scores, codes = views(rng, (2, 6, 4))
    swapped = cross_entropy(scores[0] / 0.1, codes[1], reduction="none") + cross_entropy(
        scores[1] / 0.1, codes[0], reduction="none"
    )
    assert_allclose(swapped_prediction(scores, codes, temperature=0.1), swapped / 2, rtol=1e-12)


@pytest.mark.parametrize("n_prototypes", [1, 3, 3000])
def test_equal_scores_give_ln_k(n_prototypes):
    scores = torch.full((2, 4, n_prototypes), 0.7, dtype=torch.float64)
    codes = torch.stack([sinkhorn(view, epsilon=0.05, n_iterations=3) for view in scores])
    assert_allclose(swapped_prediction(scores, codes, temperature=0.1), math.log(n_prototypes), atol=1e-9)


def test_closed_forms():
    sure = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]], dtype=torch.float64)
    agree = math.log(1 + math.exp(-10))
    assert_allclose(swapped_prediction(sure, sure, temperature=0.1), agree, rtol=1e-10)
    assert_allclose(swapped_prediction(sure, sure.flip(-1), temperature=0.1), 10 + agree, rtol=1e-10)


def test_a_view_never_predicts_its_own_code():
    scores = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]], dtype=torch.float64)
    assert_allclose(swapped_prediction(scores, scores, temperature=0.1), 10 + math.log(1 + math.exp(-10)), rtol=1e-10)


def test_codes_get_no_gradient(rng):
    scores, codes = (x.requires_grad_() for x in views(rng, (2, 4, 3)))
    swapped_prediction(scores, codes, temperature=0.1).sum().backward()
    assert codes.grad is None and scores.grad.abs().sum() > 0


def test_gradients(rng):
    scores, codes = views(rng, (3, 2, 4))
    assert torch.autograd.gradcheck(lambda x: swapped_prediction(x, codes, temperature=0.5), scores.requires_grad_())


def test_invariant_to_batch_view_and_prototype_order(rng):
    scores, codes = views(rng, (3, 6, 4))
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    whole = swapped_prediction(scores, codes, temperature=0.1)
    assert_allclose(swapped_prediction(scores[:, order], codes[:, order], temperature=0.1), whole[order], rtol=1e-12)
    assert_allclose(swapped_prediction(scores.flip(0), codes.flip(0), temperature=0.1), whole, rtol=1e-12)
    assert_allclose(swapped_prediction(scores.flip(2), codes.flip(2), temperature=0.1), whole, rtol=1e-12)
    assert (swapped_prediction(scores, codes[:, order], temperature=0.1) - whole).abs().max() > 0.1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow_at_a_small_temperature(dtype, rng):
    scores, codes = (x.to(dtype) for x in views(rng, (2, 5, 8)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = swapped_prediction(scores, codes, temperature=0.01)
    assert got.dtype == torch.float32
    exact = oracles.swapped_prediction(scores.double().numpy(), codes.double().numpy(), 0.01)
    assert_allclose(got, exact, rtol=1e-5)


@pytest.mark.parametrize("which", [0, 1])
def test_nan_stays_in_its_row(which, rng):
    inputs = views(rng, (2, 3, 4))
    inputs[which][1, 2, 0] = math.nan
    assert swapped_prediction(*inputs, temperature=0.1).isnan().tolist() == [False, False, True]


def test_bad_input_is_refused():
    scores = torch.ones(2, 3, 4)
    with pytest.raises(ValueError, match="temperature must be above 0, not -1.0"):
        swapped_prediction(scores, scores, temperature=-1.0)
    with pytest.raises(ValueError, match=r"one shape, not scores \(2, 3, 4\), codes \(2, 3, 1\)"):
        swapped_prediction(scores, scores[..., :1], temperature=0.1)
    with pytest.raises(ValueError, match=r"must be \(V, B, K\), not scores \(3, 4\), codes \(3, 4\)"):
        swapped_prediction(scores[0], scores[0], temperature=0.1)
    with pytest.raises(ValueError, match=r"2 views or more are needed, not scores \(1, 3, 4\)"):
        swapped_prediction(scores[:1], scores[:1], temperature=0.1)
    with pytest.raises(ValueError, match="an empty batch has no loss"):
        swapped_prediction(scores[:, :0], scores[:, :0], temperature=0.1)
