"""IS-BERT (Zhang et al. 2020, arXiv 2009.12061): a sentence's embedding shares information with its own n-grams.

Convolutions of widths 1, 3 and 5 over the token states make local features, their mean over the tokens is the
embedding, at test as well: the convolutions are part of the encoder, a stock `CNN` module of sentence-transformers. As
in the authors' code there is no ReLU after them, though the paper has one, and the discriminator is the dot product.
"""

from __future__ import annotations

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import CNN
from torch import Tensor
from torch.nn.functional import pad

from sentemb.embedding import MicroBatching, embed_tokens, join_tokens, pad_id_of
from sentemb.functional.collapse import spread
from sentemb.methods.base import TrainingMethod
from sentemb.objectives.jensen_shannon import jensen_shannon_mi
from sentemb.types import Batch, LossTerms


class ISBERT(TrainingMethod):
    """The Jensen-Shannon bound on mutual information of tokens and sentences, maximised.

    Args:
        encoder: a transformer, a `CNN` and mean pooling: see `encoder.build_convolutional`.
        micro_batching: how a batch is cut for the encoder.

    Raises:
        ValueError: the encoder has no `CNN` after its transformer.
    """

    def __init__(self, encoder: SentenceTransformer, micro_batching: MicroBatching) -> None:
        super().__init__(encoder, micro_batching)
        if len(encoder) < 2 or not isinstance(encoder[1], CNN):
            raise ValueError("IS-BERT needs an encoder with convolutions over its token states")

    def encode(self, batch: Batch) -> Tensor:
        """(1 + T, B, D): the sentences, then their tokens' local features, 0 past the end of a sentence."""
        tokens = join_tokens(batch.columns[:1])
        width = int(tokens.lengths.max())

        def run(ids: Tensor, mask: Tensor) -> Tensor:
            features = self.encoder({"input_ids": ids, "attention_mask": mask})
            local = features["token_embeddings"] * mask[:, :, None]
            padded = pad(local, (0, 0, 0, width - local.shape[1]))
            return torch.cat([features["sentence_embedding"][:, None], padded], dim=1)

        return embed_tokens(run, tokens, pad_id_of(self.encoder), self.micro_batching).transpose(0, 1)

    def objective(self, embeddings: Tensor, batch: Batch) -> LossTerms:
        """The negated bound, each token with its own sentence and with all others of the batch."""
        sentences, local = embeddings[0], embeddings[1:].transpose(0, 1)
        lengths = batch.columns[0].lengths.to(local.device)
        real = torch.arange(local.shape[1], device=local.device) < lengths[:, None]
        owners = real.nonzero()[:, 0]
        loss = jensen_shannon_mi(local[real], owners, sentences)
        return LossTerms(loss, {"spread": spread(sentences)})
