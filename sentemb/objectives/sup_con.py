"""Supervised contrastive learning: every row of a class is a positive of every other."""

from __future__ import annotations

import torch
from torch import Tensor

from sentemb.functional.checks import check_above_zero, check_labels, check_positive_pair, check_rows
from sentemb.functional.precision import full_precision
from sentemb.functional.similarity import cosine_matrix


@full_precision
def sup_con_out(embeddings: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """SupCon with the sum over positives outside the log, the form the paper trains (Khosla et al. 2020, Eq. 2).

    L = mean_i −1/|P(i)| Σ_{p∈P(i)} log( e^{z_i·z_p/τ} / Σ_{a≠i} e^{z_i·z_a/τ} ),  z of length 1

    P(i) holds every other row of i's class, all views of a text among them (each view is a row, with its text's label);
    a survey's 1/(2|N_i| − 1) holds only if N_i counts texts, not views. The paper sums over anchors and multiplies by
    τ/0.07 in its code; this is the mean over the anchors that have a positive. Labels that number the texts, two views
    each, give SimCLR's NT-Xent.

    Args:
        embeddings: (N, D) float; rows are L2-normalised here.
        labels: (N,) whole numbers, two alike at least; rows alone in their class are negatives only.
        temperature: τ > 0; the paper uses 0.1.

    Returns:
        () loss in nats. All rows alike gives ln(N − 1).

    Raises:
        ValueError: shapes that do not match, no positive pair, or τ ≤ 0.

    >>> rows, labels = torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1])
    >>> round(sup_con_out(rows, labels, temperature=1.0).item(), 4)  # ln(1 + 2/e)
    0.5514
    """
    logits, positive, every = _contrast(embeddings, labels, temperature)
    return (every - logits.where(positive, 0.0).sum(1) / positive.sum(1)).mean()


@full_precision
def sup_con_in(embeddings: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """SupCon with the sum over positives inside the log (Khosla et al. 2020, Eq. 3); worse than Eq. 2 in the paper.

    L = mean_i −log( 1/|P(i)| Σ_{p∈P(i)} e^{z_i·z_p/τ} / Σ_{a≠i} e^{z_i·z_a/τ} ),  z of length 1

    Never above `sup_con_out`, and equal to it where each anchor has one positive. Without 1/|P(i)| it is the soft
    nearest neighbour loss of the cosine.

    Args:
        embeddings: (N, D) float; rows are L2-normalised here.
        labels: (N,) whole numbers, two alike at least; rows alone in their class are negatives only.
        temperature: τ > 0; the paper uses 0.1.

    Returns:
        () loss in nats. All rows alike gives ln(N − 1).

    Raises:
        ValueError: shapes that do not match, no positive pair, or τ ≤ 0.

    >>> rows, labels = torch.eye(2).repeat(2, 1), torch.tensor([0, 1, 0, 1])
    >>> round(sup_con_in(rows, labels, temperature=1.0).item(), 4)
    0.5514
    """
    logits, positive, every = _contrast(embeddings, labels, temperature)
    return (
        every + positive.sum(1).to(logits.dtype).log() - logits.masked_fill(~positive, -torch.inf).logsumexp(1)
    ).mean()


def _contrast(embeddings: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """Of the A anchors with a positive: (A, N) logits, (A, N) which are positives, (A,) the log-sum over other rows."""
    check_above_zero("temperature", temperature)
    check_rows(embeddings=embeddings)
    check_labels(labels, len(embeddings))
    check_positive_pair(labels)
    own = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    positive = (labels[:, None] == labels) & ~own
    anchors = positive.any(1)
    logits = (cosine_matrix(embeddings, embeddings) / temperature)[anchors]
    return logits, positive[anchors], logits.masked_fill(own[anchors], -torch.inf).logsumexp(1)
