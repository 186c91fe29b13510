"""The exact nearest rows by inner product, a block of the corpus at a time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


def nearest_by_inner_product(queries: Array, blocks: Iterable[Array], *, k: int) -> tuple[Array, Array]:
    """For each query q the k rows c of the corpus with the largest q · c, largest first; exact, not approximate.

    Memory is that of one block and of 2 k results a query, however many rows there are. Of rows with the same score
    the first ones are taken, and stand first; so the blocks' sizes change nothing but the rounding of float32.

    Args:
        queries: (B, D) float32.
        blocks: (C_j, D) float32, contiguous; together the corpus in its order. Each is read once.
        k: 1 or more.

    Returns:
        (B, k) float32 scores and (B, k) int64 row numbers in the whole corpus. Where the corpus has fewer than k rows,
        the rest is −inf and −1.

    >>> corpus = np.array([[1, 0], [0, 1], [2, 0]], dtype=np.float32)
    >>> scores, rows = nearest_by_inner_product(corpus[:1], [corpus[:2], corpus[2:]], k=2)
    >>> scores.tolist(), rows.tolist()
    ([[2.0, 1.0]], [[2, 0]])
    """
    if k < 1:
        raise ValueError(f"k must be 1 or more, not {k}")
    scores = np.full((len(queries), 0), -np.inf, dtype=np.float32)
    rows = np.full((len(queries), 0), -1, dtype=np.int64)
    first = 0
    for block in blocks:
        found_scores, found_rows = _nearest_of_block(queries, block, k)
        scores = np.concatenate([scores, found_scores], axis=1)
        rows = np.concatenate([rows, found_rows + first], axis=1)
        order = np.lexsort((rows, -scores), axis=1)[:, :k]
        scores, rows = np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)
        first += len(block)
    missing = ((0, 0), (0, k - scores.shape[1]))
    return np.pad(scores, missing, constant_values=-np.inf), np.pad(rows, missing, constant_values=-1)


def _nearest_of_block(queries: Array, block: Array, k: int) -> tuple[Array, Array]:
    """At most k of a block's rows, in any order.

    faiss promises nothing about which of the rows level with the last one it keeps; where there are such rows, one
    more than k is level with it, and the query is searched again by itself.
    """
    import faiss

    scores, rows = faiss.knn(queries, block, min(k + 1, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
    if scores.shape[1] <= k:
        return scores, rows
    for query in np.flatnonzero(scores[:, k - 1] == scores[:, k]):
        own = block @ queries[query]
        rows[query] = np.lexsort((np.arange(len(own)), -own))[: k + 1]
        scores[query] = own[rows[query]]
    return scores[:, :k], rows[:, :k]
