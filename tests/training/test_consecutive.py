"""Batches of consecutive rows: what an epoch reads, over processes and after a resume."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest
from accelerate.data_loader import BatchSamplerShard, SkipBatchSampler
from torch.utils.data import BatchSampler

from sentemb.training.collate import RowDataset
from sentemb.training.consecutive import ConsecutiveBatches
from sentemb.types import Row


def sampler(n_rows, batch_size, *, seed=0, epoch=0):
    data = RowDataset([Row(("x",))] * n_rows)
    data.epoch = epoch
    return ConsecutiveBatches(data, batch_size=batch_size, seed=seed)


@pytest.mark.parametrize(("n_rows", "batch_size"), [(20, 5), (23, 5), (3, 5), (5, 5), (1, 1), (7, 1)])
def test_each_row_once_and_each_batch_a_run(n_rows, batch_size):
    for epoch in range(4):
        order = list(sampler(n_rows, batch_size, epoch=epoch))
        assert sorted(order) == list(range(n_rows)) and len(sampler(n_rows, batch_size)) == n_rows
        for start in range(0, n_rows, batch_size):
            batch = order[start : start + batch_size]
            assert all((b - a) % n_rows == 1 % n_rows for a, b in pairwise(batch))


def test_the_runs_and_where_they_are_cut_change_with_the_epoch_and_the_seed():
    orders = [list(sampler(50, 5, epoch=epoch, seed=seed)) for epoch in range(3) for seed in range(3)]
    assert len({tuple(order) for order in orders}) == 9
    assert len({order[0] % 5 for order in orders}) > 1
    assert orders[0] == list(sampler(50, 5))


def test_processes_share_the_runs_out_whole():
    batches = BatchSampler(sampler(40, 5), 5, drop_last=False)
    shards = [list(BatchSamplerShard(batches, 2, rank)) for rank in (0, 1)]
    assert [batch for pair in zip(*shards, strict=True) for batch in pair] == list(batches)


def test_an_epoch_taken_up_in_its_middle_goes_on():
    batches = BatchSampler(sampler(43, 5, epoch=3), 5, drop_last=False)
    rest = BatchSampler(sampler(43, 5, epoch=3), 5, drop_last=False)
    assert list(SkipBatchSampler(rest, skip_batches=4)) == list(islice(batches, 4, None))
