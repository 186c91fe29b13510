"""What a recipe may say of the objective of a siamese method: one block an objective, torch-free."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat

from sentemb.recipe.config import Config

Share = Annotated[float, Field(ge=0, lt=1)]


# ------------------------------------------------------------------------------- two views of a text, or pairs
class InfoNCEConfig(Config):
    """InfoNCE with in-batch negatives, view 1 → view 2 (van den Oord et al. 2018; Gao et al. 2021, Eq. 4)."""

    kind: Literal["info_nce"]
    temperature: PositiveFloat = 0.05
    """τ in exp(cos/τ)."""


class NTXentConfig(Config):
    """SimCLR's NT-Xent over 2B rows: both directions, same-view negatives (Chen et al. 2020)."""

    kind: Literal["nt_xent"]
    temperature: PositiveFloat = 0.05
    """τ in exp(cos/τ); the paper uses 0.1 to 0.5, on images."""


class NPairConfig(Config):
    """Multi-class N-pair over raw dot products, with a penalty on the embeddings' length (Sohn 2016)."""

    kind: Literal["n_pair"]
    l2_weight: NonNegativeFloat = 0.02
    """λ in ℓ + λ (‖f‖² + ‖f⁺‖²) / 2."""


class NCEConfig(Config):
    """Binary NCE: a pair told from uniform noise pairs, with a learnt normaliser (Gutmann & Hyvärinen 2010)."""

    kind: Literal["nce"]
    temperature: PositiveFloat = 0.05
    """τ in log p = cos/τ − log Z."""


class CLIPConfig(Config):
    """Symmetric cross-entropy with a learnt scale (Radford et al. 2021)."""

    kind: Literal["clip"]
    temperature: PositiveFloat = 0.07
    """1 / the scale that learning starts from."""
    max_scale: PositiveFloat = 100.0
    """The scale is held at or below this."""


class DebiasedConfig(Config):
    """Debiased contrastive loss: false negatives subtracted (Chuang et al. 2020)."""

    kind: Literal["debiased"]
    temperature: PositiveFloat = 0.05
    """τ in exp(cos/τ); the paper uses 0.5, on images."""
    tau_plus: Share = 0.1
    """τ⁺, the share of the negatives that are positives in truth; the bound it rests on is loose at a small τ."""


class HardNegativeConfig(DebiasedConfig):
    """Debiased, and negatives weighted by how near they are (Robinson et al. 2021)."""

    kind: Literal["hard_negative"]  # type: ignore[assignment]
    beta: NonNegativeFloat = 1.0
    """β in the weights exp(β cos/τ); 0 is the debiased loss."""


class AlignUniformConfig(Config):
    """Alignment plus uniformity on the unit sphere (Wang & Isola 2020)."""

    kind: Literal["align_uniform"]
    alpha: PositiveFloat = 2.0
    """The power of the distance of a positive pair."""
    t: PositiveFloat = 2.0
    """t in log E exp(−t ‖x − y‖²)."""
    uniformity_weight: PositiveFloat = 1.0
    """Weight of uniformity beside alignment."""


class BarlowTwinsConfig(Config):
    """Cross-correlation of the two views brought to the identity (Zbontar et al. 2021)."""

    kind: Literal["barlow_twins"]
    off_diagonal_weight: PositiveFloat = 0.0051
    """λ; what suits depends on the width."""


class MixupConfig(Config):
    """InfoNCE with mixed anchors (mixup, Zhang et al. 2018; on representations, Lee et al. 2021)."""

    kind: Literal["mixup"]
    temperature: PositiveFloat = 0.05
    """τ in exp(cos/τ)."""
    alpha: PositiveFloat = 1.0
    """λ ~ Beta(α, α)."""


# ------------------------------------------------------------------------------- rows with classes
class ContrastiveConfig(Config):
    """Contrastive loss over all pairs of rows, Euclidean (Chopra et al. 2005, Hadsell et al. 2006)."""

    kind: Literal["contrastive"]
    margin: PositiveFloat = 1.0
    """ε, beyond which rows of two classes are left alone."""


class TripletConfig(Config):
    """Triplets mined from the batch (Schroff et al. 2015, Hermans et al. 2017)."""

    kind: Literal["triplet"]
    mining: Literal["batch_all", "batch_hard", "semi_hard"] = "semi_hard"
    """Which triplets of the batch count."""
    squared: bool = True
    """FaceNet's squared distance of normalised rows; false: the Euclidean distance of the rows as they are."""
    margin: PositiveFloat = 0.2
    """ε; FaceNet uses 0.2."""


class LiftedStructuredConfig(Config):
    """Lifted structured loss (Song et al. 2016)."""

    kind: Literal["lifted_structured"]
    form: Literal["smooth", "hard"] = "smooth"
    """All negatives by log-sum-exp, as trained in the paper, or the nearest one."""
    margin: PositiveFloat = 1.0
    """ε."""


class SoftNearestNeighbourConfig(Config):
    """Soft nearest neighbour loss (Salakhutdinov & Hinton 2007, Frosst et al. 2019)."""

    kind: Literal["soft_nearest_neighbour"]
    distance: Literal["cosine", "squared_euclidean"] = "cosine"
    temperature: PositiveFloat = 0.05
    """τ in exp(−d/τ), or where learning starts."""
    learn_temperature: bool = False
    """Learn log τ beside the encoder (Frosst et al. 2019, section 2)."""


class SupConConfig(Config):
    """Supervised contrastive loss (Khosla et al. 2020)."""

    kind: Literal["sup_con"]
    form: Literal["out", "in"] = "out"
    """The sum over the positives outside the logarithm (the paper's choice) or inside."""
    temperature: PositiveFloat = 0.05
    """τ in exp(cos/τ); the paper uses 0.1."""


# ------------------------------------------------------------------------------- scored pairs
class CoSENTConfig(Config):
    """The order of scored pairs, by their cosines (CoSENT, Su 2022)."""

    kind: Literal["cosent"]
    temperature: PositiveFloat = 0.05
    """τ; sentence-transformers' scale is its inverse."""


class AnglEConfig(Config):
    """The order of scored pairs, by their angles in the complex plane (Li & Li 2023)."""

    kind: Literal["angle"]
    temperature: PositiveFloat = 0.05
    """τ; sentence-transformers' scale is its inverse."""


ObjectiveConfig = Annotated[
    InfoNCEConfig
    | NTXentConfig
    | NPairConfig
    | NCEConfig
    | CLIPConfig
    | DebiasedConfig
    | HardNegativeConfig
    | AlignUniformConfig
    | BarlowTwinsConfig
    | MixupConfig
    | ContrastiveConfig
    | TripletConfig
    | LiftedStructuredConfig
    | SoftNearestNeighbourConfig
    | SupConConfig
    | CoSENTConfig
    | AnglEConfig,
    Field(discriminator="kind"),
]

ON_SCORED_PAIRS = ("cosent", "angle")
"""The objectives that need gold scores; the others take sentences or pairs."""

ON_CLASSES = ("contrastive", "triplet", "lifted_structured", "soft_nearest_neighbour", "sup_con")
"""The objectives that take labelled sentences as well; without labels each sentence or pair is a class of its own."""
