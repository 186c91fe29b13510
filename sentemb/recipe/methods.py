"""What a recipe may say of its method: one block a method, torch-free. Post-processors are in `postprocess.py`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from sentemb.recipe.config import Config
from sentemb.recipe.masked_lm import MaskedLMConfig, MaskedLMTerm
from sentemb.recipe.objectives import ON_CLASSES, ON_SCORED_PAIRS, ObjectiveConfig
from sentemb.recipe.postprocess import KINDS, PostprocessConfig
from sentemb.recipe.schemes import (
    BYOLConfig,
    DeepClusterConfig,
    InstanceDiscriminationConfig,
    ISBERTConfig,
    MoCoConfig,
    ProjectionConfig,
    QuickThoughtConfig,
    SwAVConfig,
)
from sentemb.recipe.views import CutoffConfig
from sentemb.types import RowType

Concatenation = Literal["u,v", "|u-v|", "u*v", "|u-v|,u*v", "u,v,u*v", "u,v,|u-v|", "u,v,|u-v|,u*v"]
"""What a classifier of pairs sees (Reimers & Gurevych 2019, Table 6)."""


class SimCSEConfig(Config):
    """Unsupervised SimCSE (Gao et al. 2021, Eq. 4): two dropout passes of a sentence are its positive pair."""

    kind: Literal["simcse"]
    temperature: PositiveFloat = 0.05
    """τ in exp(cos/τ)."""
    head: Literal["none", "train_only", "kept"] = "train_only"
    """The D → D tanh layer on top: none, used in training and dropped at test (the paper's choice), or kept."""
    mlm: MaskedLMTerm | None = None


class SupervisedSimCSEConfig(Config):
    """Supervised SimCSE (Gao et al. 2021, Eq. 5): entailment as positive, contradiction as hard negative."""

    kind: Literal["simcse_supervised"]
    temperature: PositiveFloat = 0.05
    """τ in exp(cos/τ)."""
    hard_negative_weight: PositiveFloat = 1.0
    """α, the weight of the anchor's own hard negative in the denominator (Eq. 8)."""
    head: Literal["none", "train_only", "kept"] = "kept"
    """As in unsupervised SimCSE; the paper keeps it at test here."""
    mlm: MaskedLMTerm | None = None


class SBERTSoftmaxConfig(Config):
    """SBERT's classification objective (Reimers & Gurevych 2019, section 3): softmax(W [u; v; |u − v|])."""

    kind: Literal["sbert_softmax"]
    concatenation: Concatenation = "u,v,|u-v|"
    """What the classifier sees of a pair (the paper's Table 6)."""


class SBERTRegressionConfig(Config):
    """SBERT's regression objective: mean squared error of cos(u, v) and the gold score in [0, 1]."""

    kind: Literal["sbert_regression"]


class SBERTTripletConfig(Config):
    """SBERT's triplet objective: max(0, ‖a − p‖ − ‖a − n‖ + margin), Euclidean, not squared."""

    kind: Literal["sbert_triplet"]
    margin: PositiveFloat = 1.0
    """ε; the paper's 1, not the 5 of sentence-transformers."""


class SiameseConfig(Config):
    """One encoder, two dropout views of a sentence (or the texts of a pair), and any objective on their embeddings."""

    kind: Literal["siamese"]
    objective: ObjectiveConfig
    projection: ProjectionConfig | None = None
    """The head on top in training; null: the embeddings themselves."""
    normalised: bool = False
    """L2-normalise before the objective; for objectives on distances, whose margins are then comparable."""
    matryoshka: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] | None = None
    """Widths of prefixes on each of which the objective is taken as well (Kusupati et al. 2022)."""


class SentenceTransformersConfig(Config):
    """Any loss of sentence-transformers, by its class name and arguments."""

    kind: Literal["sentence_transformers"]
    loss: str = Field(min_length=1)
    """`MultipleNegativesRankingLoss`, `CoSENTLoss`, `BatchHardTripletLoss`, …"""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """The class's arguments without `model`; a function by its name (`util.dot_score`), a guide by its model name, an
    inner loss as {name, arguments}."""


class GISTConfig(Config):
    """InfoNCE on pairs or triplets whose false negatives a guide encoder leaves out (Solatorio 2024)."""

    kind: Literal["gist"]
    guide: str = Field(min_length=1)
    """The guide: a hub name, a folder, or `bundled:mini`; read out as it was saved."""
    temperature: PositiveFloat = 0.01
    """τ in exp(cos/τ)."""


