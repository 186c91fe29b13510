"""InfoNCE of mixed anchors: mixup for a contrastive batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from sentemb.functional.checks import check_above_zero, check_rows
from sentemb.functional.precision import full_precision
from sentemb.functional.similarity import cosine_matrix


@full_precision
def mixed_info_nce(
    anchors: Tensor, positives: Tensor, *, partners: Tensor, weights: Tensor, temperature: float
) -> Tensor:
    """Per-anchor InfoNCE of an anchor mixed with another, its target mixed alike (Zhang et al. 2018; Lee et al. 2021).

    m_i = λ_i a_i/‖a_i‖ + (1 − λ_i) a_k/‖a_k‖,  k = partners_i
    ℓ_i = −λ_i log p(i) − (1 − λ_i) log p(k),  p(j) = e^{cos(m_i, a_j⁺)/τ} / Σ_l e^{cos(m_i, a_l⁺)/τ}

    Mixup mixes inputs and one-hot targets; i-Mix has each text of a batch be its own class, so that a target names a
    positive. Token ids cannot be mixed: here the sentence vectors are, after L2 normalisation, and the mixture is
    normalised again. Two opposite anchors at λ = ½ have mixture 0, of cosine 0 with everything.

    Args:
        anchors: (B, D) float, raw encoder output; rows are L2-normalised here.
        positives: (B, D) float; row i is the positive of anchor i. Not mixed.
        partners: (B,) int64 in [0, B), the anchor that each is mixed with; its own number leaves an anchor as it is.
        weights: (B,) float λ in [0, 1], the share of the anchor itself; the papers draw it from Beta(α, α).
        temperature: τ > 0.

    Returns:
        (B,) losses in nats, unreduced. All rows alike gives ln B; λ = 1 gives InfoNCE.

    Raises:
        ValueError: rows, partners or weights of another shape or outside their range, or a temperature not above 0.

    >>> half, swapped = torch.full((2,), 0.5), torch.tensor([1, 0])
    >>> mixed = mixed_info_nce(torch.eye(2), torch.eye(2), partners=swapped, weights=half, temperature=0.05)
    >>> [round(loss, 4) for loss in mixed.tolist()]
    [0.6931, 0.6931]
    """
    check_rows(anchors=anchors, positives=positives)
    check_above_zero("temperature", temperature)
    _check_mixture(partners, weights, len(anchors))
    unit = normalize(anchors, dim=-1)
    mixed = weights[:, None] * unit + (1 - weights[:, None]) * unit[partners]
    log_p = (cosine_matrix(mixed, positives) / temperature).log_softmax(1)
    rows = torch.arange(len(anchors), device=anchors.device)
    return -weights * log_p[rows, rows] - (1 - weights) * log_p[rows, partners]


def _check_mixture(partners: Tensor, weights: Tensor, n_rows: int) -> None:
    """Refuses partners that are no rows of the batch and weights that are no shares; NaN passes, to a NaN loss."""
    if partners.shape != (n_rows,) or partners.dtype != torch.int64:
        raise ValueError(f"partners must be ({n_rows},) torch.int64, not {tuple(partners.shape)} {partners.dtype}")
    if weights.shape != (n_rows,) or not weights.is_floating_point():
        raise ValueError(f"weights must be ({n_rows},) float, not {tuple(weights.shape)} {weights.dtype}")
    low, high = int(partners.min()), int(partners.max())
    if low < 0 or high >= n_rows:
        raise ValueError(f"partners must be row numbers from 0 to {n_rows - 1}, not from {low} to {high}")
    outside = weights[(weights < 0) | (weights > 1)]
    if len(outside):
        raise ValueError(f"weights must be from 0 to 1, not {float(outside[0])}")
