from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard

from sentemb.hub.card import CardOptions, EncoderFacts, front_matter, model_card
from sentemb.hub.facts import RunFacts, read_run
from sentemb.hub.papers import METHODS
from tests.hub.runs import make_run, recipe, run_facts, scores

ENCODER = EncoderFacts("my-encoder", ("Transformer", "Pooling"), 32, 64, "cosine", {"torch": "2.13.0"})
OPTIONS = CardOptions("My encoder", "cc-by-sa-4.0", ("en",))


@pytest.fixture
def run(tmp_path: Path) -> RunFacts:
    return read_run(make_run(tmp_path / "run", recipe_=recipe(), run=run_facts(), scores_=scores()))


def _front(card: str) -> dict[str, object]:
    return yaml.safe_load(card.split("---\n")[1])


def test_the_front_matter_is_what_the_hub_reads(run):
    card = ModelCard(model_card(ENCODER, run, OPTIONS))  # parses the YAML and the model index, as the hub does
    data = card.data
    assert (data.library_name, data.pipeline_tag) == ("sentence-transformers", "sentence-similarity")
    assert (data.license, data.language, data.base_model) == ("cc-by-sa-4.0", ["en"], "bert-base-uncased")
    assert {"sentemb", "simcse"} <= set(data.tags)
    found = {(r.dataset_name, r.dataset_split, r.metric_name): r.metric_value for r in data.eval_results}
    assert found == {
        ("stsb-dev", "dev", "Spearman × 100 (cosine, all)"): 62.1,
        ("sts13", "test", "Spearman × 100 (cosine, all)"): 63.1,
        ("sts13", "test", "Spearman × 100 (cosine, mean)"): 64.1,
        ("sts13", "test", "Spearman × 100 (cosine, wmean)"): 65.1,
    }


def test_what_is_not_known_is_left_out_of_the_front_matter_and_said_in_the_text():
    card = model_card(ENCODER, RunFacts(), CardOptions("x"))
    assert set(_front(card)) == {"library_name", "pipeline_tag", "tags"}
    for said in (
        "No licence was stated",
        "languages it is meant for were not stated",
        "No score was recorded",
        "No paper is cited",
    ):
        assert said in card


def test_the_card_names_no_folder_of_this_machine(run):
    card = model_card(ENCODER, run, OPTIONS)
    assert "ann" not in re.findall(r"\w+", card)
    assert str(Path.home()) not in card
    assert not re.search(r"(?<![\w/<:])/\w", card)
    assert "source: wiki.txt" in card
    assert "Tried in notes.txt first." in card


def test_scores_stand_with_split_aggregation_and_interval(run):
    card = model_card(ENCODER, run, OPTIONS)
    assert "| task | split | aggregation | before | after |" in card
    assert "| stsb-dev | dev | all | 55.90 [53.90, 57.90] | 62.10 [60.10, 64.10] |" in card
    assert "| sts13 | test | mean | 57.90 | 64.10 |" in card
    assert "| stsb-dev | dev | mean" not in card  # one set: all aggregations are the same
    assert "sts13 is without SMT." in card
    assert "step 250, stsb_dev_spearman 62.35" in card


def test_scores_of_models_that_may_be_others_are_not_claimed_in_the_front_matter(tmp_path):
    sheet = scores()
    sheet["models"][1]["name"] = "/home/ann/other"
    facts = read_run(make_run(tmp_path, scores_=sheet))
    assert "model-index" not in front_matter(ENCODER, facts, OPTIONS)
    card = model_card(ENCODER, facts, OPTIONS)
    assert "| before | other |" in card
    assert "Which of these models is this encoder was not recorded." in card


def test_a_score_that_is_not_a_number_is_not_published_as_one(tmp_path):
    sheet = scores()
    sheet["models"][1]["tasks"]["stsb-dev"]["aggregation"] = {"all": float("nan")}
    facts = read_run(make_run(tmp_path, scores_=sheet))
    assert "| not a number |" in model_card(ENCODER, facts, OPTIONS)
    values = [r["metrics"][0]["value"] for r in front_matter(ENCODER, facts, OPTIONS)["model-index"][0]["results"]]
    assert values == [63.1, 64.1, 65.1]


