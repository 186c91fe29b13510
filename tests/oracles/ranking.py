"""Objectives on the order of scored pairs, and nested prefixes."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable

import numpy as np

from tests.oracles.core import Matrix, cosine


def ordered_pairs(similarities: list[float], gold: Matrix, temperature: float) -> float:
    total = 1.0
    for i in range(len(gold)):
        for j in range(len(gold)):
            if gold[i] > gold[j]:
                total += math.exp((similarities[j] - similarities[i]) / temperature)
    return math.log(total)


def cosent(u: Matrix, v: Matrix, gold: Matrix, temperature: float) -> float:
    """Su 2022: log(1 + sum over sim(i) > sim(j) of exp(lambda (cos_j - cos_i)))."""
    return ordered_pairs([cosine(u[i], v[i]) for i in range(len(u))], gold, temperature)


def angle(u: Matrix, v: Matrix, gold: Matrix, temperature: float) -> float:
    """Li & Li 2023, section 3.5, in the polar form of its complex division: the quotient of two complex numbers has the
    quotient of their moduli and the difference of their angles; parts summed over the vector, the absolute value taken.
    """
    angles = []
    for x, y in zip(u, v, strict=True):
        half = len(x) // 2
        norm_x, norm_y = (math.sqrt(sum(float(a) ** 2 for a in row)) for row in (x, y))
        total = 0.0
        for k in range(half):
            z, w = complex(x[k], x[k + half]), complex(y[k], y[k + half])
            quotient = cmath.rect(abs(z) * abs(w), cmath.phase(z) - cmath.phase(w))  # z / w · |w|²
            total += (quotient.real + quotient.imag) / (norm_x * norm_y)
        angles.append(abs(total))
    return ordered_pairs(angles, gold, temperature)


def matryoshka(objective: Callable[[Matrix], float], z: Matrix, dims: list[int], weights: list[float]) -> float:
    """Kusupati et al. 2022, Eq. 1, with prefixes of unit length."""
    total = 0.0
    for dim, weight in zip(dims, weights, strict=True):
        prefixes = np.empty((*z.shape[:2], dim))
        for view in range(z.shape[0]):
            for row in range(z.shape[1]):
                prefix = [float(x) for x in z[view, row, :dim]]
                norm = math.sqrt(sum(x * x for x in prefix))
                prefixes[view, row] = [x / norm for x in prefix]
        total += weight * objective(prefixes)
    return total
