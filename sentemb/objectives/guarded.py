"""InfoNCE whose negatives a guide encoder vets: GISTEmbed."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from sentemb.functional.checks import check_above_zero, check_rows
from sentemb.functional.precision import full_precision
from sentemb.functional.similarity import cosine_matrix


@full_precision
def guarded_info_nce(
    anchors: Tensor,
    positives: Tensor,
    guide_anchors: Tensor,
    guide_positives: Tensor,
    *,
    temperature: float,
    negatives: Tensor | None = None,
    guide_negatives: Tensor | None = None,
) -> Tensor:
    """Per-anchor InfoNCE without what a guide finds nearer than the anchor's own pair (Solatorio 2024, section 3).

    ℓ_i = −log e^{s(a_i, p_i)/τ} / Σ_{(x, y) ∈ C_i} e^{s(x, y)/τ},  s the cosine, σ the guide's

    C_i: the pairs (a_i, p_j), (a_i, a_j), (p_i, p_j) and (a_i, n_k) with σ(x, y) ≤ σ(a_i, p_i).

    The own pair is in C_i always. A tie stays, as far as rounding lets it: a batch with a positive twice still has a
    false negative. Equal to sentence-transformers' GISTEmbedLoss with its defaults (margin 0), except that a row is
    never its own negative, j = i in (a_i, a_j) and (p_i, p_j): there it is where the guide gives the own pair 1, as
    for two copies of a text, and rounding decides.

    Args:
        anchors: (B, D) float, raw encoder output; rows are L2-normalised here.
        positives: (B, D) float; row i is the positive of anchor i.
        guide_anchors: (B, G) float, the guide's vectors of the anchors' texts; no gradient flows to it.
        guide_positives: (B, G) float, the guide's of the positives' texts.
        temperature: τ > 0; the paper uses 0.01.
        negatives: (K, D) float, further negatives of every anchor, or None.
        guide_negatives: (K, G) float, the guide's of the negatives' texts; given with `negatives`.

    Returns:
        (B,) losses in nats, unreduced. All rows alike, the guide's too, gives ln(3B − 2 + K).

    Raises:
        ValueError: rows of shapes that do not match or none at all, negatives with no guide's, or temperature ≤ 0.

    >>> e = torch.eye(2)
    >>> [round(loss, 4) for loss in guarded_info_nce(e, e.flip(0), e, e, temperature=1.0).tolist()]
    [1.7437, 1.7437]
    """
    check_above_zero("temperature", temperature)
    _check_guide(anchors, positives, guide_anchors, guide_positives, negatives, guide_negatives)
    logits = _candidates(anchors, positives, negatives) / temperature
    guide = _candidates(guide_anchors, guide_positives, guide_negatives)
    own = guide.diagonal()[:, None]
    dropped = guide > own
    rows = torch.arange(len(anchors), device=anchors.device)
    for block in (1, 2):
        dropped[rows, rows + block * len(anchors)] = True
    broken = (logits + guide + own).isnan()  # NaN compares as not above: without this a broken guide would pass unseen
    return cross_entropy(logits.masked_fill(dropped, -math.inf).masked_fill(broken, math.nan), rows, reduction="none")


def _candidates(anchors: Tensor, positives: Tensor, negatives: Tensor | None) -> Tensor:
    """(B, 3B + K) cosines: of anchors with positives, of anchors and of positives among themselves, with negatives."""
    blocks = [(anchors, positives), (anchors, anchors), (positives, positives)]
    if negatives is not None:
        blocks.append((anchors, negatives))
    return torch.cat([cosine_matrix(rows, columns) for rows, columns in blocks], dim=1)


def _check_guide(
    anchors: Tensor,
    positives: Tensor,
    guide_anchors: Tensor,
    guide_positives: Tensor,
    negatives: Tensor | None,
    guide_negatives: Tensor | None,
) -> None:
    check_rows(anchors=anchors, positives=positives)
    check_rows(guide_anchors=guide_anchors, guide_positives=guide_positives)
    if len(guide_anchors) != len(anchors):
        raise ValueError(f"guide_anchors must have the anchors' {len(anchors)} rows, not {len(guide_anchors)}")
    if (negatives is None) != (guide_negatives is None):
        raise ValueError("negatives and guide_negatives must be given together")
    if negatives is not None and guide_negatives is not None:
        expected = (len(negatives), anchors.shape[1]), (len(negatives), guide_anchors.shape[1])
        found = tuple(negatives.shape), tuple(guide_negatives.shape)
        if found != expected:
            raise ValueError(f"negatives and guide_negatives must be {expected[0]} and {expected[1]}, not {found}")
