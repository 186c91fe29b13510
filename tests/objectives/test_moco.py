from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sentemb.objectives.info_nce import info_nce
from sentemb.objectives.moco import queue_info_nce
from tests.oracles import schemes as oracles

SHAPES = [(1, 1, 1), (1, 4, 5), (3, 1, 2), (4, 7, 1), (5, 9, 8)]  # B, K, D


def rows(rng, batch: int, n_queue: int, dim: int) -> dict[str, np.ndarray]:
    return {
        "queries": rng.normal(size=(batch, dim)),
        "keys": rng.normal(size=(batch, dim)),
        "queue": rng.normal(size=(n_queue, dim)),
        "excluded": rng.uniform(size=(batch, n_queue)) < 0.4,
        "extra_negatives": rng.normal(size=(batch, 3, dim)),
    }


def tensors(arrays: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(array) for name, array in arrays.items()}


@pytest.mark.parametrize(("batch", "n_queue", "dim"), SHAPES)
@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_agrees_with_the_paper_in_loops(batch, n_queue, dim, temperature, rng):
    a = rows(rng, batch, n_queue, dim)
    a["queue"][0] = a["keys"][0]  # a tie with the positive
    for excluded in (None, a["excluded"]):
        for extra in (None, a["extra_negatives"], a["extra_negatives"][:, :0]):
            given = {**a, "excluded": excluded, "extra_negatives": extra}
            inputs = tensors({name: value for name, value in given.items() if value is not None})
            got = queue_info_nce(**inputs, temperature=temperature)
            expected = oracles.queue_info_nce(a["queries"], a["keys"], a["queue"], temperature, excluded, extra)
            assert got.shape == (batch,)
            assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("n_queue", [1, 5, 1000])
@pytest.mark.parametrize("temperature", [0.07, 0.2])
def test_a_queue_orthogonal_to_the_query_gives_the_closed_form(n_queue, temperature):
    query = torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    queue = torch.tensor([[0.0, 3.0]], dtype=torch.float64).repeat(n_queue, 1)
    got = queue_info_nce(query, query, queue, temperature=temperature)
    assert_allclose(got, math.log1p(n_queue * math.exp(-1 / temperature)), rtol=1e-9)
    extra = queue[None, :2]
    got = queue_info_nce(query, query, queue, temperature=temperature, extra_negatives=extra)
    assert_allclose(got, math.log1p((n_queue + extra.shape[1]) * math.exp(-1 / temperature)), rtol=1e-9)


def test_all_rows_alike_gives_ln_of_the_number_of_candidates():
    row = torch.ones(3, 4, dtype=torch.float64)
    assert_allclose(queue_info_nce(row, row, row[:2], temperature=0.07), math.log(3), rtol=1e-12)


def test_one_query_is_info_nce_with_the_queue_as_negatives(rng):
    a = tensors(rows(rng, 1, 6, 4))
    expected = info_nce(a["queries"], a["keys"], negatives=a["queue"], temperature=0.1)
    assert_allclose(queue_info_nce(a["queries"], a["keys"], a["queue"], temperature=0.1), expected, rtol=1e-12)


def test_excluding_is_leaving_out_and_the_whole_queue_can_be(rng):
    a = tensors(rows(rng, 3, 6, 4))
    base = {name: a[name] for name in ("queries", "keys")}
    excluded = torch.zeros(3, 6, dtype=torch.bool)
    excluded[:, 2:] = True
    got = queue_info_nce(**base, queue=a["queue"], excluded=excluded, temperature=0.1)
    assert_allclose(got, queue_info_nce(**base, queue=a["queue"][:2], temperature=0.1), rtol=1e-12)
    base["queries"].requires_grad_()
    nothing = queue_info_nce(**base, queue=a["queue"], excluded=torch.ones_like(excluded), temperature=0.1)
    assert nothing.tolist() == [0.0, 0.0, 0.0]
    nothing.sum().backward()
    assert (base["queries"].grad == 0).all()


def test_only_the_queries_get_a_gradient(rng):
    a = tensors(rows(rng, 3, 6, 4))
    for name in ("queries", "keys", "queue", "extra_negatives"):
        a[name].requires_grad_()
    queue_info_nce(**a, temperature=0.1).sum().backward()
    assert a["queries"].grad.abs().sum() > 0
    assert a["keys"].grad is None and a["queue"].grad is None and a["extra_negatives"].grad is None


