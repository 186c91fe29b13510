"""InfoNCE against a queue of earlier keys: MoCo, and CERT on sentences."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from sentemb.functional.checks import check_above_zero, check_rows
from sentemb.functional.precision import full_precision
from sentemb.functional.similarity import cosine_matrix, paired_cosine


@full_precision
def queue_info_nce(
    queries: Tensor,
    keys: Tensor,
    queue: Tensor,
    *,
    temperature: float,
    excluded: Tensor | None = None,
    extra_negatives: Tensor | None = None,
) -> Tensor:
    """Per-query InfoNCE with a queue of negatives (He et al. 2020, Eq. 1; CERT: Fang et al. 2020).

    ℓ_i = −log e^{cos(q_i, k_i)/τ} / ( e^{cos(q_i, k_i)/τ} + Σ_{n ∈ queue_i} e^{cos(q_i, n)/τ} )

    The keys of the batch are no negatives of each other; they join the queue after the loss, not before it. A queue as
    long as the data holds each query's own earlier key: mark such rows as `excluded`.

    Args:
        queries: (B, D) float, raw output of the trained encoder; rows are L2-normalised here.
        keys: (B, D) float, of the momentum encoder; row i is the positive of query i. No gradient flows to it.
        queue: (K, D) float, K ≥ 1, earlier keys. No gradient flows to it.
        temperature: τ > 0; the paper uses 0.07, MoCo v2 0.2.
        excluded: (B, K) bool, True where a row of the queue is no negative of a query, or None.
        extra_negatives: (B, S, D) float, further negatives of each query alone, as MoCHi makes them, or None. No
            gradient flows to it.

    Returns:
        (B,) losses in nats, unreduced. cos(q, k) = 1 and a queue orthogonal to q give ln(1 + K e^{−1/τ}); a query
        with all of the queue excluded and no further negatives gives 0.

    Raises:
        ValueError: shapes that do not match, no queries, an empty queue, or τ ≤ 0.

    >>> rows = torch.eye(3)
    >>> [round(loss, 4) for loss in queue_info_nce(rows[:1], rows[:1], rows[1:], temperature=1.0).tolist()]
    [0.5514]
    """
    check_above_zero("temperature", temperature)
    _check_shapes(queries, keys, queue, excluded, extra_negatives)
    from_queue = cosine_matrix(queries, queue.detach())
    if excluded is not None:
        from_queue = from_queue.masked_fill(excluded & ~from_queue.isnan(), -math.inf)
    cosines = [paired_cosine(queries, keys.detach())[:, None], from_queue]
    if extra_negatives is not None:
        extra = normalize(extra_negatives.detach(), dim=-1)
        cosines.append(torch.einsum("bd,bsd->bs", normalize(queries, dim=-1), extra))
    first = torch.zeros(len(queries), dtype=torch.long, device=queries.device)
    return cross_entropy(torch.cat(cosines, dim=1) / temperature, first, reduction="none")


def _check_shapes(
    queries: Tensor, keys: Tensor, queue: Tensor, excluded: Tensor | None, extra_negatives: Tensor | None
) -> None:
    check_rows(queries=queries, keys=keys)
    batch, dim = queries.shape
    if queue.ndim != 2 or len(queue) == 0 or queue.shape[1] != dim:
        raise ValueError(f"queue must be (K, {dim}) with K ≥ 1, not {tuple(queue.shape)}")
    if excluded is not None and (excluded.shape != (batch, len(queue)) or excluded.dtype != torch.bool):
        raise ValueError(f"excluded must be ({batch}, {len(queue)}) bool, not {tuple(excluded.shape)} {excluded.dtype}")
    if extra_negatives is not None:
        shape = tuple(extra_negatives.shape)
        if len(shape) != 3 or (shape[0], shape[2]) != (batch, dim):
            raise ValueError(f"extra_negatives must be ({batch}, S, {dim}), not {shape}")
