"""BERT-flow's forward map, one row and one channel at a time (Li et al. 2020, section 3.2; Glow, Table 1)."""

from __future__ import annotations

import math

import numpy as np


def matrix_vector(weight, x):
    return [sum(weight[i][j] * x[j] for j in range(len(x))) for i in range(len(weight))]


def actnorm(params, x):
    return [(x[i] + params["bias"][i]) * math.exp(3 * params["log_scale"][i]) for i in range(len(x))]


def under(params, prefix):
    return {name[len(prefix) + 1 :]: value for name, value in params.items() if name.startswith(prefix + ".")}


def coupling_net(params, x, residual):
    h = [max(0.0, v) for v in actnorm(under(params, "first_norm"), matrix_vector(params["first_weight"], x))]
    g = [max(0.0, v) for v in actnorm(under(params, "second_norm"), matrix_vector(params["second_weight"], h))]
    if residual:
        g = [a + b for a, b in zip(h, g, strict=True)]
    out = matrix_vector(params["last_weight"], g)
    return [(out[i] + params["last_bias"][i]) * math.exp(3 * params["last_log_scale"][i]) for i in range(len(out))]


def mix(params, x, permutation):
    """The channels in their new order, and log|det|."""
    if permutation == "reverse":
        return list(x[::-1]), 0.0
    if permutation == "random":
        return [x[i] for i in params["order"]], 0.0
    d = len(x)
    weight = np.zeros((d, d))
    for i in range(d):
        for j in range(d):
            for k in range(d):
                low = 1.0 if i == k else params["lower"][i][k] if k < i else 0.0
                up = params["sign"][k] * math.exp(params["log_diagonal"][k]) if k == j else 0.0
                up = params["upper"][k][j] if j > k else up
                weight[i][j] += low * up
    product = matrix_vector(weight, x)
    return [product[i] for i in params["order"]], math.log(abs(np.linalg.det(weight)))


def step(params, x, permutation, coupling, residual):
    log_det = sum(3 * s for s in params["actnorm.log_scale"])
    x, change = mix(under(params, "mixing"), actnorm(under(params, "actnorm"), x), permutation)
    log_det += change
    half = len(x) // 2
    out = coupling_net(under(params, "coupling.net"), x[:half], residual)
    if coupling == "additive":
        return [*x[:half], *(x[half + i] + out[i] for i in range(half))], log_det
    scales = [2 / (1 + math.exp(-out[half + i])) for i in range(half)]
    moved = [(x[half + i] + out[i]) * scales[i] for i in range(half)]
    return [*x[:half], *moved], log_det + sum(math.log(scale) for scale in scales)


def flow(params, row, *, n_levels, depth, permutation, coupling, residual):
    """(z, log|det|, log p) of one row; `params` are the arrays by their names in the state."""
    x, log_det, left = list(row), 0.0, []
    for level in range(n_levels):
        for number in range(depth):
            own = under(params, f"levels.{level}.steps.{number}")
            x, change = step(own, x, permutation, coupling, residual)
            log_det += change
        if level < n_levels - 1:
            left += x[len(x) // 2 :]
            x = x[: len(x) // 2]
    z = left + x
    log_prob = log_det + sum(-0.5 * v * v - 0.5 * math.log(2 * math.pi) for v in z)
    return z, log_det, log_prob
