"""Two triplet objectives under one name: un-squared, as SBERT uses it, and squared on the unit sphere, as FaceNet."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import normalize, relu

from sentemb.functional.checks import check_above_zero, check_rows
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


@full_precision
def triplet_squared(anchors: Tensor, positives: Tensor, negatives: Tensor, *, margin: float) -> Tensor:
    """Per-triplet loss with squared distances on the unit sphere (FaceNet: Schroff et al. 2015, Eq. 3).

    ℓ_i = max(0, ‖a_i − p_i‖² − ‖a_i − n_i‖² + ε),  rows of length 1

    Args:
        anchors: (B, D) float; rows are L2-normalised here, and a zero row stays zero.
        positives: (B, D) float; row i with anchor i.
        negatives: (B, D) float; row i with anchor i.
        margin: ε > 0; the paper uses 0.2.

    Returns:
        (B,) losses, unreduced, from 0 to 4 + ε.

    Raises:
        ValueError: shapes that do not match, no triplets, or ε ≤ 0.

    >>> import torch
    >>> a, p, n = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]]), torch.tensor([[2.0, 0.0]])
    >>> triplet_squared(a, p, n, margin=0.5).tolist()
    [2.5]
    """
    check_above_zero("margin", margin)
    check_rows(anchors=anchors, positives=positives, negatives=negatives)
    a, p, n = (normalize(rows, dim=-1) for rows in (anchors, positives, negatives))
    return relu((a - p).square().sum(-1) - (a - n).square().sum(-1) + margin)
