"""From the views of a recipe to what the collator applies to each column."""

from __future__ import annotations

from sentemb.recipe import views as v
from sentemb.recipe.schema import Views
from sentemb.training.collate import ColumnView
from sentemb.types import TensorView
from sentemb.views.cutoff import FeatureCutoff, SpanCutoff, TokenCutoff


def build_views(views: Views | None) -> tuple[ColumnView, ...] | None:
    """One `ColumnView` for each list, or None where the recipe has none."""
    if views is None:
        return None
    return tuple(ColumnView(tensor=build_tensor_view(column[-1]) if column else None) for column in views)


def build_tensor_view(config: v.CutoffConfig) -> TensorView:
    """The view of the embedding layer that a block describes."""
    match config:
        case v.TokenCutoffConfig(ratio=ratio):
            return TokenCutoff(ratio)
        case v.SpanCutoffConfig(ratio=ratio):
            return SpanCutoff(ratio)
        case v.FeatureCutoffConfig(ratio=ratio):
            return FeatureCutoff(ratio)
