"""InfoNCE with in-batch negatives: the loss of SimCSE."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from sentemb.functional.precision import full_precision
from sentemb.functional.similarity import cosine_matrix


@full_precision
def info_nce(
    anchors: Tensor,
    positives: Tensor,
    *,
    temperature: float,
    negatives: Tensor | None = None,
    own_negative_weight: float = 1.0,
    offset: int = 0,
) -> Tensor:
    """Per-anchor InfoNCE with in-batch negatives (Gao et al. 2021, Eq. 4; Eq. 5 and 8 with `negatives`).

    ℓ_i = −log e^{cos(h_i, h_i⁺)/τ} / Σ_j ( e^{cos(h_i, h_j⁺)/τ} + α^{1[i=j]} e^{cos(h_i, h_j⁻)/τ} )

    Args:
        anchors: (B, D) float, raw encoder output; rows are L2-normalised here.
        positives: (C, D) float, C ≥ B; row offset + i is the positive of anchor i, every other row a negative.
        temperature: τ > 0; the paper uses 0.05. sentence-transformers' `scale` is its inverse.
        negatives: (K, D) float, further negatives of every anchor, or None.
        own_negative_weight: α > 0, the weight of an anchor's own negative; needs K = C, row offset + i anchor i's own.
        offset: where this process's rows begin when positives and negatives are gathered from several.

    Returns:
        (B,) losses in nats, unreduced. All rows alike gives ln C, or ln(C + K).

    >>> round(info_nce(torch.eye(4), torch.eye(4), temperature=1.0).mean().item(), 4)
    0.7437
    """
    logits = cosine_matrix(anchors, positives) / temperature
    own = torch.arange(len(anchors), device=anchors.device) + offset
    if negatives is not None:
        hard = cosine_matrix(anchors, negatives) / temperature
        if own_negative_weight != 1.0:
            if len(negatives) != len(positives):
                raise ValueError(
                    f"own_negative_weight needs one negative per positive, not {len(negatives)} for {len(positives)}"
                )
            is_own = torch.zeros_like(hard).scatter_(1, own[:, None], 1.0)
            hard = hard + math.log(own_negative_weight) * is_own
        logits = torch.cat([logits, hard], dim=1)
    return cross_entropy(logits, own, reduction="none")
