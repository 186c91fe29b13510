"""`sentemb postprocess`."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sentemb.cli.console import empty_folder, errors_console, print_json, quiet_libraries, results_console
from sentemb.corpus.settings import Device, EncodeSettings
from sentemb.errors import ConfigError, DataError, OutputError
from sentemb.types import Pooler

if TYPE_CHECKING:
    from sentemb.evaluation.table import TextTable
    from sentemb.postprocess.flow_fit import FlowEpoch
    from sentemb.recipe.build_postprocess import CorpusTexts, Fitted, Measured
    from sentemb.recipe.postprocess import LinearConfig

_SAMPLE = 5000  # texts that --suggest reads
_A_FEW = 5  # sentences of STS-B that a corpus may hold by chance
_AS_IT_IS = "as it is"
_SECONDS_BETWEEN_LINES = 10.0


def postprocess(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help='A folder, a run folder, a hub name or "bundled:mini".')
    ],
    corpus: Annotated[
        str,
        typer.Option(
            "--corpus",
            help="Texts to learn from: a file (txt, jsonl, csv, tsv, parquet, .gz), glob, folder, bundled:wiki, "
            "data:PATH, hf://… or -. Empty texts are left out.",
        ),
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The folder to write; new or empty.")] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help="whitening, standardise, common_components or flow.")
    ] = None,
    dim: Annotated[
        int | None,
        typer.Option(
            "--dim",
            help="Dimensions that whitening keeps. (default: 256 of wider embeddings, else all that vary: one less "
            "than the width after a layer norm)",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Another setting, repeatable. whitening: shrinkage, eigenvalue_floor, form, ddof. standardise: "
            "variance_floor, ddof. common_components: n_removed. flow: preset (released, paper: its architecture), "
            "epochs, patience, batch_size, learning_rate, seed and more.",
        ),
    ] = None,
    suggest: Annotated[
        bool, typer.Option("--suggest", help="Write nothing: try the linear kinds on a sample and say which is best.")
    ] = False,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help='A column of texts; repeatable. (default: "text", or the only one)'),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Read so many texts. (default: all; 5000 with --suggest)")
    ] = None,
    held_out: Annotated[
        int,
        typer.Option(
            "--held-out", min=0, help="Texts kept from the fit to measure the space on; at most a tenth. 0: fit on all."
        ),
    ] = 2000,
    data: Annotated[
        Path | None, typer.Option("--data", envvar="SENTEMB_DATA", help='The folder that "data:" stands for.')
    ] = None,
    pooling: Annotated[
        Pooler | None, typer.Option("--pooling", help="Read out with this. (default: as saved; mean for a raw encoder)")
    ] = None,
    device: Annotated[Device, typer.Option("--device", help="Where to encode.")] = "auto",
    batch_tokens: Annotated[
        int, typer.Option("--batch-tokens", min=1, help="Padded tokens the encoder sees at once, at most.")
    ] = EncodeSettings().batch_tokens,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Take the place of an earlier result of this command in --output.")
    ] = False,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Let a model run code of its own.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Make embeddings less crowded, without training the encoder: whitening and its kin, learnt from plain texts.

    Writes the encoder with the post-processor behind it, checked by opening it again, and postprocess.json (settings,
    corpus, figures). Plain sentence-transformers opens it; one with a flow needs trust_remote_code=True and sentemb
    installed. The new vectors have other lengths than before: compare them by cosine.

    The linear kinds stream the corpus in flat memory. A flow keeps all vectors: 4 bytes x texts x width, 3 GB for a
    million of 768; --limit bounds it.

    It helps some encoders and harms others, and the corpus decides too: learn from texts like those you will compare,
    and begin with --suggest. The judge is STS-B dev: English, and no substitute for a test on your own task.

    Example: sentemb postprocess bundled:mini --kind whitening --corpus bundled:wiki --output whitened
    """
    from sentemb.recipe.postprocess import read_postprocess

    chosen = [name for name, given in (("--kind", kind), ("--dim", dim), ("--set", settings)) if given]
    if suggest and (chosen or output):
        option = [*chosen, "--output"][0]
        raise ConfigError(option, "can't be used with --suggest, which tries all and writes nothing", "Leave it out")
    if not suggest and (kind is None or output is None):
        option = "--kind" if kind is None else "--output"
        raise ConfigError(option, "is missing", "Name it, or use --suggest to see what would help")
    config = read_postprocess(kind, settings or [], dim=dim) if kind is not None else None
    if output is not None:
        _check_output(output, overwrite)
    from sentemb.data.sources import find_data_dir, resolve

    resolve(corpus, find_data_dir(data))  # a slip is told before torch is loaded
    quiet_libraries()
    from functools import partial

    from sentemb.embedding import embed, find_device
    from sentemb.encoder import load
    from sentemb.recipe import build_postprocess as build

    found_device = find_device(device)
    encoder = load(model, pooling, trust_remote_code=trust_remote_code)
    width = encoder.get_embedding_dimension()
    if config is not None:
        build.check_width(config, width)
    base = partial(embed, encoder.to(found_device), max_tokens_per_batch=batch_tokens)
    limit = limit or (_SAMPLE if suggest else None)
    texts = build.CorpusTexts(corpus, column or [], limit=limit, held_out=held_out, data_dir=data)
    if config is None or output is None:
        options = [*(word for name in column or [] for word in ("--column", name))]
        options += ["--pooling", pooling] if pooling else []
        command = shlex.join(["sentemb", "postprocess", model, "--corpus", corpus, *options])
        _suggest(base, width, texts, data, command=command, as_json=as_json)
        return
    with _progress(errors_console()) as tell:
        fitted = build.fit(config, width, _encoded(texts, base, tell), on_epoch=_tell_epoch)
    before, after = _measure(base, {"before": _same, "after": fitted.transform}, texts, data)
    overlap = _warn_of_overlap(texts)
    record = _record(texts, fitted, corpus, data, column=column or [], limit=limit) | {
        "model": model,
        "pooling": pooling,
        "settings": config.model_dump(),
        "before": before.to_json(),
        "after": after.to_json(),
    }
    checks = build.save(encoder, fitted, output, record, texts.first)
    if as_json:
        print_json(record | {"output": str(output), "checks": checks})
    else:
        title = f"{config.kind}, fitted on {texts.n_fitted:,} texts of {corpus}"
        results_console().print(_before_and_after(title, before, after, _notes(texts, overlap)))
    if config.kind == "flow":
        checks = [
            *checks,
            "Plain sentence-transformers opens it with trust_remote_code=True and sentemb installed only",
        ]
    for line in (*checks, f"The encoder is in {output}"):
        _say(line)


