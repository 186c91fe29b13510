"""Learning curves: what was logged, each figure in its panel, long logs thinned without bias."""

from __future__ import annotations

import json
import math
from xml.etree import ElementTree

import pytest

from sentemb.recipe.report import MOST_POINTS, curves, read_metrics


def panels(lines):
    """y label → series → points as drawn, in pixels."""
    found = {}
    for html in curves(lines):
        figure = ElementTree.fromstring(html)
        label = next(text.text for text in figure.iter("text") if text.get("transform"))
        names = [item.find("svg").tail for item in figure.iter("li")]
        drawn = [
            [tuple(map(float, point.split(","))) for point in line.get("points").split()]
            for line in figure.iter("polyline")
        ]
        found[label] = dict(zip(names, drawn, strict=True))
    return found


def test_each_figure_has_its_panel_and_every_step_its_point():
    lines = [
        {"step": 1, "loss": 3.0, "masked_lm": 2.0, "spread": 0.9, "train_batch_accuracy": 0.5, "learning_rate": 1e-3},
        {"step": 2, "loss": 2.0, "masked_lm": 1.5, "spread": 0.8, "train_batch_accuracy": 0.6, "grad_norm": 4.0},
        {"step": 2, "epoch": 1.0, "eval_stsb_dev_spearman": 70.0},
    ]
    found = panels(lines)
    assert {label: list(series) for label, series in found.items()} == {
        "loss": ["loss", "masked_lm"],
        "dev score": ["stsb_dev_spearman"],
        "from 0 to 1": ["spread", "train_batch_accuracy"],
        "learning rate": ["learning_rate"],
        "gradient norm": ["grad_norm"],
    }
    (x1, y1), (x2, y2) = found["loss"]["loss"]
    assert x1 < x2 and y1 < y2  # falls; SVG counts downwards
    assert found["loss"]["masked_lm"][0] == (x1, y2)  # 2.0 at step 1 is as high as 2.0 at step 2


def test_the_only_part_of_a_loss_is_not_drawn_over_it():
    lines = [{"step": n, "loss": 1.0 / n, "contrastive": 1.0 / n + 1e-9, "other": 0.5} for n in (1, 2)]
    assert list(panels(lines)["loss"]) == ["loss", "other"]


def test_what_is_not_finite_is_left_out():
    lines = [{"step": 1, "loss": 2.0, "grad_norm": math.nan}, {"step": 2, "loss": 1.0, "grad_norm": math.inf}]
    assert list(panels(lines)) == ["loss"] and curves([]) == []


@pytest.mark.parametrize("n", [MOST_POINTS, MOST_POINTS + 1, 5 * MOST_POINTS])
def test_long_logs_are_means_of_neighbours(n):
    points = panels([{"step": step, "loss": float(step % 2)} for step in range(n)])["loss"]["loss"]
    k = math.ceil(n / MOST_POINTS)
    assert len(points) == math.ceil(n / k) <= MOST_POINTS
    if k == 5:  # 0 1 0 1 0, then 1 0 1 0 1: means 0.4 and 0.6 of a y from 0.4 to 0.6
        (html,) = curves([{"step": step, "loss": float(step % 2)} for step in range(n)])
        texts = {text.text for text in ElementTree.fromstring(html).iter("text")}
        assert {"0.4", "0.6"} <= texts and not {"0", "1"} & texts
        assert points[0][1] > points[1][1] and {y for _, y in points} == {points[0][1], points[1][1]}


def test_a_metrics_file_is_read_line_by_line(tmp_path):
    file = tmp_path / "metrics.jsonl"
    assert read_metrics(file) == []
    lines = [{"step": 1, "loss": 2.0}, {"step": 2, "eval_x": 3.0}]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_metrics(file) == lines