class CutoffSoftmaxConfig(Config):
    """SBERT's classification of pairs, consistent over cut views (Shen et al. 2020)."""

    kind: Literal["cutoff_softmax"]
    view: CutoffConfig
    """How a text is cut."""
    n_views: PositiveInt = 1
    """Cut views of each pair."""
    cut_weight: NonNegativeFloat = 1.0
    """a, of the cut views' cross-entropy."""
    consistency_weight: NonNegativeFloat = 1.0
    """b, of the divergence."""
    consistency: Literal["jensen_shannon", "reversed"] = "jensen_shannon"
    """The paper's divergence, or what its code computes."""
    concatenation: Concatenation = "u,v,|u-v|"
    """What the classifier sees of a pair."""


TrainedMethodConfig = Annotated[
    SimCSEConfig
    | SupervisedSimCSEConfig
    | SBERTSoftmaxConfig
    | SBERTRegressionConfig
    | SBERTTripletConfig
    | SiameseConfig
    | GISTConfig
    | CutoffSoftmaxConfig
    | MoCoConfig
    | BYOLConfig
    | SwAVConfig
    | DeepClusterConfig
    | InstanceDiscriminationConfig
    | ISBERTConfig
    | QuickThoughtConfig
    | MaskedLMConfig
    | SentenceTransformersConfig,
    Field(discriminator="kind"),
]

MethodConfig = Annotated[TrainedMethodConfig | PostprocessConfig, Field(discriminator="kind")]
"""What is trained, or fitted on the embeddings of an encoder that stays as it is."""

N_TEXTS: dict[RowType, int] = {
    "sentences": 1,
    "labelled_sentences": 1,
    "pairs": 2,
    "triplets": 3,
    "labelled_pairs": 2,
    "scored_pairs": 2,
    "ordered_sentences": 1,
}
"""The texts of a row of each type."""

ROW_TYPES: dict[str, tuple[RowType, ...]] = {
    "simcse": ("sentences",),
    "simcse_supervised": ("triplets", "pairs"),
    "sbert_softmax": ("labelled_pairs",),
    "sbert_regression": ("scored_pairs",),
    "sbert_triplet": ("triplets",),
    "siamese": ("sentences", "pairs", "labelled_sentences", "scored_pairs"),
    "gist": ("triplets", "pairs"),
    "cutoff_softmax": ("labelled_pairs",),
    "moco": ("sentences", "pairs"),
    "byol": ("sentences", "pairs"),
    "swav": ("sentences", "pairs"),
    "deep_cluster": ("sentences",),
    "instance_discrimination": ("sentences",),
    "is_bert": ("sentences",),
    "quick_thought": ("ordered_sentences",),
    "mlm": ("sentences",),
    "sentence_transformers": ("pairs", "sentences", "labelled_sentences", "triplets", "labelled_pairs", "scored_pairs"),
    **dict.fromkeys(KINDS, ("sentences",)),
}
"""The row types each method takes, its default first."""

_ONE_VIEW = ("deep_cluster", "instance_discrimination", "is_bert", "mlm", "quick_thought")
_MANY_VIEWS = ("swav", "sentence_transformers")


def row_types(method: MethodConfig) -> tuple[RowType, ...]:
    """The row types that a method takes with its objective, its default first."""
    if isinstance(method, SiameseConfig):
        if method.objective.kind in ON_SCORED_PAIRS:
            return ("scored_pairs",)
        on_classes: tuple[RowType, ...] = ("labelled_sentences",) if method.objective.kind in ON_CLASSES else ()
        return ("sentences", "pairs", *on_classes)
    return ROW_TYPES[method.kind]


def view_range(method: MethodConfig, row_type: RowType) -> tuple[int, int | None]:
    """How many views of a row a method takes: at least, and at most or None for any number."""
    if N_TEXTS[row_type] > 1:
        return N_TEXTS[row_type], N_TEXTS[row_type]
    if method.kind in _ONE_VIEW:
        return 1, 1
    is_on_classes = isinstance(method, SiameseConfig) and method.objective.kind in ON_CLASSES
    return 2, None if is_on_classes or method.kind in _MANY_VIEWS else 2


def described(method: MethodConfig) -> str:
    """The method's kind, and its objective's if it has one of several."""
    return f"{method.kind} with {method.objective.kind}" if isinstance(method, SiameseConfig) else method.kind
