"""BERT's corruption rule for masked language modelling."""

from __future__ import annotations

import torch
from torch import Tensor


def mask_tokens(
    ids: Tensor, maskable: Tensor, *, rate: float, mask_id: int, vocabulary_size: int
) -> tuple[Tensor, Tensor]:
    """Chooses tokens to predict and corrupts them (Devlin et al. 2019, section 3.1).

    Each maskable token is chosen with probability `rate`. Of the chosen, 80 % become the mask token, 10 % a random
    token and 10 % stay as they are. Draws from torch's generator of the device, as dropout does.

    Args:
        ids: (B, T) int64.
        maskable: (B, T) bool; False for special tokens and padding.
        rate: in (0, 1); BERT and SimCSE use 0.15.
        mask_id: the id of the mask token.
        vocabulary_size: random tokens are drawn from 0 … vocabulary_size − 1.

    Returns:
        (B, T) int64 corrupted ids and (B, T) bool, True where the original token is to be predicted.
    """
    chosen = (torch.rand(ids.shape, device=ids.device) < rate) & maskable
    action = torch.rand(ids.shape, device=ids.device)
    random_ids = torch.randint(vocabulary_size, ids.shape, device=ids.device)
    corrupted = ids.masked_fill(chosen & (action < 0.8), mask_id)
    return torch.where(chosen & (action >= 0.9), random_ids, corrupted), chosen
