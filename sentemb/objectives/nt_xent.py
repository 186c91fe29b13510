"""NT-Xent over two views of a batch: the loss of SimCLR."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from sentemb.functional.checks import check_above_zero, check_rows
from sentemb.functional.precision import full_precision
from sentemb.functional.similarity import cosine_matrix


@full_precision
def nt_xent(first: Tensor, second: Tensor, *, temperature: float) -> Tensor:
    """Per-anchor NT-Xent, each of the 2B views an anchor against all others (Chen et al. 2020, Eq. 1).

    ℓ_i = −log e^{cos(z_i, z_j)/τ} / Σ_{k≠i} e^{cos(z_i, z_k)/τ},  j the other view of i, k over the 2B views

    The anchor itself is left out of the sum, its positive is not. The other rows of its own view are negatives too,
    unlike in SimCSE's InfoNCE. The authors' code adds the means of the two views: twice the mean of these losses.

    Args:
        first: (B, D) float, one view of each text; rows are L2-normalised here.
        second: (B, D) float; row i is the other view of row i of `first`.
        temperature: τ > 0; the paper uses 0.1 on ImageNet and 0.5 on CIFAR-10.

    Returns:
        (2B,) losses in nats, unreduced, the anchors of `first` before those of `second`. All rows alike gives
        ln(2B − 1); B = 1 has no negative and gives 0.

    Raises:
        ValueError: views of different shapes or without rows, or a temperature that is not above 0.

    >>> round(nt_xent(torch.eye(2), torch.eye(2), temperature=1.0).mean().item(), 4)
    0.5514
    """
    logits, partner = two_view_logits(first, second, temperature)
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    return cross_entropy(logits.masked_fill(own, -math.inf), partner, reduction="none")


def two_view_logits(first: Tensor, second: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """(2B, 2B) cosines over τ of all views with all, and for each view the (2B,) row of its other view.

    Raises:
        ValueError: views of different shapes or without rows, or a temperature that is not above 0.
    """
    check_rows(first=first, second=second)
    check_above_zero("temperature", temperature)
    views = torch.cat([first, second])
    partner = torch.arange(len(views), device=views.device).roll(len(first))
    return cosine_matrix(views, views) / temperature, partner
