"""AnglE: CoSENT on an angle in the complex plane, where the cosine's gradient would vanish."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from sentemb.functional.checks import check_rows
from sentemb.functional.precision import full_precision
from sentemb.objectives.cosent import order_loss


@full_precision
def angle(first: Tensor, second: Tensor, gold: Tensor, *, temperature: float) -> Tensor:
    """The angle objective of AnglE (Li & Li 2023, arXiv 2309.12871, section 3.5).

    ℓ = log( 1 + Σ_{y_i > y_j} e^{(a_j − a_i)/τ} ),  a_i = |Σ_k (Re + Im) of (u_k / |u|) / (v_k / |v|)|

    The halves of a row are the real and imaginary parts of a complex vector. As in the authors' code, the quotient is
    of whole vectors: a = |Re⟨u, v⟩ + Im⟨u, v⟩| / (‖u‖ ‖v‖), in [0, √2]. The paper calls a an angle difference and its
    formula puts the pair with the higher gold score first; the authors' code and sentence-transformers order a as a
    similarity, higher for a higher gold score, as here. The full method adds CoSENT and in-batch negatives.

    Args:
        first: (B, D) float embeddings u of the first texts, D even; rows are L2-normalised here.
        second: (B, D) float embeddings v of the second texts.
        gold: (B,) float or int, y; only its order counts, and ties make no pair.
        temperature: τ > 0; sentence-transformers' `scale` is its inverse, 20 by default.

    Returns:
        () loss in nats, ≥ 0; without two different gold scores 0 with zero gradient. A zero row has a = 0 and gives
        zero gradients to both rows of its pair.

    Raises:
        ValueError: an odd D (sentence-transformers pads it with a zero), and all that `cosent` refuses.

    >>> u, v = torch.eye(2), torch.eye(2)[[0, 0]]  # 1 / 1 and i / 1
    >>> round(angle(u, v, torch.tensor([0.0, 1.0]), temperature=1.0).item(), 4)  # a = 1 for both: ln 2
    0.6931
    """
    check_rows(first=first, second=second)
    if first.shape[1] % 2:
        raise ValueError(f"the width must be even, for real and imaginary halves, not {first.shape[1]}")
    return order_loss(_angle_similarity(first, second), gold, temperature)


def _angle_similarity(first: Tensor, second: Tensor) -> Tensor:
    """(B,) |Re⟨u, v⟩ + Im⟨u, v⟩| of the normalised rows, read as complex vectors."""
    u, v = normalize(first, dim=-1), normalize(second, dim=-1)
    (u_real, u_imaginary), (v_real, v_imaginary) = u.chunk(2, dim=-1), v.chunk(2, dim=-1)
    real = (u_real * v_real + u_imaginary * v_imaginary).sum(-1)
    imaginary = (u_imaginary * v_real - u_real * v_imaginary).sum(-1)
    return torch.abs(real + imaginary)
