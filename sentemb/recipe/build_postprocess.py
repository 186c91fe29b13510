"""From a post-processor's settings and a stream of texts to an encoder that ends in it, measured before and after."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from sentemb.data.formats import named_columns, text_column
from sentemb.data.sources import read_picked
from sentemb.embedding import embed
from sentemb.encoder import append_affine, append_flow, load, save_encoder
from sentemb.errors import ConfigError, DataError, OutputError, shortened
from sentemb.evaluation.pairs import load_pairs
from sentemb.evaluation.suite import score_encoders
from sentemb.evaluation.tasks import TASKS
from sentemb.metrics.bootstrap import Difference
from sentemb.metrics.space import SpaceReport, describe_space
from sentemb.postprocess.affine import AffinePostProcessor
from sentemb.postprocess.common_components import CommonComponents
from sentemb.postprocess.flow import Flow, FlowArchitecture
from sentemb.postprocess.flow_fit import FlowEpoch, fit_flow
from sentemb.postprocess.flow_settings import PAPER, RELEASED, FlowTraining
from sentemb.postprocess.moments import Moments
from sentemb.postprocess.spectrum import principal_axes, rounding_levels
from sentemb.postprocess.standardise import Standardise
from sentemb.postprocess.whitening import Whitening
from sentemb.recipe.postprocess import RECORD, CommonComponentsConfig, FlowConfig, LinearConfig, WhiteningConfig
from sentemb.saving import replace_folder, write_json
from sentemb.types import Embedder

Array = np.ndarray[Any, np.dtype[Any]]

MIN_DESCRIBED = 100
"""Fewer held-out texts give no figures of the space: among a handful of neighbours hubness says nothing."""

_BLOCK = 4096  # texts read, encoded and taken in at once
_N_FIRST = 8
_USUAL_WIDTH = 256  # Su et al. 2021, of 768
_TOLERANCE = 1e-4  # of a vector's length. Whitening enlarges float32 noise: 1e-5 at the full width of bundled:mini
_ARCHITECTURES = {"paper": PAPER.architecture, "released": RELEASED.architecture}


# ------------------------------------------------------------------------------------------------ texts
class HeldOut:
    """A stream of texts cut in two: of the tenth of distinct texts with the lowest hashes, the `most` lowest are kept.

    So the kept texts are drawn evenly from the whole stream, whatever its order and length; a repeated text lies on
    one side only; and the same texts give the same cut. Memory holds no more than is kept.

    Args:
        most: ≥ 0, kept at most.
    """

    def __init__(self, most: int) -> None:
        self._most, self._limit = most, 2**64 // 10 if most else 0
        self._heap: list[tuple[int, str]] = []  # the highest hash first
        self._times: Counter[str] = Counter()

    def split(self, texts: Iterable[str]) -> list[str]:
        """Those to fit on, among them earlier ones that lower hashes have driven out."""
        to_fit: list[str] = []
        for text in texts:
            number = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
            if number >= self._limit:
                to_fit.append(text)
                continue
            self._times[text] += 1
            if self._times[text] == 1:
                heapq.heappush(self._heap, (-number, text))
            if len(self._heap) > self._most:
                _, driven_out = heapq.heappop(self._heap)
                to_fit += [driven_out] * self._times.pop(driven_out)
        return to_fit

    @property
    def texts(self) -> list[str]:
        """What is kept so far, each text once, sorted."""
        return sorted(self._times)


class CorpusTexts:
    """The texts of a source for one fit, some held out, and what of STS-B is among the others.

    Args:
        source: as `sentemb.data.sources` reads it.
        columns: each a column of texts; none: `text`, else `sentence`, else the only one.
        limit: read so many texts from the start; None: all.
        held_out: texts kept from the fit, at most; never more than about a tenth.
        data_dir: the data folder.
    """

    def __init__(
        self, source: str, columns: Sequence[str], *, limit: int | None, held_out: int, data_dir: Path | None
    ) -> None:
        self._pick = named_columns(columns) if columns else text_column
        self._source, self._limit, self._data_dir = source, limit, data_dir
        self._held_out = HeldOut(held_out)
        self._sentences = {task: _sentences_of(task, data_dir) for task in ("stsb-dev", "stsb-test")}
        self._found: set[str] = set()
        self.first: list[str] = []  # of those fitted on, to look at again
        self.n_read = self.n_empty = self.n_fitted = 0

    def blocks(self) -> Iterator[list[str]]:
        """The texts to fit on, a few thousand at a time.

        Raises:
            DataError: the source can't be read, a value is no text, or no text is left to fit on.
        """
        scored = set().union(*self._sentences.values())
        texts = islice(self._texts(), self._limit)
        while block := list(islice(texts, _BLOCK)):
            self.n_read += len(block)
            to_fit = self._held_out.split(block)
            self.n_fitted += len(to_fit)
            self._found |= scored.intersection(map(_plain, to_fit))
            self.first = self.first or to_fit[:_N_FIRST]
            if to_fit:
                yield to_fit
        if not self.n_fitted:
            problem = f"{self.n_read} texts are read, and none is left to fit on"
            raise DataError(self._source, problem, "Name a corpus of a few thousand texts")

    @property
    def held_out(self) -> list[str]:
        """The texts kept from the fit."""
        return self._held_out.texts

    def overlap(self) -> dict[str, tuple[int, int]]:
        """Of each STS-B split: how many of its sentences are among the texts fitted on, and how many it has.

        Case and white space don't count; a sentence that the split holds twice counts twice.
        """
        return {
            task: (sum(times for text, times in counts.items() if text in self._found), counts.total())
            for task, counts in self._sentences.items()
        }

    def _texts(self) -> Iterator[str]:
        for record in read_picked(self._source, self._pick, data_dir=self._data_dir):
            for value in record.values:
                if value is None or not str(value).strip():
                    self.n_empty += 1
                elif isinstance(value, str):
                    yield value
                else:
                    problem = f"{shortened(value)} is not a text"
                    raise DataError(record.place, problem, "Correct the row, or name another --column")


def _sentences_of(task: str, data_dir: Path | None) -> Counter[str]:
    pairs = load_pairs(TASKS[task], data_dir)
    return Counter(map(_plain, (*pairs.first, *pairs.second)))


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


# ------------------------------------------------------------------------------------------------ fit
@dataclass(frozen=True)
class Fitted:
    """A post-processor that has learnt from a corpus.

    Attributes:
        processor: linear, or a flow.
        learnt: what the data decided, as JSON has it.
    """

    processor: AffinePostProcessor | Flow
    learnt: dict[str, Any]

    def transform(self, embeddings: Array) -> Array:
        """(N, D) float32 embeddings to (N, K) float32."""
        if isinstance(self.processor, AffinePostProcessor):
            return self.processor.transform(embeddings)
        with torch.no_grad():
            parts = [
                self.processor(torch.from_numpy(embeddings[start : start + _BLOCK]))[0].numpy()
                for start in range(0, len(embeddings), _BLOCK)
            ]
        return np.concatenate(parts)

    def append(self, encoder: SentenceTransformer) -> SentenceTransformer:
        """The encoder followed by this, on the CPU, with its prompts and its similarity."""
        if isinstance(self.processor, AffinePostProcessor):
            whole = append_affine(encoder, *map(torch.from_numpy, self.processor.affine()))
        else:
            whole = append_flow(encoder, self.processor)
        for name in ("prompts", "default_prompt_name", "similarity_fn_name"):
            setattr(whole, name, getattr(encoder, name))
        return whole


def check_width(config: LinearConfig | FlowConfig, width: int) -> None:
    """Refuses settings that don't fit embeddings of this width, before any text is read.

    Raises:
        ConfigError: more components than dimensions, or a width that the flow can't halve.
    """
    if isinstance(config, FlowConfig):
        Flow(width, _ARCHITECTURES[config.preset], generator=torch.Generator())
        return
    if isinstance(config, WhiteningConfig) and config.n_components is not None and config.n_components > width:
        problem = f"{config.n_components} dimensions, but the embeddings are {width} wide"
        raise ConfigError("--dim", problem, f"Use {width} or fewer")
    _linear(config).partial_fit(np.empty((0, width), dtype=np.float32))


def fit(
    config: LinearConfig | FlowConfig,
    width: int,
    vectors: Iterable[Array],
    *,
    on_epoch: Callable[[FlowEpoch], None] | None = None,
) -> Fitted:
    """Learns a post-processor from blocks of embeddings.

    Args:
        config: its settings.
        width: D.
        vectors: (n, D) float32 blocks, read once. A linear kind keeps their moments only, a flow all of them.
        on_epoch: told of each epoch of a flow.

    Raises:
        ConfigError, DataError: the settings don't fit, or the texts are too few or too alike.
    """
    if not isinstance(config, FlowConfig):
        moments = Moments(width)
        for block in vectors:
            moments.update(block)
        return fit_moments(config, moments)
    kept = bytearray()  # grows in place; a list of blocks would be held twice when joined
    for block in vectors:
        kept += block.astype(np.float32, copy=False).tobytes()
    rows = np.frombuffer(kept, dtype=np.float32).reshape(-1, width)
    architecture: FlowArchitecture = _ARCHITECTURES[config.preset]
    training = FlowTraining(**config.model_dump(exclude={"kind", "preset", "seed"}))
    flow, history = fit_flow(rows, architecture=architecture, training=training, seed=config.seed, on_progress=on_epoch)
    best = min(history, key=lambda epoch: epoch.held_out_bits)
    return Fitted(flow, flow.config() | {"epoch": best.epoch, "held_out_bits_per_dimension": best.held_out_bits})


def fit_moments(config: LinearConfig, moments: Moments) -> Fitted:
    """A linear post-processor from the moments of embeddings; raises as `fit`."""
    if isinstance(config, WhiteningConfig) and config.n_components is None and config.form == "pca":
        config = config.model_copy(update={"n_components": _usual_components(moments)})
    processor = _linear(config).fit_moments(moments)
    return Fitted(processor, {"width": processor.affine()[0].shape[0], **processor.settings})


def n_varying(moments: Moments) -> int:
    """How many directions have variance above rounding: D, less one after a layer norm, N − 1 at most."""
    eigenvalues, axes = principal_axes(moments.covariance(ddof=1))
    return int((eigenvalues > rounding_levels(eigenvalues, axes, moments)).sum())


def _usual_components(moments: Moments) -> int | None:
    """256, or all that vary of narrower embeddings; None, which the fit refuses, where texts are fewer than those."""
    if moments.width > _USUAL_WIDTH:
        return _USUAL_WIDTH
    return n_varying(moments) if moments.count > moments.width else None


def _linear(config: LinearConfig) -> AffinePostProcessor:
    settings = config.model_dump(exclude={"kind"})
    if isinstance(config, WhiteningConfig):
        return Whitening(**settings)
    return CommonComponents(**settings) if isinstance(config, CommonComponentsConfig) else Standardise(**settings)


# ------------------------------------------------------------------------------------------------ measure
@dataclass(frozen=True, slots=True)
class Measured:
    """What one state of the embeddings is worth.

    Attributes:
        name: what it is called.
        width: of the embeddings.
        stsb_dev: Spearman × 100 of the cosines on STS-B dev.
        difference: of it to the first state, × 1, on the same resamples; None for the first.
        space: of the held-out texts; None where they are fewer than `MIN_DESCRIBED`.
    """

    name: str
    width: int
    stsb_dev: float
    difference: Difference | None
    space: SpaceReport | None

    def to_json(self) -> dict[str, Any]:
        """By the names above, the difference × 100 with its 95 % interval."""
        found: dict[str, Any] = {"name": self.name, "width": self.width, "stsb_dev_spearman": round(self.stsb_dev, 4)}
        if self.difference is not None:
            low, high = self.difference.interval95
            found["difference"] = round(100 * self.difference.value, 4)
            found["interval95"] = [round(100 * low, 4), round(100 * high, 4)]
        return found | {"space": self.space and self.space.to_json()}


def measure(
    base: Embedder,
    transforms: Mapping[str, Callable[[Array], Array]],
    held_out: Sequence[str],
    *,
    data_dir: Path | None = None,
) -> list[Measured]:
    """STS-B dev and the figures of the space under each transform of the same embeddings, encoded once.

    Args:
        base: the encoder without a post-processor.
        transforms: name → (N, D) to (N, K); the others are compared with the first.
        held_out: texts that no transform was fitted on.
        data_dir: the data folder; STS-B dev needs none.

    Raises:
        ModelError, DataError: embeddings that have collapsed.
    """
    remembered: dict[str, Array] = {}

    def encode(texts: Sequence[str]) -> Array:
        new = [text for text in dict.fromkeys(texts) if text not in remembered]
        remembered.update(zip(new, base(new), strict=True))
        return np.stack([remembered[text] for text in texts])

    def under(transform: Callable[[Array], Array]) -> Embedder:
        return lambda texts: transform(encode(texts))

    embedders = {name: under(transform) for name, transform in transforms.items()}
    scores = score_encoders(embedders, "stsb-dev", data_dir=data_dir)
    differences = [None, *(comparison.difference for comparison in scores.comparisons)]
    probe = list(held_out) if len(held_out) >= MIN_DESCRIBED else []
    return [
        Measured(
            model.name,
            embedders[model.name](["a"]).shape[1],
            model.tasks[0].spearman["all"],
            difference,
            describe_space(embedders[model.name](probe)) if probe else None,
        )
        for model, difference in zip(scores.models, differences, strict=True)
    ]


# ------------------------------------------------------------------------------------------------ save
def save(
    encoder: SentenceTransformer, fitted: Fitted, folder: Path, record: Mapping[str, Any], texts: Sequence[str]
) -> list[str]:
    """Writes encoder, post-processor and `record` (to `RECORD`), opens the folder again and compares; all or nothing.

    Args:
        encoder: what the post-processor was fitted on; it ends on the CPU.
        fitted: what to put behind it.
        folder: where to.
        record: what is told of the fit.
        texts: whose vectors are compared with those of the fitted post-processor.

    Returns:
        What was checked, in words.

    Raises:
        OutputError: the folder can't be written to, or gives other vectors when it is opened again.
    """
    whole = fitted.append(encoder)
    expected = fitted.transform(embed(encoder, texts))
    lengths = np.linalg.norm(expected, axis=1)
    with replace_folder(folder) as temporary:
        save_encoder(whole, temporary)
        found = {"sentemb.load": embed(load(str(temporary)), texts)}
        if isinstance(fitted.processor, AffinePostProcessor):
            plain = SentenceTransformer(str(temporary), device="cpu")
            found["plain SentenceTransformer, with no flag,"] = plain.encode(list(texts), show_progress_bar=False)
        checks = []
        for opener, vectors in found.items():
            same_shape = vectors.shape == expected.shape
            difference = float((np.linalg.norm(vectors - expected, axis=1) / lengths).max()) if same_shape else np.inf
            if not difference <= _TOLERANCE:
                problem = f"opened by {opener} it gives other vectors (by {difference:.2g} of their length)"
                raise OutputError(str(folder), problem, "Nothing was written; please report this")
            checks.append(f"{opener} opens it and gives {len(texts)} texts the same vectors (to {difference:.1g})")
        write_json(temporary / RECORD, dict(record) | {"checks": checks})
    return checks
