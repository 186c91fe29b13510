"""From features to predictions by SentEval's protocol: which rows train, which choose the penalty, which are scored.

================  ==================================================================  ===========================
design            the penalty is the one with the best                                scored
================  ==================================================================  ===========================
nested            mean accuracy over 10 folds of the 9 outer folds that train         each of 10 outer folds
cross-validated   mean accuracy over 10 folds of the training rows                    the test rows
held-out          dev score of the fit on the training rows                           the test rows
================  ==================================================================  ===========================

Folds are stratified and shuffled by scikit-learn's `StratifiedKFold` with SentEval's seed; scores are rounded to two
decimals before they are compared, and the weaker of two penalties that tie is taken, as there. What differs:

- SentEval minimises the same loss by Adam, in batches of 64, and stops early: on the rows that also choose the penalty,
  which flatters its dev scores, and for the final fit on 5 % of the training rows (SST2, SICK-E: on dev). Here each fit
  is at its optimum, so nothing depends on a step size or on the order of batches, and the final fit sees all training
  rows. The grid, 1e-5 … 1e-2, is that of its weight decay. Adam's decay pulls the bias too; here it is free.
- MR, CR, SUBJ, MPQA: accuracy over all out-of-fold predictions together, where SentEval takes the mean over folds; as
  the folds differ by at most two rows, so do these figures by about 0.01.
- SICK-R: SentEval fits the distribution over 1 … 5 by squared error, unpenalised, stopped on dev. Here it is fitted
  by cross entropy, as in Tai et al. 2015 (arXiv 1503.00075, section 4.2), the penalty chosen by dev Pearson.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from sentemb.errors import ConfigError, DataError
from sentemb.evaluation.transfer_data import SCORE_RANGE, TransferData
from sentemb.evaluation.transfer_logistic import Axes, classes, fit_together, logits
from sentemb.evaluation.transfer_tasks import Split, TransferTask
from sentemb.metrics.correlation import pearson

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class TransferProtocol:
    """SentEval's full configuration.

    Attributes:
        n_folds: of each cross-validation, > 1; SentEval's quick configuration has 5.
        penalties: the grid of λ in mean loss + λ/2 ‖W‖², each > 0, ascending.
        seed: of the folds.
    """

    n_folds: int = 10
    penalties: tuple[float, ...] = (1e-5, 1e-4, 1e-3, 1e-2)
    seed: int = 1111

    def __post_init__(self) -> None:
        if self.n_folds < 2:
            raise ConfigError("n_folds", f"{self.n_folds} leaves nothing to train on", "Use 2 or more; SentEval has 10")
        if not self.penalties or self.penalties[0] <= 0 or list(self.penalties) != sorted(set(self.penalties)):
            raise ConfigError(
                "penalties", f"{self.penalties} is no ascending list above 0", "Use 1e-5, 1e-4, 1e-3, 1e-2"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What the classifiers of a task say.

    Attributes:
        predictions: (N,) int64 classes of the scored rows in their order, or float64 scores from 1 to 5.
        penalties: the penalty of each fit that predicts: one a fold for `nested`, else one.
        dev_score: × 100, on the rows that chose the penalty, the mean over fits: accuracy, or Pearson.
    """

    predictions: Array
    penalties: tuple[float, ...]
    dev_score: float


def predict(data: TransferData, features: Mapping[Split, Array], protocol: TransferProtocol, n_workers: int) -> Outcome:
    """Fits and predicts as the task's design says.

    Args:
        data: the rows.
        features: split → (N, D) float, finite, in the order of its rows.
        protocol: folds and grid.
        n_workers: threads, ≥ 1. Their number changes no bit of the outcome.

    Raises:
        DataError: a class has too few rows for the folds.
        ModelError: the features are such that a fit does not reach its optimum.
    """
    check_folds(data, protocol)
    by_design = {"nested": _nested, "cross-validated": _cross_validated, "held-out": _held_out}
    with threadpool_limits(limits=1, user_api="blas"):
        axes = Axes.of(features["train"])
        placed = {split: axes.place(part) for split, part in features.items()}
        with ThreadPoolExecutor(n_workers) as pool:
            return by_design[data.task.design](data, placed, protocol, pool)


def check_folds(data: TransferData, protocol: TransferProtocol) -> None:
    """Whether every class has a row for every fold.

    Raises:
        DataError: one has not.
    """
    task = data.task
    if not task.labels:
        return
    folds = protocol.n_folds
    needed = {"nested": _smallest_class(folds), "cross-validated": folds, "held-out": 1}[task.design]
    how = {"nested": f"{folds} folds within {folds} folds need", "cross-validated": f"{folds} folds need"}
    counts = np.bincount(data.splits["train"].gold, minlength=len(task.labels))
    for label, count in zip(task.labels, counts, strict=True):
        if count < needed:
            raise DataError(
                f"{task.title}, {task.files['train']}",
                f"{count} rows have the {task.label} {label}, but {how.get(task.design, 'training needs')} "
                f"{needed} or more",
                "Add rows of it, or take a task whose classes are larger",
            )


