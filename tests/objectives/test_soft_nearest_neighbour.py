from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sentemb.objectives.soft_nearest_neighbour import soft_nearest_neighbour
from tests.oracles import metric_learning as oracles

distances = pytest.mark.parametrize("distance", ["squared_euclidean", "cosine"])


@distances
@pytest.mark.parametrize("labels", [[3, 3], [0, 0, 1], [0, 1, 2, 0, 3], [2, 2, 2, 7, 7, 9, 2, 9]])
@pytest.mark.parametrize("dim", [1, 5])
@pytest.mark.parametrize("temperature", [0.1, 1.0, 30.0])
def test_agrees_with_the_paper_in_loops(distance, labels, dim, temperature, rng):
    rows = 0.5 * rng.normal(size=(len(labels), dim))
    got = soft_nearest_neighbour(torch.tensor(rows), torch.tensor(labels), temperature=temperature, distance=distance)
    expected = oracles.soft_nearest_neighbour(rows, labels, temperature, distance)
    assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


@distances
def test_duplicates_and_ties(distance):
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [-1.0, 0.0], [0.0, -1.0], [1.0, 0.0]])
    labels = [0, 0, 1, 1, 2, 2]
    got = soft_nearest_neighbour(torch.tensor(rows), torch.tensor(labels), temperature=0.5, distance=distance)
    assert_allclose(got, oracles.soft_nearest_neighbour(rows, labels, 0.5, distance), rtol=1e-12)


@distances
def test_all_rows_alike_counts_the_class(distance):
    rows, labels = torch.ones(7, 3, dtype=torch.float64), torch.tensor([0, 0, 0, 0, 1, 1, 2])
    expected = (4 * math.log(6 / 3) + 2 * math.log(6 / 1)) / 6  # the seventh row is no anchor
    got = soft_nearest_neighbour(rows, labels, temperature=0.1, distance=distance)
    assert_allclose(got, expected, rtol=1e-12)


@distances
def test_one_class_has_nothing_to_lose(distance, rng):
    rows = torch.tensor(rng.normal(size=(4, 3)))
    labels = torch.zeros(4, dtype=torch.long)
    assert soft_nearest_neighbour(rows, labels, temperature=0.1, distance=distance).item() == 0.0


def test_small_distances_far_from_the_origin_keep_their_digits():
    rows, labels = torch.tensor([[0.0], [0.125], [0.25], [0.5]]) + 1000.0, [0, 0, 1, 1]
    expected = oracles.soft_nearest_neighbour(rows.double().numpy(), labels, 0.05, "squared_euclidean")
    got = soft_nearest_neighbour(rows, torch.tensor(labels), temperature=0.05, distance="squared_euclidean")
    assert_allclose(got, expected, rtol=1e-5)


def test_equals_torch_cross_entropy_for_pairs(rng):
    rows = torch.tensor(rng.normal(size=(8, 3)))
    logits = -(rows[:, None] - rows).square().sum(-1) / 0.7
    logits.fill_diagonal_(-torch.inf)
    partner = torch.tensor([4, 5, 6, 7, 0, 1, 2, 3])
    expected = torch.nn.functional.cross_entropy(logits, partner)
    got = soft_nearest_neighbour(rows, torch.arange(8) % 4, temperature=0.7, distance="squared_euclidean")
    assert_allclose(got, expected, rtol=1e-12)


@distances
def test_gradients_of_rows_and_of_a_learnt_temperature(distance, rng):
    rows = torch.tensor(rng.normal(size=(6, 3)), requires_grad=True)
    temperature = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 0, 1, 1, 1, 2])

    def loss(rows, temperature):
        return soft_nearest_neighbour(rows, labels, temperature=temperature, distance=distance)

    assert torch.autograd.gradcheck(loss, (rows, temperature))
    assert_allclose(loss(rows, temperature).detach(), loss(rows, 0.8).detach(), rtol=1e-12)


@distances
def test_gradients_of_equal_and_zero_rows_are_finite(distance):
    for rows in (torch.ones(5, 3, requires_grad=True), torch.zeros(5, 3, requires_grad=True)):
        labels = torch.tensor([0, 0, 1, 1, 2])
        soft_nearest_neighbour(rows, labels, temperature=0.01, distance=distance).backward()
        assert torch.isfinite(rows.grad).all()


@distances
def test_invariant_to_batch_order_and_label_names(distance, rng):
    rows, labels = torch.tensor(rng.normal(size=(6, 3))), torch.tensor([0, 1, 0, 2, 1, 1])
    order = torch.tensor([3, 0, 5, 1, 4, 2])

    def loss(rows, labels):
        return soft_nearest_neighbour(rows, labels, temperature=0.5, distance=distance)

    whole = loss(rows, labels)
    assert_allclose(loss(rows[order], 5 - labels[order]), whole, rtol=1e-12)
    assert not np.isclose(loss(rows, labels[order]), whole)  # the labels matter
    assert np.isclose(loss(7 * rows, labels), whole, rtol=1e-10) == (distance == "cosine")


@distances
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow_at_a_small_temperature(distance, dtype, rng):
    labels = torch.tensor([0, 1, 0, 2, 1, 1])
    rows = torch.tensor(rng.normal(size=(6, 8))).to(dtype)
    loss = soft_nearest_neighbour(rows, labels, temperature=0.01, distance=distance)
    exact = soft_nearest_neighbour(rows.double(), labels, temperature=0.01, distance=distance)
    assert loss.dtype == torch.float32 and loss > 10  # the premise: the exponents are large
    assert_allclose(loss, exact, rtol=1e-5)


@distances
@pytest.mark.parametrize("row", [0, 4])  # one of a pair, and one that is a neighbour only
def test_nan_is_not_dropped(distance, row, rng):
    rows = torch.tensor(rng.normal(size=(5, 3)))
    rows[row, 1] = torch.nan
    labels = torch.tensor([0, 0, 1, 1, 2])
    assert soft_nearest_neighbour(rows, labels, temperature=1.0, distance=distance).isnan()


def test_bad_input_is_refused():
    rows, labels = torch.ones(3, 2), torch.tensor([0, 0, 1])
    with pytest.raises(ValueError, match="two rows or more must share a label, not 3 rows with a label each"):
        soft_nearest_neighbour(rows, torch.arange(3), temperature=1.0, distance="cosine")
    for zero in (0.0, torch.tensor(0.0, requires_grad=True)):
        with pytest.raises(ValueError, match=r"temperature must be above 0, not 0\.0"):
            soft_nearest_neighbour(rows, labels, temperature=zero, distance="cosine")
    with pytest.raises(ValueError, match=r"temperature must be one number, not \(2,\)"):
        soft_nearest_neighbour(rows, labels, temperature=torch.ones(2), distance="cosine")
    with pytest.raises(ValueError, match="distance must be one of squared_euclidean, cosine, not euclidean"):
        soft_nearest_neighbour(rows, labels, temperature=1.0, distance="euclidean")
    with pytest.raises(ValueError, match=r"labels must be \(3,\) whole numbers, not \(3,\) torch.float32"):
        soft_nearest_neighbour(rows, labels.float(), temperature=1.0, distance="cosine")
    with pytest.raises(ValueError, match="an empty batch has no loss"):
        soft_nearest_neighbour(rows[:0], labels[:0], temperature=1.0, distance="cosine")
