"""How far to shrink a covariance towards a multiple of the identity, from streamed moments."""

from __future__ import annotations

import numpy as np

from sentemb.errors import DataError
from sentemb.postprocess.moments import Moments


def ledoit_wolf_shrinkage(moments: Moments) -> float:
    """The coefficient α that Ledoit and Wolf (2004) estimate for (1 − α) Σ + α m I, m = tr Σ / D.

    With Σ = S / N, and every sum taken from the moments:

        d² = ‖Σ − m I‖²,   b̄² = (1/N²) Σ_i ‖x_i x_iᵀ − Σ‖² = ( Σ_i ‖x_i‖⁴ / N − ‖Σ‖² ) / N,   α = min(b̄², d²) / d²

    where rows are centred and norms are Frobenius norms. It does not depend on the scale of Σ, hence not on ddof.

    Returns:
        α in [0, 1]; 0 where the covariance is a multiple of the identity already.

    Raises:
        DataError: no rows.

    >>> moments = Moments(2)
    >>> moments.update(np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    >>> round(ledoit_wolf_shrinkage(moments), 4)  # Σ = diag(2, 0.5): d² = 1.125, b̄² = (34/4 − 4.25)/4 = 1.0625
    0.9444
    """
    if moments.count == 0:
        raise DataError("embeddings", "no rows, so there is no shrinkage to estimate", "Fit on more embeddings")
    covariance = moments.covariance(ddof=0)
    square = float(np.einsum("ij,ij->", covariance, covariance))
    distance = square - float(np.trace(covariance)) ** 2 / moments.width
    error = max((moments.fourth / moments.count - square) / moments.count, 0.0)
    if distance <= 0.0:
        return 0.0
    return min(error / distance, 1.0)
