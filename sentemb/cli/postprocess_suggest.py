"""`sentemb postprocess --suggest`: every linear kind tried on a sample, STS-B dev as the judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from sentemb.cli.console import errors_console, print_json, results_console
from sentemb.cli.postprocess_tables import before_and_after, difference, notes, progress, ranking, say, warn_of_overlap
from sentemb.errors import DataError

if TYPE_CHECKING:
    from sentemb.evaluation.table import TextTable
    from sentemb.recipe.corpus_texts import CorpusTexts
    from sentemb.recipe.measure_postprocess import Measured
    from sentemb.recipe.postprocess import LinearConfig

AS_IT_IS = "as it is"
_SIZES = (32, 64, 128, 256, 512)


def encoded(texts: CorpusTexts, base: Any, tell: Callable[[int], None]) -> Iterator[Any]:
    """The embeddings of the texts to fit on, block by block; `tell` hears how many texts were read."""
    for block in texts.blocks():
        yield base(block)
        tell(texts.n_read)


def same(embeddings: Any) -> Any:
    """The embeddings as they are."""
    return embeddings


def measure_states(base: Any, transforms: dict[str, Any], texts: CorpusTexts, data: Path | None) -> list[Measured]:
    """Each transform of the same embeddings, measured, with a sign of life."""
    from sentemb.recipe.measure_postprocess import measure

    with progress(errors_console(), "measuring"):
        return measure(base, transforms, texts.held_out, data_dir=data)


def suggest_one(
    base: Any,
    width: int,
    texts: CorpusTexts,
    data: Path | None,
    *,
    command: str,
    report: Path | None,
    as_json: bool,
) -> None:
    """Fits every linear kind on a sample and prints them by STS-B dev, with one sentence of advice.

    `report` names a page to write, with the same table and STS-B dev against the dimensions that whitening keeps.
    """
    from sentemb.postprocess.moments import Moments
    from sentemb.recipe.build_postprocess import fit_moments

    moments = Moments(width)
    with progress(errors_console()) as tell:
        for block in encoded(texts, base, tell):
            moments.update(block)
    transforms: dict[str, Any] = {AS_IT_IS: same}
    tried = _candidates(moments)
    for name, (_, config) in tried.items():
        try:
            transforms[name] = fit_moments(config, moments).transform
        except DataError as error:
            say(f"{name} is left out. {error}")
    measured = measure_states(base, transforms, texts, data)
    overlap = warn_of_overlap(texts)
    ranked = sorted(measured, key=lambda state: -state.stsb_dev)
    sentence = recommendation(ranked)
    title = f"Fitted on {texts.n_fitted:,} texts, sorted by STS-B dev (Spearman × 100)"
    table = ranking(title, ranked, notes(texts, overlap))
    if report is not None:
        from sentemb.cli.postprocess_report import write_report

        write_report(report, command, table, measured, sentence)
        say(f"The page is in {report}")
    if as_json:
        print_json({"candidates": [state.to_json() for state in ranked], "recommendation": sentence})
    else:
        results_console().print(table)
        if len(ranked) > 1:
            results_console().print(_closer_look(ranked))
        typer.echo(sentence)
    if sentence.startswith("Take"):
        say(f"Next: {command} {tried[ranked[0].name][0]} --output DIR")


def _closer_look(ranked: Sequence[Measured]) -> TextTable:
    """All figures of the embeddings as they are beside those of the best treatment."""
    as_it_is = next(state for state in ranked if state.difference is None)
    best = next(state for state in ranked if state.difference is not None)
    return before_and_after(f"As it is, and after {best.name}", as_it_is, best, ())


def _candidates(moments: Any) -> dict[str, tuple[str, LinearConfig]]:
    """Name → the options that make it, and its settings."""
    from sentemb.recipe.build_postprocess import n_varying
    from sentemb.recipe.postprocess import CommonComponentsConfig, StandardiseConfig, WhiteningConfig

    most = n_varying(moments)
    sizes = [size for size in _SIZES if size < most]
    if moments.count > moments.width:  # fewer texts than dimensions: they would all be equally far apart
        sizes.append(most)
    found: dict[str, tuple[str, LinearConfig]] = {
        f"whitening {size}": (f"--kind whitening --dim {size}", WhiteningConfig(kind="whitening", n_components=size))
        for size in sizes
    }
    found["standardise"] = ("--kind standardise", StandardiseConfig(kind="standardise"))
    found["common components"] = ("--kind common_components", CommonComponentsConfig(kind="common_components"))
    return found


def recommendation(ranked: Sequence[Measured]) -> str:
    """One sentence on what to do, and one on what the figures are worth.

    Args:
        ranked: by STS-B dev, the best first, the embeddings as they are among them.
    """
    best = ranked[0]
    as_it_is = next(state for state in ranked if state.difference is None)
    if best.difference is None:
        return f"Leave it as it is: with {best.stsb_dev:.2f} on STS-B dev it is the best of all {len(ranked)}."
    figures = f"{best.stsb_dev:.2f} on STS-B dev against {as_it_is.stsb_dev:.2f} as it is ({difference(best)})"
    if best.difference.interval95.low <= 0.0:
        return f"Leave it as it is: the best, {best.name}, has {figures}, which is within chance."
    flattered = f"The best of {len(ranked)} on a set is flattered there: report a test set's score."
    return f"Take {best.name}: {figures}. {flattered}"
