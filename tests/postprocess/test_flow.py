from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sentemb.errors import ConfigError
from sentemb.postprocess.flow_layers import ActNorm
from tests.oracles import flow as oracles
from tests.postprocess.flows import KINDS, NAMES, fresh_flow, trained_flow

every_kind = pytest.mark.parametrize(NAMES, KINDS)


def rows_of(rng, n=6, width=8, dtype=torch.float64):
    return torch.tensor(rng.normal(size=(n, width)), dtype=dtype)


@every_kind
def test_agrees_with_the_paper_in_loops(permutation, coupling, n_levels, residual, rng):
    kind = dict(permutation=permutation, coupling=coupling, n_levels=n_levels, residual=residual, depth=1)
    flow, x = trained_flow(**kind), rows_of(rng)
    params = {name: value.numpy() for name, value in flow.state_dict().items()}
    expected = [oracles.flow(params, row, **kind) for row in x.numpy()]
    with torch.no_grad():
        z, log_det = flow(x)
        assert_allclose(z, [e[0] for e in expected], rtol=1e-10, atol=1e-12)
        assert_allclose(log_det, [e[1] for e in expected], rtol=1e-10, atol=1e-12)
        assert_allclose(flow.log_prob(x), [e[2] for e in expected], rtol=1e-10)
        assert_allclose(flow.bits_per_dimension(x), [-e[2] / 8 / math.log(2) for e in expected], rtol=1e-10)


@every_kind
def test_log_det_is_that_of_the_jacobian(permutation, coupling, n_levels, residual, rng):
    flow = trained_flow(permutation=permutation, coupling=coupling, n_levels=n_levels, residual=residual)
    for row in rows_of(rng, n=2):
        jacobian = torch.autograd.functional.jacobian(lambda x: flow(x[None])[0][0], row)
        assert (jacobian.abs() > 1e-3).sum() > 8  # the premise: more than a scaling of the channels
        assert_allclose(flow(row[None])[1].item(), torch.linalg.slogdet(jacobian).logabsdet.item(), atol=1e-10)


@every_kind
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_inverse_undoes_forward(permutation, coupling, n_levels, residual, dtype, tolerance, rng):
    kind = dict(permutation=permutation, coupling=coupling, n_levels=n_levels, residual=residual)
    flow, x = trained_flow(16, dtype=dtype, depth=3, **kind), rows_of(rng, width=16, dtype=dtype)
    with torch.no_grad():
        z = flow(x)[0]
        assert (z - x).abs().max() > 0.1
        assert_allclose(flow.inverse(z), x, atol=tolerance)
        assert_allclose(flow(flow.inverse(x))[0], x, atol=tolerance)


@pytest.mark.parametrize("permutation", ["reverse", "random", "invertible_1x1"])
def test_inverse_undoes_forward_at_the_width_of_an_encoder(permutation, rng):
    flow = trained_flow(384, dtype=torch.float32, n_levels=3, depth=3, coupling_width=32, permutation=permutation)
    x = rows_of(rng, n=4, width=384, dtype=torch.float32)
    with torch.no_grad():
        z = flow(x)[0]
        assert (z - x).abs().max() > 0.1
        assert_allclose(flow.inverse(z), x, atol=1e-4)


