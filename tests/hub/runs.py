"""A run folder as `sentemb train` leaves it, around the tiny encoder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from sentence_transformers import SentenceTransformer

from sentemb.encoder import save_encoder
from tests.tiny import tiny_encoder


def recipe(**method: Any) -> dict[str, Any]:
    return {
        "description": "Tried in /home/ann/notes.txt first.",
        "encoder": {"name": "bert-base-uncased", "pooling": "cls", "max_tokens": 32},
        "method": method or {"kind": "simcse", "temperature": 0.05},
        "data": {"source": "/home/ann/texts/wiki.txt", "limit": None},
    }


def run_facts(**changes: Any) -> dict[str, Any]:
    files = [{"name": "wiki.txt", "bytes": 123456, "sha256": "ab" * 32}]
    return {
        "sentemb": "0.1.0",
        "status": "complete",
        "finished": "2026-01-02T03:04:05+00:00",
        "versions": {"torch": "2.13.0"},
        "git": "0123abc+",
        "recipe_name": "/home/ann/recipes/mine.yaml",
        "data": [{"stage": "simcse", "rows": 10000, "source": "/home/ann/texts/wiki.txt", "files": files}],
        "best": {"step": 250, "stsb_dev_spearman": 62.34567},
    } | changes


def scores() -> dict[str, Any]:
    def tasks(value: float) -> dict[str, Any]:
        return {
            "stsb-dev": {
                "split": "dev",
                "aggregation": {"all": value, "mean": value, "wmean": value},
                "interval95": [value - 2, value + 2],
                "subsets": {},
            },
            "sts13": {
                "split": "test",
                "aggregation": {"all": value + 1, "mean": value + 2, "wmean": value + 3},
                "interval95": [value - 1, value + 1],
                "subsets": {"FNWN": {"n_pairs": 189}},
            },
        }

    models = [{"name": "before", "tasks": tasks(55.9)}, {"name": "after", "tasks": tasks(62.1)}]
    return {"similarity": "cosine", "models": models, "notes": ["sts13 is without SMT."]}


def make_run(
    folder: Path,
    encoder: SentenceTransformer | None = None,
    *,
    recipe_: dict[str, Any] | None = None,
    run: dict[str, Any] | None = None,
    scores_: dict[str, Any] | None = None,
) -> Path:
    """Each file that is None is left out."""
    save_encoder(encoder or tiny_encoder(), folder / "encoder")
    if recipe_ is not None:
        (folder / "recipe.resolved.yaml").write_text(yaml.safe_dump(recipe_), encoding="utf-8")
    for name, content in (("run.json", run), ("scores.json", scores_)):
        if content is not None:
            (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return folder
