from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from sentemb.errors import DataError
from sentemb.metrics.accuracy import accuracy, bootstrap_accuracy, f1, paired_bootstrap_accuracy


def made(rng, n, share):
    """n classes, and predictions of which about `share` are right."""
    gold = rng.integers(0, 2, n)
    return np.where(rng.random(n) < share, gold, 1 - gold), gold


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8, 1.0])
def test_accuracy_and_f1_are_scikit_learns(rng, share):
    predictions, gold = made(rng, 101, share)
    assert accuracy(predictions, gold) == pytest.approx(metrics.accuracy_score(gold, predictions))
    assert f1(predictions, gold) == pytest.approx(metrics.f1_score(gold, predictions))


def test_f1_without_any_positive_is_0():
    assert f1(np.zeros(3, dtype=int), np.zeros(3, dtype=int)) == 0.0


def test_the_interval_is_about_that_of_a_share(rng):
    predictions, gold = made(rng, 1000, 0.8)
    share = accuracy(predictions, gold)
    low, high = bootstrap_accuracy(predictions, gold, np.random.default_rng(0), n_resamples=4000)
    half = 1.96 * np.sqrt(share * (1 - share) / 1000)
    assert (low, high) == pytest.approx((share - half, share + half), abs=0.004)
    assert bootstrap_accuracy(predictions, gold, np.random.default_rng(0)) == bootstrap_accuracy(
        predictions, gold, np.random.default_rng(0)
    )


def test_all_right_has_no_width():
    assert tuple(bootstrap_accuracy(np.ones(9), np.ones(9), np.random.default_rng(0))) == (1.0, 1.0)


def test_models_that_err_on_the_same_rows_are_told_apart_better_than_their_intervals_do(rng):
    second, gold = made(rng, 2000, 0.7)
    first = second.copy()
    wrong = np.flatnonzero(second != gold)[:40]
    first[wrong] = gold[wrong]
    found = paired_bootstrap_accuracy(first, second, gold, np.random.default_rng(0))
    assert found.value == pytest.approx(0.02)
    assert found.p_value < 0.01 and found.interval95.low > 0.01
    assert found.interval95.high - found.interval95.low < 0.02  # each model's own is 0.04 wide


def test_swapping_two_models_turns_the_difference_and_a_model_against_itself_has_none(rng):
    first, gold = made(rng, 300, 0.8)
    second = np.where(rng.random(300) < 0.7, gold, 1 - gold)
    ab, ba = (
        paired_bootstrap_accuracy(*pair, gold, np.random.default_rng(3)) for pair in [(first, second), (second, first)]
    )
    assert ab.value == -ba.value and ab.p_value == ba.p_value
    assert tuple(ab.interval95) == pytest.approx((-ba.interval95.high, -ba.interval95.low))
    same = paired_bootstrap_accuracy(first, first, gold, np.random.default_rng(3))
    assert (same.value, tuple(same.interval95), same.p_value) == (0.0, (0.0, 0.0), 1.0)


@pytest.mark.parametrize(
    ("predictions", "gold"),
    [(np.zeros(3), np.zeros(4)), (np.zeros(0), np.zeros(0)), (np.zeros((2, 2)), np.zeros((2, 2)))],
)
def test_what_is_no_pair_of_vectors_is_refused(predictions, gold):
    with pytest.raises(DataError, match="can't be compared. Pass two vectors of one length"):
        bootstrap_accuracy(predictions, gold, np.random.default_rng(0))
