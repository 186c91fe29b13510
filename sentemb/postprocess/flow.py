"""BERT-flow's model: an invertible map from embeddings to a standard Gaussian, with the exact likelihood."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn

from sentemb.errors import ConfigError, nearest, shortened
from sentemb.functional.precision import full_precision
from sentemb.postprocess.flow_layers import ActNorm, AdditiveCoupling, AffineCoupling, Invertible1x1, Permutation

Mixing = Literal["reverse", "random", "invertible_1x1"]
"""How the channels are mixed before a coupling: reversed, in an order drawn once, or by a learnt D × D matrix."""

Coupling = Literal["additive", "affine"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowArchitecture:
    """What a flow is made of, its width apart.

    Attributes:
        n_levels: ≥ 1; after each level but the last, half the channels leave.
        depth: ≥ 1, steps of a level.
        coupling_width: ≥ 1, hidden channels of the coupling nets.
        permutation: `reverse` (authors' code), `random` (paper, section 3.2) or `invertible_1x1` (Glow).
        coupling: `additive` (paper and code) or `affine`.
        residual: a path around the coupling net's second layer (paper, Table 7).

    Raises:
        ConfigError: a number below 1, or an unknown permutation or coupling.
    """

    n_levels: int
    depth: int
    coupling_width: int
    permutation: Mixing
    coupling: Coupling
    residual: bool

    def __post_init__(self) -> None:
        for name in ("n_levels", "depth", "coupling_width"):
            if getattr(self, name) < 1:
                raise ConfigError(f"flow.{name}", f"is {getattr(self, name)}, below 1", "Use a whole number above 0")
        for name, known in (("permutation", get_args(Mixing)), ("coupling", get_args(Coupling))):
            value = getattr(self, name)
            if value not in known:
                problem = f"unknown {name} {shortened(value)}.{nearest(str(value), known)}"
                raise ConfigError(f"flow.{name}", problem, f"Use one of: {', '.join(known)}")


class FlowStep(nn.Module):
    """Actnorm, then a mixing of the channels, then a coupling (Li et al. 2020, section 3.2; Glow, Figure 2a)."""

    def __init__(self, width: int, architecture: FlowArchitecture, *, generator: torch.Generator) -> None:
        super().__init__()
        self.actnorm = ActNorm(width)
        self.mixing = _mixing(width, architecture.permutation, generator)
        coupling = AdditiveCoupling if architecture.coupling == "additive" else AffineCoupling
        self.coupling = coupling(
            width, architecture.coupling_width, residual=architecture.residual, generator=generator
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, D) float to (N, D) and the log-determinants, () or (N,)."""
        y, log_det = self.coupling(self.mixing(self.actnorm(x)))
        return y, log_det + self.actnorm.log_det() + self.mixing.log_det()

    def inverse(self, y: Tensor) -> Tensor:
        """The x that gives y."""
        return self.actnorm.inverse(self.mixing.inverse(self.coupling.inverse(y)))


def _mixing(width: int, permutation: Mixing, generator: torch.Generator) -> Permutation | Invertible1x1:
    if permutation == "reverse":
        return Permutation(torch.arange(width).flip(0))
    if permutation == "random":
        return Permutation(torch.randperm(width, generator=generator))
    return Invertible1x1(width, generator=generator)


class FlowLevel(nn.Module):
    """Some steps, one after another, on the same channels."""

    def __init__(self, width: int, architecture: FlowArchitecture, *, generator: torch.Generator) -> None:
        super().__init__()
        self.steps = nn.ModuleList(
            FlowStep(width, architecture, generator=generator) for _ in range(architecture.depth)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, D) float to (N, D) and the log-determinants, () or (N,)."""
        log_det = x.new_zeros(())
        for step in self.steps:
            x, change = step(x)
            log_det = log_det + change
        return x, log_det

    def inverse(self, y: Tensor) -> Tensor:
        """The x that gives y."""
        for step in reversed(self.steps):
            y = cast(FlowStep, step).inverse(y)
        return y


class Flow(nn.Module):
    """z = f⁻¹(x), log p(x) = log N(z; 0, I) + log|det dz/dx| (Li et al. 2020, Eq. 4, section 3.2).

    Level by level: `depth` steps of actnorm, mixing and coupling; then, but for the last level, the second half of the
    channels leaves as it is and the first half goes on. z is what left, in order, and what remains:
    (D/2, D/4, …, top). The initial parameters depend on `generator` alone. The actnorms start as the identity;
    `initialise` sets them from data, once: a flow that was saved or trained can't be re-initialised.

    Args:
        width: D, a multiple of 2^n_levels, so that every level has two halves.
        architecture: the rest.
        generator: on the CPU; draws the weights, and the orders or rotations of the channels.

    Raises:
        ConfigError: a width that can't be halved so often.

    >>> shape = FlowArchitecture(
    ...     n_levels=1, depth=1, coupling_width=2, permutation="reverse", coupling="additive", residual=False)
    >>> flow = Flow(2, shape, generator=torch.Generator())
    >>> z, log_det = flow(torch.tensor([[0.0, 3.0]]))
    >>> z.tolist(), log_det.tolist()
    ([[3.0, 0.0]], [0.0])
    """

    initialised: Tensor

    def __init__(self, width: int, architecture: FlowArchitecture, *, generator: torch.Generator) -> None:
        super().__init__()
        _check_width(width, architecture.n_levels)
        self.width = width
        self.architecture = architecture
        self.register_buffer("initialised", torch.tensor(False))
        self.levels = nn.ModuleList(
            FlowLevel(width >> level, architecture, generator=generator) for level in range(architecture.n_levels)
        )

    def config(self) -> dict[str, int | str | bool]:
        """What `Flow` is built from again, as JSON holds it: the width and the architecture."""
        return {"width": self.width, **asdict(self.architecture)}

    @full_precision
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings to latent vectors.

        Args:
            x: (N, D) in the flow's dtype, float32 or float64; half precision is cast to float32.

        Returns:
            z (N, D), and log|det dz/dx| (N,) in nats.

        Raises:
            ValueError: another width than D or another dtype than the flow's, or a flow in half precision.
        """
        self._check(x)
        left: list[Tensor] = []
        log_det = x.new_zeros(x.shape[0])  # len(x) would fix the number of rows in an exported graph
        for number, level in enumerate(self.levels):
            if number > 0:
                x, half = x.chunk(2, dim=1)
                left.append(half)
            x, change = level(x)
            log_det = log_det + change
        return torch.cat([*left, x], dim=1), log_det

    @full_precision
    def inverse(self, z: Tensor) -> Tensor:
        """The embeddings (N, D) that `forward` maps to z (N, D), up to rounding."""
        self._check(z)
        *left, x = torch.tensor_split(z, self._ends(), dim=1)
        for level in reversed(self.levels):
            x = cast(FlowLevel, level).inverse(x)
            if left:
                x = torch.cat([x, left.pop()], dim=1)
        return x

    def log_prob(self, x: Tensor) -> Tensor:
        """(N,) log p(x) in nats, exact: −½ (‖z‖² + D ln 2π) + log|det dz/dx|."""
        z, log_det = self.forward(x)
        return log_det - 0.5 * (z.square().sum(dim=1) + self.width * math.log(2 * math.pi))

    def bits_per_dimension(self, x: Tensor) -> Tensor:
        """(N,) −log₂ p(x) / D, what BERT-flow minimises. Below 0 where the density is above 1."""
        return self.log_prob(x) / (-self.width * math.log(2))

    @torch.no_grad()
    def initialise(self, batch: Tensor) -> None:
        """Sets every actnorm, inside the coupling nets too, so that its output on this batch has mean 0 and moment 1.

        Args:
            batch: (N, D) float, N ≥ 2: the first batch of the training, in the paper and in the authors' code.

        Raises:
            ValueError: the flow is initialised already, or fewer than 2 rows.
        """
        if self.initialised:
            raise ValueError("this flow is initialised already; doing it again would undo its training")
        if len(batch) < 2:
            raise ValueError(f"2 rows or more are needed to set the actnorms, not {len(batch)}")
        norms = [module for module in self.modules() if isinstance(module, ActNorm)]
        hooks = [norm.register_forward_pre_hook(_initialise_first) for norm in norms]
        try:
            self(batch)
        finally:
            for hook in hooks:
                hook.remove()
        self.initialised.fill_(True)

    def _ends(self) -> list[int]:
        """Where the parts of z end, but for the last one."""
        return [self.width - (self.width >> level) for level in range(1, len(self.levels))]

    def _check(self, rows: Tensor) -> None:
        own = next(self.parameters()).dtype
        if own in (torch.float16, torch.bfloat16):
            raise ValueError(f"the flow is in {own}, too coarse for its log-scales; keep it in float32 or float64")
        if rows.dtype != own:
            raise ValueError(f"the flow is in {own}, but the rows are in {rows.dtype}")
        if rows.ndim != 2 or rows.shape[1] != self.width:
            raise ValueError(f"the flow takes (N, {self.width}), not {tuple(rows.shape)}")


def _initialise_first(module: nn.Module, inputs: tuple[Tensor]) -> None:
    if isinstance(module, ActNorm):
        module.initialise(*inputs)


def _check_width(width: int, n_levels: int) -> None:
    if width >= 2 and width % 2 == 0 and width % 2**n_levels == 0:
        return
    fitting = 0
    while width > 0 and width % 2 ** (fitting + 1) == 0:
        fitting += 1
    problem = f"is {n_levels}, but embeddings of width {width} can be halved {fitting} time(s)"
    remedy = f"Use n_levels {fitting} or fewer" if fitting else "Use an encoder of even width, or whitening"
    raise ConfigError("flow.n_levels", problem, remedy)
