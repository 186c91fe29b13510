from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn.functional import normalize

from sentemb.objectives.triplet import triplet_squared
from sentemb.objectives.triplet_mining import batch_all_triplet, batch_hard_triplet, semi_hard_triplet
from tests.oracles import metric_learning as oracles

MINED = {
    "all": (batch_all_triplet, oracles.batch_all_triplet),
    "hard": (batch_hard_triplet, oracles.batch_hard_triplet),
    "semi-hard": (semi_hard_triplet, oracles.semi_hard_triplet),
}
LABELS = [[0, 0, 1], [0, 0, 1, 1], [0, 1, 2, 0, 3], [2, 2, 2, 7, 7, 9, 2, 9]]
mined = pytest.mark.parametrize("name", list(MINED))
squares = pytest.mark.parametrize("squared", [False, True])


@pytest.mark.parametrize(("batch", "dim"), [(1, 1), (1, 4), (3, 1), (5, 8)])
@pytest.mark.parametrize("margin", [0.1, 0.2, 3.0])
def test_facenet_agrees_with_the_paper_in_loops(batch, dim, margin, rng):
    a, p, n = rng.normal(size=(3, batch, dim))
    got = triplet_squared(*map(torch.tensor, (a, p, n)), margin=margin)
    assert_allclose(got, oracles.triplet_squared(a, p, n, margin), rtol=1e-10, atol=1e-12)


def test_facenet_is_squared_and_normalised():
    a, p, n = torch.tensor([[5.0, 0.0]]), torch.tensor([[-0.1, 0.0]]), torch.tensor([[0.0, 9.0]])
    assert triplet_squared(a, p, n, margin=0.2).item() == pytest.approx(4.0 - 2.0 + 0.2)


@mined
@squares
@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("dim", [1, 5])
@pytest.mark.parametrize("margin", [0.05, 0.5, 5.0])
def test_agrees_with_the_paper_in_loops(name, squared, labels, dim, margin, rng):
    ours, oracle = MINED[name]
    rows = rng.normal(size=(len(labels), dim))
    got = ours(torch.tensor(rows), torch.tensor(labels), margin=margin, squared=squared)
    assert_allclose(got, oracle(rows, labels, margin, squared), rtol=1e-10, atol=1e-14)


@mined
def test_duplicates_and_ties(name):
    ours, oracle = MINED[name]
    rows = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0], [-3.0, 4.0], [5.0, 0.0], [0.0, 0.0]])  # 0 and 5, often
    labels = [0, 0, 1, 1, 2, 2]
    got = ours(torch.tensor(rows), torch.tensor(labels), margin=1.0, squared=False)
    assert_allclose(got, oracle(rows, labels, 1.0, False), rtol=1e-12)


@squares
def test_all_rows_alike_gives_the_margin(squared):
    rows, labels = torch.ones(5, 3), torch.tensor([0, 0, 1, 1, 2])
    for ours, _ in MINED.values():
        assert ours(rows, labels, margin=0.25, squared=squared).item() == 0.25


def test_batch_all_leaves_triplets_without_a_loss_out_of_the_mean():
    rows, labels = torch.tensor([[0.0], [1.0], [1.5], [50.0]]), torch.tensor([0, 0, 1, 2])
    # (0, 1, 2): 1 + 1 - 1.5; (1, 0, 2): 1 + 1 - 0.5; the two with the far negative have none
    assert batch_all_triplet(rows, labels, margin=1.0, squared=False).item() == 1.0


@mined
def test_nothing_to_learn_is_zero_with_zero_gradient(name):
    rows = torch.tensor([[0.0, 1.0], [0.0, 1.0], [90.0, 0.0], [90.0, 0.0]], requires_grad=True)
    loss = MINED[name][0](rows, torch.tensor([0, 0, 1, 1]), margin=1.0, squared=False)
    loss.backward()
    assert loss.item() == 0.0 and (rows.grad == 0.0).all()


@mined
@squares
def test_equals_sentence_transformers(name, squared, rng):
    from sentence_transformers.sentence_transformer import losses

    from tests.tiny import tiny_encoder

    theirs = {
        "all": losses.BatchAllTripletLoss,
        "hard": losses.BatchHardTripletLoss,
        "semi-hard": losses.BatchSemiHardTripletLoss,
    }[name]

    def distance(rows):
        rows = normalize(rows) if squared else rows
        euclidean = (rows[:, None] - rows).square().sum(-1)
        return euclidean if squared else euclidean.sqrt()

    rows, labels = torch.tensor(rng.normal(size=(12, 3))), torch.tensor([0, 1, 2] * 4)
    expected = theirs(tiny_encoder(), distance_metric=distance, margin=0.5).compute_loss_from_embeddings([rows], labels)
    assert_allclose(MINED[name][0](rows, labels, margin=0.5, squared=squared), expected, rtol=1e-6)


