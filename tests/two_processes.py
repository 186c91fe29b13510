"""A function run in two processes that form one group, as two ranks of a training run do."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch.distributed as dist
import torch.multiprocessing as mp


def run_in_two_processes(work: Callable[..., None], *args: Any) -> None:
    """Calls `work(rank, store, *args)` in two processes; an exception in either is raised here.

    They meet by the file `store`: a port that is free now may be taken by the time they are started.
    """
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(work, args=(Path(folder) / "store", *args), nprocs=2)


@contextmanager
def group(rank: int, store: Path) -> Iterator[None]:
    """A gloo group of the two inside the block, with which the process ends."""
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    yield
    dist.barrier()
    dist.destroy_process_group()
    os._exit(0)  # torch's threads may abort a process that is being taken down, after all its work is done
