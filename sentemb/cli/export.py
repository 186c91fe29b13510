"""`sentemb export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sentemb.cli.console import empty_folder, errors_console, print_json, quiet_libraries


def export(
    source: Annotated[
        str, typer.Argument(metavar="RUN_OR_MODEL", help='A run folder, a model folder, a hub name or "bundled:mini".')
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write; new or empty.")],
    name: Annotated[
        str | None, typer.Option("--name", help="Heading of the model card. (default: the folder's name)")
    ] = None,
    license: Annotated[
        str | None, typer.Option("--license", help="Licence as the hub spells it: apache-2.0, mit, cc-by-sa-4.0 …")
    ] = None,
    language: Annotated[list[str] | None, typer.Option("--language", help="Language code, as en. Repeatable.")] = None,
    onnx: Annotated[
        bool,
        typer.Option(
            "--onnx", help="Also write encoder.onnx: token ids in, embedding out. Needs sentemb's extra onnx."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written and checked as JSON.")] = False,
) -> None:
    """Write an encoder that plain sentence-transformers opens, with a model card.

    The folder is opened again and must give the same vectors as the encoder in memory; else nothing is left of it. So
    must encoder.onnx in ONNX Runtime.

    An encoder that ends in a flow opens with sentemb.load, or with trust_remote_code=True where sentemb is installed;
    its encoder.onnx needs neither.

    Example: sentemb export runs/quickstart --output my-encoder --license apache-2.0 --language en
    """
    empty_folder(output)
    quiet_libraries()
    from sentemb.hub.export import export_encoder

    report = export_encoder(source, output, title=name, license=license, languages=language or (), onnx=onnx)
    if as_json:
        print_json(report.to_json())
    else:
        check, megabytes = report.check, sum(report.files.values()) / 1e6
        typer.echo(f"{output}: {len(report.files)} files, {megabytes:.1f} MB, embeddings of width {report.width}")
        for line in check.checks:
            typer.echo(f"checked: {line}")
        typer.echo(f"largest difference: {check.largest_difference:.2g} (allowed: {check.allowed:.2g})")
    for note in (*report.notes, f"Next: sentemb push {output} USER/REPO --dry-run"):
        errors_console().print(note, markup=False, highlight=False, soft_wrap=True)
