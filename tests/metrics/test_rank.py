from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import linalg, stats

from sentemb.errors import DataError
from sentemb.metrics.rank import centred_effective_rank, effective_rank, participation_ratio

SHAPES = [(1, 1), (1, 5), (2, 3), (5, 5), (30, 4), (4, 30)]


def effective_rank_loops(x: np.ndarray) -> float:
    """Singular values as roots of the eigenvalues of the smaller Gram matrix, itself in loops."""
    x = x if len(x) <= x.shape[1] else x.T
    gram = [[sum(a * b for a, b in zip(u, v, strict=True)) for v in x] for u in x]
    sigmas = [math.sqrt(max(value, 0.0)) for value in linalg.eigh(gram, eigvals_only=True)]
    shares = [sigma / sum(sigmas) for sigma in sigmas]
    return math.exp(-sum(p * math.log(p) for p in shares if p > 0))


def participation_loops(x: np.ndarray) -> float:
    variances = linalg.eigvalsh(np.atleast_2d(np.cov(x.T)))
    return sum(variances) ** 2 / sum(v * v for v in variances)


@pytest.mark.parametrize(("n_rows", "dim"), SHAPES)
def test_effective_rank_agrees_with_loops(n_rows, dim, rng):
    x = rng.normal(size=(n_rows, dim)) + 0.5
    assert effective_rank(x) == pytest.approx(effective_rank_loops(x), rel=1e-9)


@pytest.mark.parametrize(("n_rows", "dim"), [(7, 1), (30, 4), (60, 9)])
def test_the_centred_figures_agree_with_loops(n_rows, dim, rng):
    x = rng.normal(size=(n_rows, dim)) * rng.uniform(0.2, 2.0, size=dim) + 5.0
    assert centred_effective_rank(x) == pytest.approx(effective_rank_loops(x - x.mean(axis=0)), rel=1e-9)
    assert participation_ratio(x) == pytest.approx(participation_loops(x), rel=1e-9)


def test_agrees_with_the_entropy_of_scipy(rng):
    x = rng.normal(size=(20, 6))
    assert effective_rank(x) == pytest.approx(math.exp(stats.entropy(linalg.svdvals(x))), rel=1e-12)


@pytest.mark.parametrize("k", [1, 2, 5, 8])
def test_k_equal_axes_have_rank_k(k):
    rows = np.zeros((2 * k, 8))
    for i in range(k):
        rows[2 * i, i], rows[2 * i + 1, i] = 3.0, -3.0
    for figure in (effective_rank, centred_effective_rank, participation_ratio):
        assert figure(rows) == pytest.approx(k)


def test_two_unequal_axes_by_hand():
    rows = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])  # σ as 3 : 1, variances as 9 : 1
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert effective_rank(rows) == pytest.approx(math.exp(entropy))
    assert centred_effective_rank(rows) == pytest.approx(math.exp(entropy))
    assert participation_ratio(rows) == pytest.approx(100 / 82)


def test_a_large_mean_hides_the_spread_from_the_uncentred_rank_only(rng):
    x = rng.normal(size=(100, 10))
    assert effective_rank(x + 1000.0) < 1.1 < 9 < centred_effective_rank(x + 1000.0)
    assert centred_effective_rank(x + 1000.0) == pytest.approx(centred_effective_rank(x), rel=1e-9)
    assert participation_ratio(x + 1000.0) == pytest.approx(participation_ratio(x), rel=1e-9)


@pytest.mark.parametrize("figure", [effective_rank, centred_effective_rank, participation_ratio])
def test_blind_to_rotation_scale_and_order(figure, rng):
    x = rng.normal(size=(30, 5)) * np.arange(1, 6) + 1.0
    turned = x @ np.linalg.qr(rng.normal(size=(5, 5)))[0]
    for same in (turned, 1e-200 * x, 1e200 * x, -x, x[rng.permutation(30)], np.hstack([x, np.zeros((30, 3))])):
        assert figure(same) == pytest.approx(figure(x), rel=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: effective_rank(np.zeros((4, 3))), "effective_rank: all 4 vectors are zero"),
        (lambda: effective_rank(np.ones((0, 3))), "effective_rank: vectors of shape"),
        (lambda: effective_rank(np.array([[np.nan]])), "effective_rank: vector 0 holds a value that is not finite"),
        (lambda: centred_effective_rank(np.full((3, 2), 0.1)), "centred_effective_rank: all 3 vectors are alike"),
        (lambda: centred_effective_rank(np.ones((1, 2))), "centred_effective_rank: 1 vector, but 2 or more"),
        (lambda: participation_ratio(np.full((3, 2), 0.1)), "participation_ratio: all 3 vectors are alike"),
    ],
)
def test_what_has_no_rank_is_refused(call, message):
    with pytest.raises(DataError, match=message):
        call()
