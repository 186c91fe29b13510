"""What a recipe may say of the views of a text: what becomes of its words, and of its embedding layer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sentemb.recipe.config import Config

Ratio = Annotated[float, Field(ge=0, lt=1)]


class TokenCutoffConfig(Config):
    """Tokens drawn one by one are cut at the embedding layer (Shen et al. 2020)."""

    kind: Literal["token_cutoff"]
    ratio: Ratio = 0.1
    """Share of a text's tokens; special ones are never cut."""


class SpanCutoffConfig(Config):
    """A run of tokens is cut at the embedding layer (Shen et al. 2020)."""

    kind: Literal["span_cutoff"]
    ratio: Ratio = 0.1
    """Share of a text's tokens; special ones are never cut."""


class FeatureCutoffConfig(Config):
    """Columns of the embedding layer are cut, others for each text (Shen et al. 2020)."""

    kind: Literal["feature_cutoff"]
    ratio: Ratio = 0.1
    """Share of the columns."""


CutoffConfig = Annotated[TokenCutoffConfig | SpanCutoffConfig | FeatureCutoffConfig, Field(discriminator="kind")]
"""Views of the embedding layer."""

ViewConfig = CutoffConfig
"""All views."""

TENSOR_VIEWS = ("token_cutoff", "span_cutoff", "feature_cutoff")
