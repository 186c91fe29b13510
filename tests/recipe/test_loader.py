from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sentemb.errors import ConfigError
from sentemb.recipe import shipped
from sentemb.recipe.loader import load_recipe
from tests.recipe.samples import GOOD, STAGES, messages


# ------------------------------------------------------------------------------------------------ what loads
def test_loads_a_file_with_its_name_and_defaults(recipe_file: Path) -> None:
    recipe_file.write_text(GOOD, encoding="utf-8")
    loaded = load_recipe("r.yaml")
    assert (loaded.name, loaded.file) == ("r", recipe_file)
    assert loaded.recipe.train is not None
    assert (loaded.recipe.train.batch_size, loaded.recipe.train.learning_rate) == (8, 3e-5)
    assert loaded.recipe.evaluation.dev == "stsb-dev"


def test_a_recipe_without_train_gets_the_default_one(recipe_file: Path) -> None:
    recipe_file.write_text(GOOD.split("train:")[0], encoding="utf-8")
    train = load_recipe("r.yaml").recipe.train
    assert train is not None
    assert train.batch_size == 64


@pytest.mark.parametrize("name", ["simcse/wiki1m-bert-base", "recipes/simcse/wiki1m-bert-base.yaml"])
def test_a_shipped_recipe_goes_by_its_name_or_its_file(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shipped.folder().parent)
    loaded = load_recipe(name)
    assert loaded.name == "simcse/wiki1m-bert-base"
    assert loaded.recipe.encoder.name == "bert-base-uncased"


def test_an_installed_package_finds_its_recipes_inside_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "sentemb" / "shipped" / "recipes" / "mine" / "own.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(GOOD, encoding="utf-8")
    monkeypatch.setattr(shipped, "_PACKAGE", tmp_path / "sentemb")
    assert list(shipped.files()) == ["mine/own"]
    assert load_recipe("mine/own").name == "mine/own"


@pytest.mark.parametrize("rate", ["3e-5", "3.0e-5", '"3e-5"', ".00003"])
def test_a_learning_rate_may_be_written_as_people_write_it(recipe_file: Path, rate: str) -> None:
    recipe_file.write_text(f"{GOOD}  learning_rate: {rate}\n", encoding="utf-8")
    train = load_recipe("r.yaml", [f"train.weight_decay={rate}"]).recipe.train
    assert train is not None
    assert (train.learning_rate, train.weight_decay) == (3e-5, 3e-5)


def test_a_byte_order_mark_and_windows_line_ends_are_fine(recipe_file: Path) -> None:
    recipe_file.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert load_recipe("r.yaml").recipe.encoder.pooling == "cls"


def test_anchors_are_read_as_yaml_has_them(recipe_file: Path) -> None:
    text = STAGES.replace("data: {source: bundled:wiki}", "data: {source: bundled:wiki}\n    train: &t {seed: 3}")
    recipe_file.write_text(text.replace("train:\n      seed: 7", "train: *t"), encoding="utf-8")
    assert [stage.train.seed for stage in load_recipe("r.yaml").recipe.all_stages()] == [3, 3]


def test_loading_imports_nothing_heavy() -> None:
    code = (
        "import sys; from sentemb.recipe.loader import load_recipe; load_recipe('quickstart');"
        "print([m for m in ('torch', 'transformers', 'numpy', 'datasets') if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")


# ------------------------------------------------------------------------------------------------ --set
@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("train.seed=1", "train.seed", 1),
        ("train.learning_rate=1e-4", "train.learning_rate", 1e-4),
        ("description=a=b=c", "description", "a=b=c"),
        ("encoder.max_tokens=null", "encoder.max_tokens", None),
        ("encoder.max_tokens=", "encoder.max_tokens", None),
        ("method.mlm.weight=0.2", "method.mlm.weight", 0.2),
        ("evaluation.dev=null", "evaluation.dev", None),
        ("data.columns=[text]", "data.columns", ("text",)),
        ("method={kind: simcse, head: none}", "method.head", "none"),
    ],
)
def test_set_changes_one_setting(recipe_file: Path, setting: str, path: str, value: object) -> None:
    recipe_file.write_text(GOOD, encoding="utf-8")
    found: object = load_recipe("r.yaml", [setting]).recipe
    for part in path.split("."):
        found = getattr(found, part)
    assert found == value


