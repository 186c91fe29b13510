"""The block `back_translation`: what it builds, and what is said of one that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pydantic import TypeAdapter

from sentemb.augment.back_translation import BackTranslation
from sentemb.augment.translation_cache import default_folder
from sentemb.augment.translators_transformers import TransformersTranslator
from sentemb.errors import ConfigError
from sentemb.recipe import build_back_translation as build
from sentemb.recipe.build_views import build_text_view
from sentemb.recipe.loader import load_recipe, resolved_yaml
from sentemb.recipe.schema import Recipe
from sentemb.recipe.views import TextViewConfig
from tests.augment.tiny_marian import save_marian
from tests.recipe.samples import messages

CONFIG: TypeAdapter[Any] = TypeAdapter(TextViewConfig)


def built(**block: Any) -> BackTranslation:
    view = build_text_view(CONFIG.validate_python({"kind": "back_translation", **block}))
    assert isinstance(view, BackTranslation)
    return view


class Named:
    """Stands for a translator that isn't installed here."""

    def __init__(self, direction: str) -> None:
        self.identity = self.direction = direction


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SENTEMB_CACHE", str(tmp_path / "cache"))


def test_backends_and_languages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "BergamotTranslator", Named)
    monkeypatch.setattr(build, "ApertiumTranslator", Named)

    def directions(**block: Any) -> tuple[str, str]:
        view = built(**block)
        return view.forward.direction, view.backward.direction  # type: ignore[union-attr]

    assert directions() == ("en-pt", "pt-en")
    assert directions(backend="apertium") == ("eng-spa", "spa-eng")
    assert directions(backend="apertium", source_language="spa", pivot_language="cat") == ("spa-cat", "cat-spa")


def test_settings_reach_the_view_and_the_cache_is_where_it_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(build, "BergamotTranslator", Named)
    view = built()
    assert view.cache is not None and view.cache.file.parent == default_folder() == tmp_path / "cache" / "translations"
    assert view.min_length_ratio == 0.5 and not view.cache.file.parent.exists()
    view = built(cache=str(tmp_path / "own"), min_length_ratio=0.25)
    assert view.cache is not None and view.cache.file.parent == tmp_path / "own" and view.min_length_ratio == 0.25


def test_two_models_translate_there_and_back_and_are_kept(tmp_path: Path) -> None:
    there, back = str(save_marian(tmp_path / "there")), str(save_marian(tmp_path / "back", end_bias=2.0))
    block = {"backend": "transformers", "forward_model": there, "backward_model": back, "min_length_ratio": 0}
    view = built(**block, n_beams=2, max_new_tokens=12)
    assert isinstance(view.forward, TransformersTranslator) and isinstance(view.backward, TransformersTranslator)
    assert view.forward.generation.num_beams == 2 and view.forward.max_new_tokens == 12
    texts = ["the red dog sleeps", "", "a cat", "and a man"]
    got = view(texts, [0] * 4)
    pivots = view.forward([texts[0], *texts[2:]])
    assert view.report.texts == 3 and got[1] == ""
    assert view(texts[::-1], [5, 6, 7, 8]) == got[::-1]
    assert set(got) <= {*texts, *view.backward(pivots)}
    view.forward.model = view.backward.model = None  # what is there needs no model
    assert view(texts, [0] * 4) == got


def test_sampling_draws_by_seed(tmp_path: Path) -> None:
    model = str(save_marian(tmp_path, end_bias=0.0))
    block = {"backend": "transformers", "forward_model": model, "backward_model": model, "min_length_ratio": 0}
    view = built(**block, sampling_temperature=1.5)
    texts = ["the red dog sleeps and a cat runs"] * 6
    got = view(texts, range(6))
    assert len(set(got)) > 2
    assert view(texts[:1], [3]) == got[3:4] and built(**block, sampling_temperature=1.5)(texts, range(6)) == got


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    block = {"backend": "transformers", "forward_model": "m", "backward_model": "m"}
    with pytest.raises(ConfigError, match="^back_translation.device: is cuda, but torch sees no GPU here. Set device"):
        built(**block, device="cuda")


# ------------------------------------------------------------------------------------------------ in a recipe
RECIPE = """\
method: {kind: simcse}
data: {source: bundled:wiki}
views:
  - - kind: back_translation
      backend: apertium
  - - {kind: back_translation, cache: kept}
"""


def test_two_pivots_as_in_cert_validate_and_read_back_equal(recipe_file: Path) -> None:
    recipe_file.write_text(RECIPE, encoding="utf-8")
    recipe = load_recipe("r.yaml", []).recipe
    assert recipe.views is not None
    assert recipe.views[0][0].model_dump() == {
        "kind": "back_translation",
        "backend": "apertium",
        "source_language": None,
        "pivot_language": None,
        "forward_model": None,
        "backward_model": None,
        "n_beams": 5,
        "sampling_temperature": None,
        "max_new_tokens": 256,
        "device": "auto",
        "min_length_ratio": 0.5,
        "cache": None,
    }
    resolved = Recipe.model_validate(yaml.safe_load(resolved_yaml(recipe)))
    assert resolved.views == recipe.views


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (
            "backend: google",
            '5: views.0.0.backend: "google" is not one of the choices. Give one of: bergamot, apertium, ',
        ),
        (
            "backend: apertium\n      n_beams: 3",
            "6: views.0.0.n_beams: has no part in the apertium backend. Remove it.",
        ),
        ("device: cpu", "5: views.0.0.device: has no part in the bergamot backend. Remove it."),
        (
            "pivot_language: de",
            "5: views.0.0.pivot_language: has no part in the bergamot backend, which knows English ",
        ),
        (
            "backend: apertium\n      min_length_ratio: 2",
            "6: views.0.0.min_length_ratio: 2 is out of range. Give a num",
        ),
    ],
)
def test_what_is_said_of_a_wrong_block(recipe_file: Path, new: str, message: str) -> None:
    (found,) = messages(recipe_file, RECIPE.replace("backend: apertium", new))
    assert found.startswith(f"r.yaml:{message}")


def test_models_that_are_missing() -> None:
    with pytest.raises(
        ConfigError, match="^back_translation.forward_model: is missing, .* Name a translation model: a f"
    ):
        built(backend="transformers")
    with pytest.raises(ConfigError, match="^back_translation.backward_model: is missing, .* or give both languages"):
        built(backend="transformers", forward_model="nllb", source_language="eng_Latn")
