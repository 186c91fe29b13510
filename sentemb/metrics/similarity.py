"""Similarity of paired embeddings, bigger is nearer: (N, D) and (N, D) in, (N,) float64 out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sentemb.metrics.rows import directions

Array = np.ndarray[Any, np.dtype[Any]]
PairSimilarity = Callable[[Array, Array], Array]


def paired_cosine(first: Array, second: Array) -> Array:
    """cos(u_i, v_i) in [-1, 1]; 0 where either vector is zero, as SentEval has it.

    Args:
        first: (N, D) float.
        second: (N, D) float.

    Returns:
        (N,) float64.

    >>> paired_cosine(np.array([[3.0, 0.0], [0.0, 0.0]]), np.array([[2.0, 2.0], [1.0, 0.0]])).round(4).tolist()
    [0.7071, 0.0]
    """
    return np.clip(_row_products(directions(first), directions(second)), -1.0, 1.0)


def paired_dot(first: Array, second: Array) -> Array:
    """u_i · v_i of (N, D) and (N, D), (N,) float64."""
    return _row_products(first.astype(np.float64), second.astype(np.float64))


def paired_negative_euclidean(first: Array, second: Array) -> Array:
    """−‖u_i − v_i‖₂ of (N, D) and (N, D), (N,) float64, at most 0.

    >>> paired_negative_euclidean(np.array([[3.0, 4.0]]), np.zeros((1, 2))).tolist()
    [-5.0]
    """
    distances: Array = np.linalg.norm(first.astype(np.float64) - second.astype(np.float64), axis=1)
    return -distances


def paired_negative_manhattan(first: Array, second: Array) -> Array:
    """−‖u_i − v_i‖₁ of (N, D) and (N, D), (N,) float64, at most 0."""
    distances: Array = np.abs(first.astype(np.float64) - second.astype(np.float64)).sum(axis=1)
    return -distances


PAIR_SIMILARITIES: dict[str, PairSimilarity] = {
    "cosine": paired_cosine,
    "dot": paired_dot,
    "euclidean": paired_negative_euclidean,
    "manhattan": paired_negative_manhattan,
}
"""By the name that a user gives; the two distances are negated, so that bigger is nearer for all four."""


def _row_products(first: Array, second: Array) -> Array:
    products: Array = np.einsum("nd,nd->n", first, second)
    return products
