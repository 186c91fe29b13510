"""Matryoshka: one objective on nested prefixes of the embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from sentemb.functional.checks import check_above_zero
from sentemb.functional.precision import full_precision


@full_precision
def matryoshka(
    objective: Callable[[Tensor], Tensor],
    embeddings: Tensor,
    *,
    dims: Sequence[int],
    weights: Sequence[float] | None = None,
) -> Tensor:
    """Matryoshka representation learning (Kusupati et al. 2022, arXiv 2205.13147, Eq. 1), around any objective.

    L = Σ_d c_d ℓ( z_{1…d} / ‖z_{1…d}‖ )

    The prefixes are L2-normalised, the full width too, as sentence-transformers' MatryoshkaLoss does; the paper
    normalises them for contrastive objectives only. A sum, not a mean: the loss grows with the number of `dims`.

    Args:
        objective: (V, B, d) float unit rows → () float, for every d in `dims`.
        embeddings: (V, B, D) float, raw encoder output.
        dims: the widths d, each in 1 … D, none twice, in any order; with D among them the full width is trained too.
        weights: c_d > 0, one per width; None: 1 each, as in the paper.

    Returns:
        () loss.

    Raises:
        ValueError: no width, one outside 1 … D or twice; as many weights as widths are not given, or one is ≤ 0.

    >>> squared_distance = lambda z: (z[0] - z[1]).square().sum(-1).mean()
    >>> z = torch.tensor([[[3.0, 4.0]], [[3.0, -4.0]]])
    >>> round(matryoshka(squared_distance, z, dims=[1, 2]).item(), 4)  # 0 on the first column, 1.6² on both
    2.56
    """
    weights = [1.0] * len(dims) if weights is None else weights
    _check(embeddings, dims, weights)
    losses = [
        weight * objective(normalize(embeddings[..., :dim], dim=-1)) for dim, weight in zip(dims, weights, strict=True)
    ]
    return torch.stack(losses).sum()


def _check(embeddings: Tensor, dims: Sequence[int], weights: Sequence[float]) -> None:
    if embeddings.ndim != 3 or 0 in embeddings.shape:
        raise ValueError(f"embeddings must be (V, B, D), none of them 0, not {tuple(embeddings.shape)}")
    width = embeddings.shape[-1]
    if not dims or not all(1 <= dim <= width for dim in dims):
        raise ValueError(f"dims must be widths from 1 to {width}, not {list(dims)}")
    if len(set(dims)) < len(dims):
        raise ValueError(f"dims must not repeat a width, not {list(dims)}")
    if len(weights) != len(dims):
        raise ValueError(f"weights must be {len(dims)}, one per width, not {len(weights)}")
    for weight in weights:
        check_above_zero("a weight", weight)
