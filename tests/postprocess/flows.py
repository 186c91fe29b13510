"""Small flows with every parameter away from its starting value."""

from __future__ import annotations

import itertools

import torch

from sentemb.postprocess.flow import Flow, FlowArchitecture

KINDS = list(
    itertools.product(["reverse", "random", "invertible_1x1"], ["additive", "affine"], [1, 2, 3], [False, True])
)
NAMES = ("permutation", "coupling", "n_levels", "residual")


def architecture(**changes):
    plain = dict(n_levels=2, depth=2, coupling_width=5, permutation="reverse", coupling="additive", residual=False)
    return FlowArchitecture(**plain | changes)


def fresh_flow(width=8, *, dtype=torch.float64, seed=0, **changes):
    return Flow(width, architecture(**changes), generator=torch.Generator().manual_seed(seed)).to(dtype)


def trained_flow(width=8, *, dtype=torch.float64, seed=0, **changes):
    """As if trained: all parameters are moved, so that no coupling is the identity."""
    flow = fresh_flow(width, dtype=dtype, seed=seed, **changes)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, parameter in flow.named_parameters():
            spread = 0.05 if name.endswith(("log_scale", "log_diagonal")) else 0.3
            if parameter.ndim == 2:  # random triangular matrices of larger entries have no inverse in practice
                fan_in = parameter.shape[-1]
                spread = 0.5 / fan_in if name.endswith(("lower", "upper")) else 0.5 / fan_in**0.5
            parameter += spread * torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(dtype)
    flow.initialised.fill_(True)
    return flow.eval()
