"""Mutual information of a sentence's embedding and its tokens: the loss of IS-BERT."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from sentemb.functional.checks import check_rows
from sentemb.functional.precision import full_precision


@full_precision
def jensen_shannon_mi(token_states: Tensor, owners: Tensor, sentences: Tensor) -> Tensor:
    """The Jensen-Shannon bound on mutual information, negated (Zhang et al. 2020, Eq. 2; Hjelm et al. 2019, Eq. 4).

    L = E_neg − E_pos,  E_pos = mean_t [ln 2 − sp(−T(t, s_t))],  E_neg = mean_{t, s ≠ s_t} [sp(T(t, s)) − ln 2]

    T(t, s) is the dot product, s_t the sentence that token t is of, sp(x) = ln(1 + eˣ). As in the authors' code, T has
    no network of its own, as it has in the paper and in Weng (2021), and ln 2 shifts both terms, a constant that the
    papers leave out. E_pos is the mean over tokens, not over sentences: a long sentence counts for more.

    Args:
        token_states: (N, D) float, the local features of all sentences' real tokens, none of padding; not normalised.
        owners: (N,) int64 from 0 to B − 1, the sentence each token is of.
        sentences: (B, D) float, B ≥ 2, the sentences' embeddings; not normalised.

    Returns:
        () loss in nats, above −2 ln 2. All products 0 gives 0.

    Raises:
        ValueError: shapes that do not match, no tokens, fewer than 2 sentences, or owners that are no row numbers.

    >>> rows = torch.eye(2)
    >>> round(jensen_shannon_mi(rows, torch.tensor([0, 1]), rows).item(), 4)
    -0.3799
    """
    _check_shapes(token_states, owners, sentences)
    scores = token_states @ sentences.T
    own = owners[:, None] == torch.arange(len(sentences), device=scores.device)
    positive = math.log(2) + logsigmoid(scores[own]).mean()
    others = -logsigmoid(-scores).masked_fill(own, 0.0).sum() / (len(scores) * (len(sentences) - 1))
    return (others - math.log(2)) - positive


def _check_shapes(token_states: Tensor, owners: Tensor, sentences: Tensor) -> None:
    check_rows(token_states=token_states)
    check_rows(sentences=sentences)
    if token_states.shape[1] != sentences.shape[1]:
        raise ValueError(
            f"tokens and sentences must have one width, not {token_states.shape[1]} and {sentences.shape[1]}"
        )
    if len(sentences) < 2:
        raise ValueError("negatives need 2 sentences or more, not 1")
    if owners.shape != (len(token_states),) or owners.dtype != torch.int64:
        raise ValueError(f"owners must be ({len(token_states)},) int64, not {tuple(owners.shape)} {owners.dtype}")
    low, high = int(owners.min()), int(owners.max())
    if low < 0 or high >= len(sentences):
        raise ValueError(f"owners must be from 0 to {len(sentences) - 1}, not from {low} to {high}")
