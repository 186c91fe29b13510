"""A post-processor as a stage of a recipe: what it is fitted on, what it leaves, what is refused."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from numpy.testing import assert_allclose
from rich.console import Console
from sentence_transformers import SentenceTransformer
from sklearn.decomposition import PCA

from sentemb.embedding import embed
from sentemb.encoder import load
from sentemb.errors import ConfigError, ConfigErrors, DataError
from sentemb.recipe.loader import load_recipe
from sentemb.recipe.run import train
from tests.tiny import SENTENCES, save_tiny

SCORES = [5.0, 0.5, 4.0, 1.0, 3.0, 2.0, 2.5, 4.5]
TEXTS = [f"{s} {w}" for s in SENTENCES for w in ("and", "not", "a man", "the dog", "is", "in", "with", "plays")]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a recipe that trains and then fits, with some of its values changed; gives its path."""
    monkeypatch.chdir(tmp_path)
    save_tiny(tmp_path / "tiny")
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS) + "\n")
    pairs = [f"{y}\t{a}\t{b}" for y, a, b in zip(SCORES, SENTENCES, SENTENCES[1:] + SENTENCES[:1], strict=True)]
    (tmp_path / "pairs.tsv").write_text("score\tsentence1\tsentence2\n" + "\n".join(pairs) + "\n")

    def write(method, data=None, **stage):
        recipe = {
            "encoder": {"name": "tiny", "pooling": "mean"},
            "stages": [
                {
                    "name": "simcse",
                    "method": {"kind": "simcse"},
                    "data": {"source": "texts.txt"},
                    "train": {"batch_size": 16, "max_steps": 2, "eval_steps": 2, "learning_rate": 1e-3},
                },
                {"name": "last", "method": method, "data": data or {"source": "texts.txt"}, **stage},
            ],
            "evaluation": {"dev": "pairs.tsv", "suite": "pairs.tsv"},
        }
        (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        return str(tmp_path / "recipe.yaml")

    return write


def run(recipe, folder, console=None, **options):
    return train(load_recipe(recipe), folder, console=console or Console(quiet=True), **options)


def test_whitening_is_fitted_on_the_embeddings_of_the_stage_before(write, tmp_path):
    trained = run(write({"kind": "whitening", "n_components": 8}), tmp_path / "run")
    before = load("run/stages/1-simcse")
    expected = PCA(8, whiten=True).fit(embed(before, TEXTS).astype(np.float64)).transform(embed(before, SENTENCES))
    found = embed(load("run"), SENTENCES)
    assert_allclose(np.abs(found), np.abs(expected), atol=1e-3)  # an axis may point either way
    plain = SentenceTransformer("run/encoder", device="cpu").encode(SENTENCES)
    assert_allclose(plain, found, atol=1e-5)
    assert trained.scores is not None and [model.name for model in trained.scores.models] == ["before", "after"]
    facts = json.loads((tmp_path / "run/run.json").read_text())
    stage = facts["stages"]["last"]
    assert facts["status"] == "complete" and [part["rows"] for part in facts["data"]] == [64, 64]
    assert facts["seeds"] == {"simcse": 42}
    assert (stage["n_fitted"], stage["n_held_out"], stage["learnt"]["width"]) == (64, 0, 8)
    assert len(stage["corpus"]["files"][0]["sha256"]) == 64
    best = facts["stages"]["simcse"]["best"]["pairs_spearman"]
    assert stage["dev"]["before"]["pairs_spearman"] == pytest.approx(best, abs=1e-3)
    assert stage["dev"]["after"]["pairs_spearman"] == pytest.approx(trained.scores.models[1].tasks[0].spearman["all"])


@pytest.mark.parametrize(
    "method",
    [
        {"kind": "standardise"},
        {"kind": "common_components", "n_removed": 2},
        {"kind": "flow", "epochs": 1, "batch_size": 16},
    ],
    ids=lambda method: method["kind"],
)
def test_every_kind_is_a_stage_and_the_resolved_recipe_makes_it_again(method, write, tmp_path):
    run(write(method), tmp_path / "run")
    first = embed(load("run"), SENTENCES)
    assert np.abs(first - embed(load("run/stages/1-simcse"), SENTENCES)).max() > 1e-2
    resolved = tmp_path / "run/recipe.resolved.yaml"
    last = yaml.safe_load(resolved.read_text())["stages"][1]
    assert not {"train", "views"} & last.keys() and last["method"].items() >= method.items()
    run(str(resolved), tmp_path / "again")
    assert np.array_equal(embed(load("again"), SENTENCES), first)


def test_a_stage_that_was_cut_short_is_fitted_again_and_a_complete_run_is_left(write, tmp_path, monkeypatch):
    recipe = write({"kind": "whitening", "n_components": 8})
    run(recipe, tmp_path / "run")
    first = embed(load("run"), SENTENCES)
    facts = json.loads((tmp_path / "run/run.json").read_text())
    del facts["stages"]["last"]
    (tmp_path / "run/run.json").write_text(json.dumps(facts))
    shutil.rmtree(tmp_path / "run/stages/2-last")
    run(recipe, tmp_path / "run", resume=True)
    assert np.array_equal(embed(load("run"), SENTENCES), first)
    monkeypatch.setattr("sentemb.recipe.run.fit_stage", lambda *_, **__: pytest.fail("fitted again"))
    run(recipe, tmp_path / "run", resume=True)


def test_a_recipe_may_fit_only_and_on_all_named_columns(write, tmp_path):
    write({"kind": "standardise"})
    recipe = {
        "encoder": {"name": "tiny"},
        "method": {"kind": "standardise"},
        "data": {"source": "pairs.tsv", "columns": ["sentence1", "sentence2"], "limit": 12},
        "evaluation": {"dev": None, "suite": None},
    }
    (tmp_path / "only.yaml").write_text(yaml.safe_dump(recipe))
    run("only.yaml", tmp_path / "run")
    stage = json.loads((tmp_path / "run/run.json").read_text())["stages"]["standardise"]
    assert stage["n_fitted"] == 12 and "dev" not in stage
    fitted_on = [text for pair in zip(SENTENCES, SENTENCES[1:] + SENTENCES[:1], strict=True) for text in pair][:12]
    found = embed(load("run"), fitted_on)
    assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    assert_allclose(found.std(axis=0, ddof=1), 1, atol=1e-3)
    again = load_recipe("run/recipe.resolved.yaml").recipe
    assert again == load_recipe("only.yaml").recipe


def test_it_is_told_when_the_fit_text_holds_sentences_of_a_test_set(write, tmp_path):
    console = Console(record=True, width=200, file=io.StringIO())
    data = {"source": "bundled:stsb-test", "columns": ["sentence1", "sentence2"], "limit": 100}
    run(write({"kind": "standardise"}, data), tmp_path / "run", console)
    assert "sentences of stsb-test: its score there is flattered" in console.export_text()


def test_what_does_not_fit_is_told_before_anything_is_trained(write, tmp_path, monkeypatch):
    monkeypatch.setattr("sentemb.recipe.run.train_stage", lambda *_: pytest.fail("trained"))
    with pytest.raises(ConfigError, match=r"method\.n_components: 99 dimensions, but the embeddings are 32 wide"):
        run(write({"kind": "whitening", "n_components": 99}), tmp_path / "a")
    (tmp_path / "bad.jsonl").write_text('{"text": "a"}\n{"text": 3}\n')
    with pytest.raises(DataError, match=r"bad\.jsonl, line 2: 3 is not a text"):
        run(write({"kind": "standardise"}, {"source": "bad.jsonl"}), tmp_path / "b")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"batch_size": 3}}, "train has settings, but nothing is trained. Leave it out: what standardise"),
        ({"views": [[], []]}, "views has lists, but standardise is fitted on texts as they are. Leave it out"),
        ({"data": {"source": "-"}}, "data.source is -, but the texts are read twice"),
        ({"data": {"source": "x.tsv", "rows": "pairs"}}, "data.rows is pairs, but method standardise takes sentences"),
        ({"method": {"kind": "whitenin"}}, '"whitenin" is not a method. Did you mean "whitening"?'),
        ({"method": {"kind": "whitening", "dim": 3}}, "unknown key. Known: kind, n_components"),
        ({"method": {"kind": "flow", "epochs": True}}, "stages.1.method.epochs: true has the wrong type"),
        (
            {"method": {"kind": "simcse", "learning_rate": 1}},
            "stages.1.method.learning_rate: unknown key. It belongs in train.",
        ),
    ],
)
def test_a_stage_that_can_not_be_is_refused(changes, message, write):
    changes = {"method": {"kind": "standardise"}} | changes
    with pytest.raises(ConfigErrors) as caught:
        load_recipe(write(**changes))
    assert message in str(caught.value)


def test_nothing_is_trained_after_a_post_processor(write):
    file = Path(write({"kind": "standardise"}))
    recipe = yaml.safe_load(file.read_text())
    recipe["stages"].reverse()
    file.write_text(yaml.safe_dump(recipe))
    with pytest.raises(ConfigErrors, match=r"simcse trains what last was fitted on. Put the post-processors last"):
        load_recipe("recipe.yaml")
