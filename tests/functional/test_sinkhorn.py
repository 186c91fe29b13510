from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sentemb.functional.sinkhorn import sinkhorn
from tests.oracles import schemes as oracles

SHAPES = [(1, 1), (1, 4), (4, 1), (3, 5), (8, 3)]


@pytest.mark.parametrize(("batch", "n_prototypes"), SHAPES)
@pytest.mark.parametrize("n_iterations", [1, 3, 20])
@pytest.mark.parametrize("epsilon", [0.05, 1.0])
def test_agrees_with_the_paper_in_loops(batch, n_prototypes, n_iterations, epsilon, rng):
    scores = rng.uniform(-1, 1, size=(batch, n_prototypes))
    got = sinkhorn(torch.tensor(scores), epsilon=epsilon, n_iterations=n_iterations)
    assert_allclose(got, oracles.sinkhorn(scores, epsilon, n_iterations), rtol=1e-10)
    assert_allclose(got.sum(1), 1.0, rtol=1e-12)


def test_duplicate_rows_get_one_code(rng):
    scores = np.repeat(rng.normal(size=(3, 4)), 2, axis=0)
    codes = sinkhorn(torch.tensor(scores), epsilon=0.5, n_iterations=3)
    assert_allclose(codes, oracles.sinkhorn(scores, 0.5, 3), rtol=1e-10)
    assert torch.equal(codes[::2], codes[1::2])


@pytest.mark.parametrize(("batch", "n_prototypes"), SHAPES)
def test_the_limit_uses_all_prototypes_equally(batch, n_prototypes, rng):
    scores = rng.normal(size=(batch, n_prototypes))
    codes = sinkhorn(torch.tensor(scores), epsilon=1.0, n_iterations=500)
    assert_allclose(codes.sum(1), 1.0, rtol=1e-12)
    assert_allclose(codes.sum(0), batch / n_prototypes, rtol=1e-10)
    assert_allclose(codes, oracles.sinkhorn(scores, 1.0, 500), rtol=1e-10)


def test_the_samples_are_scaled_last(rng):
    codes = sinkhorn(torch.tensor(rng.normal(size=(6, 3))), epsilon=0.1, n_iterations=1)
    assert_allclose(codes.sum(1), 1.0, rtol=1e-12)
    assert (codes.sum(0) - 2.0).abs().max() > 0.01  # one iteration does not reach the limit


@pytest.mark.parametrize(("batch", "n_prototypes"), SHAPES)
def test_equal_scores_give_one_over_k(batch, n_prototypes):
    codes = sinkhorn(torch.full((batch, n_prototypes), 0.3), epsilon=0.05, n_iterations=3)
    assert_allclose(codes, 1 / n_prototypes, rtol=1e-6)


def test_a_shift_changes_nothing(rng):
    scores = torch.tensor(rng.normal(size=(6, 4)))
    codes = sinkhorn(scores, epsilon=0.5, n_iterations=3)
    assert_allclose(sinkhorn(scores + 5.0, epsilon=0.5, n_iterations=3), codes, rtol=1e-10)
    per_prototype = torch.tensor(rng.normal(size=(1, 4)))
    assert_allclose(sinkhorn(scores + per_prototype, epsilon=0.5, n_iterations=3), codes, rtol=1e-10)
    per_row = torch.tensor(rng.normal(size=(6, 1)))
    assert not np.allclose(sinkhorn(scores + per_row, epsilon=0.5, n_iterations=1), codes)
    limit = sinkhorn(scores, epsilon=0.5, n_iterations=1000)
    assert_allclose(sinkhorn(scores + per_row, epsilon=0.5, n_iterations=1000), limit, rtol=1e-9)


def test_sharp_codes_are_a_balanced_assignment():
    """Both rows prefer prototype 0; the one that loses less by it takes prototype 1."""
    codes = sinkhorn(torch.tensor([[1.0, 0.0], [0.9, 0.5]]), epsilon=0.01, n_iterations=100)
    assert_allclose(codes, np.eye(2), atol=1e-4)


def test_batch_order(rng):
    scores, order = torch.tensor(rng.normal(size=(6, 4))), torch.tensor([3, 0, 5, 1, 4, 2])
    codes = sinkhorn(scores, epsilon=0.1, n_iterations=3)
    assert_allclose(sinkhorn(scores[order], epsilon=0.1, n_iterations=3), codes[order], rtol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_large_scores_do_not_overflow(dtype):
    scores = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0], [0.0, 0.0, 1e4]], dtype=dtype)
    codes = sinkhorn(scores, epsilon=0.01, n_iterations=3)
    assert codes.dtype == torch.float32
    assert_allclose(codes, np.eye(3), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_close_to_the_oracle(dtype, rng):
    scores = torch.tensor(rng.uniform(-1, 1, size=(6, 4))).to(dtype)
    codes = sinkhorn(scores, epsilon=0.01, n_iterations=3)
    assert_allclose(codes, oracles.sinkhorn(scores.double().numpy(), 0.01, 3), rtol=1e-3, atol=1e-7)


def test_a_prototype_that_no_sample_is_near_is_shared_out():
    codes = sinkhorn(torch.tensor([[0.0, -1e4], [0.0, -1e4]]), epsilon=0.05, n_iterations=3)
    assert_allclose(codes, 0.5, rtol=1e-6)  # e^{−2·10⁵} is 0: exponentiated first, this column would be 0/0


def test_no_gradient():
    scores = torch.ones(2, 3, requires_grad=True)
    assert not sinkhorn(scores, epsilon=0.05, n_iterations=3).requires_grad


def test_nan_is_not_dropped():
    scores = torch.zeros(3, 4)
    scores[1, 2] = math.nan
    assert sinkhorn(scores, epsilon=0.05, n_iterations=3).isnan().all()


def test_bad_input_is_refused():
    scores = torch.ones(3, 2)
    with pytest.raises(ValueError, match="epsilon must be above 0, not 0.0"):
        sinkhorn(scores, epsilon=0.0, n_iterations=3)
    with pytest.raises(ValueError, match="n_iterations must be at least 1, not 0"):
        sinkhorn(scores, epsilon=0.05, n_iterations=0)
    with pytest.raises(ValueError, match=r"scores must be \(B, K\) with B and K ≥ 1, not \(3,\)"):
        sinkhorn(scores[:, 0], epsilon=0.05, n_iterations=3)
    with pytest.raises(ValueError, match=r"not \(0, 2\)"):
        sinkhorn(scores[:0], epsilon=0.05, n_iterations=3)
