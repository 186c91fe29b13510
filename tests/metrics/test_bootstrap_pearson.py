from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from sentemb.errors import DataError
from sentemb.metrics.bootstrap import interval95, resample_weights
from sentemb.metrics.bootstrap_pearson import bootstrap_pearson, paired_bootstrap_pearson


def repeated(predictions, gold, weights):
    """Pearson of the pairs written out as often as they were drawn."""
    return np.array([stats.pearsonr(np.repeat(predictions, w), np.repeat(gold, w))[0] for w in weights])


def test_intervals_and_differences_are_those_of_the_pairs_written_out(rng):
    gold = rng.uniform(1, 5, 80)
    first, second = 1e4 + gold + rng.normal(size=80), gold + 2 * rng.normal(size=80)
    (weights,) = resample_weights(80, 200, np.random.default_rng(7))
    of_first, of_second = (repeated(each, gold, weights) for each in (first, second))
    assert_allclose(bootstrap_pearson(first, gold, np.random.default_rng(7), 200), interval95(of_first), atol=1e-9)
    found = paired_bootstrap_pearson(first, second, gold, np.random.default_rng(7), 200)
    assert found.value == pytest.approx(stats.pearsonr(first, gold)[0] - stats.pearsonr(second, gold)[0])
    assert_allclose(found.interval95, interval95(of_first - of_second), atol=1e-9)


def test_resamples_of_one_value_are_left_out():
    low, high = bootstrap_pearson(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]), np.random.default_rng(0))
    assert (low, high) == pytest.approx((1.0, 1.0))


def test_predictions_all_alike_are_refused():
    with pytest.raises(DataError, match="no order to correlate"):
        bootstrap_pearson(np.ones(4), np.arange(4.0), np.random.default_rng(0))
