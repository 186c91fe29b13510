from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sentemb.objectives.cosent import cosent
from tests.oracles.ranking import cosent as cosent_in_loops


@pytest.mark.parametrize(("batch", "dim"), [(1, 1), (1, 4), (2, 1), (3, 2), (8, 16)])
@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_agrees_with_the_paper_in_loops(batch, dim, temperature, rng):
    u, v = rng.normal(size=(2, batch, dim))
    gold = rng.integers(0, 4, size=batch) / 4  # with ties
    got = cosent(*map(torch.tensor, (u, v, gold)), temperature=temperature)
    assert_allclose(got, cosent_in_loops(u, v, gold, temperature), rtol=1e-10, atol=1e-14)


def test_duplicate_rows(rng):
    u, v = (np.repeat(rng.normal(size=(3, 4)), 2, axis=0) for _ in range(2))
    gold = np.arange(6.0)
    got = cosent(*map(torch.tensor, (u, v, gold)), temperature=0.05)
    assert_allclose(got, cosent_in_loops(u, v, gold, 0.05), rtol=1e-10)


@pytest.mark.parametrize(("gold", "n_pairs"), [([0.0, 1.0], 1), ([0.0, 0.0, 1.0], 2), ([3, 1, 2, 0], 6)])
def test_equal_cosines_give_ln_of_one_plus_the_number_of_ordered_pairs(gold, n_pairs):
    rows = torch.ones(len(gold), 5, dtype=torch.float64)
    assert_allclose(cosent(rows, rows, torch.tensor(gold), temperature=0.05), math.log(1 + n_pairs), rtol=1e-12)


def test_opposite_cosines_in_and_out_of_order():
    u, v = torch.eye(2, dtype=torch.float64)[[0, 0]], torch.tensor([[1.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    in_order = cosent(u, v, torch.tensor([1.0, 0.0]), temperature=0.5)
    out_of_order = cosent(u, v, torch.tensor([0.0, 1.0]), temperature=0.5)
    assert_allclose([in_order, out_of_order], [math.log1p(math.exp(-4)), math.log1p(math.exp(4))], rtol=1e-12)


@pytest.mark.parametrize("gold", [[0.5], [0.5, 0.5, 0.5]])
def test_without_an_ordered_pair_the_loss_and_its_gradient_are_zero(gold, rng):
    u, v = (torch.tensor(x, requires_grad=True) for x in rng.normal(size=(2, len(gold), 4)))
    loss = cosent(u, v, torch.tensor(gold), temperature=0.05)
    loss.backward()
    assert loss.item() == 0.0 and not u.grad.any() and not v.grad.any()


def test_equals_sentence_transformers(rng):
    from sentence_transformers.sentence_transformer.losses import CoSENTLoss

    from tests.tiny import tiny_encoder

    u, v = (torch.tensor(x, dtype=torch.float32) for x in rng.normal(size=(2, 16, 8)))
    theirs = CoSENTLoss(tiny_encoder(), scale=20.0)
    for gold in (torch.arange(16) % 5 / 4, torch.rand(16, generator=torch.Generator().manual_seed(0)), torch.zeros(16)):
        expected = theirs.compute_loss_from_embeddings([u, v], gold)
        assert_allclose(cosent(u, v, gold, temperature=0.05), expected, rtol=1e-6, atol=1e-7)


def test_gradients(rng):
    u, v = (torch.tensor(x, requires_grad=True) for x in rng.normal(size=(2, 4, 3)))
    gold = torch.tensor([0.2, 0.8, 0.2, 1.0])
    assert torch.autograd.gradcheck(lambda *x: cosent(*x, gold, temperature=0.5), (u, v))


def test_a_zero_row_has_cosine_0_and_finite_gradients():
    u, v = torch.eye(3).requires_grad_(), torch.eye(3)
    loss = cosent(u * torch.tensor([[0.0], [1.0], [1.0]]), v, torch.tensor([1.0, 0.0, 0.5]), temperature=1.0)
    loss.backward()
    assert_allclose(loss.item(), math.log(1 + 2 * math.e + 1), rtol=1e-6)
    assert torch.isfinite(u.grad).all()


def test_invariant_to_batch_order_row_scale_and_any_rising_map_of_the_gold_scores(rng):
    u, v = (torch.tensor(x) for x in rng.normal(size=(2, 6, 4)))
    gold = torch.tensor([0.1, 0.9, 0.5, 0.5, 0.0, 1.0], dtype=torch.float64)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    whole = cosent(u, v, gold, temperature=0.1)
    for same in (
        cosent(u[order], v[order], gold[order], temperature=0.1),
        cosent(7 * u, 0.1 * v, gold, temperature=0.1),
        cosent(u, v, gold.exp() - 7, temperature=0.1),
    ):
        assert_allclose(same, whole, rtol=1e-10)
    assert abs(cosent(u, v, -gold, temperature=0.1) - whole) > 1e-2  # the order of the gold scores matters


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow_at_a_small_temperature(dtype, rng):
    u, v = (torch.tensor(x).to(dtype) for x in rng.normal(size=(2, 8, 4)))
    gold = torch.linspace(0, 1, 8)
    loss = cosent(u, v, gold, temperature=0.01)
    assert loss.dtype == torch.float32 and loss > 12  # e^12 is past float16
    assert_allclose(loss, cosent(u.float(), v.float(), gold, temperature=0.01), rtol=1e-6)


@pytest.mark.parametrize("where", ["first", "gold", "gold of a single row"])
def test_nan_passes_through(where):
    rows, gold = torch.ones(3, 2), torch.zeros(3)
    if where == "first":
        rows[1, 0] = math.nan
    elif where == "gold":
        gold[1] = math.nan
    else:
        rows, gold = rows[:1], torch.tensor([math.nan])
    assert cosent(rows, torch.ones_like(rows), gold, temperature=0.05).isnan()


def test_bad_input_is_refused():
    rows = torch.ones(3, 2)
    with pytest.raises(ValueError, match="temperature must be above 0, not 0.0"):
        cosent(rows, rows, torch.zeros(3), temperature=0.0)
    with pytest.raises(ValueError, match=r"gold must be \(3,\), one score per pair, not \(3, 1\)"):
        cosent(rows, rows, torch.zeros(3, 1), temperature=1.0)
    with pytest.raises(ValueError, match=r"one shape, not first \(3, 2\), second \(2, 2\)"):
        cosent(rows, rows[:2], torch.zeros(3), temperature=1.0)
    with pytest.raises(ValueError, match="an empty batch has no loss"):
        cosent(rows[:0], rows[:0], torch.zeros(0), temperature=1.0)
