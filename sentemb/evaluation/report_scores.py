"""The sections of a report that are about scores: table, differences, predicted against gold, worst errors, biases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

from sentemb.evaluation import page
from sentemb.evaluation.charts import histogram
from sentemb.evaluation.page import Cell, Section
from sentemb.evaluation.reference import ReferenceRow
from sentemb.evaluation.scatter import density_chart
from sentemb.evaluation.scores import Comparison, ModelScores, Scores
from sentemb.evaluation.space_view import extremes
from sentemb.evaluation.sts import Aggregation, TaskScore
from sentemb.evaluation.table import score_table
from sentemb.metrics.bias import length_correlation, overlap_correlation

Array = np.ndarray[Any, np.dtype[Any]]

_SPLITS = ("dev", "test")
_BIASES = ("Shared words", "Difference in length")


def scores_section(scores: Scores, aggregation: Aggregation, references: Sequence[ReferenceRow]) -> Section:
    """Spearman × 100 with intervals, published rows, and what each further model has more than the first."""
    as_text = score_table(scores, aggregation, references)
    averaged = [split for split in _SPLITS if scores.models[0].average(split, aggregation) is not None]
    header = as_text.columns
    rows = [_model_row(model, aggregation, averaged) for model in scores.models]
    rows += [_published_row(row, scores.models[0], aggregation, averaged) for row in references]
    parts = [page.paragraph(as_text.title + "."), page.table(header, rows, {0: "text", len(header) - 1: "text"})]
    told = ["Second line: the 95 % bootstrap interval over the pairs, which says nothing of other seeds."]
    if references:
        told.append(f"Second line of published rows: their difference from {scores.models[0].name}.")
    told += [note for note in as_text.notes if not note.startswith("95 %:")]
    parts += [page.paragraph(note, faint=True) for note in told]
    if len(scores.models) > 1:
        parts += _differences(scores)
    return Section("scores", "Scores", tuple(parts))


def pairs_section(scores: Scores) -> Section:
    """Per task and model: similarity against gold, and the similarities of positive and negative pairs."""
    how = (
        "Left: each pair's similarity against its gold score, each panel on a scale of its own; with more than 400 "
        "pairs, the darker a cell the more pairs lie in it. Right: similarities of positive pairs (gold in the top "
        "fifth of its range, as above 4 of 0 to 5) and of negative pairs (in the bottom fifth); the less the two "
        "overlap, the better."
    )
    folded = [
        page.details(
            score.pairs.task.title,
            *(page.panels(*_pair_panels(model, number, place)) for place, model in enumerate(scores.models)),
            opened=number == 0,
        )
        for number, score in enumerate(scores.models[0].tasks)
    ]
    return Section("pairs", "Predicted against gold", (page.paragraph(how), *folded))


def errors_section(scores: Scores, n_errors: int) -> Section:
    """The pairs of each task whose rank by similarity is furthest from that by gold score.

    Args:
        scores: at least one model.
        n_errors: how many of each task and model.
    """
    how = (
        "Ranks run from 0 (lowest of the task) to 100 (highest); ties share their mean rank. Error is the rank by "
        "similarity less that by gold: above 0 the model takes the two sentences as too similar."
    )
    folded = [
        page.details(
            f"{score.pairs.task.title}: {model.name}", _errors_table(score, n_errors), opened=place == number == 0
        )
        for number in range(len(scores.models[0].tasks))
        for place, (model, score) in enumerate((model, model.tasks[number]) for model in scores.models)
    ]
    return Section("errors", "Worst errors", (page.paragraph(how), *folded))


def bias_section(scores: Scores) -> Section:
    """What similarities and gold scores go with besides meaning: shared words and length, over each task's pairs."""
    how = (
        "Spearman correlations, from −1 to 1, over the pairs of each task. A model whose figure is further from 0 than "
        "that of the gold scores leans on words or length more than people do."
    )
    parts = [page.paragraph(how)]
    of_bias = (overlap_correlation, length_correlation)
    meanings = ("with the Jaccard index of the two word sets", "with how many words one text has more")
    tasks = scores.models[0].tasks
    for name, meaning, correlation in zip(_BIASES, meanings, of_bias, strict=True):
        gold = [_correlation(correlation, score, score.pairs.gold) for score in tasks]
        rows: list[list[str | Cell]] = [
            [Cell("Gold scores", faint=True), *(Cell(figure, faint=True) for figure in gold)]
        ]
        rows += [
            [model.name, *(_correlation(correlation, score, score.similarities) for score in model.tasks)]
            for model in scores.models
        ]
        parts += [
            page.heading(f"{name}: {meaning}"),
            page.table(("Model", *(score.pairs.task.title for score in tasks)), rows, {0: "text"}),
        ]
    return Section("bias", "Words and length", tuple(parts))


