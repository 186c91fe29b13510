"""The masked-LM term that SimCSE and others may add (Gao et al. 2021, section 3 and appendix A)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import AutoModelForMaskedLM

from sentemb import assets
from sentemb.embedding import MicroBatching, embed_tokens, join_tokens, pad_id_of
from sentemb.errors import ModelError
from sentemb.objectives.masked_lm import mask_tokens
from sentemb.types import Tokens


class MaskedLMTerm(nn.Module):
    """Masked language modelling on masked copies of the texts, in a forward pass of its own.

    The head comes from the pre-trained checkpoint; the transformer under it is the encoder's own.

    Args:
        encoder: whose transformer is trained.
        checkpoint: the hub name or folder the encoder was made from; it must hold a masked-LM head.
        weight: λ > 0 in total = contrastive + λ · masked LM; the paper uses 0.1.
        mask_rate: in (0, 1); the paper uses 0.15.

    Raises:
        ModelError: the checkpoint holds no masked-LM head.
    """

    def __init__(self, encoder: SentenceTransformer, checkpoint: str, *, weight: float, mask_rate: float) -> None:
        super().__init__()
        self.weight, self.mask_rate = weight, mask_rate
        path = str(assets.path(checkpoint)) if assets.is_bundled(checkpoint) else checkpoint
        try:
            model, info = AutoModelForMaskedLM.from_pretrained(path, dtype=torch.float32, output_loading_info=True)
        except (OSError, ValueError) as error:
            raise _no_head(checkpoint) from error
        if info["missing_keys"]:
            raise _no_head(checkpoint)
        setattr(model, model.base_model_prefix, encoder[0].model)
        model.get_output_embeddings().weight = encoder[0].model.get_input_embeddings().weight
        self.model = model
        tokenizer = encoder.tokenizer
        self.mask_id, self.pad_id = tokenizer.mask_token_id, pad_id_of(encoder)
        self.special_ids = torch.tensor(tokenizer.all_special_ids)

    def forward(self, columns: Sequence[Tokens], micro_batching: MicroBatching) -> Tensor:
        """() mean cross-entropy in nats over the masked tokens of all columns; 0 when none was drawn."""
        tokens = join_tokens(columns)
        sums = embed_tokens(self._sum_and_count, tokens, self.pad_id, micro_batching).sum(0)
        return sums[0] / sums[1].clamp(min=1)

    def _sum_and_count(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(B, 2): per row the summed cross-entropy and the number of masked tokens."""
        maskable = mask.bool() & ~torch.isin(ids, self.special_ids.to(ids.device))
        size = self.model.config.vocab_size
        corrupted, chosen = mask_tokens(ids, maskable, rate=self.mask_rate, mask_id=self.mask_id, vocabulary_size=size)
        logits = self.model(input_ids=corrupted, attention_mask=mask).logits
        losses = cross_entropy(logits[chosen].float(), ids[chosen], reduction="none")
        per_row = losses.new_zeros(len(ids)).index_add(0, chosen.nonzero()[:, 0], losses)
        return torch.stack([per_row, chosen.sum(1).to(per_row.dtype)], dim=1)


def _no_head(checkpoint: str) -> ModelError:
    return ModelError(
        checkpoint,
        "the masked-LM term needs a checkpoint with a masked-LM head, and this one has none",
        "Remove method.mlm from the recipe, or start from another encoder",
    )
