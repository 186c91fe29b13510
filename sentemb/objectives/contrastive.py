"""The contrastive objective of Chopra and Hadsell: like pairs together, unlike pairs a margin apart."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pdist, relu

from sentemb.functional.checks import check_above_zero, check_labels, check_rows
from sentemb.functional.precision import full_precision
from sentemb.functional.similarity import paired_euclidean


@full_precision
def contrastive(first: Tensor, second: Tensor, same: Tensor, *, margin: float) -> Tensor:
    """Per-pair contrastive loss (Hadsell et al. 2006, Eq. 4 without its factor ½; the idea of Chopra et al. 2005).

    ℓ_i = 1[same_i] d_i² + 1[not same_i] max(0, ε − d_i)²,  d_i = ‖f_i − g_i‖₂

    The hinge is on the distance, and squared after. sentence-transformers' ContrastiveLoss takes the cosine distance
    and keeps the ½. Unlike pairs at distance 0 lose ε² and have no gradient, for no direction leads apart.

    Args:
        first: (B, D) float. Not normalised.
        second: (B, D) float; row i with row i of `first`.
        same: (B,) bool, whether the pair is of one class.
        margin: ε > 0; the papers name no value, and 1 is usual.

    Returns:
        (B,) losses, unreduced, each ≥ 0.

    Raises:
        ValueError: shapes that do not match, no pairs, `same` not bool, or ε ≤ 0.

    >>> first, second = torch.zeros(2, 2), torch.tensor([[3.0, 4.0], [0.0, 0.5]])
    >>> contrastive(first, second, torch.tensor([True, False]), margin=1.0).tolist()
    [25.0, 0.25]
    """
    check_above_zero("margin", margin)
    check_rows(first=first, second=second)
    if same.dtype != torch.bool or same.shape != first.shape[:1]:
        raise ValueError(f"same must be ({len(first)},) bool, not {tuple(same.shape)} {same.dtype}")
    return _loss(paired_euclidean(first, second), same, margin)


@full_precision
def contrastive_in_batch(embeddings: Tensor, labels: Tensor, *, margin: float) -> Tensor:
    """The mean contrastive loss over all unordered pairs of a labelled batch.

    L = 2 / (N(N − 1)) Σ_{i<j} ( 1[y_i = y_j] d_ij² + 1[y_i ≠ y_j] max(0, ε − d_ij)² ),  d_ij = ‖f_i − f_j‖₂

    Args:
        embeddings: (N, D) float, N ≥ 2. Not normalised.
        labels: (N,) whole numbers; one class only, or no two alike, is accepted: one of the two terms is then empty.
        margin: ε > 0.

    Returns:
        () loss ≥ 0.

    Raises:
        ValueError: shapes that do not match, fewer than 2 rows, or ε ≤ 0.

    >>> rows = torch.tensor([[0.0], [1.0], [3.0]])  # distances 1 (same), 3 and 2
    >>> contrastive_in_batch(rows, torch.tensor([0, 0, 1]), margin=2.5).item()  # (1 + 0 + 0.25) / 3
    0.4166666567325592
    """
    check_above_zero("margin", margin)
    check_rows(embeddings=embeddings)
    check_labels(labels, len(embeddings))
    if len(embeddings) < 2:
        raise ValueError("contrastive_in_batch needs 2 rows or more to form a pair, not 1")
    i, j = torch.triu_indices(len(labels), len(labels), offset=1, device=labels.device)
    return _loss(pdist(embeddings), labels[i] == labels[j], margin).mean()


def _loss(distances: Tensor, same: Tensor, margin: float) -> Tensor:
    return torch.where(same, distances, relu(margin - distances)).square()
