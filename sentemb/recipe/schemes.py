"""What a recipe may say of the schemes that keep something beside the encoder: a queue, a bank, clusters, a copy."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from sentemb.recipe.config import Config
from sentemb.recipe.masked_lm import MaskedLMTerm

Momentum = Annotated[float, Field(ge=0, le=1)]


class ProjectionConfig(Config):
    """A projection head: linear, (batch normalisation,) ReLU, linear; in training only, as in SimCLR."""

    hidden: PositiveInt = 384
    """Width of the layer between."""
    out: PositiveInt = 128
    """Width of what the objective sees."""
    batch_norm: bool = False
    """Barlow Twins' head has it."""


class MoCHiConfig(Config):
    """Further negatives, made of the queue's hardest for each query (Kalantidis et al. 2020)."""

    n_hardest: PositiveInt = 64
    """Rows of the queue that are mixed; the paper takes 1024 of 65,536."""
    n_mixed: NonNegativeInt = 64
    """Mixtures of two of them."""
    n_query_mixed: NonNegativeInt = 16
    """Mixtures of one of them with the query."""
    from_step: NonNegativeInt = 0
    """None is made before this step, while the queue still holds noise."""


class MoCoConfig(Config):
    """Momentum contrast: a query, its key, and a queue of earlier keys (He et al. 2020; v2: Chen et al. 2020)."""

    kind: Literal["moco"]
    head: Literal["linear", "mlp"] = "mlp"
    """On top in training: linear as in MoCo, or an MLP as in v2."""
    out: PositiveInt = 128
    """Width of the keys."""
    temperature: PositiveFloat = 0.2
    """τ in exp(cos/τ); MoCo 0.07, v2 0.2."""
    momentum: Momentum = 0.999
    """m of the key encoder; a short run needs less."""
    queue_size: PositiveInt = 65536
    """K keys; at least a batch, and better well below the training rows."""
    mochi: MoCHiConfig | None = None
    mlm: MaskedLMTerm | None = None

    @model_validator(mode="after")
    def _mixes_what_is_there(self) -> Self:
        if self.mochi and self.mochi.n_hardest > self.queue_size:
            raise ValueError(f"mochi.n_hardest is {self.mochi.n_hardest}, but queue_size is {self.queue_size}")
        return self


class BYOLConfig(Config):
    """One view's target embedding predicted from the other, without negatives (Grill et al. 2020)."""

    kind: Literal["byol"]
    hidden: PositiveInt = 4096
    """Width inside projector and predictor."""
    out: PositiveInt = 256
    """Width of the projections."""
    batch_norm: bool = True
    """In projector and predictor; without it the embeddings collapse more easily."""
    momentum: Momentum = 0.996
    """m that the target network starts with; it rises to 1 at the last step."""


class SwAVConfig(Config):
    """Each view's prototype code predicted from the other views (Caron et al. 2020)."""

    kind: Literal["swav"]
    projection: ProjectionConfig = ProjectionConfig(hidden=2048, out=128, batch_norm=True)
    """The head on top in training."""
    n_prototypes: Annotated[int, Field(ge=2)] = 3000
    """K; batch and queue together should not be far below it."""
    temperature: PositiveFloat = 0.1
    """τ of the predictions."""
    epsilon: PositiveFloat = 0.05
    """ε of the codes; 0.03 when the loss stays at ln K."""
    n_iterations: PositiveInt = 3
    """Of Sinkhorn-Knopp."""
    freeze_steps: NonNegativeInt = 313
    """Steps before the prototypes begin to move."""
    queue_size: NonNegativeInt = 0
    """Rows of earlier batches that share in the codes; 0 for none (the paper: 3840 for small batches)."""
    queue_from_step: NonNegativeInt = 0
    """Steps before they do."""


class DeepClusterConfig(Config):
    """The clusters of the embeddings as the classes of an epoch (Caron et al. 2018)."""

    kind: Literal["deep_cluster"]
    n_clusters: Annotated[int, Field(ge=2)] = 10000
    """k; at most the training rows."""
    n_components: PositiveInt = 256
    """Dimensions that PCA keeps before k-means."""
    n_iterations: PositiveInt = 20
    """Of k-means."""
    classifier_learning_rate: PositiveFloat = 0.05
    """Of the classifier's own SGD."""


class InstanceDiscriminationConfig(Config):
    """Each text a class of its own, against a memory bank (Wu et al. 2018)."""

    kind: Literal["instance_discrimination"]
    projection: ProjectionConfig | None = None
    """The head on top in training; null: one linear layer to `out`, as in the paper."""
    out: PositiveInt = 128
    """Width of the bank's entries, without a projection."""
    n_noise: PositiveInt = 4096
    """K entries drawn for each text."""
    temperature: PositiveFloat = 0.07
    """τ in exp(cos/τ)."""
    bank_momentum: Momentum = 0.5
    """m in v ← norm(m v + (1 − m) f)."""
    proximal_weight: NonNegativeFloat = 0.0
    """λ of the step from the old entry: 30 in the paper, left out in its code."""


class ISBERTConfig(Config):
    """Mutual information of a sentence and its n-grams, by convolutions that stay at test (Zhang et al. 2020)."""

    kind: Literal["is_bert"]
    channels: PositiveInt = 256
    """Of each of the convolutions 1, 3 and 5 wide; the embedding is three times as wide."""
    activation: Literal["none", "relu"] = "none"
    """After the convolutions: none as in the authors' code, or the paper's ReLU."""
    discriminator: Literal["dot_product", "encode_and_dot"] = "dot_product"
    """T of a token and a sentence: their product as in the authors' code, or, as the paper has a network, that of what
    two networks make of them (Hjelm et al. 2019); those are dropped at test."""
    mlm: MaskedLMTerm | None = None


class QuickThoughtConfig(Config):
    """A sentence's neighbours told from the other sentences of the batch (Logeswaran & Lee 2018, Eq. 2)."""

    kind: Literal["quick_thought"]
    encoders: Literal["separate", "tied"] = "separate"
    """f of a sentence and g of its candidates: two encoders that start alike, or one that is both."""
    context_size: PositiveInt = 1
    """Sentences before and after, each, that are neighbours."""
    own_score: Literal["excluded", "zero"] = "excluded"
    """A sentence is no candidate for itself (the paper), or one with the score 0 (the authors' code)."""
    documents: Literal["apart", "joined"] = "apart"
    """Whether the sentences on both sides of a document's end are no neighbours; the authors' code joins them."""
    mlm: MaskedLMTerm | None = None