def test_gradients(rng):
    a = tensors(rows(rng, 3, 5, 4))
    queries = a.pop("queries").requires_grad_()
    assert torch.autograd.gradcheck(lambda q: queue_info_nce(q, **a, temperature=0.5), (queries,))


def test_gradients_of_equal_and_zero_rows_are_finite():
    for vectors in (torch.zeros(2, 3), torch.ones(2, 3)):
        queries = vectors.clone().requires_grad_()
        queue_info_nce(queries, vectors, vectors, temperature=0.01).sum().backward()
        assert torch.isfinite(queries.grad).all()


def test_invariant_to_batch_and_queue_order_and_row_scale(rng):
    a = tensors(rows(rng, 6, 5, 4))
    whole = queue_info_nce(**a, temperature=0.1)
    order, queue_order = torch.tensor([3, 0, 5, 1, 4, 2]), torch.tensor([2, 0, 4, 1, 3])
    moved = {name: value if name == "queue" else value[order] for name, value in a.items()}
    assert_allclose(queue_info_nce(**moved, temperature=0.1), whole[order], rtol=1e-12)
    turned = {**a, "queue": a["queue"][queue_order], "excluded": a["excluded"][:, queue_order]}
    assert_allclose(queue_info_nce(**turned, temperature=0.1), whole, rtol=1e-12)
    scaled = {name: value if name == "excluded" else 7.0 * value for name, value in a.items()}
    assert_allclose(queue_info_nce(**scaled, temperature=0.1), whole, rtol=1e-10)
    assert not np.allclose(queue_info_nce(**{**a, "keys": a["keys"][order]}, temperature=0.1), whole)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow_at_a_small_temperature(dtype, rng):
    a = {name: value if name == "excluded" else value.to(dtype) for name, value in tensors(rows(rng, 4, 9, 8)).items()}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = queue_info_nce(**a, temperature=0.01)
    assert got.dtype == torch.float32
    exact = {name: value if name == "excluded" else value.double() for name, value in a.items()}
    assert_allclose(got, queue_info_nce(**exact, temperature=0.01), rtol=1e-4, atol=1e-4)
    opposite = torch.eye(2, dtype=dtype)
    assert_allclose(queue_info_nce(opposite, -opposite, opposite, temperature=0.01), 200.0, rtol=1e-4)


@pytest.mark.parametrize(("name", "lost"), [("queries", 1), ("keys", 1), ("queue", 3), ("extra_negatives", 1)])
def test_nan_is_not_dropped_not_even_where_excluded(name, lost, rng):
    a = tensors(rows(rng, 3, 4, 2))
    a["excluded"][:] = True
    a[name][1, 0] = math.nan
    assert queue_info_nce(**a, temperature=0.1).isnan().sum() == lost


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0.0}, "temperature must be above 0, not 0.0"),
        ({"keys": torch.ones(2, 2)}, r"one shape, not queries \(3, 2\), keys \(2, 2\)"),
        ({"queries": torch.ones(0, 2), "keys": torch.ones(0, 2)}, "an empty batch has no loss"),
        ({"queue": torch.ones(0, 2)}, r"queue must be \(K, 2\) with K ≥ 1, not \(0, 2\)"),
        ({"queue": torch.ones(4, 3)}, r"queue must be \(K, 2\) with K ≥ 1, not \(4, 3\)"),
        ({"excluded": torch.zeros(3, 4)}, r"excluded must be \(3, 4\) bool, not \(3, 4\) torch.float32"),
        ({"excluded": torch.zeros(3, 1, dtype=torch.bool)}, r"excluded must be \(3, 4\) bool, not \(3, 1\)"),
        ({"extra_negatives": torch.ones(5, 2)}, r"extra_negatives must be \(3, S, 2\), not \(5, 2\)"),
        ({"extra_negatives": torch.ones(1, 5, 2)}, r"extra_negatives must be \(3, S, 2\), not \(1, 5, 2\)"),
    ],
)
def test_bad_input_is_refused(change, message):
    good = {"queries": torch.ones(3, 2), "keys": torch.ones(3, 2), "queue": torch.ones(4, 2), "temperature": 0.1}
    queue_info_nce(**good)
    with pytest.raises(ValueError, match=message):
        queue_info_nce(**{**good, **change})
