"""From a `back_translation` block to its view."""

from __future__ import annotations

from pathlib import Path

import torch

from sentemb.augment.back_translation import BackTranslation
from sentemb.augment.translation_cache import TranslationCache, default_folder
from sentemb.augment.translators import Translate
from sentemb.augment.translators_apertium import ApertiumTranslator
from sentemb.augment.translators_bergamot import BergamotTranslator
from sentemb.errors import ConfigError
from sentemb.recipe.views import BackTranslationConfig

_TEXTS_PER_CALL = 64
"""A few seconds of work of the slowest backend: what a kill costs at most."""
_MAX_TOKENS_PER_BATCH = {"cpu": 1024, "cuda": 8192}
"""Padded source tokens; the translations are the same."""


def build_back_translation(config: BackTranslationConfig) -> BackTranslation:
    """The view that a block describes.

    Raises:
        ConfigError: the backend is not installed or lacks a model, or there is no GPU where one is asked for.
        ModelError: a translation model can't be opened.
    """
    forward, backward = _translators(config)
    folder = default_folder() if config.cache is None else Path(config.cache).expanduser()
    return BackTranslation(
        forward,
        backward,
        cache=TranslationCache(folder),
        min_length_ratio=config.min_length_ratio,
        texts_per_call=_TEXTS_PER_CALL,
    )


def _translators(config: BackTranslationConfig) -> tuple[Translate, Translate]:
    source, pivot = config.source_language, config.pivot_language
    match config.backend:
        case "bergamot":
            return BergamotTranslator("en-pt"), BergamotTranslator("pt-en")
        case "apertium":
            there, back = source or "eng", pivot or "spa"
            return ApertiumTranslator(f"{there}-{back}"), ApertiumTranslator(f"{back}-{there}")
        case "transformers":
            there, back = _models(config)
            return _transformers(config, there, source, pivot), _transformers(config, back, pivot, source)


def _models(config: BackTranslationConfig) -> tuple[str, str]:
    """The models there and back."""
    if config.forward_model is None:
        problem = "is missing, and the transformers backend needs it"
        raise ConfigError("back_translation.forward_model", problem, "Name a translation model: a folder or a hub name")
    if config.backward_model is None and None in (config.source_language, config.pivot_language):
        raise ConfigError(
            "back_translation.backward_model",
            "is missing, and forward_model can't go both ways without source_language and pivot_language",
            "Name the model that translates back, or give both languages",
        )
    return config.forward_model, config.backward_model or config.forward_model


def _transformers(config: BackTranslationConfig, model: str, source: str | None, target: str | None) -> Translate:
    # only here, as the others need no transformers
    from sentemb.augment.translators_transformers import BeamSearch, Sampling, TransformersTranslator

    device = config.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    elif device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("back_translation.device", "is cuda, but torch sees no GPU here", "Set device to auto")
    temperature = config.sampling_temperature
    return TransformersTranslator(
        model,
        decoding=BeamSearch(config.n_beams) if temperature is None else Sampling(temperature),
        max_new_tokens=config.max_new_tokens,
        max_tokens_per_batch=_MAX_TOKENS_PER_BATCH[device],
        device=device,
        source_language=source,
        target_language=target,
    )
