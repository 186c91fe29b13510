#!/usr/bin/env python3
"""Whitening and flows behind the untrained, a strong and several trained encoders, on the seven STS tasks.

    python eval/benchmarks/postprocess_table.py --data DIR --output eval/results/postprocess.md [--minilm FOLDER]

Each encoder is made (the trained ones by 60 steps of 32 of a shipped recipe, the last one kept), encodes every text
once, and is scored as it is and behind each post-processor, fitted on NLI sentences or on the sentences of the task at
hand ("target", as the papers do). An encoder's figures go to a .jsonl file as soon as they are there, and are not made
again. What stands under "## Reading" in the Markdown file is kept. Beside it: a page with the sweep of k.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from table_runs import known_runs, reading_of, run_missing

UNTRAINED, MINILM = "bundled:mini, untrained", "all-MiniLM-L6-v2"
RECIPES = (
    "smoke/simcse",
    "smoke/simcse-supervised",
    "smoke/sbert-softmax",
    "smoke/sbert-regression",
    "smoke/sbert-triplet",
    "objectives/barlow-twins",
    "schemes/moco-v2",
    "schemes/swav",
    "schemes/is-bert",
)
BUDGET = ("train.max_steps=60", "train.batch_size=32", "data.limit=3200", "train.seed=1", "train.eval_steps=1000")
UNSCORED = ("evaluation.dev=null", "evaluation.suite=null")
NLI = ("data:nli/snli-dev.tsv.gz", "data:nli/mnli-taxinli.tsv.gz")
N_NLI = 20_000
TASKS = ("sts12", "sts13", "sts14", "sts15", "sts16", "stsb-test", "sickr-test")
BESIDE = {"stsb-test": ("stsb-train", "stsb-dev"), "sickr-test": ("sickr-train", "sickr-dev")}
"""The other parts of a data set, whose sentences the papers' target setting includes."""
SIZES = (16, 32, 64, 128, 192, 256, 320)
FLOWS = {"flow, 1 epoch": {"epochs": 1}, "flow, early stopping": {}}
MAIN = ("none", "whitening", "whitening-128", "whitening-256", *FLOWS)


# ------------------------------------------------------------------------------------------------ one encoder
def open_encoder(name: str, minilm: str | None, data: Path) -> Any:
    """The encoder of a row, trained if need be."""
    from rich.console import Console

    from sentemb.encoder import load
    from sentemb.recipe.loader import load_recipe
    from sentemb.recipe.run import train

    if name == UNTRAINED:
        return load("bundled:mini", "first_last_avg")
    if name == MINILM:
        return load(str(minilm))
    with tempfile.TemporaryDirectory() as folder:
        loaded = load_recipe(name, [*BUDGET, *UNSCORED])
        train(loaded, Path(folder) / "run", data_dir=data, console=Console(quiet=True))
        return load(f"{folder}/run")


def sentences(source: str, columns: tuple[str, str], data: Path) -> Iterator[str]:
    """The texts of two columns of a source."""
    from sentemb.data.sources import read_records

    for record in read_records(source, columns, data_dir=data):
        yield from map(str, record.values)


