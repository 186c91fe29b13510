"""The soft nearest neighbour objective: a row's neighbours should be of its class."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from sentemb.functional.checks import check_above_zero, check_labels, check_positive_pair, check_rows
from sentemb.functional.precision import full_precision
from sentemb.functional.similarity import cosine_matrix

Distance = Literal["squared_euclidean", "cosine"]


@full_precision
def soft_nearest_neighbour(
    embeddings: Tensor, labels: Tensor, *, temperature: float | Tensor, distance: Distance
) -> Tensor:
    """Soft nearest neighbour loss (Frosst et al. 2019, Eq. 1; Salakhutdinov & Hinton 2007 without log or temperature).

    L = −mean_i log( Σ_{j≠i, y_j=y_i} e^{−d_ij/τ} / Σ_{k≠i} e^{−d_ik/τ} )

    The mean is over anchors with a row of their class; the others are neighbours only. d is a distance: surveys that
    call it a similarity have its sign wrong. The sum over positives is inside the log, as in `sup_con_in`.

    Args:
        embeddings: (N, D) float; normalised for the cosine distance only.
        labels: (N,) whole numbers, two alike at least.
        temperature: τ > 0, or a () tensor of it to be learnt (learn its logarithm, so that it stays above 0).
        distance: "squared_euclidean", ‖f_i − f_j‖²; or "cosine", 1 − cos(f_i, f_j).

    Returns:
        () loss in nats, ≥ 0; 0 when there is one class only.

    Raises:
        ValueError: shapes that do not match, no positive pair, τ ≤ 0, or an unknown distance.

    >>> rows, labels = torch.ones(4, 2), torch.tensor([0, 0, 1, 1])
    >>> round(soft_nearest_neighbour(rows, labels, temperature=0.5, distance="cosine").item(), 4)  # ln 3
    1.0986
    """
    _check_temperature(temperature)
    check_rows(embeddings=embeddings)
    check_labels(labels, len(embeddings))
    check_positive_pair(labels)
    own = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    positive = (labels[:, None] == labels) & ~own
    anchors = positive.any(1)
    logits = (-_distances(embeddings, distance) / temperature)[anchors]
    every = logits.masked_fill(own[anchors], -torch.inf).logsumexp(1)
    same = logits.masked_fill(~positive[anchors], -torch.inf).logsumexp(1)
    return (every - same).mean()


def _distances(rows: Tensor, distance: Distance) -> Tensor:
    if distance == "squared_euclidean":
        return torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").square()
    if distance == "cosine":
        return 1 - cosine_matrix(rows, rows)
    raise ValueError(f"distance must be one of {', '.join(get_args(Distance))}, not {distance}")


def _check_temperature(temperature: float | Tensor) -> None:
    if isinstance(temperature, Tensor):
        if temperature.dim():
            raise ValueError(f"temperature must be one number, not {tuple(temperature.shape)}")
        temperature = float(temperature.item())
    check_above_zero("temperature", temperature)
