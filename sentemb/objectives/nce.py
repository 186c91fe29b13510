"""Noise-contrastive estimation: a density learnt by telling data from noise of a known density."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import softplus

from sentemb.functional.checks import check_rows
from sentemb.functional.precision import full_precision


@full_precision
def nce(data_log_model: Tensor, data_log_noise: Tensor, noise_log_model: Tensor, noise_log_noise: Tensor) -> Tensor:
    """Per-datum loss of noise-contrastive estimation (Gutmann & Hyvärinen 2010, section 2.1; 2012 for K > 1).

    ℓ_i = −log σ(G(x_i)) − Σ_k log(1 − σ(G(x̃_ik))),  G(u) = log p_θ(u) − log(K q(u))

    q must be normalised; p_θ need not be, its normaliser is learnt with it: this is not InfoNCE. The noise terms are
    summed, not averaged, over the K samples; the 2010 paper has K = 1 and averages the two terms.

    Args:
        data_log_model: (B,) float, log p_θ of each datum x_i.
        data_log_noise: (B,) float, log q of each datum.
        noise_log_model: (B, K) float, log p_θ of the K ≥ 1 samples x̃_ik drawn from q for datum i.
        noise_log_noise: (B, K) float, log q of the samples.

    Returns:
        (B,) losses in nats, unreduced. p_θ = q everywhere gives ln(1 + K) + K ln(1 + 1/K).

    Raises:
        ValueError: shapes that do not match, no data or no samples.

    >>> import torch
    >>> round(nce(torch.zeros(1), torch.zeros(1), torch.zeros(1, 4096), torch.zeros(1, 4096)).item(), 3)
    9.318
    """
    check_rows(noise_log_model=noise_log_model, noise_log_noise=noise_log_noise)
    n_data, n_noise = noise_log_model.shape
    if data_log_model.shape != (n_data,) or data_log_noise.shape != (n_data,):
        raise ValueError(
            f"log densities of the data must be ({n_data},), one for each row of noise samples, "
            f"not {tuple(data_log_model.shape)} and {tuple(data_log_noise.shape)}"
        )
    data = data_log_model - data_log_noise - math.log(n_noise)
    noise = noise_log_model - noise_log_noise - math.log(n_noise)
    return softplus(-data) + softplus(noise).sum(-1)
