"""Fitting a flow to cached embeddings by maximum likelihood; only the flow is trained, never the encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sentemb.errors import ConfigError, DataError, shortened
from sentemb.postprocess.flow import Flow, FlowArchitecture
from sentemb.postprocess.flow_settings import FlowTraining

Array = np.ndarray[Any, np.dtype[Any]]

_ROWS_AT_ONCE = 8192  # read or evaluated without gradients; bounds the memory, not the result


@dataclass(frozen=True, slots=True)
class FlowEpoch:
    """One pass over the training rows.

    Attributes:
        epoch: from 1.
        train_bits: bits per dimension, mean over the steps of the epoch, each taken before its update.
        held_out_bits: bits per dimension of the held-out rows, after the epoch.
    """

    epoch: int
    train_bits: float
    held_out_bits: float


def fit_flow(
    embeddings: Array,
    *,
    architecture: FlowArchitecture,
    training: FlowTraining,
    seed: int,
    on_progress: Callable[[FlowEpoch], None] | None = None,
) -> tuple[Flow, list[FlowEpoch]]:
    """The flow under which embeddings are most likely (Li et al. 2020, Eq. 4): minimises −log₂ p(x) / D.

    Everything random (parameters, held-out rows, order of the rows) comes from `seed`; on one machine, with one number
    of threads, the same call gives the same flow, bit for bit. The rows that don't fill the last batch of an epoch wait
    for another epoch. Stops when the held-out likelihood has not risen for `patience` epochs, and returns the flow as
    it was after its best epoch. Nothing is written, so an interrupt leaves nothing behind.

    Args:
        embeddings: (N, D) float16, float32 or float64, finite, in memory or memory-mapped; read a batch at a time,
            computed in float32. Pass both sentences of every pair, and no embedding that is normalised unless the
            flow is to follow a normalisation: the authors' code has none.
        architecture: what the flow is made of; D must be a multiple of 2^n_levels.
        training: how it is trained.
        seed: ≥ 0.
        on_progress: called after each epoch.

    Returns:
        The flow, in float32 and in evaluation mode, and one record for each epoch.

    Raises:
        ConfigError: a width that can't be halved so often, or a learning rate that makes the likelihood NaN.
        DataError: not (N, D) floats, a value that is not finite, a dimension that never varies, too few rows.

    >>> from sentemb.postprocess.flow_settings import RELEASED
    >>> rows = np.random.default_rng(0).normal(size=(2000, 8))
    >>> flow, history = fit_flow(rows, architecture=RELEASED.architecture, training=RELEASED.training, seed=0)
    >>> len(history), 2 < history[0].held_out_bits < 2.2  # a Gaussian of variance 1 has ½ log₂ 2πe = 2.05
    (1, True)
    """
    _check_shape(embeddings)
    generator = torch.Generator().manual_seed(seed)
    flow = Flow(embeddings.shape[1], architecture, generator=generator)
    train_rows, held_out_rows = _split(len(embeddings), training, generator)
    _check_values(embeddings)
    optimizer = torch.optim.AdamW(
        flow.parameters(),
        lr=training.learning_rate,
        eps=training.adam_epsilon,
        weight_decay=training.weight_decay,
        fused=True,
    )
    history: list[FlowEpoch] = []
    best_epoch, best_bits, best_state = 0, float("inf"), flow.state_dict()
    for epoch in range(1, training.epochs + 1):
        order = train_rows[torch.randperm(len(train_rows), generator=generator).numpy()]
        train_bits = _train_epoch(flow, optimizer, embeddings, order, training)
        record = FlowEpoch(epoch, train_bits, _mean_bits(flow, embeddings, held_out_rows))
        _check_finite(record, training)
        history.append(record)
        if on_progress is not None:
            on_progress(record)
        if record.held_out_bits < best_bits:
            best_epoch, best_bits = epoch, record.held_out_bits
            best_state = {name: value.clone() for name, value in flow.state_dict().items()}
        elif epoch - best_epoch >= training.patience:
            break
    flow.load_state_dict(best_state)
    return flow.eval(), history


def _split(n_rows: int, training: FlowTraining, generator: torch.Generator) -> tuple[Array, Array]:
    """Row numbers to train on and to hold out, the latter in order."""
    n_held_out = max(1, round(training.held_out * n_rows))
    n_train = n_rows - n_held_out
    if n_train < training.batch_size:
        problem = f"{n_rows} rows leave {max(n_train, 0)} to train on, fewer than one batch of {training.batch_size}"
        raise DataError("flow", problem, "Pass more sentences, or use a smaller batch_size")
    shuffled = torch.randperm(n_rows, generator=generator).numpy()
    return shuffled[n_held_out:], np.sort(shuffled[:n_held_out])


def _train_epoch(
    flow: Flow, optimizer: torch.optim.Optimizer, embeddings: Array, order: Array, training: FlowTraining
) -> float:
    flow.train()
    total, n_batches = torch.zeros((), dtype=torch.float64), len(order) // training.batch_size
    for batch in range(n_batches):
        rows = _read(embeddings, order[batch * training.batch_size : (batch + 1) * training.batch_size])
        if not flow.initialised:
            flow.initialise(rows)
        loss = flow.bits_per_dimension(rows).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if training.max_gradient_norm is not None:
            torch.nn.utils.clip_grad_norm_(flow.parameters(), training.max_gradient_norm)
        optimizer.step()
        total += loss.detach()
    return (total / n_batches).item()


@torch.no_grad()
def _mean_bits(flow: Flow, embeddings: Array, rows: Array) -> float:
    flow.eval()
    total = torch.zeros((), dtype=torch.float64)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        total += flow.bits_per_dimension(_read(embeddings, rows[start : start + _ROWS_AT_ONCE])).double().sum()
    return (total / len(rows)).item()


def _read(embeddings: Array, rows: Array) -> Tensor:
    return torch.from_numpy(np.take(embeddings, rows, axis=0).astype(np.float32, copy=False))


def _check_finite(record: FlowEpoch, training: FlowTraining) -> None:
    if not np.isfinite([record.train_bits, record.held_out_bits]).all():
        problem = f"with {training.learning_rate} the likelihood is not finite after epoch {record.epoch}"
        raise ConfigError("flow.learning_rate", problem, "Use a lower learning rate")


def _check_shape(embeddings: Array) -> None:
    if embeddings.ndim != 2 or not np.issubdtype(embeddings.dtype, np.floating) or 0 in embeddings.shape:
        given = f"embeddings are {embeddings.dtype} of shape {embeddings.shape}"
        raise DataError("flow", f"{given}, not (N, D) floats", "Pass one row of floats for each sentence")


def _check_values(embeddings: Array) -> None:
    """Refuses what has no likelihood; reads a block at a time."""
    lowest = np.full(embeddings.shape[1], np.inf, dtype=np.float32)
    highest = -lowest
    for start in range(0, len(embeddings), _ROWS_AT_ONCE):
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinity, which is refused
            block = embeddings[start : start + _ROWS_AT_ONCE].astype(np.float32)
        bad = np.argwhere(~np.isfinite(block))
        if len(bad):
            row, column = start + int(bad[0][0]), int(bad[0][1])
            problem = f"row {row}, dimension {column} is {embeddings[row, column]}, not a finite float32 number"
            raise DataError("flow", problem, "Encode that sentence again, or leave it out")
        lowest = np.minimum(lowest, block.min(axis=0))
        highest = np.maximum(highest, block.max(axis=0))
    constant = np.flatnonzero(lowest == highest)
    if len(constant):
        column = constant[0]
        problem = f"dimension {column} is {shortened(float(lowest[column]))} in all rows, so it has no density"
        raise DataError("flow", problem, "Remove it first, for instance by whitening to fewer dimensions")
