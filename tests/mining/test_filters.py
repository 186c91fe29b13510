from __future__ import annotations

import math

import numpy as np
import pytest

from sentemb.mining.filters import by_preference, same_text_key, take_window, within_limits


def ranked(rng, n_rows, k, n_missing):
    """Descending scores of different numbers, the last ones missing."""
    scores = -np.sort(-rng.normal(size=(n_rows, k))).astype(np.float32)
    numbers = np.array([rng.permutation(50)[:k] for _ in range(n_rows)])
    if n_missing:
        scores[:, -n_missing:], numbers[:, -n_missing:] = -np.inf, -1
    return scores, numbers


@pytest.mark.parametrize(("skip", "window"), [(0, 1), (0, 5), (2, 3), (3, 40), (60, 2)])
@pytest.mark.parametrize("n_missing", [0, 4])
def test_the_window_agrees_with_loops(skip, window, n_missing, rng):
    scores, numbers = ranked(rng, 30, 12, n_missing)
    excluded = [list(rng.permutation(50)[: rng.integers(0, 20)]) for _ in range(30)]
    found_scores, found = take_window(scores, numbers, excluded, skip=skip, window=window)
    assert found.shape == found_scores.shape == (30, window) and found_scores.dtype == np.float32
    for row in range(30):
        left = [
            (number, score)
            for number, score in zip(numbers[row], scores[row], strict=True)
            if number >= 0 and number not in excluded[row]
        ][skip : skip + window]
        left += [(-1, -math.inf)] * (window - len(left))
        assert list(zip(found[row], found_scores[row], strict=True)) == left


LIMITS = [
    {},
    {"absolute_margin": 0.0},
    {"absolute_margin": 0.3},
    {"relative_margin": 0.05},
    {"relative_margin": 1.0},
    {"max_score": 0.5},
    {"min_score": 0.0},
    {"absolute_margin": 0.1, "relative_margin": 0.5, "max_score": 0.4, "min_score": -1.0},
]


@pytest.mark.parametrize("given", LIMITS, ids=str)
def test_the_limits_agree_with_loops(given, rng):
    scores, _ = ranked(rng, 40, 9, 2)
    positives = rng.normal(size=40).astype(np.float32)
    limits = dict.fromkeys(["absolute_margin", "relative_margin", "max_score", "min_score"]) | given
    kept = within_limits(scores, positives, **limits)
    for row in range(40):
        for column in range(9):
            score, positive = float(scores[row, column]), float(positives[row])
            expected = score > -math.inf
            if limits["absolute_margin"] is not None:
                expected = expected and score <= positive - limits["absolute_margin"]
            if limits["relative_margin"] is not None:
                expected = expected and score <= positive - limits["relative_margin"] * abs(positive)
            if limits["max_score"] is not None:
                expected = expected and score <= limits["max_score"]
            if limits["min_score"] is not None:
                expected = expected and score >= limits["min_score"]
            assert kept[row, column] == expected
    assert kept.any() and (not given or not kept.all())


def test_a_score_on_the_line_is_kept():
    limits = dict.fromkeys(["absolute_margin", "relative_margin", "max_score", "min_score"])
    half, one = np.array([[0.5]]), np.array([1.0])
    for given in ({"absolute_margin": 0.5}, {"relative_margin": 0.5}, {"max_score": 0.5}, {"min_score": 0.5}):
        assert within_limits(half, one, **limits | given).all()


def test_a_negative_positive_score_is_no_licence():
    """(1 − 0.5) · −0.4 is −0.2, above the positive; the guard must keep below it."""
    limits = dict(absolute_margin=None, relative_margin=0.5, max_score=None, min_score=None)
    kept = within_limits(np.array([[-0.2, -0.5, -0.7]]), np.array([-0.4]), **limits)
    assert kept.tolist() == [[False, False, True]]


def test_nearest_first():
    kept = np.array([[True, False, True], [False, False, False]])
    assert by_preference(kept, None).tolist() == [[0, 2, -1], [-1, -1, -1]]


def test_a_random_order_is_uniform_seeded_and_blind_to_blocks():
    kept = np.ones((6000, 4), dtype=bool)
    kept[:, 1] = False
    order = by_preference(kept, np.random.default_rng(0))
    assert (order[:, 3] == -1).all() and (np.sort(order[:, :3]) == [0, 2, 3]).all()
    orders, counts = np.unique(order[:, :3], axis=0, return_counts=True)
    assert len(orders) == 6 and abs(counts - 1000).max() < 5 * math.sqrt(1000 * 5 / 6)
    rng = np.random.default_rng(0)
    parts = [by_preference(kept[:1000], rng), by_preference(kept[1000:], rng)]
    assert (np.concatenate(parts) == order).all()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("A dog.", "a DOG.", True),
        (" a\tdog\n", "a dog", True),
        ("Straße", "STRASSE", True),
        ("a dog", "a dogs", False),
        ("a dog", "adog", False),
        ("a dog", "a dog.", False),
    ],
)
def test_the_same_text(one, other, same):
    assert (same_text_key(one) == same_text_key(other)) is same
