"""Rows of all processes, with their gradients."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def is_distributed() -> bool:
    """Whether more than one process trains."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def gather_rows(rows: Tensor) -> tuple[Tensor, int]:
    """The rows of all processes in rank order, and the number of the first row that is this process's own.

    Gradients flow back to the process that owns a row, summed over all processes that used it. With each process's loss
    a mean over its own anchors, and gradients averaged over processes (as DDP does), the result is exactly the gradient
    of the mean over the anchors of all processes.

    Args:
        rows: (B, …) float; the same B on every process.

    Returns:
        (processes x B, …) and the offset; the rows themselves and 0 in a single process.
    """
    if not is_distributed():
        return rows, 0
    from torch.distributed.nn.functional import all_gather

    gathered = torch.cat(all_gather(rows.contiguous()))  # type: ignore[no-untyped-call]
    if gathered.requires_grad:  # gloo sends a strided gradient as it lies in memory, in the wrong order
        gathered.register_hook(torch.Tensor.contiguous)  # type: ignore[no-untyped-call]
    return gathered, dist.get_rank() * len(rows)
