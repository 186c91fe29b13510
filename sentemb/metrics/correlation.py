"""Correlation of predictions with gold scores: (N,) and (N,) in, one float in [-1, 1] out."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats

from sentemb.errors import DataError

Array = np.ndarray[Any, np.dtype[Any]]


def spearman(predictions: Array, gold: Array) -> float:
    """Spearman's rank correlation: Pearson's of the ranks, tied values sharing the mean of their ranks.

    Args:
        predictions: (N,) float, finite, N ≥ 2.
        gold: (N,) float, finite.

    Raises:
        DataError: fewer than 2 values, a value is not finite, or all values of one side are alike (no rank order).

    >>> spearman(np.array([0.1, 0.5, 0.9]), np.array([1.0, 2.0, 30.0]))
    1.0
    """
    _check("spearman", predictions, gold)
    return float(stats.spearmanr(predictions, gold).statistic)


def pearson(predictions: Array, gold: Array) -> float:
    """Pearson's linear correlation of (N,) and (N,); checks and raises as `spearman` does.

    >>> round(pearson(np.array([0.0, 1.0, 2.0]), np.array([0.0, 1.0, 0.5])), 4)
    0.5
    """
    _check("pearson", predictions, gold)
    x = _standardised(predictions)
    y = _standardised(gold)
    return float(np.clip(x @ y, -1.0, 1.0))


def _standardised(values: Array) -> Array:
    centred = values.astype(np.float64) - np.mean(values, dtype=np.float64)
    return centred / np.linalg.norm(centred)


def _check(place: str, predictions: Array, gold: Array) -> None:
    if predictions.shape != gold.shape or predictions.ndim != 1:
        given = f"predictions of shape {predictions.shape} and gold scores of shape {gold.shape}"
        raise DataError(place, f"{given} can't be paired", "Pass two vectors of one length")
    if len(gold) < 2:
        raise DataError(place, f"{len(gold)} value(s), but a correlation needs 2 or more", "Score more pairs")
    for name, values in (("predictions", predictions), ("gold scores", gold)):
        if not np.isfinite(values).all():
            raise DataError(place, f"not all {name} are finite numbers", "Remove NaN and infinity")
        if (values == values[0]).all():
            problem = f"all {len(values)} {name} are {values[0]:g}, so they have no order to correlate"
            raise DataError(place, problem, "Score pairs that differ")
