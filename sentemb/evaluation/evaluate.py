"""Models on pairs and on transfer tasks together; each distinct text of all of them is encoded once per model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sentemb import __version__
from sentemb.evaluation.pairs import Pairs
from sentemb.evaluation.scores import ModelScores, NamedModel, OnVectors, Scores, compare_models, score_model
from sentemb.evaluation.sts import OnProgress, encode_texts
from sentemb.evaluation.transfer_data import TransferData
from sentemb.evaluation.transfer_protocol import TransferProtocol, check_folds
from sentemb.evaluation.transfer_scores import (
    TransferModelScores,
    TransferScores,
    compare_transfer,
    score_transfer_model,
)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What was measured of each kind; None where nothing was asked for. `suite` is what was."""

    suite: str
    pairs: Scores | None
    transfer: TransferScores | None

    def to_json(self) -> dict[str, Any]:
        """The content of scores.json: that of the pairs, and under `transfer` that of the transfer tasks if any."""
        if self.pairs is not None:
            content = self.pairs.to_json()
        else:
            content = {"sentemb": __version__, "suite": self.suite, "models": [], "comparisons": [], "notes": []}
        return content | ({"transfer": self.transfer.to_json()} if self.transfer is not None else {})


def evaluate_both(
    models: Iterable[NamedModel],
    pairs: Sequence[Pairs],
    transfer: Sequence[TransferData],
    *,
    suite: str,
    similarity: str = "cosine",
    protocol: TransferProtocol,
    n_workers: int,
    on_progress: Callable[[str], OnProgress] | None = None,
    on_vectors: OnVectors | None = None,
) -> Evaluated:
    """Scores models on pairs, by similarity, and on transfer tasks, by classifiers on the embeddings.

    Args:
        models: at least one, scored one after another; a generator may open each when it is its turn.
        pairs: from `sentemb.evaluation.pairs.load_all`; may be empty.
        transfer: from `sentemb.evaluation.transfer_data.load_all_transfer`; may be empty.
        suite: what the tasks are called together.
        similarity: of pairs: cosine, dot, euclidean or manhattan.
        protocol: of the classifiers.
        n_workers: threads that fit classifiers, ≥ 1; their number changes no score.
        on_progress: given a model's name, what to tell of its texts.
        on_vectors: shown each model's embeddings once it is scored; one model's are held at a time.

    Raises:
        DataError: a class of a transfer task has too few rows for the folds.
        ModelError: a model's embeddings can't be scored.
    """
    for data in transfer:
        check_folds(data, protocol)  # before minutes are spent on encoding
    texts = {text for task in pairs for text in (*task.first, *task.second)}.union(*(data.texts for data in transfer))
    on_pairs: list[ModelScores] = []
    on_transfer: list[TransferModelScores] = []
    for model in models:
        start = time.perf_counter()
        vectors = encode_texts(model.embed, texts, on_progress(model.name) if on_progress else None)
        if pairs:
            on_pairs.append(score_model(model, vectors, pairs, similarity, start))
        if transfer:
            scored = score_transfer_model(
                model.name, model.pooling, vectors, transfer, protocol=protocol, n_workers=n_workers
            )
            on_transfer.append(scored)
        if on_vectors is not None:
            on_vectors(model.name, vectors)
        del vectors  # before the next model's are made
    return Evaluated(
        suite,
        Scores(suite, similarity, tuple(on_pairs), compare_models(on_pairs)) if pairs else None,
        TransferScores(suite, protocol, tuple(on_transfer), compare_transfer(on_transfer)) if transfer else None,
    )
