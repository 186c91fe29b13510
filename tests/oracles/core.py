"""Similarities that every oracle uses, and the objectives of SimCSE and SBERT."""

from __future__ import annotations

import math

import numpy as np

Matrix = np.ndarray


def cosine(u: Matrix, v: Matrix) -> float:
    norms = math.sqrt(float(u @ u)) * math.sqrt(float(v @ v))
    return float(u @ v) / norms if norms else 0.0


def euclidean(u: Matrix, v: Matrix) -> float:
    return math.sqrt(sum((float(a) - float(b)) ** 2 for a, b in zip(u, v, strict=True)))


def info_nce(a: Matrix, p: Matrix, temperature: float, n: Matrix | None = None, alpha: float = 1.0) -> list[float]:
    """Gao et al. 2021, Eq. 4 and 8."""
    losses = []
    for i in range(len(a)):
        denominator = 0.0
        for j in range(len(p)):
            denominator += math.exp(cosine(a[i], p[j]) / temperature)
        for j in range(0 if n is None else len(n)):
            weight = alpha if i == j else 1.0
            denominator += weight * math.exp(cosine(a[i], n[j]) / temperature)
        losses.append(-math.log(math.exp(cosine(a[i], p[i]) / temperature) / denominator))
    return losses


def cosine_regression(u: Matrix, v: Matrix, gold: Matrix) -> list[float]:
    """Reimers & Gurevych 2019, section 3, regression objective."""
    return [(cosine(u[i], v[i]) - float(gold[i])) ** 2 for i in range(len(u))]


def triplet(a: Matrix, p: Matrix, n: Matrix, margin: float) -> list[float]:
    """Reimers & Gurevych 2019, section 3, triplet objective."""
    return [max(0.0, euclidean(a[i], p[i]) - euclidean(a[i], n[i]) + margin) for i in range(len(a))]


def softmax_cross_entropy(u: Matrix, v: Matrix, weight: Matrix, bias: Matrix, labels: list[int]) -> float:
    """Reimers & Gurevych 2019, section 3, classification objective over [u; v; |u - v|]."""
    total = 0.0
    for i, label in enumerate(labels):
        features = [*u[i], *v[i], *(abs(x - y) for x, y in zip(u[i], v[i], strict=True))]
        scores = [
            sum(w * f for w, f in zip(row, features, strict=True)) + b for row, b in zip(weight, bias, strict=True)
        ]
        total -= math.log(math.exp(scores[label]) / sum(math.exp(score) for score in scores))
    return total / len(labels)