def _smallest_class(n_folds: int) -> int:
    """The fewest rows of a class of which, with the largest share of one fold taken out, one a fold is left."""
    return next(n for n in range(n_folds, 3 * n_folds) if n - -(-n // n_folds) >= n_folds)


# ------------------------------------------------------------------------------------------------ designs
def _nested(
    data: TransferData, placed: Mapping[Split, Array], protocol: TransferProtocol, pool: ThreadPoolExecutor
) -> Outcome:
    rows, gold, targets = placed["train"], data.splits["train"].gold, _targets(data)
    predictions = np.empty_like(gold)

    def one(train: Array, test: Array) -> tuple[int, float]:
        fits = _fit_folds(data.task, rows[train], gold[train], targets[train], protocol, protocol.penalties)
        best, score = _best(fits.accuracies)
        predictions[test] = classes(logits(rows[test], fits.whole[[best]]))[:, 0]
        return best, score

    found = list(pool.map(lambda split: one(*split), _folds(gold, protocol)))
    chosen = tuple(protocol.penalties[best] for best, _ in found)
    return Outcome(predictions, chosen, float(np.mean([score for _, score in found])))


def _cross_validated(
    data: TransferData, placed: Mapping[Split, Array], protocol: TransferProtocol, pool: ThreadPoolExecutor
) -> Outcome:
    gold, targets = data.splits["train"].gold, _targets(data)
    fit = partial(_fit_folds, data.task, placed["train"], gold, targets, protocol)
    fits = list(pool.map(lambda penalty: fit((penalty,)), protocol.penalties))
    best, score = _best(np.concatenate([each.accuracies for each in fits]))
    predictions = classes(logits(placed["test"], fits[best].whole))[:, 0]
    return Outcome(predictions, (protocol.penalties[best],), score)


def _held_out(
    data: TransferData, placed: Mapping[Split, Array], protocol: TransferProtocol, pool: ThreadPoolExecutor
) -> Outcome:
    members = np.ones((len(placed["train"]), len(protocol.penalties)), dtype=bool)
    penalties = np.array(protocol.penalties)
    fits = pool.submit(fit_together, placed["train"], _targets(data), members, penalties, data.task.title).result()
    read: Callable[[Array], Array] = classes if data.task.labels else expected_scores
    on_dev, gold = read(logits(placed["dev"], fits)), data.splits["dev"].gold
    if data.task.labels:
        scores = (on_dev == gold[:, None]).mean(axis=0)
    else:
        scores = np.array([pearson(column, gold) for column in on_dev.T])
    best, score = _best(scores[:, None])
    return Outcome(read(logits(placed["test"], fits[[best]]))[:, 0], (protocol.penalties[best],), score)


# ------------------------------------------------------------------------------------------------ parts
@dataclass(frozen=True, slots=True, eq=False)
class _FoldFits:
    """Fits of P penalties: (P, folds) accuracies on the fold left out, and (P, K, D + 1) parameters on all rows."""

    accuracies: Array
    whole: Array


def _fit_folds(
    task: TransferTask,
    rows: Array,
    gold: Array,
    targets: Array,
    protocol: TransferProtocol,
    penalties: tuple[float, ...],
) -> _FoldFits:
    """Each penalty on all rows; then, from there, on all folds but one, for each fold."""
    folds = list(_folds(gold, protocol))
    members = np.ones((len(gold), len(penalties) * len(folds)), dtype=bool)
    for number, (_, left_out) in enumerate(folds):
        members[left_out, number :: len(folds)] = False
    whole = fit_together(
        rows, targets, np.ones((len(gold), len(penalties)), dtype=bool), np.array(penalties), task.title
    )
    start, each = (np.repeat(part, len(folds), axis=0) for part in (whole, np.array(penalties)))
    fits = fit_together(rows, targets, members, each, task.title, start)
    fits = fits.reshape(len(penalties), len(folds), *fits.shape[1:])
    accuracies = [
        (classes(logits(rows[left_out], fits[:, number])) == gold[left_out, None]).mean(axis=0)
        for number, (_, left_out) in enumerate(folds)
    ]
    return _FoldFits(np.stack(accuracies, axis=1), whole)


def _folds(gold: Array, protocol: TransferProtocol) -> Iterator[tuple[Array, Array]]:
    """(rows to train on, rows left out) of each fold."""
    folds = StratifiedKFold(protocol.n_folds, shuffle=True, random_state=protocol.seed)
    yield from folds.split(np.zeros(len(gold)), gold)


def _best(scores: Array) -> tuple[int, float]:
    """Which of P rows of (P, folds) scores has the highest mean × 100, rounded; the first of equals."""
    means = np.round(100 * scores.mean(axis=1), 2)
    best = int(means.argmax())
    return best, float(means[best])


def _targets(data: TransferData) -> Array:
    """(N, 1 or K) what the training rows' logits are fitted to."""
    gold = data.splits["train"].gold
    if not data.task.labels:
        return spread_scores(gold)
    if len(data.task.labels) == 2:
        return gold[:, None].astype(np.float64)
    return np.eye(len(data.task.labels))[gold]


def spread_scores(scores: Array) -> Array:
    """(N, 5) probabilities of 1 … 5 whose mean is each of (N,) scores (Tai et al. 2015, equation for p in section 4.2).

    >>> spread_scores(np.array([3.0, 1.75])).tolist()
    [[0.0, 0.0, 1.0, 0.0, 0.0], [0.25, 0.75, 0.0, 0.0, 0.0]]
    """
    points = _points()
    spread: Array = np.maximum(0.0, 1 - np.abs(scores[:, None] - points))
    return spread


def expected_scores(found: Array) -> Array:
    """(…) mean score under the softmax of (…, 5) logits."""
    shares = np.exp(found - found.max(axis=-1, keepdims=True))
    expected: Array = shares @ _points() / shares.sum(axis=-1)
    return expected


def _points() -> Array:
    low, high = SCORE_RANGE
    return np.arange(low, high + 1)
