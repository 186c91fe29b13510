"""The section of a report that is about embedding spaces: figures, alignment and uniformity, spectrum, maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sentemb.evaluation import page
from sentemb.evaluation.axes import Size
from sentemb.evaluation.charts import Series, line_chart
from sentemb.evaluation.page import Section
from sentemb.evaluation.scatter import Cloud, scatter_chart
from sentemb.evaluation.space_view import Sample, SpaceView
from sentemb.metrics.space import SpaceReport

_MAP = Size(480, 400)
_LABEL = 28  # characters beside a point
_LEAST = 1e-6  # of the largest singular value; below it is rounding
_ROWS: tuple[tuple[str, str, Callable[[SpaceReport], float | None]], ...] = (
    ("Mean cosine", "0 is isotropic, 1 all directions alike", lambda space: space.mean_cosine),
    ("IsoScore", "0 (one axis) to 1 (equal variance on all axes)", lambda space: space.isoscore),
    ("Partition isotropy", "0 to 1 (isotropic); falls with scale and mean", lambda space: space.partition_isotropy),
    ("Effective rank", "1 to the width; of the vectors as they are", lambda space: space.effective_rank),
    ("Effective rank, centred", "of their spread about the mean", lambda space: space.centred_effective_rank),
    ("Participation ratio", "1 to the width; of the variances", lambda space: space.participation_ratio),
    ("Hubness", "skewness of the 10-occurrences; about 0 without hubs", lambda space: space.hubness),
    (
        "Word frequency with norm",
        "Spearman; below 0: texts of frequent words have short vectors",
        lambda space: space.frequency_norm,
    ),
    (
        "Word frequency with distance",
        "Spearman; below 0: texts of frequent words lie close to their neighbours",
        lambda space: space.frequency_neighbour_distance,
    ),
    ("Shared words, chance pairs", "Spearman of the cosine with word overlap", lambda space: space.overlap_correlation),
    (
        "Length, chance pairs",
        "Spearman of the cosine with the difference in words",
        lambda space: space.length_correlation,
    ),
)


def space_section(views: Sequence[SpaceView], sample: Sample) -> Section:
    """Everything that is shown of the models' spaces.

    Args:
        views: one a model, at least one, all of one sample.
        sample: what they were looked at with.
    """
    parts = [*_figures(views), *_plane(views, sample), *_spectrum(views), *_maps(views, sample)]
    return Section("space", "Embedding space", tuple(parts))


def _figures(views: Sequence[SpaceView]) -> list[str]:
    told = [view for view in views if view.figures is not None]
    parts = []
    if told:
        rows = [
            (name, *(_figure(get(view.figures)) for view in told if view.figures is not None), meaning)
            for name, meaning, get in _ROWS
        ]
        rows.insert(0, ("Width", *(str(view.figures.width) for view in told if view.figures is not None), "dimensions"))
        header = ("Figure", *(view.model for view in told), "How to read it")
        parts = [
            page.paragraph(
                f"Of the same {max(view.n_described for view in told):,} texts for each model, drawn from all tasks. "
                "Nearly all of these depend on the number of texts, so compare within this table only. An empty cell: "
                "all vectors have one length, or the figure has nothing to correlate."
            ),
            page.table(header, rows, {0: "text", len(header) - 1: "sentences"}),
        ]
    parts += [page.paragraph(f"{view.model}: no figures. {view.problem}.") for view in views if view.figures is None]
    parts += [
        page.paragraph(f"{view.model}: {view.n_zero:,} texts have a zero vector and were left out.", faint=True)
        for view in views
        if view.n_zero
    ]
    return parts


def _plane(views: Sequence[SpaceView], sample: Sample) -> list[str]:
    placed = [
        (view.model, view.alignment, view.uniformity)
        for view in views
        if view.alignment is not None and view.uniformity is not None
    ]
    heading = page.heading("Alignment and uniformity")
    if not placed:
        return [heading, page.paragraph("No positive pair (gold in the top fifth of its range), so no alignment.")]
    clouds = [
        Cloud(name, ((across, up),), label=name if len(name) <= _LABEL else f"…{name[1 - _LABEL :]}")
        for name, up, across in placed
    ]
    chart = scatter_chart(clouds, x_label="uniformity (lower is better)", y_label="alignment (lower is better)")
    table = page.table(
        ("Model", "Alignment", "Uniformity"),
        [(name, f"{up:.4f}", f"{across:.4f}") for name, up, across in placed],
        {0: "text"},
    )
    how = (
        f"Wang and Isola 2020, on {sample.plane_task}: alignment is the mean squared distance of the "
        f"{len(sample.positives[0]):,} pairs with gold in the top fifth of its range; uniformity the log of the mean "
        f"of exp(−2 d²) over pairs of {len(sample.spread):,} texts; both of normalised vectors. Down and to the left "
        "is better. Published points are left out: no source that comes with sentemb prints any."
    )
    return [heading, page.panels(chart, table), page.paragraph(how, faint=True)]


def _spectrum(views: Sequence[SpaceView]) -> list[str]:
    series = [
        Series(view.model, tuple((k, value) for k, value in enumerate(view.singular_values, start=1) if value > _LEAST))
        for view in views
        if view.singular_values
    ]
    if not series:
        return []
    chart = line_chart(series, x_label="principal axis", y_label="singular value over the largest", log_y=True)
    how = "Of the texts' vectors less their mean. A flat line: all axes are used; a steep one: few are."
    return [page.heading("Singular values"), chart, page.paragraph(how, faint=True)]


def _maps(views: Sequence[SpaceView], sample: Sample) -> list[str]:
    shown = [view for view in views if view.spots]
    if not shown:
        return []
    groups = list(dict.fromkeys(spot.group for spot in sample.spots))
    how = (
        f"The first two principal components of {len(sample.spots):,} texts, normalised; marked by "
        f"{sample.grouped_by}. Point at a mark to read its text. Two axes show little of a wide space: texts that lie "
        "together here may be far apart."
    )
    return [
        page.heading("Map of the texts"),
        page.panels(*(_map(view, groups) for view in shown)),
        page.paragraph(how, faint=True),
    ]


def _map(view: SpaceView, groups: Sequence[str]) -> str:
    clouds = []
    for group in groups:
        rows = [row for row, spot in enumerate(view.spots) if spot.group == group]
        points = tuple((float(view.places[row, 0]), float(view.places[row, 1])) for row in rows)
        clouds.append(Cloud(group, points, told=tuple(f"{group}: {view.spots[row].text}" for row in rows)))
    first, second = (f"{100 * share:.1f} % of the variance" for share in view.shares)
    return scatter_chart(clouds, x_label=first, y_label=second, size=_MAP, caption=view.model)


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
