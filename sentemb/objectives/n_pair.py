"""The N-pair objective: each anchor's positive against the positives of the other anchors, in raw dot products."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from sentemb.functional.checks import check_rows
from sentemb.functional.precision import full_precision


@full_precision
def n_pair(anchors: Tensor, positives: Tensor, *, l2_weight: float) -> Tensor:
    """Per-anchor N-pair loss with a penalty on the norms (Sohn 2016, section 3.2, "N-pair-mc").

    ℓ_i = log( 1 + Σ_{j≠i} e^{f_i·f_j⁺ − f_i·f_i⁺} ) + λ (‖f_i‖² + ‖f_i⁺‖²) / 2

    The rows are not normalised, which would bound the products by 1; the penalty, the mean squared norm of an anchor
    and its positive, keeps them small instead. The paper gives no formula for it; `reg_lambda` of TensorFlow's
    `npairs_loss` is 2λ.

    Args:
        anchors: (B, D) float. Not normalised. One pair per class, else a batch holds false negatives.
        positives: (B, D) float; row i is the positive of anchor i, every other row a negative.
        l2_weight: λ ≥ 0.

    Returns:
        (B,) losses in nats, unreduced. With λ = 0, all rows alike gives ln B.

    Raises:
        ValueError: shapes that do not match, no pairs, or λ < 0.

    >>> round(n_pair(torch.eye(4), torch.eye(4), l2_weight=0.0).mean().item(), 4)
    0.7437
    """
    if not l2_weight >= 0:
        raise ValueError(f"l2_weight must be 0 or above, not {l2_weight}")
    check_rows(anchors=anchors, positives=positives)
    own = torch.arange(len(anchors), device=anchors.device)
    squared_norms = anchors.square().sum(-1) + positives.square().sum(-1)
    return cross_entropy(anchors @ positives.T, own, reduction="none") + l2_weight * squared_norms / 2
