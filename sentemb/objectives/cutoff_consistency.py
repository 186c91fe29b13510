"""Agreement of a classifier's predictions on several views of a text: the consistency loss of Cutoff."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

from sentemb.functional.checks import check_views
from sentemb.functional.precision import full_precision


@full_precision
def jensen_shannon_consistency(logits: Tensor) -> Tensor:
    """Per-row Jensen-Shannon divergence of the views' predictions (Shen et al. 2020, the divergence term).

    ℓ_b = 1/V Σ_v KL(p_v ‖ m),  p_v = softmax(logits_v),  m = 1/V Σ_v p_v

    The views weigh the same; the gradient goes through m too. The released code computes `reversed_consistency`.

    Args:
        logits: (V, B, C) float, the classifier's output for V ≥ 2 views of a batch, the uncut one among them.

    Returns:
        (B,) losses in nats, unreduced, from 0 (equal distributions) to ln V (no class in common).

    Raises:
        ValueError: not (V, B, C), fewer than 2 views, or an empty batch.

    >>> import torch
    >>> apart = torch.tensor([[[100.0, 0.0]], [[0.0, 100.0]]])
    >>> [round(loss, 4) for loss in jensen_shannon_consistency(apart).tolist()]
    [0.6931]
    """
    log_p, log_mean = _log_distributions(logits)
    return kl_div(log_mean, log_p, reduction="none", log_target=True).sum(-1).mean(0)


@full_precision
def reversed_consistency(logits: Tensor) -> Tensor:
    """Per-row divergence of the mean prediction from each view's, as Cutoff's released code has it (Shen et al. 2020).

    ℓ_b = 1/V Σ_v KL(m ‖ p_v),  p_v = softmax(logits_v),  m = 1/V Σ_v p_v

    Not the Jensen-Shannon divergence of the paper: the arguments are exchanged, and nothing bounds it from above. The
    code has V = 2.

    Args:
        logits: (V, B, C) float, the classifier's output for V ≥ 2 views of a batch, the uncut one among them.

    Returns:
        (B,) losses in nats, unreduced, from 0 (equal distributions) up.

    Raises:
        ValueError: not (V, B, C), fewer than 2 views, or an empty batch.

    >>> import torch
    >>> [round(loss, 4) for loss in reversed_consistency(torch.tensor([[[10.0, 0.0]], [[0.0, 10.0]]])).tolist()]
    [4.3069]
    """
    log_p, log_mean = _log_distributions(logits)
    return kl_div(log_p, log_mean, reduction="none", log_target=True).sum(-1).mean(0)


def _log_distributions(logits: Tensor) -> tuple[Tensor, Tensor]:
    """(V, B, C) log p_v, and the (V, B, C) log m that all views share."""
    check_views(logits=logits)
    log_p = log_softmax(logits, dim=-1)
    return log_p, (log_p.logsumexp(0) - math.log(len(logits))).expand_as(log_p)
