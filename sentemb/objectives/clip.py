"""The symmetric cross-entropy of CLIP, with a learned scale."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from sentemb.functional.checks import check_above_zero, check_rows
from sentemb.functional.precision import full_precision
from sentemb.functional.similarity import cosine_matrix


@full_precision
def clip(first: Tensor, second: Tensor, *, log_scale: Tensor, max_scale: float) -> Tensor:
    """Per-pair mean of the InfoNCE of both directions (Radford et al. 2021, Figure 3).

    ℓ_i = −½ log e^{c·cos(u_i, v_i)} / Σ_j e^{c·cos(u_i, v_j)} − ½ log e^{c·cos(u_i, v_i)} / Σ_j e^{c·cos(u_j, v_i)},
    c = min(e^log_scale, max_scale) = 1/τ

    Above the maximum `log_scale` gets no gradient and could not come back: whoever learns it brings it down to
    ln(max_scale) after each step, and gives it no weight decay.

    Args:
        first: (B, D) float, one side of each pair; rows are L2-normalised here.
        second: (B, D) float; row i is the other side of pair i, every other row a negative of it.
        log_scale: () float, learned; the paper starts at ln(1/0.07).
        max_scale: > 0; the paper uses 100.

    Returns:
        (B,) losses in nats, unreduced. All rows alike gives ln B.

    Raises:
        ValueError: sides of different shapes or without rows, a log_scale that is no scalar, or max_scale ≤ 0.

    >>> round(clip(torch.eye(4), torch.eye(4), log_scale=torch.tensor(0.0), max_scale=100.0).mean().item(), 4)
    0.7437
    """
    check_rows(first=first, second=second)
    check_above_zero("max_scale", max_scale)
    if log_scale.shape != ():
        raise ValueError(f"log_scale must be a scalar tensor, not {tuple(log_scale.shape)}")
    scale = log_scale.clamp(max=math.log(max_scale)).exp()  # clamped first: a gradient through e^100 would be infinite
    logits = scale * cosine_matrix(first, second)
    own = torch.arange(len(first), device=first.device)
    return (cross_entropy(logits, own, reduction="none") + cross_entropy(logits.T, own, reduction="none")) / 2
