"""The order of rows whose batches are runs of consecutive rows, as Quick-Thought needs them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

from sentemb.augment.seeds import derive_seed
from sentemb.training.collate import RowDataset


class ConsecutiveBatches(Sampler[int]):
    """All rows once an epoch: whole runs of `batch_size` consecutive rows in an order of their own, then what is left.

    The first run begins at a row drawn anew for each epoch, and the rows count as a ring, so that the runs are not cut
    at the same places again. Cut into batches of `batch_size`, as torch does, each batch is one run; processes, which
    take whole batches in turn, share the runs out. The order depends on the seed and the epoch alone, so that an epoch
    taken up in its middle goes on as it would have.

    Args:
        data: the rows; knows the epoch.
        batch_size: rows of a batch on one process, ≥ 1.
        seed: of the order.
    """

    def __init__(self, data: RowDataset, *, batch_size: int, seed: int) -> None:
        self.data, self.batch_size, self.seed = data, batch_size, seed

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[int]:
        """Row numbers of the epoch that `data` is in."""
        generator = torch.Generator().manual_seed(derive_seed(self.seed, self.data.epoch))
        n_rows = len(self.data)
        start = int(torch.randint(n_rows, (), generator=generator))
        order = torch.arange(n_rows).roll(-start)
        n_whole = n_rows // self.batch_size
        runs = order[: n_whole * self.batch_size].view(n_whole, self.batch_size)
        yield from runs[torch.randperm(n_whole, generator=generator)].flatten().tolist()
        yield from order[n_whole * self.batch_size :].tolist()
