"""Builds nlpaug 1.1.11 augmenters so that they run on this stack and repeat; refuses those that can't, and says why.

Nothing of nlpaug is changed for other users of it: a mended augmenter is a subclass. nlpaug is an optional extra and is
imported only here. What was seen to go wrong, and is mended or refused:

- `ContextualWordEmbsAug`: calls tokenizer methods that transformers 5 has no more; keeps models process-wide by the
  last part of their path; half-precision weights are run as they are; DistilBERT is only half known to it. Not mended:
  the text comes back as the tokenizer decodes it, in lower case if it is uncased, `[UNK]` for what it doesn't know.
- `SynonymAug`: downloads WordNet and a tagger. It gets the words of `synonyms` instead.
- `SpellingAug`: keeps the first dictionary for all later ones, in an order that differs between processes.
- `RandomWordAug` with `crop`: fails where one word is to go, and a crop to the left begins at the wrong end.
- `RandomSentAug`: downloads NLTK's sentence splitter, and fails on one sentence.
- `SplitAug`: fails on words of one or two letters, so `min_char` is 3 or more.
- The default tokenizer writes "doesn't" as "doesn ' t". Here words are split at white space.
- A share or maximum of 0 is taken for "not given". Here it means that nothing is done.
"""

from __future__ import annotations

import importlib
import inspect
import json
import random
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from sentemb import assets
from sentemb.augment.word_spans import find_words
from sentemb.errors import ConfigError, nearest, shortened

Synonyms = Callable[[str], Sequence[str]]
"""A word, in lower case, → its synonyms, in an order that does not change."""

VERSION = "1.1."

_MODULES = {
    "nlpaug.augmenter.char": ("KeyboardAug", "OcrAug", "RandomCharAug"),
    "nlpaug.augmenter.word": (
        "ContextualWordEmbsAug", "RandomWordAug", "ReservedAug", "SpellingAug", "SplitAug", "SynonymAug", "TfIdfAug",
    ),
    "nlpaug.augmenter.sentence": ("RandomSentAug",),
    "nlpaug.flow": ("Sequential", "Sometimes"),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

_AUDIO = "works on sound, not on text"
_WRITES = "writes new sentences with a generative model that it downloads; they are no views of the text"
_REFUSED = {
    "AntonymAug": "needs a part-of-speech tagger and WordNet, which it downloads, and turns the meaning round",
    "BackTranslationAug": "starts two worker processes a text; translate the texts beforehand and train on pairs",
    "WordEmbsAug": "needs gensim, and keeps one set of vectors for all later ones, whatever their file",
    **dict.fromkeys(("AbstSummAug", "ContextualWordEmbsForSentenceAug", "LambadaAug"), _WRITES),
    **dict.fromkeys(
        ("CropAug", "FrequencyMaskingAug", "LoudnessAug", "MaskAug", "NoiseAug", "NormalizeAug", "PitchAug",
         "PolarityInverseAug", "ShiftAug", "SpeedAug", "TimeMaskingAug", "VtlpAug"), _AUDIO,
    ),
}  # fmt: skip

_OFF_AT_ZERO = ("aug_p", "aug_max", "aug_char_p", "aug_char_max", "aug_word_p", "aug_word_max")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def build(name: str, arguments: Mapping[str, Any], synonyms: Synonyms | None, place: str) -> Any:
    """The augmenter or flow of that class name, mended; None where its arguments say that nothing is to be done.

    Raises:
        ConfigError: nlpaug is not there or of another version; the class is unknown or refused; an argument is.
    """
    if name not in _MODULE_OF:
        raise _unknown_or_refused(name, place)
    cls = getattr(_import(_MODULE_OF[name]), name)
    accepted = list(inspect.signature(cls.__init__).parameters)[1:]
    for key in arguments:
        if key not in accepted:
            problem = f"{name} has no such argument.{nearest(key, accepted)}"
            raise ConfigError(f"{place}.arguments.{key}", problem, f"Use some of: {', '.join(accepted)}")
    if any(arguments.get(key) == 0 for key in _OFF_AT_ZERO if arguments.get(key) is not None):
        return None
    given = dict(arguments)
    if "tokenizer" in accepted and "reverse_tokenizer" in accepted:
        given = {"tokenizer": str.split, "reverse_tokenizer": " ".join} | given
    if name in _MODULES["nlpaug.flow"]:
        given["flow"] = _build_flow(given.get("flow"), synonyms, place)
    if name in _MENDED:
        cls, given = _MENDED[name](cls, given, synonyms, f"{place}.arguments")
    return cls(**given)


def _unknown_or_refused(name: str, place: str) -> ConfigError:
    remedy = f"Use one of: {', '.join(sorted(_MODULE_OF))}"
    if name in _REFUSED:
        return ConfigError(f"{place}.name", f"{name} is not run here: it {_REFUSED[name]}", remedy)
    known = nearest(name, [*_MODULE_OF, *_REFUSED])
    return ConfigError(f"{place}.name", f"nlpaug has no augmenter {shortened(name)}.{known}", remedy)


def _import(module: str) -> ModuleType:
    try:
        with warnings.catch_warnings():  # its sources hold escapes that Python warns of when it first compiles them
            warnings.simplefilter("ignore")
            version = importlib.import_module("nlpaug").__version__
            found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            "nlpaug", f"is not installed, or not whole ({error})", 'Install it: pip install "sentemb[nlpaug]"'
        ) from error
    if not version.startswith(VERSION):
        problem = f"version {version} is installed, but what is mended here is that of {VERSION}11"
        raise ConfigError("nlpaug", problem, 'Install it: pip install "sentemb[nlpaug]"')
    return found


