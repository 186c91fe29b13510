from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from sentemb.recipe import shipped
from sentemb.recipe.loader import load_recipe, resolved_yaml
from sentemb.recipe.schema import Recipe, TrainConfig


def reread(recipe: Recipe, folder: Path, header: str = "") -> Recipe:
    file = folder / "recipe.resolved.yaml"
    file.write_text(resolved_yaml(recipe, header), encoding="utf-8")
    return load_recipe(str(file)).recipe


@pytest.mark.parametrize("name", shipped.files())
def test_a_resolved_recipe_reads_back_equal(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name).recipe
    assert reread(recipe, tmp_path) == recipe


@pytest.mark.parametrize(
    "text",
    [
        "3e-5",
        "1.5",
        "yes",
        "null",
        "~",
        "",
        " padded ",
        "# no comment",
        "a: b",
        "- x",
        "'",
        '"',
        "two\nlines\n",
        "tab\tend",
        "größer 中文 😀",
        "\x85 \u2028",
        "2020-01-01",
        "1:30",
        "{[",
        "*a",
        "&a",
        "!x",
        "%",
        "a" * 500,
        "\ufeffx",
        "<<",
    ],
)
def test_any_text_survives(text: str, tmp_path: Path) -> None:
    recipe = load_recipe("quickstart").recipe.model_copy(update={"description": text})
    assert reread(recipe, tmp_path) == recipe


@pytest.mark.parametrize("number", [1e-300, 5e-324, 0.1, 1 / 3, 2.5e-5, 1e16, 1.7976931348623157e308])
def test_any_number_survives(number: float, tmp_path: Path) -> None:
    recipe = load_recipe("quickstart", [f"train.learning_rate={number!r}"]).recipe
    assert recipe.train is not None
    assert recipe.train.learning_rate == number
    assert reread(recipe, tmp_path) == recipe


def test_every_default_is_written_out() -> None:
    recipe = load_recipe("smoke/simcse").recipe
    written = yaml.safe_load(resolved_yaml(recipe))
    assert set(written["train"]) == set(TrainConfig.model_fields)
    assert written["method"] == {"kind": "simcse", "temperature": 0.05, "head": "train_only", "mlm": None}
    assert written["evaluation"] == {"dev": "stsb-dev", "suite": "stsb"}
    assert "stages" not in written


def test_stages_are_written_without_the_keys_of_a_single_one() -> None:
    written = yaml.safe_load(resolved_yaml(load_recipe("smoke/two-stages").recipe))
    assert not {"method", "data", "train"} & set(written)
    assert [set(stage["train"]) for stage in written["stages"]] == [set(TrainConfig.model_fields)] * 2


def test_a_recipe_that_was_not_loaded_gets_the_default_training(tmp_path: Path) -> None:
    recipe = Recipe.model_validate({"method": {"kind": "simcse"}, "data": {"source": "x.txt"}})
    assert reread(recipe, tmp_path) == recipe.model_copy(update={"train": TrainConfig()})


def test_the_header_becomes_a_comment(tmp_path: Path) -> None:
    recipe = load_recipe("quickstart").recipe
    header = "written by sentemb\n\nkey: value"
    assert resolved_yaml(recipe, header).startswith("# written by sentemb\n#\n# key: value\ndescription:")
    assert reread(recipe, tmp_path, header) == recipe
