from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sentemb.errors import DataError
from sentemb.metrics.correlation import pearson, spearman


def pearson_loops(x: list[float], y: list[float]) -> float:
    n = len(x)
    mean_x, mean_y = sum(x) / n, sum(y) / n
    covariance = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    squares = sum((a - mean_x) ** 2 for a in x) * sum((b - mean_y) ** 2 for b in y)
    return covariance / squares**0.5


def ranks_loops(x: list[float]) -> list[float]:
    """1 + the number of smaller values + half the number of other equal ones."""
    return [1 + sum(b < a for b in x) + (sum(b == a for b in x) - 1) / 2 for a in x]


def spearman_loops(x: list[float], y: list[float]) -> float:
    return pearson_loops(ranks_loops(x), ranks_loops(y))


@pytest.mark.parametrize("n", [2, 3, 10, 60])
@pytest.mark.parametrize("levels", [2, 4, 1000])
def test_both_agree_with_loops_with_and_without_ties(n, levels, rng):
    x = rng.integers(0, levels, n).astype(float)
    y = rng.integers(0, levels, n).astype(float)
    x[:2], y[:2] = (0, 1), (1, 0)  # never constant
    assert spearman(x, y) == pytest.approx(spearman_loops(x.tolist(), y.tolist()), abs=1e-12)
    assert pearson(x, y) == pytest.approx(pearson_loops(x.tolist(), y.tolist()), abs=1e-12)


def test_both_agree_with_scipy(rng):
    x = rng.normal(size=500)
    y = np.round(x + rng.normal(size=500), 0)  # ties on one side
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    assert pearson(x, y) == pytest.approx(stats.pearsonr(x, y).statistic, abs=1e-12)


def test_spearman_sees_only_the_order_and_pearson_only_the_line(rng):
    x, y = rng.normal(size=(2, 40))
    assert spearman(np.exp(x), y) == pytest.approx(spearman(x, y), abs=1e-12)
    assert pearson(np.exp(x), y) != pytest.approx(pearson(x, y), abs=1e-3)
    assert pearson(3 * x + 1, y) == pytest.approx(pearson(x, y), abs=1e-12)
    assert spearman(-x, y) == pytest.approx(-spearman(x, y), abs=1e-12)


@pytest.mark.parametrize("metric", [spearman, pearson])
@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], "all 3 predictions are 1, so they have no order"),
        ([1.0, 2.0, 3.0], [0.5, 0.5, 0.5], "all 3 gold scores are 0.5"),
        ([1.0, float("nan")], [1.0, 2.0], "not all predictions are finite"),
        ([1.0, 2.0], [1.0, float("inf")], "not all gold scores are finite"),
        ([1.0], [1.0], "needs 2 or more"),
        ([1.0, 2.0], [1.0, 2.0, 3.0], "can't be paired"),
    ],
)
def test_what_has_no_correlation_is_named(metric, x, y, message):
    with pytest.raises(DataError, match=message) as caught:
        metric(np.array(x), np.array(y))
    assert str(caught.value).startswith(metric.__name__ + ":")