def fit_texts(data: Path) -> dict[str, dict[str, list[str]]]:
    """Setting → task → the distinct texts that its post-processor is fitted on."""
    from sentemb.evaluation.tasks import TASKS as KNOWN

    # both sources in equal parts
    nli = [islice(dict.fromkeys(sentences(s, ("premise", "hypothesis"), data)), N_NLI // len(NLI)) for s in NLI]
    nli_texts = list(dict.fromkeys(text for part in nli for text in part))
    target = {}
    for task in TASKS:
        sources = [KNOWN[task].source, *(f"data:sts/{part}.tsv" for part in BESIDE.get(task, ()))]
        found = (text for source in sources for text in sentences(source, ("sentence1", "sentence2"), data))
        target[task] = list(dict.fromkeys(found))
    return {"NLI": dict.fromkeys(TASKS, nli_texts), "target": target}


def treatments(width: int, rows: Any) -> Iterator[tuple[str, int, Any]]:
    """Name, width and transform of each post-processor fitted on (N, D) embeddings."""
    from sentemb.postprocess.moments import Moments
    from sentemb.recipe import build_postprocess as build
    from sentemb.recipe.postprocess import FlowConfig, WhiteningConfig

    moments = Moments(width)
    moments.update(rows)
    most = build.n_varying(moments)
    for size in (*(size for size in SIZES if size < most), most):
        name = "whitening" if size == most else f"whitening-{size}"
        config = WhiteningConfig(kind="whitening", n_components=size)
        yield name, size, build.fit_moments(config, moments).transform
    for name, settings in FLOWS.items():
        fitted = build.fit(FlowConfig(kind="flow", **settings), width, [rows])
        yield name, width, fitted.transform


def measure(name: str, data: Path, minilm: str | None, threads: int) -> dict[str, Any]:
    """All figures of an encoder."""
    import torch

    from sentemb.embedding import embed
    from sentemb.evaluation.pairs import load_all
    from sentemb.evaluation.sts import Vectors
    from sentemb.evaluation.suite import select

    torch.set_num_threads(threads)
    encoder = open_encoder(name, minilm, data)
    tasks = {pairs.task.name: pairs for pairs in load_all(select(TASKS).tasks, data)}
    fits = fit_texts(data)
    every = {text for fit in fits.values() for part in fit.values() for text in part}
    every |= {text for pairs in tasks.values() for text in (*pairs.first, *pairs.second)}
    texts = sorted(every)
    vectors = Vectors(texts, embed(encoder, texts))
    width = encoder.get_embedding_dimension()
    states = {("none", ""): (width, dict.fromkeys(TASKS, lambda rows: rows))}
    for setting, fit in fits.items():
        made: dict[int, list[tuple[str, int, Any]]] = {}  # NLI's are the same for all tasks
        for task, part in fit.items():
            if id(part) not in made:
                made[id(part)] = list(treatments(width, vectors.of(part)))
            for treatment, size, transform in made[id(part)]:
                states.setdefault((treatment, setting), (size, {}))[1][task] = transform
    rows = []
    first = None
    for (treatment, setting), (size, transforms) in states.items():
        row, resampled = score_states({task: (tasks[task], transforms[task]) for task in TASKS}, vectors)
        first = resampled if first is None else first
        rows.append({"treatment": treatment, "fit": setting, "k": size, **row, **interval(resampled, first)})
    return {"encoder": name, "width": width, "rows": rows}


def score_states(states: dict[str, Any], vectors: Any) -> tuple[dict[str, Any], Any]:
    """Spearman × 100 by task and aggregation; and the average over the tasks in each of 1,000 resamples."""
    import numpy as np

    from sentemb.evaluation.sts import BOOTSTRAP_SEED
    from sentemb.metrics.bootstrap import resampled_spearman
    from sentemb.metrics.correlation import spearman
    from sentemb.metrics.similarity import PAIR_SIMILARITIES

    every: dict[str, float] = {}
    weighted: dict[str, float] = {}
    resampled = []
    for task, (pairs, transform) in states.items():
        cosines = PAIR_SIMILARITIES["cosine"](transform(vectors.of(pairs.first)), transform(vectors.of(pairs.second)))
        every[task] = round(100 * spearman(cosines, pairs.gold), 2)
        parts = [(100 * spearman(cosines[rows], pairs.gold[rows]), len(rows)) for rows in pairs.subsets.values()]
        weighted[task] = round(float(np.average([s for s, _ in parts], weights=[n for _, n in parts])), 2)
        resampled.append(100 * resampled_spearman(cosines, pairs.gold, np.random.default_rng(BOOTSTRAP_SEED)))
    averages = {"average": statistics.mean(every.values()), "average_wmean": statistics.mean(weighted.values())}
    return {"all": every, "wmean": weighted, **averages}, np.mean(resampled, axis=0)


def interval(resampled: Any, first: Any) -> dict[str, Any]:
    """95 % intervals of the average, and of its difference to the encoder as it is."""
    from sentemb.metrics.bootstrap import interval95

    return {"interval95": list(interval95(resampled)), "difference95": list(interval95(resampled - first))}


# ------------------------------------------------------------------------------------------------ the page
HEAD = """# Post-processing: what it gives, and takes

Spearman × 100 of cosines. `all`: one Spearman over a year's pairs together; `wmean`: the subsets' weighted by their
pairs, as in both papers' tables. Average: of the seven tasks, with its 95 % bootstrap interval; Δ: against the encoder
as it is, interval of the difference on the same resamples. `bundled:mini` is read out by first-last average untrained,
else as the recipe says; trained: 60 steps of 32, seed 1, the last encoder. NLI: 20,000 sentences of SNLI dev and
MultiNLI; target: the sentences of the very task (with train and dev of STS-B and SICK-R), no gold score. Flow: the
authors' architecture and learning rate (1e-3), one epoch as published, or until held-out likelihood stops rising (20 at
most). Made by `eval/benchmarks/postprocess_table.py`; all figures are in the .jsonl beside it, the sweep in the .html.
"""
TITLES = ("STS12", "STS13", "STS14", "STS15", "STS16", "STS-B", "SICK-R")


def page(found: list[dict[str, Any]], reading: str) -> str:
    """The Markdown page."""
    parts = [HEAD, *(_table(found, aggregation) for aggregation in ("all", "wmean")), _published(), _sweep(found)]
    return "\n".join([*parts, reading, ""]).replace("\n\n\n", "\n\n")


def _table(found: list[dict[str, Any]], aggregation: str) -> str:
    average = "average" if aggregation == "all" else "average_wmean"
    last = ["average", "95 %", "Δ", "95 % of Δ"] if aggregation == "all" else ["average", "Δ"]
    header = ["encoder", "post-processor", "fit", *TITLES, *last]
    lines = [f"## Aggregation `{aggregation}`\n", _row(header), _row(["---"] * len(header))]
    for entry in found:
        base = entry["rows"][0][average]
        for row in entry["rows"]:
            if row["treatment"] not in MAIN:
                continue
            figures = [f"{row[aggregation][task]:.2f}" for task in TASKS]
            delta = "" if row["treatment"] == "none" else f"{row[average] - base:+.2f}"
            ends = [f"{row[average]:.2f}", delta]
            if aggregation == "all":
                gap = "" if row["treatment"] == "none" else _bounds(row["difference95"], "+.2f")
                ends = [ends[0], _bounds(row["interval95"], ".2f"), delta, gap]
            lines.append(_row([f"`{entry['encoder']}`", row["treatment"], row["fit"], *figures, *ends]))
    return "\n".join([*lines, ""])


def _published() -> str:
    """The papers' rows of the same experiment on BERT-base, `wmean`."""
    from sentemb.evaluation.reference import reference_rows

    rows = [
        row
        for row in reference_rows(TASKS, "wmean", headline_only=False)
        if "BERT base" in row.name and "SimCSE" not in row.name
    ]
    lines = ["Published, BERT-base, `wmean` (Δ is not printed there):\n", _row(["row", *TITLES, "average", "source"])]
    lines.append(_row(["---"] * (len(TITLES) + 3)))
    for row in rows:
        scores = [f"{row.scores[task]:.2f}" for task in TASKS]
        lines.append(_row([row.name, *scores, f"{row.average_over(TASKS):.2f}", row.source]))
    return "\n".join([*lines, ""])


def _sweep(found: list[dict[str, Any]]) -> str:
    header = ["encoder", "fit", "none", *map(str, SIZES), "all that vary"]
    lines = ["## How many dimensions: STS average (`all`) of whitening-k\n", _row(header), _row(["---"] * len(header))]
    for entry in found:
        for setting in ("NLI", "target"):
            by_size = {row["k"]: row for row in entry["rows"] if _is_whitening(row, setting)}
            cells = [f"{by_size[size]['average']:.2f}" if size in by_size else "–" for size in SIZES]
            full = next(row for row in by_size.values() if row["treatment"] == "whitening")
            none = entry["rows"][0]["average"]
            ends = [f"{full['average']:.2f} ({full['k']})"]
            lines.append(_row([f"`{entry['encoder']}`", setting, f"{none:.2f}", *cells, *ends]))
    return "\n".join([*lines, ""])


def chart_page(found: list[dict[str, Any]]) -> str:
    """The sweep as a page: STS average against k, one chart a setting."""
    from sentemb.evaluation import page as html
    from sentemb.evaluation.charts import Series, line_chart

    sections = [html.paragraph("Whitening to k dimensions; dotted: the encoder as it is. Source: postprocess.md.")]
    for setting in ("NLI", "target"):
        series = []
        for entry in found:
            points = tuple((row["k"], row["average"]) for row in entry["rows"] if _is_whitening(row, setting))
            series.append(Series(entry["encoder"], points, level=entry["rows"][0]["average"]))
        labels = {"x_label": "k, dimensions kept", "y_label": "STS average (all), Spearman × 100"}
        sections.append(html.section(f"Fitted on {setting}", line_chart(series, **labels, log_x=True)))
    return html.page("STS average against the dimensions that whitening keeps", sections)


def _is_whitening(row: dict[str, Any], setting: str) -> bool:
    return row["fit"] == setting and str(row["treatment"]).startswith("whitening")


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _bounds(values: list[float], form: str) -> str:
    return f"{values[0]:{form}} to {values[1]:{form}}"


def main() -> None:
    """Measure what is missing, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--output", type=Path, required=True, help="the Markdown file")
    parser.add_argument("--minilm", metavar="FOLDER", help="all-MiniLM-L6-v2; without it its rows are left out")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="encoders at the same time")
    args = parser.parse_args()
    record = args.output.with_suffix(".jsonl")
    found = known_runs(record)
    names = [UNTRAINED, *([MINILM] if args.minilm else []), *RECIPES]
    missing = [name for name in names if name not in {entry["encoder"] for entry in found}]
    threads = max(1, (os.cpu_count() or 1) // args.jobs)
    one = partial(measure, data=args.data, minilm=args.minilm, threads=threads)
    found += run_missing(one, missing, record, args.jobs)
    found.sort(key=lambda entry: [UNTRAINED, MINILM, *RECIPES].index(entry["encoder"]))
    args.output.write_text(page(found, reading_of(args.output)), encoding="utf-8")
    args.output.with_suffix(".html").write_text(chart_page(found), encoding="utf-8")


if __name__ == "__main__":
    main()
