"""Losses in full precision, whatever the encoder runs in."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

F = TypeVar("F", bound=Callable[..., Any])

_HALF = (torch.float16, torch.bfloat16)


def full_precision(function: F) -> F:
    """Runs `function` with float16 and bfloat16 arguments cast to float32 and autocast switched off.

    exp(cos/τ) at τ = 0.01 overflows float16 (e^100), and under autocast a matrix product of float32 tensors is done in
    half precision, so casting alone is not enough. float64 stays float64.
    """

    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        args = tuple(_cast(value) for value in args)
        kwargs = {name: _cast(value) for name, value in kwargs.items()}
        device = next((v.device.type for v in (*args, *kwargs.values()) if isinstance(v, Tensor)), "cpu")
        with torch.autocast(device, enabled=False):
            return function(*args, **kwargs)

    return wrapper  # type: ignore[return-value]


def _cast(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.dtype in _HALF else value
