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

import numpy as np
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import CNN, Pooling

from sentemb import __version__, assets
from sentemb.embedding import embed
from sentemb.encoder import load, save_encoder
from sentemb.errors import ConfigError, ModelError, OutputError, shortened
from sentemb.hub.card import CardOptions, EncoderFacts, model_card
from sentemb.hub.facts import RUN, SCORES, RunFacts, read_run
from sentemb.hub.privacy import is_hub_name, public_encoder
from sentemb.saving import replace_folder, write_text

TOLERANCE = 1e-5
"""Largest difference that the self-check allows in a component, for vectors whose components stay within ±1; in
proportion for larger ones (float32 rounds relative to the size of a number)."""

_FLAGS = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens", "max": "pooling_mode_max_tokens"}
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.+-]*")
_LANGUAGE = re.compile(r"multilingual|[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_SENTENCES = (
    "A man is playing a guitar.",
    "Guitar",
    "a",
    "Two people, one of them a child, are eating bread outside; the other one (who is old) reads a letter slowly.",
    "Ein Mädchen hört 音楽 — naïve café, Ωμέγα, 🙂, e\u0301.",
    "1,234.50 % of <b>this</b> is not\ttext\nbut signs & spaces   !",
    "A man is playing a guitar.",
)


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """What was checked on a written folder.

    Attributes:
        checks: each in words.
        n_texts: texts encoded by both encoders.
        largest_difference: over all components, between the encoder in memory and the reloaded folder.
        allowed: what it had to stay within.
    """

    checks: tuple[str, ...]
    n_texts: int
    largest_difference: float
    allowed: float


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
) -> ExportReport:
    """Writes an encoder with its model card, opens the result again and compares; all or nothing is left at `output`.

    Args:
        source: a run folder, a model folder, a hub name, `bundled:mini`, or an encoder in memory.
        output: a new or empty folder.
        title: heading of the card; None: the name of the output folder.
        license: identifier as the hub spells it, as apache-2.0; None: the card says that none was stated.
        languages: codes as the hub spells them, as en.

    Raises:
        ConfigError: the licence or a language is not spelled as the hub wants it.
        ModelError: the source can't be opened, or is no encoder that this can export.
        DataError: a file of the run folder is broken.
        OutputError: `output` is not empty or can't be written, or the written folder failed its check.
    """
    _check_options(license, languages)
    folder = output.expanduser().absolute()
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise OutputError(str(output), "is not an empty folder", "Name a new folder")
    encoder, run, notes = _open(source)
    facts = _encoder_facts(encoder, folder.name)
    options = CardOptions((title or "").strip() or folder.name, license, tuple(languages))
    with replace_folder(folder) as temporary:
        save_encoder(encoder, temporary)
        check = check_folder(encoder, temporary, place=str(output))
        write_text(temporary / "README.md", model_card(facts, run, options))
    files = {
        file.relative_to(folder).as_posix(): file.stat().st_size for file in sorted(folder.rglob("*")) if file.is_file()
    }
    if license is None:
        notes.append("The card names no licence; --license apache-2.0 (or another) adds one.")
    return ExportReport(output, facts.modules, facts.width, facts.max_tokens, files, check, tuple(notes))


