"""What a report shows of an embedding space, taken from vectors that were made for scoring and are then let go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.decomposition import PCA

from sentemb.errors import DataError
from sentemb.evaluation.pairs import Pairs
from sentemb.evaluation.sts import Vectors
from sentemb.metrics.bias import words
from sentemb.metrics.geometry import alignment, uniformity
from sentemb.metrics.rows import directions
from sentemb.metrics.space import SpaceReport, describe_space
from sentemb.metrics.spectrum import centred_singular_values

Array = np.ndarray[Any, np.dtype[Any]]

MIN_DESCRIBED = 100
"""Fewer texts give no figures of the space: among a handful of neighbours hubness says nothing."""

_EXTREME = 0.2  # of the range of gold scores, at either end: above 4 of 0 … 5, as Gao et al. 2021 take positives
_PLANE_TASKS = ("stsb-dev", "stsb-test")


@dataclass(frozen=True, slots=True)
class Spot:
    """A text of the map, and the group whose mark it has."""

    text: str
    group: str


@dataclass(frozen=True, slots=True)
class Sample:
    """The texts that every model is looked at with, so that the figures compare.

    Attributes:
        described: for the figures of the space and its singular values.
        spots: for the map.
        grouped_by: what the groups of the map are.
        positives: first and second texts of the pairs for alignment; may be empty.
        spread: the texts for uniformity.
        plane_task: what task the two are of.
    """

    described: tuple[str, ...]
    spots: tuple[Spot, ...]
    grouped_by: str
    positives: tuple[tuple[str, ...], tuple[str, ...]]
    spread: tuple[str, ...]
    plane_task: str


@dataclass(frozen=True, slots=True, eq=False)
class SpaceView:
    """What a report shows of one model's space.

    Attributes:
        model: its name.
        n_described: texts of the sample that figures and singular values are of.
        n_zero: texts of the sample whose vector is zero, which are left out.
        figures: of the space; None where `problem` says why.
        problem: why there are no figures; empty if there are.
        alignment: 0 to 4, lower is better; None without a positive pair.
        uniformity: −8 to 0, lower is better; None with fewer than two texts.
        singular_values: over the largest, descending, of the rows less their mean; empty if all rows are alike.
        places: (M, 2) the first two principal components of the normalised vectors of M spots.
        shares: of their variance along the two, each 0 to 1.
        spots: the M spots.
    """

    model: str
    n_described: int
    n_zero: int
    figures: SpaceReport | None
    problem: str
    alignment: float | None
    uniformity: float | None
    singular_values: tuple[float, ...]
    places: Array
    shares: tuple[float, float]
    spots: tuple[Spot, ...]


def extremes(pairs: Pairs) -> tuple[Array, Array]:
    """(N,) bool twice: pairs with gold in the top fifth and in the bottom fifth of its range, the bounds left out.

    The range is the task's; of an own file, from its lowest to its highest gold score.

    >>> from sentemb.evaluation.tasks import TASKS
    >>> gold = np.array([0.0, 1.0, 4.0, 4.2])
    >>> [side.tolist() for side in extremes(Pairs(TASKS["stsb-dev"], ("a",) * 4, ("b",) * 4, gold, {}))]
    [[False, False, False, True], [True, False, False, False]]
    """
    low, high = pairs.task.score_range
    if not np.isfinite([low, high]).all():
        low, high = float(pairs.gold.min()), float(pairs.gold.max())
    edge = _EXTREME * (high - low)
    return pairs.gold > high - edge, pairs.gold < low + edge


def draw_sample(tasks: Sequence[Pairs], rng: np.random.Generator, *, n_described: int, n_spots: int) -> Sample:
    """Draws the texts that models are looked at with.

    Args:
        tasks: at least one.
        rng: what draws.
        n_described: at most so many texts for the figures and for uniformity; the figures take O(n²) time.
        n_spots: about so many texts of the map, as many of each group.
    """
    texts = sorted({text for pairs in tasks for text in (*pairs.first, *pairs.second)})
    grouped_by, group_of = _groups(tasks)
    by_group: dict[str, list[str]] = {}
    for text, group in group_of.items():
        by_group.setdefault(group, []).append(text)
    each = max(1, n_spots // len(by_group))
    spots = tuple(Spot(text, group) for group, held in by_group.items() for text in _some(held, each, rng))
    named = {pairs.task.name: pairs for pairs in tasks}
    plane = next(([named[name]] for name in _PLANE_TASKS if name in named), list(tasks))
    chosen = [(pairs, np.flatnonzero(extremes(pairs)[0])) for pairs in plane]
    return Sample(
        described=tuple(_some(texts, n_described, rng)),
        spots=spots,
        grouped_by=grouped_by,
        positives=(
            tuple(pairs.first[row] for pairs, rows in chosen for row in rows),
            tuple(pairs.second[row] for pairs, rows in chosen for row in rows),
        ),
        spread=tuple(
            _some(sorted({text for pairs in plane for text in (*pairs.first, *pairs.second)}), n_described, rng)
        ),
        plane_task=plane[0].task.title if len(plane) == 1 else "all tasks together",
    )


def view_space(model: str, vectors: Vectors, sample: Sample) -> SpaceView:
    """Looks at a model's space.

    Args:
        model: its name.
        vectors: embeddings of all texts of the sample.
        sample: from `draw_sample`.
    """
    rows = vectors.of(sample.described)
    kept = np.any(rows, axis=1)
    rows, texts = rows[kept], [text for text, keep in zip(sample.described, kept.tolist(), strict=True) if keep]
    figures, problem = _figures(rows, texts)
    spots, places, shares = _map(vectors, sample.spots)
    return SpaceView(
        model=model,
        n_described=len(rows),
        n_zero=int((~kept).sum()),
        figures=figures,
        problem=problem,
        alignment=_alignment(vectors, sample.positives),
        uniformity=_uniformity(vectors, sample.spread),
        singular_values=_spectrum(rows),
        places=places,
        shares=shares,
        spots=spots,
    )


def _groups(tasks: Sequence[Pairs]) -> tuple[str, dict[str, str]]:
    """Text → group: its first task; with one task its subset; with one set the gold score of its first pair."""
    found: dict[str, str] = {}
    named = len(tasks) > 1 or len(tasks[0].subsets) > 1
    for pairs in tasks:
        if len(tasks) > 1:
            groups = np.full(len(pairs), pairs.task.title, dtype=object)
        elif named:
            groups = np.empty(len(pairs), dtype=object)
            for name, rows in pairs.subsets.items():
                groups[rows] = name
        else:
            top, bottom = extremes(pairs)
            groups = np.where(top, "top fifth", np.where(bottom, "bottom fifth", "between")).astype(object)
        for group, *pair in zip(groups, pairs.first, pairs.second, strict=True):
            for text in pair:
                found.setdefault(text, group)
    if len(tasks) > 1:
        return "task", found
    return ("subset" if named else "gold score of the text's first pair"), found


def _some(texts: Sequence[str], n: int, rng: np.random.Generator) -> list[str]:
    """All texts, or n of them in their order."""
    if len(texts) <= n:
        return list(texts)
    return [texts[row] for row in np.sort(rng.choice(len(texts), n, replace=False))]


def _figures(rows: Array, texts: Sequence[str]) -> tuple[SpaceReport | None, str]:
    if len(rows) < MIN_DESCRIBED:
        return None, f"{len(rows)} texts are too few; {MIN_DESCRIBED} or more are needed"
    spoken = sum(bool(words(text)) for text in texts) > 1
    try:
        return describe_space(rows, texts if spoken else None), ""
    except DataError as error:  # all vectors alike, or one dimension
        return None, str(error)


def _alignment(vectors: Vectors, positives: tuple[Sequence[str], Sequence[str]]) -> float | None:
    if not positives[0]:
        return None
    first, second = (vectors.of(side) for side in positives)
    kept = first.any(axis=1) & second.any(axis=1)
    return alignment(first[kept], second[kept]) if kept.any() else None


def _uniformity(vectors: Vectors, texts: Sequence[str]) -> float | None:
    rows = vectors.of(texts)
    rows = rows[rows.any(axis=1)]
    return uniformity(rows) if len(rows) > 1 else None


def _spectrum(rows: Array) -> tuple[float, ...]:
    if len(rows) < 2 or (rows == rows[0]).all():
        return ()
    return tuple(centred_singular_values("report", rows).tolist())


def _map(vectors: Vectors, spots: Sequence[Spot]) -> tuple[tuple[Spot, ...], Array, tuple[float, float]]:
    """The spots whose vector is not zero, their places and the shares of variance; no spots where all are alike."""
    rows = directions(vectors.of([spot.text for spot in spots]))
    kept = np.any(rows, axis=1)
    rows = rows[kept]
    if len(rows) < 2 or rows.shape[1] < 2 or np.ptp(rows, axis=0).max() < 1e-9:
        return (), np.empty((0, 2)), (0.0, 0.0)
    fitted = PCA(n_components=2, svd_solver="full").fit(rows)
    shares = fitted.explained_variance_ratio_.tolist()
    found = tuple(spot for spot, keep in zip(spots, kept.tolist(), strict=True) if keep)
    return found, fitted.transform(rows), (shares[0], shares[1])
