from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats
from sklearn.neighbors import NearestNeighbors

from sentemb.errors import DataError
from sentemb.metrics.hubness import hubness, k_occurrences
from sentemb.metrics.neighbours import nearest_by_distance


def occurrences_loops(x: np.ndarray, k: int) -> list[int]:
    """Each row's others sorted by cosine (12 decimals), then by number."""
    counts = [0] * len(x)
    for i, u in enumerate(x):
        cosines = []
        for v in x:
            dot = sum(a * b for a, b in zip(u, v, strict=True))
            cosines.append(round(dot / math.sqrt(sum(a * a for a in u) * sum(b * b for b in v)), 12))
        for j in sorted((j for j in range(len(x)) if j != i), key=lambda j: (-cosines[j], j))[:k]:
            counts[j] += 1
    return counts


@pytest.mark.parametrize(("n_rows", "k"), [(2, 1), (5, 4), (12, 3), (41, 10)])
def test_agrees_with_loops_and_scipys_skew(n_rows, k, rng, monkeypatch):
    monkeypatch.setattr("sentemb.metrics.neighbours._BLOCK", 7)
    x = rng.normal(size=(n_rows, 6)) + 0.5
    expected = occurrences_loops(x, k)
    assert k_occurrences(x, n_neighbours=k).tolist() == expected
    if len(set(expected)) > 1:
        assert hubness(x, n_neighbours=k) == pytest.approx(stats.skew(expected), rel=1e-12)


def test_agrees_with_loops_where_many_cosines_are_level(rng, monkeypatch):
    monkeypatch.setattr("sentemb.metrics.neighbours._BLOCK", 4)
    x = rng.integers(-1, 2, size=(40, 3)).astype(float)
    x = x[x.any(axis=1)] * rng.choice(
        [0.1, 0.3, 7.0], size=(int(x.any(axis=1).sum()), 1)
    )  # duplicates, once normalised
    for k in (1, 2, 5, len(x) - 1):
        assert k_occurrences(x, n_neighbours=k).tolist() == occurrences_loops(x, k)


def test_rounding_error_breaks_no_tie(rng):
    """All orders of one vector's entries have the same cosine to (1, …, 1); summed in floats they differ."""
    x = np.stack([rng.permutation(np.arange(1, 8) / 10) for _ in range(30)] + [np.ones(7)])
    cosines = (x[:30] / np.linalg.norm(x[:30], axis=1, keepdims=True)) @ (np.ones(7) / math.sqrt(7))
    assert 0 < np.ptp(cosines) < 1e-14  # the premise
    for k in (1, 2, 5):
        assert k_occurrences(x, n_neighbours=k).tolist() == occurrences_loops(x, k)


def test_agrees_with_scikit_learn(rng):
    x = rng.normal(size=(300, 8)) + 0.3
    found = (
        NearestNeighbors(n_neighbors=11, metric="cosine", algorithm="brute").fit(x).kneighbors(return_distance=False)
    )
    assert k_occurrences(x, n_neighbours=11).tolist() == np.bincount(found.ravel(), minlength=300).tolist()


def test_nearest_by_distance_agrees_with_scikit_learn(rng, monkeypatch):
    monkeypatch.setattr("sentemb.metrics.neighbours._BLOCK", 32)
    x = rng.normal(size=(100, 5)) + 1e7  # far from 0, where ‖u‖² − 2 u·v + ‖v‖² alone loses digits
    found = NearestNeighbors(n_neighbors=4, algorithm="brute").fit(x - 1e7).kneighbors(return_distance=False)
    assert nearest_by_distance("figure", x, 4).tolist() == np.sort(found, axis=1).tolist()


def test_a_hub_by_hand():
    # The middle one is nearest to all of four around it; its own nearest is the first of them. N_1 = 4, 1, 0, 0, 0.
    middle_first = np.array([[0.0, 0.0, 1.0], [1, 0, 1], [-1, 0, 1], [0, 1, 1], [0, -1, 1]])
    assert k_occurrences(middle_first, n_neighbours=1).tolist() == [4, 1, 0, 0, 0]
    # deviations 3, 0, −1, −1, −1: (27 − 3) / 5 over ((9 + 3) / 5)^1.5
    assert hubness(middle_first, n_neighbours=1) == pytest.approx(4.8 / 2.4**1.5)


def test_no_hub():
    angles = np.arange(8) * math.pi / 4  # on a circle each is a neighbour of the two beside it
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert k_occurrences(circle, n_neighbours=2).tolist() == [2] * 8
    assert hubness(circle, n_neighbours=2) == 0.0


def test_all_alike_goes_to_the_first_rows_whatever_the_block(monkeypatch):
    for block in (1, 3, 512):
        monkeypatch.setattr("sentemb.metrics.neighbours._BLOCK", block)
        x = np.full((7, 5), 0.1)
        assert k_occurrences(x, n_neighbours=2).tolist() == [6, 6, 2, 0, 0, 0, 0]


def test_the_mean_is_k_and_row_scale_rotation_and_order_do_not_matter(rng):
    x = rng.normal(size=(60, 7)) + 0.2
    counts = k_occurrences(x, n_neighbours=5)
    assert counts.mean() == 5.0
    order = rng.permutation(60)
    assert_allclose(k_occurrences(x[order], n_neighbours=5), counts[order])
    assert_allclose(k_occurrences(x * rng.uniform(0.1, 9.0, size=(60, 1)), n_neighbours=5), counts)
    assert_allclose(k_occurrences(x @ np.linalg.qr(rng.normal(size=(7, 7)))[0], n_neighbours=5), counts)


def test_high_dimension_makes_hubs(rng):
    """The paper's finding: of Gaussian rows, the skewness rises with the dimension."""
    low, high = (hubness(rng.normal(size=(500, dim)) + 1.0, n_neighbours=10) for dim in (3, 100))
    assert high > low + 1.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: hubness(np.eye(3), n_neighbours=3), DataError, "3 vectors, but 3 neighbours of each need 4 or more"),
        (lambda: hubness(np.eye(3), n_neighbours=0), ValueError, "n_neighbours must be 1 or more, not 0"),
        (lambda: hubness(np.zeros((3, 2)), n_neighbours=1), DataError, "vector 0 is zero"),
        (lambda: hubness(np.array([[1.0], [np.nan]]), n_neighbours=1), DataError, "vector 1 holds a value"),
    ],
)
def test_what_has_no_neighbours_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
