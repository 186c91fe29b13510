"""Which of the nearest texts may be negatives: other texts, in a window of ranks, below the positive's score.

Candidates come as two arrays of one shape, a row for each anchor, nearest first: (B, K) float scores and (B, K) int
numbers of texts, −inf and −1 where there are fewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def same_text_key(text: str) -> str:
    r"""What two texts share that differ in case and white space only: such a text is no negative, but the same one.

    >>> same_text_key(" A  dog\truns. ") == same_text_key("a dog RUNS.")
    True
    """
    return " ".join(text.casefold().split())


def take_window(
    scores: Array, numbers: Array, excluded: Sequence[Sequence[int]], *, skip: int, window: int
) -> tuple[Array, Array]:
    """The candidates ranked skip + 1 … skip + window, those not counted that are excluded.

    Args:
        scores: (B, K).
        numbers: (B, K).
        excluded: B lists of numbers: the anchor's own text and all its positives.
        skip: how many of the nearest to leave out, 0 or more.
        window: W, 1 or more.

    Returns:
        (B, W) scores and (B, W) numbers. Full whenever the corpus allows it if K ≥ skip + W + the longest list.

    >>> window = take_window(np.array([[0.9, 0.8, 0.7, 0.6]]), np.array([[3, 1, 0, 2]]), [[1]], skip=1, window=1)
    >>> [part.tolist() for part in window]
    [[[0.7]], [[0]]]
    """
    allowed = numbers >= 0
    for row, own in enumerate(excluded):
        for number in own:
            allowed[row] &= numbers[row] != number
    rank = np.cumsum(allowed, axis=1)
    inside = allowed & (rank > skip) & (rank <= skip + window)
    order = np.argsort(~inside, axis=1, kind="stable")[:, :window]
    inside = np.take_along_axis(inside, order, axis=1)
    kept_scores = np.where(inside, np.take_along_axis(scores, order, axis=1), -np.inf).astype(scores.dtype)
    kept_numbers = np.where(inside, np.take_along_axis(numbers, order, axis=1), -1)
    missing = ((0, 0), (0, window - order.shape[1]))
    return np.pad(kept_scores, missing, constant_values=-np.inf), np.pad(kept_numbers, missing, constant_values=-1)


def within_limits(
    scores: Array,
    positive_scores: Array,
    *,
    absolute_margin: float | None,
    relative_margin: float | None,
    max_score: float | None,
    min_score: float | None,
) -> Array:
    """(B, K) bool: which candidates are far enough below the positive and inside the limits.

    The positive-aware guards against false negatives of NV-Retriever (Moreira et al. 2024, "NV-Retriever: Improving
    text embedding models with effective hard-negative mining"):

    TopK-MarginPos: s⁻ ≤ s⁺ − absolute_margin.

    TopK-PercPos: s⁻ ≤ s⁺ − relative_margin · |s⁺|, that is (1 − relative_margin) · s⁺ where s⁺ ≥ 0. The paper's
    95 % of the positive's score is relative_margin 0.05. Differs from the paper: the |·|, without which the threshold
    would lie above a negative s⁺.

    Args:
        scores: (B, K) float, s⁻ of each candidate.
        positive_scores: (B,) float, s⁺; of an anchor's several positives the smallest score.
        absolute_margin: 0 or more; None: no such guard.
        relative_margin: from 0 to 1; None: no such guard.
        max_score: the largest score kept; None: any.
        min_score: the smallest score kept; None: any but −inf, which no candidate has.

    >>> limits = dict(absolute_margin=None, relative_margin=0.05, max_score=None, min_score=None)
    >>> within_limits(np.array([[0.8, 0.75]]), np.array([0.8]), **limits).tolist()  # the threshold is 0.76
    [[False, True]]
    """
    kept = scores > -np.inf
    highest = positive_scores[:, None]
    if absolute_margin is not None:
        kept &= scores <= highest - absolute_margin
    if relative_margin is not None:
        kept &= scores <= highest - np.abs(highest) * relative_margin
    if max_score is not None:
        kept &= scores <= max_score
    if min_score is not None:
        kept &= scores >= min_score
    return kept


def by_preference(kept: Array, rng: np.random.Generator | None) -> Array:
    """(B, K) int64: the columns that are kept, in the order in which to take them, then −1.

    Args:
        kept: (B, K) bool.
        rng: draws B · K numbers, row by row, for a random order; None: nearest first.

    >>> by_preference(np.array([[False, True, True]]), None).tolist()
    [[1, 2, -1]]
    """
    keys = np.arange(kept.shape[1])[None] if rng is None else rng.random(kept.shape)
    order = np.argsort(np.where(kept, keys, np.inf), axis=1, kind="stable")
    return np.where(np.take_along_axis(kept, order, axis=1), order, -1)
