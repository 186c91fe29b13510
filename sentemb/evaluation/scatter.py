"""Points in the plane as inline SVG: marks that differ in shape and colour, or, where there are many, their density."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from sentemb.evaluation.axes import PANEL, Axis, Frame, Size, figure, legend_of, round_axis, style_of

Array = np.ndarray[Any, np.dtype[Any]]

MOST_MARKS = 400
"""More points of one group are binned, so that a page of many panels stays small."""

_SHAPES = (  # relative paths about their middle; their number and that of the colours have no common factor
    "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z",  # circle
    "m-3-3h6v6h-6z",  # square
    "m0-4l3.8 6.6h-7.6z",  # triangle
    "m0-4.2l4.2 4.2l-4.2 4.2l-4.2-4.2z",  # diamond
    "m-1.2-4h2.4v2.8h2.8v2.4h-2.8v2.8h-2.4v-2.8h-2.8v-2.4h2.8z",  # cross
    "m0 4l3.8-6.6h-7.6z",  # triangle on its tip
    "m-4-1.6h8v3.2h-8z",  # bar
)
_COLUMNS, _ROWS, _LEVELS = 52, 36, 5


@dataclass(frozen=True, slots=True)
class Cloud:
    """A group of points.

    Attributes:
        name: in the legend.
        points: (x, y), finite.
        told: what each point tells when it is pointed at; empty: its group and its values.
        label: text beside each point; empty for none.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    told: tuple[str, ...] = ()
    label: str = ""


def scatter_chart(
    clouds: Sequence[Cloud], *, x_label: str, y_label: str, size: Size = PANEL, caption: str = "", first: int = 0
) -> str:
    """A figure element: a mark for each point, with a legend of the groups.

    Args:
        clouds: together at least one point.
        x_label: of the axis across.
        y_label: of the axis up.
        size: of the drawing.
        caption: text above.
        first: which colour and shape the first group has.

    Raises:
        ValueError: no point, one that is not finite, or `told` of another length than `points`.
    """
    xs = [x for cloud in clouds for x, _ in cloud.points]
    ys = [y for cloud in clouds for _, y in cloud.points]
    if not xs or not np.isfinite(xs + ys).all():
        raise ValueError("a scatter plot has at least one point, and finite ones only")
    frame = Frame(round_axis(x_label, xs), round_axis(y_label, ys), size)
    parts = frame.drawn()
    for number, cloud in enumerate(clouds, start=first):
        told = cloud.told or tuple(f"{cloud.name}: {x:.4g}, {y:.4g}" for x, y in cloud.points)
        for (x, y), text in zip(cloud.points, told, strict=True):
            parts.append(_mark(number, frame.x(x), frame.y(y), text))
            if cloud.label:
                parts.append(_beside(frame, x, y, cloud.label))
    keys = [(_mark(number, 14, 6), cloud.name) for number, cloud in enumerate(clouds, start=first)]
    described = f"{y_label} against {x_label}: {', '.join(cloud.name for cloud in clouds)}"
    return figure(size, described, parts, legend_of(keys), caption)


def density_chart(x: Array, y: Array, *, x_label: str, y_label: str, caption: str = "", number: int = 0) -> str:
    """A panel of one group: a mark a point up to `MOST_MARKS` points, beyond that cells as opaque as they are full.

    A cell's opacity goes with the square root of its number of points, in five levels.

    Args:
        x: (N,) finite, N ≥ 1.
        y: (N,) finite.
        x_label: of the axis across.
        y_label: of the axis up.
        caption: text above.
        number: which colour it has.

    Raises:
        ValueError: no point, or one that is not finite.
    """
    if not len(x) or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("a density plot has at least one point, and finite ones only")
    frame = Frame(round_axis(x_label, x.tolist()), round_axis(y_label, y.tolist()), PANEL)
    many = len(x) > MOST_MARKS
    drawn = _cells(x, y, frame, number) if many else _dots(x, y, frame, number)
    described = f"{y_label} against {x_label}, {len(x)} points{' in cells' if many else ''}"
    return figure(PANEL, described, [*frame.drawn(), *drawn], caption=caption)


def _mark(number: int, x: float, y: float, told: str | None = None) -> str:
    shape = _SHAPES[number % len(_SHAPES)]
    inner = "" if told is None else f"<title>{escape(told)}</title>"
    return f'<path class="mark {style_of(number)}" d="M{x:.1f} {y:.1f}{shape}">{inner}</path>'


def _beside(frame: Frame, x: float, y: float, label: str) -> str:
    """The label on the side where there is room."""
    on_left = frame.across.share(x) > 0.5
    place, anchor = (frame.x(x) - 9, "end") if on_left else (frame.x(x) + 9, "start")
    return f'<text class="label" x="{place:.1f}" y="{frame.y(y) + 4:.1f}" text-anchor="{anchor}">{escape(label)}</text>'


def _dots(x: Array, y: Array, frame: Frame, number: int) -> list[str]:
    """All points as one path."""
    places = "".join(
        f"M{frame.x(a):.1f} {frame.y(b):.1f}{_SHAPES[0]}" for a, b in zip(x.tolist(), y.tolist(), strict=True)
    )
    return [f'<path class="mark many {style_of(number)}" d="{places}"/>']


def _cells(x: Array, y: Array, frame: Frame, number: int) -> list[str]:
    """One path a level of opacity."""
    counts, _, _ = np.histogram2d(
        _shares(x, frame.across), _shares(y, frame.up), bins=(_COLUMNS, _ROWS), range=((0, 1), (0, 1))
    )
    levels = np.ceil(_LEVELS * np.sqrt(counts / counts.max())).astype(int)
    wide, high = (frame.right - frame.left) / _COLUMNS, (frame.bottom - frame.top) / _ROWS
    box = f"h{wide:.1f}v{high:.1f}h-{wide:.1f}z"
    paths = []
    for level in range(1, _LEVELS + 1):
        path = "".join(
            f"M{frame.left + column * wide:.1f} {frame.bottom - (row + 1) * high:.1f}{box}"
            for column, row in np.argwhere(levels == level).tolist()
        )
        if path:
            paths.append(f'<path class="cell {style_of(number)}" fill-opacity="{level / _LEVELS:g}" d="{path}"/>')
    return paths


def _shares(values: Array, axis: Axis) -> Array:
    shares: Array = (values - axis.low) / (axis.high - axis.low)  # a round axis always has a length
    return shares