def _build_flow(parts: Any, synonyms: Synonyms | None, place: str) -> list[Any]:
    """The augmenters of a flow, each given as {name, arguments}."""
    place = f"{place}.arguments.flow"
    if not isinstance(parts, Sequence) or isinstance(parts, str) or not parts:
        raise ConfigError(place, f"{shortened(parts)} is not a list of augmenters", "Write a list of {name, arguments}")
    built = []
    for number, part in enumerate(parts):
        where = f"{place}[{number}]"
        if not isinstance(part, Mapping) or "name" not in part or not part.keys() <= {"name", "arguments"}:
            raise ConfigError(where, f"{shortened(part)} is not an augmenter", "Write {name, arguments}")
        built.append(build(part["name"], part.get("arguments") or {}, synonyms, where))
    return [augmenter for augmenter in built if augmenter is not None]


# ------------------------------------------------------------------------------------------------ mended classes
def _subclass(cls: Any, **changes: Any) -> Any:
    """A subclass of the same name, for nlpaug looks at the name."""
    return type(cls.__name__, (cls,), changes)


def _contextual(cls: Any, given: dict[str, Any], synonyms: Synonyms | None, place: str) -> tuple[Any, dict[str, Any]]:
    path = _model_folder(given.get("model_path"), place)
    if not given.get("use_custom_api", True):
        raise ConfigError(f"{place}.use_custom_api", "false fails on texts with two masks", "Remove it")
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    kind = {"bert": "bert", "distilbert": "bert", "roberta": "roberta"}.get(config.get("model_type", ""))
    if kind is None:
        problem = f"a model of type {shortened(config.get('model_type'))} is not known to nlpaug"
        raise ConfigError(f"{place}.model_path", problem, "Name a BERT, DistilBERT or RoBERTa folder")
    models = _import("nlpaug.model.lang_models")
    language_model = _subclass(
        models.Bert if kind == "bert" else models.Roberta,
        token2id=lambda self, token: self.tokenizer.convert_tokens_to_ids(token),
        id2token=lambda self, token: self.tokenizer.convert_ids_to_tokens(token),
    )

    def get_model(*_: Any, device: str, top_k: int | None, silence: bool, batch_size: int, **__: Any) -> Any:
        loaded = language_model(str(path), device=device, top_k=top_k, silence=silence, batch_size=batch_size)
        loaded.model.float()
        return loaded

    given |= {"model_path": str(path), "model_type": given.get("model_type") or kind}
    return _subclass(cls, get_model=staticmethod(get_model)), given


def _model_folder(name: Any, place: str) -> Path:
    path = assets.path(name) if isinstance(name, str) and assets.is_bundled(name) else Path(str(name or ""))
    if not name or not (path / "config.json").is_file():
        problem = "no folder given" if not name else f"{shortened(name)} is no folder with a model"
        raise ConfigError(
            f"{place}.model_path",
            f"{problem}, and nlpaug would download one",
            "Name a folder on this machine, or bundled:mini",
        )
    return path