def test_set_changes_a_stage_by_its_number_and_the_last_one_wins(recipe_file: Path) -> None:
    recipe_file.write_text(STAGES, encoding="utf-8")
    overrides = [
        "stages.0.train.seed=1",
        "stages.1.train.seed=2",
        "stages.1.train.seed=3",
        "stages.1.data.columns.0=gold",
    ]
    first, second = load_recipe("r.yaml", overrides).recipe.all_stages()
    assert (first.train.seed, second.train.seed) == (1, 3)
    assert second.data.columns == ("gold", "sentence1", "sentence2")


def test_set_can_change_the_method_and_only_then_is_it_checked(recipe_file: Path) -> None:
    recipe_file.write_text(GOOD, encoding="utf-8")
    loaded = load_recipe("r.yaml", ["method.kind=simcse_supervised", "data.source=bundled:nli"])
    assert loaded.recipe.all_stages()[0].row_type == "triplets"


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train.seed", "not of the form key.path=value. Write it as in --set train.seed=1."),
        ("=1", "not of the form key.path=value. Write it as in --set train.seed=1."),
        ("train..seed=1", "not of the form key.path=value. Write it as in --set train.seed=1."),
        ("train.sede=1", 'train.sede: unknown key. Did you mean "seed"? Known: batch_size, '),
        ("train.seed=-1", "train.seed: -1 is out of range. Give a whole number of at least 0 and below 4294967296."),
        ("method={kind: simcse, temperature: -1}", "method.temperature: -1 is out of range. Give a number above 0."),
        ("train.seed=[1", "train.seed: not valid YAML: "),
        (
            "train={seed: 1, seed: 2}",
            "train.seed: given twice, first at --set train={seed: 1, seed: 2}. Remove one of the two.",
        ),
        ("encoder.name.x=1", 'encoder.name is "bundled:mini", not a block, so it has no key "x". Correct the key path'),
        ("method.kind=simsce", 'method.kind: "simsce" is not a method. Did you mean "simcse"? Give one of: simcse, '),
    ],
)
def test_a_bad_set_is_named_as_the_place(recipe_file: Path, setting: str, message: str) -> None:
    found = messages(recipe_file, GOOD, setting)
    assert len(found) == 1
    assert found[0].startswith(f"--set {setting}: {message}")


@pytest.mark.parametrize("index", ["2", "-1", "first"])
def test_a_stage_that_is_not_there_can_not_be_set(recipe_file: Path, index: str) -> None:
    found = messages(recipe_file, STAGES, f"stages.{index}.train.seed=1")
    expected = f'--set stages.{index}.train.seed=1: "{index}" is no item of the list stages. Give a number from 0 to 1.'
    assert found == [expected]


# ------------------------------------------------------------------------------------------------ no such recipe
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "quikstart",
            'quikstart: neither a file nor the name of a shipped recipe. Did you mean "quickstart"? Give a file',
        ),
        (
            "",
            '"": neither a file nor the name of a shipped recipe. Give a file, or a name from "sentemb recipes list".',
        ),
        ("none.yaml", 'none.yaml: no such file. Give a file, or a name from "sentemb recipes list".'),
        (
            "recipes/simcse/wiki1m-bert-bas.yaml",
            'recipes/simcse/wiki1m-bert-bas.yaml: no such file. Did you mean "simcse/wiki1m-bert-base"?',
        ),
        (".", ".: is a folder, not a recipe. "),
        ("x" * 5000, '"xxxxxxxxxx'),
    ],
)
def test_an_unknown_recipe_says_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_recipe(name)
    assert str(caught.value).startswith(message)
