from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sentemb.errors import ConfigError, ModelError
from sentemb.evaluation.dev import STSDevEvaluator
from sentemb.evaluation.pairs import load_pairs
from sentemb.evaluation.tasks import TASKS
from tests.evaluation.fakes import hashed, write_tsv


def test_the_dev_score_is_spearman_times_100_of_the_cosines():
    pairs = load_pairs(TASKS["stsb-dev"])
    u, v = (hashed(texts).astype(float) for texts in (pairs.first, pairs.second))
    cosines = [a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in zip(u, v, strict=True)]
    evaluator = STSDevEvaluator()
    scores = evaluator(hashed)
    assert list(scores) == [evaluator.metric] == ["stsb_dev_spearman"]
    assert scores["stsb_dev_spearman"] == pytest.approx(100 * stats.spearmanr(cosines, pairs.gold).statistic, abs=1e-3)
    assert 30 < scores["stsb_dev_spearman"] < 90


def test_texts_are_read_once(monkeypatch):
    evaluator = STSDevEvaluator()
    monkeypatch.setattr("sentemb.evaluation.dev.load_pairs", lambda *_: pytest.fail("read again"))
    assert evaluator(hashed) == evaluator(hashed)


def test_an_own_file_gives_the_score_its_name(tmp_path):
    rows = ["5 | a cat sits | a cat sits", "3 | a cat sits | a cat ran", "0 | a cat sits | xyzzy"]
    file = write_tsv(tmp_path / "My pairs.tsv", "score | sentence1 | sentence2", *rows)
    assert STSDevEvaluator(str(file))(hashed) == {"my_pairs_spearman": pytest.approx(100)}


def test_a_test_set_is_refused():
    with pytest.raises(ConfigError) as caught:
        STSDevEvaluator("stsb-test")
    assert str(caught.value) == (
        "evaluation.dev: stsb-test is a test set. Use one of: stsb-dev, sickr-dev, or a file of your own."
    )


def test_an_unknown_task_is_named_with_the_nearest():
    with pytest.raises(ConfigError, match='there is no task "stsb-dve". Did you mean "stsb-dev"'):
        STSDevEvaluator("stsb-dve")


def test_a_collapsed_encoder_is_said_to_have_collapsed():
    with pytest.raises(ModelError, match="the embeddings have collapsed"):
        STSDevEvaluator()(lambda texts: np.ones((len(texts), 4)))
