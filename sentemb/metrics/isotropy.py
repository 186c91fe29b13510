"""Whether an embedding space looks the same in all directions: three published measures, which disagree.

`isoscore` sees the spread about the mean only; `mean_cosine` sees the mean only (0 after centring, whatever the
spread); `partition_isotropy` sees both, and the scale. Rudman et al. (2022) compare them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import logsumexp

from sentemb.errors import DataError
from sentemb.metrics.rows import checked_rows, unit_rows
from sentemb.metrics.spectrum import centred_singular_values

Array = np.ndarray[Any, np.dtype[Any]]


def isoscore(vectors: Array) -> float:
    """IsoScore ι, about the share of dimensions that carry equal variance (Rudman et al. 2022, Algorithm 1).

    1. Reorient by PCA, so that the covariance is diagonal; Σ_D ∈ R^n is that diagonal (n is D here).
    2. Normalise:                         Σ̂_D = √n Σ_D / ‖Σ_D‖
    3. Isotropy defect, in [0, 1]:        δ = ‖Σ̂_D − 1‖ / √(2 (n − √n)),  1 = (1, …, 1)
    4. Dimensions used, in [1/n, 1]:      φ = (n − δ² (n − √n))² / n²
    5. IsoScore, in [0, 1]:               ι = (n φ − 1) / (n − 1)

    As n φ is the participation ratio of the variances, k of n dimensions of equal variance and none elsewhere give
    (k − 1) / (n − 1). Blind to shift, rotation and scale.

    Few rows score low: N rows reach (N − 2) / (n − 1) at most, and N draws of an isotropic Gaussian about
    1 / (1 + n / N). So compare figures of one N, and take N ≫ n.

    Args:
        vectors: (N, D) float, finite, N ≥ 2, D ≥ 2, not all alike.

    As in the authors' package (2.0.1), axes that too few rows leave empty have variance 0.

    Raises:
        DataError: fewer than two vectors, one dimension, a value that is not finite, or all vectors alike.

    >>> round(isoscore(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])), 4)
    1.0
    >>> round(isoscore(np.array([[1.0, 1.0], [2.0, 2.0], [5.0, 5.0]])), 4)
    0.0
    """
    place = "isoscore"
    singular = centred_singular_values(place, vectors)
    n = vectors.shape[1]
    if n < 2:
        raise DataError(
            place, "vectors of 1 dimension, which has no other to compare with", "Pass 2 dimensions or more"
        )
    diagonal = np.zeros(n)
    diagonal[: len(singular)] = np.square(singular)
    normalised = np.sqrt(n) * diagonal / np.linalg.norm(diagonal)
    defect = np.linalg.norm(normalised - 1.0) / np.sqrt(2.0 * (n - np.sqrt(n)))
    used = (n - defect**2 * (n - np.sqrt(n))) ** 2 / n**2
    return float(np.clip((n * used - 1.0) / (n - 1.0), 0.0, 1.0))


def partition_isotropy(vectors: Array) -> float:
    """I(W) = min_c Z(c) / max_c Z(c),  Z(c) = Σ_w exp(cᵀ w),  c the unit eigenvectors of WᵀW, W the rows w.

    Mu and Viswanath 2018, who make a figure of Arora et al. 2016, where Z is about constant over all unit
    c; the eigenvectors stand in for all unit c. The rows are taken as they are: I falls with their scale and mean.

    An eigenvector's sign is arbitrary and changes Z, and the paper leaves it to the solver. Here c and −c both count,
    so the figure depends on the rows alone and comes closer to the extremes over all c: it is at most the paper's,
    and for a space with a large mean μ it is about exp(−2 ‖μ‖) where one sign gives exp(−‖μ‖). Where eigenvalues are
    equal the eigenvectors are a choice, and so is the figure.

    Args:
        vectors: (N, D) float, finite.

    Returns:
        From 0 to 1 (the same in all directions). Z is summed in log space; ratios under 1e−308 are 0.

    Raises:
        DataError: no vectors, or a value that is not finite.

    >>> round(partition_isotropy(np.array([[1.0], [0.0]])), 4)  # Z(1) = e + 1, Z(−1) = 1/e + 1: their ratio is 1/e
    0.3679
    """
    rows = checked_rows("partition_isotropy", vectors, 1)
    _, eigenvectors = np.linalg.eigh(rows.T @ rows)
    scores = rows @ eigenvectors
    log_z = np.concatenate([logsumexp(scores, axis=0), logsumexp(-scores, axis=0)])
    return float(np.exp(log_z.min() - log_z.max()))


def mean_cosine(vectors: Array) -> float:
    """The mean cosine of all pairs of different rows: the anisotropy of Ethayarajh (2019, section 3.4).

    2 / (n (n − 1)) Σ_{i<j} û_i · û_j = (‖Σ_i û_i‖² − n) / (n (n − 1)),  û = u / ‖u‖

    The paper samples pairs of words; here every pair of rows counts, at the cost of one sum.

    Args:
        vectors: (N, D) float, finite, N ≥ 2, no zero row.

    Returns:
        From −1 / (n − 1) (the directions cancel out) to 1 (all directions alike); 0 is isotropic.

    Raises:
        DataError: fewer than two vectors, a value that is not finite, or a zero vector.

    >>> round(mean_cosine(np.array([[1.0, 0.0], [3.0, 3.0]])), 4)
    0.7071
    """
    rows = unit_rows("mean_cosine", vectors, 2)
    n = len(rows)
    mean = (np.square(rows.sum(axis=0)).sum() - n) / (n * (n - 1))
    return float(np.clip(mean, -1.0 / (n - 1), 1.0))
