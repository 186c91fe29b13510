"""CoSENT: cosines put in the order of the gold scores."""

from __future__ import annotations

import torch
from torch import Tensor

from sentemb.functional.checks import check_above_zero, check_rows
from sentemb.functional.precision import full_precision
from sentemb.functional.similarity import paired_cosine


@full_precision
def cosent(first: Tensor, second: Tensor, gold: Tensor, *, temperature: float) -> Tensor:
    """CoSENT (Su 2022, "CoSENT: a sentence vector scheme more effective than Sentence-BERT").

    ℓ = log( 1 + Σ_{y_i > y_j} e^{(cos(u_j, v_j) − cos(u_i, v_i))/τ} )

    Only the order of the gold scores counts: any increasing function of them gives the same loss.

    Args:
        first: (B, D) float embeddings u of the first texts; rows are L2-normalised here.
        second: (B, D) float embeddings v of the second texts.
        gold: (B,) float or int, y; ties make no pair.
        temperature: τ > 0; Su uses 0.05. sentence-transformers' `scale` is its inverse.

    Returns:
        () loss in nats, ≥ 0; a log of a sum over the whole batch, so no mean over rows. Without two different gold
        scores (B = 1 included) it is 0 with zero gradient. P ordered pairs of equal cosines give ln(1 + P).

    Raises:
        ValueError: rows that are not one batch, gold scores of another shape, τ ≤ 0.

    >>> u, v = torch.eye(2), torch.eye(2)[[0, 0]]
    >>> round(cosent(u, v, torch.tensor([0.0, 1.0]), temperature=1.0).item(), 4)
    1.3133
    """
    check_rows(first=first, second=second)
    return order_loss(paired_cosine(first, second), gold, temperature)


def order_loss(similarities: Tensor, gold: Tensor, temperature: float) -> Tensor:
    """log(1 + Σ_{y_i > y_j} e^{(s_j − s_i)/τ}) of (B,) float similarities s and (B,) gold scores y; () in nats.

    A NaN in either makes the loss NaN, also where it is in no ordered pair.
    """
    check_above_zero("temperature", temperature)
    if gold.shape != similarities.shape:
        raise ValueError(f"gold must be ({len(similarities)},), one score per pair, not {tuple(gold.shape)}")
    violations = (similarities[None, :] - similarities[:, None]) / temperature  # (B, B): s_j − s_i at [i, j]
    ordered = gold[:, None] > gold[None, :]
    terms = torch.cat([similarities.new_zeros(1), violations[ordered]])
    return torch.logsumexp(terms, dim=0) + 0 * (similarities + gold).sum()
