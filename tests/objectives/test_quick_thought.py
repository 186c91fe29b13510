from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sentemb.objectives.quick_thought import are_neighbours, quick_thought
from tests.oracles import neighbours as oracles

OWN = {"excluded": -math.inf, "zero": 0.0}
DOCUMENTS = [0, 0, 0, 1, 2, 2, 2, 2]


def near(documents, size):
    places, documents = torch.arange(len(documents)), torch.tensor(documents)
    return are_neighbours(places, documents, places, documents, size=size)


def loss(f, g, documents=DOCUMENTS, size=1, own="excluded"):
    masks = {"neighbours": near(documents, size), "own": torch.eye(len(documents), dtype=torch.bool)}
    return quick_thought(torch.as_tensor(f), torch.as_tensor(g), **masks, own_score=OWN[own])


@pytest.mark.parametrize("own", OWN)
@pytest.mark.parametrize("size", [1, 2, 9])
@pytest.mark.parametrize("documents", [DOCUMENTS, [0, 0], [0] * 7, [0, 1, 2], [3, 3, 1, 1, 1]])
def test_agrees_with_the_paper_in_loops(documents, size, own, rng):
    f, g = rng.normal(size=(2, len(documents), 3))
    expected = oracles.quick_thought(f, g, documents, size, own)
    got = loss(f, g, documents, size, own)
    assert got.shape == (len(documents),)
    assert_allclose(got, [0.0 if value is None else value for value in expected], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("size", [1, 3])
def test_agrees_with_the_released_code(size, rng):
    """Its settings: one document, a diagonal of zeros, the mean over all rows."""
    f, g = 3 * rng.normal(size=(2, 9, 4))
    got = loss(f, g, [0] * 9, size, "zero").mean()
    assert_allclose(got, oracles.released_quick_thought(f, g, size), rtol=1e-10)


def test_is_torch_s_cross_entropy_with_soft_targets(rng):
    f, g = (torch.tensor(x) for x in rng.normal(size=(2, 8, 4)))
    targets = near([0] * 8, 2).double()
    scores = (f @ g.T).masked_fill(torch.eye(8, dtype=torch.bool), 0.0)
    expected = torch.nn.functional.cross_entropy(scores, targets / targets.sum(1, keepdim=True), reduction="none")
    assert_allclose(loss(f, g, [0] * 8, 2, "zero"), expected, rtol=1e-10)


def test_closed_forms():
    zeros = torch.zeros(5, 2, dtype=torch.float64)
    assert_allclose(loss(zeros, zeros, [0] * 5, own="zero"), math.log(5))
    assert_allclose(loss(zeros, zeros, [0] * 5), math.log(4))
    t, axes = 1.7, torch.eye(3, dtype=torch.float64)  # f of each sentence points at g of the next one
    found = loss(t * axes, axes.roll(1, 0), [0, 0, 1])  # of the first one that is a neighbour, of the second it is not
    assert_allclose(found, [math.log(1 + math.exp(-t)), math.log(1 + math.exp(t)), 0.0], rtol=1e-10)


def test_a_batch_without_neighbours_has_loss_0_and_gradient_0(rng):
    f, g = (torch.tensor(x, requires_grad=True) for x in rng.normal(size=(2, 3, 4)))
    loss(f, g, [0, 1, 2]).sum().backward()
    assert not f.grad.any()
    one = torch.ones(1, 2, requires_grad=True)
    found = loss(one, one, [0])
    assert found.tolist() == [0.0]
    found.sum().backward()


def test_gradients(rng):
    f, g = (torch.tensor(x, requires_grad=True) for x in rng.normal(size=(2, 8, 3)))
    for own in OWN:
        assert torch.autograd.gradcheck(lambda f, g, own=own: loss(f, g, own=own), (f, g))


def test_the_order_of_the_sentences_is_given_by_their_places(rng):
    f, g = (torch.tensor(x) for x in rng.normal(size=(2, 8, 4)))
    order = torch.tensor(rng.permutation(8))
    places, documents = order, torch.tensor(DOCUMENTS)[order]
    masks = {
        "neighbours": are_neighbours(places, documents, places, documents, size=1),
        "own": torch.eye(8, dtype=torch.bool),
    }
    got = quick_thought(f[order], g[order], **masks, own_score=-math.inf)
    assert_allclose(got, loss(f, g)[order], rtol=1e-10)
    assert not np.allclose(loss(f[order], g[order]), loss(f, g)[order])  # shuffled, there is nothing to learn


def test_products_are_neither_normalised_nor_scaled(rng):
    f, g = (torch.tensor(x) for x in rng.normal(size=(2, 8, 4)))
    assert_allclose(loss(2 * f, g), loss(f, 2 * g), rtol=1e-10)
    assert abs(loss(2 * f, g) - loss(f, g)).max() > 0.01


def test_f_and_g_have_parts_of_their_own(rng):
    f, g = rng.normal(size=(2, 8, 4))
    assert not np.allclose(loss(f, g), loss(g, f))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow(dtype, rng):
    f, g = (torch.tensor(200 * x).to(dtype) for x in rng.normal(size=(2, 8, 4)))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = loss(f, g)
    assert got.dtype == torch.float32 and torch.isfinite(got).all()
    assert_allclose(got, loss(f.double(), g.double()), rtol=1e-5)


def test_nan_is_not_dropped(rng):
    f, g = (torch.tensor(x) for x in rng.normal(size=(2, 8, 4)))
    g[1, 0] = math.nan
    assert loss(f, g)[[0, 2, 4]].isnan().all()


def test_bad_input_is_refused():
    rows, own = torch.ones(3, 2), torch.eye(3, dtype=torch.bool)
    good = {"neighbours": near([0] * 3, 1), "own": own, "own_score": 0.0}
    quick_thought(rows, rows, **good)
    with pytest.raises(ValueError, match="must have one width, not 2 and 1"):
        quick_thought(rows, rows[:, :1], **good)
    with pytest.raises(ValueError, match=r"neighbours must be \(3, 2\) bool, not \(3, 3\) torch.bool"):
        quick_thought(rows, rows[:2], **good)
    with pytest.raises(ValueError, match=r"own must be \(3, 3\) bool, not \(3, 3\) torch.int64"):
        quick_thought(rows, rows, **good | {"own": own.long()})
    with pytest.raises(ValueError, match="a sentence can't be its own neighbour"):
        quick_thought(rows, rows, **good | {"neighbours": own})
    with pytest.raises(ValueError, match="own_score must be a number or -inf, not NaN"):
        quick_thought(rows, rows, **good | {"own_score": math.nan})
    with pytest.raises(ValueError, match="an empty batch has no loss"):
        quick_thought(rows[:0], rows, **good)
    with pytest.raises(ValueError, match="size must be at least 1, not 0"):
        near([0, 0], 0)
