from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from sentemb.errors import DataError
from sentemb.metrics.bias import (
    count_words,
    frequency_correlations,
    length_correlation,
    length_difference,
    lexical_overlap,
    mean_log_frequency,
    overlap_correlation,
)

VOCABULARY = ["the", "of", "cat", "dog", "runs", "sleeps", "blue", "under", "tree", "quickly"]


def sentences_of(n: int, rng: np.random.Generator) -> list[str]:
    """Sentences of 1 to 8 words, the first words of the vocabulary most often, in mixed case."""
    odds = 1 / np.arange(1, 11)
    draws = [rng.choice(VOCABULARY, size=rng.integers(1, 9), p=odds / odds.sum()) for _ in range(n)]
    return [" ".join(word.upper() if rng.random() < 0.3 else str(word) for word in draw) + "." for draw in draws]


# ---------------------------------------------------------------- pairs
@pytest.mark.parametrize(
    ("first", "second", "overlap", "difference"),
    [
        ("A man.", "a MAN", 1.0, 0),
        ("a man", "the dog", 0.0, 0),
        ("a a a man", "a man", 1.0, 2),  # a set has no repeats, a length does
        ("a b c", "b c d e", 2 / 5, 1),
        ("Ärger, früh!", "ärger", 1 / 2, 1),
        ("...", "a", 0.0, 1),
        ("...", "", 0.0, 0),
    ],
)
def test_overlap_and_length_by_hand(first, second, overlap, difference):
    assert lexical_overlap([first], [second]).tolist() == [overlap]
    assert lexical_overlap([second], [first]).tolist() == [overlap]
    assert (
        length_difference([first], [second]).tolist() == length_difference([second], [first]).tolist() == [difference]
    )


def test_both_correlations_agree_with_loops_and_scipy(rng):
    first, second = sentences_of(60, rng), sentences_of(60, rng)
    similarities = rng.normal(size=60)
    overlaps, differences = [], []
    for a, b in zip(first, second, strict=True):
        left, right = (text.lower().rstrip(".").split() for text in (a, b))
        shared = sum(word in right for word in dict.fromkeys(left))
        overlaps.append(shared / len(dict.fromkeys(left + right)))
        differences.append(abs(len(left) - len(right)))
    assert overlap_correlation(similarities, first, second) == pytest.approx(
        stats.spearmanr(similarities, overlaps).statistic, abs=1e-12
    )
    assert length_correlation(similarities, first, second) == pytest.approx(
        stats.spearmanr(similarities, differences).statistic, abs=1e-12
    )


def test_a_bag_of_words_follows_overlap_and_its_negative_does_not(rng):
    first, second = sentences_of(80, rng), sentences_of(80, rng)
    similarities = lexical_overlap(first, second)
    assert overlap_correlation(similarities**3, first, second) == pytest.approx(1.0)
    assert overlap_correlation(-similarities, first, second) == pytest.approx(-1.0)
    assert length_correlation(-1.0 * length_difference(first, second), first, second) == pytest.approx(-1.0)


@pytest.mark.parametrize("figure", [overlap_correlation, length_correlation])
def test_no_order_is_none(figure):
    values = np.array([0.1, 0.2])
    assert figure(values, ["a b", "c d"], ["b a", "d c"]) is None
    assert figure(np.ones(2), ["a", "b"], ["a", "c d"]) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lexical_overlap(["a"], []), "lexical_overlap: 1 and 0 first and second texts can't be paired"),
        (lambda: length_difference(["a"], []), "length_difference: 1 and 0 first and second texts can't be paired"),
        (
            lambda: overlap_correlation(np.ones(3), ["a"] * 3, ["a"] * 2),
            "overlap_correlation: 3 and 2 and 3 first texts, second texts and similarities can't be paired",
        ),
        (lambda: length_correlation(np.ones(2), ["a"] * 3, ["a"] * 3), "length_correlation: 3 and 3 and 2"),
        (lambda: overlap_correlation(np.ones(1), ["a"], ["a"]), "needs 2 or more"),
        (
            lambda: overlap_correlation(np.array([np.nan, 1.0]), ["a", "b"], ["a", "c"]),
            "not all predictions are finite",
        ),
    ],
)
def test_pairs_that_do_not_fit_are_refused(call, message):
    with pytest.raises(DataError, match=message):
        call()


# ---------------------------------------------------------------- frequency
def test_mean_log_frequency_agrees_with_loops(rng):
    texts = sentences_of(30, rng)
    counts = count_words(texts)
    flat = [word for text in texts for word in text.lower().rstrip(".").split()]
    assert counts == {word: flat.count(word) for word in flat}
    expected = []
    for text in texts:
        own = text.lower().rstrip(".").split()
        expected.append(sum(math.log(flat.count(word) / len(flat)) for word in own) / len(own))
    assert_allclose(mean_log_frequency(texts, counts), expected, rtol=1e-12)


def frequency_loops(x: np.ndarray, frequencies: np.ndarray, k: int) -> tuple[float, float]:
    norms = [math.sqrt(sum(v * v for v in row)) for row in x]
    spreads = []
    for i, u in enumerate(x):
        others = [math.dist(u, v) for j, v in enumerate(x) if j != i]
        spreads.append(sum(sorted(others)[:k]) / k)
    return stats.spearmanr(norms, frequencies).statistic, stats.spearmanr(spreads, frequencies).statistic


