from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.nn.functional import binary_cross_entropy_with_logits

from sentemb.objectives.nce import nce
from tests.oracles import metric_learning as oracles


def log_densities(rng, n_data, n_noise):
    return *rng.normal(size=(2, n_data)), *rng.normal(size=(2, n_data, n_noise))


@pytest.mark.parametrize(("n_data", "n_noise"), [(1, 1), (1, 6), (5, 1), (4, 9)])
def test_agrees_with_the_paper_in_loops(n_data, n_noise, rng):
    inputs = log_densities(rng, n_data, n_noise)
    assert_allclose(nce(*map(torch.tensor, inputs)), oracles.nce(*inputs), rtol=1e-10)


@pytest.mark.parametrize("n_noise", [1, 2, 4096])
def test_a_model_equal_to_the_noise_learns_nothing(n_noise, rng):
    data, noise = torch.tensor(rng.normal(size=3)), torch.tensor(rng.normal(size=(3, n_noise)))
    expected = math.log(1 + n_noise) + n_noise * math.log(1 + 1 / n_noise)
    assert_allclose(nce(data, data, noise, noise), expected, rtol=1e-12)


def test_equals_torch_logistic_regression(rng):
    data_model, data_noise, noise_model, noise_noise = map(torch.tensor, log_densities(rng, 4, 5))
    logits = torch.cat([(data_model - data_noise)[:, None], noise_model - noise_noise], dim=1) - math.log(5)
    is_data = torch.zeros_like(logits)
    is_data[:, 0] = 1.0
    expected = binary_cross_entropy_with_logits(logits, is_data, reduction="none").sum(1)
    assert_allclose(nce(data_model, data_noise, noise_model, noise_noise), expected, rtol=1e-12)


def test_learns_the_normaliser_of_an_unnormalised_density(rng):
    n_data, n_noise, spread = 4000, 4, 1.5
    x = torch.tensor(rng.normal(size=n_data))
    y = torch.tensor(spread * rng.normal(size=(n_data, n_noise)))

    def log_noise(u):
        return -0.5 * (u / spread) ** 2 - math.log(spread) - 0.5 * math.log(2 * math.pi)

    log_scale = torch.zeros((), dtype=torch.float64, requires_grad=True)  # log p(u) = -u²/2 + log_scale
    optimiser = torch.optim.LBFGS([log_scale], max_iter=50)

    def closure():
        optimiser.zero_grad()
        loss = nce(-0.5 * x**2 + log_scale, log_noise(x), -0.5 * y**2 + log_scale, log_noise(y)).mean()
        loss.backward()
        return loss

    optimiser.step(closure)
    assert log_scale.item() == pytest.approx(-0.5 * math.log(2 * math.pi), abs=0.03)


def test_gradients(rng):
    inputs = tuple(torch.tensor(x, requires_grad=True) for x in log_densities(rng, 3, 4))
    assert torch.autograd.gradcheck(nce, inputs)


def test_invariant_to_the_order_of_data_and_of_samples(rng):
    data_model, data_noise, noise_model, noise_noise = map(torch.tensor, log_densities(rng, 4, 3))
    whole = nce(data_model, data_noise, noise_model, noise_noise)
    order, samples = torch.tensor([2, 0, 3, 1]), torch.tensor([1, 2, 0])
    got = nce(data_model[order], data_noise[order], noise_model[order][:, samples], noise_noise[order][:, samples])
    assert_allclose(got, whole[order], rtol=1e-12)
    assert not np.allclose(nce(data_model[order], data_noise, noise_model, noise_noise), whole)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow(dtype):
    low, high = torch.full((2,), -2000.0, dtype=dtype), torch.full((2, 50), 2000.0, dtype=dtype)
    loss = nce(low, -low, high, -high)  # 4000 + 50 x 4000 = 204,000, and e^4000 on the way
    assert loss.dtype == torch.float32
    assert_allclose(loss, 204_000 - 49 * math.log(50), rtol=1e-3)


def test_a_density_of_zero_at_a_noise_sample_costs_nothing():
    zero = torch.tensor([0.0])
    noise = torch.tensor([[-torch.inf]], requires_grad=True)
    loss = nce(zero, zero, noise, zero[None])
    loss.sum().backward()
    assert loss.item() == pytest.approx(math.log(2)) and noise.grad.item() == 0.0


@pytest.mark.parametrize("which", range(4))
def test_nan_is_not_dropped(which, rng):
    inputs = [torch.tensor(x) for x in log_densities(rng, 3, 2)]
    inputs[which][1] = torch.nan
    assert nce(*inputs).isnan().tolist() == [False, True, False]


def test_bad_input_is_refused():
    data, noise = torch.zeros(3), torch.zeros(3, 2)
    with pytest.raises(ValueError, match=r"must be \(3,\), one for each row of noise samples, not \(2,\) and \(3,\)"):
        nce(data[:2], data, noise, noise)
    with pytest.raises(ValueError, match=r"must be \(3,\), .* not \(3,\) and \(3, 2\)"):
        nce(data, noise, noise, noise)
    with pytest.raises(ValueError, match=r"one shape, not noise_log_model \(3, 2\), noise_log_noise \(3, 1\)"):
        nce(data, data, noise, noise[:, :1])
    with pytest.raises(ValueError, match="an empty batch has no loss"):
        nce(data[:0], data[:0], noise[:0], noise[:0])
    with pytest.raises(ValueError, match="an empty batch has no loss"):
        nce(data, data, noise[:, :0], noise[:, :0])
