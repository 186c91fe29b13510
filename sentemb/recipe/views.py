"""What a recipe may say of the views of a text: what becomes of its words, and of its embedding layer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sentemb.recipe.config import Config

Ratio = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class EDAConfig(Config):
    """Small random edits of a text's words: synonyms, insertions, swaps, deletions (Wei & Zou 2019)."""

    kind: Literal["eda"]
    mode: Literal["one_of", "compose"] = "one_of"
    """One of the operations that are on, as in the paper, or all in turn."""
    alpha_sr: Share = 0.1
    """Share of the words that synonyms replace; 0 turns the operation off."""
    alpha_ri: Share = 0.1
    """Share of the words for which a synonym is inserted somewhere."""
    alpha_rs: Share = 0.1
    """Share of the words that are swapped with another."""
    alpha_rd: Share = 0.1
    """Probability with which a word is deleted."""
    cleaning: Literal["gentle", "reference"] = "gentle"
    """Keep case, digits and punctuation, or strip them as the authors' code does."""
    insertion: Literal["content_words", "all_words"] = "content_words"
    """Whose synonyms are inserted: the paper leaves stop words out, its code does not."""


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

ViewConfig = Annotated[
    EDAConfig | TokenCutoffConfig | SpanCutoffConfig | FeatureCutoffConfig, Field(discriminator="kind")
]
"""All views: those of words first, a view of the embedding layer last."""

TENSOR_VIEWS = ("token_cutoff", "span_cutoff", "feature_cutoff")
