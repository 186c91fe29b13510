"""What the schema accepts at a key path, in words."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sentemb.recipe.document import KeyPath
from sentemb.recipe.schema import Recipe

_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
}


def at(path: KeyPath, value: Any) -> Any:
    """The annotation of what may stand at `path`; None if nothing may. `value` tells which method a block is of."""
    here: Any = Recipe
    for part in path:
        here, value = _step(here, part, value), child(value, part)
    return here


def without_tags(location: tuple[str | int, ...], value: Any) -> KeyPath:
    """A location of pydantic's without the method kinds that it puts in between."""
    path: list[str | int] = []
    here: Any = Recipe
    skip = False
    for part in location:
        if skip:
            skip = False
            continue
        path.append(part)
        here, value = _step(here, part, value), child(value, part)
        skip = len(_models(here)) > 1
    return tuple(path)


def keys(path: KeyPath, value: Any) -> list[str]:
    """The keys that the block at `path` may have."""
    block = value
    for part in path:
        block = child(block, part)
    models = _fitting(at(path, value), block)
    return list(dict.fromkeys(key for model in models for key in model.model_fields))


def blocks_with(key: str, stage: Any) -> list[str]:
    """Where else in a stage, or a recipe without stages, a key is at home: `["train"]` for `learning_rate`."""
    homes = []
    for block, info in Recipe.model_fields.items():
        models = _fitting(_annotation(info), child(stage, block))
        if block != "stages" and any(key in model.model_fields for model in models):
            homes.append(block)
    return homes


def choices(annotation: Any) -> list[str]:
    """The texts to choose from, if the annotation is such a choice."""
    return [str(value) for bare, _ in _parts(annotation) if get_origin(bare) is Literal for value in get_args(bare)]


def kinds(annotation: Any) -> list[str]:
    """The values of `kind` of a block that has one."""
    return [kind for model in _models(annotation) if "kind" in model.model_fields for kind in _kinds(model)]


def only_numbers(annotation: Any) -> bool:
    """Whether nothing but a number (or null) may stand here."""
    bare = {part for part, _ in _parts(annotation)}
    return bool(bare & {int, float}) and bare <= {int, float, type(None)}


def words(annotation: Any) -> str:
    """What may stand here.

    >>> words(Annotated[int, annotated_types.Ge(3)] | None)
    'a whole number of at least 3 (or null)'
    >>> words(tuple[float, float])
    'a list of 2: each a number'
    """
    parts = _parts(annotation)
    found = [_part_in_words(bare, metadata) for bare, metadata in parts if bare is not type(None)]
    null = " (or null)" if len(found) < len(parts) else ""
    return " or ".join(dict.fromkeys(found)) + null


def child(value: Any, part: str | int) -> Any:
    """The value under a key or index, or None."""
    if isinstance(value, Mapping):
        return value.get(part)
    if isinstance(value, Sequence) and not isinstance(value, str) and isinstance(part, int) and part < len(value):
        return value[part]
    return None


def _part_in_words(bare: Any, metadata: list[Any]) -> str:
    if get_origin(bare) is Literal:
        return "one of: " + ", ".join(str(value) for value in get_args(bare))
    if get_origin(bare) is tuple:
        items = get_args(bare)
        size = "" if items[-1] is Ellipsis else f" of {len(items)}"
        if any(isinstance(each, annotated_types.MinLen) for each in metadata):
            size = " that is not empty"
        return f"a list{size}: each {words(items[0])}"
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        if "kind" in bare.model_fields:
            return "a block with a kind and its settings"
        return "a block with the keys " + ", ".join(bare.model_fields)
    return _WORDS.get(bare, "something else") + _bounds(metadata)


def _bounds(metadata: list[Any]) -> str:
    found = []
    for each in metadata:
        if isinstance(each, annotated_types.Gt):
            found.append(f"above {each.gt:.12g}")
        elif isinstance(each, annotated_types.Ge):
            found.append(f"of at least {each.ge:.12g}")
        elif isinstance(each, annotated_types.Lt):
            found.append(f"below {each.lt:.12g}")
        elif isinstance(each, annotated_types.Le):
            found.append(f"of at most {each.le:.12g}")
        elif isinstance(each, annotated_types.MinLen):
            found.append("that is not empty")
        elif getattr(each, "pattern", None):
            found.append(f"that matches {each.pattern}")
    return " " + " and ".join(found) if found else ""


def _parts(annotation: Any) -> list[tuple[Any, list[Any]]]:
    """The members of a union, each with its metadata, `Annotated` taken off."""
    if get_origin(annotation) is Annotated:
        inner, *metadata = get_args(annotation)
        flat = [part for each in metadata for part in (each.metadata if isinstance(each, FieldInfo) else [each])]
        return [(bare, [*own, *flat]) for bare, own in _parts(inner)]
    if get_origin(annotation) in (Union, types.UnionType):
        return [part for member in get_args(annotation) for part in _parts(member)]
    return [(annotation, [])]


def _models(annotation: Any) -> list[type[BaseModel]]:
    return [bare for bare, _ in _parts(annotation) if isinstance(bare, type) and issubclass(bare, BaseModel)]


def _kinds(model: type[BaseModel]) -> tuple[str, ...]:
    return get_args(model.model_fields["kind"].annotation)


def _fitting(annotation: Any, value: Any) -> list[type[BaseModel]]:
    """The models that a block may be of: those of its kind, or all if it has none that is known."""
    models = _models(annotation)
    kind = child(value, "kind")
    return [model for model in models if "kind" in model.model_fields and kind in _kinds(model)] or models


def _annotation(info: FieldInfo) -> Any:
    return Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation


def _step(annotation: Any, part: str | int, value: Any) -> Any:
    for model in _fitting(annotation, value):
        if part in model.model_fields:
            return _annotation(model.model_fields[str(part)])
    for bare, _ in _parts(annotation):
        if get_origin(bare) is tuple and isinstance(part, int):
            items = get_args(bare)
            return items[0] if items[-1] is Ellipsis else items[min(part, len(items) - 1)]
    return None
