"""What is checked on an exported folder before it is called done: it opens elsewhere and gives the same vectors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import CNN, Pooling

from sentemb.embedding import embed
from sentemb.encoder import OWN_MODULES, needs_sentemb
from sentemb.errors import OutputError, shortened
from sentemb.hub.onnx import OnnxEncoder

Array = np.ndarray[Any, np.dtype[Any]]

TOLERANCE = 1e-5
"""Largest difference that the self-check allows in a component, for vectors whose components stay within ±1; in
proportion for larger ones (float32 rounds relative to the size of a number)."""

_FLAGS = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens", "max": "pooling_mode_max_tokens"}
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

    @classmethod
    def joined(cls, parts: Sequence[SelfCheck]) -> SelfCheck:
        """All checks as one; the difference is that of the part which came nearest to its limit."""
        worst = max(parts, key=lambda part: part.largest_difference / part.allowed)
        return replace(worst, checks=tuple(line for part in parts for line in part.checks))


def check_folder(encoder: SentenceTransformer, folder: Path, *, place: str | None = None) -> SelfCheck:
    """Opens a written folder with plain `SentenceTransformer(folder)` and compares it with the encoder in memory.

    An encoder that ends in a flow is opened with `trust_remote_code=True`, since it needs sentemb's module.

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
    texts = _texts(encoder)
    expected = embed(encoder, texts)
    flag = needs_sentemb(encoder)
    try:
        reloaded = SentenceTransformer(str(folder), device=str(encoder.device), trust_remote_code=flag)
        # plain sentence-transformers convolves padding, as the card of such an encoder says: one text has none
        batch_size = 1 if any(isinstance(module, CNN) for module in encoder) else len(texts)
        found = reloaded.encode(texts, batch_size=batch_size, show_progress_bar=False)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        raise _failed(place, f"plain sentence-transformers does not open it ({shortened(str(error))})") from error
    difference, allowed = _compare(found, expected, place, "opened again it")
    if reloaded.max_seq_length != encoder.max_seq_length:
        raise _failed(place, f"opened again it cuts at {reloaded.max_seq_length} tokens, not {encoder.max_seq_length}")
    how = "with trust_remote_code=True and sentemb installed" if flag else "with no flag"
    checks.append(f"plain SentenceTransformer(folder) opens it, {how}")
    checks.append(f"{len(texts)} texts get the same vectors as from the encoder in memory")
    return SelfCheck(tuple(checks), len(texts), difference, allowed)


def check_onnx(encoder: SentenceTransformer, folder: Path, *, place: str | None = None) -> SelfCheck:
    """Runs `encoder.onnx` of a written folder by ONNX Runtime and compares it with the encoder in memory.

    Args: as `check_folder`. Texts: the same, padded to one batch, and each alone.

    Raises:
        OutputError: vectors differ.
    """
    place = place or str(folder)
    texts = _texts(encoder)
    expected = embed(encoder, texts)
    session = OnnxEncoder(folder)
    found = np.concatenate([session(texts), *(session([text]) for text in texts)])
    difference, allowed = _compare(found, np.tile(expected, (2, 1)), place, "as ONNX it")
    line = f"encoder.onnx gives {len(texts)} texts the same vectors in ONNX Runtime, in one batch and alone"
    return SelfCheck((line,), len(texts), difference, allowed)


def _texts(encoder: SentenceTransformer) -> list[str]:
    return [*_SENTENCES, " ".join(["guitar bread letter"] * (encoder.max_seq_length + 10))]


def _compare(found: Array, expected: Array, place: str, subject: str) -> tuple[float, float]:
    """The largest difference of a component, and what is allowed."""
    if found.shape != expected.shape:
        raise _failed(place, f"{subject} gives embeddings of width {found.shape[1]}, not {expected.shape[1]}")
    difference = float(np.abs(found.astype(np.float64) - expected).max())
    allowed = TOLERANCE * max(1.0, float(np.abs(expected).max()))
    if not difference <= allowed:
        raise _failed(place, f"{subject} gives other vectors (by up to {difference:.2g}; allowed is {allowed:.2g})")
    return difference, allowed


def _check_layout(encoder: SentenceTransformer, folder: Path, place: str) -> list[str]:
    """Stock modules, safetensors only, and the older keys that other servers read."""
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    types = [module["type"] for module in modules]
    foreign = [name for name in types if not name.startswith("sentence_transformers.") and name not in OWN_MODULES]
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
        "all weights safetensors, all modules "
        + ("sentence-transformers' own but the flow" if needs_sentemb(encoder) else "sentence-transformers' own"),
        f"the older keys are there: pooling flags, max_seq_length {limit}",
    ]


def _failed(place: str, problem: str) -> OutputError:
    remedy = "Nothing was left there; run pip check for mismatched packages, and report this if it finds none"
    return OutputError(place, f"the exported folder failed its self-check: {problem}", remedy)
