"""SBERT's regression objective."""

from __future__ import annotations

from torch import Tensor

from sentemb.functional.precision import full_precision
from sentemb.functional.similarity import paired_cosine


@full_precision
def cosine_regression(u: Tensor, v: Tensor, gold: Tensor) -> Tensor:
    """Per-pair squared error of the cosine and the gold score (Reimers & Gurevych 2019, section 3).

    ℓ_i = (cos(u_i, v_i) − y_i)²

    Args:
        u: (B, D) float embeddings of the first texts.
        v: (B, D) float embeddings of the second texts.
        gold: (B,) float in [0, 1]: the score over its maximum. The cosine itself is compared, not (cos + 1)/2, which
            hurts noticeably (BERT-flow's authors).

    Returns:
        (B,) losses, unreduced, each in [0, 4].

    >>> import torch
    >>> cosine_regression(torch.eye(2), torch.eye(2), torch.tensor([1.0, 0.5])).tolist()
    [0.0, 0.25]
    """
    return (paired_cosine(u, v) - gold).square()
