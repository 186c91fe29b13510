from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sentemb.mining.bm25 import BM25, words_of
from tests.oracles import mining as oracle
from tests.tiny import SENTENCES, WORDS

ODD = ["", "?!", "Straße STRASSE", "a a a a", "snake_case 3.14", "naïve café", "狗 跑"]


@pytest.mark.parametrize(("k1", "b"), [(0.9, 0.4), (1.5, 0.75), (0.0, 0.0), (2.0, 1.0)])
def test_agrees_with_the_formula_in_loops(k1, b, rng):
    made = [" ".join(rng.choice(WORDS, size=rng.integers(1, 12))) for _ in range(40)]
    texts = [*SENTENCES, *ODD, *made]
    index = BM25(texts, k1=k1, b=b)
    queries = [*SENTENCES[:3], *made[:10], *ODD, "the the dog", "nowhere"]
    scores, numbers = index.search(queries, k=len(texts))
    for query, found_scores, found in zip(queries, scores, numbers, strict=True):
        expected = oracle.bm25(query, texts, k1, b)
        n_found = sum(score > 0 for score in expected)
        assert sorted(found[:n_found]) == [i for i, score in enumerate(expected) if score > 0]
        assert (found[n_found:] == -1).all() and (found_scores[n_found:] == -np.inf).all()
        assert_allclose(found_scores[:n_found], [expected[i] for i in found[:n_found]], rtol=2e-6)
        assert (np.diff(found_scores[:n_found]) <= 0).all()


def test_a_small_k_gives_the_beginning_of_the_full_list(rng):
    texts = [" ".join(rng.choice(WORDS, size=4)) for _ in range(80)]
    index = BM25(texts, k1=0.9, b=0.4)
    scores, numbers = index.search(texts[:10], k=80)
    for k in (1, 5, 30):
        fewer_scores, fewer = index.search(texts[:10], k=k)
        assert fewer.tolist() == numbers[:, :k].tolist() and fewer_scores.tolist() == scores[:, :k].tolist()


def test_of_equal_texts_the_first_are_taken():
    index = BM25(["dog cat", "dog", "bird", "dog", "dog"], k1=0.9, b=0.4)
    assert index.search(["a dog"], k=2)[1].tolist() == [[1, 3]]
    assert index.search(["a dog"], k=5)[1].tolist() == [[1, 3, 4, 0, -1]]


def test_closed_form():
    scores, _ = BM25(["dog dog", "cat cat", "x"], k1=1.0, b=0.0).search(["dog"], k=1)
    assert_allclose(scores[0, 0], math.log(1 + 2.5 / 1.5) * 2 / 3, rtol=1e-6)


def test_texts_without_words_are_never_found():
    index = BM25(["?", "!"], k1=0.9, b=0.4)
    assert index.search(["dog", "?"], k=1)[1].tolist() == [[-1], [-1]]


def test_words():
    assert words_of("Don't  STOP, Straße_2!") == oracle.words("Don't  STOP, Straße_2!")


def test_misuse():
    with pytest.raises(ValueError, match="BM25 needs one text or more"):
        BM25([], k1=0.9, b=0.4)
    with pytest.raises(ValueError, match="k must be 1 or more, not 0"):
        BM25(["a"], k1=0.9, b=0.4).search(["a"], k=0)
