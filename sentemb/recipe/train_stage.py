"""A stage of a recipe that trains the encoder: from its last checkpoint, if it has one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rich.console import Console
from sentence_transformers import SentenceTransformer

from sentemb.evaluation.dev import STSDevEvaluator
from sentemb.recipe.arguments import training_arguments
from sentemb.recipe.build import build_method
from sentemb.recipe.build_views import build_views
from sentemb.recipe.methods import TrainedMethodConfig
from sentemb.recipe.schema import EncoderConfig, Stage
from sentemb.saving import writing
from sentemb.training.callbacks import MetricsFile, ProgressDisplay
from sentemb.training.collate import Collator
from sentemb.training.run_folder import best_of, last_checkpoint
from sentemb.training.trainer import MethodTrainer
from sentemb.types import Row


def train_stage(
    config: TrainedMethodConfig,
    stage: Stage,
    encoder: SentenceTransformer,
    first: EncoderConfig,
    rows: list[Row],
    folder: Path,
    evaluator: STSDevEvaluator | None,
    console: Console,
) -> dict[str, Any]:
    """Trains the encoder and writes the best on the dev score, or the last, to `folder/encoder`.

    Args:
        config: the stage's method.
        stage: the stage.
        encoder: what is trained.
        first: what the recipe says of the encoder that the first stage began with.
        rows: what to train on.
        folder: of the stage; a checkpoint in it is gone on from.
        evaluator: the dev score, or None for no evaluation.
        console: where progress goes.

    Returns:
        What run.json says of the stage: steps, seed, the best step and its score, the labels of a classifier.
    """
    metric = evaluator.metric if evaluator else None
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder / "tensorboard")
    method = build_method(config, stage, encoder, first.name, len(rows))
    display = ProgressDisplay(console, stage.name)
    metrics_file = folder / "metrics.jsonl"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        trainer = MethodTrainer(
            method,
            training_arguments(stage.train, folder, metric),
            rows,
            collator=Collator(method.encoder, first.max_tokens, build_views(stage.views), stage.train.seed),
            evaluator=evaluator,
            best_dir=folder / "encoder",
            early_stopping=stage.train.early_stopping,
            callbacks=[MetricsFile(metrics_file), display],
        )
        checkpoint = last_checkpoint(folder)
        try:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        finally:
            display.close()
        if metric is None:
            trainer.save_best()
    facts: dict[str, Any] = {"steps": trainer.state.global_step, "seed": stage.train.seed}
    if config.kind == "sbert_softmax":
        facts["label_names"] = list(stage.data.label_names)
    return facts | ({"best": best_of(metrics_file, metric)} if metric else {})
