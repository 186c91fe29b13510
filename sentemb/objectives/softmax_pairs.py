"""SBERT's classification objective."""

from __future__ import annotations

import torch
from torch import Tensor

from sentemb.functional.precision import full_precision

PARTS = {
    "u,v": ("u", "v"),
    "|u-v|": ("|u-v|",),
    "u*v": ("u*v",),
    "|u-v|,u*v": ("|u-v|", "u*v"),
    "u,v,u*v": ("u", "v", "u*v"),
    "u,v,|u-v|": ("u", "v", "|u-v|"),
    "u,v,|u-v|,u*v": ("u", "v", "|u-v|", "u*v"),
}
"""The concatenation modes of Reimers & Gurevych 2019, Table 6: each a list of (D,) parts."""


@full_precision
def concatenate_pair(u: Tensor, v: Tensor, mode: str) -> Tensor:
    """What SBERT's classifier sees of a pair (Reimers & Gurevych 2019, section 3 and Table 6).

    Args:
        u: (B, D) float embeddings of the first texts.
        v: (B, D) float embeddings of the second texts.
        mode: one of `PARTS`; the paper's choice is `u,v,|u-v|`.

    Returns:
        (B, P·D) float for a mode of P parts.

    >>> concatenate_pair(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 1.0]]), "u,v,|u-v|").tolist()
    [[1.0, 2.0, 3.0, 1.0, 2.0, 1.0]]
    """
    parts = {"u": u, "v": v, "|u-v|": (u - v).abs(), "u*v": u * v}
    return torch.cat([parts[name] for name in PARTS[mode]], dim=-1)
