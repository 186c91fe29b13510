"""The triplet objective, un-squared, as SBERT uses it."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import relu

from sentemb.functional.precision import full_precision
from sentemb.functional.similarity import paired_euclidean


@full_precision
def triplet_euclidean(anchors: Tensor, positives: Tensor, negatives: Tensor, *, margin: float) -> Tensor:
    """Per-triplet loss with the Euclidean distance, not squared (Reimers & Gurevych 2019, section 3).

    ℓ_i = max(0, ‖a_i − p_i‖ − ‖a_i − n_i‖ + ε)

    FaceNet's triplet loss squares the distances and normalises the embeddings: another loss under the same name.

    Args:
        anchors: (B, D) float; positives, negatives: the same shape, row i with anchor i. Not normalised.
        positives: (B, D) float.
        negatives: (B, D) float.
        margin: ε > 0; the paper uses 1 (sentence-transformers' default is 5).

    Returns:
        (B,) losses, unreduced, each ≥ 0.

    >>> import torch
    >>> a, p, n = torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]), torch.tensor([[0.0, 2.0]])
    >>> triplet_euclidean(a, p, n, margin=1.0).tolist()
    [4.0]
    """
    return relu(paired_euclidean(anchors, positives) - paired_euclidean(anchors, negatives) + margin)
