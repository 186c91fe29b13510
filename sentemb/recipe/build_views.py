"""From the views of a recipe to what the collator applies to each column."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from sentemb.augment.compose import Compose, OneOf, Sometimes
from sentemb.augment.contextual import ContextualSubstitution
from sentemb.augment.eda import EDA, EDAOperations
from sentemb.augment.nlpaug_view import NlpaugView
from sentemb.augment.synonyms import bundled_synonyms
from sentemb.errors import ConfigError
from sentemb.recipe import views as v
from sentemb.recipe.build_back_translation import build_back_translation
from sentemb.recipe.schema import Views
from sentemb.training.collate import ColumnView
from sentemb.types import TensorView, TextView
from sentemb.views.cutoff import FeatureCutoff, SpanCutoff, TokenCutoff

_MAX_TOKENS_PER_BATCH = 1024
"""Padded tokens that a masked language model sees at once: more is slower on a CPU, and what is drawn is the same."""


def build_views(views: Views | None) -> tuple[ColumnView, ...] | None:
    """One `ColumnView` for each list, or None where the recipe has none."""
    return None if views is None else tuple(_column_view(column) for column in views)


def _column_view(column: Sequence[v.ViewConfig]) -> ColumnView:
    texts: list[TextView] = []
    tensor: TensorView | None = None
    for config in column:
        match config:
            case v.TokenCutoffConfig() | v.SpanCutoffConfig() | v.FeatureCutoffConfig():
                tensor = build_tensor_view(config)
            case _:
                texts.append(build_text_view(config))
    return ColumnView(Compose(texts) if texts else None, tensor)


def build_text_views(configs: Sequence[v.TextViewConfig]) -> TextView:
    """One view that does what all the blocks describe, in turn."""
    return Compose([build_text_view(config) for config in configs])


def build_text_view(config: v.TextViewConfig) -> TextView:
    """The view of a text's words that a block describes.

    Raises:
        ConfigError: nlpaug or a translator is not installed or refuses what it is given; or there is no GPU where one
            is asked for.
        ModelError: the masked language model or a translation model can't be opened.
    """
    match config:
        case v.EDAConfig(mode=mode):
            operations = EDAOperations(**config.model_dump(exclude={"kind", "mode"}), synonyms=bundled_synonyms())
            return EDA(operations, mode=mode)
        case v.ContextualConfig(model=model, device=device):
            if device == "cuda" and not torch.cuda.is_available():
                raise ConfigError("contextual.device", "is cuda, but torch sees no GPU here", "Set device to cpu")
            settings = config.model_dump(exclude={"kind", "model"})
            return ContextualSubstitution(model, **settings, max_tokens_per_batch=_MAX_TOKENS_PER_BATCH)
        case v.BackTranslationConfig():
            return build_back_translation(config)
        case v.NlpaugConfig(name=name, arguments=arguments):
            return NlpaugView(name, arguments, synonyms=bundled_synonyms())
        case v.SometimesConfig(probability=probability, views=views):
            return Sometimes(build_text_views(views), probability=probability)
        case v.OneOfConfig(views=views, weights=weights):
            return OneOf([build_text_view(view) for view in views], weights=weights)


def build_tensor_view(config: v.CutoffConfig) -> TensorView:
    """The view of the embedding layer that a block describes."""
    match config:
        case v.TokenCutoffConfig(ratio=ratio):
            return TokenCutoff(ratio)
        case v.SpanCutoffConfig(ratio=ratio):
            return SpanCutoff(ratio)
        case v.FeatureCutoffConfig(ratio=ratio):
            return FeatureCutoff(ratio)