def check_folder(encoder: SentenceTransformer, folder: Path, *, place: str | None = None) -> SelfCheck:
    """Opens a written folder with plain `SentenceTransformer(folder)` and compares it with the encoder in memory.

    The encoder in memory runs as it does in `sentemb eval`, the folder by `SentenceTransformer.encode`: what is
    published gives what was scored. Texts: short, one word, repeated, not English, longer than is read.

    Args:
        encoder: what was saved.
        folder: where to.
        place: what a message calls the folder.

    Raises:
        OutputError: a module or a key is not as it should be, the folder does not open, or vectors differ.
    """
    place = place or str(folder)
    checks = [*_check_layout(encoder, folder, place)]
    texts = [*_SENTENCES, " ".join(["guitar bread letter"] * (encoder.max_seq_length + 10))]
    expected = embed(encoder, texts)
    try:
        reloaded = SentenceTransformer(str(folder), device=str(encoder.device))
        # plain sentence-transformers convolves padding, as the card of such an encoder says: one text has none
        batch_size = 1 if any(isinstance(module, CNN) for module in encoder) else len(texts)
        found = reloaded.encode(texts, batch_size=batch_size, show_progress_bar=False)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise _failed(place, f"plain sentence-transformers does not open it ({shortened(str(error))})") from error
    if found.shape != expected.shape:
        raise _failed(
            place, f"it gives embeddings of width {found.shape[1]} when opened again, not {expected.shape[1]}"
        )
    difference = float(np.abs(found.astype(np.float64) - expected).max())
    allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    if not difference <= allowed:
        raise _failed(
            place, f"opened again it gives other vectors (by up to {difference:.2g}; allowed is {allowed:.2g})"
        )
    if reloaded.max_seq_length != encoder.max_seq_length:
        raise _failed(place, f"opened again it cuts at {reloaded.max_seq_length} tokens, not {encoder.max_seq_length}")
    checks.append("plain SentenceTransformer(folder) opens it, with no flag")
    checks.append(f"{len(texts)} texts get the same vectors as from the encoder in memory")
    return SelfCheck(tuple(checks), len(texts), difference, allowed)


def _check_layout(encoder: SentenceTransformer, folder: Path, place: str) -> list[str]:
    """Stock modules, safetensors only, and the older keys that other servers read."""
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    foreign = [module["type"] for module in modules if not module["type"].startswith("sentence_transformers.")]
    if foreign:
        raise _failed(place, f"it needs code of its own ({', '.join(foreign)}), so it would not open without a flag")
    pickled = [file.name for file in folder.rglob("*") if file.suffix in (".bin", ".pt", ".pkl", ".ckpt")]
    if pickled or (not (folder / "model.safetensors").is_file() and not any(folder.glob("model-*.safetensors"))):
        raise _failed(place, "its weights are not in safetensors form")
    for module, entry in zip(encoder, modules, strict=True):
        if isinstance(module, Pooling):
            config = json.loads((folder / entry["path"] / "config.json").read_text(encoding="utf-8"))
            flags = {mode: config.get(flag) for mode, flag in _FLAGS.items()}
            if flags != {mode: mode == module.pooling_mode for mode in _FLAGS}:
                raise _failed(
                    place, f"the pooling flags in {entry['path']}/config.json don't say {module.pooling_mode}"
                )
    limit = json.loads((folder / "sentence_bert_config.json").read_text(encoding="utf-8")).get("max_seq_length")
    if limit != encoder.max_seq_length:
        raise _failed(place, f"sentence_bert_config.json has max_seq_length {limit}, not {encoder.max_seq_length}")
    return [
        "all modules are sentence-transformers' own, all weights safetensors",
        f"the older keys are there: pooling flags, max_seq_length {limit}",
    ]


def _failed(place: str, problem: str) -> OutputError:
    remedy = "Nothing was left there; run pip check for mismatched packages, and report this if it finds none"
    return OutputError(place, f"the exported folder failed its self-check: {problem}", remedy)


def _open(source: str | Path | SentenceTransformer) -> tuple[SentenceTransformer, RunFacts, list[str]]:
    """The encoder, what its run folder tells, and notes for the user."""
    if isinstance(source, SentenceTransformer):
        return _exportable(source, "encoder"), RunFacts(), []
    name = str(source)
    folder = _run_folder(Path(name).expanduser())
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


def _encoder_facts(encoder: SentenceTransformer, folder: str) -> EncoderFacts:
    packages = ("sentence-transformers", "transformers", "torch")
    return EncoderFacts(
        folder=folder,
        modules=tuple(type(module).__name__ for module in encoder),
        width=encoder.get_embedding_dimension(),
        max_tokens=encoder.max_seq_length,
        similarity=str(getattr(encoder.similarity_fn_name, "value", encoder.similarity_fn_name)),
        versions={"sentemb": __version__, "python": platform.python_version()}
        | {name: version(name) for name in packages},
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
