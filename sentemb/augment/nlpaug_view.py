"""Any nlpaug augmenter as a text view."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from sentemb.augment.nlpaug_guards import Synonyms, build
from sentemb.errors import DataError, shortened


class NlpaugView:
    """An nlpaug augmenter or flow by class name and arguments (nlpaug 1.1.11, extra `nlpaug`).

    A text is augmented alone: nlpaug draws from Python's, NumPy's and torch's global generators, which are set from the
    text's seed before the call and are afterwards as they were. Don't use it in two threads at once. That also keeps
    clear of nlpaug's errors in batches (padding that is attended to, results of all but the last batch lost).

    Blank texts stay as they are; where an augmenter leaves nothing of a text, the text stays as it is. nlpaug takes off
    white space at both ends, and word augmenters write one space between words. What a flow holds is run here one after
    another: nlpaug's own flows return one text of many, or one letter of it. `Sometimes` draws for each part, as there,
    but a text that was not changed is not tried again. `sentemb.augment.nlpaug_guards` says what else is mended.

    Args:
        name: the class, such as `RandomWordAug`, `KeyboardAug`, `SynonymAug`, or a flow, `Sequential` or `Sometimes`.
        arguments: of its constructor. A flow's `flow` is a list of {name, arguments}.
        synonyms: a word in lower case → its synonyms, for `SynonymAug`; or None.

    Raises:
        ConfigError: nlpaug is not installed; the class is unknown or is refused; an argument is.
    """

    def __init__(self, name: str, arguments: Mapping[str, Any], *, synonyms: Synonyms | None = None) -> None:
        self.name = name
        self._augmenter = build(name, arguments, synonyms, "nlpaug")

    def __call__(self, texts: Sequence[str], seeds: Sequence[int]) -> list[str]:
        """N strings: of each text the view that its seed draws.

        Raises:
            DataError: nlpaug made no text, or several, of a text.
        """
        if len(texts) != len(seeds):
            raise ValueError(f"{len(texts)} texts need as many seeds, not {len(seeds)}")
        if self._augmenter is None:
            return list(texts)
        views = []
        with _generators_restored():
            for text, seed in zip(texts, seeds, strict=True):
                _seed_all(seed)
                view = _apply(self._augmenter, text)
                views.append(view if view.strip() else text)
        return views


def _apply(augmenter: Any, text: str) -> str:
    if not text.strip():
        return text
    if isinstance(augmenter, list):
        for part in augmenter:
            text = _apply(part, text) if augmenter.draw() else text  # type: ignore[attr-defined]
        return text
    found = augmenter.augment([text])
    if not isinstance(found, list) or len(found) != 1 or not isinstance(found[0], str):
        name = type(augmenter).__name__
        raise DataError(f"nlpaug.{name}", f"made {shortened(found)} of {shortened(text)}", "Use another augmenter")
    return found[0]


def _seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed([seed & 0xFFFFFFFF, seed >> 32])  # noqa: NPY002  nlpaug draws from the global generator
    torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))  # of a seed it takes 32 bits on the CPU


@contextmanager
def _generators_restored() -> Iterator[None]:
    """The three global generators are afterwards as they were, those of torch's devices included."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
