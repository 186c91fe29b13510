#!/usr/bin/env python3
"""SimCSE with each view of the words and of the embedding layer: the counterpart of SimCSE's Table 1.

    python eval/benchmarks/views_table.py --output eval/results/views.md

As in the paper the first text of a pair is the sentence, the second a view of it, both under dropout; the other
sentences of the batch are the negatives. Every run starts from `bundled:mini` with [CLS], sees 60 batches of 32 and
keeps the last encoder. A run's figures go to a .jsonl file as soon as they are there and are not made again. What
stands under "## Reading" in the Markdown file is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from objectives_table import BUDGET, LAST, UNTRAINED
from table_runs import known_runs, reading_of, run_missing, score, spread

OFF = dict.fromkeys(("alpha_sr", "alpha_ri", "alpha_rs", "alpha_rd"), 0)


def eda(**alphas: float) -> dict[str, Any]:
    """EDA with these operations only."""
    return {"kind": "eda", **OFF, **alphas}


VIEWS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "none: dropout alone": ([], "82.5"),
    "word deletion 10 %": ([eda(alpha_rd=0.1)], "75.9"),
    "word deletion 20 %": ([eda(alpha_rd=0.2)], "72.2"),
    "word deletion 30 %": ([eda(alpha_rd=0.3)], "68.2"),
    "synonyms 10 %": ([eda(alpha_sr=0.1)], "77.4 (replacement)"),
    "insertion 10 %": ([eda(alpha_ri=0.1)], ""),
    "swaps 10 %": ([eda(alpha_rs=0.1)], ""),
    "EDA: one of the four": ([{"kind": "eda"}], ""),
    "masked LM 15 %": ([{"kind": "contextual", "rate": 0.15, "masking": "all_at_once"}], "62.2 (MLM 15 %)"),
    "token cutoff 15 %": ([{"kind": "token_cutoff", "ratio": 0.15}], ""),
    "span cutoff 10 %": ([{"kind": "span_cutoff", "ratio": 0.1}], "77.8 (crop 10 %)"),
    "span cutoff 30 %": ([{"kind": "span_cutoff", "ratio": 0.3}], "63.6 (crop 30 %)"),
    "feature cutoff 10 %": ([{"kind": "feature_cutoff", "ratio": 0.1}], ""),
}
"""Name → the blocks of the second column, and what Table 1 prints for the nearest thing on BERT-base."""

FIGURES = ("stsb-dev", "alignment", "uniformity")
HEAD = """# Views: what SimCSE makes of each

Unsupervised SimCSE on `bundled:mini`, [CLS], 60 steps of 32 of 3,200 Wikipedia sentences, the last encoder; a pair is
the sentence and a view of it, both under dropout. STS-B dev: Spearman × 100, mean ± standard deviation over the seeds.
Alignment and uniformity on STS-B dev (Wang & Isola 2020; lower is better). Paper: STS-B dev of Gao et al. 2021, Table 1
(BERT-base, a million sentences); crop cuts a span of the words, not of the embedding layer. Made by
`eval/benchmarks/views_table.py`.

| view | seeds | STS-B dev | alignment | uniformity | paper |
|---|---|---|---|---|---|"""


def measure(encoder: Any) -> dict[str, float]:
    """STS-B dev, alignment and uniformity there."""
    figures = score(encoder, ("stsb-dev",), None)
    return figures.pop("scores") | figures


def run(job: tuple[str, int], threads: int) -> dict[str, Any]:
    """Trains with one view and one seed, and measures the last encoder."""
    import torch
    from rich.console import Console

    from sentemb.encoder import load
    from sentemb.recipe.loader import load_recipe
    from sentemb.recipe.run import train

    view, seed = job
    torch.set_num_threads(threads)
    if view == UNTRAINED:
        return {"view": view, "seed": seed, **measure(load("bundled:mini", "cls"))}
    views = json.dumps([[], VIEWS[view][0]])
    with tempfile.TemporaryDirectory() as folder:
        settings = [*BUDGET, *LAST, f"train.seed={seed}", "data.limit=3200", f"views={views}"]
        train(load_recipe("smoke/simcse", settings), Path(folder) / "run", console=Console(quiet=True))
        return {"view": view, "seed": seed, **measure(load(f"{folder}/run"))}


def page(figures: list[dict[str, Any]], reading: str) -> str:
    """The Markdown page, sorted by STS-B dev."""
    of_view: dict[str, list[dict[str, Any]]] = {}
    for entry in figures:
        of_view.setdefault(entry["view"], []).append(entry)
    ordered = sorted(of_view, key=lambda name: -statistics.mean(entry["stsb-dev"] for entry in of_view[name]))
    rows = []
    for name in ordered:
        columns = [spread([entry[key] for entry in of_view[name]]) for key in FIGURES]
        paper = VIEWS[name][1] if name in VIEWS else ""
        rows.append(f"| {name} | {len(of_view[name])} | {' | '.join(columns)} | {paper} |")
    return "\n".join([HEAD, *rows, "", reading, ""])


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="the Markdown file")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at the same time")
    args = parser.parse_args()
    file = args.output.with_suffix(".jsonl")
    figures = known_runs(file)
    done = {(entry["view"], entry["seed"]) for entry in figures}
    jobs = [(UNTRAINED, 0), *((name, seed) for seed in args.seeds for name in VIEWS)]
    one = partial(run, threads=max(1, (os.cpu_count() or 1) // args.jobs))
    figures += run_missing(one, [job for job in jobs if job not in done], file, args.jobs)
    args.output.write_text(page(figures, reading_of(args.output)), encoding="utf-8")


if __name__ == "__main__":
    main()
