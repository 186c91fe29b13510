"""The invertible layers of BERT-flow (Li et al. 2020, section 3): actnorm, channel permutations, coupling.

They are those of Glow (Kingma & Dhariwal 2018, Table 1) with 1 × 1 convolutions on a 1 × 1 image, which are matrix
products. Every layer maps (N, D) to (N, D) row by row, and undoes it with `inverse`.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, logsigmoid, relu, sigmoid

LOG_SCALE_FACTOR = 3.0
"""A log-scale is 3 s, s being what is learnt, as in the authors' code: s learns three times as fast."""

_EPSILON = 1e-6  # beside the root mean square in the initial scale, as in the authors' code
_INITIAL_STD = 0.05  # of the coupling net's weights, as in the authors' code


class ActNorm(nn.Module):
    """y = (x + b) e^{3s}, with b and s learnt, one each a channel; log|det| = Σ 3s (Glow, section 3.1).

    Starts as the identity. `initialise` sets b and s from a batch.

    Args:
        width: D, the number of channels.

    >>> norm = ActNorm(1)
    >>> norm.initialise(torch.tensor([[3.0], [7.0]]))
    >>> norm(torch.tensor([[3.0], [9.0]])).detach().round(decimals=4).tolist()
    [[-1.0], [2.0]]
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))
        self.log_scale = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) float to (N, D)."""
        return (x + self.bias) * torch.exp(LOG_SCALE_FACTOR * self.log_scale)

    def inverse(self, y: Tensor) -> Tensor:
        """The x that gives y: y e^{−3s} − b."""
        return y * torch.exp(-LOG_SCALE_FACTOR * self.log_scale) - self.bias

    def log_det(self) -> Tensor:
        """() float, log|det dy/dx|, the same for every row."""
        return LOG_SCALE_FACTOR * self.log_scale.sum()

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Sets b and s so that the output on this batch (N, D) has mean 0 and second moment 1 in every channel."""
        self.bias.copy_(-x.mean(dim=0))
        root_mean_square = (x + self.bias).square().mean(dim=0).sqrt()
        self.log_scale.copy_(-torch.log(root_mean_square + _EPSILON) / LOG_SCALE_FACTOR)


class Permutation(nn.Module):
    """y_i = x_{order_i}: a fixed order of the channels; log|det| = 0.

    Args:
        order: (D,) int64, each of 0 … D − 1 once. The authors' code reverses; the paper (section 3.2) draws one.
    """

    order: Tensor

    def __init__(self, order: Tensor) -> None:
        super().__init__()
        self.register_buffer("order", order)

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) float to (N, D)."""
        return x.index_select(1, self.order)

    def inverse(self, y: Tensor) -> Tensor:
        """The x that gives y: x_{order_i} = y_i."""
        return y.index_select(1, torch.argsort(self.order))

    def log_det(self) -> Tensor:
        """() zero."""
        return torch.zeros((), device=self.order.device)


class Invertible1x1(nn.Module):
    """y = W x, W = P L (U + diag(sign ⊙ e^s)); log|det| = Σ s (Glow, Eq. 10 and 11).

    L is unit lower triangular and U strictly upper triangular, both learnt, as is s; P and the signs are fixed. So the
    log-determinant costs O(D) and W can't become singular. W starts as a random rotation.

    Args:
        width: D, the number of channels.
        generator: draws the rotation.
    """

    order: Tensor
    sign: Tensor

    def __init__(self, width: int, *, generator: torch.Generator) -> None:
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(width, width, generator=generator, dtype=torch.float64)).Q
        permutation, lower, upper = torch.linalg.lu(rotation)
        diagonal = upper.diagonal()
        self.register_buffer("order", permutation.argmax(dim=1))
        self.register_buffer("sign", diagonal.sign().float())
        self.log_diagonal = nn.Parameter(diagonal.abs().log().float())
        self.lower = nn.Parameter(lower.tril(-1).float())
        self.upper = nn.Parameter(upper.triu(1).float())

    def forward(self, x: Tensor) -> Tensor:
        """(N, D) float to (N, D)."""
        return linear(linear(x, self._upper()), self._lower()).index_select(1, self.order)

    def inverse(self, y: Tensor) -> Tensor:
        """The x that gives y, by two triangular solves."""
        x = y.index_select(1, torch.argsort(self.order)).T
        x = torch.linalg.solve_triangular(self._lower(), x, upper=False, unitriangular=True)
        x = torch.linalg.solve_triangular(self._upper(), x, upper=True)
        return cast(Tensor, x.T)

    def log_det(self) -> Tensor:
        """() float, log|det W|, the same for every row."""
        return self.log_diagonal.sum()

    def _lower(self) -> Tensor:
        return self.lower.tril(-1) + torch.eye(len(self.lower), dtype=self.lower.dtype, device=self.lower.device)

    def _upper(self) -> Tensor:
        return self.upper.triu(1) + torch.diag(self.sign * self.log_diagonal.exp())


