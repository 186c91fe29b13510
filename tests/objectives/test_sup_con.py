from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn.functional import cross_entropy, normalize

from sentemb.objectives.soft_nearest_neighbour import soft_nearest_neighbour
from sentemb.objectives.sup_con import sup_con_in, sup_con_out
from tests.oracles import metric_learning as oracles

FORMS = {False: sup_con_out, True: sup_con_in}
forms = pytest.mark.parametrize("inside", list(FORMS))


@forms
@pytest.mark.parametrize("labels", [[3, 3], [0, 0, 1], [0, 1, 2, 0, 3], [2, 2, 2, 7, 7, 9, 2, 9]])
@pytest.mark.parametrize("dim", [1, 5])
@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_agrees_with_the_paper_in_loops(inside, labels, dim, temperature, rng):
    rows = rng.normal(size=(len(labels), dim))
    got = FORMS[inside](torch.tensor(rows), torch.tensor(labels), temperature=temperature)
    assert_allclose(got, oracles.sup_con(rows, labels, temperature, inside), rtol=1e-10, atol=1e-12)


@forms
def test_duplicates_and_ties(inside):
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0], [-1.0, 0.0], [0.0, -1.0], [1.0, 0.0], [0.0, 3.0]])
    labels = [0, 0, 1, 1, 2, 2, 0]
    got = FORMS[inside](torch.tensor(rows), torch.tensor(labels), temperature=0.5)
    assert_allclose(got, oracles.sup_con(rows, labels, 0.5, inside), rtol=1e-12)


@forms
@pytest.mark.parametrize("labels", [[0, 0], [0, 1, 0, 1], [0, 0, 0, 1, 2, 2]])
def test_all_rows_alike_gives_ln_of_the_others(inside, labels):
    rows = torch.ones(len(labels), 3, dtype=torch.float64)
    assert_allclose(FORMS[inside](rows, torch.tensor(labels), temperature=0.07), math.log(len(labels) - 1), atol=1e-12)


def test_inside_is_below_outside_and_meets_it_for_pairs(rng):
    rows = torch.tensor(rng.normal(size=(8, 3)))
    many, pairs = torch.tensor([0, 0, 0, 0, 1, 1, 1, 2]), torch.arange(8) % 4
    assert sup_con_in(rows, many, temperature=0.5) < sup_con_out(rows, many, temperature=0.5)
    assert_allclose(sup_con_in(rows, pairs, temperature=0.5), sup_con_out(rows, pairs, temperature=0.5), rtol=1e-12)


def test_outside_equals_torch_cross_entropy_with_the_positives_as_target(rng):
    rows, labels = torch.tensor(rng.normal(size=(7, 4))), torch.tensor([0, 0, 0, 1, 1, 2, 2])
    z = normalize(rows)
    logits = (z @ z.T / 0.3).fill_diagonal_(-1e9)
    target = (labels[:, None] == labels).double().fill_diagonal_(0.0)
    expected = cross_entropy(logits, target / target.sum(1, keepdim=True))
    assert_allclose(sup_con_out(rows, labels, temperature=0.3), expected, rtol=1e-10)


def test_inside_is_the_soft_nearest_neighbour_loss_up_to_the_number_of_positives(rng):
    rows, labels = torch.tensor(rng.normal(size=(7, 4))), torch.tensor([0, 0, 0, 1, 1, 1, 2])
    neighbour = soft_nearest_neighbour(rows, labels, temperature=0.3, distance="cosine")
    assert_allclose(sup_con_in(rows, labels, temperature=0.3), neighbour + math.log(2), rtol=1e-12)


@forms
def test_gradients(inside, rng):
    rows, labels = torch.tensor(rng.normal(size=(6, 3)), requires_grad=True), torch.tensor([0, 0, 1, 1, 1, 2])
    assert torch.autograd.gradcheck(lambda x: FORMS[inside](x, labels, temperature=0.5), (rows,))


@forms
def test_gradients_of_equal_and_zero_rows_are_finite(inside):
    for rows in (torch.ones(5, 3, requires_grad=True), torch.zeros(5, 3, requires_grad=True)):
        FORMS[inside](rows, torch.tensor([0, 0, 1, 1, 2]), temperature=0.01).backward()
        assert torch.isfinite(rows.grad).all()


@forms
def test_invariant_to_batch_order_label_names_and_row_scale(inside, rng):
    form = FORMS[inside]
    rows, labels = torch.tensor(rng.normal(size=(6, 3))), torch.tensor([0, 1, 0, 2, 1, 1])
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    whole = form(rows, labels, temperature=0.1)
    assert_allclose(form(7 * rows[order], 5 - labels[order], temperature=0.1), whole, rtol=1e-10)
    assert not np.isclose(form(rows, labels[order], temperature=0.1), whole)  # the labels matter


@forms
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow_at_a_small_temperature(inside, dtype, rng):
    labels = torch.tensor([0, 1, 0, 2, 1, 1])
    rows = torch.tensor(rng.normal(size=(6, 8))).to(dtype)
    loss = FORMS[inside](rows, labels, temperature=0.01)
    exact = FORMS[inside](rows.double(), labels, temperature=0.01)
    assert loss.dtype == torch.float32 and loss > 10  # the premise: the exponents are large
    assert_allclose(loss, exact, rtol=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert_allclose(FORMS[inside](rows.float(), labels, temperature=0.01), exact, rtol=1e-5)


@forms
@pytest.mark.parametrize("row", [0, 4])  # one of a pair, and one that is a negative only
def test_nan_is_not_dropped(inside, row, rng):
    rows = torch.tensor(rng.normal(size=(5, 3)))
    rows[row, 1] = torch.nan
    assert FORMS[inside](rows, torch.tensor([0, 0, 1, 1, 2]), temperature=1.0).isnan()


@forms
def test_bad_input_is_refused(inside):
    form, rows, labels = FORMS[inside], torch.ones(3, 2), torch.tensor([0, 0, 1])
    with pytest.raises(ValueError, match="two rows or more must share a label, not 3 rows with a label each"):
        form(rows, torch.arange(3), temperature=1.0)
    with pytest.raises(ValueError, match="temperature must be above 0, not 0.0"):
        form(rows, labels, temperature=0.0)
    with pytest.raises(ValueError, match=r"labels must be \(3,\) whole numbers, not \(2,\)"):
        form(rows, labels[:2], temperature=1.0)
    with pytest.raises(ValueError, match=r"embeddings must be \(B, D\), not embeddings \(3, 2, 1\)"):
        form(rows[..., None], labels, temperature=1.0)
    with pytest.raises(ValueError, match="an empty batch has no loss"):
        form(rows[:0], labels[:0], temperature=1.0)
