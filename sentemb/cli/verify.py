"""`sentemb encode --verify DIR`: the report on an encoded folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape

from sentemb.cli.console import errors_console, print_json
from sentemb.cli.progress import ChangingLine

if TYPE_CHECKING:
    from sentemb.corpus.verify import Verification


def verify_folder(folder: Path, *, as_json: bool) -> None:
    """Checks a folder and says what was checked, or each fault; exit code 2 where there is one."""
    from sentemb.corpus.verify import verify

    console = errors_console()
    with ChangingLine(console, "reading") as line:
        result = verify(
            folder, on_bytes=lambda read, total: line(f"checking: {read / 1e6:,.0f} of {total / 1e6:,.0f} MB")
        )
    for fault in result.faults:
        console.print(f"[bold red]error[/] {escape(str(fault))}", soft_wrap=True, highlight=False)
    if as_json:
        print_json(_summary(result))
    elif not result.faults:
        typer.echo(
            f"{folder}: {result.rows:,} rows in {_parts(result.parts)}, {result.bytes / 1e6:,.1f} MB: checksums, "
            "shapes, dtypes and ids are those of the manifest, every number is finite, no part is stray or missing."
        )
    if result.faults:
        raise typer.Exit(2)


def _parts(count: int) -> str:
    return "1 part" if count == 1 else f"{count:,} parts"


def _summary(result: Verification) -> dict[str, Any]:
    return {
        "folder": str(result.folder),
        "status": "faulty" if result.faults else "whole",
        "rows": result.rows,
        "parts": result.parts,
        "bytes": result.bytes,
        "faults": [{"file": fault.place, "problem": fault.problem, "remedy": fault.remedy} for fault in result.faults],
    }
