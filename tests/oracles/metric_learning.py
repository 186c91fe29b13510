"""Objectives of metric learning: pairs, triplets, lifted structure, N-pair, NCE, soft neighbours, SupCon, alignment."""

from __future__ import annotations

import math

import numpy as np

from tests.oracles.core import Matrix, cosine, euclidean


def contrastive(first: Matrix, second: Matrix, same: list[bool], margin: float) -> list[float]:
    """Hadsell et al. 2006, Eq. 4, without the factor 1/2."""
    losses = []
    for i in range(len(first)):
        distance = euclidean(first[i], second[i])
        losses.append(distance**2 if same[i] else max(0.0, margin - distance) ** 2)
    return losses


def contrastive_in_batch(rows: Matrix, labels: list[int], margin: float) -> float:
    losses = []
    for i in range(len(rows)):
        for j in range(i):
            losses += contrastive(rows[i : i + 1], rows[j : j + 1], [labels[i] == labels[j]], margin)
    return sum(losses) / len(losses)


def unit(u: Matrix) -> Matrix:
    length = math.sqrt(float(u @ u))
    return u / length if length else u


def facenet_distance(u: Matrix, v: Matrix) -> float:
    """Schroff et al. 2015: squared, of vectors on the unit sphere."""
    return euclidean(unit(u), unit(v)) ** 2


def triplet_squared(a: Matrix, p: Matrix, n: Matrix, margin: float) -> list[float]:
    """Schroff et al. 2015, Eq. 3."""
    return [max(0.0, facenet_distance(a[i], p[i]) - facenet_distance(a[i], n[i]) + margin) for i in range(len(a))]


def positives_of(i: int, labels: list[int]) -> list[int]:
    return [j for j in range(len(labels)) if j != i and labels[j] == labels[i]]


def negatives_of(i: int, labels: list[int]) -> list[int]:
    return [j for j in range(len(labels)) if labels[j] != labels[i]]


def batch_all_triplet(rows: Matrix, labels: list[int], margin: float, squared: bool) -> float:
    """Hermans et al. 2017: every triplet of the batch, averaged over those whose loss is not 0."""
    distance = facenet_distance if squared else euclidean
    losses = []
    for a in range(len(rows)):
        for p in positives_of(a, labels):
            for n in negatives_of(a, labels):
                loss = max(0.0, margin + distance(rows[a], rows[p]) - distance(rows[a], rows[n]))
                if loss > 0:
                    losses.append(loss)
    return sum(losses) / len(losses) if losses else 0.0


def batch_hard_triplet(rows: Matrix, labels: list[int], margin: float, squared: bool) -> float:
    """Hermans et al. 2017: each anchor with its farthest positive and nearest negative."""
    distance = facenet_distance if squared else euclidean
    losses = []
    for a in range(len(rows)):
        positives, negatives = positives_of(a, labels), negatives_of(a, labels)
        if positives and negatives:
            farthest = max(distance(rows[a], rows[p]) for p in positives)
            nearest = min(distance(rows[a], rows[n]) for n in negatives)
            losses.append(max(0.0, margin + farthest - nearest))
    return sum(losses) / len(losses)


def semi_hard_triplet(rows: Matrix, labels: list[int], margin: float, squared: bool) -> float:
    """Schroff et al. 2015, Eq. 4: the nearest negative farther than the positive; the farthest if none is."""
    distance = facenet_distance if squared else euclidean
    losses = []
    for a in range(len(rows)):
        for p in positives_of(a, labels):
            to_positive = distance(rows[a], rows[p])
            to_negatives = [distance(rows[a], rows[n]) for n in negatives_of(a, labels)]
            farther = [d for d in to_negatives if d > to_positive]
            losses.append(max(0.0, margin + to_positive - (min(farther) if farther else max(to_negatives))))
    return sum(losses) / len(losses)


