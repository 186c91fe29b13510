from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sentemb.objectives.mochi import synthesise_negatives
from tests.oracles import two_views as oracles


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shares_of_axes(rows: torch.Tensor) -> torch.Tensor:
    """The weights of a mixture of axes, from its direction: a mixture's weights add up to 1."""
    return rows / rows.sum(-1, keepdim=True)


@pytest.mark.parametrize(
    ("batch", "size", "dim", "n_hardest"), [(1, 1, 1, 1), (1, 4, 3, 2), (3, 9, 5, 4), (2, 6, 1, 6)]
)
def test_agrees_with_the_paper_in_loops_given_the_same_draws(batch, size, dim, n_hardest, rng):
    queries, queue = rng.normal(size=(batch, dim)), rng.normal(size=(size, dim))
    queue[-1] = queue[0]  # a tie
    got = synthesise_negatives(
        torch.tensor(queries),
        torch.tensor(queue),
        n_hardest=n_hardest,
        n_mixed=5,
        n_query_mixed=3,
        generator=seeded(),
    )
    draws = seeded()
    first, second = (torch.randint(n_hardest, (batch, 5), generator=draws) for _ in range(2))
    alpha = torch.rand((batch, 5, 1), generator=draws, dtype=torch.float64)
    row = torch.randint(n_hardest, (batch, 3), generator=draws)
    beta = torch.rand((batch, 3, 1), generator=draws, dtype=torch.float64) / 2
    for b in range(batch):
        hardest = [queue[k] for k in oracles.hardest(queries[b], queue, n_hardest)]
        if dim == 1:  # in one dimension all rows of a sign tie: only the sign can be told
            assert_allclose(np.abs(got[b]), 1.0)
            continue
        for s in range(5):
            expected = oracles.mixed_negative(hardest[first[b, s]], hardest[second[b, s]], float(alpha[b, s]))
            assert_allclose(got[b, s], expected, rtol=1e-10, atol=1e-12)
        for s in range(3):
            expected = oracles.mixed_negative(queries[b], hardest[row[b, s]], float(beta[b, s]))
            assert_allclose(got[b, 5 + s], expected, rtol=1e-10, atol=1e-12)


def test_only_the_hardest_rows_are_mixed_for_each_query_with_shares_over_all_of_0_to_1():
    queue = 3.0 * torch.eye(4, dtype=torch.float64)
    queries = torch.tensor([[3.0, 2.0, 1.0, 0.0], [0.0, 1.0, 2.0, 3.0]], dtype=torch.float64)
    got = synthesise_negatives(queries, queue, n_hardest=2, n_mixed=4000, n_query_mixed=0, generator=seeded())
    assert_allclose(got.norm(dim=-1), 1.0)
    shares = shares_of_axes(got)
    for query, axes, others in ((0, [0, 1], [2, 3]), (1, [2, 3], [0, 1])):
        assert (shares[query][:, others] == 0).all()
        own = shares[query][:, axes]
        same = (own == 1).any(1)
        assert 0.4 < same.double().mean() < 0.6  # two draws of two rows agree half of the time
        alpha = own[~same][:, 0]
        assert alpha.min() < 0.01 and alpha.max() > 0.99 and abs(alpha.mean() - 0.5) < 0.03


def test_the_query_has_less_than_half_of_its_mixtures():
    queue = torch.eye(3, dtype=torch.float64)[:2]
    query = torch.tensor([[0.0, 0.0, 5.0]], dtype=torch.float64)
    got = synthesise_negatives(query, queue, n_hardest=2, n_mixed=0, n_query_mixed=4000, generator=seeded())
    beta = shares_of_axes(got)[0, :, 2]
    assert beta.min() < 0.01 and 0.49 < beta.max() < 0.5 and abs(beta.mean() - 0.25) < 0.01
    assert_allclose(got.norm(dim=-1), 1.0)


