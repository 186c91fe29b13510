"""What stands on top of the encoder in training and is dropped at test."""

from __future__ import annotations

from torch import nn


def projection_head(width: int, hidden: int, out: int, *, batch_norm: bool) -> nn.Module:
    """Linear, ReLU, linear: SimCLR's head (Chen et al. 2020); optionally with batch norm before the ReLU."""
    middle = [nn.BatchNorm1d(hidden)] if batch_norm else []
    return nn.Sequential(nn.Linear(width, hidden, bias=not batch_norm), *middle, nn.ReLU(), nn.Linear(hidden, out))