def lifted_structured(rows: Matrix, labels: list[int], margin: float, smooth: bool) -> float:
    """Song et al. 2016: the objective with the maxima, or its smooth upper bound."""
    losses = []
    for i in range(len(rows)):
        for j in positives_of(i, labels):
            if j < i:
                continue
            near_i = [margin - euclidean(rows[i], rows[k]) for k in negatives_of(i, labels)]
            near_j = [margin - euclidean(rows[j], rows[k]) for k in negatives_of(j, labels)]
            if smooth:
                violation = math.log(sum(math.exp(x) for x in near_i) + sum(math.exp(x) for x in near_j))
            else:
                violation = max(max(near_i), max(near_j))
            losses.append(max(0.0, violation + euclidean(rows[i], rows[j])) ** 2)
    return sum(losses) / (2 * len(losses))


def n_pair(a: Matrix, p: Matrix, l2_weight: float) -> list[float]:
    """Sohn 2016, the N-pair loss, with a penalty on the mean squared norm of anchor and positive."""
    losses = []
    for i in range(len(a)):
        total = 1.0
        for j in range(len(a)):
            if j != i:
                total += math.exp(float(a[i] @ p[j]) - float(a[i] @ p[i]))
        losses.append(math.log(total) + l2_weight * (float(a[i] @ a[i]) + float(p[i] @ p[i])) / 2)
    return losses


def nce(data_model: Matrix, data_noise: Matrix, noise_model: Matrix, noise_noise: Matrix) -> list[float]:
    """Gutmann & Hyvarinen 2010, in densities: h(u) = p(u) / (p(u) + K q(u))."""
    losses = []
    k = noise_model.shape[1]
    for i in range(len(data_model)):
        p, q = math.exp(data_model[i]), math.exp(data_noise[i])
        loss = -math.log(p / (p + k * q))
        for j in range(k):
            p, q = math.exp(noise_model[i, j]), math.exp(noise_noise[i, j])
            loss -= math.log(k * q / (p + k * q))
        losses.append(loss)
    return losses


def soft_nearest_neighbour(rows: Matrix, labels: list[int], temperature: float, kind: str) -> float:
    """Frosst et al. 2019, Eq. 1, over the anchors that have a neighbour of their class."""

    def kernel(i: int, j: int) -> float:
        distance = 1 - cosine(rows[i], rows[j]) if kind == "cosine" else euclidean(rows[i], rows[j]) ** 2
        return math.exp(-distance / temperature)

    losses = []
    for i in range(len(rows)):
        if positives_of(i, labels):
            same = sum(kernel(i, j) for j in positives_of(i, labels))
            every = sum(kernel(i, k) for k in range(len(rows)) if k != i)
            losses.append(-math.log(same / every))
    return sum(losses) / len(losses)


def sup_con(rows: Matrix, labels: list[int], temperature: float, inside: bool) -> float:
    """Khosla et al. 2020, Eq. 2 (sum over positives outside the log) and Eq. 3 (inside), as a mean over anchors."""
    losses = []
    for i in range(len(rows)):
        positives = positives_of(i, labels)
        if not positives:
            continue
        every = sum(math.exp(cosine(rows[i], rows[a]) / temperature) for a in range(len(rows)) if a != i)
        shares = [math.exp(cosine(rows[i], rows[p]) / temperature) / every for p in positives]
        if inside:
            losses.append(-math.log(sum(shares) / len(shares)))
        else:
            losses.append(-sum(math.log(share) for share in shares) / len(shares))
    return sum(losses) / len(losses)


def alignment(first: Matrix, second: Matrix, alpha: float) -> list[float]:
    """Wang & Isola 2020, the alignment of each pair."""
    return [euclidean(unit(first[i]), unit(second[i])) ** alpha for i in range(len(first))]


def uniformity(rows: Matrix, t: float) -> float:
    """Wang & Isola 2020, the log of the mean Gaussian potential over pairs of different rows."""
    potentials = [
        math.exp(-t * facenet_distance(rows[i], rows[j])) for i in range(len(rows)) for j in range(len(rows)) if i != j
    ]
    return math.log(float(np.mean(potentials)))
