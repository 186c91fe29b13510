"""What a recipe may say of masked language modelling: as a method of its own, and as a term beside another loss."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat

from sentemb.recipe.config import Config

MaskRate = Annotated[float, Field(gt=0, lt=1)]
Masking = Literal["tokens", "whole_words"]


class MaskedLMTerm(Config):
    """SimCSE's auxiliary term: masked language modelling on masked copies of the texts, in a pass of its own."""

    weight: PositiveFloat = 0.1
    """λ in total = contrastive + λ · masked LM (Gao et al. 2021, section 3; appendix A: 0.1)."""
    mask_rate: MaskRate = 0.15
    """Share of the tokens to predict; of these 80 % become [MASK], 10 % a random token, 10 % stay."""
    masking: Masking = "tokens"
    """Tokens are chosen one by one, as in SimCSE, or whole words with all their pieces."""


class MaskedLMConfig(Config):
    """Masked language modelling (Devlin et al. 2019, section 3.1), as a stage before others."""

    kind: Literal["mlm"]
    mask_rate: MaskRate = 0.15
    """Share of the tokens to predict; of these 80 % become [MASK], 10 % a random token, 10 % stay."""
    masking: Masking = "whole_words"
    """Whole words with all their pieces, or tokens one by one."""
    head: Literal["checkpoint", "new"] = "checkpoint"
    """The masked-LM head: the one the checkpoint holds, or a new one under the encoder's own embeddings."""
    n_held_out: NonNegativeInt = 256
    """Texts that are not trained on, the last of the source and a tenth of it at most: their masked-LM loss and
    perplexity are logged beside the dev score."""
