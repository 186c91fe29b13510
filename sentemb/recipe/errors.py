"""What pydantic says of a recipe, in words a user can act on: place, key path, value, what is accepted."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sentemb.errors import nearest, shortened
from sentemb.recipe import accepted
from sentemb.recipe.document import Document, Finding, KeyPath
from sentemb.recipe.schema import Recipe

_UNFIT = {
    "literal_error": "is not one of the choices",
    "string_pattern_mismatch": "has characters that are not allowed here",
    **dict.fromkeys(
        ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number"), "is out of range"
    ),
    **dict.fromkeys(("too_short", "too_long", "string_too_short", "string_too_long"), "has the wrong length"),
}


def validate(document: Document) -> Recipe:
    """The recipe that a document describes.

    Raises:
        ConfigErrors: all that is wrong with it, what was noted while reading it included.
    """
    try:
        recipe = Recipe.model_validate(document.value)
    except ValidationError as error:
        found = _findings(error, document)
        booleans = list(_booleans_for_numbers(document))
        told = {finding.path for finding in booleans}
        document.findings += booleans
        document.findings += [finding for finding in found if finding.path not in told]
        document.findings += _contradictions(document, [finding.path for finding in found])
        document.raise_findings()
        raise  # a validation error always has findings
    document.findings += _booleans_for_numbers(document)
    document.raise_findings()
    return recipe


def _findings(error: ValidationError, document: Document) -> list[Finding]:
    details = error.errors(include_url=False)
    blocks = {detail["loc"][:length] for detail in details for length in range(len(detail["loc"]))}
    # a list that is too short only because its items were refused is no mistake of its own
    return [
        _finding(detail, document)
        for detail in details
        if not (detail["type"] == "too_short" and detail["loc"] in blocks)
    ]


def _finding(detail: ErrorDetails, document: Document) -> Finding:
    path = accepted.without_tags(detail["loc"], document.value)
    kind = detail["type"]
    if kind == "extra_forbidden":
        return _unknown_key(path, document)
    if kind == "missing":
        return _missing(path, document)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _unknown_kind(path, document)
    if kind == "value_error":
        return _contradiction(path, str(detail["ctx"]["error"]), document)
    return _unfit(path, kind, detail["input"], document)


def _unfit(path: KeyPath, kind: str, given: Any, document: Document) -> Finding:
    """A value of the wrong type, range, length or choice; `kind` is pydantic's name of the mistake."""
    annotation = accepted.at(path, document.value)
    hint = nearest(str(given), accepted.choices(annotation))
    if isinstance(given, (int, float)) and kind == "string_type":
        hint = " In quotes a number is text."
    problem = "empty" if given is None else f"{_shown(given)} {_UNFIT.get(kind, 'has the wrong type')}"
    return Finding(document.place(path), path, problem, f"{hint} Give {accepted.words(annotation)}".strip())


def _unknown_key(path: KeyPath, document: Document) -> Finding:
    known = accepted.keys(path[:-1], document.value)
    key = str(path[-1])
    hint = nearest(key, known)
    homes = accepted.blocks_with(key, _value(path[:2], document) if path[0] == "stages" else document.value)
    if homes:
        hint = f" It belongs in {' or '.join(homes)}."
    return Finding(document.place(path), path, "unknown key", f"{hint} Known: {', '.join(known)}".strip())


def _missing(path: KeyPath, document: Document) -> Finding:
    if isinstance(path[-1], int):  # an item of a list of fixed length
        return _unfit(path[:-1], "too_short", _value(path[:-1], document), document)
    return Finding(
        document.place(path), path, "missing", f"Add it: {accepted.words(accepted.at(path, document.value))}"
    )


def _unknown_kind(path: KeyPath, document: Document) -> Finding:
    known = accepted.kinds(accepted.at(path, document.value))
    block = _value(path, document)
    remedy = f"Give one of: {', '.join(known)}"
    block_name = "view" if isinstance(path[-1], int) else path[-1]
    noun = f"{'an' if block_name == 'objective' else 'a'} {block_name}"
    path = (*path, "kind")
    if "kind" not in block:
        return Finding(document.place(path), path, "missing", remedy)
    given = block["kind"]
    problem = f"{_shown(given)} is not {noun}"
    return Finding(document.place(path), path, problem, f"{nearest(str(given), known)} {remedy}".strip())


def _contradiction(path: KeyPath, message: str, document: Document) -> Finding:
    """What a validator of the schema says of two settings; placed at the first setting that it names."""
    problem, _, remedy = message.partition("; ")
    remedy = remedy[:1].upper() + remedy[1:] or "Change one of the two"
    place = document.place(path)
    for word in re.findall(r"[a-z_.]+", problem):
        named = (*path, *word.split("."))
        if named in document.places:
            place = document.place(named)
            break
    return Finding(place, path, problem, remedy)


def _booleans_for_numbers(document: Document) -> Iterator[Finding]:
    """Pydantic takes `true` for 1; a recipe that says `batch_size: true` is a mistake."""
    for path in document.places:
        value = _value(path, document)
        annotation = accepted.at(path, document.value)
        if isinstance(value, bool) and accepted.only_numbers(annotation):
            yield _unfit(path, "int_type", value, document)


def _contradictions(document: Document, refused: list[KeyPath]) -> list[Finding]:
    """Contradictions that pydantic did not look for, because single settings were wrong: it looks without them."""
    value = copy.deepcopy(document.value)
    for path in refused:
        block: Any = value
        for part in path[:-1]:
            block = accepted.child(block, part)
        if path and isinstance(block, dict):
            block.pop(path[-1], None)
    if any(key in document.value and key not in value for key in ("method", "data")):
        return []  # "method missing" would be untrue
    try:
        Recipe.model_validate(value)
    except ValidationError as error:
        return [
            _contradiction(accepted.without_tags(detail["loc"], value), str(detail["ctx"]["error"]), document)
            for detail in error.errors(include_url=False)
            if detail["type"] == "value_error" and detail["loc"] not in refused
        ]
    return []


def _value(path: KeyPath, document: Document) -> Any:
    value: Any = document.value
    for part in path:
        value = accepted.child(value, part)
    return value


def _shown(value: Any) -> str:
    """A value as YAML writes it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return shortened(value)
