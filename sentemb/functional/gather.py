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


def mean_over_processes(total: Tensor, count: Tensor) -> Tensor:
    """A sum over what this process holds, divided by the mean number that a process holds.

    Averaged over processes, as DDP averages gradients, it is the mean over what all of them hold, however unequal their
    shares are. In a single process it is the mean.

    Args:
        total: () float.
        count: () float or int ≥ 0; no gradient flows to it.

    Returns:
        () float; 0 / 0 is 0.
    """
    count = count.detach().to(total.dtype)
    if is_distributed():
        count = count.clone()
        dist.all_reduce(count)
        count /= dist.get_world_size()
    return total / count.where(count > 0, torch.ones_like(count))
