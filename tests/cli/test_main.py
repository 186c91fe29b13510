"""The command as a user meets it: exit codes, one message, no traceback."""

from __future__ import annotations

import pytest
import yaml

from tests.tiny import SENTENCES, save_tiny


@pytest.fixture
def sentemb(run_command):
    return run_command


@pytest.fixture
def recipe(tmp_path):
    """A working recipe on a tiny encoder; the test breaks one thing."""
    save_tiny(tmp_path / "tiny")
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
    content = {
        "encoder": {"name": str(tmp_path / "tiny"), "pooling": "cls"},
        "method": {"kind": "simcse"},
        "data": {"source": str(texts)},
        "train": {"batch_size": 4, "eval_steps": 1},
        "evaluation": {"dev": None, "suite": None},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return tmp_path / "recipe.yaml"


def expect(result, *parts):
    code, _, errors = result
    assert code == 2 and "Traceback" not in errors, errors
    assert all(part in errors for part in parts), errors


def test_a_recipe_trains_from_the_command_line(sentemb, recipe, tmp_path):
    code, _, errors = sentemb("train", recipe, "--output", tmp_path / "run")
    assert code == 0 and "simcse: step 2/2" in errors
    assert (tmp_path / "run/encoder/modules.json").is_file()
    code, _, errors = sentemb("train", recipe, "--output", tmp_path / "run", "--resume")
    assert code == 0 and "already complete" in errors


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        (["method.temprature=0.1"], ["method.temprature", 'Did you mean "temperature"?']),
        (["train.batch_size=many"], ["train.batch_size", '"many"']),
        (["train.learning_rate=-1"], ["train.learning_rate", "-1"]),
        (["train.learning_rate=.inf"], ["train.learning_rate", "inf"]),
        (["data.source=missing.txt"], ["missing.txt"]),
        (["data.columns=[body]"], ["body"]),
        (["encoder.name=no/such/folder"], ["no/such/folder: there is no such folder"]),
        (
            ["encoder.name=nobody/no-such-model"],
            ["nobody/no-such-model: not a folder here, and not to be had from the hub"],
        ),
        (["method.temprature=1", "train.epochs=0"], ["method.temprature", "train.epochs"]),
    ],
)
def test_what_a_recipe_gets_wrong(sentemb, recipe, tmp_path, settings, parts):
    options = [word for setting in settings for word in ("--set", setting)]
    expect(sentemb("train", recipe, *options, "--output", tmp_path / "run"), *parts)


TEXTS = {
    "empty file": (b"", "texts.txt"),
    "blank lines only": (b"\n  \n", "texts.txt"),
    "invalid UTF-8": (b"a sentence\nna\xefve\n", "line 2"),
    "a 1 MB line": (b"short\n" + b"word " * 210_000 + b"\n", "line 2"),
}


@pytest.mark.parametrize("case", list(TEXTS))
def test_texts_that_can_not_be_used(sentemb, recipe, tmp_path, case):
    content, part = TEXTS[case]
    (tmp_path / "texts.txt").write_bytes(content)
    expect(sentemb("train", recipe, "--output", tmp_path / "run"), "texts.txt", part)


TABLES = {
    "a NaN score": ("score\tsentence1\tsentence2\n1\ta\tb\nnan\tc\td\n", "line 3"),
    "a score out of range": ("score\tsentence1\tsentence2\n7\ta\tb\n", "line 2"),
    "a line with a cell too few": ("score\tsentence1\tsentence2\n1\ta\n", "line 2"),
    "a column that is not there": ("gold\tsentence1\tsentence2\n1\ta\tb\n", "score"),
    "an empty text": ("score\tsentence1\tsentence2\n1\ta\t \n", "line 2"),
    "a header and nothing else": ("score\tsentence1\tsentence2\n", "pairs.tsv"),
}


@pytest.mark.parametrize("case", list(TABLES))
def test_tables_that_can_not_be_used(sentemb, recipe, tmp_path, case):
    content, part = TABLES[case]
    (tmp_path / "pairs.tsv").write_text(content, encoding="utf-8")
    options = ["--set", "method={kind: sbert_regression}", "--set", f"data.source={tmp_path / 'pairs.tsv'}"]
    expect(sentemb("train", recipe, *options, "--output", tmp_path / "run"), "pairs.tsv", part)


def test_an_output_folder_that_is_not_empty_is_left_alone(sentemb, recipe, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    for verb in (("train", recipe), ("export", tmp_path / "tiny")):
        expect(sentemb(*verb, "--output", tmp_path / "run"), "not empty (it holds thesis.txt)")
    expect(sentemb("encode", tmp_path / "tiny", tmp_path / "texts.txt", "--output", tmp_path / "run"), "run")
    assert (tmp_path / "run" / "thesis.txt").read_text() == "years of work"


def test_a_folder_without_weights_is_refused_by_every_verb(sentemb, recipe, tmp_path):
    (tmp_path / "hollow").mkdir()
    (tmp_path / "hollow" / "config.json").write_text("{}")
    for command in (
        ("eval", tmp_path / "hollow"),
        ("encode", tmp_path / "hollow", tmp_path / "texts.txt", "--output", tmp_path / "out"),
        ("export", tmp_path / "hollow", "--output", tmp_path / "out"),
        ("train", recipe, "--set", f"encoder.name={tmp_path / 'hollow'}", "--output", tmp_path / "run"),
    ):
        expect(sentemb(*command), "hollow", "no weights")


def test_a_bug_shows_its_traceback_and_exits_1(sentemb, recipe, tmp_path, monkeypatch):
    monkeypatch.setattr("sentemb.recipe.loader.load_recipe", lambda *_: 1 / 0)
    code, _, errors = sentemb("train", recipe, "--output", tmp_path / "run")
    assert code == 1 and "ZeroDivisionError" in errors and "This is a bug in sentemb" in errors


def test_version_and_help(sentemb):
    assert sentemb("--version")[1].startswith("sentemb 0.")
    code, out, _ = sentemb("--help")
    assert code == 0 and all(verb in out for verb in ("train", "eval", "encode", "export", "push", "recipes"))
