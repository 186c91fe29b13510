"""The dev score that picks a training run's best encoder."""

from __future__ import annotations

import re
from pathlib import Path

from sentemb.errors import ConfigError
from sentemb.evaluation.pairs import load_pairs
from sentemb.evaluation.sts import encode_distinct, similarities_of
from sentemb.evaluation.tasks import TASKS, task_named
from sentemb.metrics.correlation import spearman
from sentemb.types import Embedder


class STSDevEvaluator:
    """Spearman × 100 of the cosine similarities on a dev set, over all its pairs together.

    Args:
        task: `stsb-dev`, `sickr-dev`, or a file of your own with the columns score, sentence1, sentence2.
        data_dir: the data folder; None: what SENTEMB_DATA names. `stsb-dev` needs none.

    Attributes:
        metric: the name of the score, `stsb_dev_spearman`.

    Raises:
        ConfigError: no such task, or a test set: a checkpoint must not be picked on what it is judged by.
        DataError: the file can't be read.
    """

    def __init__(self, task: str = "stsb-dev", data_dir: Path | None = None) -> None:
        found = task_named(task)
        if found.split == "test":
            known = ", ".join(name for name, known in TASKS.items() if known.split == "dev")
            raise ConfigError("evaluation.dev", f"{task} is a test set", f"Use one of: {known}, or a file of your own")
        self._pairs = load_pairs(found, data_dir)
        words = task if found.split == "dev" else found.title
        self.metric = re.sub(r"\W+", "_", words.lower()).strip("_") + "_spearman"

    def __call__(self, embed: Embedder) -> dict[str, float]:
        """`{metric: score}`, -100 to 100.

        Raises:
            ModelError: the embeddings are not finite, or all alike.
        """
        vectors = encode_distinct(embed, [self._pairs])
        return {self.metric: 100 * spearman(similarities_of(vectors, self._pairs), self._pairs.gold)}