# ------------------------------------------------------------------------------------------------ before
def _check_output(output: Path, overwrite: bool) -> None:
    """A new or empty folder, or with `overwrite` one that this command wrote."""
    from sentemb.recipe.postprocess import RECORD

    there = next(path for path in (output, *output.absolute().parents) if path.exists())
    if not there.is_dir():
        raise OutputError(str(there), "is a file, not a folder", "Name a new folder with --output")
    if not (output / RECORD).is_file():
        empty_folder(output)
    elif not overwrite:
        problem = "the folder is not empty: it holds an earlier result of sentemb postprocess"
        raise OutputError(str(output), problem, "Name a new folder with --output, or use --overwrite")


def _encoded(texts: CorpusTexts, base: Any, tell: Callable[[int], None]) -> Iterator[Any]:
    for block in texts.blocks():
        yield base(block)
        tell(texts.n_read)


def _same(embeddings: Any) -> Any:
    return embeddings


def _measure(base: Any, transforms: dict[str, Any], texts: CorpusTexts, data: Path | None) -> list[Measured]:
    from sentemb.recipe.build_postprocess import measure

    with _progress(errors_console(), "measuring"):
        return measure(base, transforms, texts.held_out, data_dir=data)


def _record(
    texts: CorpusTexts, fitted: Fitted, corpus: str, data: Path | None, *, column: list[str], limit: int | None
) -> dict[str, Any]:
    """What was fitted, on what."""
    from sentemb import __version__
    from sentemb.data.sources import fingerprint

    return {
        "sentemb": __version__,
        "corpus": fingerprint(corpus, data) | {"columns": column, "limit": limit},
        "n_texts": texts.n_read,
        "n_fitted": texts.n_fitted,
        "n_held_out": len(texts.held_out),
        "n_empty": texts.n_empty,
        "overlap": {task: {"found": found, "of": total} for task, (found, total) in texts.overlap().items()},
        "learnt": fitted.learnt,
    }


# ------------------------------------------------------------------------------------------------ suggest
def _suggest(base: Any, width: int, texts: CorpusTexts, data: Path | None, *, command: str, as_json: bool) -> None:
    from sentemb.postprocess.moments import Moments
    from sentemb.recipe.build_postprocess import fit_moments

    moments = Moments(width)
    with _progress(errors_console()) as tell:
        for block in _encoded(texts, base, tell):
            moments.update(block)
    transforms: dict[str, Any] = {_AS_IT_IS: _same}
    tried = _candidates(moments)
    for name, (_, config) in tried.items():
        try:
            transforms[name] = fit_moments(config, moments).transform
        except DataError as error:
            _say(f"{name} is left out. {error}")
    measured = _measure(base, transforms, texts, data)
    overlap = _warn_of_overlap(texts)
    ranked = sorted(measured, key=lambda state: -state.stsb_dev)
    sentence = recommendation(ranked)
    if as_json:
        print_json({"candidates": [state.to_json() for state in ranked], "recommendation": sentence})
    else:
        title = f"Fitted on {texts.n_fitted:,} texts, sorted by STS-B dev (Spearman × 100)"
        results_console().print(_ranking(title, ranked, _notes(texts, overlap)))
        typer.echo(sentence)
    if sentence.startswith("Take"):
        _say(f"Next: {command} {tried[ranked[0].name][0]} --output DIR")


