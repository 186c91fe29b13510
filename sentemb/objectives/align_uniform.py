"""Alignment and uniformity as losses; `sentemb.metrics.geometry` measures the same of finished embeddings."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize, pdist

from sentemb.functional.checks import check_above_zero, check_rows
from sentemb.functional.precision import full_precision
from sentemb.functional.similarity import paired_euclidean


@full_precision
def alignment_loss(first: Tensor, second: Tensor, *, alpha: float) -> Tensor:
    """Per-pair alignment: the distance of positives on the unit sphere (Wang & Isola 2020, section 4.1).

    ℓ_i = ‖f_i − f_i⁺‖₂^α,  rows of length 1

    The paper trains L = alignment + λ uniformity, λ usually 1, with the uniformity averaged over the two views.

    Args:
        first: (B, D) float; rows are L2-normalised here, and a zero row stays zero.
        second: (B, D) float; row i is the positive of row i.
        alpha: α > 0; the paper uses 2, and tries 1. The gradient at distance 0 is 0, also for α ≤ 1.

    Returns:
        (B,) losses, unreduced, from 0 (alike) to 2^α (opposite).

    Raises:
        ValueError: shapes that do not match, no pairs, or α ≤ 0.

    >>> round(alignment_loss(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 5.0]]), alpha=2.0).item(), 4)
    2.0
    """
    check_above_zero("alpha", alpha)
    check_rows(first=first, second=second)
    distances = paired_euclidean(normalize(first, dim=-1), normalize(second, dim=-1))
    alike = distances == 0
    return distances.masked_fill(alike, 1.0).pow(alpha).masked_fill(alike, 0.0)


@full_precision
def uniformity_loss(rows: Tensor, *, t: float) -> Tensor:
    """The log of the mean Gaussian potential between rows on the unit sphere (Wang & Isola 2020, section 4.1).

    L = log( 2 / (N(N − 1)) Σ_{i<j} e^{−t ‖f_i − f_j‖²} ),  rows of length 1

    Args:
        rows: (N, D) float, N ≥ 2; rows are L2-normalised here. Pass each view alone: views of one text should not part.
        t: > 0; the paper uses 2.

    Returns:
        () loss, from 0 (all alike) down to no less than −4t.

    Raises:
        ValueError: not (N, D), fewer than 2 rows, or t ≤ 0.

    >>> uniformity_loss(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), t=2.0).item()
    -8.0
    """
    check_above_zero("t", t)
    check_rows(rows=rows)
    if len(rows) < 2:
        raise ValueError("uniformity needs 2 rows or more to form a pair, not 1")
    squared = pdist(normalize(rows, dim=-1)).square()
    return torch.logsumexp(-t * squared, dim=0) - math.log(len(squared))
