"""Transfer tasks made in memory, with the embeddings that go with their texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sentemb.evaluation.sts import Vectors
from sentemb.evaluation.transfer_data import Examples, TransferData
from sentemb.evaluation.transfer_tasks import TRANSFER_TASKS
from tests.evaluation.fakes import write_tsv


def made(
    name: str, rng: np.random.Generator, n: int, width: int = 6, noise: float = 1.0
) -> tuple[TransferData, Vectors]:
    """A task of n rows a split whose classes, or scores, are a linear matter of its features, up to the noise."""
    task = TRANSFER_TASKS[name]
    texts, rows, splits = [], [], {}
    to_gold = rng.normal(size=(2 * width if task.is_pair else width, max(1, len(task.labels))))
    for split in task.files:
        columns = []
        embedded = []
        for column in range(1 + task.is_pair):
            columns.append(tuple(f"{split} {column} {i}" for i in range(n)))
            embedded.append(rng.normal(size=(n, width)).astype(np.float32))
        texts += [text for column in columns for text in column]
        rows += embedded
        features = features_of(embedded)
        heard = features @ to_gold + noise * rng.gumbel(size=(n, to_gold.shape[1]))
        gold = heard.argmax(axis=1) if task.labels else np.clip(3 + 0.4 * heard[:, 0], 1, 5)
        splits[split] = Examples(tuple(columns), gold)
    return TransferData(task, splits), Vectors(texts, np.concatenate(rows))


def features_of(columns):
    """As the paper has it: |u - v| beside u * v."""
    if len(columns) == 1:
        return columns[0]
    u, v = columns
    return np.array([[*map(abs, a - b), *(a * b)] for a, b in zip(u, v, strict=True)])


def write_folder(folder: Path, n: int = 60) -> Path:
    """A data folder with n rows of each file, texts that tell their class."""
    words = {"0": "grim", "1": "glad", "contradiction": "no", "neutral": "so", "entailment": "yes"}
    for task in TRANSFER_TASKS.values():
        for file in task.files.values():
            names = ("sentence1", "sentence2") if task.is_pair else ("text",)
            if task.name in ("sicke", "sickr-regression"):
                header, labels = "score | entailment", TRANSFER_TASKS["sicke"].labels
                starts = [f"{1 + i % 9 / 2} | {labels[i % 3]}" for i in range(n)]
            else:
                header = task.label
                starts = [task.labels[i % len(task.labels)] for i in range(n)]
            rows = [
                " | ".join([start, *(f"{words.get(start.split()[-1], start)} {name} {i % 7} {i}" for name in names)])
                for i, start in enumerate(starts)
            ]
            write_tsv(folder / file, " | ".join([header, *names]), *rows)
    return folder
