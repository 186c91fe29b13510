from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn.functional import normalize

from sentemb.objectives.memory_bank import estimate_log_normaliser, memory_bank_nce, proximal
from sentemb.objectives.nce import nce
from tests.oracles import schemes as oracles

N_INSTANCES = 50


def rows(rng, batch: int, n_noise: int, dim: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    f, v = (normalize(torch.tensor(x), dim=-1) for x in rng.normal(size=(2, batch, dim)))
    return f, v, normalize(torch.tensor(rng.normal(size=(batch, n_noise, dim))), dim=-1)


def loss_of(f, v, noise, *, temperature=0.5, log_z=4.0) -> torch.Tensor:
    log_normaliser = torch.tensor(log_z, dtype=torch.float64)
    return memory_bank_nce(f, v, noise, temperature=temperature, n_instances=N_INSTANCES, log_normaliser=log_normaliser)


@pytest.mark.parametrize(("batch", "n_noise", "dim"), [(1, 1, 1), (1, 4, 5), (4, 1, 3), (3, 6, 1), (5, 9, 8)])
@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_agrees_with_the_paper_in_loops(batch, n_noise, dim, temperature, rng):
    inputs = rows(rng, batch, n_noise, dim)
    inputs[2][:, 0] = inputs[1]  # noise may include the positive
    got = loss_of(*inputs, temperature=temperature, log_z=5.0)
    arrays = [x.numpy() for x in inputs]
    expected = oracles.memory_bank_nce(*arrays, temperature, N_INSTANCES, math.exp(5.0))
    assert got.shape == (batch,)
    assert_allclose(got, expected, rtol=1e-10)


@pytest.mark.parametrize(("n_noise", "expected"), [(1, 2 * math.log(2)), (4096, 9.318)])
def test_a_uniform_p_gives_the_closed_form(n_noise, expected):
    f = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    noise = torch.tensor([0.0, 1.0], dtype=torch.float64).expand(1, n_noise, 2)
    got = loss_of(f, noise[:, 0], noise, log_z=math.log(N_INSTANCES))
    assert_allclose(got, math.log(1 + n_noise) + n_noise * math.log(1 + 1 / n_noise), rtol=1e-12)
    assert_allclose(got, expected, atol=5e-4)


def test_equals_noise_contrastive_estimation(rng):
    f, v, noise = rows(rng, 4, 6, 3)
    log_p = (f * v).sum(-1) / 0.5 - 4.0
    noise_log_p = (f[:, None] * noise).sum(-1) / 0.5 - 4.0
    log_q = torch.tensor(-math.log(N_INSTANCES), dtype=torch.float64)
    expected = nce(log_p, log_q.expand(4), noise_log_p, log_q.expand(4, 6))
    assert_allclose(loss_of(f, v, noise), expected, rtol=1e-12)


def test_the_normaliser_is_n_times_the_mean(rng):
    logits = rng.normal(size=(3, 7))
    got = estimate_log_normaliser(torch.tensor(logits), N_INSTANCES)
    assert got.shape == ()
    assert_allclose(got, math.log(N_INSTANCES * sum(math.exp(x) for x in logits.flat) / 21), rtol=1e-12)
    assert_allclose(estimate_log_normaliser(torch.full((2, 3), 1e4), 10), 1e4 + math.log(10), rtol=1e-6)
    assert not estimate_log_normaliser(torch.ones(2, requires_grad=True), 10).requires_grad


def test_a_normaliser_over_the_whole_bank_makes_p_a_distribution(rng):
    bank = normalize(torch.tensor(rng.normal(size=(N_INSTANCES, 4))), dim=-1)
    logits = bank @ bank[0] / 0.07
    assert_allclose((logits - estimate_log_normaliser(logits, N_INSTANCES)).exp().sum(), 1.0, rtol=1e-12)


@pytest.mark.parametrize(("batch", "dim"), [(1, 1), (1, 4), (5, 3)])
def test_proximal_is_the_squared_distance(batch, dim, rng):
    f, v = rng.normal(size=(2, batch, dim))
    expected = [sum((a - b) ** 2 for a, b in zip(*pair, strict=True)) for pair in zip(f, v, strict=True)]
    assert_allclose(proximal(torch.tensor(f), torch.tensor(v)), expected, rtol=1e-10)


def test_proximal_closed_forms_and_direction():
    f = torch.tensor([[1.0, 0.0]])
    assert proximal(f, f).item() == 0.0 and proximal(f, -f).item() == 4.0
    feature = torch.tensor([[0.6, 0.8]], requires_grad=True)
    proximal(feature, f).sum().backward()
    assert_allclose(-feature.grad, 2 * (f - feature.detach()), rtol=1e-6)  # minimised, it draws towards the bank


def test_gradients(rng):
    f, v, noise = rows(rng, 3, 4, 3)
    f.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss_of(x, v, noise), (f,))
    assert torch.autograd.gradcheck(lambda x: proximal(x, v), (f,))
    proximal(v.requires_grad_(), v.detach()).sum().backward()
    assert (v.grad == 0).all()


