"""Hard negatives made of a queue's hardest rows: MoCHi."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from sentemb.functional.checks import check_rows
from sentemb.functional.precision import full_precision
from sentemb.functional.similarity import cosine_matrix


@torch.no_grad()
@full_precision
def synthesise_negatives(
    queries: Tensor,
    queue: Tensor,
    *,
    n_hardest: int,
    n_mixed: int,
    n_query_mixed: int,
    generator: torch.Generator | None,
) -> Tensor:
    """Further negatives of each query, mixed on the sphere (Kalantidis et al. 2020, sections 4.1 and 4.2).

    h = norm(α n_i + (1 − α) n_j), α ~ U(0, 1);  h' = norm(β q + (1 − β) n_j), β ~ U(0, ½)

    n_i and n_j are drawn, each on its own, from the `n_hardest` rows of the queue with the highest cosine to the query
    q. β stays below ½ so that the queue's row outweighs the query. What is made belongs to its query alone: it joins
    that query's logits and is never put in the queue.

    Args:
        queries: (B, D) float, raw encoder output; rows are L2-normalised here.
        queue: (K, D) float; rows are L2-normalised here.
        n_hardest: how many rows of the queue to mix, from 1 to K; the paper uses 1024 of 65,536.
        n_mixed: how many mixtures of two rows a query gets, ≥ 0; the paper goes up to 1024.
        n_query_mixed: how many mixtures of a row with the query, ≥ 0; the paper goes up to 128.
        generator: of all random draws, made on its device; None takes torch's own.

    Returns:
        (B, n_mixed + n_query_mixed, D) unit rows without gradient, those mixed of two rows first.

    Raises:
        ValueError: queries or a queue without rows or of different widths, or a number outside its range.

    >>> queue = torch.tensor([[1.0, 0.0], [0.6, 0.8], [-1.0, 0.0]])
    >>> synthesise_negatives(queue[:1], queue, n_hardest=1, n_mixed=2, n_query_mixed=0, generator=None).tolist()
    [[[1.0, 0.0], [1.0, 0.0]]]
    """
    _check_numbers(queries, queue, n_hardest, n_mixed, n_query_mixed)
    queries, queue = normalize(queries, dim=-1), normalize(queue, dim=-1)
    hardest = cosine_matrix(queries, queue).topk(n_hardest, dim=1).indices
    device = queries.device if generator is None else generator.device

    def draw_rows(n: int) -> Tensor:
        picked = torch.randint(n_hardest, (len(queries), n), generator=generator, device=device)
        return queue[hardest.gather(1, picked.to(hardest.device))]

    def draw_shares(n: int) -> Tensor:
        shares = torch.rand((len(queries), n, 1), generator=generator, device=device, dtype=queries.dtype)
        return shares.to(queries.device)

    first, second, alpha = draw_rows(n_mixed), draw_rows(n_mixed), draw_shares(n_mixed)
    row, beta = draw_rows(n_query_mixed), draw_shares(n_query_mixed) / 2
    mixed = alpha * first + (1 - alpha) * second
    query_mixed = beta * queries[:, None] + (1 - beta) * row
    return normalize(torch.cat([mixed, query_mixed], dim=1), dim=-1)


def _check_numbers(queries: Tensor, queue: Tensor, n_hardest: int, n_mixed: int, n_query_mixed: int) -> None:
    check_rows(queries=queries)
    check_rows(queue=queue)
    if queries.shape[1] != queue.shape[1]:
        raise ValueError(f"queries and queue must have one width, not {queries.shape[1]} and {queue.shape[1]}")
    if not 1 <= n_hardest <= len(queue):
        raise ValueError(f"n_hardest must be from 1 to the {len(queue)} rows of the queue, not {n_hardest}")
    for name, value in (("n_mixed", n_mixed), ("n_query_mixed", n_query_mixed)):
        if value < 0:
            raise ValueError(f"{name} must be at least 0, not {value}")
