"""What an encoder reads of a text, and how its token states become a vector."""

from __future__ import annotations

from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense
from sentence_transformers.sentence_transformer.modules import Pooling, WeightedLayerPooling
from torch import nn


def describe_pooling(encoder: SentenceTransformer) -> str | None:
    """`mean`, `cls + tanh layer`, `first_last_avg`, `mean + linear layer`; None without a pooling module.

    Normalisation is left out, as no cosine depends on it.
    """
    words = []
    layers = ""
    for module in encoder:
        if isinstance(module, WeightedLayerPooling):
            layers = _layers(module)
        elif isinstance(module, Pooling):
            words.append(
                layers if layers and module.pooling_mode == "mean" else f"{layers} {module.pooling_mode}".strip()
            )
        elif isinstance(module, Dense):
            words.append("tanh layer" if isinstance(module.activation_function, nn.Tanh) else "linear layer")
    return " + ".join(words) or None


def _layers(module: WeightedLayerPooling) -> str:
    used = module.layer_weights.detach().nonzero().flatten().tolist()
    last = len(module.layer_weights) - 1
    if used == [0, last] and module.layer_start == 1:
        return "first_last_avg"
    return "last2_avg" if used == [last - 1, last] else "weighted layers"