def _candidates(moments: Any) -> dict[str, tuple[str, LinearConfig]]:
    """Name → the options that make it, and its settings."""
    from sentemb.recipe.build_postprocess import n_varying
    from sentemb.recipe.postprocess import CommonComponentsConfig, StandardiseConfig, WhiteningConfig

    most = n_varying(moments)
    sizes = [size for size in (64, 128, 256) if size < most]
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
    figures = f"{best.stsb_dev:.2f} on STS-B dev against {as_it_is.stsb_dev:.2f} as it is ({_difference(best)})"
    if best.difference.interval95.low <= 0.0:
        return f"Leave it as it is: the best, {best.name}, has {figures}, which is within chance."
    flattered = f"The best of {len(ranked)} on a set is flattered there: report a test set's score."
    return f"Take {best.name}: {figures}. {flattered}"


# ------------------------------------------------------------------------------------------------ what is said
def _say(line: str) -> None:
    errors_console().print(line, markup=False, highlight=False, soft_wrap=True)


def _warn_of_overlap(texts: CorpusTexts) -> dict[str, tuple[int, int]]:
    """Tells which STS-B splits are in the texts fitted on, but for a few sentences; gives those."""
    overlap = {task: counts for task, counts in texts.overlap().items() if counts[0] > _A_FEW}
    for task, (found, total) in overlap.items():
        held = f"the fit text holds {found:,} of the {total:,} sentences of {task}"
        if 2 * found >= total:
            _say(f"warning: {held}: this is the papers' target setting; label it so")
        else:
            _say(f"warning: {held}: its score there is flattered; leave them out, or say so beside the score")
    return overlap


def _notes(texts: CorpusTexts, overlap: dict[str, tuple[int, int]]) -> tuple[str, ...]:
    from sentemb.recipe.build_postprocess import MIN_DESCRIBED

    n = len(texts.held_out)
    space = f"The space: {n:,} held-out texts that nothing was fitted on; compare figures of one number of texts only."
    if n < MIN_DESCRIBED:
        space = f"No figures of the space: {n} texts were held out, and {MIN_DESCRIBED} are needed."
    seen = "STS-B dev is in part text that was fitted on (see the warning)." if "stsb-dev" in overlap else ""
    empty = f"{texts.n_empty:,} empty texts were left out." if texts.n_empty else ""
    return tuple(note for note in (space, seen, empty) if note)


def _difference(state: Measured) -> str:
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
}


def _figure(state: Measured, name: str) -> str:
    value = float(getattr(state.space, name))
    return f"{value:.1f}" if "rank" in name else f"{value:.3f}"


def _before_and_after(title: str, before: Measured, after: Measured, notes: tuple[str, ...]) -> TextTable:
    from sentemb.evaluation.table import TableRow, TextTable

    score = f"Spearman × 100 ({_difference(after)})"
    rows = [
        TableRow(("STS-B dev", f"{before.stsb_dev:.2f}", f"{after.stsb_dev:.2f}", score)),
        TableRow(("width", str(before.width), str(after.width), "of the embeddings")),
    ]
    if before.space and after.space:
        rows += [
            TableRow((heading, _figure(before, name), _figure(after, name), meaning))
            for name, (heading, meaning) in _FIGURES.items()
        ]
    return TextTable(title, ("Figure", "before", "after", "What it is"), (tuple(rows),), notes)


def _ranking(title: str, ranked: Sequence[Measured], notes: tuple[str, ...]) -> TextTable:
    from sentemb.evaluation.table import TableRow, TextTable

    figures = ("mean_cosine", "isoscore", "effective_rank", "hubness") if ranked[0].space else ()
    rows = tuple(
        TableRow(
            (
                state.name,
                str(state.width),
                f"{state.stsb_dev:.2f}",
                *(_figure(state, name) for name in figures),
                _difference(state),
            )
        )
        for state in ranked
    )
    columns = ("Embeddings", "width", "STS-B dev", *(_FIGURES[name][0] for name in figures), "Against as it is")
    return TextTable(title, columns, (rows,), notes)


def _tell_epoch(epoch: FlowEpoch) -> None:
    _say(f"flow: epoch {epoch.epoch}, {epoch.held_out_bits:.4f} bits per dimension on rows held out of training")


@contextmanager
def _progress(console: Any, doing: str = "loading the texts") -> Iterator[Callable[[int], None]]:
    """A spinner on a terminal; else a plain line every ten seconds."""
    said = time.monotonic()

    def line(n_read: int) -> None:
        nonlocal said
        if time.monotonic() - said >= _SECONDS_BETWEEN_LINES:
            said = time.monotonic()
            _say(f"{n_read:,} texts encoded")

    if not console.is_terminal:
        yield line
        return
    with console.status(doing) as status:
        yield lambda n_read: status.update(f"{n_read:,} texts encoded")
