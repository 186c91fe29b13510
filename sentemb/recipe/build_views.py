"""From the views of a recipe to what the collator applies to each column."""

from __future__ import annotations

from collections.abc import Sequence

from sentemb.augment.compose import Compose
from sentemb.augment.eda import EDA, EDAOperations
from sentemb.augment.synonyms import bundled_synonyms
from sentemb.recipe import views as v
from sentemb.recipe.schema import Views
from sentemb.training.collate import ColumnView
from sentemb.types import TensorView, TextView
from sentemb.views.cutoff import FeatureCutoff, SpanCutoff, TokenCutoff


def build_views(views: Views | None) -> tuple[ColumnView, ...] | None:
    """One `ColumnView` for each list, or None where the recipe has none."""
    return None if views is None else tuple(_column_view(column) for column in views)


def _column_view(column: Sequence[v.ViewConfig]) -> ColumnView:
    texts: list[TextView] = []
    tensor: TensorView | None = None
    for config in column:
        if isinstance(config, v.EDAConfig):
            texts.append(build_text_view(config))
        else:
            tensor = build_tensor_view(config)
    return ColumnView(Compose(texts) if texts else None, tensor)


def build_text_view(config: v.EDAConfig) -> TextView:
    """The view of a text's words that a block describes."""
    operations = EDAOperations(**config.model_dump(exclude={"kind", "mode"}), synonyms=bundled_synonyms())
    return EDA(operations, mode=config.mode)


def build_tensor_view(config: v.CutoffConfig) -> TensorView:
    """The view of the embedding layer that a block describes."""
    match config:
        case v.TokenCutoffConfig(ratio=ratio):
            return TokenCutoff(ratio)
        case v.SpanCutoffConfig(ratio=ratio):
            return SpanCutoff(ratio)
        case v.FeatureCutoffConfig(ratio=ratio):
            return FeatureCutoff(ratio)
