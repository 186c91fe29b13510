"""Each view's cluster codes predicted from the other views: SwAV."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from sentemb.functional.checks import check_above_zero, check_views
from sentemb.functional.precision import full_precision


@full_precision
def swapped_prediction(scores: Tensor, codes: Tensor, *, temperature: float) -> Tensor:
    """Per-row cross-entropy of each view's code and the other views' predictions (Caron et al. 2020, Eq. 1 and 2).

    ℓ_b = −1 / (V(V − 1)) Σ_{v≠w} Σ_k q_vbk log p_wbk,  p = softmax(scores / τ) over the K prototypes

    The mean over ordered pairs of views, as in the authors' code; Eq. 1 of the paper and Weng (2021) add the two terms
    of two views, which is twice as much. The codes come from the raw scores with their own ε
    (`sentemb.functional.sinkhorn`), the predictions from the same scores over τ. A mean loss that stays at ln K is
    collapse.

    Args:
        scores: (V, B, K) float, V ≥ 2 views of a batch times the prototypes, both normalised to length 1 before.
        codes: (V, B, K) float, rows that sum to 1; no gradient flows to it.
        temperature: τ > 0; the paper uses 0.1.

    Returns:
        (B,) losses in nats, unreduced. Equal scores give ln K.

    Raises:
        ValueError: shapes that do not match, fewer than 2 views, an empty batch, or τ ≤ 0.

    >>> scores, codes = torch.zeros(2, 1, 3), torch.tensor([[[1.0, 0.0, 0.0]], [[0.0, 0.5, 0.5]]])
    >>> [round(loss, 4) for loss in swapped_prediction(scores, codes, temperature=0.1).tolist()]
    [1.0986]
    """
    check_above_zero("temperature", temperature)
    check_views(scores=scores, codes=codes)
    n_views = len(scores)
    pairs = torch.einsum("vbk,wbk->bvw", codes.detach(), log_softmax(scores / temperature, dim=-1))
    own = torch.eye(n_views, dtype=torch.bool, device=scores.device)
    return -pairs.masked_fill(own, 0.0).sum((1, 2)) / (n_views * (n_views - 1))
