"""How far a Pearson correlation would move on other pairs of the same kind: percentile bootstrap over the pairs.

Of a resample, only the weighted sums of x, y, x², y² and xy are needed: one matrix product a chunk.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sentemb.metrics.bootstrap import N_RESAMPLES, Difference, Interval, difference_of, interval95, resample_weights
from sentemb.metrics.correlation import pearson

Array = np.ndarray[Any, np.dtype[Any]]


def bootstrap_pearson(
    predictions: Array, gold: Array, rng: np.random.Generator, n_resamples: int = N_RESAMPLES
) -> Interval:
    """The 95 % percentile interval of Pearson's correlation over resamples of the pairs (Efron 1979).

    Args:
        predictions: (N,) float, finite, not all alike.
        gold: (N,) float, finite, not all alike.
        rng: where the resamples come from; the same state gives the same interval.
        n_resamples: > 0. Resamples in which all values of a side are alike are left out.

    Raises:
        DataError: as `pearson`.
    """
    pearson(predictions, gold)
    return interval95(_resampled(predictions[:, None], gold, rng, n_resamples)[:, 0])


def paired_bootstrap_pearson(
    first: Array, second: Array, gold: Array, rng: np.random.Generator, n_resamples: int = N_RESAMPLES
) -> Difference:
    """Whether two models' predictions on the same pairs differ in Pearson by more than chance; same resamples for both.

    Args:
        first: (N,) float, the first model's predictions.
        second: (N,) float, the second's.
        gold: (N,) float.
        rng: where the resamples come from.
        n_resamples: > 0.

    Raises:
        DataError: as `pearson`.
    """
    value = pearson(first, gold) - pearson(second, gold)
    found = _resampled(np.stack([first, second], axis=1), gold, rng, n_resamples)
    return difference_of(value, found[:, 0] - found[:, 1])


def _resampled(predictions: Array, gold: Array, rng: np.random.Generator, n_resamples: int) -> Array:
    """(R, M) Pearson of (N, M) predictions with (N,) gold on each resample; NaN where one side does not vary."""
    x = predictions - predictions.mean(axis=0)  # moments about the mean, or little would be left of their difference
    y = (gold - gold.mean())[:, None]
    n, m = x.shape
    columns = np.concatenate([x, x * x, x * y, y, y * y], axis=1)
    parts = []
    for weights in resample_weights(n, n_resamples, rng):
        sums = weights @ columns / n
        mean_x, mean_y = sums[:, :m], sums[:, 3 * m : 3 * m + 1]
        covariance = sums[:, 2 * m : 3 * m] - mean_x * mean_y
        variances = (sums[:, m : 2 * m] - mean_x**2) * (sums[:, 3 * m + 1 :] - mean_y**2)
        constant = variances <= 1e-14 * np.square(x).mean(axis=0) * np.square(y).mean()
        parts.append(np.where(constant, np.nan, covariance / np.sqrt(np.where(constant, 1.0, variances))))
    return np.concatenate(parts)
