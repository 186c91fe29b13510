"""The page that `sentemb postprocess --suggest --report FILE` writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sentemb.evaluation.table import TextTable
    from sentemb.recipe.measure_postprocess import Measured


def write_report(file: Path, command: str, table: TextTable, states: Sequence[Measured], sentence: str) -> None:
    """Writes the advice, the table, and STS-B dev against the dimensions that whitening keeps.

    Args:
        file: where to.
        command: what was tried, as it can be run again.
        table: the states by their score.
        states: the same, the embeddings as they are first.
        sentence: the advice.

    Raises:
        OutputError: the file can't be written.
    """
    from sentemb.evaluation import page
    from sentemb.saving import write_text

    kept = tuple((state.width, state.stsb_dev) for state in states if state.name.startswith("whitening"))
    rows = [row.cells for section in table.sections for row in section]
    sections = [
        page.paragraph(sentence),
        page.section("What was tried", page.table(table.columns, rows), *map(page.paragraph, table.notes)),
        *([] if not kept else [_sweep(kept, states[0].stsb_dev)]),
        page.section("The command", page.paragraph(f"{command} --suggest")),
    ]
    write_text(file, page.page(table.title, sections))


def _sweep(kept: tuple[tuple[float, float], ...], as_it_is: float) -> str:
    from sentemb.evaluation import page
    from sentemb.evaluation.charts import Series, line_chart

    series = [Series("whitening", kept, level=as_it_is)]
    chart = line_chart(series, x_label="dimensions kept", y_label="STS-B dev, Spearman × 100", log_x=True)
    return page.section("How many dimensions", chart, page.paragraph("Dotted: the embeddings as they are."))
