"""The papers' formulas in plain Python loops over NumPy float64: slow, literal, sharing no code with sentemb."""

from __future__ import annotations

from tests.oracles.core import (
    cosine,
    cosine_regression,
    euclidean,
    info_nce,
    softmax_cross_entropy,
    triplet,
)

__all__ = ["cosine", "cosine_regression", "euclidean", "info_nce", "softmax_cross_entropy", "triplet"]
