from __future__ import annotations

import math

import pytest
import yaml

from sentemb.evaluation.reference import reference_rows
from sentemb.evaluation.shipped import shipped
from sentemb.evaluation.tasks import TASKS

SEVEN = ["sts12", "sts13", "sts14", "sts15", "sts16", "stsb-test", "sickr-test"]
FILES = sorted(shipped("eval/reference").glob("*.yaml"))


def rows(aggregation: str, tasks=SEVEN, headline_only=False):
    return {row.name: row for row in reference_rows(tasks, aggregation, headline_only=headline_only)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_holds_what_it_says(file):
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert set(content) == {"aggregations", "tasks", "rows"}
    assert all(TASKS[task].split == "test" for task in content["tasks"])
    names = [row["name"] for row in content["rows"]]
    assert len(names) == len(set(names))
    for row in content["rows"]:
        assert set(row) <= {"name", "training", "scores", "average", "sd", "source", "headline"}
        assert row["source"]
        assert ("scores" in row) or ("average" in row)
        assert all(0 < score < 100 for score in row.get("scores", []))


@pytest.mark.parametrize("aggregation", ["all", "wmean"])
def test_a_printed_average_is_that_of_its_row(aggregation):
    for row in rows(aggregation).values():
        if row.scores and row.average is not None and row.name != "SBERT base":  # printed 74.89, averages to 74.86
            assert math.fsum(row.scores.values()) / 7 == pytest.approx(row.average, abs=0.0101), row.name


def test_the_protocols_are_never_mixed():
    whole, weighted = rows("all"), rows("wmean")
    assert whole["SimCSE unsup. BERT base"].scores["sts12"] == 68.40
    assert weighted["SimCSE unsup. BERT base"].scores["sts12"] == 70.14
    assert (
        whole["SimCSE unsup. BERT base"].scores["stsb-test"] == weighted["SimCSE unsup. BERT base"].scores["stsb-test"]
    )
    assert rows("mean") == {}


@pytest.mark.parametrize(
    ("aggregation", "name", "average"),
    [
        ("all", "BERT base, first-last avg", 60.73),
        ("all", "SBERT base", 74.89),
        ("all", "SimCSE unsup. BERT base", 76.25),
        ("all", "SimCSE unsup. BERT large", 78.41),
        ("all", "SimCSE unsup. RoBERTa base", 76.57),
        ("all", "SimCSE unsup. RoBERTa large", 78.90),
        ("all", "SimCSE sup. BERT base", 81.57),
        ("all", "SimCSE sup. BERT large", 82.21),
        ("all", "SimCSE sup. RoBERTa base", 82.52),
        ("all", "SimCSE sup. RoBERTa large", 83.76),
        ("all", "BERT-flow (NLI) base", 66.55),
        ("all", "BERT-whitening (NLI) base", 66.28),
        ("all", "IS-BERT (NLI text) base", 66.58),
        ("wmean", "BERT base flow (target)", 69.57),
        ("wmean", "BERT base whitening-256 (target)", 69.91),
    ],
)
def test_the_rows_that_recipes_aim_at_are_there(aggregation, name, average):
    row = rows(aggregation, headline_only=True)[name]
    assert row.average_over(SEVEN) == pytest.approx(average, abs=0.0051)


def test_only_rows_that_leave_nothing_blank_stand_beside_the_scores():
    assert "SBERT base, NLI then STS-B" in rows("all", ["stsb-dev", "stsb-test"])
    assert "SBERT base, NLI then STS-B" not in rows("all", ["stsb-test", "sickr-test"])
    assert "SimCSE sup. BERT large" not in rows("all", ["sts12", "sts13"])  # only its average over seven is known
    assert rows("all", ["stsb-dev"]) == {}
    assert rows("all", ["mine.tsv"]) == {}


def test_an_average_over_some_tasks_is_computed():
    row = rows("all")["SBERT base"]
    assert row.average_over(["sts12", "sts13"]) == pytest.approx((70.97 + 76.53) / 2)
    assert row.average_over(["sts12"]) is None
    assert row.average_over(["sts12", "nothing"]) is None


def test_a_short_table_shows_fewer_rows():
    assert 10 < len(rows("all", headline_only=True)) < len(rows("all"))