class CouplingNet(nn.Module):
    """What a coupling computes from the half it leaves alone: linear, actnorm, ReLU, twice, then a linear layer of 0s.

    Its actnorms are set from the first batch too, but have no part in the log-determinant: the net is never inverted.
    The last layer, (W h + b) ⊙ e^{3s}, starts at 0, so a coupling starts as the identity.

    Args:
        n_inputs: channels of the half left alone.
        width: of the two hidden layers; 32 in the paper (Table 7) and the authors' code.
        n_outputs: of the last layer.
        residual: adds a path around the second hidden layer, the only one of equal widths. Table 7 says "residual" and
            no more; the authors' code has none.
        generator: draws the weights of the hidden layers, N(0, 0.05²).
    """

    def __init__(
        self, n_inputs: int, width: int, n_outputs: int, *, residual: bool, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.residual = residual
        self.first_weight = nn.Parameter(_INITIAL_STD * torch.randn(width, n_inputs, generator=generator))
        self.first_norm = ActNorm(width)
        self.second_weight = nn.Parameter(_INITIAL_STD * torch.randn(width, width, generator=generator))
        self.second_norm = ActNorm(width)
        self.last_weight = nn.Parameter(torch.zeros(n_outputs, width))
        self.last_bias = nn.Parameter(torch.zeros(n_outputs))
        self.last_log_scale = nn.Parameter(torch.zeros(n_outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(N, n_inputs) float to (N, n_outputs)."""
        first = relu(self.first_norm(linear(x, self.first_weight)))
        second = relu(self.second_norm(linear(first, self.second_weight)))
        if self.residual:
            second = first + second
        return linear(second, self.last_weight, self.last_bias) * torch.exp(LOG_SCALE_FACTOR * self.last_log_scale)


class AdditiveCoupling(nn.Module):
    """y₁ = x₁, y₂ = x₂ + net(x₁), the halves in order; log|det| = 0 (Dinh et al. 2015; Li et al. 2020, section 3.2).

    Args:
        width: D, even.
        net_width, residual, generator: as `CouplingNet` has them.
    """

    def __init__(self, width: int, net_width: int, *, residual: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.net = CouplingNet(width // 2, net_width, width // 2, residual=residual, generator=generator)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, D) float to (N, D) and the log-determinant, () zero."""
        first, second = x.chunk(2, dim=1)
        return torch.cat([first, second + self.net(first)], dim=1), x.new_zeros(())

    def inverse(self, y: Tensor) -> Tensor:
        """The x that gives y: x₂ = y₂ − net(y₁)."""
        first, second = y.chunk(2, dim=1)
        return torch.cat([first, second - self.net(first)], dim=1)


class AffineCoupling(nn.Module):
    """y₁ = x₁, y₂ = (x₂ + t) · 2σ(r), (t, r) = net(x₁); log|det| = Σ log 2σ(r) (Glow, Table 1).

    The scale lies between 0 and 2 and starts at 1. Glow's code has σ(r + 2), which starts at 0.88.

    Args:
        width: D, even.
        net_width, residual, generator: as `CouplingNet` has them.
    """

    def __init__(self, width: int, net_width: int, *, residual: bool, generator: torch.Generator) -> None:
        super().__init__()
        self.net = CouplingNet(width // 2, net_width, width, residual=residual, generator=generator)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, D) float to (N, D) and the log-determinants (N,)."""
        first, second = x.chunk(2, dim=1)
        shift, logit = self.net(first).chunk(2, dim=1)
        y = torch.cat([first, (second + shift) * (2 * sigmoid(logit))], dim=1)
        return y, (logsigmoid(logit) + torch.log(logit.new_tensor(2.0))).sum(dim=1)

    def inverse(self, y: Tensor) -> Tensor:
        """The x that gives y: x₂ = y₂ / 2σ(r) − t."""
        first, second = y.chunk(2, dim=1)
        shift, logit = self.net(first).chunk(2, dim=1)
        return torch.cat([first, second / (2 * sigmoid(logit)) - shift], dim=1)
