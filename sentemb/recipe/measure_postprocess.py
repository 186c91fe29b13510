"""What embeddings are worth before and after a post-processor: STS-B dev, and the figures of the space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sentemb.evaluation.pairs import Pairs
from sentemb.evaluation.suite import score_encoders
from sentemb.metrics.bootstrap import Difference
from sentemb.metrics.geometry import alignment
from sentemb.metrics.space import SpaceReport, describe_space
from sentemb.types import Embedder

Array = np.ndarray[Any, np.dtype[Any]]

MIN_DESCRIBED = 100
"""Fewer held-out texts give no figures of the space: among a handful of neighbours hubness says nothing."""

_ALIKE = 4.0  # a gold score above it makes a positive pair


@dataclass(frozen=True, slots=True)
class Measured:
    """What one state of the embeddings is worth.

    Attributes:
        name: what it is called.
        width: of the embeddings.
        stsb_dev: Spearman × 100 of the cosines on STS-B dev.
        difference: of it to the first state, × 1, on the same resamples; None for the first.
        alignment: of the pairs of STS-B dev scored above 4 (Wang & Isola 2020, as Gao et al. 2021 take it), 0 to 4.
        space: of the held-out texts, their words included; None where they are fewer than `MIN_DESCRIBED`.
    """

    name: str
    width: int
    stsb_dev: float
    difference: Difference | None
    alignment: float
    space: SpaceReport | None

    def to_json(self) -> dict[str, Any]:
        """By the names above, the difference × 100 with its 95 % interval."""
        found: dict[str, Any] = {"name": self.name, "width": self.width, "stsb_dev_spearman": round(self.stsb_dev, 4)}
        if self.difference is not None:
            low, high = self.difference.interval95
            found["difference"] = round(100 * self.difference.value, 4)
            found["interval95"] = [round(100 * low, 4), round(100 * high, 4)]
        return found | {"alignment": self.alignment, "space": self.space and self.space.to_json()}


def measure(
    base: Embedder,
    transforms: Mapping[str, Callable[[Array], Array]],
    held_out: Sequence[str],
    *,
    data_dir: Path | None = None,
) -> list[Measured]:
    """STS-B dev and the figures of the space under each transform of the same embeddings, encoded once.

    Args:
        base: the encoder without a post-processor.
        transforms: name → (N, D) to (N, K); the others are compared with the first.
        held_out: texts that no transform was fitted on.
        data_dir: the data folder; STS-B dev needs none.

    Raises:
        ModelError, DataError: embeddings that have collapsed.
    """
    remembered: dict[str, Array] = {}

    def encode(texts: Sequence[str]) -> Array:
        new = [text for text in dict.fromkeys(texts) if text not in remembered]
        remembered.update(zip(new, base(new), strict=True))
        return np.stack([remembered[text] for text in texts])

    def under(transform: Callable[[Array], Array]) -> Embedder:
        return lambda texts: transform(encode(texts))

    embedders = {name: under(transform) for name, transform in transforms.items()}
    scores = score_encoders(embedders, "stsb-dev", data_dir=data_dir)
    differences = [None, *(comparison.difference for comparison in scores.comparisons)]
    probe = list(held_out) if len(held_out) >= MIN_DESCRIBED else []
    return [
        Measured(
            model.name,
            embedders[model.name](["a"]).shape[1],
            model.tasks[0].spearman["all"],
            difference,
            _alignment(embedders[model.name], model.tasks[0].pairs),
            describe_space(embedders[model.name](probe), probe) if probe else None,
        )
        for model, difference in zip(scores.models, differences, strict=True)
    ]


def _alignment(embed: Embedder, pairs: Pairs) -> float:
    alike = np.flatnonzero(pairs.gold > _ALIKE)
    first, second = ([side[row] for row in alike] for side in (pairs.first, pairs.second))
    return alignment(embed(first), embed(second))
