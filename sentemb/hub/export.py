"""Export: a folder that plain sentence-transformers opens with no flag, with the same vectors and a model card."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer

from sentemb import __version__, assets
from sentemb.encoder import load, needs_sentemb, save_encoder
from sentemb.errors import ConfigError, ModelError, OutputError, shortened
from sentemb.hub.card import CardOptions, EncoderFacts, model_card
from sentemb.hub.facts import RUN, SCORES, RunFacts, read_fit, read_run
from sentemb.hub.onnx import check_installed, export_onnx
from sentemb.hub.privacy import is_hub_name, public_encoder
from sentemb.hub.self_check import SelfCheck, check_folder, check_onnx
from sentemb.saving import replace_folder, write_text

_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_LANGUAGE = re.compile(r"multilingual|[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was exported.

    Attributes:
        folder: where to.
        modules: class names, in order.
        width: of the embeddings.
        max_tokens: longer texts are cut.
        files: path in the folder → bytes.
        check: the self-check, which passed.
        notes: what the user may want to add or know.
    """

    folder: Path
    modules: tuple[str, ...]
    width: int
    max_tokens: int
    files: dict[str, int]
    check: SelfCheck
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As `sentemb export --json` prints it."""
        return asdict(self) | {"folder": str(self.folder)}


def export_encoder(
    source: str | Path | SentenceTransformer,
    output: Path,
    *,
    title: str | None = None,
    license: str | None = None,
    languages: Sequence[str] = (),
    onnx: bool = False,
) -> ExportReport:
    """Writes an encoder with its model card, opens the result again and compares; all or nothing is left at `output`.

    Args:
        source: a run folder, a model folder, a hub name, `bundled:mini`, or an encoder in memory.
        output: a new or empty folder.
        title: heading of the card; None: the name of the output folder.
        license: identifier as the hub spells it, as apache-2.0; None: the card says that none was stated.
        languages: codes as the hub spells them, as en.
        onnx: also write the whole encoder, token ids in and embedding out, to `encoder.onnx`.

    Raises:
        ConfigError: the licence or a language is not spelled as the hub wants it, or what ONNX needs isn't installed.
        ModelError: the source can't be opened, or is no encoder that this can export.
        DataError: a file of the run folder is broken.
        OutputError: `output` is not empty or can't be written, or the written folder failed its check.
    """
    _check_options(license, languages)
    if onnx:
        check_installed()
    folder = output.expanduser().absolute()
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise OutputError(str(output), "is not an empty folder", "Name a new folder")
    encoder, run, notes = _open(source)
    facts = _encoder_facts(encoder, folder.name, has_onnx=onnx)
    options = CardOptions((title or "").strip() or folder.name, license, tuple(languages))
    with replace_folder(folder) as temporary:
        save_encoder(encoder, temporary)
        checks = [check_folder(encoder, temporary, place=str(output))]
        if onnx:
            export_onnx(encoder, temporary)
            checks.append(check_onnx(encoder, temporary, place=str(output)))
        write_text(temporary / "README.md", model_card(facts, run, options))
    files = {
        file.relative_to(folder).as_posix(): file.stat().st_size for file in sorted(folder.rglob("*")) if file.is_file()
    }
    if license is None:
        notes.append("The card names no licence; --license apache-2.0 (or another) adds one.")
    return ExportReport(
        output, facts.modules, facts.width, facts.max_tokens, files, SelfCheck.joined(checks), tuple(notes)
    )


def _open(source: str | Path | SentenceTransformer) -> tuple[SentenceTransformer, RunFacts, list[str]]:
    """The encoder, what its run folder tells, and notes for the user."""
    if isinstance(source, SentenceTransformer):
        return _exportable(source, "encoder"), RunFacts(), []
    name = str(source)
    folder = _run_folder(Path(name).expanduser())
    fit = read_fit(Path(name).expanduser())
    if fit is not None:
        return _exportable(load(name), name), fit, []
    if folder is None:
        encoder = _exportable(load(name), name)
        bundled_or_hub = assets.is_bundled(name) or is_hub_name(name)
        base = name if is_hub_name(name) else None
        run = RunFacts(encoder=public_encoder(name) if bundled_or_hub else None, base_model=base)
        return encoder, run, ["No run folder: the card knows no method, training data or scores."]
    if not (folder / "encoder" / "modules.json").is_file():
        raise ModelError(name, "the run has written no encoder yet", "Finish it with sentemb train --resume")
    run = read_run(folder)
    notes = []
    if run.status not in (None, "complete"):
        notes.append(f"The run is not complete (its status: {run.status}); the card says so.")
    if not run.sheet.scores:
        command = f"sentemb eval {folder} --output {folder / SCORES}"
        notes.append(f"The run has no scores, so the card has none. To add them: {command}; then export again.")
    return _exportable(load(str(folder / "encoder")), name), run, notes


def _run_folder(path: Path) -> Path | None:
    """The run folder that a path names, itself or by its `encoder/`; None for anything else."""
    for folder in (path, path.parent if path.name == "encoder" else path):
        if (folder / RUN).is_file() or (folder / "encoder" / "modules.json").is_file():
            return folder
    return None


def _exportable(encoder: SentenceTransformer, name: str) -> SentenceTransformer:
    first = encoder[0]
    if not isinstance(first, Transformer):
        kind = type(first).__name__
        raise ModelError(
            name, f"begins with the module {kind}, not with a transformer", "Copy its folder; it needs no export"
        )
    if encoder.max_seq_length is None:
        raise ModelError(name, "has no max_seq_length", "Set encoder.max_seq_length to the number of its positions")
    return encoder


def _encoder_facts(encoder: SentenceTransformer, folder: str, *, has_onnx: bool) -> EncoderFacts:
    packages = ("sentence-transformers", "transformers", "torch")
    tokenizer = encoder.tokenizer
    return EncoderFacts(
        folder=folder,
        modules=tuple(type(module).__name__ for module in encoder),
        width=encoder.get_embedding_dimension(),
        max_tokens=encoder.max_seq_length,
        similarity=str(getattr(encoder.similarity_fn_name, "value", encoder.similarity_fn_name)),
        versions={"sentemb": __version__, "python": platform.python_version()}
        | {name: version(name) for name in packages},
        needs_sentemb=needs_sentemb(encoder),
        padding=f"pad_id={tokenizer.pad_token_id}, pad_token={json.dumps(tokenizer.pad_token)}",
        has_onnx=has_onnx,
    )


def _check_options(license: str | None, languages: Sequence[str]) -> None:
    if license is not None and not _LICENSE.fullmatch(license):
        accepted = "an identifier as the hub spells it: apache-2.0, mit, cc-by-sa-4.0, other"
        raise ConfigError("--license", f"{shortened(license)} is no licence identifier", f"Use {accepted}")
    for language in languages:
        if not _LANGUAGE.fullmatch(language):
            raise ConfigError(
                "--language", f"{shortened(language)} is no language code", "Use a code such as en, de or multilingual"
            )
