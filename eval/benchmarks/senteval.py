#!/usr/bin/env python3
"""Time and accuracy of the transfer tasks beside a plain loop over folds and penalties, on the same embeddings.

    OMP_NUM_THREADS=1 python eval/benchmarks/senteval.py all-MiniLM-L6-v2 --data DIR --tasks mr,cr,trec,mrpc

Each distinct text is embedded once, which is not timed. Then, task by task, `sentemb` runs before and after the plain
loop, and its two times are averaged. Printed: seconds of the processor and by the clock, their ratios, and accuracies.

sentemb     `predict`: all fits of a fold together, each at its optimum
plain       scikit-learn's `LogisticRegression` as it comes (more iterations allowed), one fit at a time, the same folds
            and penalties
adam        with --adam: SentEval's classifier, restated: Adam, batches of 64, stopped on the rows that choose the
            penalty; its accuracies are what published rows are made of. Minutes a task
"""

from __future__ import annotations

import argparse
import copy
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from sentemb.embedding import embed
from sentemb.encoder import load
from sentemb.evaluation.sts import encode_texts
from sentemb.evaluation.transfer_data import TransferData, load_all_transfer
from sentemb.evaluation.transfer_protocol import TransferProtocol, predict
from sentemb.evaluation.transfer_scores import pair_features
from sentemb.evaluation.transfer_tasks import SEVEN, TRANSFER_TASKS

PROTOCOL = TransferProtocol()
_EPOCHS, _PER_ROUND, _PATIENCE, _BATCH = 200, 4, 5, 64  # SentEval's full configuration

Fit = Callable[[Any, Any, float, Any, Any], Callable[[Any], Any]]
"""(x, y, penalty, x of the rows that stop it, y of them) → x to classes."""


def plain(x: Any, y: Any, penalty: float, *_: Any) -> Callable[[Any], Any]:
    """scikit-learn's classifier."""
    fitted = LogisticRegression(C=1 / (penalty * len(y)), max_iter=10_000).fit(x, y)
    return lambda rows: fitted.predict(rows)


def adam(x: Any, y: Any, penalty: float, x_stop: Any, y_stop: Any) -> Callable[[Any], Any]:
    """SentEval's: the best of rounds of four epochs; stopped at the sixth round in all that was no better."""
    torch.manual_seed(PROTOCOL.seed)
    if x_stop is None:
        order = np.random.default_rng(PROTOCOL.seed).permutation(len(y))
        stop, train = order[: len(y) // 20], order[len(y) // 20 :]
        x, y, x_stop, y_stop = x[train], y[train], x[stop], y[stop]
    rows, classes, rows_stop = torch.tensor(x), torch.tensor(y), torch.tensor(x_stop)
    layer = torch.nn.Linear(x.shape[1], int(y.max()) + 1)
    optimiser = torch.optim.Adam(layer.parameters(), weight_decay=penalty)
    best, kept, worse = -1.0, copy.deepcopy(layer), 0
    for _ in range(_EPOCHS // _PER_ROUND):
        for _ in range(_PER_ROUND):
            for batch in torch.randperm(len(rows)).split(_BATCH):
                optimiser.zero_grad(set_to_none=True)
                torch.nn.functional.cross_entropy(layer(rows[batch]), classes[batch]).backward()
                optimiser.step()
        accuracy = float((layer(rows_stop).argmax(dim=1).numpy() == y_stop).mean())
        if accuracy > best:
            best, kept = accuracy, copy.deepcopy(layer)
        else:
            worse += 1
            if worse > _PATIENCE:
                break
    return lambda tested: kept(torch.tensor(tested)).argmax(dim=1).detach().numpy()


def loop(data: TransferData, features: dict[Any, Any], fit: Fit) -> Any:
    """Predictions by the task's design, one fit at a time."""
    x, y = features["train"], data.splits["train"].gold
    if data.task.design == "held-out":
        x_dev, y_dev = features["dev"], data.splits["dev"].gold
        fits = [fit(x, y, penalty, x_dev, y_dev) for penalty in PROTOCOL.penalties]
        best = int(np.argmax([round(100 * (each(x_dev) == y_dev).mean(), 2) for each in fits]))
        return fits[best](features["test"])
    if data.task.design == "cross-validated":
        return fit(x, y, best_penalty(x, y, fit), None, None)(features["test"])
    predictions = np.empty_like(y)
    for train, test in folds(y):
        penalty = best_penalty(x[train], y[train], fit)
        predictions[test] = fit(x[train], y[train], penalty, None, None)(x[test])
    return predictions


def folds(y: Any) -> Any:
    """(rows to train on, rows left out) of each."""
    return StratifiedKFold(PROTOCOL.n_folds, shuffle=True, random_state=PROTOCOL.seed).split(np.zeros(len(y)), y)


def best_penalty(x: Any, y: Any, fit: Fit) -> float:
    """By the mean accuracy on the folds left out."""
    means = []
    for penalty in PROTOCOL.penalties:
        found = [(fit(x[a], y[a], penalty, x[b], y[b])(x[b]) == y[b]).mean() for a, b in folds(y)]
        means.append(round(100 * float(np.mean(found)), 2))
    return PROTOCOL.penalties[int(np.argmax(means))]


def timed(run: Callable[[], Any]) -> tuple[Any, float, float]:
    """What it gives, its seconds of the processor, and by the clock."""
    clock, processor = time.perf_counter(), time.process_time()
    result = run()
    return result, time.process_time() - processor, time.perf_counter() - clock


def main() -> None:
    """One line a task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a folder, a hub name or bundled:mini")
    parser.add_argument("--data", type=Path, default=None, help="the data folder (default: SENTEMB_DATA)")
    parser.add_argument("--tasks", default=",".join(SEVEN))
    parser.add_argument("--adam", action="store_true", help="SentEval's own classifier as well")
    given = parser.parse_args()
    tasks = load_all_transfer([TRANSFER_TASKS[name] for name in given.tasks.split(",")], given.data)
    vectors = encode_texts(partial(embed, load(given.model)), set().union(*(data.texts for data in tasks)))
    n_workers = torch.get_num_threads()
    print(f"{given.model}, {n_workers} threads of {os.cpu_count()} processors")
    print("task   sentemb cpu  clock   plain cpu   clock   ratio cpu  clock   sentemb  plain  adam")
    for data in tasks:
        columns = {split: [vectors.of(texts) for texts in part.columns] for split, part in data.splits.items()}
        features = {split: each[0] if len(each) == 1 else pair_features(*each) for split, each in columns.items()}
        ours = partial(predict, data, features, PROTOCOL, n_workers)
        first, cpu, clock = timed(ours)
        expected, plain_cpu, plain_clock = timed(partial(loop, data, features, plain))
        _, cpu_again, clock_again = timed(ours)
        cpu, clock = (cpu + cpu_again) / 2, (clock + clock_again) / 2
        shown = [first.predictions, expected, *([loop(data, features, adam)] if given.adam else [])]
        accuracies = "  ".join(f"{100 * (each == data.gold).mean():6.2f}" for each in shown)
        print(
            f"{data.task.title:6} {cpu:11.2f} {clock:6.2f} {plain_cpu:11.2f} {plain_clock:7.2f} "
            f"{plain_cpu / cpu:11.1f} {plain_clock / clock:6.1f}   {accuracies}",
            flush=True,
        )


if __name__ == "__main__":
    main()
