"""Quick-Thought and its batches, sentence by sentence."""

from __future__ import annotations

import math

from tests.oracles.core import Matrix


def quick_thought(f: Matrix, g: Matrix, documents: list[int], size: int, own: str) -> list[float | None]:
    """Logeswaran & Lee 2018, Eq. 2, mean over a sentence's neighbours; None for a sentence without any.

    own: "excluded" from the candidates, or "zero" as its score (the authors' code).
    """
    losses: list[float | None] = []
    for i in range(len(f)):
        scores = []
        for j in range(len(g)):
            product = sum(float(a) * float(b) for a, b in zip(f[i], g[j], strict=True))
            scores.append((j, 0.0 if j == i else product))
        if own == "excluded":
            scores = [(j, score) for j, score in scores if j != i]
        near = [j for j in range(i - size, i + size + 1) if j != i and 0 <= j < len(f) and documents[j] == documents[i]]
        if not near:
            losses.append(None)
            continue
        highest = max(score for _, score in scores)
        log_sum = highest + math.log(sum(math.exp(score - highest) for _, score in scores))
        losses.append(-sum(score - log_sum for j, score in scores if j in near) / len(near))
    return losses


def released_quick_thought(f: Matrix, g: Matrix, size: int) -> float:
    """The loss of the authors' code: soft targets, scores with a diagonal of 0, one document."""
    n = len(f)
    scores = [[sum(float(a) * float(b) for a, b in zip(f[i], g[j], strict=True)) for j in range(n)] for i in range(n)]
    total = 0.0
    for i in range(n):
        scores[i][i] = 0.0
        targets = [1.0 if 1 <= abs(i - j) <= size else 0.0 for j in range(n)]
        targets = [t / sum(targets) for t in targets]
        highest = max(scores[i])
        log_sum = highest + math.log(sum(math.exp(s - highest) for s in scores[i]))
        total -= sum(t * (s - log_sum) for t, s in zip(targets, scores[i], strict=True))
    return total / n
