#!/usr/bin/env python3
"""Train with every objective and scheme under one budget, several seeds each, and write the table that compares them.

    python eval/benchmarks/objectives_table.py --data DIR --work runs/objectives --output eval/results/objectives.md

Every row starts from `bundled:mini` with [CLS], sees 60 batches of 32 and keeps the last encoder: nothing is picked on
a dev score. What is already in --work is reused, so a table that was cut short goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

BUDGET = ("train.max_steps=60", "train.batch_size=32", "encoder.pooling=cls")
LAST = ("evaluation.dev=null", "evaluation.suite=null", "train.eval_steps=1000")
"""The last encoder is kept, and no checkpoint is written on the way."""
FOLDERS = ("objectives", "schemes")
OTHERS = ("simcse", "simcse-supervised", "sbert-softmax", "sbert-regression", "sbert-triplet")
"""Of `recipes/smoke`: methods that have a page of their own."""
SUITE = ("sts", "stsb-dev")
UNTRAINED = "untrained"


def recipe_names() -> list[str]:
    """The recipes that are compared."""
    from sentemb.recipe import shipped

    found = [name for name in shipped.files() if name.split("/")[0] in FOLDERS]
    return [*found, *(f"smoke/{name}" for name in OTHERS)]


def measure(encoder: Any, data: Path) -> dict[str, float]:
    """STS-B dev, the average of the seven test sets (`all`), alignment and uniformity on STS-B dev."""
    import numpy as np

    from sentemb.embedding import embed
    from sentemb.evaluation.pairs import load_all
    from sentemb.evaluation.sts import encode_distinct, similarities_of
    from sentemb.evaluation.suite import select
    from sentemb.metrics.correlation import spearman
    from sentemb.metrics.geometry import alignment, uniformity

    tasks = {pairs.task.name: pairs for pairs in load_all(select(SUITE).tasks, data)}
    vectors = encode_distinct(partial(embed, encoder), tasks.values())
    scores = {
        name: round(100 * spearman(similarities_of(vectors, pairs), pairs.gold), 2) for name, pairs in tasks.items()
    }
    dev = tasks["stsb-dev"]
    alike = np.flatnonzero(dev.gold > 4)  # as SimCSE picks its positives
    return {
        "stsb-dev": scores.pop("stsb-dev"),
        "average": statistics.mean(scores.values()),
        "alignment": alignment(vectors.of(dev.first)[alike], vectors.of(dev.second)[alike]),
        "uniformity": uniformity(vectors.of(list(dict.fromkeys((*dev.first, *dev.second))))),
    }


def run(job: tuple[str, int], work: Path, data: Path, threads: int) -> None:
    """Trains one recipe with one seed and measures its last encoder; does nothing when that was done before."""
    import torch
    from rich.console import Console

    from sentemb.encoder import load
    from sentemb.recipe.loader import load_recipe
    from sentemb.recipe.run import train

    recipe, seed = job
    torch.set_num_threads(threads)
    file = work / f"{recipe.replace('/', '-')}-{seed}.json"
    if file.exists():
        return
    if recipe == UNTRAINED:
        figures = measure(load("bundled:mini", "cls"), data)
    else:
        folder = file.with_suffix("")
        shutil.rmtree(folder, ignore_errors=True)
        loaded = load_recipe(recipe, [*BUDGET, *LAST, f"train.seed={seed}", "data.limit=3200"])
        train(loaded, folder, data_dir=data, console=Console(quiet=True))
        figures = measure(load(str(folder)), data)
        shutil.rmtree(folder)
    file.write_text(json.dumps(figures), encoding="utf-8")
    print(f"{recipe} seed {seed}: " + ", ".join(f"{name} {value:.2f}" for name, value in figures.items()), flush=True)


def step_times(recipes: list[str], data: Path, rounds: int = 5, steps: int = 6) -> dict[str, float]:
    """Milliseconds of a training step of each recipe: the median of interleaved rounds."""
    import torch

    from sentemb.data.rows import read_rows
    from sentemb.recipe.build import build_first_encoder, build_method
    from sentemb.recipe.build_views import build_views
    from sentemb.recipe.loader import load_recipe
    from sentemb.training.collate import Collator, RowDataset

    prepared: dict[str, Any] = {}
    for name in recipes:
        recipe = load_recipe(name, [*BUDGET, "data.limit=3200"]).recipe
        stage = recipe.all_stages()[0]
        labels, scale = stage.data.label_names, stage.data.score_range
        rows = read_rows(
            stage.data.source, stage.row_type, columns=stage.data.columns, label_names=labels, score_range=scale,
            limit=32 * steps, data_dir=data,
        )  # fmt: skip
        torch.manual_seed(0)
        method = build_method(stage, build_first_encoder(recipe.encoder), recipe.encoder.name, len(rows)).train()
        method.before_epoch(0, [row.texts[0] for row in rows])
        collate = Collator(method.encoder, recipe.encoder.max_tokens, build_views(stage.views))
        data_set = RowDataset(rows)
        batches = [collate([data_set[j] for j in range(i, i + 32)]) for i in range(0, len(rows), 32)]
        optimizer = torch.optim.AdamW([p for p in method.parameters() if p.requires_grad], lr=5e-5)
        prepared[name] = (method, batches, optimizer)
    seconds: dict[str, list[float]] = {name: [] for name in recipes}
    for _ in range(rounds):
        for name, (method, batches, optimizer) in prepared.items():
            start = time.perf_counter()
            for batch in batches:
                method(batch).total.backward()
                optimizer.step()
                optimizer.zero_grad()
            seconds[name].append((time.perf_counter() - start) / len(batches))
    return {name: 1000 * statistics.median(values) for name, values in seconds.items()}


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--work", type=Path, required=True, help="where what was measured goes")
    parser.add_argument("--output", type=Path, help="the Markdown file; without it, only train")
    parser.add_argument("--recipes", nargs="+", metavar="NAME", help="only these; without it, all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at the same time")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    jobs = [(UNTRAINED, 0), *((name, seed) for seed in args.seeds for name in args.recipes or recipe_names())]
    threads = max(1, (os.cpu_count() or 1) // args.jobs)
    with ProcessPoolExecutor(args.jobs, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(partial(run, work=args.work, data=args.data, threads=threads), jobs))


if __name__ == "__main__":
    main()
