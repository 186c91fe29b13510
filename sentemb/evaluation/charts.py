"""Line charts and histograms as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from sentemb.evaluation.axes import (
    PANEL,
    WIDE,
    Axis,
    Frame,
    Size,
    figure,
    legend_of,
    power_axis,
    round_axis,
    style_of,
    tight_axis,
    value_axis,
)

Array = np.ndarray[Any, np.dtype[Any]]

N_BINS = 40
"""Of a histogram."""

_MOST_DOTS = 60  # of a line; more run together, and each costs bytes
_MOST_NUMBERS = 12  # across, where each x has its own


@dataclass(frozen=True, slots=True)
class Series:
    """A line of a chart.

    Attributes:
        name: in the legend.
        points: (x, y), finite, at least one; drawn in the order of x.
        level: a y to compare with, drawn as a thin line across; None for none.
    """

    name: str
    points: tuple[tuple[float, float], ...]
    level: float | None = None


def line_chart(
    series: Sequence[Series],
    *,
    x_label: str,
    y_label: str,
    log_x: bool = False,
    log_y: bool = False,
    size: Size = WIDE,
    caption: str = "",
) -> str:
    """A figure element: the lines with their points, axes, grid, and a legend below.

    Each point of a line of 60 or fewer tells its values when it is pointed at. A level is drawn dotted in its series'
    colour. Lines differ in dashes as well as in colour.

    Args:
        series: at least one.
        x_label: of the axis across.
        y_label: of the axis up.
        log_x: equal ratios of x are equally far apart; every x > 0.
        log_y: likewise of y.
        size: of the drawing.
        caption: text above it.

    Raises:
        ValueError: no point, one that is not finite, or a value ≤ 0 on a logarithmic axis.
    """
    _check(series, log_x, log_y)
    xs = sorted({x for line in series for x, _ in line.points})
    own_numbers = log_x or len(xs) <= _MOST_NUMBERS
    across = value_axis(x_label, xs, log=log_x) if own_numbers else tight_axis(x_label, xs)
    up = (power_axis if log_y else round_axis)(y_label, _heights(series))
    frame = Frame(across, up, size)
    parts = frame.drawn()
    for number, line in enumerate(series):
        parts += _line(line, number, frame)
    names = ", ".join(line.name for line in series)
    keys = [
        (f'<line class="line {style_of(number)}" x1="0" x2="28" y1="6" y2="6"/>', line.name)
        for number, line in enumerate(series)
    ]
    return figure(size, f"{y_label} against {x_label}: {names}", parts, legend_of(keys), caption)


def histogram(groups: Sequence[tuple[str, Array]], *, x_label: str, caption: str = "") -> str:
    """A panel: the share of each group's values per bin, in percent; all groups have the same 40 bins.

    Groups are outlines that differ in dashes as well as in colour, the first one filled.

    Args:
        groups: (name, (N,) finite values); one without values is in the legend only.
        x_label: what the values are.
        caption: text above.

    Raises:
        ValueError: no value at all, or one that is not finite.
    """
    values = np.concatenate([group for _, group in groups]) if groups else np.empty(0)
    if not len(values) or not np.isfinite(values).all():
        raise ValueError("a histogram has at least one value, and finite ones only")
    across = round_axis(x_label, (float(values.min()), float(values.max())))
    edges = np.linspace(across.low, across.high, N_BINS + 1)
    shares = [100 * np.histogram(group, edges)[0] / max(len(group), 1) for _, group in groups]
    highest = max(float(share.max()) for share in shares)
    frame = Frame(across, Axis("% of the group", 0.0, *_up_to(highest)), PANEL)
    parts = frame.drawn()
    for number, (share, (_, group)) in enumerate(zip(shares, groups, strict=True)):
        if len(group):
            outline = _steps(edges, share, frame)
            filled = " filled" if number == 0 else ""
            parts.append(f'<path class="line {style_of(number)}{filled}" d="{outline}"/>')
    keys = [
        (f'<line class="line {style_of(number)}" x1="0" x2="28" y1="6" y2="6"/>', f"{name} ({len(group):,})")
        for number, (name, group) in enumerate(groups)
    ]
    described = f"Histogram of {x_label}: {', '.join(name for name, _ in groups)}"
    return figure(PANEL, described, parts, legend_of(keys), caption)


def _up_to(highest: float) -> tuple[float, tuple[float, ...]]:
    ticks = round_axis("", (0.0, highest)).ticks
    return ticks[-1], ticks


def _steps(edges: Array, heights: Array, frame: Frame) -> str:
    """The outline of the bins from the first to the last that holds something, an SVG path closed along the bottom."""
    held = np.flatnonzero(heights)
    first, last = held[0], held[-1] + 1
    steps = [f"M{frame.x(float(edges[first])):.1f} {frame.bottom}"]
    for right, height in zip(edges[first + 1 : last + 1], heights[first:last], strict=True):
        steps.append(f"V{frame.y(float(height)):.1f}H{frame.x(float(right)):.1f}")
    return "".join([*steps, f"V{frame.bottom}Z"])


def _heights(series: Sequence[Series]) -> list[float]:
    levels = [line.level for line in series if line.level is not None]
    return [y for line in series for _, y in line.points] + levels


def _check(series: Sequence[Series], log_x: bool, log_y: bool) -> None:
    if not series or not all(line.points for line in series):
        raise ValueError("a chart has at least one series, and a series at least one point")
    values = [x for line in series for x, _ in line.points] + _heights(series)
    if not all(map(math.isfinite, values)):
        raise ValueError("a point or a level is not finite")
    if log_x and any(x <= 0 for line in series for x, _ in line.points):
        raise ValueError("an x of 0 or below has no place on a logarithmic axis")
    if log_y and any(y <= 0 for y in _heights(series)):
        raise ValueError("a y of 0 or below has no place on a logarithmic axis")


def _line(line: Series, number: int, frame: Frame) -> list[str]:
    colour = style_of(number)
    points = sorted(line.points)
    path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points)
    parts = [f'<polyline class="line {colour}" points="{path}"/>']
    if line.level is not None:
        y = f"{frame.y(line.level):.1f}"
        parts.append(f'<line class="level {colour}" x1="{frame.left}" x2="{frame.right}" y1="{y}" y2="{y}"/>')
    if len(points) > _MOST_DOTS:
        return parts
    for x, y_value in points:
        told = escape(f"{line.name}: {x:g}, {_figure(y_value)}")
        parts.append(
            f'<circle class="dot {colour}" cx="{frame.x(x):.1f}" cy="{frame.y(y_value):.1f}" r="3.5">'
            f"<title>{told}</title></circle>"
        )
    return parts


def _figure(value: float) -> str:
    return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.3g}"
