from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from sentemb.cli.recipes import app
from sentemb.errors import ConfigError, ConfigErrors
from sentemb.recipe import shipped

BAD = "method: {kind: simcse, temprature: 1}\ndata: {}\n"


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_list_has_a_line_for_each_recipe() -> None:
    done = run("list")
    assert done.exit_code == 0
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert set(lines) == {"name", *shipped.files()}
    assert "STS average (test, all): 76.25" in lines["simcse/wiki1m-bert-base"]
    assert "sbert_softmax → sbert_regression" in lines["sbert/nli-then-stsb-bert-base"]
    assert "sentemb recipes show NAME" in done.stderr


def test_list_as_json() -> None:
    done = run("list", "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)["recipes"]}
    assert list(rows) == list(shipped.files())
    assert rows["quickstart"]["methods"] == ["simcse"]
    assert rows["quickstart"]["encoder"] == "bundled:mini"
    assert rows["simcse/wiki1m-bert-base"]["expected"].startswith("STS average (test, all): 76.25")


def test_show_prints_the_file_as_it_is() -> None:
    assert run("show", "quickstart").stdout == shipped.files()["quickstart"].read_text(encoding="utf-8")


def test_show_resolved_writes_defaults_out_and_set_changes_them() -> None:
    resolved = yaml.safe_load(run("show", "quickstart", "--resolved").stdout)
    assert (resolved["train"]["seed"], resolved["train"]["schedule"]) == (42, "linear")
    changed = yaml.safe_load(
        run("show", "quickstart", "--set", "train.seed=7", "--set", "train.schedule=cosine").stdout
    )
    assert (changed["train"]["seed"], changed["train"]["schedule"]) == (7, "cosine")


def test_show_of_an_unknown_recipe_names_the_nearest() -> None:
    done = run("show", "quickstrat")
    assert isinstance(done.exception, ConfigError)
    assert 'Did you mean "quickstart"?' in str(done.exception)


def test_show_with_a_bad_set_is_refused() -> None:
    done = run("show", "quickstart", "--set", "train.seed=x")
    assert isinstance(done.exception, ConfigErrors)
    assert str(done.exception).startswith("--set train.seed=x: train.seed: ")


def test_validate_says_ok_for_each_shipped_recipe() -> None:
    done = run("validate", *shipped.files())
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{name}: ok" for name in shipped.files()]


def test_validate_checks_all_files_and_prints_every_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.yaml").write_text(BAD, encoding="utf-8")
    done = run("validate", "bad.yaml", "quickstart", "gone.yaml")
    assert done.exit_code == 2
    assert done.stdout.splitlines() == ["quickstart: ok"]
    starts = [
        "bad.yaml:1: method.temprature: unknown key. ",
        "bad.yaml:2: data.source: missing. ",
        "gone.yaml: no such file. ",
    ]
    lines = done.stderr.splitlines()
    assert len(lines) == len(starts)
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True))


def test_validate_with_a_set_mends_or_breaks(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("method: {kind: simcse}\ndata: {}\n", encoding="utf-8")
    assert run("validate", str(file)).exit_code == 2
    assert run("validate", str(file), "--set", "data.source=x.txt").exit_code == 0
    assert run("validate", "quickstart", "--set", "train.seed=[1]").exit_code == 2


# ------------------------------------------------------------------------------------------------ schema
def mismatch(schema: dict[str, Any], value: Any, root: dict[str, Any], path: str = "") -> str | None:
    """Why a JSON Schema refuses a value, or None. As much of JSON Schema as pydantic writes for recipes."""
    if "$ref" in schema:
        return mismatch(root["$defs"][schema["$ref"].removeprefix("#/$defs/")], value, root, path)
    for key in ("anyOf", "oneOf"):
        if key in schema:
            results = [mismatch(option, value, root, path) for option in schema[key]]
            fits = results.count(None)
            return None if fits == 1 or (key == "anyOf" and fits) else f"{path}: {results}"
    if ("const" in schema and value != schema["const"]) or ("enum" in schema and value not in schema["enum"]):
        return f"{path}: {value!r} is no choice"
    kind = schema.get("type")
    types = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool}
    if kind == "null":
        return None if value is None else f"{path}: not null"
    if kind is not None and (not isinstance(value, types[kind]) or (isinstance(value, bool) and kind != "boolean")):
        return f"{path}: {value!r} is no {kind}"
    if kind == "object":
        return _object_mismatch(schema, value, root, path)
    if kind == "array":
        items = schema.get("prefixItems") or [schema["items"]] * len(value)
        found = [mismatch(item, each, root, f"{path}[]") for item, each in zip(items, value, strict=True)]
        return next((each for each in found if each), None)
    if kind in ("integer", "number"):
        low = value < schema.get("minimum", value) or value <= schema.get("exclusiveMinimum", value - 1)
        high = value > schema.get("maximum", value) or value >= schema.get("exclusiveMaximum", value + 1)
        return f"{path}: {value} out of range" if low or high else None
    return None


def _object_mismatch(schema: dict[str, Any], value: dict[str, Any], root: dict[str, Any], path: str) -> str | None:
    if schema["additionalProperties"] is True:  # a loss's own arguments
        return None
    known = schema["properties"]
    assert schema["additionalProperties"] is False
    for key in schema.get("required", []):
        if key not in value:
            return f"{path}.{key}: missing"
    for key, each in value.items():
        found = mismatch(known[key], each, root, f"{path}.{key}") if key in known else f"{path}.{key}: unknown"
        if found:
            return found
    return None


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    done = run("schema")
    assert done.exit_code == 0
    parsed: dict[str, Any] = json.loads(done.stdout)
    return parsed


def test_the_schema_is_a_json_schema_whose_references_lead_somewhere(schema: dict[str, Any]) -> None:
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["type"] == "object"
    text = json.dumps(schema)
    names = {part.split('"')[0] for part in text.split("#/$defs/")[1:]}
    assert names == set(schema["$defs"])
    assert "exp(cos/τ)" in schema["$defs"]["SimCSEConfig"]["properties"]["temperature"]["description"]


@pytest.mark.parametrize("name", shipped.files())
def test_the_schema_accepts_every_shipped_recipe(schema: dict[str, Any], name: str) -> None:
    value = yaml.safe_load(shipped.files()[name].read_text(encoding="utf-8"))
    assert mismatch(schema, value, schema) is None


@pytest.mark.parametrize(
    "value",
    [
        yaml.safe_load(BAD),
        {"method": {"kind": "simsce"}, "data": {"source": "x"}},
        {"trian": {}},
        {"train": {"batch_size": 0}},
        {"encoder": {"pooling": "clss"}},
    ],
)
def test_the_schema_refuses_what_is_wrong(schema: dict[str, Any], value: dict[str, Any]) -> None:
    assert mismatch(schema, value, schema)


def test_help_tells_how_an_editor_uses_the_schema() -> None:
    assert "yaml-language-server" in run("schema", "--help").stdout