@pytest.mark.parametrize("kind", sorted(METHODS))
def test_every_method_of_a_recipe_has_its_paper(kind, tmp_path):
    facts = read_run(make_run(tmp_path, recipe_=recipe(kind=kind)))
    card = model_card(ENCODER, facts, OPTIONS)
    keys = {"simcse": "gao-etal-2021-simcse", "sbert": "reimers-gurevych-2019-sentence", "moco": "he2019moco"}
    found = re.findall(r"@(?:inproceedings|misc)\{(.*),", card)
    assert found == [keys.get(kind.split("_")[0], *found)]
    assert METHODS[kind].title in card
    assert kind in front_matter(ENCODER, facts, OPTIONS)["tags"]


def test_a_method_that_is_not_in_the_table_gets_no_citation_and_the_card_says_so(tmp_path):
    card = model_card(ENCODER, read_run(make_run(tmp_path, recipe_=recipe(kind="my_loss"))), OPTIONS)
    assert "`my_loss`. No paper is cited for this method." in card
    assert "bibtex" not in card


def test_stages_are_told_in_order_and_each_paper_once(tmp_path):
    source = {"source": "hf://owner/nli/pair/train"}
    kinds = ["sbert_softmax", "sbert_regression", "simcse"]
    stages = [{"name": f"s{i}", "method": {"kind": kind}, "data": source} for i, kind in enumerate(kinds)]
    facts = read_run(make_run(tmp_path, recipe_={"encoder": {"name": "bundled:mini"}, "stages": stages}))
    card = model_card(ENCODER, facts, OPTIONS)
    assert card.index("1. Stage `s0`") < card.index("2. Stage `s1`") < card.index("3. Stage `s2`")
    assert card.count("@inproceedings") == 2
    assert "Please cite the papers" in card
    front = front_matter(ENCODER, facts, OPTIONS)
    assert front["datasets"] == ["owner/nli"]
    assert "base_model" not in front  # bundled:mini is no name of the hub
    assert [data.stage for data in facts.data] == ["s0", "s1", "s2"]


@pytest.mark.parametrize("name", ["models/tiny", "./tiny", "/home/ann/tiny", "bundled:mini", "a/b/c"])
def test_a_base_model_that_is_a_local_folder_is_never_named_as_one_of_the_hub(name, tmp_path):
    (tmp_path / "models" / "tiny").mkdir(parents=True)  # beside the run folder
    content = recipe()
    content["encoder"]["name"] = name
    facts = read_run(make_run(tmp_path / "run", recipe_=content))
    assert facts.base_model is None
    assert facts.encoder == (name if name == "bundled:mini" else name.rsplit("/", 1)[-1])


def test_text_can_not_break_the_card(tmp_path):
    content = recipe()
    content["description"] = "```\n</details> ## Not a heading"
    content["data"]["source"] = "a|b`c.txt"
    facts = read_run(make_run(tmp_path, recipe_=content))
    card = model_card(ENCODER, facts, CardOptions("A: title\n---\nlicense: mit"))
    assert "license" not in _front(card)
    assert "# A: title --- license: mit\n" in card
    assert "`a\\|b'c.txt`" in card
    assert "````yaml" in card


def test_modules_that_other_servers_leave_out_are_named():
    facts = EncoderFacts("e", ("Transformer", "WeightedLayerPooling", "Pooling", "Dense"), 32, 64, "cosine", {})
    assert "(WeightedLayerPooling, Dense)" in model_card(facts, RunFacts(), OPTIONS)
    assert "modules beyond" not in model_card(ENCODER, RunFacts(), OPTIONS)


def test_the_python_block_of_a_card_compiles():
    facts = EncoderFacts('odd "name"', ("Transformer",), 32, 64, "cosine", {})
    block = re.search(r"```python\n(.*?)```", model_card(facts, RunFacts(), OPTIONS), re.S)
    assert block is not None
    compile(block.group(1), "card", "exec")
