"""A sentence's neighbours in the text, told from the other sentences of the batch: Quick-Thought."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

from sentemb.functional.checks import check_rows
from sentemb.functional.precision import full_precision


@full_precision
def quick_thought(
    sentences: Tensor, candidates: Tensor, *, neighbours: Tensor, own: Tensor, own_score: float
) -> Tensor:
    """Per-sentence cross-entropy with its neighbours as targets of equal mass (Logeswaran & Lee 2018, Eq. 2).

    ℓ_i = −1/|C_i| Σ_{j ∈ C_i} log ( e^{f(s_i)·g(s_j)} / Σ_k e^{f(s_i)·g(s_k)} )

    C_i are the neighbours of sentence i, k runs over the candidates. Dot products of the raw outputs, with neither
    normalisation nor temperature. The paper sums log p over the neighbours; the authors' code takes the mean, as here.

    Args:
        sentences: (B, D) float, f of the sentences.
        candidates: (M, D) float, g of the candidates, M ≥ 1; in one process the same sentences, M = B.
        neighbours: (B, M) bool, True where candidate j is a neighbour of sentence i.
        own: (B, M) bool, True where candidate j is sentence i itself; nowhere where `neighbours` is.
        own_score: what stands for the product of a sentence with itself: −∞, so that it is no candidate (the paper), or
            0 as in the authors' code, where it is one without content.

    Returns:
        (B,) losses in nats, unreduced; 0 for a sentence without neighbours, to be left out of a mean. All products 0
        and `own_score` 0 give ln M, −∞ gives ln(M − 1).

    Raises:
        ValueError: shapes that do not match, no rows, or a neighbour that is the sentence itself.

    >>> near = torch.tensor([[False, True, False], [True, False, True], [False, True, False]])
    >>> rows, own = torch.zeros(3, 2), torch.eye(3, dtype=torch.bool)
    >>> [round(x, 4) for x in quick_thought(rows, rows, neighbours=near, own=own, own_score=-torch.inf).tolist()]
    [0.6931, 0.6931, 0.6931]
    """
    _check(sentences, candidates, neighbours, own)
    if math.isnan(own_score):
        raise ValueError("own_score must be a number or -inf, not NaN")
    has_neighbours = neighbours.any(1)
    targets = neighbours[has_neighbours]
    scores = (sentences @ candidates.T).masked_fill(own, own_score)[has_neighbours]
    log_p = log_softmax(scores, dim=1).where(targets, scores.new_zeros(()))
    losses = -log_p.sum(1) / targets.sum(1)
    return sentences.new_zeros(len(sentences)).index_put((has_neighbours.nonzero()[:, 0],), losses)


def are_neighbours(
    places: Tensor, documents: Tensor, other_places: Tensor, other_documents: Tensor, *, size: int
) -> Tensor:
    """Which sentences stand near which, in the same document.

    Args:
        places: (B,) int64, of each sentence in its source.
        documents: (B,) int64, the document it is of.
        other_places: (M,) int64.
        other_documents: (M,) int64.
        size: ≥ 1, sentences before and after that are neighbours.

    Returns:
        (B, M) bool; a sentence is not its own neighbour.

    >>> row = torch.arange(4), torch.tensor([0, 0, 1, 1])
    >>> are_neighbours(*row, *row, size=1).int().tolist()
    [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    """
    if size < 1:
        raise ValueError(f"size must be at least 1, not {size}")
    distance = (places[:, None] - other_places).abs()
    return (distance >= 1) & (distance <= size) & (documents[:, None] == other_documents)


def _check(sentences: Tensor, candidates: Tensor, neighbours: Tensor, own: Tensor) -> None:
    check_rows(sentences=sentences)
    check_rows(candidates=candidates)
    if sentences.shape[1] != candidates.shape[1]:
        given = f"{sentences.shape[1]} and {candidates.shape[1]}"
        raise ValueError(f"sentences and candidates must have one width, not {given}")
    shape = (len(sentences), len(candidates))
    for name, mask in (("neighbours", neighbours), ("own", own)):
        if mask.shape != shape or mask.dtype != torch.bool:
            raise ValueError(f"{name} must be {shape} bool, not {tuple(mask.shape)} {mask.dtype}")
    if (neighbours & own).any():
        raise ValueError("a sentence can't be its own neighbour")
