"""From a recipe's file or name to a validated `Recipe`, and back to YAML. Imports neither torch nor transformers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sentemb.errors import ConfigError, nearest, shortened
from sentemb.recipe import shipped
from sentemb.recipe.document import override, parse
from sentemb.recipe.errors import validate
from sentemb.recipe.postprocess import PostprocessConfig
from sentemb.recipe.schema import Recipe, TrainConfig

_MAX_BYTES = 256 * 1024


@dataclass(frozen=True)
class LoadedRecipe:
    """A recipe and where it came from.

    Attributes:
        recipe: validated, overrides applied; `train` is there unless the recipe has stages.
        name: `simcse/wiki1m-bert-base` for a shipped recipe, else the file's name without its ending.
        file: where it was read.
    """

    recipe: Recipe
    name: str
    file: Path


def load_recipe(path_or_name: str, overrides: Sequence[str] = ()) -> LoadedRecipe:
    """Reads and validates a recipe.

    Args:
        path_or_name: a YAML file, or the name of a shipped recipe (`quickstart`, `simcse/wiki1m-bert-base`).
        overrides: `a.b=v`, laid over the file in this order before it is validated; v is YAML, list items go by number.

    Raises:
        ConfigError: there is no such recipe, or its file can't be read as text.
        ConfigErrors: everything that is wrong in it, each with its line or its `--set`.
    """
    file = find_recipe(path_or_name)
    shown = _shown(file)
    document = parse(_text(file, shown), shown)
    for number, setting in enumerate(overrides):
        override(document, setting, number)
    recipe = validate(document)
    if recipe.stages is None and recipe.train is None:
        recipe = recipe.model_copy(update={"train": TrainConfig()})
    return LoadedRecipe(recipe, shipped.name_of(file), file)


def find_recipe(path_or_name: str) -> Path:
    """The file that a path or a shipped recipe's name means. A file of that path comes first.

    Raises:
        ConfigError: there is none.
    """
    files = shipped.files()
    if os.path.isfile(path_or_name):  # unlike Path.is_file, false for a name that is too long
        return Path(path_or_name)
    if path_or_name in files:
        return files[path_or_name]
    is_yaml = path_or_name.endswith((".yaml", ".yml"))
    bare = path_or_name.rpartition(".")[0] if is_yaml else path_or_name
    place = shortened(path_or_name) if len(path_or_name) > 200 or not path_or_name else path_or_name
    hint = nearest(bare.removeprefix("recipes/"), files)
    remedy = f'{hint} Give a file, or a name from "sentemb recipes list"'.strip()
    if os.path.isdir(path_or_name):
        raise ConfigError(place, "is a folder, not a recipe", remedy)
    if is_yaml:
        raise ConfigError(place, "no such file", remedy)
    raise ConfigError(place, "neither a file nor the name of a shipped recipe", remedy)


def resolved_yaml(recipe: Recipe, header: str = "") -> str:
    """The recipe as YAML with every default written out; `load_recipe` reads an equal recipe from it.

    Args:
        recipe: what to write.
        header: text for a comment at the top, one `#` a line.
    """
    if recipe.stages is None and recipe.train is None:
        recipe = recipe.model_copy(update={"train": TrainConfig()})
    values = recipe.model_dump(mode="json", exclude=_unused(recipe))
    comment = "".join(f"# {line}".rstrip() + "\n" for line in header.splitlines())
    return comment + yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120)


def _unused(recipe: Recipe) -> dict[str, Any]:
    """The blocks that say nothing in this recipe."""
    idle = ("train", "views")
    if recipe.stages is None:
        fitted = idle if isinstance(recipe.method, PostprocessConfig) else ()
        return dict.fromkeys(("stages", *fitted), True)
    stages = {
        number: dict.fromkeys(idle, True)
        for number, stage in enumerate(recipe.stages)
        if isinstance(stage.method, PostprocessConfig)
    }
    return {"stages": stages} | dict.fromkeys(("method", "data", "train"), True)


def _text(file: Path, shown: str) -> str:
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise ConfigError(shown, f"larger than {_MAX_BYTES // 1024} kB, so not a recipe", "Name a recipe file")
        content = file.read_bytes()
    except PermissionError as error:
        raise ConfigError(shown, "may not be read", "Change its permissions, or name another file") from error
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = f"byte 0x{content[error.start]:02x} is not UTF-8"
        raise ConfigError(f"{shown}:{line}", problem, "Save the file as UTF-8") from error


def _shown(file: Path) -> str:
    """The file as the user would name it: below the current folder if it is there."""
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_absolute() and file.is_relative_to(here) else file)
