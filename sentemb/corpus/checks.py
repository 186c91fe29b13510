"""What is checked before an encoding run begins: cheap, and without torch, so that a slip is told at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sentemb.corpus.manifest import FILE_NAME, Manifest, read_manifest
from sentemb.data.sources import STANDARD_INPUT, resolve
from sentemb.errors import ConfigError, OutputError, shortened


def check_inputs(inputs: Sequence[str], data_dir: Path | None) -> int | None:
    """The size of the inputs on disk in bytes; None if it is not known (standard input, the hub).

    Raises:
        DataError: an input does not exist.
        ConfigError: none is named, or standard input twice.
    """
    if not inputs:
        raise ConfigError("INPUT", "none is named", "Name a file, a glob, a folder, hf://… or - for standard input")
    if list(inputs).count(STANDARD_INPUT) > 1:
        raise ConfigError("INPUT", "- is named twice, but standard input can be read once", "Name it once")
    files = [resolve(source, data_dir) for source in inputs]
    return sum(file.stat().st_size for found in files for file in found) if all(files) else None


def check_output(output: Path, inputs: Sequence[str], *, resume: bool, overwrite: bool) -> Manifest | None:
    """The manifest of an earlier run, if there is one and it may be resumed or overwritten.

    Raises:
        OutputError: the folder holds something and neither is asked for, or it is no folder.
        ConfigError: both are asked for, or standard input is to be resumed.
    """
    if resume and overwrite:
        raise ConfigError("--resume", "can't be used with --overwrite", "Choose one of them")
    if resume and STANDARD_INPUT in inputs:
        raise ConfigError(
            "--resume", "standard input can't be read again from where it stopped", "Save it to a file and encode that"
        )
    _check_is_folder(output)
    found = read_manifest(output)
    held = sorted(entry.name for entry in output.iterdir()) if output.is_dir() else []
    held = [name for name in held if name != f".{FILE_NAME}.tmp"]
    if found is None and held:
        raise OutputError(
            str(output),
            f"the folder is not empty (it holds {', '.join(held[:3])}) and has no manifest of sentemb encode",
            "Name a new folder with --output",
        )
    if found is not None and not (resume or overwrite):
        state = "an encoded corpus" if found.status == "complete" else "an unfinished run"
        raise OutputError(
            str(output),
            f"the folder is not empty: it holds {state} of {found.rows:,} rows",
            "Use --resume to go on with it, --overwrite to begin anew, or name a new folder with --output",
        )
    return found


def _check_is_folder(output: Path) -> None:
    nearest_there = next(path for path in (output, *output.absolute().parents) if path.exists())
    if not nearest_there.is_dir():
        raise OutputError(str(nearest_there), "is a file, not a folder", "Name a new folder with --output")


def check_unchanged(output: Path, changed: Sequence[str]) -> None:
    """Refuses to resume a complete run whose inputs have changed.

    Raises:
        ConfigError: they have.
    """
    if changed:
        raise ConfigError(
            str(output / FILE_NAME),
            f"the run is complete, but its inputs have changed ({', '.join(changed)})",
            "Name a new folder with --output, or begin anew with --overwrite",
        )


def changed_inputs(before: Sequence[dict[str, Any]], now: Sequence[dict[str, Any]]) -> list[str]:
    """The names of the inputs and files that are not as they were."""

    def entries(inputs: Sequence[dict[str, Any]]) -> list[tuple[str, Any]]:
        return [
            (file.get("name", source["source"]), file) for source in inputs for file in source.get("files", [source])
        ]

    old, new = entries(before), entries(now)
    differing = [
        name for entry in (*old, *new) if entry not in new or entry not in old for name in [shortened(entry[0])]
    ]
    if not differing and old != new:
        differing = ["their order"]
    return list(dict.fromkeys(differing))
