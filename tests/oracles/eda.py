"""EDA by enumeration: every outcome of an operation on a few words with its probability, from the paper's section 2."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable

Outcomes = dict[tuple[str, ...], float]
Synonyms = Callable[[str], tuple[str, ...]]


def _collected(outcomes: Iterable[tuple[tuple[str, ...], float]]) -> Outcomes:
    total: Outcomes = defaultdict(float)
    for words, probability in outcomes:
        total[tuple(" ".join(words).split())] += probability
    return dict(total)


def synonym_replacement(words: tuple[str, ...], n: int, synonyms: Synonyms, stop: Collection[str]) -> Outcomes:
    """n different non-stop words with synonyms, each with one of its synonyms, everywhere."""
    candidates = sorted({word for word in words if word not in stop and synonyms(word)})
    chosen = list(itertools.combinations(candidates, min(n, len(candidates))))
    outcomes = []
    for keys in chosen:
        ways = list(itertools.product(*(synonyms(key) for key in keys)))
        for way in ways:
            new = dict(zip(keys, way, strict=True))
            outcomes.append((tuple(new.get(word, word) for word in words), 1 / len(chosen) / len(ways)))
    return _collected(outcomes)


def random_insertion(words: tuple[str, ...], n: int, synonyms: Synonyms, stop: Collection[str]) -> Outcomes:
    """n times a synonym of a non-stop word of the text, before any word."""
    candidates = [word for word in words if word not in stop and synonyms(word)]
    outcomes: dict[tuple[str, ...], float] = {words: 1.0}
    for _ in range(n if candidates else 0):
        after: dict[tuple[str, ...], float] = defaultdict(float)
        for text, probability in outcomes.items():
            for word, place in itertools.product(candidates, range(len(text))):
                for synonym in synonyms(word):
                    p = probability / len(candidates) / len(text) / len(synonyms(word))
                    after[(*text[:place], synonym, *text[place:])] += p
        outcomes = after
    return _collected(outcomes.items())


def random_swap(words: tuple[str, ...], n: int) -> Outcomes:
    """n times two different places."""
    outcomes: dict[tuple[str, ...], float] = {words: 1.0}
    pairs = list(itertools.combinations(range(len(words)), 2))
    for _ in range(n if pairs else 0):
        after: dict[tuple[str, ...], float] = defaultdict(float)
        for text, probability in outcomes.items():
            for i, j in pairs:
                swapped = [*text]
                swapped[i], swapped[j] = text[j], text[i]
                after[tuple(swapped)] += probability / len(pairs)
        outcomes = after
    return dict(outcomes)


def random_deletion(words: tuple[str, ...], p: float) -> Outcomes:
    """Each word dropped with probability p; a lone one never; of all dropped one stays."""
    if len(words) == 1:
        return {words: 1.0}
    outcomes: Outcomes = defaultdict(float)
    for mask in itertools.product((True, False), repeat=len(words)):
        probability = 1.0
        for keep in mask:
            probability *= 1 - p if keep else p
        if any(mask):
            outcomes[tuple(itertools.compress(words, mask))] += probability
        else:
            for word in words:
                outcomes[(word,)] += probability / len(words)
    return {words: probability for words, probability in outcomes.items() if probability > 0}
