from __future__ import annotations

from pathlib import Path

import pytest

from sentemb.errors import ConfigError, ConfigErrors
from sentemb.recipe.loader import load_recipe
from tests.recipe.samples import GOOD, STAGES, messages


# ------------------------------------------------------------------------------------------------ unreadable files
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", 'r.yaml: the file is empty. Write a recipe; "sentemb recipes show quickstart" is one.'),
        (b"# only a comment\n", "r.yaml: the file is empty. "),
        (b"- 1\n", "r.yaml:1: a recipe is a block of settings (key: value), not [1]. "),
        (b"simcse\n", 'r.yaml:1: a recipe is a block of settings (key: value), not "simcse". '),
        (b"a: 1\nb: \xff\n", "r.yaml:2: byte 0xff is not UTF-8. Save the file as UTF-8."),
        (b"a: 1\nb: c: d\n", "r.yaml:2: not valid YAML: mapping values are not allowed here. Correct the line; "),
        (b"a:\n\tb: 1\n", "r.yaml:2: not valid YAML: found character '\\t'"),
        (b"a: 1\nb: '\n", "r.yaml:3: not valid YAML: "),
        (b"a: 1\nb: \x07\n", "r.yaml:2: not valid YAML: the character U+0007 is not allowed. "),
        (b"a: 1\n---\nb: 1\n", "r.yaml:2: not valid YAML: but found another document. "),
        (b"a: 1\nb: !!python/name:os.system x\n", "r.yaml:2: not valid YAML: recipes have no use for the tag "),
        (b"a: 1\nb: !!int x\n", 'r.yaml:2: not valid YAML: "x" is no int. '),
        (b'a: 1\nb: "\\ud800"\n', "r.yaml:2: not valid YAML: a zero or half a surrogate pair is no character. "),
        (b"a: &a [*a]\n", "r.yaml:1: not valid YAML: blocks inside blocks without end. "),
        (b"[" * 5000, "r.yaml:1: not valid YAML: blocks inside blocks without end. "),
        (
            b"a: &a [x,x,x,x,x,x,x,x,x]\n"
            + b"".join(b"%c: &%c [%s]\n" % (n, n, b",".join([b"*%c" % (n - 1)] * 9)) for n in b"bcdef"),
            "r.yaml:1: not valid YAML: far too many values, ",
        ),
        (b"a: " + b"x" * 300_000, "r.yaml: larger than 256 kB, so not a recipe. Name a recipe file."),
    ],
)
def test_an_unreadable_file_is_one_message_with_its_line(recipe_file: Path, content: bytes, message: str) -> None:
    recipe_file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_recipe("r.yaml")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------------------------ wrong settings
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "temperature",
            "temprature",
            'r.yaml:4: method.temprature: unknown key. Did you mean "temperature"? '
            "Known: kind, temperature, head, mlm.",
        ),
        (
            "train:",
            "trian:",
            'r.yaml:7: trian: unknown key. Did you mean "train"? '
            "Known: description, encoder, method, data, views, train, stages, evaluation.",
        ),
        ("train:", "learning_rate: 1\ntrain:", "r.yaml:7: learning_rate: unknown key. It belongs in train. Known: "),
        (
            "pooling: cls",
            "pooling: clss",
            'r.yaml:1: encoder.pooling: "clss" is not one of the choices. Did you mean "cls"? ',
        ),
        ("  source: bundled:wiki\n", "  limit: 3\n", "r.yaml:5: data.source: missing. Add it: text that is not empty."),
        ("bundled:wiki", '""', 'r.yaml:6: data.source: "" has the wrong length. Give text'),
        ("bundled:wiki", "12", "r.yaml:6: data.source: 12 has the wrong type. In quotes a number is text. Give text"),
        ("source: bundled:wiki", "source:", "r.yaml:6: data.source: empty. Give text that is not empty."),
        ("  kind: simcse\n", "", "r.yaml:2: method.kind: missing. Give one of: simcse, simcse_supervised, "),
        ("simcse", "simsce", 'r.yaml:3: method.kind: "simsce" is not a method. Did you mean "simcse"? Give one of: '),
        ("kind: simcse", "kind: [1]", "r.yaml:3: method.kind: [1] is not a method. Give one of: "),
        (
            "kind: simcse\n  temperature: 0.05",
            "kind: siamese\n  objective: {kind: nt_xen, temperature: 1}",
            'r.yaml:4: method.objective.kind: "nt_xen" is not an objective. Did you mean "nt_xent"? ',
        ),
        (
            "size: 8",
            "size: many",
            'r.yaml:8: train.batch_size: "many" has the wrong type. Give a whole number above 0.',
        ),
        ("size: 8", "size: 8.5", "r.yaml:8: train.batch_size: 8.5 has the wrong type. Give a whole number above 0."),
        ("size: 8", "size: true", "r.yaml:8: train.batch_size: true has the wrong type. Give a whole number above 0."),
        ("size: 8", "size: 0", "r.yaml:8: train.batch_size: 0 is out of range. Give a whole number above 0."),
        ("batch_size: 8", "epochs: .nan", "r.yaml:8: train.epochs: nan is out of range. Give a number above 0."),
        (
            "batch_size: 8",
            "warmup_ratio: 1",
            "r.yaml:8: train.warmup_ratio: 1 is out of range. Give a number of at least 0 and below 1.",
        ),
        (
            "pooling: cls",
            "max_tokens: 2",
            "r.yaml:1: encoder.max_tokens: 2 is out of range. Give a whole number of at least 3 (or null).",
        ),
        (
            "batch_size: 8",
            "precision: fp16",
            'r.yaml:8: train.precision: "fp16" is not one of the choices. Give one of: auto, ',
        ),
        (
            "batch_size: 8",
            "gradient_cache: 3",
            "r.yaml:8: train.gradient_cache: 3 has the wrong type. Give true or false.",
        ),
        (
            "source: bundled:wiki",
            "source: x\n  columns: [a, 5]",
            "r.yaml:7: data.columns.1: 5 has the wrong type. In quotes a number is text. Give text.",
        ),
        (
            "source: bundled:wiki",
            "source: x\n  score_range:\n    - 1",
            "r.yaml:7: data.score_range: [1] has the wrong length. Give a list of 2: each a number.",
        ),
        (
            "train:\n  batch_size: 8",
            "train: 8",
            "r.yaml:7: train: 8 has the wrong type. Give a block with the keys batch_size, ",
        ),
        ("train:", "evaluation:\ntrain:", "r.yaml:7: evaluation: empty. Give a block with the keys dev, suite."),
        (
            "temperature: 0.05",
            "temperature: 1\n  temperature: 2",
            "r.yaml:5: method.temperature: given twice, first at r.yaml:4. ",
        ),
        ("train:", "1: x\ntrain:", 'r.yaml:7: the key "1" is not text. '),
        ("train:", "<<: {a: 1}\ntrain:", 'r.yaml:7: the key "<<" is not text. Use the name of a setting; '),
        (
            "source: bundled:wiki",
            "source: x\n  rows: pairs",
            "r.yaml:7: data.rows is pairs, but method simcse takes sentences. Change one of the two.",
        ),
        (
            "train:",
            "stages: [{name: a, method: {kind: simcse}, data: {source: x}}]\ntrain:",
            "r.yaml:7: give either stages, or method with data, views and train, not both. Change one of the two.",
        ),
        (
            "train:",
            "stages: []\ntrain:",
            "r.yaml:7: stages: [] has the wrong length. Give a list that is not empty: each a block with the keys ",
        ),
    ],
)
def test_each_mistake_has_its_line_key_value_and_remedy(recipe_file: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    found = messages(recipe_file, GOOD.replace(old, new, 1))
    assert len(found) == 1
    assert found[0].startswith(message)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed: 7", "sead: 7", 'r.yaml:15: stages.1.train.sead: unknown key. Did you mean "seed"? '),
        ("- sentence1", "- [x]", "r.yaml:12: stages.1.data.columns.1: ['x'] has the wrong type. Give text."),
        ("      kind: sbert_regression\n", "      {}\n", "r.yaml:6: stages.1.method.kind: missing. "),
        ("name: second", "name: first", "r.yaml:1: two stages have the same name. Give each its own."),
        (
            "name: second",
            "name: a b",
            'r.yaml:5: stages.1.name: "a b" has characters that are not allowed here. Give text that ',
        ),
        (
            "  - name: first",
            "  - 5\n  - name: first",
            "r.yaml:2: stages.0: 5 has the wrong type. Give a block with the keys name, ",
        ),
        (
            "source: bundled:stsb-train",
            "source: x\n      rows: pairs",
            "r.yaml:10: stages.1: data.rows is pairs, but method sbert_regression takes scored_pairs. ",
        ),
    ],
)
def test_mistakes_in_a_stage_have_its_number_and_line(recipe_file: Path, old: str, new: str, message: str) -> None:
    assert old in STAGES
    found = messages(recipe_file, STAGES.replace(old, new, 1))
    assert len(found) == 1
    assert found[0].startswith(message)


