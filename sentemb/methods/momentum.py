"""A second copy of a module that follows the first one slowly: momentum encoder, target network."""

from __future__ import annotations

import copy
import math
from typing import TypeVar

import torch
from torch import nn

Module = TypeVar("Module", bound=nn.Module)


def momentum_copy(module: Module) -> Module:
    """The same module with weights of its own that no gradient reaches."""
    return copy.deepcopy(module).requires_grad_(False)


@torch.no_grad()
def follow(follower: nn.Module, leader: nn.Module, momentum: float) -> None:
    """ξ ← m ξ + (1 − m) θ for every weight (He et al. 2020, Eq. 2); buffers are copied.

    Args:
        follower: ξ, of `momentum_copy`.
        leader: θ.
        momentum: m, from 0 (a copy) to 1 (no move).
    """
    for slow, fast in zip(follower.parameters(), leader.parameters(), strict=True):
        slow.lerp_(fast, 1 - momentum)
    for held, given in zip(follower.buffers(), leader.buffers(), strict=True):
        held.copy_(given)


def rising_momentum(base: float, step: int, total_steps: int) -> float:
    """1 − (1 − m₀) (cos(π k / K) + 1) / 2, from m₀ to 1 at the last step (Grill et al. 2020, section 3.3).

    >>> [rising_momentum(0.9, k, 2) for k in (0, 1, 2)]
    [0.9, 0.95, 1.0]
    """
    return 1 - (1 - base) * (math.cos(math.pi * step / total_steps) + 1) / 2