@pytest.mark.parametrize("k", [1, 5, 39])
def test_frequency_correlations_agree_with_loops(k, rng):
    texts = sentences_of(40, rng)
    x = rng.normal(size=(40, 6)) + 2.0
    counts = count_words(texts)
    got = frequency_correlations(x, texts, counts=counts, n_neighbours=k)
    assert got == pytest.approx(frequency_loops(x, mean_log_frequency(texts, counts), k), abs=1e-12)


def test_the_pattern_of_the_table_gives_minus_one_and_its_opposite_plus_one(rng):
    """Vectors that grow with rarity are long and far apart; vectors that shrink with it the other way round."""
    texts = [" ".join(["the"] * (20 - i) + ["cat"] * i) for i in range(20)]
    counts = {"the": 1000, "cat": 3}
    rare = np.arange(1.0, 21.0)
    away = np.zeros((20, 20))
    np.fill_diagonal(away, rare)  # each on an axis of its own: ‖u − v‖² = ‖u‖² + ‖v‖²
    assert frequency_correlations(away, texts, counts=counts, n_neighbours=1) == pytest.approx((-1.0, -1.0), abs=2e-3)
    np.fill_diagonal(away, rare[::-1])
    assert frequency_correlations(away, texts, counts=counts, n_neighbours=1) == pytest.approx((1.0, 1.0), abs=2e-3)


def test_vectors_of_one_length_have_no_norm_correlation(rng):
    texts = sentences_of(30, rng)
    x = rng.normal(size=(30, 50)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    assert len(set(np.linalg.norm(x.astype(np.float64), axis=1))) > 1  # the premise: rounding tells them apart
    got = frequency_correlations(x, texts, counts=count_words(texts), n_neighbours=5)
    assert got.norm is None
    assert got.neighbour_distance is not None


def test_duplicates_are_at_distance_0_and_a_text_without_words_is_left_out(rng):
    texts = ["the cat", "the cat", "a dog", "...", "a tree the"]
    x = rng.normal(size=(5, 3)) + 50.0
    x[1] = x[0]
    counts = count_words(texts)
    got = frequency_correlations(x, texts, counts=counts, n_neighbours=1)
    known = [0, 1, 2, 4]
    norms, spreads = [], []
    for i in known:  # neighbours are sought among all five
        norms.append(math.hypot(*x[i]))
        spreads.append(min(math.dist(x[i], x[j]) for j in range(5) if j != i))
    assert spreads[:2] == [0.0, 0.0]
    frequencies = mean_log_frequency(texts, counts)[known]
    assert got.norm == pytest.approx(stats.spearmanr(np.round(norms, 4), frequencies).statistic)
    assert got.neighbour_distance == pytest.approx(stats.spearmanr(spreads, frequencies).statistic)


def test_shift_moves_the_norms_only_and_scale_and_order_nothing(rng):
    texts = sentences_of(40, rng)
    x = rng.normal(size=(40, 4))
    counts = count_words(texts)
    whole = frequency_correlations(x, texts, counts=counts, n_neighbours=5)
    assert frequency_correlations(7 * x, texts, counts=counts, n_neighbours=5) == pytest.approx(whole, abs=1e-12)
    order = rng.permutation(40)
    turned = frequency_correlations(x[order], [texts[i] for i in order], counts=counts, n_neighbours=5)
    assert turned == pytest.approx(whole, abs=1e-12)
    shifted = frequency_correlations(x + 3.0, texts, counts=counts, n_neighbours=5)
    assert shifted.neighbour_distance == pytest.approx(whole.neighbour_distance, abs=1e-12)
    assert shifted.norm != pytest.approx(whole.norm, abs=1e-3)


def test_sentences_of_one_frequency_have_no_order(rng):
    got = frequency_correlations(rng.normal(size=(4, 2)), ["a", "b", "a", "b"], counts={"a": 2, "b": 2}, n_neighbours=1)
    assert got == (None, None)


@pytest.mark.parametrize(
    ("vectors", "texts", "counts", "k", "error", "message"),
    [
        (np.eye(3), ["a", "b"], {"a": 1, "b": 1}, 1, DataError, "3 vectors of 2 sentences. Pass one vector a sentence"),
        (np.eye(2), ["a", "..."], {"a": 1}, 1, DataError, "1 of 2 sentences hold a word, but 2 or more"),
        (np.eye(2), ["a", "a c"], {"a": 1}, 1, DataError, '"c" of sentence 1 has no count'),
        (np.eye(2), ["a", "b"], {"a": 1, "b": 0}, 1, DataError, '"b" of sentence 1 has no count'),
        (np.eye(2), ["a", "b"], {"a": 1, "b": 2}, 2, DataError, "2 neighbours of each need 3 or more"),
        (np.eye(2), ["a", "b"], {"a": 1, "b": 2}, 0, ValueError, "n_neighbours must be 1 or more, not 0"),
        (np.array([[np.nan], [1.0]]), ["a", "b"], {"a": 1, "b": 2}, 1, DataError, "vector 0 holds a value"),
    ],
)
def test_what_has_no_frequency_is_refused(vectors, texts, counts, k, error, message):
    with pytest.raises(error, match=message):
        frequency_correlations(vectors, texts, counts=counts, n_neighbours=k)
