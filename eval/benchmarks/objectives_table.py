#!/usr/bin/env python3
"""Train with every objective and scheme under one budget, several seeds each, and write the table that compares them.

    python eval/benchmarks/objectives_table.py --data DIR --output eval/results/objectives.md

Every row starts from `bundled:mini` with [CLS], sees 60 batches of 32 and keeps the last encoder: nothing is picked on
a dev score. Each run's figures go to a .jsonl file beside the table as soon as they are there; runs that it holds are
not done again, so a table that was cut short goes on where it stopped.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from table_runs import known_runs, run_missing, score, spread

BUDGET = ("train.max_steps=60", "train.batch_size=32", "encoder.pooling=cls")
LAST = ("evaluation.dev=null", "evaluation.suite=null", "train.eval_steps=1000")
"""The last encoder is kept, and no checkpoint is written on the way."""
FOLDERS = ("objectives", "schemes")
OTHERS = ("simcse", "simcse-supervised", "sbert-softmax", "sbert-regression", "sbert-triplet")
"""Of `recipes/smoke`: methods that have a page of their own."""
SUITE = ("sts", "stsb-dev")
UNTRAINED = "untrained"
FIGURES = ("average", "stsb-dev", "alignment", "uniformity")
HEAD = """# Every objective and scheme under one budget

`bundled:mini`, [CLS], 60 steps of 32 rows, the last encoder; Spearman × 100 (`all`), mean ± standard deviation over
the seeds. Average: STS12-16, STS-B test, SICK-R test. Alignment and uniformity on STS-B dev (Wang & Isola 2020; lower
is better). Data: 3,200 Wikipedia sentences, but scored pairs (STS-B train) for `cosent`, `angle`, `sbert-regression`,
NLI for `gist`, `cutoff-softmax`, `simcse-supervised` and the other `sbert`, TREC's questions for `sup-con-trec`.
Those see labels, so they stand in this table to be compared with each other. All else is each recipe's own: the
learning rate is 5e-5, but 2e-5 for `byol`. Step: milliseconds, median of three interleaved rounds in one run, two CPU
cores. Made by `eval/benchmarks/objectives_table.py`; the column seeds says how many were run.

| recipe | seeds | STS average | STS-B dev | alignment | uniformity | step |
|---|---|---|---|---|---|---|"""


def recipe_names() -> list[str]:
    """The recipes that are compared."""
    from sentemb.recipe import shipped

    found = [name for name in shipped.files() if name.split("/")[0] in FOLDERS]
    return [*found, *(f"smoke/{name}" for name in OTHERS)]


def measure(encoder: Any, data: Path) -> dict[str, float]:
    """STS-B dev, the average of the seven test sets (`all`), alignment and uniformity on STS-B dev."""
    figures = score(encoder, SUITE, data)
    scores = figures.pop("scores")
    return {"stsb-dev": scores.pop("stsb-dev"), "average": statistics.mean(scores.values()), **figures}


def run(job: tuple[str, int], data: Path, threads: int) -> dict[str, Any]:
    """Trains one recipe with one seed and measures its last encoder."""
    import torch
    from rich.console import Console

    from sentemb.encoder import load
    from sentemb.recipe.loader import load_recipe
    from sentemb.recipe.run import train

    recipe, seed = job
    torch.set_num_threads(threads)
    if recipe == UNTRAINED:
        return {"recipe": recipe, "seed": seed, **measure(load("bundled:mini", "cls"), data)}
    with tempfile.TemporaryDirectory() as folder:
        loaded = load_recipe(recipe, [*BUDGET, *LAST, f"train.seed={seed}", "data.limit=3200"])
        train(loaded, Path(folder) / "run", data_dir=data, console=Console(quiet=True))
        return {"recipe": recipe, "seed": seed, **measure(load(f"{folder}/run"), data)}


def step_times(recipes: list[str], data: Path, rounds: int = 3, steps: int = 4) -> dict[str, float]:
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
        method = build_method(
            stage.method, stage, build_first_encoder(recipe.encoder), recipe.encoder.name, len(rows)
        ).train()
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


def table(figures: list[dict[str, Any]], milliseconds: dict[str, float]) -> str:
    """The Markdown page, sorted by the STS average."""
    of_recipe: dict[str, list[dict[str, Any]]] = {}
    for entry in figures:
        of_recipe.setdefault(entry["recipe"], []).append(entry)
    ordered = sorted(of_recipe, key=lambda name: -statistics.mean(entry["average"] for entry in of_recipe[name]))
    rows = []
    for name in ordered:
        columns = [spread([entry[key] for entry in of_recipe[name]]) for key in FIGURES]
        time_of = f"{milliseconds[name]:.0f}" if name in milliseconds else "–"
        rows.append(f"| `{name}` | {len(of_recipe[name])} | {' | '.join(columns)} | {time_of} |")
    return "\n".join([HEAD, *rows, ""])


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--output", type=Path, required=True, help="the Markdown file")
    parser.add_argument("--recipes", nargs="+", metavar="NAME", help="train only these; without it, all")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at the same time")
    parser.add_argument("--no-times", action="store_true", help="leave the times of a step out: the machine is busy")
    args = parser.parse_args()
    file = args.output.with_suffix(".jsonl")
    figures = known_runs(file)
    done = {(entry["recipe"], entry["seed"]) for entry in figures}
    names = args.recipes or recipe_names()
    jobs = [(UNTRAINED, 0), *((name, seed) for seed in args.seeds for name in names)]
    one = partial(run, data=args.data, threads=max(1, (os.cpu_count() or 1) // args.jobs))
    figures += run_missing(one, [job for job in jobs if job not in done], file, args.jobs)
    milliseconds = {} if args.no_times else step_times(names, args.data)
    args.output.write_text(table(figures, milliseconds), encoding="utf-8")


if __name__ == "__main__":
    main()
