"""Redundancy reduction between two views of a batch: Barlow Twins."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import batch_norm

from sentemb.functional.checks import check_above_zero, check_rows
from sentemb.functional.precision import full_precision

_EPSILON = 1e-5  # batch normalisation's own, as in the authors' code


@full_precision
def barlow_twins(first: Tensor, second: Tensor, *, off_diagonal_weight: float) -> Tensor:
    """How far the cross-correlation of two views is from the identity (Zbontar et al. 2021, Eq. 1 and 2).

    L = Σ_i (1 − C_ii)² + λ Σ_{i≠j} C_ij²,  C = ẑᵀẑ′ / B,  ẑ_bi = (z_bi − mean_b z_bi) / √(var_b z_bi + 10⁻⁵)

    Each dimension is standardised over the batch with the biased variance, as in the authors' code: equal views of
    variance v have C_ii = v / (v + 10⁻⁵), and a constant dimension, of which nothing can be said, has C_ii = 0 and
    costs 1. Weng (2021) writes C without the centring. C is of the batch given: rows of several processes have to be
    gathered first, the mean of their losses is another loss.

    Args:
        first: (B, D) float, B ≥ 2, projector output; neither centred nor normalised before.
        second: (B, D) float; row b is the other view of row b of `first`.
        off_diagonal_weight: λ > 0; the paper uses 0.0051 for D = 8192. What suits depends on D.

    Returns:
        () loss, from 0 (equal views, uncorrelated dimensions) to no more than 4D + λ D(D − 1).

    Raises:
        ValueError: views of different shapes, fewer than 2 rows, or λ ≤ 0.

    >>> rows = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    >>> round(barlow_twins(rows, rows, off_diagonal_weight=0.5).item(), 4)
    1.0
    """
    check_above_zero("off_diagonal_weight", off_diagonal_weight)
    check_rows(first=first, second=second)
    if len(first) < 2:
        raise ValueError("Barlow Twins needs 2 rows or more to standardise over, not 1")
    correlation = _standardise(first).T @ _standardise(second) / len(first)
    on_diagonal = (1 - correlation.diagonal()).square().sum()
    own = torch.eye(len(correlation), dtype=torch.bool, device=correlation.device)
    return on_diagonal + off_diagonal_weight * correlation.masked_fill(own, 0.0).square().sum()


def _standardise(rows: Tensor) -> Tensor:
    """(B, D) rows with mean 0 and biased variance v / (v + 10⁻⁵) in each dimension."""
    return batch_norm(rows, None, None, training=True, eps=_EPSILON)