@pytest.mark.parametrize("coupling", ["additive", "affine"])
@pytest.mark.parametrize("permutation", ["reverse", "invertible_1x1"])
def test_the_density_integrates_to_1(coupling, permutation):
    flow = trained_flow(2, n_levels=1, depth=3, coupling=coupling, permutation=permutation)
    side = torch.arange(-12, 12, 0.05, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    with torch.no_grad():
        density = flow.log_prob(grid).exp()
    assert_allclose(density.sum() * 0.05**2, 1.0, atol=2e-3)
    gaussian = torch.exp(-0.5 * grid.square().sum(1)) / (2 * math.pi)
    assert (density - gaussian).abs().max() > 0.02  # the premise: it is not the Gaussian itself


@every_kind
def test_couplings_start_as_the_identity(permutation, coupling, n_levels, residual, rng):
    flow = fresh_flow(permutation=permutation, coupling=coupling, n_levels=n_levels, residual=residual)
    flow.initialise(rows_of(rng, n=50))
    for level in flow.levels:
        for step in level.steps:
            x = rows_of(rng, width=step.actnorm.bias.numel())
            y, log_det = step.coupling(x)
            assert torch.equal(y, x) and not log_det.any()


@pytest.mark.parametrize("coupling", ["additive", "affine"])
@pytest.mark.parametrize("n_levels", [1, 3])
def test_initialised_actnorms_give_mean_0_and_second_moment_1(coupling, n_levels, rng):
    flow, seen = fresh_flow(coupling=coupling, n_levels=n_levels), []
    x = 3.0 + 0.05 * rows_of(rng, n=40) @ rows_of(rng, n=8)
    norms = [module for module in flow.modules() if isinstance(module, ActNorm)]
    assert len(norms) == 3 * 2 * n_levels  # one a step, two in each coupling net
    flow.initialise(x)
    for norm in norms:
        norm.register_forward_hook(lambda _, __, output: seen.append(output.detach()))
    flow(x)
    assert len(seen) == len(norms)
    for output in seen:
        assert_allclose(output.mean(0), 0.0, atol=1e-9)
        assert_allclose(output.square().mean(0), 1.0, rtol=1e-3)  # 10⁻⁶ is added to the root mean square


def test_log_det_at_the_start_is_that_of_the_actnorms_of_the_steps(rng):
    flow, x = fresh_flow(n_levels=2, depth=2), rows_of(rng, n=40)
    flow.initialise(0.1 * x)
    outer = [step.actnorm.log_scale for level in flow.levels for step in level.steps]
    inner = [step.coupling.net.first_norm.log_scale for level in flow.levels for step in level.steps]
    assert sum(s.abs().sum() for s in inner) > 0.1  # the premise: counting them would show
    assert_allclose(flow(x)[1].detach(), [3 * sum(s.sum().item() for s in outer)] * 40, rtol=1e-12)


def test_one_initialised_step_standardises_and_reverses(rng):
    flow, x = fresh_flow(n_levels=1, depth=1), 5.0 + 2.0 * rows_of(rng, n=30)
    flow.initialise(x)
    expected = (x - x.mean(0)) / (x.std(0, unbiased=False) + 1e-6)
    z, log_det = flow(x)
    assert_allclose(z.detach(), expected.flip(1), atol=1e-10)
    assert_allclose(log_det.detach(), -torch.log(x.std(0, unbiased=False) + 1e-6).sum().item(), rtol=1e-10)


def test_an_untouched_reversal_is_a_standard_gaussian(rng):
    flow, x = fresh_flow(n_levels=1, depth=1), rows_of(rng)
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(x).sum(1)
    assert_allclose(flow.log_prob(x).detach(), expected, rtol=1e-12)
    zero = torch.zeros(1, 8, dtype=torch.float64)
    assert_allclose(flow.bits_per_dimension(zero).item(), 0.5 * math.log2(2 * math.pi), rtol=1e-12)


def test_channels_leave_level_by_level():
    """With reversals and nothing else: 0…7 reversed, 3 2 1 0 leave; 7 6 5 4 reversed, 6 7 leave; 4 5 reversed."""
    flow = fresh_flow(n_levels=3, depth=1)
    z, _ = flow(torch.arange(8, dtype=torch.float64)[None])
    assert z[0].tolist() == [3, 2, 1, 0, 6, 7, 5, 4]


@pytest.mark.parametrize("coupling", ["additive", "affine"])
@pytest.mark.parametrize("permutation", ["reverse", "invertible_1x1"])
def test_gradients(coupling, permutation, rng):
    flow = trained_flow(4, n_levels=2, depth=1, coupling_width=2, coupling=coupling, permutation=permutation)
    x = rows_of(rng, n=2, width=4).requires_grad_()
    assert torch.autograd.gradcheck(flow.log_prob, (x,))
    names, values = zip(*flow.named_parameters(), strict=True)

    def log_prob(*parameters):
        z, log_det = torch.func.functional_call(flow, dict(zip(names, parameters, strict=True)), (x.detach(),))
        return log_det - 0.5 * z.square().sum(1)

    assert torch.autograd.gradcheck(log_prob, values, fast_mode=True)


@pytest.mark.parametrize("permutation", ["random", "invertible_1x1"])
@pytest.mark.parametrize("coupling", ["additive", "affine"])
def test_rows_do_not_depend_on_each_other(permutation, coupling, rng):
    flow, x = trained_flow(permutation=permutation, coupling=coupling, residual=True), rows_of(rng)
    with torch.no_grad():
        whole, log_det = flow(x)
        order = torch.tensor([3, 0, 5, 1, 4, 2])
        assert_allclose(flow(x[order])[0], whole[order], rtol=1e-12)
        assert_allclose(flow(x[:1])[0], whole[:1], rtol=1e-12)
        assert_allclose(flow(x[4:])[1], log_det[4:], rtol=1e-12)
        assert flow(x[:0])[0].shape == (0, 8) and flow(x[:0])[1].shape == (0,)


def test_the_seed_decides_the_flow_and_no_global_generator_is_touched():
    kind = dict(permutation="random", residual=True)
    before = torch.random.get_rng_state()
    one, same, other = (fresh_flow(seed=seed, **kind).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(
        one["levels.0.steps.0.coupling.net.first_weight"], other["levels.0.steps.0.coupling.net.first_weight"]
    )
    assert not torch.equal(one["levels.0.steps.0.mixing.order"], other["levels.0.steps.0.mixing.order"])
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.integration  # torch.export takes seconds to import
def test_an_exported_graph_takes_any_number_of_rows(rng):
    flow = trained_flow(4, depth=1, permutation="random", coupling="affine")
    rows = torch.export.Dim("rows")
    exported = torch.export.export(flow, (rows_of(rng, n=3, width=4),), dynamic_shapes=({0: rows},)).module()
    for n in (1, 2, 7):
        x = rows_of(rng, n=n, width=4)
        for got, expected in zip(exported(x), flow(x), strict=True):
            assert_allclose(got.detach(), expected.detach(), rtol=1e-12)


def test_a_learnt_mixing_starts_as_a_rotation(rng):
    mixing = fresh_flow(64, permutation="invertible_1x1").levels[0].steps[0].mixing
    matrix = mixing(torch.eye(64, dtype=torch.float64)).detach().T
    assert_allclose(matrix @ matrix.T, np.eye(64), atol=1e-5)
    assert_allclose(mixing.log_det().item(), 0.0, atol=1e-5)
    assert (matrix - torch.eye(64)).abs().max() > 0.1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_rows_are_computed_in_full(dtype, rng):
    flow, x = trained_flow(dtype=torch.float32), rows_of(rng).to(dtype)
    with torch.no_grad():
        z, log_det = flow(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            same = flow(x.float())[0]
        assert z.dtype == log_det.dtype == torch.float32
        assert torch.equal(z, flow(x.float())[0]) and torch.equal(same, z)
    with pytest.raises(ValueError, match="the flow is in torch.float16, too coarse for its log-scales"):
        trained_flow(dtype=torch.float16)(x)


def test_it_is_initialised_once(rng):
    flow, x = fresh_flow(), rows_of(rng, n=20)
    with pytest.raises(ValueError, match="2 rows or more are needed to set the actnorms, not 1"):
        flow.initialise(x[:1])
    assert not flow.initialised
    flow.initialise(x)
    before = {name: value.clone() for name, value in flow.state_dict().items()}
    with pytest.raises(ValueError, match="initialised already; doing it again would undo its training"):
        flow.initialise(2.0 * x)
    flow(5.0 * x)  # no hook stays behind
    assert all(torch.equal(value, before[name]) for name, value in flow.state_dict().items())


def test_bad_rows_are_refused():
    flow = fresh_flow()
    for call in (flow, flow.inverse, flow.log_prob):
        with pytest.raises(ValueError, match=r"the flow takes \(N, 8\), not \(3, 6\)"):
            call(torch.zeros(3, 6, dtype=torch.float64))
        with pytest.raises(ValueError, match=r"not \(8,\)"):
            call(torch.zeros(8, dtype=torch.float64))
        with pytest.raises(ValueError, match="the flow is in torch.float64, but the rows are in torch.float32"):
            call(torch.zeros(3, 8))


@pytest.mark.parametrize(
    ("width", "n_levels", "message"),
    [
        (12, 3, r"flow.n_levels: is 3, but embeddings of width 12 can be halved 2 time\(s\). Use n_levels 2 or fewer"),
        (7, 1, r"width 7 can be halved 0 time\(s\). Use an encoder of even width"),
        (0, 1, "width 0 can be halved 0"),
    ],
)
def test_widths_that_can_not_be_halved_are_refused(width, n_levels, message):
    with pytest.raises(ConfigError, match=message):
        fresh_flow(width, n_levels=n_levels)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"n_levels": 0}, "flow.n_levels: is 0, below 1"),
        ({"depth": -1}, "flow.depth: is -1, below 1"),
        ({"coupling_width": 0}, "flow.coupling_width: is 0, below 1"),
        (
            {"permutation": "revers"},
            'unknown permutation "revers". Did you mean "reverse"\\? Use one of: reverse, random',
        ),
        ({"coupling": "spline"}, 'unknown coupling "spline". Use one of: additive, affine'),
    ],
)
def test_bad_settings_are_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        fresh_flow(**setting)
