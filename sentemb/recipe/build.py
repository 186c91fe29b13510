"""From a validated recipe to objects: the one place that knows both the schema and the classes."""

from __future__ import annotations

from sentence_transformers import SentenceTransformer

from sentemb.embedding import MicroBatching
from sentemb.encoder import append_tanh_layer, build_encoder, load
from sentemb.errors import ConfigError
from sentemb.methods.base import TrainingMethod
from sentemb.methods.masked_lm import MaskedLMTerm
from sentemb.methods.sbert import SBERTRegression, SBERTSoftmax, SBERTTriplet
from sentemb.methods.sentence_transformers_loss import SentenceTransformersLoss
from sentemb.methods.siamese import Siamese, projection_head
from sentemb.methods.simcse import SimCSE, train_only_head
from sentemb.recipe.build_objective import build_objective
from sentemb.recipe.schema import (
    EncoderConfig,
    SBERTRegressionConfig,
    SBERTSoftmaxConfig,
    SBERTTripletConfig,
    SentenceTransformersConfig,
    SiameseConfig,
    SimCSEConfig,
    Stage,
    SupervisedSimCSEConfig,
)


def build_first_encoder(config: EncoderConfig) -> SentenceTransformer:
    """The encoder that the first stage starts from."""
    return load(config.name) if config.pooling is None else build_encoder(config.name, config.pooling)


def build_method(stage: Stage, encoder: SentenceTransformer, checkpoint: str) -> TrainingMethod:
    """The stage's method around `encoder`.

    Args:
        stage: a stage of a validated recipe.
        encoder: what is trained; a `kept` head is appended to it.
        checkpoint: the name the recipe's encoder was made from (a masked-LM head is read from there).
    """
    cut = MicroBatching(stage.train.micro_batch_tokens, stage.train.gradient_cache)
    match stage.method:
        case SimCSEConfig() | SupervisedSimCSEConfig():
            return _simcse(stage.method, encoder, checkpoint, cut)
        case SBERTSoftmaxConfig(concatenation=mode):
            labels = stage.data.label_names
            return SBERTSoftmax(encoder, n_labels=len(labels), concatenation=mode, micro_batching=cut)
        case SBERTRegressionConfig():
            return SBERTRegression(encoder, cut)
        case SBERTTripletConfig(margin=margin):
            return SBERTTriplet(encoder, margin=margin, micro_batching=cut)
        case SiameseConfig():
            return _siamese(stage.method, encoder, cut)
        case SentenceTransformersConfig(loss=loss, arguments=arguments):
            return SentenceTransformersLoss(encoder, loss=loss, arguments=arguments, micro_batching=cut)


def _siamese(config: SiameseConfig, encoder: SentenceTransformer, cut: MicroBatching) -> Siamese:
    head, width = config.projection, encoder.get_embedding_dimension()
    seen = head.out if head else width
    if config.matryoshka and max(config.matryoshka) > seen:
        raise ConfigError(
            "method.matryoshka", f"{max(config.matryoshka)} is wider than the {seen} there are", "Lower it"
        )
    return Siamese(
        encoder,
        objective=build_objective(config.objective),
        head=projection_head(width, head.hidden, head.out, batch_norm=head.batch_norm) if head else None,
        normalised=config.normalised,
        dims=config.matryoshka,
        micro_batching=cut,
    )


def _simcse(
    config: SimCSEConfig | SupervisedSimCSEConfig, encoder: SentenceTransformer, checkpoint: str, cut: MicroBatching
) -> SimCSE:
    if config.head == "kept":
        encoder = append_tanh_layer(encoder)
    mlm = config.mlm
    return SimCSE(
        encoder,
        temperature=config.temperature,
        head=train_only_head(encoder) if config.head == "train_only" else None,
        hard_negative_weight=config.hard_negative_weight if isinstance(config, SupervisedSimCSEConfig) else 1.0,
        masked_lm=MaskedLMTerm(encoder, checkpoint, weight=mlm.weight, mask_rate=mlm.mask_rate) if mlm else None,
        micro_batching=cut,
    )
