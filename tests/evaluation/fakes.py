"""Embedders that know what to say: no model, so that each figure can be worked out by hand."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from sentemb.evaluation.pairs import Pairs
from sentemb.evaluation.tasks import Task


class ByAngle:
    """A text is a unit vector in the plane at the angle it is given; counts how often each text comes."""

    def __init__(self, angles: Mapping[str, float]) -> None:
        self.angles = angles
        self.seen: Counter[str] = Counter()

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.seen.update(texts)
        return np.array([[math.cos(self.angles[t]), math.sin(self.angles[t])] for t in texts], dtype=np.float32)


def hashed(texts: Sequence[str]) -> np.ndarray:
    """(N, 64) counts of letter pairs: similar texts are near, with no model at all."""
    vectors = np.zeros((len(texts), 64), dtype=np.float32)
    for row, text in enumerate(texts):
        for a, b in pairwise(text):
            vectors[row, (ord(a) * 31 + ord(b)) % 64] += 1
    return vectors


def pairs_with_similarities(
    subsets: Mapping[str, Sequence[tuple[float, float]]], name: str = "sts12"
) -> tuple[Pairs, ByAngle]:
    """A task whose subsets are lists of (gold, cosine), and the embedder that gives these cosines."""
    gold, names, angles = [], [], {}
    for subset, rows in subsets.items():
        for score, cosine in rows:
            angles[f"a{len(gold)}"], angles[f"b{len(gold)}"] = 0.0, math.acos(cosine)
            gold.append(score)
            names.append(subset)
    n = len(gold)
    task = Task(name, name.upper(), "nowhere", "test", tuple((s, len(rows)) for s, rows in subsets.items()), (0.0, 5.0))
    rows_of = {subset: np.flatnonzero(np.array(names) == subset) for subset in subsets}
    first, second = tuple(f"a{i}" for i in range(n)), tuple(f"b{i}" for i in range(n))
    return Pairs(task, first, second, np.array(gold), rows_of), ByAngle(angles)


def write_tsv(file: Path, header: str, *rows: str) -> Path:
    """A TSV from lines whose columns are parted by ` | `."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = (line.replace(" | ", "\t") for line in (header, *rows))
    file.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return file
