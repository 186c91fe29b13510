from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn.functional import cross_entropy, normalize

from sentemb.objectives.info_nce import info_nce
from sentemb.objectives.mixup import mixed_info_nce
from tests.oracles import two_views as oracles

SHAPES = [(1, 1), (1, 5), (2, 1), (4, 3), (7, 16)]


def mixture(rng: np.random.Generator, batch: int) -> dict[str, torch.Tensor]:
    return {
        "partners": torch.tensor(rng.integers(batch, size=batch)),
        "weights": torch.tensor(rng.uniform(size=batch)),
    }


@pytest.mark.parametrize(("batch", "dim"), SHAPES)
@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_agrees_with_the_papers_in_loops(batch, dim, temperature, rng):
    for rows in (rng.normal(size=(2, batch, dim)), oracles.repeated(rng, batch, dim)):
        how = mixture(rng, batch)
        got = mixed_info_nce(*map(torch.tensor, rows), **how, temperature=temperature)
        expected = oracles.mixed_info_nce(*rows, how["partners"].tolist(), how["weights"].tolist(), temperature)
        assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


def test_equals_torch_s_cross_entropy_with_mixed_targets(rng):
    a, p = torch.tensor(rng.normal(size=(2, 5, 4)))
    how = mixture(rng, 5)
    own, other, share = torch.eye(5).double(), torch.eye(5).double()[how["partners"]], how["weights"][:, None]
    mixed = share * normalize(a) + (1 - share) * normalize(a)[how["partners"]]
    logits = normalize(mixed) @ normalize(p).T / 0.1
    expected = cross_entropy(logits, share * own + (1 - share) * other, reduction="none")
    assert_allclose(mixed_info_nce(a, p, **how, temperature=0.1), expected, rtol=1e-10)


def test_a_share_of_1_or_an_anchor_s_own_number_gives_info_nce(rng):
    a, p = torch.tensor(rng.normal(size=(2, 6, 4)))
    plain = info_nce(a, p, temperature=0.1)
    how = mixture(rng, 6)
    whole = torch.ones(6, dtype=torch.float64)
    assert_allclose(mixed_info_nce(a, p, partners=how["partners"], weights=whole, temperature=0.1), plain, rtol=1e-10)
    itself = torch.arange(6)
    assert_allclose(mixed_info_nce(a, p, partners=itself, weights=how["weights"], temperature=0.1), plain, rtol=1e-10)
    none = mixed_info_nce(a, p, partners=how["partners"], weights=0 * whole, temperature=0.1)
    assert_allclose(none, plain[how["partners"]], rtol=1e-10)


def test_all_rows_alike_gives_ln_of_the_number_of_candidates(rng):
    rows = torch.ones(7, 3, dtype=torch.float64)
    assert_allclose(mixed_info_nce(rows, rows, **mixture(rng, 7), temperature=0.05), math.log(7), atol=1e-12)


def test_gradients(rng):
    rows = tuple(torch.tensor(x, requires_grad=True) for x in rng.normal(size=(2, 3, 4)))
    how = mixture(rng, 3)
    assert torch.autograd.gradcheck(lambda *x: mixed_info_nce(*x, **how, temperature=0.5), rows)


def test_gradients_are_finite_for_zero_equal_and_opposite_rows():
    how = {"partners": torch.tensor([1, 0]), "weights": torch.full((2,), 0.5)}
    for rows in (torch.zeros(2, 3), torch.ones(2, 3), torch.tensor([[1.0, 0.0], [-1.0, 0.0]])):
        anchors = rows.clone().requires_grad_()
        losses = mixed_info_nce(anchors, rows, **how, temperature=0.01)
        losses.sum().backward()
        assert torch.isfinite(losses).all() and torch.isfinite(anchors.grad).all()


def test_invariant_to_batch_order_and_row_scale(rng):
    a, p = torch.tensor(rng.normal(size=(2, 6, 4)))
    how = mixture(rng, 6)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    whole = mixed_info_nce(a, p, **how, temperature=0.1)
    moved = {"partners": order.argsort()[how["partners"][order]], "weights": how["weights"][order]}
    assert_allclose(mixed_info_nce(a[order], p[order], **moved, temperature=0.1), whole[order], rtol=1e-10)
    sizes = torch.tensor(rng.uniform(0.1, 9.0, size=(6, 1)))
    assert_allclose(mixed_info_nce(sizes * a, 0.1 * p, **how, temperature=0.1), whole, rtol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow_at_a_small_temperature(dtype, rng):
    a, p = torch.tensor(rng.normal(size=(2, 5, 8))).to(dtype)
    partners, weights = torch.tensor([1, 2, 3, 4, 0]), torch.linspace(0, 1, 5).to(dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = mixed_info_nce(a, p, partners=partners, weights=weights, temperature=0.01)
    assert got.dtype == torch.float32 and torch.isfinite(got).all()
    exact = mixed_info_nce(a.double(), p.double(), partners=partners, weights=weights.double(), temperature=0.01)
    assert_allclose(got, exact, rtol=1e-4, atol=1e-4)


def test_nan_reaches_the_losses_that_see_it(rng):
    a, p = torch.tensor(rng.normal(size=(2, 3, 4)))
    partners, weights = torch.tensor([1, 2, 0]), torch.tensor([0.5, math.nan, 0.5])
    assert mixed_info_nce(a, p, partners=partners, weights=weights, temperature=0.1).isnan().tolist() == [0, 1, 0]
    a[0, 0] = math.nan
    assert mixed_info_nce(a, p, partners=partners, weights=weights, temperature=0.1).isnan().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"partners": torch.tensor([0, 1])}, r"partners must be \(3,\) torch.int64, not \(2,\) torch.int64"),
        ({"partners": torch.zeros(3)}, r"partners must be \(3,\) torch.int64, not \(3,\) torch.float32"),
        ({"partners": torch.tensor([0, 3, 1])}, "partners must be row numbers from 0 to 2, not from 0 to 3"),
        ({"partners": torch.tensor([0, -1, 1])}, "partners must be row numbers from 0 to 2, not from -1 to 1"),
        ({"weights": torch.ones(3, 1)}, r"weights must be \(3,\) float, not \(3, 1\)"),
        ({"weights": torch.ones(3, dtype=torch.int64)}, r"weights must be \(3,\) float, not \(3,\) torch.int64"),
        ({"weights": torch.tensor([0.0, 1.5, 1.0])}, "weights must be from 0 to 1, not 1.5"),
        ({"temperature": 0.0}, "temperature must be above 0, not 0.0"),
        ({"positives": torch.ones(2, 2)}, r"one shape, not anchors \(3, 2\), positives \(2, 2\)"),
        ({"anchors": torch.ones(0, 2), "positives": torch.ones(0, 2)}, "an empty batch has no loss"),
    ],
)
def test_bad_input_is_refused(change, message):
    good = {
        "anchors": torch.ones(3, 2),
        "positives": torch.ones(3, 2),
        "partners": torch.tensor([1, 2, 0]),
        "weights": torch.full((3,), 0.5),
        "temperature": 0.1,
    }
    mixed_info_nce(**good)
    with pytest.raises(ValueError, match=message):
        mixed_info_nce(**{**good, **change})
