"""BERT's corruption rule for masked language modelling, token by token or whole word by whole word."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def mask_tokens(
    ids: Tensor,
    maskable: Tensor,
    *,
    rate: float,
    mask_id: int,
    vocabulary_size: int,
    words: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Chooses tokens to predict and corrupts them (Devlin et al. 2019, section 3.1).

    Each maskable token, or with `words` each word with all its pieces (whole-word masking, May 2019, in the README of
    google-research/bert), is chosen with probability `rate`. Of the chosen tokens, 80 % become the mask token, 10 % a
    random token and 10 % stay as they are, each piece of a word on its own. So a share `rate` is chosen on average; the
    authors' code instead fixes the number for each text, at least one.

    Args:
        ids: (…) int64.
        maskable: (…) bool; False for special tokens and padding.
        rate: in (0, 1); BERT and SimCSE use 0.15.
        mask_id: the id of the mask token.
        vocabulary_size: random tokens are drawn from 0 … vocabulary_size − 1.
        words: (…) int64 from 0, the number of the word that each token is a piece of, no two words alike; or None.
        generator: draws on its own device; None: torch's generator of the device of `ids`, as dropout does.

    Returns:
        (…) int64 corrupted ids and (…) bool, True where the original token is to be predicted.
    """
    device = ids.device if generator is None else generator.device

    def uniform(shape: Sequence[int]) -> Tensor:
        return torch.rand(shape, generator=generator, device=device).to(ids.device)

    if words is None:
        chosen = (uniform(ids.shape) < rate) & maskable
    else:
        n_words = int(words.max()) + 1 if words.numel() else 0
        chosen = (uniform((n_words,)) < rate)[words] & maskable
    action = uniform(ids.shape)
    random_ids = torch.randint(vocabulary_size, ids.shape, generator=generator, device=device).to(ids.device)
    corrupted = ids.masked_fill(chosen & (action < 0.8), mask_id)
    return torch.where(chosen & (action >= 0.9), random_ids, corrupted), chosen


def number_words(words: Tensor, lengths: Tensor) -> Tensor:
    """The words of N texts numbered through, from the word of its text that each token is a piece of.

    Args:
        words: (sum of lengths,) int64; tokens of one word stand together.
        lengths: (N,) int64, each > 0.

    Returns:
        (sum of lengths,) int64 from 0; a special token (-1) or a run of them counts as a word.

    >>> number_words(torch.tensor([-1, 0, 0, 1, -1, -1, 0, -1]), torch.tensor([5, 3])).tolist()
    [0, 1, 1, 2, 3, 4, 5, 6]
    """
    begins = torch.ones_like(words, dtype=torch.bool)
    begins[1:] = words[1:] != words[:-1]
    begins[lengths.cumsum(0)[:-1].to(words.device)] = True
    return begins.cumsum(0) - 1
