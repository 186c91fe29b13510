"""How many dimensions an embedding space uses, as a real number from 1 to D. All are blind to rotation and scale."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import entr

from sentemb.metrics.spectrum import centred_singular_values, singular_values

Array = np.ndarray[Any, np.dtype[Any]]


def effective_rank(vectors: Array) -> float:
    """The effective rank of the matrix of the rows as they are, not centred (Roy and Vetterli 2007).

    erank(A) = exp( −Σ_k p_k ln p_k ),  p_k = σ_k / Σ_j σ_j,  σ the singular values of A.

    A large mean vector is one large σ, so that an anisotropic space has a low rank however it spreads about its mean;
    `centred_effective_rank` leaves the mean out.

    Args:
        vectors: (N, D) float, finite, not all zero.

    Returns:
        From 1 (all rows on one line through 0) to min(N, D) (all σ equal). Never above the rank.

    Raises:
        DataError: no vectors, a value that is not finite, or all vectors are zero.

    >>> round(effective_rank(np.eye(3)), 4), round(effective_rank(np.ones((5, 3))), 4)
    (3.0, 1.0)
    """
    return _exp_entropy(singular_values("effective_rank", vectors))


def centred_effective_rank(vectors: Array) -> float:
    """`effective_rank` of the rows less their mean: of the spread about the mean. The paper does not centre.

    Args:
        vectors: (N, D) float, finite, N ≥ 2, not all alike.

    Returns:
        From 1 to min(N − 1, D).

    Raises:
        DataError: fewer than two vectors, a value that is not finite, or all vectors are alike.

    >>> round(centred_effective_rank(np.array([[9.0, 1.0], [9.0, -1.0], [8.0, 0.0], [10.0, 0.0]])), 4)
    2.0
    """
    return _exp_entropy(centred_singular_values("centred_effective_rank", vectors))


def participation_ratio(vectors: Array) -> float:
    """(Σ_i λ_i)² / Σ_i λ_i²,  λ the eigenvalues of the covariance of the rows (Gao et al. 2017, bioRxiv 214262).

    IsoScore is this in other units: ι = (ratio − 1) / (D − 1).

    Args:
        vectors: (N, D) float, finite, N ≥ 2, not all alike.

    Returns:
        From 1 (all variance on one axis) to min(N − 1, D) (equal variance on that many).

    Raises:
        DataError: as `centred_effective_rank`.

    >>> round(participation_ratio(np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])), 4)  # λ as 9 to 1
    1.2195
    """
    variances = np.square(centred_singular_values("participation_ratio", vectors))
    return float(variances.sum() ** 2 / np.square(variances).sum())


def _exp_entropy(values: Array) -> float:
    return float(np.exp(entr(values / values.sum()).sum()))
