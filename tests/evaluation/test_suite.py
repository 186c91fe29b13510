from __future__ import annotations

import pytest

from sentemb.errors import ConfigError
from sentemb.evaluation.shipped import shipped
from sentemb.evaluation.suite import score_encoders, select, suite_names
from sentemb.evaluation.tasks import TASKS, own_task, task_named
from tests.evaluation.fakes import hashed, write_tsv


def names(*asked: str) -> list[str]:
    return [task.name for task in select(asked).tasks]


def test_every_shipped_suite_names_known_tasks():
    assert suite_names() == ("senteval", "sickr", "sts", "sts-dev", "stsb")
    for suite in ("sickr", "sts", "sts-dev", "stsb"):
        assert set(names(suite)) <= set(TASKS)
        assert suite not in TASKS


def test_the_seven_are_test_sets_in_the_order_of_the_papers():
    assert names("sts") == ["sts12", "sts13", "sts14", "sts15", "sts16", "stsb-test", "sickr-test"]
    assert all(TASKS[name].split == "test" for name in names("sts"))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (["stsb"], ["stsb-dev", "stsb-test"]),
        (["stsb-dev"], ["stsb-dev"]),
        (["stsb-dev,sts12"], ["stsb-dev", "sts12"]),
        (["stsb", "sickr", "stsb-dev"], ["stsb-dev", "stsb-test", "sickr-dev", "sickr-test"]),
        ([" stsb-dev , ,sts12"], ["stsb-dev", "sts12"]),
    ],
)
def test_suites_and_tasks_are_joined_and_taken_once(asked, expected):
    assert names(*asked) == expected


def test_the_name_is_what_was_asked_for():
    assert select(["stsb,sts12"]).name == "stsb,sts12"


def test_a_file_of_pairs_is_a_task(tmp_path):
    file = write_tsv(tmp_path / "mine,too.tsv", "score | sentence1 | sentence2", "1 | a | b")
    (task,) = select([str(file)]).tasks
    assert (task.name, task.title, task.split) == (str(file), "mine,too", "own")


def test_a_suite_may_be_a_file_with_tasks_beside_it(tmp_path):
    suite = tmp_path / "suite.yaml"
    suite.write_text("tasks: [stsb-dev, mine.tsv]\n", encoding="utf-8")
    assert names(str(suite)) == ["stsb-dev", str(tmp_path / "mine.tsv")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("tasks: stsb-dev\n", "holds no list of task names under the key tasks"),
        ("- stsb-dev\n", "holds no list of task names"),
        ("tasks: []\n", "holds no list of task names"),
        ("tasks: [1]\n", "holds no list of task names"),
        ("tasks: [stsb-dve]\n", 'there is no task "stsb-dve". Did you mean "stsb-dev"?'),
        ("tasks: [\n", "is no YAML text"),
    ],
)
def test_a_broken_suite_file_is_named(tmp_path, content, message):
    suite = tmp_path / "suite.yaml"
    suite.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        select([str(suite)])
    assert caught.value.place == str(suite)
    assert message in caught.value.problem


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("sts21", 'there is no suite or task "sts21". Did you mean "sts'),
        ("stsb-tst", 'Did you mean "stsb-test"?'),
        ("sikcr", 'Did you mean "sickr"?'),
        ("nonsense", "Use one of: senteval, sickr, sts, sts-dev, stsb, sts12"),
        (",", "names no suite"),
        ("nowhere.yaml", "nowhere.yaml: can't be read"),
    ],
)
def test_a_name_that_is_not_known_is_refused_with_the_nearest(asked, message):
    with pytest.raises(ConfigError) as caught:
        select([asked])
    assert message in str(caught.value)


def test_task_named_takes_a_task_or_a_file_and_no_suite():
    assert task_named("sickr-dev") is TASKS["sickr-dev"]
    assert task_named("some/file.tsv").split == "own"
    with pytest.raises(ConfigError, match='there is no task "stsb-dve". Did you mean "stsb-dev"'):
        task_named("stsb-dve")


@pytest.mark.parametrize("task", TASKS.values(), ids=str)
def test_a_task_record_is_whole(task):
    assert TASKS[task.name] is task
    assert task.licence != own_task(shipped("x")).licence
    assert task.origin
    assert task.source.startswith("data:sts/")
    assert task.has_subsets == (task.name.startswith("sts1"))


def test_shipped_prefers_what_an_installed_wheel_holds(tmp_path, monkeypatch):
    monkeypatch.setattr("sentemb.evaluation.shipped._PACKAGE", tmp_path / "sentemb")
    assert shipped("eval/suites") == tmp_path / "eval/suites"
    (tmp_path / "sentemb/shipped/eval/suites").mkdir(parents=True)
    assert shipped("eval/suites") == tmp_path / "sentemb/shipped/eval/suites"


def test_score_encoders_scores_each_by_its_name(tmp_path):
    rows = ["5 | a cat sits | a cat sits", "3 | a cat sits | a cat ran", "0 | a cat sits | xyzzy"]
    file = write_tsv(tmp_path / "mine.tsv", "score | sentence1 | sentence2", *rows)
    scores = score_encoders({"before": hashed, "after": hashed}, str(file))
    assert [model.name for model in scores.models] == ["before", "after"]
    assert scores.suite == str(file)
    assert scores.models[0].tasks[0].spearman["all"] == pytest.approx(100)
    assert scores.comparisons[0].difference.p_value == 1.0
