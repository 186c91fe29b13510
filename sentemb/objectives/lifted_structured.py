"""The lifted structured objective: every positive pair of a labelled batch against all negatives of both its ends."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import relu

from sentemb.functional.checks import (
    check_above_zero,
    check_labels,
    check_positive_pair,
    check_rows,
    check_two_classes,
)
from sentemb.functional.precision import full_precision


@full_precision
def lifted_structured_hard(embeddings: Tensor, labels: Tensor, *, margin: float) -> Tensor:
    """Lifted structured loss with the hardest negative of either end (Song et al. 2016, section 4, before smoothing).

    L = 1/(2|P|) Σ_{(i,j)∈P} max(0, J_ij)²,  J_ij = D_ij + max( max_{k∈Neg(i)} ε − D_ik, max_{l∈Neg(j)} ε − D_jl )

    D is Euclidean, not squared; P holds each unordered positive pair once; the hinge comes first, then the square.

    Args:
        embeddings: (N, D) float. Not normalised.
        labels: (N,) whole numbers, two alike and two different at least.
        margin: ε > 0; 1 is usual.

    Returns:
        () loss ≥ 0; all rows alike gives ε²/2.

    Raises:
        ValueError: shapes that do not match, no positive pair, one class only, or ε ≤ 0.

    >>> rows, labels = torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0, 0, 1])
    >>> lifted_structured_hard(rows, labels, margin=3.0).item()  # J = 1 + max(3 − 3, 3 − 2) = 2
    2.0
    """
    distances, i, j, negative = _positive_pairs(embeddings, labels, margin)
    nearest = distances.masked_fill(~negative, torch.inf).amin(1)
    return _squared_hinge(distances[i, j] + margin - torch.minimum(nearest[i], nearest[j]))


@full_precision
def lifted_structured_smooth(embeddings: Tensor, labels: Tensor, *, margin: float) -> Tensor:
    """Lifted structured loss as it is trained: the smooth upper bound (Song et al. 2016, section 4).

    L = 1/(2|P|) Σ_{(i,j)∈P} max(0, J_ij)²,  J_ij = D_ij + log( Σ_{k∈Neg(i)} e^{ε−D_ik} + Σ_{l∈Neg(j)} e^{ε−D_jl} )

    A negative of both ends counts twice, once from each. Never below `lifted_structured_hard`.

    Args:
        embeddings: (N, D) float. Not normalised.
        labels: (N,) whole numbers, two alike and two different at least.
        margin: ε > 0; 1 is usual.

    Returns:
        () loss ≥ 0; all rows alike gives (ε + ln 2n)²/2 for classes that have n negatives each.

    Raises:
        ValueError: shapes that do not match, no positive pair, one class only, or ε ≤ 0.

    >>> lifted_structured_smooth(torch.ones(3, 2), torch.tensor([0, 0, 1]), margin=1.0).item()  # (1 + ln 2)² / 2
    1.4333736896514893
    """
    distances, i, j, negative = _positive_pairs(embeddings, labels, margin)
    nearness = (margin - distances).masked_fill(~negative, -torch.inf).logsumexp(1)
    return _squared_hinge(distances[i, j] + torch.logaddexp(nearness[i], nearness[j]))


def _squared_hinge(violations: Tensor) -> Tensor:
    return relu(violations).square().mean() / 2


def _positive_pairs(embeddings: Tensor, labels: Tensor, margin: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(N, N) distances with a finite gradient at 0, the ends of the positive pairs, and (N, N) who is a negative."""
    check_above_zero("margin", margin)
    check_rows(embeddings=embeddings)
    check_labels(labels, len(embeddings))
    check_positive_pair(labels)
    check_two_classes(labels)
    distances = torch.cdist(embeddings, embeddings, compute_mode="donot_use_mm_for_euclid_dist")
    alike = labels[:, None] == labels
    i, j = alike.triu(diagonal=1).nonzero(as_tuple=True)
    return distances, i, j, ~alike
