"""From a post-processor's settings and a stream of embeddings to an encoder that ends in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from sentemb.embedding import embed
from sentemb.encoder import append_affine, append_flow, load, save_encoder
from sentemb.errors import ConfigError, OutputError
from sentemb.hub.facts import FIT
from sentemb.postprocess.affine import AffinePostProcessor
from sentemb.postprocess.common_components import CommonComponents
from sentemb.postprocess.flow import Flow, FlowArchitecture
from sentemb.postprocess.flow_fit import FlowEpoch, fit_flow
from sentemb.postprocess.flow_settings import PAPER, RELEASED, FlowTraining
from sentemb.postprocess.moments import Moments
from sentemb.postprocess.spectrum import principal_axes, rounding_levels
from sentemb.postprocess.standardise import Standardise
from sentemb.postprocess.whitening import Whitening
from sentemb.recipe.postprocess import (
    CommonComponentsConfig,
    FlowConfig,
    LinearConfig,
    PostprocessConfig,
    WhiteningConfig,
)
from sentemb.saving import replace_folder, write_json

Array = np.ndarray[Any, np.dtype[Any]]

_AT_ONCE = 4096  # rows through a flow at once
_USUAL_WIDTH = 256  # Su et al. 2021, of 768
_TOLERANCE = 1e-4  # of a vector's length. Whitening enlarges float32 noise: 1e-5 at the full width of bundled:mini
_ARCHITECTURES = {"paper": PAPER.architecture, "released": RELEASED.architecture}


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
                self.processor(torch.from_numpy(embeddings[start : start + _AT_ONCE]))[0].numpy()
                for start in range(0, len(embeddings), _AT_ONCE)
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


def check_width(config: PostprocessConfig, width: int, *, place: str = "--dim") -> None:
    """Refuses settings that don't fit embeddings of this width, before any text is read.

    Args:
        config: the settings.
        width: D.
        place: where the user says how many dimensions are kept.

    Raises:
        ConfigError: more components than dimensions, or a width that the flow can't halve.
    """
    if isinstance(config, FlowConfig):
        Flow(width, _ARCHITECTURES[config.preset], generator=torch.Generator())
        return
    if isinstance(config, WhiteningConfig) and config.n_components is not None and config.n_components > width:
        problem = f"{config.n_components} dimensions, but the embeddings are {width} wide"
        raise ConfigError(place, problem, f"Use {width} or fewer")
    _linear(config).partial_fit(np.empty((0, width), dtype=np.float32))


def fit(
    config: PostprocessConfig,
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


# ------------------------------------------------------------------------------------------------ save
def save(
    encoder: SentenceTransformer, fitted: Fitted, folder: Path, record: Mapping[str, Any], texts: Sequence[str]
) -> list[str]:
    """Writes encoder, post-processor and `record` (to `FIT`), opens the folder again and compares; all or nothing.

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
        write_json(temporary / FIT, dict(record) | {"checks": checks})
    return checks
