"""Sinkhorn-Knopp: assigning a batch to prototypes so that all prototypes are used equally."""

from __future__ import annotations

import torch
from torch import Tensor

from sentemb.functional.checks import check_above_zero
from sentemb.functional.precision import full_precision


@torch.no_grad()
@full_precision
def sinkhorn(scores: Tensor, *, epsilon: float, n_iterations: int) -> Tensor:
    """Soft codes of each row over the prototypes (Caron et al. 2020, Eq. 5; Cuturi 2013).

    Q = B Diag(u) exp(scores / ε) Diag(v),  u and v such that rows sum to 1 and columns to B / K

    Each iteration scales the columns (prototypes), then the rows (samples), so rows sum to 1 exactly and columns in the
    limit. In logarithms throughout: the authors' code, the matrix transposed, exponentiates first and can overflow.
    Adding a constant to all scores of a prototype changes nothing; adding one to all scores of a row, nothing in the
    limit. The batch shares the prototypes out: B should not be far below K, and B = 1 gives 1/K whatever the scores.

    Args:
        scores: (B, K) float, products of the rows with the prototypes, both of length 1.
        epsilon: ε > 0; the paper uses 0.05. The smaller, the harder the codes.
        n_iterations: ≥ 1; the paper uses 3.

    Returns:
        (B, K) codes from 0 to 1 without gradient. Equal scores give 1/K.

    Raises:
        ValueError: scores that are not (B, K) or empty, ε ≤ 0, or no iterations.

    >>> sinkhorn(torch.tensor([[1.0, 0.0], [0.9, 0.5]]), epsilon=0.01, n_iterations=99).round(decimals=2).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    check_above_zero("epsilon", epsilon)
    if scores.ndim != 2 or 0 in scores.shape:
        raise ValueError(f"scores must be (B, K) with B and K ≥ 1, not {tuple(scores.shape)}")
    if n_iterations < 1:
        raise ValueError(f"n_iterations must be at least 1, not {n_iterations}")
    log_codes = (scores - scores.max()) / epsilon
    for _ in range(n_iterations):
        log_codes = log_codes - log_codes.logsumexp(dim=0, keepdim=True)
        log_codes = log_codes - log_codes.logsumexp(dim=1, keepdim=True)
    return log_codes.exp()
