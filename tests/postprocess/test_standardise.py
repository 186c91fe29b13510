from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sentemb.errors import ConfigError, DataError
from sentemb.postprocess.standardise import Standardise
from tests.postprocess.samples import correlated


@pytest.mark.parametrize("ddof", [0, 1])
def test_agrees_with_loops(ddof, rng):
    x = correlated(rng, 30, 4)
    expected = np.empty_like(x)
    for j in range(4):
        mean = sum(x[:, j]) / 30
        deviation = math.sqrt(sum((value - mean) ** 2 for value in x[:, j]) / (30 - ddof))
        expected[:, j] = [(value - mean) / deviation for value in x[:, j]]
    assert_allclose(Standardise(variance_floor=0.0, ddof=ddof).fit(x).transform(x), expected, atol=1e-10)


def test_agrees_with_scikit_learns_standard_scaler(rng):
    from sklearn.preprocessing import StandardScaler

    x, new = correlated(rng), correlated(rng, 20)
    ours, theirs = Standardise(variance_floor=0.0, ddof=0).fit(x), StandardScaler().fit(x)
    assert_allclose(ours.transform(new), theirs.transform(new), atol=1e-8)
    assert_allclose(ours.scale_, theirs.scale_, rtol=1e-10)


def test_a_constant_column_is_refused_by_name_or_floored_with_a_warning(rng):
    x = correlated(rng)
    x[:, 2] = 0.1
    with pytest.raises(
        DataError, match=r"Standardise: 1 of 6 .*constant in all rows are the columns 2 .*variance_floor"
    ):
        Standardise(variance_floor=0.0, ddof=1).fit(x)
    with pytest.warns(UserWarning, match="Standardise: 1 of 6 variances were raised to 1e-06 of the largest"):
        ours = Standardise(variance_floor=1e-6, ddof=1).fit(x)
    assert ours.n_floored_ == 1
    assert_allclose(ours.scale_[2], 1e-3 * x.std(axis=0, ddof=1).max())
    assert_allclose(ours.transform(x)[:, 2], 0.0, atol=1e-10)
    with pytest.raises(DataError, match="all 9 rows are alike"):
        Standardise(variance_floor=1e-6, ddof=1).fit(np.ones((9, 3)))


def test_many_constant_columns_are_not_all_listed(rng):
    x = np.ones((5, 20))
    x[:, 19] = np.arange(5)
    with pytest.raises(DataError, match=r"19 of 20 .*columns 0, 1, 2, 3, 4, … \(from 0\)"):
        Standardise(variance_floor=0.0, ddof=1).fit(x)


def test_few_rows_are_enough_where_no_column_is_constant(rng):
    x = correlated(rng, 2)
    assert_allclose(np.abs(Standardise(variance_floor=0.0, ddof=0).fit(x).transform(x)), 1.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variance_floor": -1.0, "ddof": 1}, "Standardise.variance_floor: it is -1.0, but must be at least 0"),
        ({"variance_floor": 1.0, "ddof": 1}, "Standardise.variance_floor: it is 1.0"),
        ({"variance_floor": 0.0, "ddof": 3}, "Standardise.ddof: it is 3, but must be 0 or 1"),
    ],
)
def test_a_setting_out_of_its_range_is_refused_at_once(settings, message):
    with pytest.raises(ConfigError, match=message):
        Standardise(**settings)
