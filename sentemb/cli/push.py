"""`sentemb push`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sentemb.cli.console import errors_console, print_json, results_console

if TYPE_CHECKING:
    from sentemb.hub.push import PushPlan


def push(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that sentemb export wrote.")],
    repo: Annotated[
        str, typer.Argument(metavar="USER/REPO", help="The repository on the hub; made if it is not there.")
    ],
    private: Annotated[
        bool, typer.Option("--private", help="Only for you; refused if the repository is there and public.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would go and what would stay; no network, no token.")
    ] = False,
    revision: Annotated[
        str | None, typer.Option("--revision", metavar="BRANCH", help="Branch to commit to. (default: main)")
    ] = None,
    message: Annotated[str | None, typer.Option("--message", help="Message of the commit.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """Upload an exported encoder to the Hugging Face hub.

    Only the encoder's own files and its card go: no training state, text, metrics or pickled weights. Nothing that
    is on the hub is deleted. Log in first with "hf auth login", or set HF_TOKEN.

    Example: sentemb push my-encoder me/my-encoder --private --dry-run
    """
    from sentemb.hub.push import plan_push
    from sentemb.hub.push import push as upload

    plan = plan_push(folder, repo)
    if not as_json:
        _print_plan(plan)
    url = None if dry_run else upload(plan, private=private, revision=revision, message=message)
    if as_json:
        branch = {"private": private, "revision": revision or "main"}
        print_json(plan.to_json() | branch | {"uploaded": not dry_run, "url": url})
    done = f"Uploaded: {url}" if url else "Dry run: nothing was uploaded. Leave out --dry-run to upload."
    errors_console().print(done, markup=False, highlight=False, soft_wrap=True)


def _print_plan(plan: PushPlan) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("file", "bytes", box=None, header_style="bold", pad_edge=False)
    table.columns[1].justify = "right"
    for file in plan.files:
        table.add_row(escape(file.path), f"{file.bytes:,}")
    table.add_row(f"{len(plan.files)} files for {plan.repo}", f"{plan.total_bytes:,}")
    results_console().print(table)
    if plan.left_out:
        stays = Table("left out", "why", box=None, header_style="bold", pad_edge=False)
        for entry in plan.left_out:
            stays.add_row(escape(entry.path), entry.reason)
        results_console().print(stays)