def rank_percentages(values: Array) -> Array:
    """(N,) ranks from 0 (lowest) to 100 (highest), ties at their mean; a single value has 0.

    >>> rank_percentages(np.array([5.0, 1.0, 1.0, 9.0, 7.0])).tolist()
    [50.0, 12.5, 12.5, 100.0, 75.0]
    """
    ranks: Array = 100.0 * (rankdata(values) - 1.0) / max(len(values) - 1, 1)
    return ranks


def _model_row(model: ModelScores, aggregation: Aggregation, averaged: Sequence[str]) -> list[str | Cell]:
    figures = [
        Cell(
            f"{score.spearman[aggregation]:.2f}",
            "{:.1f} to {:.1f}".format(*score.interval95)
            if aggregation == "all" or not score.pairs.task.has_subsets
            else "",
        )
        for score in model.tasks
    ]
    averages = [f"{model.average(split, aggregation):.2f}" for split in averaged]
    return [model.name, *figures, *averages, model.pooling or ""]


def _published_row(
    row: ReferenceRow, first: ModelScores, aggregation: Aggregation, averaged: Sequence[str]
) -> list[str | Cell]:
    figures = [
        _published_figure(row.scores.get(score.pairs.task.name), row.sd.get(score.pairs.task.name), score, aggregation)
        for score in first.tasks
    ]
    names = {split: [s.pairs.task.name for s in first.tasks if s.pairs.task.split == split] for split in averaged}
    averages = [row.average_over(names[split]) for split in averaged]
    shown = ("" if average is None else f"{average:.2f}" for average in averages)
    return [Cell(row.name, faint=True), *figures, *(Cell(text, faint=True) for text in (*shown, row.source))]


def _published_figure(value: float | None, sd: float | None, score: TaskScore, aggregation: Aggregation) -> Cell:
    if value is None:
        return Cell("", faint=True)
    spread = "" if sd is None else f"± {sd:.2f}, "
    return Cell(f"{value:.2f}", f"{spread}{value - score.spearman[aggregation]:+.2f}", faint=True)


def _differences(scores: Scores) -> list[str]:
    tasks = [score.pairs.task for score in scores.models[0].tasks]
    n = len(tasks)
    grouped = [scores.comparisons[start : start + n] for start in range(0, len(scores.comparisons), n)]
    rows: list[list[str | Cell]] = [[group[0].model, *map(_difference, group)] for group in grouped]
    how = "Second line: 95 % interval and two-sided p of the paired bootstrap over pairs, aggregation all."
    return [
        page.heading(f"Difference from {scores.models[0].name}"),
        page.table(("Model", *(task.title for task in tasks)), rows, {0: "text"}),
        page.paragraph(how, faint=True),
    ]


def _difference(comparison: Comparison) -> Cell:
    low, high = (100 * bound for bound in comparison.difference.interval95)
    p = comparison.difference.p_value
    told = f"p {p:.3f}" if p >= 0.01 else "p < 0.01"
    return Cell(f"{100 * comparison.difference.value:+.2f}", f"{low:+.1f} to {high:+.1f}, {told}")


def _pair_panels(model: ModelScores, task: int, number: int) -> tuple[str, str]:
    score = model.tasks[task]
    gold, similarities = score.pairs.gold, score.similarities
    positive, negative = extremes(score.pairs)
    spearman = f"Spearman × 100: {score.spearman['all']:.2f}"
    return (
        density_chart(
            gold,
            similarities,
            x_label="gold score",
            y_label="similarity",
            caption=f"{model.name}. {spearman}, {len(gold):,} pairs",
            number=number,
        ),
        histogram(
            [("positive pairs", similarities[positive]), ("negative pairs", similarities[negative])],
            x_label="similarity",
            caption=model.name,
        )
        if (positive | negative).any()
        else page.paragraph("No pair has a gold score in the top or bottom fifth of its range.", faint=True),
    )


def _errors_table(score: TaskScore, n_errors: int) -> str:
    pairs = score.pairs
    by_gold, by_similarity = rank_percentages(pairs.gold), rank_percentages(score.similarities)
    errors = by_similarity - by_gold
    worst = np.argsort(-np.abs(errors), kind="stable")[:n_errors]
    rows = [
        (
            f"{errors[row]:+.0f}",
            pairs.first[row],
            pairs.second[row],
            Cell(f"{pairs.gold[row]:g}", f"rank {by_gold[row]:.0f}"),
            Cell(f"{score.similarities[row]:.3f}", f"rank {by_similarity[row]:.0f}"),
        )
        for row in worst.tolist()
    ]
    header = ("Error", "First sentence", "Second sentence", "Gold", "Similarity")
    return page.table(header, rows, {1: "sentences", 2: "sentences"})


def _correlation(correlation: Callable[..., float | None], score: TaskScore, values: Array) -> str:
    found = correlation(values, score.pairs.first, score.pairs.second) if len(values) > 1 else None
    return "" if found is None else f"{found:.3f}"
