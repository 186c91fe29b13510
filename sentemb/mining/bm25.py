"""BM25 by `bm25s`: the texts that share the most telling words with a query."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_WORD = re.compile(r"\w+")


def words_of(text: str) -> list[str]:
    """The words of a text: runs of letters, digits and `_`, case folded; nothing stemmed, no stop words.

    >>> words_of("A dog's 2 bones.")
    ['a', 'dog', 's', '2', 'bones']
    """
    return _WORD.findall(text.casefold())


class BM25:
    """An index of C texts, scored as Lucene does.

    score(q, d) = Σ_{w in q} ln(1 + (C − n_w + ½) / (n_w + ½)) · f_{w,d} / (f_{w,d} + k₁ (1 − b + b |d| / avg |d|))

    n_w texts hold the word w; f_{w,d} times it stands in d, which has |d| words. A word that stands twice in q counts
    twice. (Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework: BM25 and Beyond", without
    its factor k₁ + 1, which changes no order; Kamphuis et al. 2020, "Which BM25 Do You Mean?", variant "Lucene
    (accurate)".) In float32; memory grows with the number of different words of each text.

    Args:
        texts: C strings, one or more.
        k1: k₁ ≥ 0, how much a word's repetition counts; 0.9 in Karpukhin et al. 2020 (DPR).
        b: from 0 to 1, how much a text's length counts; 0.4 there.

    >>> index = BM25(["a dog", "a cat"], k1=0.9, b=0.4)
    >>> scores, numbers = index.search(["dog"], k=2)
    >>> numbers.tolist(), round(float(scores[0, 0]), 4)  # ln(1 + 1.5 / 1.5) / (1 + 0.9)
    ([[0, -1]], 0.3648)
    """

    def __init__(self, texts: Sequence[str], *, k1: float, b: float) -> None:
        if not texts:
            raise ValueError("BM25 needs one text or more")
        import bm25s

        self._vocabulary: dict[str, int] = {}
        number_of = self._vocabulary
        corpus = [[number_of.setdefault(word, len(number_of)) for word in words_of(text)] for text in texts]
        self._index = bm25s.BM25(method="lucene", k1=k1, b=b)
        if number_of:  # else no text holds a word, and nothing is found
            # bm25s wants the words themselves only to tell ids by them, which is done here
            self._index.index((corpus, number_of), create_empty_token=False, show_progress=False)

    def search(self, queries: Sequence[str], *, k: int) -> tuple[Array, Array]:
        """The k texts with the highest scores for each of B queries, highest first; at the same score the first ones.

        Returns:
            (B, k) float32 scores and (B, k) int64 numbers of texts, −inf and −1 where fewer texts share a word with
            the query: a text that shares none is never found.
        """
        if k < 1:
            raise ValueError(f"k must be 1 or more, not {k}")
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        numbers = np.full((len(queries), k), -1, dtype=np.int64)
        for row, query in enumerate(queries):
            words = [self._vocabulary[word] for word in words_of(query) if word in self._vocabulary]
            if not words:
                continue
            found = self._index.get_scores_from_ids(words)
            best = _largest(found, k)
            scores[row, : len(best)], numbers[row, : len(best)] = found[best], best
        return scores, numbers


def _largest(values: Array, k: int) -> Array:
    """At most k numbers of values above 0, the largest value first, of equal ones the first."""
    candidates = np.flatnonzero(values)
    if len(candidates) > k:
        least = np.partition(values[candidates], -k)[-k]
        candidates = candidates[values[candidates] >= least]
    best: Array = candidates[np.argsort(-values[candidates], kind="stable")][:k]
    return best
