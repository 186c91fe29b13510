"""What `sentemb postprocess` tells: progress, warnings, tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from sentemb.cli.console import errors_console
from sentemb.cli.progress import ChangingLine

if TYPE_CHECKING:
    from sentemb.evaluation.table import TextTable
    from sentemb.postprocess.flow_fit import FlowEpoch
    from sentemb.recipe.corpus_texts import CorpusTexts
    from sentemb.recipe.measure_postprocess import Measured


def say(line: str) -> None:
    """One line on stderr."""
    errors_console().print(line, markup=False, highlight=False, soft_wrap=True)


def warn_of_overlap(texts: CorpusTexts) -> set[str]:
    """Tells which STS-B splits are in the texts fitted on, but for a few sentences; gives those."""
    warnings = texts.overlap_warnings()
    for warning in warnings.values():
        say(f"warning: {warning}")
    return set(warnings)


def notes(texts: CorpusTexts, overlap: set[str]) -> tuple[str, ...]:
    """What a reader must know of the figures."""
    from sentemb.recipe.measure_postprocess import MIN_DESCRIBED

    n = len(texts.held_out)
    space = f"The space: {n:,} held-out texts that nothing was fitted on; compare figures of one number of texts only."
    if n < MIN_DESCRIBED:
        space = f"No figures of the space: {n} texts were held out, and {MIN_DESCRIBED} are needed."
    seen = "STS-B dev is in part text that was fitted on (see the warning)." if "stsb-dev" in overlap else ""
    empty = f"{texts.n_empty:,} empty texts were left out." if texts.n_empty else ""
    return tuple(note for note in (space, seen, empty) if note)


def difference(state: Measured) -> str:
    """The difference to the first state, with its interval; empty for the first."""
    if state.difference is None:
        return ""
    low, high = state.difference.interval95
    return f"{100 * state.difference.value:+.2f}, 95 % interval {100 * low:+.2f} to {100 * high:+.2f}"


_FIGURES = {
    "mean_cosine": ("mean cosine", "of all pairs; 0 is isotropic"),
    "isoscore": ("IsoScore", "0 (one axis) to 1 (equal variance on all)"),
    "effective_rank": ("effective rank", "1 to the width, or the texts"),
    "centred_effective_rank": ("  mean removed", "the same of the rows less their mean"),
    "hubness": ("hubness", "skewness of the 10-occurrences; about 0 without hubs"),
    "uniformity": ("uniformity", "-8 to 0; lower is more even"),
    "length_correlation": ("length bias", "of cosine with the difference in words; 0 is none"),
    "frequency_neighbour_distance": ("frequency bias", "of distance to the nearest with word frequency; 0 is none"),
}


def _figure(state: Measured, name: str) -> str:
    value = getattr(state.space, name)
    if value is None:
        return "–"
    return f"{value:.1f}" if "rank" in name else f"{value:.3f}"


def before_and_after(title: str, before: Measured, after: Measured, notes: tuple[str, ...]) -> TextTable:
    """A figure a row."""
    from sentemb.evaluation.table import TableRow, TextTable

    score = f"Spearman × 100 ({difference(after)})"
    rows = [
        TableRow(("STS-B dev", f"{before.stsb_dev:.2f}", f"{after.stsb_dev:.2f}", score)),
        TableRow(("width", str(before.width), str(after.width), "of the embeddings")),
        TableRow(
            ("alignment", f"{before.alignment:.3f}", f"{after.alignment:.3f}", "of STS-B dev's near pairs; 0 to 4")
        ),
    ]
    if before.space and after.space:
        rows += [
            TableRow((heading, _figure(before, name), _figure(after, name), meaning))
            for name, (heading, meaning) in _FIGURES.items()
        ]
    return TextTable(title, ("Figure", "before", "after", "What it is"), (tuple(rows),), notes)


def ranking(title: str, ranked: Sequence[Measured], notes: tuple[str, ...]) -> TextTable:
    """A state of the embeddings a row."""
    from sentemb.evaluation.table import TableRow, TextTable

    figures = ("mean_cosine", "isoscore", "effective_rank", "hubness") if ranked[0].space else ()
    rows = tuple(
        TableRow(
            (
                state.name,
                str(state.width),
                f"{state.stsb_dev:.2f}",
                *(_figure(state, name) for name in figures),
                difference(state),
            )
        )
        for state in ranked
    )
    columns = ("Embeddings", "width", "STS-B dev", *(_FIGURES[name][0] for name in figures), "Against as it is")
    return TextTable(title, columns, (rows,), notes)


def tell_epoch(epoch: FlowEpoch) -> None:
    """One line on an epoch of a flow."""
    say(f"flow: epoch {epoch.epoch}, {epoch.held_out_bits:.4f} bits per dimension on rows held out of training")


@contextmanager
def progress(console: Console, doing: str = "loading the texts") -> Iterator[Callable[[int], None]]:
    """Shows that work goes on; gives what is to hear how many texts are encoded."""
    with ChangingLine(console, doing) as line:
        yield lambda n_read: line(f"{n_read:,} texts encoded")
