"""Charts and pages: what is drawn is where the numbers say, and nothing in a page comes from elsewhere."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from sentemb.evaluation import page
from sentemb.evaluation.axes import N_COLOURS, round_ticks
from sentemb.evaluation.charts import Series, line_chart


def drawn(series, **options):
    figure = ElementTree.fromstring(line_chart(series, x_label="k", y_label="score", **options))
    return figure, [(float(dot.get("cx")), float(dot.get("cy"))) for dot in figure.iter("circle")]


def test_points_lie_where_their_values_say():
    _, dots = drawn([Series("a", ((3.0, 10.0), (1.0, 30.0), (2.0, 20.0)))])
    (x1, y1), (x2, y2), (x3, y3) = dots
    assert x1 < x2 < x3 and x2 - x1 == pytest.approx(x3 - x2, abs=0.11)
    assert y1 < y2 < y3 and y2 - y1 == pytest.approx(y3 - y2, abs=0.11)  # 1 is the highest; SVG counts downwards
    texts = [node.text for node in drawn([Series("a", ((1.0, 10.0), (2.0, 30.0)))])[0].iter("text")]
    assert {"1", "2", "10", "30", "k", "score"} <= set(texts)


def test_equal_ratios_are_equally_far_apart_on_a_logarithmic_axis():
    _, dots = drawn([Series("a", ((16.0, 1.0), (64.0, 2.0), (256.0, 3.0)))], log_x=True)
    assert dots[1][0] - dots[0][0] == pytest.approx(dots[2][0] - dots[1][0], abs=0.11)


def test_a_level_is_drawn_across_at_its_height():
    figure, dots = drawn([Series("a", ((1.0, 10.0), (2.0, 30.0)), level=10.0)])
    (level,) = (line for line in figure.iter("line") if line.get("class") == "level s0")
    assert float(level.get("y1")) == float(level.get("y2")) == dots[0][1]


def test_a_single_point_and_many_series_are_drawn():
    figure, dots = drawn([Series(f"s{i}", ((5.0, 7.0),)) for i in range(N_COLOURS + 1)])
    assert len(dots) == N_COLOURS + 1 and len({dot for dot in dots}) == 1
    assert [line.get("class") for line in figure.iter("polyline")][-1] == "line s0 again"
    assert len(list(figure.iter("li"))) == N_COLOURS + 1


def test_names_are_text_and_every_point_tells_its_values():
    figure, _ = drawn([Series('<b> & "c"', ((1.0, 2.5),))])
    assert next(figure.iter("title")).text == '<b> & "c": 1, 2.50'
    assert '<b> & "c"' in figure.find("svg").get("aria-label")


@pytest.mark.parametrize(
    ("series", "options", "message"),
    [
        ([], {}, "at least one series"),
        ([Series("a", ())], {}, "at least one point"),
        ([Series("a", ((1.0, float("nan")),))], {}, "not finite"),
        ([Series("a", ((1.0, 2.0),), level=float("inf"))], {}, "not finite"),
        ([Series("a", ((0.0, 2.0),))], {"log_x": True}, "logarithmic"),
    ],
)
def test_what_has_no_place_is_refused(series, options, message):
    with pytest.raises(ValueError, match=message):
        line_chart(series, x_label="x", y_label="y", **options)


@pytest.mark.parametrize(
    "bounds", [(0.0, 1.0), (-3.2, 4.7), (55.8, 71.2), (1e-4, 3e-4), (12345.0, 98765.0), (5.0, 5.0)]
)
def test_ticks_enclose_the_values_evenly(bounds):
    ticks = round_ticks(*bounds)
    steps = [b - a for a, b in itertools.pairwise(ticks)]
    assert ticks[0] <= bounds[0] and bounds[1] <= ticks[-1] and 3 <= len(ticks) <= 12
    assert steps == pytest.approx([steps[0]] * len(steps))


def test_a_page_holds_all_that_it_shows_and_escapes_text():
    class Tags(HTMLParser):
        def __init__(self):
            super().__init__()
            self.found = []

        def handle_starttag(self, tag, attributes):
            self.found.append((tag, dict(attributes)))

    html = page.page(
        "A <title>",
        [
            page.paragraph("x < y & z"),
            page.section("Head & more", page.table(("name", "n"), [("<i>", "1"), ("b", "\u22122")])),
            line_chart([Series("a", ((1.0, 2.0),))], x_label="x", y_label="y"),
        ],
    )
    tags = Tags()
    tags.feed(html)
    assert not [value for _, attributes in tags.found for key, value in attributes.items() if key in ("src", "href")]
    assert not re.search(r"https?://|@import|url\(", html)
    assert "A &lt;title&gt;" in html and "x &lt; y &amp; z" in html and "<td>&lt;i&gt;</td>" in html
    names = [tag for tag, _ in tags.found]
    assert names.count("table") == names.count("h1") == 1
    assert names.count("svg") == 2  # the chart, and the mark of its legend
    colours = set(re.findall(r"var\(--(\w+)\)", html))
    light, dark = html.split("prefers-color-scheme: dark")[0], html.split("prefers-color-scheme: dark")[1]
    assert all(f"--{name}:" in light and f"--{name}:" in dark for name in colours)
