from __future__ import annotations

import math

import numpy as np
import pytest

from sentemb.errors import DataError
from sentemb.metrics.geometry import alignment, uniformity


def unit(v: np.ndarray) -> np.ndarray:
    return v / math.sqrt(sum(a * a for a in v))


def squared_distance(u: np.ndarray, v: np.ndarray) -> float:
    return sum((a - b) ** 2 for a, b in zip(unit(u), unit(v), strict=True))


def test_alignment_agrees_with_loops(rng):
    u, v = rng.normal(size=(2, 12, 5))
    expected = sum(squared_distance(a, b) for a, b in zip(u, v, strict=True)) / 12
    assert alignment(u, v) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n", [2, 5, 7, 40])
def test_uniformity_agrees_with_loops_over_different_rows(n, rng, monkeypatch):
    monkeypatch.setattr("sentemb.metrics.geometry._BLOCK", 7)
    x = rng.normal(size=(n, 3))
    rows = np.stack([unit(row) for row in x])
    total, pairs = 0.0, 0
    for i in range(n):
        for j in range(i):
            total += math.exp(-2 * float(((rows[i] - rows[j]) ** 2).sum()))
            pairs += 1
    assert uniformity(x) == pytest.approx(math.log(total / pairs), rel=1e-10)


def test_closed_forms():
    one = np.ones((4, 3))
    assert alignment(one, 7 * one) == pytest.approx(0.0)
    assert alignment(one, -one) == pytest.approx(4.0)
    assert uniformity(one) == pytest.approx(0.0)
    assert uniformity(np.eye(5)) == pytest.approx(-4.0)  # all at squared distance 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: uniformity(np.ones((1, 3))), "1 vector, but 2 or more are needed"),
        (lambda: uniformity(np.array([[1.0, 0.0], [0.0, 0.0]])), "vector 1 is zero"),
        (lambda: uniformity(np.array([[1.0, 0.0], [np.nan, 0.0]])), "vector 1 holds a value that is not finite"),
        (lambda: alignment(np.zeros((1, 3)), np.ones((1, 3))), "vector 0 is zero"),
        (lambda: alignment(np.ones((0, 3)), np.ones((0, 3))), "one vector or more"),
    ],
)
def test_what_has_no_geometry_is_refused(call, message):
    with pytest.raises(DataError, match=message):
        call()
