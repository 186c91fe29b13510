"""Whether an embedding space has collapsed to a point."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize


@torch.no_grad()
def spread(rows: Tensor) -> Tensor:
    """The standard deviation of L2-normalised embeddings over the batch, against that of a uniform sphere.

    √( Σ_d var_b(ẑ_bd) ) = √( 1 − ‖mean_b ẑ_b‖² ),  ẑ = z / ‖z‖

    Chen & He 2021 (SimSiam, section 4.1) watch the standard deviation per dimension, which is 1/√D on a uniform sphere;
    this is its root mean square over the dimensions, times √D.

    Args:
        rows: (B, D) float.

    Returns:
        () float from 0 (all rows alike: collapse) to 1, without gradient.

    >>> spread(torch.eye(2)).item()
    0.7071067690849304
    """
    return normalize(rows.float(), dim=-1).var(dim=0, unbiased=False).sum().clamp(min=0).sqrt()
