"""Mining in plain loops: exact search, BM25 from its formula, the rules for a negative."""

from __future__ import annotations

import math


def nearest(queries, corpus, k):
    """(scores, numbers) of each query: all inner products, sorted; level ones in the corpus's order."""
    results = []
    for query in queries:
        scores = [sum(float(x) * float(y) for x, y in zip(query, row, strict=True)) for row in corpus]
        order = sorted(range(len(corpus)), key=lambda i: (-scores[i], i))[:k]
        results.append(([scores[i] for i in order], order))
    return results


def words(text):
    found, word = [], ""
    for character in text.casefold() + " ":
        if character.isalnum() or character == "_":
            word += character
        elif word:
            found.append(word)
            word = ""
    return found


def bm25(query, texts, k1, b):
    """The score of each text: Lucene's idf and saturation."""
    documents = [words(text) for text in texts]
    average = sum(len(document) for document in documents) / len(documents)
    scores = []
    for document in documents:
        total = 0.0
        for word in words(query):
            frequency = document.count(word)
            if frequency:
                holding = sum(word in other for other in documents)
                idf = math.log(1 + (len(documents) - holding + 0.5) / (holding + 0.5))
                total += idf * frequency / (frequency + k1 * (1 - b + b * len(document) / average))
        scores.append(total)
    return scores


def negatives(pairs, corpus, cosine, *, n, skip, window, limits):
    """Of each pair at most n texts of the corpus: the whole procedure for nearest-first, from its words."""

    def same(one, other):
        return one.lower().split() == other.lower().split()

    result = []
    for anchor, positive in pairs:
        own = [p for a, p in pairs if same(a, anchor)]
        weakest = min(cosine(anchor, p) for p in own)
        ranked = sorted(corpus, key=lambda text: -cosine(anchor, text))
        ranked = [text for text in ranked if not any(same(text, other) for other in [anchor, *own])]
        kept = []
        for text in ranked[skip : skip + window]:
            score = cosine(anchor, text)
            margin, part = limits.get("absolute_margin"), limits.get("relative_margin")
            if margin is not None and score > weakest - margin:
                continue
            if part is not None and score > weakest - part * abs(weakest):
                continue
            if score > limits.get("max_score", math.inf) or score < limits.get("min_score", -math.inf):
                continue
            kept.append(text)
        result += [(anchor, positive, text) for text in kept[:n]]
    return result
