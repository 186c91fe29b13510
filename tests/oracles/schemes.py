"""Objectives of the self-supervised schemes: redundancy reduction, self-distillation, clustering, banks and queues."""

from __future__ import annotations

import math

import numpy as np

from tests.oracles.core import Matrix, cosine

BATCH_NORM_EPSILON = 1e-5


def dot(u: Matrix, v: Matrix) -> float:
    return sum(float(a) * float(b) for a, b in zip(u, v, strict=True))


def standardise(column: Matrix) -> list[float]:
    """Batch normalisation without affine parameters: the biased variance."""
    mean = sum(float(x) for x in column) / len(column)
    variance = sum((float(x) - mean) ** 2 for x in column) / len(column)
    return [(float(x) - mean) / math.sqrt(variance + BATCH_NORM_EPSILON) for x in column]


def barlow_twins(first: Matrix, second: Matrix, off_diagonal_weight: float) -> float:
    """Zbontar et al. 2021, Algorithm 1."""
    batch, dim = first.shape
    columns = [standardise(first[:, i]) for i in range(dim)], [standardise(second[:, i]) for i in range(dim)]
    loss = 0.0
    for i in range(dim):
        for j in range(dim):
            c = dot(columns[0][i], columns[1][j]) / batch
            loss += (1 - c) ** 2 if i == j else off_diagonal_weight * c**2
    return loss


def byol(predictions: Matrix, targets: Matrix) -> list[float]:
    """Grill et al. 2020, Eq. 2, the right-hand side."""
    return [2 - 2 * cosine(q, z) for q, z in zip(predictions, targets, strict=True)]


def sinkhorn(scores: Matrix, epsilon: float, n_iterations: int) -> Matrix:
    """Caron et al. 2020, Listing 1: Q is (K, B), exponentiated before it is scaled."""
    batch, n_prototypes = scores.shape
    q = [[math.exp(float(scores[b, k]) / epsilon) for b in range(batch)] for k in range(n_prototypes)]
    total = sum(map(sum, q))
    q = [[value / total for value in row] for row in q]
    for _ in range(n_iterations):
        for k in range(n_prototypes):
            row_sum = sum(q[k])
            q[k] = [value / row_sum / n_prototypes for value in q[k]]
        for b in range(batch):
            column_sum = sum(q[k][b] for k in range(n_prototypes))
            for k in range(n_prototypes):
                q[k][b] = q[k][b] / column_sum / batch
    return np.array([[q[k][b] * batch for k in range(n_prototypes)] for b in range(batch)])


def swapped_prediction(scores: Matrix, codes: Matrix, temperature: float) -> list[float]:
    """Caron et al. 2020, Eq. 2, averaged over the pairs of views."""
    n_views, batch, n_prototypes = scores.shape
    losses = []
    for b in range(batch):
        terms = []
        for v in range(n_views):
            for w in range(n_views):
                if v == w:
                    continue
                denominator = sum(math.exp(float(s) / temperature) for s in scores[w, b])
                p = [math.exp(float(s) / temperature) / denominator for s in scores[w, b]]
                terms.append(-sum(float(codes[v, b, k]) * math.log(p[k]) for k in range(n_prototypes)))
        losses.append(sum(terms) / len(terms))
    return losses


def memory_bank_nce(
    features: Matrix, positives: Matrix, noise: Matrix, temperature: float, n_instances: int, normaliser: float
) -> list[float]:
    """Wu et al. 2018, Eq. 4 to 7."""
    n_noise = noise.shape[1]

    def h(feature: Matrix, entry: Matrix) -> float:
        p = math.exp(dot(entry, feature) / temperature) / normaliser
        return p / (p + n_noise / n_instances)

    return [
        -math.log(h(features[i], positives[i])) - sum(math.log(1 - h(features[i], entry)) for entry in noise[i])
        for i in range(len(features))
    ]


def queue_info_nce(
    queries: Matrix,
    keys: Matrix,
    queue: Matrix,
    temperature: float,
    excluded: Matrix | None = None,
    extra: Matrix | None = None,
) -> list[float]:
    """He et al. 2020, Eq. 1 on unit vectors."""
    losses = []
    for i, query in enumerate(queries):
        positive = math.exp(cosine(query, keys[i]) / temperature)
        denominator = positive
        for j, key in enumerate(queue):
            if excluded is None or not excluded[i, j]:
                denominator += math.exp(cosine(query, key) / temperature)
        for key in [] if extra is None else extra[i]:
            denominator += math.exp(cosine(query, key) / temperature)
        losses.append(-math.log(positive / denominator))
    return losses


def softplus(x: float) -> float:
    return math.log(1 + math.exp(x))


def jensen_shannon_mi(states: Matrix, mask: Matrix, sentences: Matrix) -> float:
    """IS-BERT's released code: padded (B, L, D) states, all scores, those of padding and of the wrong sign masked."""
    batch, length, _ = states.shape
    n_tokens = int(mask.sum())
    positive = negative = 0.0
    for b in range(batch):
        for t in range(length):
            for s in range(batch):
                score = dot(states[b, t], sentences[s]) * float(mask[b, t])
                if s == b:
                    positive += math.log(2) - softplus(-score)
                else:
                    negative += softplus(score) - math.log(2)
    return negative / (n_tokens * (batch - 1)) - positive / n_tokens


def distribution(logits: Matrix) -> list[float]:
    exponentials = [math.exp(float(x)) for x in logits]
    return [x / sum(exponentials) for x in exponentials]


def kl(p: list[float], q: list[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def consistency(logits: Matrix, is_reversed: bool = False) -> list[float]:
    """Shen et al. 2020: the divergence of each view's distribution and their mean, in either order."""
    n_views, batch, _ = logits.shape
    losses = []
    for b in range(batch):
        views = [distribution(logits[v, b]) for v in range(n_views)]
        mean = [sum(column) / n_views for column in zip(*views, strict=True)]
        losses.append(sum(kl(mean, p) if is_reversed else kl(p, mean) for p in views) / n_views)
    return losses
