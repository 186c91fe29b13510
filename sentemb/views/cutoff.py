"""Cutoff (Shen et al. 2020, arXiv 2009.13818): a view of a text is the text with a part of its embeddings zeroed.

What is cut is the output of the embedding layer, so that a token goes with its position and segment, and masked for
attention and pooling. Special tokens stay, since [CLS] may be what is read out; the authors' code can cut them. Draws
are from torch's generator, as dropout's are. Differs from the authors' code: positions and columns are drawn without
replacement, so that exactly ⌊r · n⌋ are cut where theirs cuts that many at most; a span may end at the last token,
where theirs stops one short. A text too short for one whole token, r · n < 1, stays as it is: dropout still tells its
views apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sentemb.types import Cut


@dataclass(frozen=True)
class TokenCutoff:
    """⌊r · n⌋ tokens, drawn one by one, n the real tokens of a text, special ones counted.

    Attributes:
        ratio: r, from 0 to below 1; the paper uses 0.05 to 0.3.
    """

    ratio: float

    def __post_init__(self) -> None:
        _check(self.ratio)

    def __call__(self, real: Tensor, special: Tensor, width: int) -> Cut:
        """Which of (n, T) tokens are cut."""
        order = torch.rand(real.shape, device=real.device).masked_fill(special, torch.inf).argsort(1).argsort(1)
        return Cut(tokens=order < _n_cut(self.ratio, real, special))


@dataclass(frozen=True)
class SpanCutoff:
    """One run of ⌊r · n⌋ tokens, n the real tokens of a text, special ones counted; every place is as likely.

    Attributes:
        ratio: r, from 0 to below 1; the authors' script uses 0.1.
    """

    ratio: float

    def __post_init__(self) -> None:
        _check(self.ratio)

    def __call__(self, real: Tensor, special: Tensor, width: int) -> Cut:
        """Which of (n, T) tokens are cut."""
        n_cut = _n_cut(self.ratio, real, special)
        places = (~special).sum(1, keepdim=True) - n_cut + 1
        start = (torch.rand(len(real), 1, device=real.device) * places).long()
        number = (~special).cumsum(1) - 1
        return Cut(tokens=(number >= start) & (number < start + n_cut) & ~special)


@dataclass(frozen=True)
class FeatureCutoff:
    """⌊r · D⌋ columns of the embeddings, the same in all tokens of a text, others for the next text.

    Attributes:
        ratio: r, from 0 to below 1; the paper uses 0.05 to 0.3.
    """

    ratio: float

    def __post_init__(self) -> None:
        _check(self.ratio)

    def __call__(self, real: Tensor, special: Tensor, width: int) -> Cut:
        """Which of (n, D) columns are cut."""
        order = torch.rand(len(real), width, device=real.device).argsort(1).argsort(1)
        return Cut(features=order < int(self.ratio * width))


def _n_cut(ratio: float, real: Tensor, special: Tensor) -> Tensor:
    """(n, 1) how many tokens to cut: ⌊r · n⌋, but no more than are not special."""
    wanted = (ratio * real.sum(1, keepdim=True)).long()
    return torch.minimum(wanted, (~special).sum(1, keepdim=True))


def _check(ratio: float) -> None:
    if not 0 <= ratio < 1:
        raise ValueError(f"ratio must be from 0 to below 1, not {ratio}")
