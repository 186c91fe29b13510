"""Triplets mined from a labelled batch: all of them, the hardest, or the semi-hard."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize, relu

from sentemb.functional.checks import (
    check_above_zero,
    check_labels,
    check_positive_pair,
    check_rows,
    check_two_classes,
)
from sentemb.functional.precision import full_precision


@full_precision
def batch_all_triplet(embeddings: Tensor, labels: Tensor, *, margin: float, squared: bool) -> Tensor:
    """The mean over the triplets of a batch that have a loss (Hermans et al. 2017, section 2, "batch all", L_BA≠0).

    ℓ_apn = max(0, ε + d_ap − d_an),  y_a = y_p ≠ y_n, a ≠ p;  L = Σ ℓ_apn / #{ℓ_apn > 0}

    A mean over all triplets would fade as most of them come to have no loss.

    Args:
        embeddings: (N, D) float. Takes O(P N) memory for P ordered positive pairs.
        labels: (N,) whole numbers, two alike and two different at least.
        margin: ε > 0; the paper tries 0.1 to 1.
        squared: False: d is Euclidean, of raw rows (Hermans). True: squared, of L2-normalised rows (FaceNet).

    Returns:
        () loss ≥ 0; 0 when no triplet has a loss.

    Raises:
        ValueError: shapes that do not match, no triplet in the batch, or ε ≤ 0.

    >>> rows, labels = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1])
    >>> batch_all_triplet(rows, labels, margin=1.5, squared=False).item()  # 1.5 + 1 − 3 < 0 and 1.5 + 1 − 2
    0.5
    """
    distances, positive, negative = _pairs(embeddings, labels, margin, squared)
    a, p = positive.nonzero(as_tuple=True)
    losses = relu(margin + distances[a, p, None] - distances[a]).masked_fill(~negative[a], 0.0)
    return losses.sum() / (losses > 0).sum().clamp(min=1)


@full_precision
def batch_hard_triplet(embeddings: Tensor, labels: Tensor, *, margin: float, squared: bool) -> Tensor:
    """Each anchor with its farthest positive and nearest negative (Hermans et al. 2017, section 2, "batch hard").

    L = mean_a max(0, ε + max_p d_ap − min_n d_an)

    Anchors without a positive are left out. (sentence-transformers counts them, with a positive at distance 0.)

    Args:
        embeddings: (N, D) float.
        labels: (N,) whole numbers, two alike and two different at least.
        margin: ε > 0; the paper tries 0.1 to 1.
        squared: False: d is Euclidean, of raw rows (Hermans). True: squared, of L2-normalised rows (FaceNet).

    Returns:
        () loss ≥ 0; all rows alike gives ε.

    Raises:
        ValueError: shapes that do not match, no triplet in the batch, or ε ≤ 0.

    >>> rows, labels = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1])
    >>> batch_hard_triplet(rows, labels, margin=1.5, squared=False).item()  # anchors 0 and 1: (0 + 0.5) / 2
    0.25
    """
    distances, positive, negative = _pairs(embeddings, labels, margin, squared)
    farthest = distances.masked_fill(~positive, -torch.inf).amax(1)
    nearest = distances.masked_fill(~negative, torch.inf).amin(1)
    return relu(margin + farthest - nearest)[positive.any(1)].mean()


@full_precision
def semi_hard_triplet(embeddings: Tensor, labels: Tensor, *, margin: float, squared: bool) -> Tensor:
    """Each positive pair with the nearest negative that is farther than the positive (Schroff et al. 2015, Eq. 4).

    L = mean_{(a,p)} max(0, ε + d_ap − d_an*),  n* = argmin_n { d_an : d_an > d_ap }, else argmax_n d_an

    A negative just as far as the positive is not semi-hard. The paper leaves open what a pair without a semi-hard
    negative does; taking the farthest is TensorFlow's and sentence-transformers' choice.

    Args:
        embeddings: (N, D) float. Takes O(P N) memory for P ordered positive pairs.
        labels: (N,) whole numbers, two alike and two different at least.
        margin: ε > 0; FaceNet uses 0.2.
        squared: False: d is Euclidean, of raw rows (Hermans). True: squared, of L2-normalised rows (FaceNet).

    Returns:
        () loss ≥ 0; all rows alike gives ε.

    Raises:
        ValueError: shapes that do not match, no triplet in the batch, or ε ≤ 0.

    >>> rows, labels = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1])
    >>> semi_hard_triplet(rows, labels, margin=1.5, squared=False).item()
    0.25
    """
    distances, positive, negative = _pairs(embeddings, labels, margin, squared)
    a, p = positive.nonzero(as_tuple=True)
    to_positive, to_negatives = distances[a, p], distances[a]
    farther = negative[a] & ~(to_negatives <= to_positive[:, None])  # NaN is kept, so that the loss becomes NaN
    nearest = to_negatives.masked_fill(~farther, torch.inf).amin(1)
    farthest = to_negatives.masked_fill(~negative[a], -torch.inf).amax(1)
    return relu(margin + to_positive - torch.where(farther.any(1), nearest, farthest)).mean()


def _pairs(embeddings: Tensor, labels: Tensor, margin: float, squared: bool) -> tuple[Tensor, Tensor, Tensor]:
    """(N, N) distances, with a finite gradient at 0, and which pairs are positive and negative."""
    check_above_zero("margin", margin)
    check_rows(embeddings=embeddings)
    check_labels(labels, len(embeddings))
    check_positive_pair(labels)
    check_two_classes(labels)
    rows = normalize(embeddings, dim=-1) if squared else embeddings
    distances = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist")
    alike = labels[:, None] == labels
    own = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return (distances.square() if squared else distances), alike & ~own, ~alike