def test_invariant_to_the_order_of_batch_and_noise(rng):
    f, v, noise = rows(rng, 6, 5, 4)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    whole = loss_of(f, v, noise)
    assert_allclose(loss_of(f[order], v[order], noise[order]), whole[order], rtol=1e-12)
    assert_allclose(loss_of(f, v, noise.flip(1)), whole, rtol=1e-12)
    assert not np.allclose(loss_of(f, v[order], noise), whole)
    assert_allclose(proximal(f[order], v[order]), proximal(f, v)[order], rtol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow_at_a_small_temperature(dtype, rng):
    inputs = tuple(x.to(dtype) for x in rows(rng, 4, 6, 8))
    log_z = estimate_log_normaliser(torch.tensor([100.0], dtype=dtype), N_INSTANCES)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = memory_bank_nce(*inputs, temperature=0.01, n_instances=N_INSTANCES, log_normaliser=log_z)
        step = proximal(*inputs[:2])
    assert got.dtype == step.dtype == torch.float32 and torch.isfinite(got).all()
    exact = tuple(x.double() for x in inputs)
    assert_allclose(got, loss_of(*exact, temperature=0.01, log_z=100 + math.log(N_INSTANCES)), rtol=1e-4)
    assert_allclose(step, proximal(*exact[:2]), rtol=1e-5)


def test_probabilities_of_0_and_1_have_finite_losses_and_gradients():
    f = torch.tensor([[1.0, 0.0]], requires_grad=True)
    loss = memory_bank_nce(
        f, -f.detach(), f.detach()[:, None], temperature=0.001, n_instances=1, log_normaliser=torch.tensor(0.0)
    )
    assert_allclose(loss.detach(), 2000.0)
    loss.sum().backward()
    assert torch.isfinite(f.grad).all()


@pytest.mark.parametrize("which", [0, 1, 2])
def test_nan_stays_in_its_row(which, rng):
    inputs = rows(rng, 3, 4, 2)
    inputs[which][1, 0] = math.nan
    assert loss_of(*inputs).isnan().tolist() == [False, True, False]
    assert proximal(*inputs[:2]).isnan().tolist() == [False, which < 2, False]


def test_a_nan_normaliser_reaches_every_loss(rng):
    assert loss_of(*rows(rng, 3, 4, 2), log_z=math.nan).isnan().all()
    assert estimate_log_normaliser(torch.tensor([0.0, math.nan]), 10).isnan()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": 0.0}, "temperature must be above 0, not 0.0"),
        ({"n_instances": 0}, "n_instances must be above 0, not 0"),
        ({"bank_positives": torch.ones(2, 2)}, r"one shape, not features \(3, 2\), bank_positives \(2, 2\)"),
        ({"bank_noise": torch.ones(3, 0, 2)}, r"bank_noise must be \(3, K, 2\) with K ≥ 1, not \(3, 0, 2\)"),
        ({"bank_noise": torch.ones(5, 2)}, r"bank_noise must be \(3, K, 2\) with K ≥ 1, not \(5, 2\)"),
        ({"bank_noise": torch.ones(3, 5, 1)}, r"bank_noise must be \(3, K, 2\) with K ≥ 1, not \(3, 5, 1\)"),
        ({"log_normaliser": torch.ones(3)}, r"log_normaliser must be one number, not of shape \(3,\)"),
        ({"features": torch.ones(0, 2), "bank_positives": torch.ones(0, 2)}, "an empty batch has no loss"),
    ],
)
def test_bad_input_is_refused(change, message):
    good = {"features": torch.ones(3, 2), "bank_positives": torch.ones(3, 2), "bank_noise": torch.ones(3, 5, 2)}
    good |= {"temperature": 0.1, "n_instances": 9, "log_normaliser": torch.tensor(0.0)}
    memory_bank_nce(**good)
    with pytest.raises(ValueError, match=message):
        memory_bank_nce(**{**good, **change})


def test_bad_input_of_the_other_two_is_refused():
    with pytest.raises(ValueError, match="embeddings must have one shape"):
        proximal(torch.ones(3, 2), torch.ones(1, 2))
    with pytest.raises(ValueError, match=r"1 logit or more to estimate, not \(0, 4\)"):
        estimate_log_normaliser(torch.ones(0, 4), 10)
    with pytest.raises(ValueError, match="n_instances must be above 0, not 0"):
        estimate_log_normaliser(torch.ones(2), 0)