class _Dictionary:
    """What `SynonymAug` asks for synonyms; no tags, so it asks for those of any part of speech."""

    def __init__(self, synonyms: Synonyms) -> None:
        self.synonyms = synonyms

    def pos_tag(self, tokens: Sequence[str]) -> list[tuple[str, str]]:
        return [(token, "") for token in tokens]

    def predict(self, word: str, pos: str | None = None) -> list[str]:
        """Synonyms of the one word in `word`, with the punctuation that stands around it."""
        spans = find_words(word)
        if len(spans) != 1:
            return []
        start, end = spans[0]
        return [word[:start] + synonym + word[end:] for synonym in self.synonyms(word[start:end].lower())]


def _synonym(cls: Any, given: dict[str, Any], synonyms: Synonyms | None, place: str) -> tuple[Any, dict[str, Any]]:
    source = given.get("aug_src", "wordnet")
    if source != "wordnet":
        problem = f"{shortened(source)} needs a part-of-speech tagger, which nlpaug downloads"
        raise ConfigError(f"{place}.aug_src", problem, "Remove it")
    if synonyms is None:
        problem = "SynonymAug has no synonyms, and nlpaug would download WordNet"
        raise ConfigError(place, problem, "Pass `synonyms`, a function from a word to its synonyms")
    return _subclass(cls, get_model=staticmethod(lambda *_, **__: _Dictionary(synonyms))), given


def _spelling(cls: Any, given: dict[str, Any], synonyms: Synonyms | None, place: str) -> tuple[Any, dict[str, Any]]:
    dictionaries = _import("nlpaug.model.word_dict")

    def get_model(self: Any, *_: Any, **__: Any) -> Any:
        model = dictionaries.Spelling(self.dict_path, self.include_reverse)
        model.dict = {word: sorted(others) for word, others in model.dict.items()}
        return model

    return _subclass(cls, get_model=get_model), given


def _random_word(cls: Any, given: dict[str, Any], synonyms: Synonyms | None, place: str) -> tuple[Any, dict[str, Any]]:
    def a_range(self: Any, tokens: Sequence[str]) -> list[int]:
        n_gone = min(self.generate_aug_cnt(len(tokens)), len(tokens))
        start = random.randrange(len(tokens) - n_gone + 1)
        return list(range(start, start + n_gone))

    return _subclass(cls, _get_aug_range_idxes=a_range), given


def _random_sentence(
    cls: Any, given: dict[str, Any], synonyms: Synonyms | None, place: str
) -> tuple[Any, dict[str, Any]]:
    split = given.setdefault("tokenizer", _SENTENCE_END.split)

    def swap(self: Any, text: str) -> str:
        swapped: str = cls.swap(self, text) if len(split(text)) > 1 else text
        return swapped

    return _subclass(cls, swap=swap), given


def _split(cls: Any, given: dict[str, Any], synonyms: Synonyms | None, place: str) -> tuple[Any, dict[str, Any]]:
    if given.get("min_char", 4) < 3:
        raise ConfigError(
            f"{place}.min_char", f"{given['min_char']} is below 3, and nlpaug fails on words so short", "Use 3 or more"
        )
    return cls, given


def _reserved(cls: Any, given: dict[str, Any], synonyms: Synonyms | None, place: str) -> tuple[Any, dict[str, Any]]:
    if given.get("generate_all_combinations"):
        raise ConfigError(
            f"{place}.generate_all_combinations", "true makes many texts of one, and a view is one text", "Remove it"
        )
    return cls, given


def _tf_idf(cls: Any, given: dict[str, Any], synonyms: Synonyms | None, place: str) -> tuple[Any, dict[str, Any]]:
    folder = Path(str(given.get("model_path", ".")))
    if not (folder / "tfidfaug_w2idf.txt").is_file():
        raise ConfigError(
            f"{place}.model_path",
            f"{shortened(str(folder))} holds no tfidfaug_w2idf.txt",
            "Name the folder that nlpaug's TfIdf model was saved to",
        )
    return cls, given


_MENDED: Mapping[str, Callable[[Any, dict[str, Any], Synonyms | None, str], tuple[Any, dict[str, Any]]]] = {
    "ContextualWordEmbsAug": _contextual,
    "RandomSentAug": _random_sentence,
    "RandomWordAug": _random_word,
    "ReservedAug": _reserved,
    "SpellingAug": _spelling,
    "SplitAug": _split,
    "SynonymAug": _synonym,
    "TfIdfAug": _tf_idf,
}
