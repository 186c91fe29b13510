from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sentemb.objectives.contrastive import contrastive, contrastive_in_batch
from tests.oracles import metric_learning as oracles

SHAPES = [(1, 1), (1, 4), (3, 1), (6, 8)]
MARGINS = [0.1, 1.0, 4.0]


@pytest.mark.parametrize(("batch", "dim"), SHAPES)
@pytest.mark.parametrize("margin", MARGINS)
def test_pairs_agree_with_the_paper_in_loops(batch, dim, margin, rng):
    first, second = rng.normal(size=(2, batch, dim))
    same = rng.integers(2, size=batch).astype(bool)
    for flags in (same, ~same):
        got = contrastive(*map(torch.tensor, (first, second, flags)), margin=margin)
        assert_allclose(got, oracles.contrastive(first, second, flags, margin), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(("rows", "dim"), [(2, 1), (3, 4), (7, 1), (9, 8)])
@pytest.mark.parametrize("margin", MARGINS)
def test_batch_agrees_with_the_paper_in_loops(rows, dim, margin, rng):
    x, labels = rng.normal(size=(rows, dim)), rng.integers(3, size=rows)
    x[-1] = x[0]  # a duplicate
    got = contrastive_in_batch(torch.tensor(x), torch.tensor(labels), margin=margin)
    assert_allclose(got, oracles.contrastive_in_batch(x, labels, margin), rtol=1e-10, atol=1e-14)


def test_closed_form():
    first, second = torch.zeros(4, 2), torch.tensor([[3.0, 4.0], [3.0, 4.0], [0.6, 0.8], [0.0, 0.0]])
    same = torch.tensor([True, False, False, False])
    assert contrastive(first, second, same, margin=3.0).tolist() == pytest.approx([25.0, 0.0, 4.0, 9.0])


def test_batch_is_the_mean_of_its_pairs(rng):
    x, labels = torch.tensor(rng.normal(size=(5, 3))), torch.tensor([0, 1, 0, 2, 1])
    i, j = np.triu_indices(5, 1)
    pairs = contrastive(x[i], x[j], labels[i] == labels[j], margin=2.0)
    assert_allclose(contrastive_in_batch(x, labels, margin=2.0), pairs.mean(), rtol=1e-12)


@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 1, 2]])
def test_one_term_may_be_empty(labels, rng):
    x = rng.normal(size=(3, 2))
    got = contrastive_in_batch(torch.tensor(x), torch.tensor(labels), margin=2.0)
    assert_allclose(got, oracles.contrastive_in_batch(x, labels, 2.0), rtol=1e-10)


def test_equals_twice_sentence_transformers_with_the_euclidean_distance(rng):
    from sentence_transformers.sentence_transformer.losses import ContrastiveLoss

    from tests.tiny import tiny_encoder

    first, second = (torch.tensor(x) for x in rng.normal(size=(2, 8, 4)))
    same = torch.tensor([True, False] * 4)
    theirs = ContrastiveLoss(tiny_encoder(), distance_metric=lambda u, v: (u - v).norm(dim=1), margin=3.0)
    expected = 2 * theirs.compute_loss_from_embeddings([first, second], same.long())
    assert_allclose(contrastive(first, second, same, margin=3.0).mean(), expected, rtol=1e-6)


def test_gradients(rng):
    first, second = (torch.tensor(x, requires_grad=True) for x in rng.normal(size=(2, 4, 3)))
    same = torch.tensor([True, False, False, True])
    assert torch.autograd.gradcheck(lambda u, v: contrastive(u, v, same, margin=4.0), (first, second))
    labels = torch.tensor([0, 1, 0, 2])
    assert torch.autograd.gradcheck(lambda u: contrastive_in_batch(u, labels, margin=4.0), (first,))


def test_gradients_of_equal_rows_are_finite():
    rows = torch.ones(4, 3, requires_grad=True)
    pairs = contrastive(rows, rows.detach(), torch.tensor([True, False, True, False]), margin=1.0)
    (pairs.sum() + contrastive_in_batch(rows, torch.tensor([0, 0, 1, 1]), margin=1.0)).backward()
    assert torch.isfinite(rows.grad).all()


def test_invariant_to_batch_order_and_side(rng):
    x, y = (torch.tensor(v) for v in rng.normal(size=(2, 6, 3)))
    labels, order = torch.tensor([0, 1, 0, 2, 1, 1]), torch.tensor([3, 0, 5, 1, 4, 2])
    same = labels < 1
    whole = contrastive(x, y, same, margin=2.0)
    assert_allclose(contrastive(y[order], x[order], same[order], margin=2.0), whole[order], rtol=1e-12)
    batch = contrastive_in_batch(x, labels, margin=2.0)
    assert_allclose(contrastive_in_batch(x[order], labels[order], margin=2.0), batch, rtol=1e-12)
    assert not np.isclose(contrastive_in_batch(x, labels[order], margin=2.0), batch)  # the labels matter


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_float32_losses(dtype, rng):
    x, y = (torch.tensor(v).to(dtype) for v in 200 * rng.normal(size=(2, 4, 8)))  # squares overflow float16
    same, labels = torch.tensor([True, False, True, False]), torch.tensor([0, 0, 1, 1])
    pairs, batch = contrastive(x, y, same, margin=900.0), contrastive_in_batch(x, labels, margin=900.0)
    assert pairs.dtype == batch.dtype == torch.float32
    x, y = x.double().numpy(), y.double().numpy()
    assert_allclose(pairs, oracles.contrastive(x, y, same, 900.0), rtol=1e-4)
    assert_allclose(batch, oracles.contrastive_in_batch(x, labels, 900.0), rtol=1e-4)


@pytest.mark.parametrize("same", [True, False])
def test_nan_is_not_dropped(same):
    x = torch.zeros(3, 2)
    x[1, 0] = torch.nan
    assert contrastive(x, torch.ones(3, 2), torch.full((3,), same), margin=1.0).isnan().tolist() == [False, True, False]
    assert contrastive_in_batch(x, torch.zeros(3).long() if same else torch.arange(3), margin=1.0).isnan()


def test_bad_input_is_refused():
    x, same = torch.ones(3, 2), torch.tensor([True, False, True])
    with pytest.raises(ValueError, match="margin must be above 0, not 0.0"):
        contrastive(x, x, same, margin=0.0)
    with pytest.raises(ValueError, match=r"one shape, not first \(3, 2\), second \(2, 2\)"):
        contrastive(x, x[:2], same, margin=1.0)
    with pytest.raises(ValueError, match=r"same must be \(3,\) bool, not \(3,\) torch.int64"):
        contrastive(x, x, same.long(), margin=1.0)
    with pytest.raises(ValueError, match=r"same must be \(3,\) bool, not \(2,\) torch.bool"):
        contrastive(x, x, same[:2], margin=1.0)
    with pytest.raises(ValueError, match="an empty batch has no loss"):
        contrastive(x[:0], x[:0], same[:0], margin=1.0)
    with pytest.raises(ValueError, match="margin must be above 0, not -1"):
        contrastive_in_batch(x, same.long(), margin=-1)
    with pytest.raises(ValueError, match="2 rows or more to form a pair, not 1"):
        contrastive_in_batch(x[:1], same[:1].long(), margin=1.0)
    with pytest.raises(ValueError, match=r"labels must be \(3,\) whole numbers"):
        contrastive_in_batch(x, torch.ones(3), margin=1.0)
