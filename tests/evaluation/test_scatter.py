"""Points, cells and histograms: each is where its value says, counted by plain loops."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from sentemb.evaluation.axes import N_COLOURS, PANEL, Axis, Frame, power_axis, round_axis, style_of, tight_axis
from sentemb.evaluation.charts import N_BINS, Series, histogram, line_chart
from sentemb.evaluation.scatter import MOST_MARKS, Cloud, density_chart, scatter_chart

LABELS = {"x_label": "x", "y_label": "y"}


def marks(html: str) -> list[ElementTree.Element]:
    figure = ElementTree.fromstring(html)
    return [path for path in figure.iter("path") if path.find("title") is not None and path.find("title").text]


def place(path: ElementTree.Element) -> tuple[float, float]:
    x, y = re.match(r"M(-?[\d.]+) (-?[\d.]+)", path.get("d")).groups()
    return float(x), float(y)


def test_a_frame_puts_the_ends_of_its_axes_at_its_edges():
    frame = Frame(Axis("x", 2.0, 4.0, (2.0, 3.0, 4.0)), Axis("y", 0.01, 100.0, (0.01, 1.0, 100.0), log=True), PANEL)
    assert (frame.x(2.0), frame.x(4.0)) == (frame.left, frame.right)
    assert frame.x(3.0) == (frame.left + frame.right) / 2
    assert (frame.y(0.01), frame.y(100.0)) == pytest.approx((frame.bottom, frame.top))
    assert frame.y(1.0) == pytest.approx((frame.bottom + frame.top) / 2)
    assert 0 < frame.left < frame.right < PANEL.width and 0 < frame.top < frame.bottom < PANEL.height


def test_numbers_up_leave_room_for_the_label():
    narrow, wide = (Frame(Axis("x", 0, 1, (0.0,)), Axis("y", 0, 1, ticks), PANEL) for ticks in [(1.0,), (0.00123,)])
    assert wide.left >= narrow.left + 4 * 7


@pytest.mark.parametrize("values", [[0.3], [0.12, 1.0], [1e-6, 1.0], [3e-300, 7.0], [2.0, 2.0], [1.0, 1e9], [5, 10]])
def test_a_logarithmic_axis_encloses_its_values_and_is_not_much_longer(values):
    axis = power_axis("x", values)
    assert axis.low <= min(values) * 1.001 and max(values) <= axis.high
    assert axis.low > min(values) / 10.1 and axis.high < max(values) * 10.1
    assert all(axis.low <= tick <= axis.high for tick in axis.ticks)
    assert len(axis.ticks) in (range(2, 9) if axis.low < axis.high else (1,))
    assert 0.0 <= axis.share(min(values)) + 1e-3 and axis.share(max(values)) <= 1.0


def test_a_tight_axis_ends_at_its_values_and_a_constant_one_has_its_number():
    axis = tight_axis("x", [3.0, 97.0, 50.0])
    assert (axis.low, axis.high) == (3.0, 97.0) and axis.ticks == (20.0, 40.0, 60.0, 80.0)
    assert tight_axis("x", [4.0, 4.0]).ticks == (4.0,) and tight_axis("x", [4.0]).share(4.0) == 0.5


def test_every_mark_lies_where_its_values_say():
    clouds = [Cloud("a", ((0.0, 0.0), (10.0, 5.0))), Cloud("b", ((5.0, 2.5),))]
    frame = Frame(round_axis("x", [0, 10, 5]), round_axis("y", [0, 5, 2.5]), PANEL)
    found = marks(scatter_chart(clouds, **LABELS))
    assert [place(path) for path in found] == [
        pytest.approx((frame.x(x), frame.y(y)), abs=0.06) for x, y in ((0, 0), (10, 5), (5, 2.5))
    ]
    assert place(found[0])[1] > place(found[1])[1]  # SVG counts downwards
    assert [path.find("title").text for path in found] == ["a: 0, 0", "a: 10, 5", "b: 5, 2.5"]


def test_groups_differ_in_shape_as_well_as_colour_and_never_in_neither():
    clouds = [Cloud(str(n), ((float(n), 0.0),)) for n in range(30)]
    paths = marks(scatter_chart(clouds, **LABELS))
    looks = [(path.get("class"), path.get("d").split("m", 1)[1]) for path in paths]
    assert len(set(looks)) == 30
    assert looks[0][1] != looks[1][1] and looks[0][0] != looks[1][0]


def test_marks_and_labels_tell_text_as_it_is():
    html = scatter_chart([Cloud("g", ((1.0, 2.0),), told=('<b> & "c"',), label="<i>")], **LABELS, caption="<u>")
    figure = ElementTree.fromstring(html)
    assert marks(html)[0].find("title").text == '<b> & "c"'
    assert "<i>" in [text.text for text in figure.iter("text")] and figure.find("figcaption").text == "<u>"


def test_many_points_are_binned_and_a_cell_is_as_opaque_as_the_root_of_its_count():
    x = np.array([0.0] * 400 + [10.0] * 100 + [5.0])
    y = np.array([0.0] * 400 + [1.0] * 100 + [0.5])
    cells = ElementTree.fromstring(density_chart(x, y, **LABELS)).findall("svg/path")
    found = {
        path.get("fill-opacity"): re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)v([\d.]+)", path.get("d")) for path in cells
    }
    assert {opacity: len(boxes) for opacity, boxes in found.items()} == {"1": 1, "0.6": 1, "0.2": 1}  # √(¼) of 5, up
    frame = Frame(round_axis("x", x), round_axis("y", y), PANEL)
    for opacity, (a, b) in {"1": (0, 0), "0.6": (10, 1), "0.2": (5, 0.5)}.items():
        left, top, wide, high = map(float, found[opacity][0])
        assert left - 0.1 <= frame.x(a) <= left + wide + 0.2
        assert top - 0.1 <= frame.y(b) <= top + high + 0.2


def test_no_point_is_lost_by_binning(rng):
    x, y = rng.normal(size=(2, MOST_MARKS + 200))
    cells = ElementTree.fromstring(density_chart(x, y, **LABELS)).findall("svg/path")
    across, up = round_axis("", x), round_axis("", y)
    filled = set()
    for a, b in zip(x, y, strict=True):
        filled.add((math.floor(52 * across.share(a)), math.floor(36 * up.share(b))))
    assert sum(path.get("d").count("M") for path in cells) == len(filled)


def test_few_points_are_one_path_of_marks():
    (path,) = ElementTree.fromstring(density_chart(np.arange(7.0), np.ones(7), **LABELS)).findall("svg/path")
    assert path.get("d").count("M") == 7


@pytest.mark.parametrize("n", [1, 2, MOST_MARKS + 1])
def test_points_that_are_all_alike_are_drawn(n):
    assert "<path" in density_chart(np.full(n, 3.0), np.full(n, -1.0), **LABELS)
    assert "<path" in histogram([("a", np.full(n, 0.5)), ("b", np.empty(0))], x_label="x")


def test_a_histogram_is_as_high_as_the_share_of_each_group():
    first, second = np.array([0.0, 0.01, 0.5, 1.0]), np.array([0.26, 0.27])
    figure = ElementTree.fromstring(histogram([("pos", first), ("neg", second)], x_label="s"))
    paths = [path for path in figure.findall("svg/path")]
    assert [path.get("class") for path in paths] == ["line s0 filled", "line s1"]
    frame = Frame(round_axis("s", [0, 1]), round_axis("", [0, 100]), PANEL)

    def height_at(path, value):
        """Walks the outline by hand: the height of the last V before the step that passes the value."""
        x, height = float(re.match(r"M([\d.]+)", path.get("d")).group(1)), None
        if frame.x(value) < x - 0.1:
            return 0.0
        for y, right in re.findall(r"V([\d.]+)H([\d.]+)", path.get("d")):
            height, x = float(y), float(right)
            if frame.x(value) < x - 0.05:
                return 100 * (frame.bottom - height) / (frame.bottom - frame.top)
        return 0.0

    assert N_BINS == 40  # bins of 0.025
    assert [round(height_at(paths[0], value)) for value in (0.012, 0.1, 0.51, 0.99)] == [50, 0, 25, 25]
    assert [round(height_at(paths[1], value)) for value in (0.1, 0.26, 0.3)] == [0, 100, 0]
    assert [item.find("svg").tail for item in figure.iter("li")] == ["pos (4)", "neg (2)"]


def test_a_line_on_a_logarithmic_axis_falls_evenly_with_powers():
    html = line_chart([Series("s", ((1.0, 1.0), (2.0, 0.1), (3.0, 0.01)))], **LABELS, log_y=True)
    heights = [float(dot.get("cy")) for dot in ElementTree.fromstring(html).iter("circle")]
    assert heights[1] - heights[0] == pytest.approx(heights[2] - heights[1], abs=0.11) and heights[0] < heights[2]


def test_a_long_line_has_no_dots_and_round_numbers_across():
    figure = ElementTree.fromstring(line_chart([Series("s", tuple((float(n), 1.0) for n in range(1, 98)))], **LABELS))
    assert not list(figure.iter("circle"))
    assert {"20", "40", "60", "80"} <= {text.text for text in figure.iter("text")}
    (line,) = figure.iter("polyline")
    assert len(line.get("points").split()) == 97


def test_series_beyond_the_colours_are_told_apart():
    assert len({style_of(n) for n in range(2 * N_COLOURS)}) == 2 * N_COLOURS


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: scatter_chart([], **LABELS), "at least one point"),
        (lambda: scatter_chart([Cloud("a", ((1.0, math.nan),))], **LABELS), "finite"),
        (lambda: scatter_chart([Cloud("a", ((1.0, 1.0),), told=("x", "y"))], **LABELS), "longer|shorter"),
        (lambda: density_chart(np.empty(0), np.empty(0), **LABELS), "at least one point"),
        (lambda: density_chart(np.array([1.0]), np.array([np.inf]), **LABELS), "finite"),
        (lambda: histogram([], x_label="x"), "at least one value"),
        (lambda: histogram([("a", np.empty(0))], x_label="x"), "at least one value"),
        (lambda: histogram([("a", np.array([np.nan]))], x_label="x"), "finite"),
        (lambda: line_chart([Series("a", ((1.0, 0.0),))], **LABELS, log_y=True), "a y of 0 or below"),
    ],
)
def test_what_can_not_be_drawn_is_refused(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()
