"""Where the verbs write: results to stdout, progress and messages to stderr."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from sentemb.errors import OutputError


def errors_console() -> Console:
    """Messages and progress: stderr, plain lines when it is not a terminal."""
    return Console(stderr=True)


def results_console() -> Console:
    """Tables: stdout. Wide when it is piped, so that a table is never cut."""
    console = Console()
    return console if console.is_terminal else Console(width=400)


def print_json(value: Mapping[str, Any]) -> None:
    """One JSON object on stdout, for a machine to read."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def quiet_libraries() -> None:
    """Silences the chatter of the libraries (load reports, progress bars of their own)."""
    import warnings

    import transformers
    from datasets.utils.logging import disable_progress_bar

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning)


def empty_folder(path: Path, option: str = "--output") -> Path:
    """Makes sure that `path` is a folder that holds nothing yet.

    Raises:
        OutputError: it is a file, or a folder with something in it.
    """
    if path.is_file():
        raise OutputError(str(path), "is a file, not a folder", f"Name a new folder with {option}")
    if path.is_dir() and any(path.iterdir()):
        held = ", ".join(sorted(entry.name for entry in path.iterdir())[:3])
        raise OutputError(
            str(path),
            f"the folder is not empty (it holds {held})",
            f"Name a new folder with {option}, or empty this one",
        )
    return path
