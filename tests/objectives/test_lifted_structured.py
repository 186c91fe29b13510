from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sentemb.objectives.lifted_structured import lifted_structured_hard, lifted_structured_smooth
from tests.oracles import metric_learning as oracles

FORMS = {False: lifted_structured_hard, True: lifted_structured_smooth}
forms = pytest.mark.parametrize("smooth", list(FORMS))


@forms
@pytest.mark.parametrize("labels", [[0, 0, 1], [0, 0, 1, 1], [0, 1, 2, 0, 3], [2, 2, 2, 7, 7, 9, 2, 9]])
@pytest.mark.parametrize("dim", [1, 5])
@pytest.mark.parametrize("margin", [0.05, 1.0, 5.0])
def test_agrees_with_the_paper_in_loops(smooth, labels, dim, margin, rng):
    rows = rng.normal(size=(len(labels), dim))
    got = FORMS[smooth](torch.tensor(rows), torch.tensor(labels), margin=margin)
    assert_allclose(got, oracles.lifted_structured(rows, labels, margin, smooth), rtol=1e-10, atol=1e-14)


@forms
def test_duplicates_and_ties(smooth):
    rows = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0], [-3.0, 4.0], [5.0, 0.0], [0.0, 0.0]])
    labels = [0, 0, 1, 1, 2, 2]
    got = FORMS[smooth](torch.tensor(rows), torch.tensor(labels), margin=1.0)
    assert_allclose(got, oracles.lifted_structured(rows, labels, 1.0, smooth), rtol=1e-12)


@pytest.mark.parametrize("n_per_class", [2, 3, 8])
def test_all_rows_alike(n_per_class):
    rows = torch.ones(3 * n_per_class, 4, dtype=torch.float64)
    labels = torch.arange(3).repeat_interleave(n_per_class)
    assert lifted_structured_hard(rows, labels, margin=1.5).item() == 1.5**2 / 2
    n_negatives = 2 * n_per_class  # of each end
    expected = (1.5 + math.log(2 * n_negatives)) ** 2 / 2
    assert_allclose(lifted_structured_smooth(rows, labels, margin=1.5), expected, rtol=1e-12)


@forms
def test_small_distances_far_from_the_origin_keep_their_digits(smooth):
    rows, labels = torch.tensor([[0.0], [0.125], [0.25], [0.5]]) + 1000.0, [0, 0, 1, 1]
    expected = oracles.lifted_structured(rows.double().numpy(), labels, 1.0, smooth)
    assert_allclose(FORMS[smooth](rows, torch.tensor(labels), margin=1.0), expected, rtol=1e-6)


def test_negatives_of_both_ends_count():
    rows, labels = torch.tensor([[0.0], [10.0], [-9.0], [10.5]]), torch.tensor([0, 0, 1, 2])
    for order in ([0, 1, 2, 3], [1, 0, 2, 3]):  # only the end at 10 has a near negative, and it is either i or j
        assert lifted_structured_hard(rows[order], labels[order], margin=1.0).item() == 10.5**2 / 2


def test_the_hinge_comes_before_the_square():
    rows, labels = torch.tensor([[0.0], [0.0], [9.0]]), torch.tensor([0, 0, 1])
    assert lifted_structured_hard(rows, labels, margin=1.0).item() == 0.0
    assert lifted_structured_smooth(rows, labels, margin=1.0).item() == 0.0


def test_the_smooth_form_bounds_the_hard_one(rng):
    for _ in range(20):
        rows, labels = torch.tensor(rng.normal(size=(8, 3))), torch.tensor([0, 0, 1, 1, 2, 2, 2, 3])
        hard, smooth = (form(rows, labels, margin=1.0) for form in FORMS.values())
        assert smooth > hard > 0


@forms
def test_gradients(smooth, rng):
    rows, labels = torch.tensor(rng.normal(size=(6, 3)), requires_grad=True), torch.tensor([0, 0, 1, 1, 1, 2])
    assert torch.autograd.gradcheck(lambda x: FORMS[smooth](x, labels, margin=1.0), (rows,))


@forms
def test_gradients_of_equal_rows_are_finite(smooth):
    rows = torch.ones(4, 3, requires_grad=True)
    FORMS[smooth](rows, torch.tensor([0, 0, 1, 1]), margin=1.0).backward()
    assert torch.isfinite(rows.grad).all()


@forms
def test_invariant_to_batch_order_and_label_names(smooth, rng):
    form = FORMS[smooth]
    rows, labels = torch.tensor(rng.normal(size=(6, 3))), torch.tensor([0, 1, 0, 2, 1, 1])
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    whole = form(rows, labels, margin=1.0)
    assert_allclose(form(rows[order], 5 - labels[order], margin=1.0), whole, rtol=1e-12)
    assert not np.isclose(form(rows, labels[order], margin=1.0), whole)  # the labels matter


@forms
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_float32_losses(smooth, dtype, rng):
    labels = [0, 1, 0, 2, 1, 1]
    for scale in (1, 200):  # e^-D underflows at the second, and the square overflows float16
        rows = torch.tensor(scale * rng.normal(size=(6, 8))).to(dtype)
        loss = FORMS[smooth](rows, torch.tensor(labels), margin=1.0)
        assert loss.dtype == torch.float32 and torch.isfinite(loss)
        if scale == 1 or not smooth:
            assert_allclose(loss, oracles.lifted_structured(rows.double().numpy(), labels, 1.0, smooth), rtol=1e-4)


@forms
@pytest.mark.parametrize("row", [0, 4])  # one of a pair, and one that is a negative only
def test_nan_is_not_dropped(smooth, row, rng):
    rows = torch.tensor(rng.normal(size=(5, 3)))
    rows[row, 1] = torch.nan
    assert FORMS[smooth](rows, torch.tensor([0, 0, 1, 1, 2]), margin=1.0).isnan()


@forms
def test_bad_input_is_refused(smooth):
    form, rows = FORMS[smooth], torch.ones(3, 2)
    with pytest.raises(ValueError, match="margin must be above 0, not 0.0"):
        form(rows, torch.tensor([0, 0, 1]), margin=0.0)
    with pytest.raises(ValueError, match=r"labels must be \(3,\) whole numbers, not \(2,\)"):
        form(rows, torch.tensor([0, 0]), margin=1.0)
    with pytest.raises(ValueError, match="two rows or more must share a label, not 3 rows with a label each"):
        form(rows, torch.tensor([0, 1, 2]), margin=1.0)
    with pytest.raises(ValueError, match="of two classes or more, not 3 rows of class 4"):
        form(rows, torch.tensor([4, 4, 4]), margin=1.0)
    with pytest.raises(ValueError, match="an empty batch has no loss"):
        form(rows[:0], torch.tensor([0])[:0], margin=1.0)
