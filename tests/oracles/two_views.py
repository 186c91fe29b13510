"""Objectives over two views of a batch, whose negatives are other rows of the batch or made from a queue."""

from __future__ import annotations

import math

import numpy as np

from tests.oracles.core import Matrix, cosine


def nt_xent(first: Matrix, second: Matrix, temperature: float) -> list[float]:
    """Chen et al. 2020, Eq. 1 and Algorithm 1."""
    views = [*first, *second]
    losses = []
    for i in range(len(views)):
        j = i + len(first) if i < len(first) else i - len(first)
        denominator = 0.0
        for k in range(len(views)):
            if k != i:
                denominator += math.exp(cosine(views[i], views[k]) / temperature)
        losses.append(-math.log(math.exp(cosine(views[i], views[j]) / temperature) / denominator))
    return losses


def hard_negative(first: Matrix, second: Matrix, temperature: float, tau_plus: float, beta: float = 0.0) -> list[float]:
    """Robinson et al. 2021, section 3; with beta 0, Chuang et al. 2020, section 4. One positive (M = 1)."""
    views = [*first, *second]
    losses = []
    for i in range(len(views)):
        j = i + len(first) if i < len(first) else i - len(first)
        positive = math.exp(cosine(views[i], views[j]) / temperature)
        negatives = [math.exp(cosine(views[i], views[k]) / temperature) for k in range(len(views)) if k not in (i, j)]
        n = len(negatives)
        weights = [value**beta for value in negatives]
        mean_weight = sum(weights) / n
        reweighted = sum(w / mean_weight * value for w, value in zip(weights, negatives, strict=True))
        corrected = (reweighted - tau_plus * n * positive) / (1 - tau_plus)
        total = max(corrected, n * math.exp(-1 / temperature))
        losses.append(-math.log(positive / (positive + total)))
    return losses


def clip(first: Matrix, second: Matrix, log_scale: float, max_scale: float) -> list[float]:
    """Radford et al. 2021, Figure 3, with the scale held at `max_scale`."""
    scale = min(math.exp(log_scale), max_scale)
    losses = []
    for i in range(len(first)):
        own = scale * cosine(first[i], second[i])
        rows = sum(math.exp(scale * cosine(first[i], second[j])) for j in range(len(second)))
        columns = sum(math.exp(scale * cosine(first[j], second[i])) for j in range(len(first)))
        losses.append(((math.log(rows) - own) + (math.log(columns) - own)) / 2)
    return losses


def unit(row: Matrix) -> Matrix:
    norm = math.sqrt(float(row @ row))
    return row / norm if norm else row


def mixed_info_nce(
    anchors: Matrix, positives: Matrix, partners: list[int], weights: list[float], temperature: float
) -> list[float]:
    """InfoNCE of mixed anchors, each with the two targets and weights of its mixture."""
    losses = []
    for i, (partner, weight) in enumerate(zip(partners, weights, strict=True)):
        mixed = weight * unit(anchors[i]) + (1 - weight) * unit(anchors[partner])
        exponentials = [math.exp(cosine(mixed, positive) / temperature) for positive in positives]
        own, other = exponentials[i] / sum(exponentials), exponentials[partner] / sum(exponentials)
        losses.append(-weight * math.log(own) - (1 - weight) * math.log(other))
    return losses


def hardest(query: Matrix, queue: Matrix, n_hardest: int) -> list[int]:
    """The queue rows of the highest cosine with the query, highest first."""
    return sorted(range(len(queue)), key=lambda row: -cosine(query, queue[row]))[:n_hardest]


def mixed_negative(first: Matrix, second: Matrix, weight: float) -> Matrix:
    """Kalantidis et al. 2020, sections 4.1 (two negatives) and 4.2 (the query and a negative)."""
    return unit(weight * unit(first) + (1 - weight) * unit(second))


def guarded_info_nce(
    anchors: Matrix,
    positives: Matrix,
    guide_anchors: Matrix,
    guide_positives: Matrix,
    temperature: float,
    negatives: Matrix | None = None,
    guide_negatives: Matrix | None = None,
) -> list[float]:
    """Solatorio 2024, section 3: a candidate that the guide puts above the own pair is left out of the sum."""
    n_negatives = 0 if negatives is None else len(negatives)
    losses = []
    for i in range(len(anchors)):
        own = cosine(guide_anchors[i], guide_positives[i])
        denominator = math.exp(cosine(anchors[i], positives[i]) / temperature)
        for j in range(len(anchors)):
            if j == i:
                continue
            if cosine(guide_anchors[i], guide_positives[j]) <= own:
                denominator += math.exp(cosine(anchors[i], positives[j]) / temperature)
            if cosine(guide_anchors[i], guide_anchors[j]) <= own:
                denominator += math.exp(cosine(anchors[i], anchors[j]) / temperature)
            if cosine(guide_positives[i], guide_positives[j]) <= own:
                denominator += math.exp(cosine(positives[i], positives[j]) / temperature)
        for j in range(n_negatives):
            if cosine(guide_anchors[i], guide_negatives[j]) <= own:
                denominator += math.exp(cosine(anchors[i], negatives[j]) / temperature)
        losses.append(math.log(denominator) - cosine(anchors[i], positives[i]) / temperature)
    return losses


def repeated(rng: np.random.Generator, batch: int, dim: int) -> Matrix:
    """(2, batch, dim) views in which rows occur twice, within a view and across views."""
    rows = rng.normal(size=(max(1, batch // 2), dim))
    first = rows[np.arange(batch) % len(rows)]
    return np.stack([first, first[::-1]])
