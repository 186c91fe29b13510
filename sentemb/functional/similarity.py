"""Similarities and distances between rows, safe at zero."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import normalize


def cosine_matrix(a: Tensor, b: Tensor) -> Tensor:
    """(N, M) cosines of the rows of a (N, D) and b (M, D), float; a zero row has cosine 0 with everything."""
    return normalize(a, dim=-1) @ normalize(b, dim=-1).T


def paired_cosine(a: Tensor, b: Tensor) -> Tensor:
    """(N,) cosines of row i of a with row i of b, both (N, D) float; a zero row has cosine 0."""
    return (normalize(a, dim=-1) * normalize(b, dim=-1)).sum(-1)


def paired_euclidean(a: Tensor, b: Tensor) -> Tensor:
    """(N,) Euclidean distances ‖a_i − b_i‖₂ of (N, D) floats; the gradient at distance 0 is 0, not NaN."""
    squared = (a - b).square().sum(-1)
    apart = squared > 0
    return squared.where(apart, squared.new_ones(())).sqrt().where(apart, squared)
