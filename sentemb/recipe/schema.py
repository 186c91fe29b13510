"""What a recipe may say. Torch-free, so that a recipe is refused before anything heavy is imported.

A default is written once, here; a YAML file holds the differences and the paper's numbers.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from sentemb.recipe.config import Config
from sentemb.recipe.objectives import ON_CLASSES, ON_SCORED_PAIRS, ObjectiveConfig
from sentemb.types import Pooler, RowType


# ------------------------------------------------------------------------------------------------ encoder
class EncoderConfig(Config):
    """The encoder to start from."""

    name: str = Field(default="bundled:mini", min_length=1)
    """Hub name, folder, or `bundled:mini`."""
    pooling: Pooler | None = None
    """How token states become one vector; none: as the folder was saved, or `mean` for a raw encoder."""
    max_tokens: Annotated[int, Field(ge=3)] | None = None
    """Longer training texts are cut to this many tokens, [CLS] and [SEP] included; evaluation never cuts shorter than
    the checkpoint allows. None: what the checkpoint allows."""


# ------------------------------------------------------------------------------------------------ methods
class MaskedLMTerm(Config):
    """SimCSE's auxiliary term: masked language modelling on masked copies of the texts, in a pass of its own."""

    weight: PositiveFloat = 0.1
    """λ in total = contrastive + λ · masked LM (Gao et al. 2021, section 3; appendix A: 0.1)."""
    mask_rate: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Share of the tokens to predict; of these 80 % become [MASK], 10 % a random token, 10 % stay."""


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
    concatenation: Literal["u,v", "|u-v|", "u*v", "|u-v|,u*v", "u,v,u*v", "u,v,|u-v|", "u,v,|u-v|,u*v"] = "u,v,|u-v|"
    """What the classifier sees of a pair (the paper's Table 6)."""


class SBERTRegressionConfig(Config):
    """SBERT's regression objective: mean squared error of cos(u, v) and the gold score in [0, 1]."""

    kind: Literal["sbert_regression"]


class SBERTTripletConfig(Config):
    """SBERT's triplet objective: max(0, ‖a − p‖ − ‖a − n‖ + margin), Euclidean, not squared."""

    kind: Literal["sbert_triplet"]
    margin: PositiveFloat = 1.0
    """ε; the paper's 1, not the 5 of sentence-transformers."""


class ProjectionConfig(Config):
    """A projection head: linear, (batch normalisation,) ReLU, linear; in training only, as in SimCLR."""

    hidden: PositiveInt = 384
    """Width of the layer between."""
    out: PositiveInt = 128
    """Width of what the objective sees."""
    batch_norm: bool = False
    """Barlow Twins' head has it."""


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


MethodConfig = Annotated[
    SimCSEConfig
    | SupervisedSimCSEConfig
    | SBERTSoftmaxConfig
    | SBERTRegressionConfig
    | SBERTTripletConfig
    | SiameseConfig
    | SentenceTransformersConfig,
    Field(discriminator="kind"),
]

ROW_TYPES: dict[str, tuple[RowType, ...]] = {
    "simcse": ("sentences",),
    "simcse_supervised": ("triplets", "pairs"),
    "sbert_softmax": ("labelled_pairs",),
    "sbert_regression": ("scored_pairs",),
    "sbert_triplet": ("triplets",),
    "siamese": ("sentences", "pairs", "labelled_sentences", "scored_pairs"),
    "sentence_transformers": ("pairs", "sentences", "labelled_sentences", "triplets", "labelled_pairs", "scored_pairs"),
}
"""The row types each method takes, its default first."""


def row_types(method: MethodConfig) -> tuple[RowType, ...]:
    """The row types that a method takes with its objective, its default first."""
    if isinstance(method, SiameseConfig):
        if method.objective.kind in ON_SCORED_PAIRS:
            return ("scored_pairs",)
        on_classes: tuple[RowType, ...] = ("labelled_sentences",) if method.objective.kind in ON_CLASSES else ()
        return ("sentences", "pairs", *on_classes)
    return ROW_TYPES[method.kind]


# ------------------------------------------------------------------------------------------------ data, training
class DataConfig(Config):
    """What to train on."""

    source: str = Field(min_length=1)
    """A file (txt, jsonl, csv, tsv, parquet; also .gz), a glob, `bundled:NAME`, `data:PATH` under the data folder, or
    `hf://owner/name[/config][/split]`."""
    rows: RowType | None = None
    """The row type; none: the one the method takes by default."""
    columns: tuple[str, ...] | None = None
    """The columns' names in the file, in the order of the row type; none: the usual names."""
    label_names: tuple[str, ...] = ("contradiction", "entailment", "neutral")
    """Labels of labelled rows; their order is the class number and is saved with the head."""
    score_range: tuple[float, float] = (0.0, 5.0)
    """Lowest and highest gold score of scored pairs; scores are scaled to [0, 1]."""
    limit: PositiveInt | None = None
    """Only the first rows."""


class TrainConfig(Config):
    """How to train. The defaults are those of the transformers trainer, which SimCSE used."""

    batch_size: PositiveInt = 64
    """Examples a step and process: the in-batch negatives an objective sees."""
    gradient_accumulation: PositiveInt = 1
    """Batches per optimiser step. Adds no in-batch negatives; for those raise batch_size with gradient_cache."""
    epochs: PositiveFloat = 1.0
    max_steps: PositiveInt | None = None
    """Stop after this many optimiser steps whatever `epochs` says."""
    learning_rate: PositiveFloat = 3e-5
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    warmup_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_decay: NonNegativeFloat = 0.0
    max_grad_norm: PositiveFloat = 1.0
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """`auto`: bfloat16 on a GPU that has it, float16 on another GPU, float32 on a CPU."""
    micro_batch_tokens: PositiveInt = 4096
    """The encoder sees a batch in length-sorted pieces of at most this many tokens; changes speed, not the loss."""
    gradient_cache: bool = False
    """Memory of one piece instead of the whole batch, for a second forward pass."""
    eval_steps: PositiveInt = 125
    """Steps between two looks at the dev score; the best encoder is kept."""
    early_stopping: PositiveInt | None = None
    """Stop after this many evaluations without a better dev score."""
    checkpoint_steps: PositiveInt | None = None
    """Steps between checkpoints to resume from; none: at every evaluation."""
    log_steps: PositiveInt = 25
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 42
    workers: NonNegativeInt = 0
    """Processes that read and tokenise; 0: the training process does it."""
    report_to: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = ()


class EvaluationConfig(Config):
    """What the run is judged by."""

    dev: str | None = "stsb-dev"
    """The task whose Spearman picks the best encoder; null: no dev evaluation, the last encoder is kept."""
    suite: str | None = "stsb"
    """Scored before training and after it, into scores.json; null: not at all."""


class Stage(Config):
    """One stage of training."""

    name: str = Field(min_length=1, pattern=r"^[A-Za-z0-9_.-]+$")
    """Names the stage's folder in the run folder."""
    method: MethodConfig
    data: DataConfig
    train: TrainConfig = TrainConfig()

    @model_validator(mode="after")
    def _rows_fit_the_method(self) -> Self:
        _check_rows(self.method, self.data)
        return self

    @property
    def row_type(self) -> RowType:
        """The row type to read: the one asked for, or the method's default."""
        return self.data.rows or row_types(self.method)[0]


class Recipe(Config):
    """A recipe: an encoder and either one `method` with its `data` and `train`, or a list of `stages`."""

    description: str | None = None
    encoder: EncoderConfig = EncoderConfig()
    method: MethodConfig | None = None
    data: DataConfig | None = None
    train: TrainConfig | None = None
    stages: tuple[Stage, ...] | None = Field(default=None, min_length=1)
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _one_stage_or_a_list(self) -> Self:
        if self.stages is not None:
            if self.method is not None or self.data is not None or self.train is not None:
                raise ValueError("give either stages, or method with data and train, not both")
            names = [stage.name for stage in self.stages]
            if len(set(names)) < len(names):
                raise ValueError("two stages have the same name; give each its own")
        elif self.method is None or self.data is None:
            missing = " and ".join(key for key in ("method", "data") if getattr(self, key) is None)
            raise ValueError(f"{missing} missing; a recipe needs method and data, or stages")
        else:
            _check_rows(self.method, self.data)
        return self

    def all_stages(self) -> tuple[Stage, ...]:
        """The stages in order; a recipe without a list is one stage named after its method."""
        if self.stages is not None:
            return self.stages
        if self.method is None or self.data is None:
            raise ValueError("a recipe without stages has a method and data")  # validation saw to it
        train = self.train or TrainConfig()
        return (Stage(name=self.method.kind, method=self.method, data=self.data, train=train),)


def _check_rows(method: MethodConfig, data: DataConfig) -> None:
    accepted = row_types(method)
    if data.rows is not None and data.rows not in accepted:
        kind = f"{method.kind} with {method.objective.kind}" if isinstance(method, SiameseConfig) else method.kind
        raise ValueError(f"data.rows is {data.rows}, but method {kind} takes {' or '.join(accepted)}")
