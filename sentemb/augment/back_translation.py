"""Back-translation: a text by way of another language and back, which keeps what it says and changes how."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from sentemb.augment.seeds import derive_seed
from sentemb.augment.translation_cache import TranslationCache, cache_key
from sentemb.augment.translators import CutTranslation, SeededTranslate, Translate
from sentemb.errors import ConfigError, ModelError, shortened

Reason = Literal["identical", "empty", "truncated"]
"""Why a back-translation is not used."""

_FLAGGED_KEPT = 100


class Flagged(NamedTuple):
    """A text that stays as it is, with what came back and why that is not used."""

    text: str
    output: str
    reason: Reason


@dataclass(slots=True)
class BackTranslationReport:
    """What became of the texts so far, in this process.

    Attributes:
        texts: how many were translated; blank ones are not.
        reasons: of each reason, how many texts stay as they are for it.
        flagged: the last 100 of these.
    """

    texts: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)
    flagged: deque[Flagged] = field(default_factory=lambda: deque(maxlen=_FLAGGED_KEPT))

    def flag(self, found: Flagged) -> None:
        """Counts a text that stays as it is."""
        self.reasons[found.reason] += 1
        self.flagged.append(found)

    def __str__(self) -> str:
        """`1,000 texts, of which 40 stay as they are: 31 identical, 9 truncated`."""
        done = f"{self.texts:,} texts"
        if not self.reasons:
            return f"{done}, all back-translated"
        parts = ", ".join(f"{count:,} {reason}" for reason, count in self.reasons.most_common())
        return f"{done}, of which {self.reasons.total():,} stay as they are: {parts}"


class BackTranslation:
    """x → backward(forward(x)), or x itself where that is of no use; a `TextView`.

    CERT (Fang et al. 2020, "CERT: Contrastive Self-supervised Learning for Language Understanding") makes the two views
    of a sentence by two pivots, as English → Chinese → English and English → German → English: one such view each.

    A text stays as it is, and is counted in `report`, where what comes back is
    empty (or the pivot is);
    truncated: a translator gave a `CutTranslation`, or the characters that come back are fewer than
    `min_length_ratio` · those of the text;
    identical to it, but for white space.
    Blank texts stay as they are and are not counted.

    The view is a pure function of the text where the translators are (beam search), of text and seed where they sample:
    forward draws from `derive_seed(seed, 0)`, backward from `derive_seed(seed, 1)`. Equal texts are translated once.

    Args:
        forward: to the pivot; any function from N texts to N translations (see `translators.Translate`).
        backward: from the pivot.
        cache: what to keep translations in, by the translators' `identity`; None: nowhere.
        min_length_ratio: in [0, 1]; 0 turns the check of lengths off.
        texts_per_call: texts that a translator is handed at once, at most. They are kept in the cache together, so it
            bounds what a kill costs.

    Attributes:
        report: what became of the texts. A worker process has its own.

    Raises:
        ConfigError: an argument out of its range, or a translator without `identity` beside a cache.

    >>> view = BackTranslation(
    ...     lambda texts: [text.upper() for text in texts], lambda texts: [text.lower() for text in texts],
    ...     cache=None, min_length_ratio=0.5, texts_per_call=64,
    ... )
    >>> view(["A Dog", "a cat"], seeds=[0, 0]), str(view.report)
    (['a dog', 'a cat'], '2 texts, of which 1 stay as they are: 1 identical')
    """

    def __init__(
        self,
        forward: Translate | SeededTranslate,
        backward: Translate | SeededTranslate,
        *,
        cache: TranslationCache | None,
        min_length_ratio: float,
        texts_per_call: int,
    ) -> None:
        if not 0 <= min_length_ratio <= 1:
            raise _out_of_range("min_length_ratio", min_length_ratio, "a share from 0 to 1")
        if texts_per_call < 1:
            raise _out_of_range("texts_per_call", texts_per_call, "a whole number from 1")
        for direction, translate in (("forward", forward), ("backward", backward)):
            if cache is not None and not getattr(translate, "identity", ""):
                raise ConfigError(
                    f"back_translation.{direction}",
                    "the translator has no identity, by which the cache could tell its translations from others'",
                    "Set its attribute identity to a string that names model and settings, or use no cache",
                )
        self.forward, self.backward, self.cache = forward, backward, cache
        self.min_length_ratio, self.texts_per_call = min_length_ratio, texts_per_call
        self.report = BackTranslationReport()

    def __call__(self, texts: Sequence[str], seeds: Sequence[int]) -> list[str]:
        """N texts, back-translated; see `TextView`.

        Raises:
            ModelError: a translator gave back something else than a string for each text.
            DataError, OutputError: the cache can't be used.
        """
        if len(texts) != len(seeds):
            raise ValueError(f"{len(texts)} texts need as many seeds, not {len(seeds)}")
        rows = [row for row, text in enumerate(texts) if text.strip()]
        sources = [texts[row] for row in rows]
        pivots = self._translate("forward", self.forward, sources, [derive_seed(seeds[row], 0) for row in rows])
        returning = [place for place, pivot in enumerate(pivots) if pivot.strip()]
        returned = self._translate(
            "backward",
            self.backward,
            [str(pivots[place]) for place in returning],
            [derive_seed(seeds[rows[place]], 1) for place in returning],
        )
        outputs = dict(zip(returning, returned, strict=True))
        viewed = list(texts)
        self.report.texts += len(rows)
        for place, row in enumerate(rows):
            output = outputs.get(place, "")
            reason = self._reason(sources[place], pivots[place], output)
            if reason is None:
                viewed[row] = output
            else:
                self.report.flag(Flagged(sources[place], str(output), reason))
        return viewed

    def _reason(self, text: str, pivot: str, output: str) -> Reason | None:
        """Why a text stays as it is, or None."""
        if not output.strip():
            return "empty"
        if isinstance(pivot, CutTranslation) or isinstance(output, CutTranslation):
            return "truncated"
        if len(output.strip()) < self.min_length_ratio * len(text.strip()):
            return "truncated"
        return "identical" if output.split() == text.split() else None

    def _translate(
        self, direction: str, translate: Translate | SeededTranslate, texts: Sequence[str], seeds: Sequence[int]
    ) -> list[str]:
        """N translations in order, from the cache where it has them; the others go there a call at a time."""
        sampling = getattr(translate, "takes_seeds", False)
        identity = getattr(translate, "identity", "")
        keys = [
            cache_key(text, identity, direction, seed if sampling else None)
            for text, seed in zip(texts, seeds, strict=True)
        ]
        places = {key: place for place, key in enumerate(keys)}
        known = {} if self.cache is None else self.cache.get(list(places))
        missing = [key for key in places if key not in known]
        for start in range(0, len(missing), self.texts_per_call):
            some = missing[start : start + self.texts_per_call]
            asked = [texts[places[key]] for key in some]
            if sampling:
                given = translate(asked, seeds=[seeds[places[key]] for key in some])  # type: ignore[call-arg]
            else:
                given = translate(asked)  # type: ignore[call-arg]
            new = dict(zip(some, _checked(given, asked, direction), strict=True))
            if self.cache is not None:
                self.cache.put(new)
            known |= new
        return [known[key] for key in keys]


def _checked(given: Sequence[str], asked: Sequence[str], direction: str) -> Sequence[str]:
    place = f"back_translation.{direction}"
    remedy = "Mend the translator: it has to give one string for each text, in order"
    if isinstance(given, str) or len(given) != len(asked):
        count = "one string" if isinstance(given, str) else f"{len(given)} translations"
        raise ModelError(place, f"the translator gave {count} for {len(asked)} texts", remedy)
    for output in given:
        if not isinstance(output, str):
            raise ModelError(place, f"the translator gave {shortened(output)}, which is no string", remedy)
    return given


def _out_of_range(name: str, value: object, accepted: str) -> ConfigError:
    return ConfigError(f"back_translation.{name}", f"{shortened(value)} is not {accepted}", "Correct it")
