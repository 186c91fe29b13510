"""What embeddings follow besides meaning: shared words, length, and how frequent the words are.

Each figure is a Spearman correlation, so it says that two things go together, not that one causes the other: gold
scores follow shared words too. Compare with `spearman(gold, lexical_overlap(first, second))`.

A word is a run of letters, digits and underscores, lower-cased. Scripts that put no space between words give
whole clauses as words, for which these figures say little.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from sentemb.errors import DataError, shortened
from sentemb.metrics.correlation import spearman
from sentemb.metrics.neighbours import nearest_by_distance
from sentemb.metrics.rows import checked_rows

Array = np.ndarray[Any, np.dtype[Any]]

_WORD = re.compile(r"\w+")
_NORM_DECIMALS = 5  # of a norm over the largest; normalised float32 vectors differ by less


class FrequencyCorrelations(NamedTuple):
    """Spearman correlations of a sentence's mean log word frequency, each in [-1, 1]; None where one side is all alike.

    Attributes:
        norm: with the L2 norm of its vector; None, too, where all vectors are of one length.
        neighbour_distance: with the mean L2 distance to its k nearest vectors.
    """

    norm: float | None
    neighbour_distance: float | None


# ------------------------------------------------------------------------------------------------ pairs of sentences
def lexical_overlap(first: Sequence[str], second: Sequence[str]) -> Array:
    """The Jaccard index of the word sets of each pair: |A ∩ B| / |A ∪ B|, (P,) float64 in [0, 1].

    Two texts without a word share nothing: 0.

    Raises:
        DataError: not one second text for each first.

    >>> lexical_overlap(["A man, a plan."], ["the man"]).round(4).tolist()  # {man} of {a, man, plan, the}
    [0.25]
    """
    _check_pairs("lexical_overlap", len(first), len(second))
    sets = [(set(words(a)), set(words(b))) for a, b in zip(first, second, strict=True)]
    return np.array([len(a & b) / max(len(a | b), 1) for a, b in sets], dtype=np.float64)


def length_difference(first: Sequence[str], second: Sequence[str]) -> Array:
    """How many words the longer text of each pair has more, (P,) int64, 0 or above.

    Raises:
        DataError: not one second text for each first.

    >>> length_difference(["A man, a plan."], ["the man"]).tolist()
    [2]
    """
    _check_pairs("length_difference", len(first), len(second))
    counts = [(len(words(a)), len(words(b))) for a, b in zip(first, second, strict=True)]
    return np.array([abs(a - b) for a, b in counts], dtype=np.int64)


def overlap_correlation(similarities: Array, first: Sequence[str], second: Sequence[str]) -> float | None:
    """Spearman of the similarities of P pairs with `lexical_overlap`: high where shared words make texts similar.

    Args:
        similarities: (P,) float, finite, P ≥ 2, larger is nearer.
        first: P texts.
        second: P texts; text i is the partner of first text i.

    Returns:
        In [-1, 1], or None where all similarities or all overlaps are alike.

    Raises:
        DataError: the three differ in length, P < 2, or a similarity is not finite.

    >>> overlap_correlation(np.array([0.9, 0.5, 0.1]), ["a b", "a b", "a b"], ["a b", "b c", "c d"])
    1.0
    """
    _check_pairs("overlap_correlation", len(first), len(second), len(similarities))
    return _spearman_or_none(similarities, lexical_overlap(first, second))


def length_correlation(similarities: Array, first: Sequence[str], second: Sequence[str]) -> float | None:
    """Spearman of the similarities with `length_difference`: below 0 where texts of one length are taken as similar.

    Takes, gives and raises as `overlap_correlation`.

    >>> length_correlation(np.array([0.9, 0.5, 0.1]), ["a b", "a b", "a b"], ["c d", "c", "a b c d"])
    -1.0
    """
    _check_pairs("length_correlation", len(first), len(second), len(similarities))
    return _spearman_or_none(similarities, length_difference(first, second))


# ------------------------------------------------------------------------------------------------ word frequency
def count_words(sentences: Sequence[str]) -> Counter[str]:
    """How often each word occurs in all the sentences.

    >>> count_words(["The cat.", "the CAT sat"])["cat"]
    2
    """
    return Counter(word for sentence in sentences for word in words(sentence))


def mean_log_frequency(sentences: Sequence[str], counts: Mapping[str, int]) -> Array:
    """(N,) the mean over a sentence's words, repeats included, of ln(count / all counts); NaN without a word.

    Args:
        sentences: N texts.
        counts: > 0, of every word in them, as `count_words` gives for these or for more sentences.

    Raises:
        DataError: a word has no count.

    >>> mean_log_frequency(["b", "a a b", "..."], {"a": 2, "b": 2}).round(4).tolist()
    [-0.6931, -0.6931, nan]
    """
    total = sum(counts.values())
    means = np.full(len(sentences), np.nan)
    for index, sentence in enumerate(sentences):
        own = words(sentence)
        unknown = [word for word in own if not counts.get(word)]
        if unknown:
            problem = f"{shortened(unknown[0])} of sentence {index} has no count"
            raise DataError("mean_log_frequency", problem, "Count the words of these sentences too")
        if own:
            means[index] = np.mean([np.log(counts[word] / total) for word in own])
    return means


def frequency_correlations(
    vectors: Array, sentences: Sequence[str], *, counts: Mapping[str, int], n_neighbours: int
) -> FrequencyCorrelations:
    """Whether sentences of frequent words lie nearer to 0 and closer together, after Table 1 of Li et al. 2020.

    That table (BERT-flow, section 2.2) is of *word embeddings* of BERT by rank of frequency in Wikipedia: the mean
    L2 norm rises from 0.95 (the 100 most frequent) to 1.45, the mean L2 distance to the 5 nearest from 0.83 to 1.34.
    Here the same two are read off *sentence* vectors, with the mean log frequency of the sentence's words in `counts`
    in place of the rank. The paper argues that what holds for words carries over to sentences, and doesn't measure it;
    nor is it the same quantity: a mean over many words is short whatever their frequency, so length is mixed in. Where
    the table's pattern carries over, both figures are below 0.

    Args:
        vectors: (N, D) float, finite, as the encoder gives them: normalised ones have no norm to correlate.
        sentences: N texts. Those without a word are neighbours of others, but not correlated.
        counts: > 0, of every word in the sentences; `count_words(sentences)` for the corpus itself.
        n_neighbours: k, from 1 to N − 1; the table has 3, 5 and 7.

    Raises:
        DataError: not one sentence a vector, fewer than 2 sentences with words, a word without a count, a value that
            is not finite, or N ≤ k.
        ValueError: k < 1.

    >>> vectors, texts = np.array([[1.0], [2.0], [4.0]]), ["a a a", "a b", "b"]
    >>> frequency_correlations(vectors, texts, counts=count_words(texts), n_neighbours=1)
    FrequencyCorrelations(norm=-1.0, neighbour_distance=-0.866025...)
    """
    place = "frequency_correlations"
    rows = checked_rows(place, vectors, 1)
    if len(sentences) != len(rows):
        raise DataError(place, f"{len(rows)} vectors of {len(sentences)} sentences", "Pass one vector a sentence")
    frequencies = mean_log_frequency(sentences, counts)
    known = ~np.isnan(frequencies)
    if known.sum() < 2:
        problem = f"{known.sum()} of {len(sentences)} sentences hold a word, but 2 or more are needed"
        raise DataError(place, problem, "Pass sentences with words")
    norms = np.linalg.norm(rows, axis=1)
    nearest = nearest_by_distance(place, rows, n_neighbours)
    distances = np.mean([np.linalg.norm(rows - rows[column], axis=1) for column in nearest.T], axis=0)
    relative_norms = np.round(norms / max(norms.max(), np.finfo(np.float64).tiny), _NORM_DECIMALS)
    return FrequencyCorrelations(
        norm=_spearman_or_none(relative_norms[known], frequencies[known]),
        neighbour_distance=_spearman_or_none(distances[known], frequencies[known]),
    )


# ------------------------------------------------------------------------------------------------ shared
def words(text: str) -> list[str]:
    """The lower-cased words of a text, in order.

    >>> words("Don't panic, 42!")
    ['don', 't', 'panic', '42']
    """
    return _WORD.findall(text.lower())


def _spearman_or_none(values: Array, others: Array) -> float | None:
    if len(values) > 1 and any((side == side[0]).all() for side in (values, others)):
        return None
    return spearman(values, others)


def _check_pairs(place: str, *lengths: int) -> None:
    if len(set(lengths)) > 1:
        given = " and ".join(str(length) for length in lengths)
        names = "first texts, second texts and similarities" if len(lengths) == 3 else "first and second texts"
        raise DataError(place, f"{given} {names} can't be paired", "Pass one of each a pair")
