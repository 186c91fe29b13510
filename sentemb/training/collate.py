"""Rows of text to a tokenised batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from sentence_transformers import SentenceTransformer
from torch.utils.data import Dataset

from sentemb.embedding import tokenise
from sentemb.types import Batch, Row


class RowDataset(Dataset[Row]):
    """Rows in memory, as torch wants them."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Row:
        return self.rows[index]


@dataclass(frozen=True)
class Collator:
    """B rows → a `Batch` of V tokenised columns and, if the rows have targets, a (B,) tensor of them.

    Attributes:
        encoder: whose tokenizer is used.
        max_tokens: longer texts are cut; None: at the encoder's own limit.
    """

    encoder: SentenceTransformer
    max_tokens: int | None = None

    def __call__(self, rows: Sequence[Row]) -> Batch:
        """One batch; column c holds text c of every row."""
        columns = zip(*(row.texts for row in rows), strict=True)
        tokens = tuple(tokenise(self.encoder, texts, self.max_tokens) for texts in columns)
        targets = [row.target for row in rows]
        if targets[0] is None:
            return Batch(tokens)
        dtype = torch.float32 if isinstance(targets[0], float) else torch.int64
        return Batch(tokens, torch.tensor(targets, dtype=dtype))
