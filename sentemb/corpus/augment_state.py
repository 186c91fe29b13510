"""`OUTPUT.state.json`: how far an augmentation is and how it was begun; in the end, how the output was made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sentemb.corpus.settings import option
from sentemb.data.sources import STANDARD_INPUT, resolve
from sentemb.errors import ConfigError, OutputError, shortened
from sentemb.saving import write_json

_FORMAT = "sentemb augment"
_VERSION = 1
_ENDINGS = (".jsonl", ".jsonl.gz")


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentSettings:
    """The settings of one run of `sentemb augment`; a run that is resumed must have the same ones.

    Attributes:
        views: the blocks of the views that act in turn, every default written out.
        column: the column that holds the text; None: `text`, else `sentence`, else the only one.
        limit: only so many texts, from the start; None: all.
        n: pairs of each text.
        two_views: a pair is two views of a text; else the text and a view of it.
        seed: 0 ≤ seed < 2⁶³.

    Raises:
        ConfigError: a value is out of range.
    """

    views: list[dict[str, Any]]
    column: str | None = None
    limit: int | None = None
    n: int = 1
    two_views: bool = False
    seed: int = 42

    def __post_init__(self) -> None:
        for name in ("limit", "n"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(option(name), f"{value} is not 1 or more", "Give a positive whole number")
        if not 0 <= self.seed < 2**63:
            raise ConfigError("--seed", f"{self.seed} is not from 0 to 2⁶³ - 1", "Give a smaller whole number from 0")

    def to_json(self) -> dict[str, Any]:
        """The settings by name."""
        return asdict(self)


@dataclass(slots=True)
class AugmentState:
    """What is written beside the output. Holds no times, so that two equal runs write equal bytes.

    Attributes:
        settings: the fields of `AugmentSettings`.
        inputs: for each input what `sentemb.data.sources.fingerprint` says.
        texts: texts that are done; blank ones don't count.
        blank: blank texts that were left out on the way.
        rows: pairs written.
        unchanged: pairs of two equal texts among them.
        bytes: what of the part file is whole; the rest is written anew.
        digest: of the texts that are done.
        status: `running` until every text is done.
    """

    settings: dict[str, Any]
    inputs: list[dict[str, Any]]
    texts: int = 0
    blank: int = 0
    rows: int = 0
    unchanged: int = 0
    bytes: int = 0
    digest: str = ""
    status: Literal["running", "complete"] = "running"

    def to_json(self) -> dict[str, Any]:
        """The attributes by name."""
        return asdict(self)

    def count(self, texts: int, blank: int, unchanged: Sequence[bool]) -> None:
        """Adds a block of texts; `unchanged` says it of each of their pairs, `blank` is the number so far."""
        self.texts += texts
        self.blank = blank
        self.rows += len(unchanged)
        self.unchanged += sum(unchanged)

    def write(self, output: Path) -> None:
        """Writes the record of `output` in one rename."""
        write_json(state_of(output), {"format": _FORMAT, "version": _VERSION, **self.to_json()})


def part_of(output: Path) -> Path:
    """Where an output is written until it is whole.

    >>> part_of(Path("pairs.jsonl.gz")).name
    'pairs.jsonl.gz.part'
    """
    return output.with_name(f"{output.name}.part")


def state_of(output: Path) -> Path:
    """The record of an output.

    >>> state_of(Path("pairs.jsonl.gz")).name
    'pairs.jsonl.gz.state.json'
    """
    return output.with_name(f"{output.name}.state.json")


def read_state(output: Path) -> AugmentState | None:
    """The record of an output; None if it has none.

    Raises:
        OutputError: it is not one of `sentemb augment`, or is of a later version.
    """
    file = state_of(output)
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
        if (value.pop("format"), value.pop("version")) != (_FORMAT, _VERSION):
            raise ValueError(file)
        return AugmentState(**value)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise OutputError(
            str(file), "was not written by this version of sentemb augment", "Name another file with --output"
        ) from error


def check_output(
    output: Path, inputs: Sequence[str], *, data_dir: Path | None, resume: bool, overwrite: bool
) -> AugmentState | None:
    """The record of the run that is to be resumed; None where one begins. Cheap: a slip is told at once.

    Raises:
        ConfigError: another ending than .jsonl and .jsonl.gz; standard input is to be resumed; both are asked for.
        OutputError: it is a folder or one of the inputs; it is there already, or an unfinished run is, and neither is
            asked for; what is to be resumed lacks its files.
    """
    if not output.name.endswith(_ENDINGS):
        raise ConfigError("--output", f"{shortened(output.name)} ends in neither {' nor '.join(_ENDINGS)}", "Rename it")
    if resume and overwrite:
        raise ConfigError("--resume", "can't be used with --overwrite", "Choose one of them")
    if resume and STANDARD_INPUT in inputs:
        remedy = "Save it to a file and augment that"
        raise ConfigError("--resume", "standard input can't be read again from where it stopped", remedy)
    nearest_there = next(path for path in output.absolute().parents if path.exists())
    if output.is_dir() or not nearest_there.is_dir():
        place, kind = (output, "a folder, not a file") if output.is_dir() else (nearest_there, "a file, not a folder")
        raise OutputError(str(place), f"is {kind}", "Name another file with --output")
    if any(file.resolve() == output.resolve() for source in inputs for file in resolve(source, data_dir)):
        raise OutputError(str(output), "is one of the inputs", "Name another file with --output")
    if overwrite:
        return None
    found = read_state(output)
    if not resume:
        _check_nothing_there(output, found)
    elif found is None:
        _check_unrecorded(output)
    else:
        _check_files(output, found)
        return found
    return None


def _check_nothing_there(output: Path, found: AugmentState | None) -> None:
    if output.exists():
        raise OutputError(str(output), "is there already", "Name another file with --output, or use --overwrite")
    if found is not None and found.rows:
        raise OutputError(
            str(state_of(output)),
            f"an unfinished run of {found.rows:,} rows is there",
            "Use --resume to go on with it, --overwrite to begin anew, or name another file with --output",
        )
    if found is None:
        _check_unrecorded(output)


def _check_unrecorded(output: Path) -> None:
    for file in (output, part_of(output)):
        if file.exists():
            raise OutputError(
                str(file),
                f"is there already, but not {state_of(output).name}, which says how it was made",
                "Put that back, name another file with --output, or use --overwrite",
            )


def _check_files(output: Path, found: AugmentState) -> None:
    part = part_of(output)
    whole = found.status == "complete"
    file = output if whole and not part.exists() else part
    size = file.stat().st_size if file.is_file() else 0
    if size < found.bytes or (whole and size != found.bytes):
        raise OutputError(
            str(file),
            f"has {size:,} bytes, but {state_of(output).name} records {found.bytes:,}",
            "Put it back as it was, or begin anew with --overwrite",
        )


def check_same_run(output: Path, found: AugmentState, asked: AugmentState) -> None:
    """Refuses to go on with a run under other settings, naming all that differs.

    Raises:
        ConfigError: a setting differs.
    """
    differing = [
        f"{'--view' if name == 'views' else option(name)} was {_shown(found.settings.get(name))} and is {_shown(value)}"
        for name, value in asked.settings.items()
        if found.settings.get(name) != value
    ]
    if differing:
        raise ConfigError(
            str(state_of(output)),
            f"the run was begun otherwise: {'; '.join(differing)}",
            "Resume as it was begun, or name another file with --output, or use --overwrite",
        )


def _shown(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
