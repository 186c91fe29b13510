"""Run a recipe: stages in order, each resumable, scores before and after, everything in one folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from sentence_transformers import SentenceTransformer
from transformers import set_seed

from sentemb.data.rows import read_rows
from sentemb.data.sources import fingerprint
from sentemb.embedding import embed
from sentemb.encoder import load, save_encoder
from sentemb.evaluation.dev import STSDevEvaluator
from sentemb.evaluation.scores import Scores
from sentemb.evaluation.suite import score_encoders
from sentemb.recipe.arguments import training_arguments
from sentemb.recipe.build import build_first_encoder, build_method
from sentemb.recipe.build_views import build_views
from sentemb.recipe.loader import LoadedRecipe, resolved_yaml
from sentemb.recipe.schema import Stage
from sentemb.saving import write_json, writing
from sentemb.training.callbacks import MetricsFile, ProgressDisplay
from sentemb.training.collate import Collator
from sentemb.training.run_folder import RunFolder, best_of, last_checkpoint
from sentemb.training.trainer import MethodTrainer
from sentemb.types import Row


@dataclass(frozen=True)
class TrainedRun:
    """What a finished run leaves.

    Attributes:
        folder: the run folder.
        scores: the evaluation suite before and after, or None when the recipe asks for none.
    """

    folder: Path
    scores: Scores | None


def train(
    loaded: LoadedRecipe,
    output: Path,
    *,
    data_dir: Path | None = None,
    resume: bool = False,
    console: Console | None = None,
) -> TrainedRun:
    """Trains a recipe into a run folder.

    Args:
        loaded: a validated recipe, from `sentemb.recipe.loader.load_recipe`.
        output: the run folder; new or empty, unless `resume`.
        data_dir: what `data:` in sources stands for; None: the variable SENTEMB_DATA.
        resume: go on with the run in `output`: complete stages are kept, the stage that was cut short goes on from its
            last checkpoint and ends bit-equal to an undisturbed one.
        console: where progress goes; None: stderr.

    Raises:
        SentembError: anything the user can mend. Nothing already written is lost.
    """
    console = console or Console(stderr=True)
    run = RunFolder(output)
    stages = loaded.recipe.all_stages()
    rows = _read_all(stages, data_dir)  # before anything heavy: a broken line in the last stage is said at once
    resolved = resolved_yaml(loaded.recipe)
    if resume:
        run.resume(resolved)
    else:
        seeds = {stage.name: stage.train.seed for stage in stages}
        data = [
            {"stage": stage.name, "rows": len(part), **fingerprint(stage.data.source, data_dir)}
            for stage, part in zip(stages, rows, strict=True)
        ]
        run.start(resolved, {"recipe_name": loaded.name, "seeds": seeds, "data": data})
    encoder: SentenceTransformer | None = None
    for number, (stage, part) in enumerate(zip(stages, rows, strict=True), start=1):
        folder = run.stage_dir(number, stage.name)
        if run.is_stage_done(stage.name):
            console.print(f"{stage.name}: already complete", highlight=False)
        else:
            set_seed(stage.train.seed)
            start = encoder or build_first_encoder(loaded.recipe.encoder)
            facts = _train_stage(stage, start, loaded, part, folder, data_dir, console)
            run.stage_done(stage.name, facts)
        encoder = load(str(folder / "encoder"))
    if encoder is None:
        raise ValueError("a recipe has at least one stage")
    save_encoder(encoder, run.encoder_dir)
    scores = _before_and_after(loaded, encoder, output, data_dir, console)
    run.finish({"best": run.facts["stages"][stages[-1].name].get("best")})
    return TrainedRun(output, scores)


def _read_all(stages: tuple[Stage, ...], data_dir: Path | None) -> list[list[Row]]:
    return [
        read_rows(
            stage.data.source,
            stage.row_type,
            columns=stage.data.columns,
            label_names=stage.data.label_names,
            score_range=stage.data.score_range,
            limit=stage.data.limit,
            data_dir=data_dir,
        )
        for stage in stages
    ]


def _train_stage(
    stage: Stage,
    encoder: SentenceTransformer,
    loaded: LoadedRecipe,
    rows: list[Row],
    folder: Path,
    data_dir: Path | None,
    console: Console,
) -> dict[str, Any]:
    """Trains one stage, from its last checkpoint if it has one; returns what run.json says of it."""
    dev = loaded.recipe.evaluation.dev
    evaluator = STSDevEvaluator(dev, data_dir) if dev else None
    metric = evaluator.metric if evaluator else None
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder / "tensorboard")
    method = build_method(stage, encoder, loaded.recipe.encoder.name, len(rows))
    display = ProgressDisplay(console, stage.name)
    metrics_file = folder / "metrics.jsonl"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        trainer = MethodTrainer(
            method,
            training_arguments(stage.train, folder, metric),
            rows,
            collator=Collator(
                method.encoder, loaded.recipe.encoder.max_tokens, build_views(stage.views), stage.train.seed
            ),
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
    if stage.method.kind == "sbert_softmax":
        facts["label_names"] = list(stage.data.label_names)
    return facts | ({"best": best_of(metrics_file, metric)} if metric else {})


def _before_and_after(
    loaded: LoadedRecipe, encoder: SentenceTransformer, output: Path, data_dir: Path | None, console: Console
) -> Scores | None:
    suite = loaded.recipe.evaluation.suite
    if suite is None:
        return None
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    before = build_first_encoder(loaded.recipe.encoder).to(device)
    embedders = {"before": partial(embed, before), "after": partial(embed, encoder.to(device))}
    with console.status(f"scoring {suite} before and after"):
        scores = score_encoders(embedders, suite, data_dir=data_dir)
    write_json(output / "scores.json", scores.to_json())
    return scores
