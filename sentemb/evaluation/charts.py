"""Charts as inline SVG, for pages that need no network. Colours come from the page (`sentemb.evaluation.page`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

N_COLOURS = 8
"""Series 0 … 7 have colours of their own; further ones take them again, dashed."""

_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 12, 48
_N_TICKS = 6


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


def line_chart(series: Sequence[Series], *, x_label: str, y_label: str, log_x: bool = False) -> str:
    """A figure element: the lines with their points, axes, grid, and a legend below.

    Each point tells its values when it is pointed at. A level is drawn dotted in its series' colour.

    Args:
        series: at least one.
        x_label: of the axis across.
        y_label: of the axis up.
        log_x: equal ratios of x are equally far apart; every x > 0.

    Raises:
        ValueError: no point, one that is not finite, or an x ≤ 0 on a logarithmic axis.
    """
    _check(series, log_x)
    xs = sorted({x for line in series for x, _ in line.points})
    ys = [y for line in series for _, y in line.points] + [line.level for line in series if line.level is not None]
    across = _scale(xs[0], xs[-1], _LEFT, _WIDTH - _RIGHT, log=log_x)
    ticks = round_ticks(min(ys), max(ys))
    up = _scale(ticks[0], ticks[-1], _HEIGHT - _BOTTOM, _TOP)
    parts = [*_axes(xs, ticks, across, up, x_label, y_label)]
    for number, line in enumerate(series):
        parts += _line(line, number, across, up)
    names = ", ".join(line.name for line in series)
    described = escape(f"{y_label} against {x_label}: {names}", quote=True)
    drawing = "\n".join(parts)
    legend = "".join(
        f'<li><span class="key s{number % N_COLOURS}{_dashed(number)}"></span>{escape(line.name)}</li>'
        for number, line in enumerate(series)
    )
    return (
        f'<figure><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{described}">\n{drawing}\n</svg>'
        f'<ul class="legend">{legend}</ul></figure>'
    )


def round_ticks(low: float, high: float) -> list[float]:
    """About six round numbers, evenly spaced, the first ≤ low and the last ≥ high.

    >>> round_ticks(55.8, 71.2)
    [55.0, 60.0, 65.0, 70.0, 75.0]
    >>> round_ticks(3.0, 3.0)
    [2.0, 2.5, 3.0, 3.5, 4.0]
    """
    if low == high:
        low, high = low - 1, high + 1
    rough = (high - low) / (_N_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step)))
    return [round(number * step, digits) for number in range(first, last + 1)]


def _check(series: Sequence[Series], log_x: bool) -> None:
    if not series or not all(line.points for line in series):
        raise ValueError("a chart has at least one series, and a series at least one point")
    values = [value for line in series for point in line.points for value in point]
    values += [line.level for line in series if line.level is not None]
    if not all(map(math.isfinite, values)):
        raise ValueError("a point or a level is not finite")
    if log_x and any(x <= 0 for line in series for x, _ in line.points):
        raise ValueError("an x of 0 or below has no place on a logarithmic axis")


def _scale(low: float, high: float, start: float, end: float, *, log: bool = False) -> Callable[[float], float]:
    """The linear map that takes low to start and high to end; of logarithms if `log`."""
    place: Callable[[float], float] = math.log if log else float
    span = place(high) - place(low)
    if span == 0:
        return lambda _: (start + end) / 2
    return lambda value: start + (end - start) * (place(value) - place(low)) / span


def _axes(
    xs: Sequence[float],
    ticks: Sequence[float],
    across: Callable[[float], float],
    up: Callable[[float], float],
    x_label: str,
    y_label: str,
) -> list[str]:
    parts = []
    for tick in ticks:
        y = up(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    shown = -math.inf
    for x in xs:
        place = across(x)
        if place - shown >= 34:  # else the numbers run into each other
            shown = place
            parts.append(f'<text x="{place:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{x:g}</text>')
    middle, bottom = (_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8
    parts.append(f'<text class="label" x="{middle}" y="{bottom}" text-anchor="middle">{escape(x_label)}</text>')
    half = (_TOP + _HEIGHT - _BOTTOM) / 2
    turned = f'transform="rotate(-90 14 {half})"'
    parts.append(f'<text class="label" x="14" y="{half}" text-anchor="middle" {turned}>{escape(y_label)}</text>')
    return parts


def _line(line: Series, number: int, across: Callable[[float], float], up: Callable[[float], float]) -> list[str]:
    colour = f"s{number % N_COLOURS}"
    points = sorted(line.points)
    path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
    parts = [f'<polyline class="line {colour}{_dashed(number)}" points="{path}"/>']
    if line.level is not None:
        y = f"{up(line.level):.1f}"
        parts.append(f'<line class="level {colour}" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>')
    for x, y_value in points:
        told = escape(f"{line.name}: {x:g}, {y_value:.2f}")
        parts.append(
            f'<circle class="dot {colour}" cx="{across(x):.1f}" cy="{up(y_value):.1f}" r="3.5"><title>{told}</title>'
            "</circle>"
        )
    return parts


def _dashed(number: int) -> str:
    return "" if number < N_COLOURS else " dashed"
