"""NT-Xent with hard negatives weighted up: the loss of HCL."""

from __future__ import annotations

from torch import Tensor

from sentemb.functional.precision import full_precision
from sentemb.objectives.debiased import debiased_two_views


@full_precision
def hard_negative(first: Tensor, second: Tensor, *, temperature: float, tau_plus: float, beta: float) -> Tensor:
    """Debiased loss whose negatives weigh more the nearer they are (Robinson et al. 2021, section 3, with M = 1).

    ℓ_i = −log p / (p + max( (R − τ⁺ N p) / (1 − τ⁺), N e^{−1/τ} )),  p = e^{s⁺/τ},  N = 2B − 2

    R = Σ_k w_k e^{s_k/τ} / mean_k w_k,  w_k = e^{β s_k/τ}

    s⁺ is the cosine of an anchor with its other view, s_k those with the N views of other texts. As in the authors'
    code, β multiplies s/τ, not s (Weng 2021 omits 1/τ), the weights are divided by their mean, not their sum, and
    gradients flow through them. Computed in log space: e^{(β + 1)/τ} leaves float32 at τ = 0.01.

    Args:
        first: (B, D) float, B ≥ 2, one view of each text; rows are L2-normalised here.
        second: (B, D) float; row i is the other view of row i of `first`.
        temperature: τ > 0; the paper uses 0.5.
        tau_plus: τ⁺, 0 ≤ τ⁺ < 1, the chance that another text is of the anchor's class; the paper uses 0.1.
        beta: β ≥ 0, the concentration on hard negatives; the paper uses 1. With 0 this is `debiased`.

    Returns:
        (2B,) losses in nats, unreduced, the anchors of `first` before those of `second`. All rows alike gives
        ln(2B − 1), whatever τ⁺ and β.

    Raises:
        ValueError: views of different shapes, fewer than 2 rows, or a hyper-parameter outside its range.

    >>> import torch
    >>> first, second = torch.eye(3)[:2], torch.eye(3)[1:]
    >>> losses = hard_negative(first, second, temperature=1.0, tau_plus=0.1, beta=1.0)
    >>> [round(loss, 4) for loss in losses.tolist()]
    [1.0986, 1.7564, 1.7564, 1.0986]
    """
    return debiased_two_views(first, second, temperature, tau_plus, beta)