@mined
@squares
def test_gradients(name, squared, rng):
    rows, labels = torch.tensor(rng.normal(size=(5, 3)), requires_grad=True), torch.tensor([0, 0, 1, 1, 2])
    ours = MINED[name][0]
    assert torch.autograd.gradcheck(lambda x: ours(x, labels, margin=2.0, squared=squared), (rows,))


def test_facenet_gradients(rng):
    triple = tuple(torch.tensor(x, requires_grad=True) for x in rng.normal(size=(3, 3, 4)))
    assert torch.autograd.gradcheck(lambda *x: triplet_squared(*x, margin=1.0), triple)


@squares
def test_gradients_of_equal_and_zero_rows_are_finite(squared):
    for rows in (torch.ones(4, 3, requires_grad=True), torch.zeros(4, 3, requires_grad=True)):
        losses = [f(rows, torch.tensor([0, 0, 1, 1]), margin=1.0, squared=squared) for f, _ in MINED.values()]
        (sum(losses) + triplet_squared(rows, rows, rows, margin=1.0).sum()).backward()
        assert torch.isfinite(rows.grad).all()


@mined
@squares
def test_invariant_to_batch_order_and_label_names(name, squared, rng):
    ours = MINED[name][0]
    rows, labels = torch.tensor(rng.normal(size=(6, 3))), torch.tensor([0, 1, 0, 2, 1, 1])
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    whole = ours(rows, labels, margin=1.0, squared=squared)
    assert_allclose(ours(rows[order], 5 - labels[order], margin=1.0, squared=squared), whole, rtol=1e-12)
    assert not np.isclose(ours(rows, labels[order], margin=1.0, squared=squared), whole)  # the labels matter
    scaled = ours(7.0 * rows, labels, margin=1.0, squared=squared)
    assert np.isclose(scaled, whole, rtol=1e-10) == squared


@mined
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_float32_losses(name, dtype, rng):
    ours, oracle = MINED[name]
    rows, labels = torch.tensor(200 * rng.normal(size=(6, 8))).to(dtype), [0, 1, 0, 2, 1, 1]
    loss = ours(rows, torch.tensor(labels), margin=300.0, squared=False)
    assert loss.dtype == torch.float32
    assert_allclose(loss, oracle(rows.double().numpy(), labels, 300.0, False), rtol=1e-4)


@mined
@squares
@pytest.mark.parametrize("row", [0, 4])  # one of a pair, and one that is a negative only
def test_nan_is_not_dropped(name, squared, row, rng):
    rows = torch.tensor(rng.normal(size=(5, 3)))
    rows[row, 1] = torch.nan
    assert MINED[name][0](rows, torch.tensor([0, 0, 1, 1, 2]), margin=0.1, squared=squared).isnan()
    assert triplet_squared(rows, rows, rows, margin=0.1).isnan().nonzero().tolist() == [[row]]


@mined
def test_nan_beside_a_semi_hard_negative_is_not_dropped(name):
    rows, labels = torch.tensor([[0.0], [1.0], [10.0], [11.0], [torch.nan]]), torch.tensor([0, 0, 1, 1, 2])
    assert MINED[name][0](rows, labels, margin=1.0, squared=False).isnan()


@mined
def test_small_distances_far_from_the_origin_keep_their_digits(name):
    rows = torch.tensor([[0.0], [0.125], [0.25], [0.5]]) + 1000.0  # where ‖a‖² + ‖b‖² − 2 a·b loses them
    ours, oracle = MINED[name]
    expected = oracle(rows.double().numpy(), [0, 0, 1, 1], 1.0, False)
    assert_allclose(ours(rows, torch.tensor([0, 0, 1, 1]), margin=1.0, squared=False), expected, rtol=1e-6)


@mined
def test_bad_input_is_refused(name):
    ours, rows = MINED[name][0], torch.ones(3, 2)
    with pytest.raises(ValueError, match="margin must be above 0, not 0.0"):
        ours(rows, torch.tensor([0, 0, 1]), margin=0.0, squared=False)
    with pytest.raises(ValueError, match=r"labels must be \(3,\) whole numbers, not \(2,\)"):
        ours(rows, torch.tensor([0, 0]), margin=1.0, squared=False)
    with pytest.raises(ValueError, match="two rows or more must share a label, not 3 rows with a label each"):
        ours(rows, torch.tensor([0, 1, 2]), margin=1.0, squared=False)
    with pytest.raises(ValueError, match="of two classes or more, not 3 rows of class 4"):
        ours(rows, torch.tensor([4, 4, 4]), margin=1.0, squared=False)
    with pytest.raises(ValueError, match="an empty batch has no loss"):
        ours(rows[:0], torch.tensor([0])[:0], margin=1.0, squared=False)


def test_bad_triplets_are_refused():
    rows = torch.ones(3, 2)
    with pytest.raises(ValueError, match="margin must be above 0, not -0.2"):
        triplet_squared(rows, rows, rows, margin=-0.2)
    with pytest.raises(ValueError, match=r"one shape, not anchors \(3, 2\), positives \(3, 2\), negatives \(1, 2\)"):
        triplet_squared(rows, rows, rows[:1], margin=0.2)
