"""Instance discrimination against a memory bank: every text a class of its own, told apart by NCE."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from sentemb.functional.checks import check_above_zero, check_rows
from sentemb.functional.precision import full_precision


@full_precision
def memory_bank_nce(
    features: Tensor,
    bank_positives: Tensor,
    bank_noise: Tensor,
    *,
    temperature: float,
    n_instances: int,
    log_normaliser: Tensor,
) -> Tensor:
    """Per-row NCE of the instance a feature is of (Wu et al. 2018, section 3.2).

    ℓ_i = −log h(v_i) − Σ_k log(1 − h(ṽ_ik)),  h(v) = P(v) / (P(v) + K/n),  P(v) = e^{v·f_i/τ} / Z

    The noise is uniform over the n instances, and its K terms are summed. It may contain the instance itself. Z is a
    constant, estimated on the first batch and kept. Equal to `sentemb.objectives.nce.nce` of log P and log 1/n.

    Args:
        features: (B, D) float, rows of length 1.
        bank_positives: (B, D) float, rows of length 1: the bank's entry of each row's own instance.
        bank_noise: (B, K, D) float, rows of length 1: K ≥ 1 entries drawn from the bank uniformly for each row.
        temperature: τ > 0; the paper uses 0.07.
        n_instances: n ≥ 1, entries of the bank.
        log_normaliser: () float, log Z, of `estimate_log_normaliser`.

    Returns:
        (B,) losses in nats, unreduced. P = 1/n everywhere gives ln(1 + K) + K ln(1 + 1/K).

    Raises:
        ValueError: shapes that do not match, no rows, no noise, τ ≤ 0 or n < 1.

    >>> f, noise = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]).repeat(1, 4096, 1)
    >>> log_z = torch.tensor(math.log(50_000))
    >>> loss = memory_bank_nce(f, noise[:, 0], noise, temperature=0.07, n_instances=50_000, log_normaliser=log_z)
    >>> round(loss.item(), 3)
    9.318
    """
    check_above_zero("temperature", temperature)
    check_above_zero("n_instances", n_instances)
    check_rows(features=features, bank_positives=bank_positives)
    batch, dim = features.shape
    n_noise = bank_noise.shape[1] if bank_noise.ndim == 3 else 0
    if n_noise == 0 or bank_noise.shape != (batch, n_noise, dim):
        raise ValueError(f"bank_noise must be ({batch}, K, {dim}) with K ≥ 1, not {tuple(bank_noise.shape)}")
    if log_normaliser.ndim != 0:
        raise ValueError(f"log_normaliser must be one number, not of shape {tuple(log_normaliser.shape)}")
    shift = log_normaliser + math.log(n_noise) - math.log(n_instances)
    positive = (features * bank_positives).sum(-1) / temperature - shift
    noise = torch.einsum("bd,bkd->bk", features, bank_noise) / temperature - shift
    return -logsigmoid(positive) - logsigmoid(-noise).sum(-1)


@full_precision
def proximal(features: Tensor, bank_positives: Tensor) -> Tensor:
    """Per-row squared step from the bank's entry, which damps the training (Wu et al. 2018, section 3.3).

    ℓ_i = ‖f_i − v_i‖²

    Added to the NCE loss with weight λ. Weng (2021) puts it inside the bracket of −log h, where its sign misleads: the
    step is made small, so when minimising the term is added. The authors' code leaves it out.

    Args:
        features: (B, D) float, rows of length 1.
        bank_positives: (B, D) float, rows of length 1: the bank's entry of each row's own instance.

    Returns:
        (B,) losses, unreduced, from 0 to 4.

    Raises:
        ValueError: shapes that do not match, or no rows.

    >>> proximal(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])).tolist()
    [2.0]
    """
    check_rows(features=features, bank_positives=bank_positives)
    return (features - bank_positives).square().sum(-1)


@torch.no_grad()
@full_precision
def estimate_log_normaliser(logits: Tensor, n_instances: int) -> Tensor:
    """The logarithm of Z = n · mean e^{v·f/τ} over the pairs given (Wu et al. 2018, section 3.2).

    Args:
        logits: float of any shape, v·f/τ of features with entries drawn from the bank uniformly, one at least.
        n_instances: n ≥ 1, entries of the bank.

    Returns:
        () log Z, without gradient.

    Raises:
        ValueError: no logits, or n < 1.

    >>> round(estimate_log_normaliser(torch.zeros(4, 8), 1000).exp().item(), 3)
    1000.0
    """
    check_above_zero("n_instances", n_instances)
    if logits.numel() == 0:
        raise ValueError(f"a normaliser needs 1 logit or more to estimate, not {tuple(logits.shape)}")
    return logits.flatten().logsumexp(0) - math.log(logits.numel()) + math.log(n_instances)
