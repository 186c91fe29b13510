"""Methods as the shipped recipes build them, on the tiny encoder and eight rows."""

from __future__ import annotations

import torch

from sentemb.recipe.build import build_method
from sentemb.recipe.loader import load_recipe
from sentemb.training.collate import Collator, RowDataset
from sentemb.types import Batch, Row
from tests.tiny import SENTENCES, tiny_encoder

SHIFTED = SENTENCES[3:] + SENTENCES[:3]
NEGATIVES = [" ".join(reversed(s.lower().strip(".").split())) + " not" for s in SENTENCES]
ROWS = {
    "sentences": [Row((text,)) for text in SENTENCES],
    "labelled_sentences": [Row((text,), i % 2) for i, text in enumerate(SENTENCES)],
    "ordered_sentences": [Row((text,), i // 3) for i, text in enumerate(SENTENCES)],
    "pairs": [Row(pair) for pair in zip(SENTENCES, SHIFTED, strict=True)],
    "triplets": [Row(texts) for texts in zip(SENTENCES, SHIFTED, NEGATIVES, strict=True)],
    "labelled_pairs": [Row(pair, i % 3) for i, pair in enumerate(zip(SENTENCES, SHIFTED, strict=True))],
    "scored_pairs": [Row(pair, i / 7) for i, pair in enumerate(zip(SENTENCES, SHIFTED, strict=True))],
}


def shipped_method(name, pooling="mean", **changes):
    """The method of a shipped recipe around the tiny encoder, with some settings changed, and a batch of eight rows."""
    torch.manual_seed(0)
    stage = load_recipe(name).recipe.all_stages()[0]
    method = type(stage.method).model_validate(stage.method.model_dump() | changes)
    stage = stage.model_copy(update={"method": method})
    built = build_method(stage.method, stage, tiny_encoder(pooling=pooling), "bundled:mini", 8)
    return built, numbered(built, ROWS[stage.row_type])


def numbered(method, rows) -> Batch:
    """The rows as a batch whose rows know their place in the data."""
    return Collator(method.encoder)([RowDataset(rows)[i] for i in range(len(rows))])
