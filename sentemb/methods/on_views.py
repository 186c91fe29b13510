"""How each objective sees (V, N, D) embeddings: as a pair of views, as rows with classes, or as scored pairs."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sentemb.functional.precision import full_precision
from sentemb.functional.similarity import cosine_matrix
from sentemb.methods.siamese import ViewsObjective
from sentemb.objectives.align_uniform import alignment_loss, uniformity_loss
from sentemb.objectives.clip import clip
from sentemb.objectives.mixup import mixed_info_nce
from sentemb.objectives.nce import nce
from sentemb.objectives.soft_nearest_neighbour import Distance, soft_nearest_neighbour


def on_pair(objective: Callable[..., Tensor], **settings: float) -> ViewsObjective:
    """The mean of an objective on the first and the second view."""
    return lambda views, targets: objective(views[0], views[1], **settings).mean()


def on_classes(objective: Callable[..., Tensor], **settings: float | bool | str) -> ViewsObjective:
    """An objective on the rows of all views and their classes."""
    return lambda views, targets: objective(views.flatten(0, 1), _classes(views, targets), **settings)


def on_scored_pair(objective: Callable[..., Tensor], **settings: float) -> ViewsObjective:
    """An objective on the first and the second text and their gold scores."""

    def loss(views: Tensor, targets: Tensor | None) -> Tensor:
        if targets is None:
            raise ValueError("these rows have no gold score; this objective needs scored pairs")
        return objective(views[0], views[1], targets, **settings)

    return loss


def _classes(views: Tensor, targets: Tensor | None) -> Tensor:
    """(V·N,) int64: the (N,) labels for every view; without labels row n is of class n."""
    classes = torch.arange(views.shape[1], device=views.device) if targets is None else targets
    return classes.repeat(len(views))


class AlignUniform(nn.Module):
    """Alignment of the two views plus the mean uniformity of each (Wang & Isola 2020, as their code combines them)."""

    def __init__(self, *, alpha: float, t: float, uniformity_weight: float) -> None:
        super().__init__()
        self.alpha, self.t, self.weight = alpha, t, uniformity_weight

    def forward(self, views: Tensor, targets: Tensor | None) -> Tensor:
        """() loss of (2, N, D) views."""
        uniform = (uniformity_loss(views[0], t=self.t) + uniformity_loss(views[1], t=self.t)) / 2
        return alignment_loss(views[0], views[1], alpha=self.alpha).mean() + self.weight * uniform


class CLIP(nn.Module):
    """CLIP's loss; the logarithm of the scale is learnt, and held at or below ln(max_scale)."""

    def __init__(self, *, temperature: float, max_scale: float) -> None:
        super().__init__()
        self.max_scale = max_scale
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    def forward(self, views: Tensor, targets: Tensor | None) -> Tensor:
        """() loss of (2, N, D) views."""
        return clip(views[0], views[1], log_scale=self.log_scale, max_scale=self.max_scale).mean()

    def hold_in_range(self) -> None:
        """After each step: above its maximum the scale would get no gradient, and stay there."""
        self.log_scale.clamp_(max=math.log(self.max_scale))


class InBatchNCE(nn.Module):
    """NCE of the model log p(y | x) = cos(x, y)/τ − c with the batch's other second views as uniform noise.

    The noise density is q = 1/N; c, the logarithm of the normaliser, is learnt, as Gutmann & Hyvärinen (2010) do.
    """

    def __init__(self, *, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.log_normaliser = nn.Parameter(torch.tensor(1 / temperature))

    def forward(self, views: Tensor, targets: Tensor | None) -> Tensor:
        """() loss of (2, N, D) views, N ≥ 2."""
        return self._loss(views[0], views[1], self.log_normaliser).mean()

    @full_precision
    def _loss(self, first: Tensor, second: Tensor, log_normaliser: Tensor) -> Tensor:
        n = len(first)
        if n < 2:
            raise ValueError("NCE needs 2 rows or more for its noise, not 1")
        log_model = cosine_matrix(first, second) / self.temperature - log_normaliser
        others = ~torch.eye(n, dtype=torch.bool, device=first.device)
        noise = log_model[others].view(n, n - 1)
        log_q = torch.full_like(noise, -math.log(n))
        return nce(log_model.diagonal(), log_q[:, 0], noise, log_q)


class SoftNearestNeighbour(nn.Module):
    """Soft nearest neighbours with log τ learnt (Frosst et al. 2019, section 2)."""

    def __init__(self, *, temperature: float, distance: Distance) -> None:
        super().__init__()
        self.distance = distance
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)))

    def forward(self, views: Tensor, targets: Tensor | None) -> Tensor:
        """() loss of the rows of (V, N, D) views and their classes."""
        rows, temperature = views.flatten(0, 1), self.log_temperature.exp()
        return soft_nearest_neighbour(rows, _classes(views, targets), temperature=temperature, distance=self.distance)


class MixedInfoNCE(nn.Module):
    """InfoNCE whose anchors are mixed with another one of the batch, λ ~ Beta(α, α) for each (torch's generator)."""

    def __init__(self, *, temperature: float, alpha: float) -> None:
        super().__init__()
        self.temperature, self.alpha = temperature, alpha

    def forward(self, views: Tensor, targets: Tensor | None) -> Tensor:
        """() loss of (2, N, D) views; not mixed in eval mode."""
        n, device = views.shape[1], views.device
        partners = torch.randperm(n, device=device) if self.training else torch.arange(n, device=device)
        concentration = torch.full((n,), self.alpha, device=device)
        weights = torch.distributions.Beta(concentration, concentration).sample()
        return mixed_info_nce(
            views[0], views[1], partners=partners, weights=weights, temperature=self.temperature
        ).mean()
