"""What the methods share: texts are encoded here, so that a method's own file holds its views and its objective."""

from __future__ import annotations

from abc import ABC, abstractmethod

from sentence_transformers import SentenceTransformer
from torch import Tensor, nn

from sentemb.embedding import MicroBatching, embed_columns
from sentemb.types import Batch, LossTerms


class TrainingMethod(nn.Module, ABC):
    """A method owns the encoder and everything trained beside it; see `sentemb.types.Method`.

    Args:
        encoder: what is trained and, at the end, saved.
        micro_batching: how a batch is cut for the encoder; changes memory and speed, never the loss.
    """

    def __init__(self, encoder: SentenceTransformer, micro_batching: MicroBatching) -> None:
        super().__init__()
        self.encoder = encoder
        self.micro_batching = micro_batching

    def encode(self, batch: Batch) -> Tensor:
        """(V, B, D) float embeddings of the batch's V columns."""
        return embed_columns(self.encoder, batch.columns, self.micro_batching)

    @abstractmethod
    def objective(self, embeddings: Tensor, batch: Batch) -> LossTerms:
        """The loss of (V, B, D) embeddings."""

    def forward(self, batch: Batch) -> LossTerms:
        """The loss of a batch."""
        return self.objective(self.encode(batch), batch)

    def after_step(self, step: int) -> None:
        """Nothing to do after an optimiser step, unless a method says otherwise."""
