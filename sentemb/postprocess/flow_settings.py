"""How a flow is trained, and the two published settings as data."""

from __future__ import annotations

from dataclasses import dataclass

from sentemb.errors import ConfigError
from sentemb.postprocess.flow import FlowArchitecture


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowTraining:
    """How a flow is trained on cached embeddings.

    Attributes:
        batch_size: sentences of a step, ≥ 2; the first batch also sets the actnorms.
        epochs: passes over the training rows at most, ≥ 1.
        patience: epochs without a better held-out likelihood after which it stops, ≥ 1.
        held_out: share of the rows that is kept from training to measure the likelihood, in (0, 1).
        learning_rate: > 0, constant.
        adam_epsilon: > 0, added to the root of Adam's second moment.
        weight_decay: ≥ 0, decoupled from the gradient, on all parameters; 0 makes AdamW Adam.
        max_gradient_norm: > 0, gradients of a larger Euclidean norm are scaled to it; None: they are not.

    Raises:
        ConfigError: a value out of its range.
    """

    batch_size: int
    epochs: int
    patience: int
    held_out: float
    learning_rate: float
    adam_epsilon: float
    weight_decay: float
    max_gradient_norm: float | None

    def __post_init__(self) -> None:
        _check("batch_size", self.batch_size, self.batch_size >= 2, "2 or more")
        _check("epochs", self.epochs, self.epochs >= 1, "1 or more")
        _check("patience", self.patience, self.patience >= 1, "1 or more")
        _check("held_out", self.held_out, 0 < self.held_out < 1, "above 0 and below 1")
        _check("learning_rate", self.learning_rate, self.learning_rate > 0, "above 0")
        _check("adam_epsilon", self.adam_epsilon, self.adam_epsilon > 0, "above 0")
        _check("weight_decay", self.weight_decay, self.weight_decay >= 0, "0 or more")
        if self.max_gradient_norm is not None:
            _check("max_gradient_norm", self.max_gradient_norm, self.max_gradient_norm > 0, "above 0")


def _check(name: str, value: float, holds: bool, accepted: str) -> None:
    if not holds:
        raise ConfigError(f"flow.{name}", f"is {value}, not {accepted}", f"Use a number that is {accepted}")


@dataclass(frozen=True, slots=True)
class FlowPreset:
    """An architecture with its training."""

    architecture: FlowArchitecture
    training: FlowTraining


PAPER = FlowPreset(
    FlowArchitecture(n_levels=2, depth=3, coupling_width=32, permutation="random", coupling="additive", residual=True),
    FlowTraining(
        batch_size=64,
        epochs=1,
        patience=1,
        held_out=0.05,
        learning_rate=1e-3,
        adam_epsilon=1e-8,
        weight_decay=0.0,
        max_gradient_norm=None,
    ),
)
"""Li et al. 2020, Table 7, section 3.2 and Appendix B ("target": fitted on the task's own sentences).

Not in the paper: the batch size (the authors' code's), Adam's epsilon (its authors'), and a held-out share.
"""

RELEASED = FlowPreset(
    FlowArchitecture(
        n_levels=3, depth=3, coupling_width=32, permutation="reverse", coupling="additive", residual=False
    ),
    FlowTraining(
        batch_size=64,
        epochs=1,
        patience=1,
        held_out=0.05,
        learning_rate=1e-3,
        adam_epsilon=1e-6,
        weight_decay=0.01,
        max_gradient_norm=1.0,
    ),
)
"""The defaults of the authors' code, whose batch of 32 pairs is 64 sentences.

It differs in three ways: their Adam lacks the bias correction, their encoder's dropout is on while the flow trains
(here embeddings are cached), and they hold nothing out.
"""
