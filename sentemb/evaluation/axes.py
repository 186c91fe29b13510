"""The frame of a chart: two axes with ticks, a grid and labels, and where a value lies in the drawing.

Charts are inline SVG, for pages that need no network; colours come from `sentemb.evaluation.page_style`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple

N_COLOURS = 8
"""Series 0 … 7 have colours and dashes of their own; further ones take them again, thinner."""

_RIGHT, _TOP, _BOTTOM = 16, 12, 48
_N_TICKS = 6
_SHORT = 100.0  # high over low of a logarithmic axis
_DIGIT = 7  # wide, about
_NEAREST = 34  # units between two numbers across; nearer ones run into each other


class Size(NamedTuple):
    """Of a drawing, in its own units, which are pixels where it is shown at full width."""

    width: int
    height: int


WIDE = Size(720, 400)
PANEL = Size(380, 290)
"""Two stand side by side; one fills a phone."""


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high`, both finite, with numbers at the ticks.

    Attributes:
        label: what the values are.
        low: where the axis begins.
        high: where it ends; an axis without length puts every value in its middle.
        ticks: values with a number, each from low to high, ascending.
        log: equal ratios are equally far apart; low > 0.
    """

    label: str
    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def share(self, value: float) -> float:
        """How far along the axis a value lies: 0 at low, 1 at high."""
        if self.low == self.high:
            return 0.5
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def round_axis(label: str, values: Iterable[float]) -> Axis:
    """An axis that begins and ends at round numbers around the values.

    >>> round_axis("score", [55.8, 71.2]).ticks
    (55.0, 60.0, 65.0, 70.0, 75.0)
    """
    found = list(values)
    ticks = tuple(round_ticks(min(found), max(found)))
    return Axis(label, ticks[0], ticks[-1], ticks)


def tight_axis(label: str, values: Iterable[float]) -> Axis:
    """An axis from the lowest value to the highest, with round numbers between them.

    >>> tight_axis("step", [5.0, 100.0])
    Axis(label='step', low=5.0, high=100.0, ticks=(20.0, 40.0, 60.0, 80.0, 100.0), log=False)
    """
    found = list(values)
    low, high = min(found), max(found)
    if low == high:
        return Axis(label, low, high, (low,))
    ticks = tuple(tick for tick in round_ticks(low, high) if low <= tick <= high)
    return Axis(label, low, high, ticks or (low, high))


def value_axis(label: str, values: Iterable[float], *, log: bool = False) -> Axis:
    """An axis from the lowest value to the highest, with a number at each value."""
    found = sorted(set(values))
    return Axis(label, found[0], found[-1], tuple(found), log)


def power_axis(label: str, values: Iterable[float]) -> Axis:
    """A logarithmic axis between 1, 2 or 5 times powers of ten; all values > 0. Long ones have numbers at powers only.

    >>> power_axis("share", [0.12, 1.0]).ticks
    (0.1, 0.2, 0.5, 1.0)
    >>> power_axis("share", [0.0012, 1.0]).ticks
    (0.001, 0.01, 0.1, 1.0)
    """
    found = list(values)
    lowest, highest = min(found), max(found)
    powers = range(math.floor(math.log10(lowest)) - 1, math.ceil(math.log10(highest)) + 2)
    steps = [float(f"{factor}e{power}") for power in powers for factor in (1, 2, 5)]
    low, high = max(step for step in steps if step < lowest * 1.001), min(step for step in steps if step >= highest)
    within = [step for step in steps if low <= step <= high]
    tens = [step for step in within if f"{step:e}".startswith("1.")]
    shown = within if high / low <= _SHORT else tens[:: math.ceil(len(tens) / _N_TICKS)]
    return Axis(label, low, high, tuple(shown), log=True)


def round_ticks(low: float, high: float) -> list[float]:
    """About six round numbers, evenly spaced, the first ≤ low and the last ≥ high.

    >>> round_ticks(55.8, 71.2)
    [55.0, 60.0, 65.0, 70.0, 75.0]
    >>> round_ticks(3.0, 3.0)
    [2.0, 2.5, 3.0, 3.5, 4.0]
    """
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        low, high = low - 1, high + 1
    rough = (high - low) / (_N_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step)))
    return [round(number * step, digits) for number in range(first, last + 1)]


class Frame:
    """Two axes in a drawing.

    Args:
        across: the axis from left to right.
        up: the axis from the bottom up.
        size: of the drawing.
    """

    def __init__(self, across: Axis, up: Axis, size: Size) -> None:
        self.across, self.up, self.size = across, up, size
        self.left = 30 + _DIGIT * max(3, *(len(f"{tick:g}") for tick in up.ticks))
        self.right, self.top, self.bottom = size.width - _RIGHT, _TOP, size.height - _BOTTOM

    def x(self, value: float) -> float:
        """Where a value of the axis across lies, from the left."""
        return self.left + self.across.share(value) * (self.right - self.left)

    def y(self, value: float) -> float:
        """Where a value of the axis up lies, from the top."""
        return self.bottom + self.up.share(value) * (self.top - self.bottom)

    def drawn(self) -> list[str]:
        """The grid, the numbers and the labels."""
        parts = []
        for tick in self.up.ticks:
            y = self.y(tick)
            parts.append(f'<line class="grid" x1="{self.left}" x2="{self.right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{self.left - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
        shown = -math.inf
        for tick in self.across.ticks:
            place = self.x(tick)
            if place - shown >= _NEAREST:
                shown = place
                parts.append(f'<text x="{place:.1f}" y="{self.bottom + 18}" text-anchor="middle">{tick:g}</text>')
        middle, half = (self.left + self.right) / 2, (self.top + self.bottom) / 2
        across, up = escape(self.across.label), escape(self.up.label)
        parts.append(
            f'<text class="label" x="{middle}" y="{self.size.height - 8}" text-anchor="middle">{across}</text>'
        )
        turned = f'transform="rotate(-90 14 {half})"'
        parts.append(f'<text class="label" x="14" y="{half}" text-anchor="middle" {turned}>{up}</text>')
        return parts


def figure(size: Size, described: str, parts: Sequence[str], legend: str = "", caption: str = "") -> str:
    """A figure element of SVG parts.

    Args:
        size: of the drawing.
        described: what is seen, for those who can't.
        parts: SVG.
        legend: HTML, below; may be empty.
        caption: text above; may be empty.
    """
    drawing = "\n".join(parts)
    kind = "" if size.width > 500 else ' class="panel"'
    head = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    label = escape(described, quote=True)
    return (
        f'<figure{kind}>{head}<svg viewBox="0 0 {size.width} {size.height}" role="img" aria-label="{label}">\n'
        f"{drawing}\n</svg>{legend}</figure>"
    )


def legend_of(keys: Sequence[tuple[str, str]]) -> str:
    """A list of (mark, name): the mark is SVG in a box of 28 × 12, as the chart draws it; the name is text."""
    items = "".join(
        f'<li><svg class="key" viewBox="0 0 28 12" aria-hidden="true">{mark}</svg>{escape(name)}</li>'
        for mark, name in keys
    )
    return f'<ul class="legend">{items}</ul>'


def style_of(number: int) -> str:
    """The classes of series `number`: its colour and dashes, and `again` past the last colour.

    >>> style_of(1), style_of(8)
    ('s1', 's0 again')
    """
    return f"s{number % N_COLOURS}" + ("" if number < N_COLOURS else " again")
