"""`sentemb recipes`: the shipped recipes, and a check of your own."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from sentemb.cli.console import errors_console, print_json, results_console
from sentemb.errors import ConfigError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="List, show and check recipes. RECIPE is a YAML file or the name of a shipped recipe (quickstart).",
)

Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.PATH=VALUE", help="Change a setting: --set train.seed=1. May be repeated."),
]


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the shipped recipes with their method, encoder and expected score."""
    rows = _rows()
    if as_json:
        print_json({"recipes": rows})
        return
    from rich.table import Table

    table = Table("name", "method", "encoder", "expected", box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(row["name"], " → ".join(row["methods"]), row["encoder"], row["expected"])
    results_console().print(table)
    hint = '"sentemb recipes show NAME" prints one; "sentemb train NAME --output DIR" trains it.'
    errors_console().print(hint, highlight=False, soft_wrap=True)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe's name or file.")],
    resolved: Annotated[bool, typer.Option("--resolved", help="Write out every default.")] = False,
    overrides: Overrides = None,
) -> None:
    """Print a recipe as it is written; with --resolved or --set, as it is used."""
    from sentemb.recipe.loader import load_recipe, resolved_yaml

    loaded = load_recipe(name, overrides or [])
    if resolved or overrides:
        typer.echo(resolved_yaml(loaded.recipe), nl=False)
    else:
        typer.echo(loaded.file.read_text(encoding="utf-8"), nl=False)


@app.command()
def validate(
    names: Annotated[list[str], typer.Argument(metavar="RECIPE...", help="Recipe files or names.")],
    overrides: Overrides = None,
) -> None:
    """Check recipes and print all that is wrong in any of them. Exit code 2 when something is."""
    from sentemb.recipe.loader import load_recipe

    failed = False
    for name in names:
        try:
            load_recipe(name, overrides or [])
        except ConfigError as error:
            failed = True
            errors_console().print(str(error), markup=False, highlight=False, soft_wrap=True)
        else:
            typer.echo(f"{name}: ok")
    if failed:
        raise typer.Exit(2)


@app.command()
def schema() -> None:
    """Print the JSON Schema of a recipe, for completion and checks in an editor.

    Save it (sentemb recipes schema > recipe.schema.json) and begin a recipe with the line
    "# yaml-language-server: $schema=recipe.schema.json".
    """
    from sentemb.recipe.schema import Recipe

    print_json({"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema()})


def _rows() -> list[dict[str, Any]]:
    from sentemb.recipe import shipped
    from sentemb.recipe.loader import load_recipe

    rows = []
    for name, file in shipped.files().items():
        recipe = load_recipe(str(file)).recipe
        header = shipped.header(file)
        rows.append(
            {
                "name": name,
                "methods": [stage.method.kind for stage in recipe.all_stages()],
                "encoder": recipe.encoder.name,
                "expected": header.get("Expected", ""),
                "reproduces": header.get("Reproduces", ""),
                "file": str(file),
            }
        )
    return rows
