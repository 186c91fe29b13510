from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sentemb.metrics.similarity import PAIR_SIMILARITIES, paired_cosine


def loops(name: str, u: np.ndarray, v: np.ndarray) -> float:
    if name == "cosine":
        norms = sum(a * a for a in u) ** 0.5 * sum(b * b for b in v) ** 0.5
        return sum(a * b for a, b in zip(u, v, strict=True)) / norms if norms else 0.0
    if name == "dot":
        return sum(a * b for a, b in zip(u, v, strict=True))
    if name == "euclidean":
        return -(sum((a - b) ** 2 for a, b in zip(u, v, strict=True)) ** 0.5)
    return -sum(abs(a - b) for a, b in zip(u, v, strict=True))


@pytest.mark.parametrize("name", PAIR_SIMILARITIES)
@pytest.mark.parametrize(("n", "dim"), [(1, 1), (1, 5), (7, 1), (9, 16)])
def test_each_similarity_agrees_with_loops(name, n, dim, rng):
    u, v = rng.normal(size=(2, n, dim))
    expected = [loops(name, a, b) for a, b in zip(u, v, strict=True)]
    assert_allclose(PAIR_SIMILARITIES[name](u, v), expected, rtol=1e-12)


@pytest.mark.parametrize("name", PAIR_SIMILARITIES)
def test_no_pairs_give_no_similarities(name):
    assert PAIR_SIMILARITIES[name](np.zeros((0, 3)), np.zeros((0, 3))).shape == (0,)


@pytest.mark.parametrize("name", PAIR_SIMILARITIES)
def test_bigger_is_nearer_and_order_of_the_pair_is_nothing(name, rng):
    u = rng.normal(size=(6, 8))
    near, far = PAIR_SIMILARITIES[name](u, u), PAIR_SIMILARITIES[name](u, -u)
    assert (near > far).all()
    v = rng.normal(size=(6, 8))
    assert_allclose(PAIR_SIMILARITIES[name](u, v), PAIR_SIMILARITIES[name](v, u), rtol=1e-12)


def test_a_zero_vector_has_cosine_zero_with_everything():
    zero, one = np.zeros((1, 4), dtype=np.float32), np.ones((1, 4), dtype=np.float32)
    assert paired_cosine(zero, one).tolist() == [0.0]
    assert paired_cosine(zero, zero).tolist() == [0.0]
    assert_allclose(paired_cosine(one, one), [1.0])  # the premise: without the zero it is not 0


def test_cosine_is_that_of_tiny_huge_and_half_precision_vectors(rng):
    u, v = rng.normal(size=(2, 5, 8))
    expected = paired_cosine(u, v)
    assert_allclose(paired_cosine(u * 1e-200, v * 1e200), expected, rtol=1e-12)
    assert_allclose(paired_cosine(u.astype(np.float16), v.astype(np.float16)), expected, atol=2e-3)
