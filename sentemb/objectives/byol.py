"""Regression of one view's target embedding from the other view: BYOL, without negatives."""

from __future__ import annotations

from torch import Tensor

from sentemb.functional.checks import check_rows
from sentemb.functional.precision import full_precision
from sentemb.functional.similarity import paired_cosine


@full_precision
def byol_regression(predictions: Tensor, targets: Tensor) -> Tensor:
    """Per-row squared distance of prediction and target on the unit sphere (Grill et al. 2020, Eq. 2).

    ℓ_i = ‖q̂_i − ẑ′_i‖² = 2 − 2 cos(q_i, sg(z′_i)),  sg stops the gradient

    One direction only: the paper adds the loss with the two views exchanged. That alone does not keep the embeddings
    from collapsing, the predictor on the online side and the moving average behind the targets do.

    Args:
        predictions: (B, D) float, q_θ(z_θ) of one view, the predictor's output; rows are L2-normalised here.
        targets: (B, D) float, z′_ξ of the other view, the target network's projection; no gradient flows to it.

    Returns:
        (B,) losses, unreduced, from 0 (one direction) to 4 (opposite); a zero row gives 2.

    Raises:
        ValueError: shapes that do not match, or no rows.

    >>> import torch
    >>> byol_regression(torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[5.0, 0.0], [0.0, -1.0]])).tolist()
    [0.0, 4.0]
    """
    check_rows(predictions=predictions, targets=targets)
    return 2 - 2 * paired_cosine(predictions, targets.detach())