def test_one_hardest_row_leaves_only_itself(rng):
    queries, queue = torch.tensor(rng.normal(size=(3, 4))), torch.tensor(rng.normal(size=(5, 4)))
    got = synthesise_negatives(queries, queue, n_hardest=1, n_mixed=2, n_query_mixed=0, generator=None)
    nearest = torch.nn.functional.cosine_similarity(queries[:, None], queue[None], dim=-1).argmax(1)
    expected = torch.nn.functional.normalize(queue[nearest], dim=-1)
    assert_allclose(got, expected[:, None].expand(3, 2, 4), rtol=1e-10)


def test_the_generator_alone_decides(rng):
    queries, queue = torch.tensor(rng.normal(size=(3, 4))), torch.tensor(rng.normal(size=(5, 4)))
    numbers = {"n_hardest": 4, "n_mixed": 2, "n_query_mixed": 2}
    state = torch.random.get_rng_state()
    one, same, other = (synthesise_negatives(queries, queue, **numbers, generator=seeded(s)) for s in (0, 0, 1))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_invariant_to_row_scale_and_to_the_order_of_the_queue(rng):
    queries, queue = torch.tensor(rng.normal(size=(3, 4))), torch.tensor(rng.normal(size=(6, 4)))
    numbers = {"n_hardest": 4, "n_mixed": 3, "n_query_mixed": 2}
    whole = synthesise_negatives(queries, queue, **numbers, generator=seeded())
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    assert_allclose(synthesise_negatives(0.1 * queries, 9 * queue[order], **numbers, generator=seeded()), whole, 1e-10)


def test_has_no_gradient_and_leaves_its_inputs_as_they_are(rng):
    queries = torch.tensor(rng.normal(size=(2, 4)), requires_grad=True)
    queue = torch.tensor(rng.normal(size=(5, 4)), requires_grad=True)
    before = queue.detach().clone()
    got = synthesise_negatives(queries, queue, n_hardest=3, n_mixed=2, n_query_mixed=2, generator=None)
    assert got.shape == (2, 4, 4) and not got.requires_grad
    assert torch.equal(queue, before)


def test_none_at_all_can_be_asked_for():
    rows = torch.ones(2, 3)
    assert synthesise_negatives(rows, rows, n_hardest=1, n_mixed=0, n_query_mixed=0, generator=None).shape == (2, 0, 3)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_float32_unit_rows(dtype, rng):
    queries, queue = (torch.tensor(200 * rng.normal(size=(5, 8))).to(dtype) for _ in range(2))  # squares overflow
    numbers = {"n_hardest": 3, "n_mixed": 3, "n_query_mixed": 2}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = synthesise_negatives(queries, queue, **numbers, generator=seeded())
    assert got.dtype == torch.float32
    assert_allclose(got.norm(dim=-1), 1.0, rtol=1e-6)
    assert_allclose(got, synthesise_negatives(queries.float(), queue.float(), **numbers, generator=seeded()), 1e-4)


def test_nan_in_a_query_stays_nan():
    rows = torch.eye(3)
    broken = rows.clone()
    broken[0, 0] = math.nan
    got = synthesise_negatives(broken, rows, n_hardest=2, n_mixed=1, n_query_mixed=2, generator=seeded())
    assert got[0, 1:].isnan().all() and not got[1:].isnan().any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_hardest": 4}, "n_hardest must be from 1 to the 3 rows of the queue, not 4"),
        ({"n_hardest": 0}, "n_hardest must be from 1 to the 3 rows of the queue, not 0"),
        ({"n_mixed": -1}, "n_mixed must be at least 0, not -1"),
        ({"n_query_mixed": -2}, "n_query_mixed must be at least 0, not -2"),
        ({"queries": torch.ones(2, 5)}, "queries and queue must have one width, not 5 and 4"),
        ({"queries": torch.ones(4)}, r"\(B, D\), not queries \(4,\)"),
        ({"queue": torch.ones(0, 4)}, r"queue \(0, 4\)"),
    ],
)
def test_bad_input_is_refused(change, message):
    good = {"queries": torch.ones(2, 4), "queue": torch.ones(3, 4), "n_hardest": 2, "n_mixed": 1, "n_query_mixed": 1}
    synthesise_negatives(**good, generator=None)
    with pytest.raises(ValueError, match=message):
        synthesise_negatives(**{**good, **change}, generator=None)
