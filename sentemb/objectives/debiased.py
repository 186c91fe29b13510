"""NT-Xent corrected for negatives that may be of the anchor's own class: the loss of DCL."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from sentemb.functional.precision import full_precision
from sentemb.objectives.nt_xent import two_view_logits


@full_precision
def debiased(first: Tensor, second: Tensor, *, temperature: float, tau_plus: float) -> Tensor:
    """Debiased contrastive loss (Chuang et al. 2020, section 4, with one positive, M = 1).

    ℓ_i = −log p / (p + max( (Σ_k e^{s_k/τ} − τ⁺ N p) / (1 − τ⁺), N e^{−1/τ} )),  p = e^{s⁺/τ},  N = 2B − 2

    s⁺ is the cosine of an anchor with its other view, s_k those with the N views of other texts. The lower bound is the
    least that N negatives can add up to, which supposes unit rows. Weng (2021) leaves 1/τ out of the exponents and
    keeps it in the bound; it belongs to both.

    Args:
        first: (B, D) float, B ≥ 2, one view of each text; rows are L2-normalised here.
        second: (B, D) float; row i is the other view of row i of `first`.
        temperature: τ > 0; the paper uses 0.5.
        tau_plus: τ⁺, 0 ≤ τ⁺ < 1, the chance that another text is of the anchor's class; the paper uses 0.1. With 0 this
            is `nt_xent`.

    Returns:
        (2B,) losses in nats, unreduced, the anchors of `first` before those of `second`. All rows alike gives
        ln(2B − 1), whatever τ⁺.

    Raises:
        ValueError: views of different shapes, fewer than 2 rows, or a hyper-parameter outside its range.

    >>> round(debiased(torch.eye(2), torch.eye(2), temperature=1.0, tau_plus=0.1).mean().item(), 4)
    0.4671
    """
    return debiased_two_views(first, second, temperature, tau_plus, 0.0)


def debiased_two_views(first: Tensor, second: Tensor, temperature: float, tau_plus: float, beta: float) -> Tensor:
    """(2B,) losses of `hard_negative`; of `debiased` with β = 0. Takes full-precision rows.

    Raises:
        ValueError: as `hard_negative` says.
    """
    if not 0 <= tau_plus < 1:
        raise ValueError(f"tau_plus must be at least 0 and below 1, not {tau_plus}")
    if not 0 <= beta < math.inf:
        raise ValueError(f"beta must be at least 0 and finite, not {beta}")
    logits, partner = two_view_logits(first, second, temperature)
    if len(first) < 2:
        raise ValueError(f"first and second must have at least 2 rows to have negatives, not {len(first)}")
    rows = torch.arange(len(logits), device=logits.device)
    other_text = rows % len(first) != rows[:, None] % len(first)
    positive, negative = logits[rows, partner], logits[other_text].view(len(rows), -1)
    log_n = math.log(negative.shape[1])
    total = torch.logsumexp((beta + 1) * negative, 1) - torch.logsumexp(beta * negative, 1) + log_n
    return -logsigmoid(positive - _log_corrected(total, positive, tau_plus, log_n, log_n - 1 / temperature))


def _log_corrected(total: Tensor, positive: Tensor, tau_plus: float, log_n: float, log_floor: float) -> Tensor:
    """Log of max( (e^total − τ⁺ N e^positive) / (1 − τ⁺), e^log_floor ); its gradient is 0 where the bound holds.

    Where the bound does not hold, e^total is above what is taken from it, so no logarithm sees 0; NaN stays NaN.
    """
    log_rest = math.log1p(-tau_plus)
    taken = positive + (math.log(tau_plus) + log_n) if tau_plus else torch.full_like(positive, -math.inf)
    bounded = total <= torch.logaddexp(taken, torch.full_like(taken, log_rest + log_floor))
    gap = (taken - total).masked_fill(bounded, -1.0)
    return (total + torch.log(-torch.expm1(gap)) - log_rest).masked_fill(bounded, log_floor)
