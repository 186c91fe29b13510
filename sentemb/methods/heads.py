"""What stands on top of the encoder in training and is dropped at test."""

from __future__ import annotations

from torch import Tensor, nn


def projection_head(width: int, hidden: int, out: int, *, batch_norm: bool) -> nn.Module:
    """Linear, ReLU, linear: SimCLR's head (Chen et al. 2020); optionally with batch norm before the ReLU."""
    middle = [nn.BatchNorm1d(hidden)] if batch_norm else []
    return nn.Sequential(nn.Linear(width, hidden, bias=not batch_norm), *middle, nn.ReLU(), nn.Linear(hidden, out))


class WithShortcut(nn.Module):
    """Linear, ReLU, linear, beside a linear shortcut: Deep InfoMax's encode-and-dot networks (Hjelm et al. 2019).

    Args:
        width: of what goes in, of the layer between and of what comes out; theirs are wider.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.shortcut = nn.Linear(width, width)

    def forward(self, rows: Tensor) -> Tensor:
        """(…, width) float, of (…, width) rows."""
        found: Tensor = self.block(rows) + self.shortcut(rows)
        return found
