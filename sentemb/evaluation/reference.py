"""Published scores to set beside one's own: `eval/reference/**/*.yaml`, every row with where it was printed.

A file of pairs says which aggregations its rows were made with; rows of one protocol never stand beside scores of
another. Accuracies on transfer tasks lie in a folder of their own, `transfer`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml

from sentemb.evaluation.shipped import shipped
from sentemb.evaluation.tasks import TASKS
from sentemb.evaluation.transfer_tasks import SEVEN


@dataclass(frozen=True, slots=True)
class ReferenceRow:
    """One published result, Spearman × 100 of cosine similarities, or accuracy × 100 on transfer tasks.

    Attributes:
        name: the model.
        training: what it was trained on: none, unsupervised, NLI, STS-B train.
        source: paper and table, or repository.
        scores: task → score; tasks that were not printed, or not confirmed, are left out.
        average: as printed over all tasks of its table; None: not printed.
        tasks: the tasks of its table.
        headline: whether a short table shows it.
        sd: task → standard deviation over seeds, where it was printed.
    """

    name: str
    training: str
    source: str
    scores: dict[str, float]
    average: float | None
    tasks: tuple[str, ...]
    headline: bool
    sd: dict[str, float]

    def average_over(self, tasks: Sequence[str]) -> float | None:
        """The printed average if these are its table's tasks, else the mean of its scores; None if it lacks one."""
        if self.average is not None and set(tasks) == set(self.tasks):
            return self.average
        found = [self.scores[task] for task in tasks if task in self.scores]
        return float(np.mean(found)) if len(found) == len(tasks) > 1 else None

    def covers(self, tasks: Collection[str]) -> bool:
        """Whether nothing would be left blank: it has a score of each task, or a printed average of all of them."""
        whole = self.average is not None and set(tasks) == set(self.tasks)
        return bool(tasks) and (whole or all(task in self.scores for task in tasks))

    def to_json(self) -> dict[str, Any]:
        """As it stands under `reference` in scores.json."""
        return {
            "name": self.name,
            "training": self.training,
            "scores": self.scores,
            "average": self.average,
            "source": self.source,
        }


def reference_rows(tasks: Sequence[str], aggregation: str, *, headline_only: bool = True) -> list[ReferenceRow]:
    """The published rows that can stand beside scores on these tasks: of the same aggregation, with no test task blank.

    Args:
        tasks: names of the tasks that were scored.
        aggregation: all, mean or wmean.
        headline_only: only the rows that a short table shows.
    """
    asked = {name for name in tasks if name in TASKS and TASKS[name].split == "test"}
    return [row for row in _read(aggregation) if (row.headline or not headline_only) and row.covers(asked)]


def transfer_reference_rows(tasks: Sequence[str], *, headline_only: bool = True) -> list[ReferenceRow]:
    """The published rows that can stand beside accuracies on these transfer tasks, none of SentEval's seven blank.

    Args:
        tasks: names of the tasks that were scored.
        headline_only: only the rows that a short table shows.
    """
    asked = {name for name in tasks if name in SEVEN}
    rows = _read_folder("eval/reference/transfer")
    return [row for _, row in rows if (row.headline or not headline_only) and row.covers(asked)]


def _read(aggregation: str) -> Iterator[ReferenceRow]:
    return (row for aggregations, row in _read_folder("eval/reference") if aggregation in aggregations)


def _read_folder(folder: str) -> Iterator[tuple[Sequence[str], ReferenceRow]]:
    for file in sorted(shipped(folder).glob("*.yaml")):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        tasks = tuple(content["tasks"])
        for row in content["rows"]:
            yield (
                content.get("aggregations", ()),
                ReferenceRow(
                    name=row["name"],
                    training=row["training"],
                    source=row["source"],
                    scores=dict(zip(tasks, row["scores"], strict=True)) if "scores" in row else {},
                    average=row.get("average"),
                    tasks=tasks,
                    headline=row.get("headline", False),
                    sd=dict(zip(tasks, row["sd"], strict=True)) if "sd" in row else {},
                ),
            )
