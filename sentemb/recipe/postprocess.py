"""What may be set of a post-processor, and all its defaults: whitening, standardising, common components, a flow."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from sentemb.recipe.config import Config

Share = Annotated[float, Field(ge=0, le=1)]
Floor = Annotated[float, Field(ge=0, lt=1)]


class WhiteningConfig(Config):
    """Mean zero and covariance one, in the directions of most variance (Su et al. 2021)."""

    kind: Literal["whitening"]
    n_components: PositiveInt | None = None
    """Dimensions kept; null: 256 of embeddings wider than that (the paper's for BERT-base), else all that vary."""
    eigenvalue_floor: Floor = 0.0
    """Smaller variances, as a fraction of the largest, are raised to it; 0 for none."""
    shrinkage: Share | Literal["ledoit_wolf"] | None = None
    """Of the covariance towards a multiple of the identity; null for none, as in the paper."""
    form: Literal["pca", "zca"] = "pca"
    """pca as in the paper; zca keeps the width and stays nearest to the embeddings."""
    ddof: Literal[0, 1] = 1
    """The covariance is divided by N - ddof; 1 as in the authors' code. Cosines don't depend on it."""


class StandardiseConfig(Config):
    """Mean zero and variance one in each dimension (for encoders: Timkey and van Schijndel 2021)."""

    kind: Literal["standardise"]
    variance_floor: Floor = 0.0
    """Smaller variances, as a fraction of the largest, are raised to it; 0 for none."""
    ddof: Literal[0, 1] = 1
    """Variances are divided by N - ddof. Cosines don't depend on it."""


class CommonComponentsConfig(Config):
    """The mean and the top principal components taken out (Mu and Viswanath 2018)."""

    kind: Literal["common_components"]
    n_removed: NonNegativeInt | None = None
    """Components taken out; null: a hundredth of the width, at least 1 (the paper's rule)."""


class FlowConfig(Config):
    """An invertible map to a standard Gaussian, by maximum likelihood (Li et al. 2020)."""

    kind: Literal["flow"]
    preset: Literal["paper", "released"] = "released"
    """The architecture: of the authors' code (3 levels, channels reversed) or of the paper (2, shuffled, residual)."""
    batch_size: Annotated[int, Field(ge=2)] = 64
    """Texts of a step; the authors' 32 pairs."""
    epochs: PositiveInt = 20
    """Passes at most; `patience` ends it earlier. The authors make 1."""
    patience: PositiveInt = 3
    """Epochs without a better likelihood of the rows held out of training."""
    held_out: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Share of the rows that this likelihood is measured on."""
    learning_rate: PositiveFloat = 1e-3
    """Constant."""
    adam_epsilon: PositiveFloat = 1e-6
    """As in the authors' code."""
    weight_decay: NonNegativeFloat = 0.01
    """Decoupled; as in the authors' code."""
    max_gradient_norm: PositiveFloat | None = 1.0
    """As in the authors' code; null for none."""
    seed: NonNegativeInt = 0
    """Of the parameters, the rows held out and their order."""


LinearConfig = WhiteningConfig | StandardiseConfig | CommonComponentsConfig
PostprocessConfig = LinearConfig | FlowConfig

KINDS: dict[str, type[PostprocessConfig]] = {
    "whitening": WhiteningConfig,
    "standardise": StandardiseConfig,
    "common_components": CommonComponentsConfig,
    "flow": FlowConfig,
}
