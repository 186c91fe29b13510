#!/usr/bin/env python3
"""Train recipes with several seeds and write the table of their STS scores: mean ± standard deviation.

    python eval/benchmarks/training_table.py --data DIR --work runs/table --output eval/results/training.md

Each row is made by the two commands that the table prints: `sentemb train` and `sentemb eval --suite sts`. What is
already in --work is reused, so a table that was cut short goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

TASKS = ("sts12", "sts13", "sts14", "sts15", "sts16", "stsb-test", "sickr-test")
SEVEN = "sts,stsb-dev"
SENTEMB = [sys.executable, "-c", "from sentemb.cli.main import main; main()"]


def sentemb(*arguments: str) -> None:
    """Run one command; its progress goes to stderr."""
    subprocess.run([*SENTEMB, *arguments], check=True, stdout=subprocess.DEVNULL)


def score(model: str, file: Path, data: Path, suite: str, *more: str) -> dict[str, float]:
    """Scores (`all`) of the suite's tasks, and the average of the seven where all are there; kept in `file`."""
    if not file.exists():
        sentemb("eval", model, "--suite", suite, "--data", str(data), "--output", str(file), *more)
    tasks = json.loads(file.read_text(encoding="utf-8"))["models"][0]["tasks"]
    scores = {name: round(task["aggregation"]["all"], 2) for name, task in tasks.items()}
    if all(task in scores for task in TASKS):
        scores["average"] = statistics.mean(scores[task] for task in TASKS)
    return scores


def is_complete(folder: Path) -> bool:
    """Whether a run was finished before."""
    file = folder / "run.json"
    return file.exists() and json.loads(file.read_text(encoding="utf-8"))["status"] == "complete"


def cell(values: list[float]) -> str:
    """Mean, and standard deviation where there are several; a dash where nothing was measured."""
    if not values:
        return "–"
    mean = f"{statistics.mean(values):.2f}"
    return f"{mean} ± {statistics.stdev(values):.2f}" if len(values) > 1 else mean


def main() -> None:
    """Train, score, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the data folder")
    parser.add_argument("--work", type=Path, required=True, help="where runs and scores go")
    parser.add_argument("--output", type=Path, required=True, help="the Markdown file")
    parser.add_argument(
        "--minilm", default="sentence-transformers/all-MiniLM-L6-v2", help="all-MiniLM-L6-v2, hub name or folder"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, str, list[dict[str, float]]]] = []

    def untrained(title: str, model: str, shown: str, suite: str, *more: str) -> None:
        file = args.work / f"{title.replace(' ', '-').replace(',', '').replace('[', '').replace(']', '')}.json"
        command = " ".join(["sentemb eval", shown, *more, f"--suite {suite} --data DIR"])
        rows.append((title, command, [score(model, file, args.data, suite, *more)]))

    def trained(title: str, recipe: str, suite: str, *more: str) -> None:
        found = []
        for seed in args.seeds:
            folder = args.work / f"{recipe.replace('/', '-')}-{seed}"
            if not is_complete(folder):
                resume = ["--resume"] if (folder / "run.json").exists() else []
                settings = [
                    "--set",
                    f"train.seed={seed}",
                    "--set",
                    "evaluation.suite=null",
                    *more,
                    "--data",
                    str(args.data),
                ]
                sentemb("train", recipe, *settings, "--output", str(folder), *resume)
            found.append(score(str(folder), args.work / f"{folder.name}.json", args.data, suite))
        command = f"sentemb train {recipe} --set train.seed=SEED --output RUN --data DIR"
        rows.append((title, f"{command}, then sentemb eval RUN --suite {suite} --data DIR", found))

    untrained("mini, untrained, [CLS]", "bundled:mini", "bundled:mini", SEVEN, "--pooling", "cls")
    untrained("mini, untrained, mean", "bundled:mini", "bundled:mini", SEVEN, "--pooling", "mean")
    trained("mini, SimCSE unsupervised, Wikipedia", "small/simcse-wiki", SEVEN)
    trained("mini, SimCSE supervised, NLI triplets", "small/simcse-nli", SEVEN)
    untrained("all-MiniLM-L6-v2", args.minilm, "sentence-transformers/all-MiniLM-L6-v2", "stsb")
    trained(
        "all-MiniLM-L6-v2, SBERT regression, STS-B train",
        "small/sbert-stsb-minilm",
        "stsb",
        "--set",
        f"encoder.name={args.minilm}",
    )
    seeds = ", ".join(map(str, args.seeds))
    lines = [
        "# Training: STS scores of the recipes that run on two cores",
        "",
        f"Spearman x 100, `all`, test sets; mean ± standard deviation over seeds {seeds}. STS-B dev picked the",
        "checkpoint and is not in the average. Made by `eval/benchmarks/training_table.py`; the commands are below.",
        "",
        "| | " + " | ".join((*TASKS, "average", "STS-B dev")) + " |",
        "|---" * (len(TASKS) + 3) + "|",
    ]
    for title, _, found in rows:
        cells = [cell([scores[name] for scores in found if name in scores]) for name in (*TASKS, "average", "stsb-dev")]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    lines += ["", "Commands:", ""]
    lines += [f"- {title}: `{command}`" for title, command, _ in rows]
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(args.output.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
