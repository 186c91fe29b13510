"""Two processes with half the batch each must train as one process with the whole batch does."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from numpy.testing import assert_allclose

from sentemb.functional.gather import gather_rows, mean_over_processes
from sentemb.objectives.info_nce import info_nce
from tests.two_processes import group, run_in_two_processes

N, D = 6, 4


def data() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(N, D, generator=generator, dtype=torch.float64) for _ in range(3))  # type: ignore[return-value]


def loss_of(weight: torch.Tensor, rows: slice) -> torch.Tensor:
    a, p, n = (x[rows] @ weight for x in data())
    (p, offset), (n, _) = gather_rows(p), gather_rows(n)
    return info_nce(a, p, negatives=n, temperature=0.3, own_negative_weight=2.0, offset=offset).mean()


def worker(rank: int, store: Path, queue: mp.Queue) -> None:
    with group(rank, store):
        weight = torch.eye(D, dtype=torch.float64, requires_grad=True)
        loss = loss_of(weight, slice(rank * N // 2, (rank + 1) * N // 2))
        loss.backward()
        dist.all_reduce(weight.grad)  # what DDP does: the mean over processes
        total = loss.detach().clone()
        dist.all_reduce(total)
        if rank == 0:
            queue.put((total.item() / 2, (weight.grad / 2).tolist()))


def test_loss_and_gradient_of_two_processes_equal_those_of_one():
    queue = mp.get_context("spawn").SimpleQueue()
    run_in_two_processes(worker, queue)
    loss, gradient = queue.get()
    weight = torch.eye(D, dtype=torch.float64, requires_grad=True)
    whole = loss_of(weight, slice(None))
    whole.backward()
    assert_allclose(loss, whole.item(), rtol=1e-12)
    assert_allclose(gradient, weight.grad, rtol=1e-10)


def mean_of_unequal_shares(weight: torch.Tensor, rows: slice) -> torch.Tensor:
    values = (data()[0][rows] @ weight).square()
    return mean_over_processes(values.sum(), torch.tensor(values.numel()))


def worker_of_unequal_shares(rank: int, store: Path, queue: mp.Queue) -> None:
    with group(rank, store):
        weight = torch.eye(D, dtype=torch.float64, requires_grad=True)
        loss = mean_of_unequal_shares(weight, [slice(0, 5), slice(5, 5 + rank)][rank])
        loss.backward()
        total = loss.detach().clone()
        dist.all_reduce(total)
        dist.all_reduce(weight.grad)
        nothing = mean_over_processes(torch.zeros(()), torch.tensor(rank))  # only the second process holds something
        if rank == 0:
            queue.put((total.item() / 2, (weight.grad / 2).tolist(), nothing.item()))


def test_a_mean_of_unequal_shares_is_that_of_all_rows():
    queue = mp.get_context("spawn").SimpleQueue()
    run_in_two_processes(worker_of_unequal_shares, queue)
    loss, gradient, nothing = queue.get()
    weight = torch.eye(D, dtype=torch.float64, requires_grad=True)
    whole = mean_of_unequal_shares(weight, slice(None))
    whole.backward()
    assert_allclose(whole.item(), data()[0].square().mean().item(), rtol=1e-12)
    assert_allclose(loss, whole.item(), rtol=1e-12)
    assert_allclose(gradient, weight.grad, rtol=1e-10)
    assert nothing == 0.0


def test_a_mean_of_nothing_is_0():
    total = torch.zeros((), requires_grad=True)
    mean = mean_over_processes(total, torch.tensor(0))
    mean.backward()
    assert mean.item() == 0.0 and total.grad.item() == 1.0
