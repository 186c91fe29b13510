"""What a user can mend is a `SentembError`: one message, exit code 2, no traceback. Anything else is a bug."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_SHORTENED = 80


class SentembError(Exception):
    """A mistake the user can mend; reads as place, problem, remedy.

    Args:
        place: what the user can open or look at: a file with its line, a key path, an option, a folder.
        problem: what is wrong there, with the value given and what is accepted.
        remedy: one thing to do.

    >>> print(SentembError("train.jsonl, line 3", 'score is "high", not a number', "Correct the line or remove it"))
    train.jsonl, line 3: score is "high", not a number. Correct the line or remove it.
    """

    def __init__(self, place: str, problem: str, remedy: str) -> None:
        self.place, self.problem, self.remedy = place, problem, remedy
        super().__init__(f"{place}: {_sentence(problem)} {_sentence(remedy)}")

    def __reduce__(self) -> tuple[type[SentembError], tuple[str, str, str]]:
        return type(self), (self.place, self.problem, self.remedy)


def _sentence(text: str) -> str:
    return text if text.endswith(("?", ".")) else f"{text}."


class ConfigError(SentembError):
    """A recipe, an override or an option that can't be used."""


class DataError(SentembError):
    """A text, a row or a file of texts that can't be used."""


class ModelError(SentembError):
    """An encoder that can't be found, opened or used for what was asked."""


class OutputError(SentembError):
    """A place that can't be written to."""


class ConfigErrors(ConfigError):
    """All the errors of one recipe at once, one a line."""

    def __init__(self, errors: Iterable[ConfigError]) -> None:
        self.errors = tuple(errors)
        Exception.__init__(self, "\n".join(str(error) for error in self.errors))

    def __reduce__(self) -> tuple[type[ConfigErrors], tuple[tuple[ConfigError, ...]]]:  # type: ignore[override]
        return type(self), (self.errors,)


def shortened(value: object) -> str:
    """A value as it is shown in a message: quoted if text, on one line, at most 80 characters.

    >>> shortened("a" * 200)[-10:]
    'aaaaaaaaa…'
    """
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= _SHORTENED else text[: _SHORTENED - 1] + "…"


def nearest(name: str, known: Iterable[str]) -> str:
    """` Did you mean "x"?` for the known name nearest to `name`, or nothing.

    >>> nearest("temprature", ["kind", "temperature"])
    ' Did you mean "temperature"?'
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f' Did you mean "{close[0]}"?' if close else ""