def test_a_key_named_like_the_method_keeps_its_name(recipe_file: Path) -> None:
    found = messages(recipe_file, GOOD.replace("temperature", "simcse"))
    assert found[0].startswith("r.yaml:4: method.simcse: unknown key. ")


def test_a_recipe_of_nothing_but_a_description_says_what_is_missing(recipe_file: Path) -> None:
    found = messages(recipe_file, "description: x\n")
    assert found == ["r.yaml:1: method and data missing. A recipe needs method and data, or stages."]


def test_all_mistakes_come_at_once_in_the_order_of_the_file_then_of_the_overrides(recipe_file: Path) -> None:
    text = (
        GOOD.replace("pooling", "poling")
        .replace("0.05", "-1")
        .replace("size: 8", "size: x")
        .replace("wiki", "wiki\n  rows: pairs")
    )
    text += "  batch_size: 9\n"
    recipe_file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigErrors) as caught:
        load_recipe("r.yaml", ["train.seed=x", "nothing", "train.epochs=0"])
    assert [error.place for error in caught.value.errors] == [
        "r.yaml:1",
        "r.yaml:4",
        "r.yaml:7",  # rows and method contradict each other: looked for although single settings are wrong
        "r.yaml:9",
        "r.yaml:10",
        "--set train.seed=x",
        "--set nothing",
        "--set train.epochs=0",
    ]


@pytest.mark.parametrize(
    "broken", [("kind: simcse", "kind: simsce"), ("method:\n  kind: simcse\n  temperature: 0.05", "method: simcse")]
)
def test_a_contradiction_is_not_made_up_where_the_method_itself_is_wrong(
    recipe_file: Path, broken: tuple[str, str]
) -> None:
    text = GOOD.replace(*broken)
    assert text != GOOD
    found = messages(recipe_file, text.replace("size: 8", "size: x"))
    assert [line.split(": ")[1] for line in found] in (
        ["method.kind", "train.batch_size"],
        ["method", "train.batch_size"],
    )


def test_a_list_is_not_called_empty_because_its_only_stage_is_wrong(recipe_file: Path) -> None:
    found = messages(recipe_file, "stages:\n  - name: one\n    method: {kind: simcse}\n")
    assert len(found) == 1
    assert found[0].startswith("r.yaml:2: stages.0.data: missing. Add it: a block with the keys source, ")
