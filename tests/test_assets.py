"""The bundled data: there, whole, and free of the sentences that it will be measured on."""

from __future__ import annotations

import gzip
import importlib.util
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from sentemb import assets
from sentemb.errors import DataError

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "sentemb" / "assets"
STSB = {"stsb-train": 5749, "stsb-dev": 1500, "stsb-test": 1379}
NLI = {
    "nli-triplets.tsv.gz": ("anchor", "positive", "negative"),
    "nli-labelled.tsv.gz": ("sentence1", "sentence2", "label"),
}
LABELS = {"entailment", "neutral", "contradiction"}


def load_script(name: str) -> ModuleType:
    """A script of data_scripts, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "data_scripts" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build_assets = load_script("build_assets")


def read(file: Path) -> str:
    data = file.read_bytes()
    return (gzip.decompress(data) if file.suffix == ".gz" else data).decode("utf-8")


def rows(file: Path) -> tuple[tuple[str, ...], list[list[str]]]:
    header, *lines = read(file).removesuffix("\n").split("\n")
    return tuple(header.split("\t")), [line.split("\t") for line in lines]


def training_sentences() -> dict[str, str]:
    """Key → text of every sentence of the Wikipedia and NLI samples and the back-translations."""
    texts = [line for line in read(assets.path("wiki")).split("\n") if line]
    texts += [text for row in rows(FOLDER / "wiki-back-translated.tsv.gz")[1] for text in row]
    for name in NLI:
        texts += [text for row in rows(FOLDER / name)[1] for text in row if text not in LABELS]
    return {build_assets.key(text): text for text in texts}


@pytest.mark.parametrize("name", assets.names())
def test_every_bundled_name_is_there(name):
    assert assets.path(name).exists()
    assert assets.path(f"bundled:{name}") == assets.path(name)


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(
        DataError, match=r'"bundled:stsb-tset": no bundled asset .* Did you mean "stsb-test"\?.*Use one of: bundled:'
    ):
        assets.path("bundled:stsb-tset")


@pytest.mark.parametrize(("name", "n_rows"), STSB.items())
def test_stsb_has_its_rows_and_scores(name, n_rows):
    header, table = rows(assets.path(name))
    assert header == ("score", "sentence1", "sentence2")
    assert len(table) == n_rows
    assert all(len(row) == 3 and 0 <= float(row[0]) <= 5 and row[1].strip() and row[2].strip() for row in table)


def test_wiki_is_sentences_in_documents():
    documents = [document.split("\n") for document in read(assets.path("wiki")).removesuffix("\n").split("\n\n")]
    sentences = [line for document in documents for line in document]
    assert len(sentences) >= 50_000
    assert len(documents) >= 300
    assert all(len(document) >= 5 for document in documents)
    assert all(4 <= len(line.split()) <= 60 and line == line.strip() for line in sentences)
    assert len({build_assets.key(line) for line in sentences}) > 0.99 * len(sentences)


def test_back_translated_pairs_are_two_wordings_of_a_sentence_and_neither_is_it():
    header, table = rows(assets.path("wiki-back-translated"))
    assert header == ("anchor", "positive") and len(table) == 1280
    sentences = {line for line in read(assets.path("wiki")).split("\n") if line}
    assert all(len(row) == 2 and all(row) and row[0] != row[1] for row in table)
    assert [text for row in table for text in row if text in sentences] == []
    shared = [len(set(a.lower().split()) & set(b.lower().split())) / len(set(a.lower().split())) for a, b in table]
    assert sum(shared) / len(shared) > 0.5  # of the same sentence
    assert assets.path("wiki-back-translated").stat().st_size < 300_000


@pytest.mark.parametrize(("name", "columns"), NLI.items())
def test_nli_samples_have_their_columns_and_no_blanks(name, columns):
    header, table = rows(FOLDER / name)
    assert header == columns
    assert len(table) >= 4_500
    assert all(len(row) == 3 and all(text.strip() for text in row) for row in table)
    assert len({tuple(row) for row in table}) == len(table)


def test_nli_labels_are_balanced():
    labels = Counter(row[2] for row in rows(FOLDER / "nli-labelled.tsv.gz")[1])
    assert set(labels) == LABELS
    assert len(set(labels.values())) == 1


def test_no_training_sentence_is_in_stsb():
    training = training_sentences()
    measured = {build_assets.key(text) for name in STSB for row in rows(assets.path(name))[1] for text in row[1:]}
    assert len(measured) > 10_000
    assert {training[key] for key in training.keys() & measured} == set()


@pytest.mark.data
def test_no_training_sentence_is_in_an_sts_or_sick_file(data_dir):
    training = training_sentences()
    measured = build_assets.evaluation_keys(data_dir)
    assert len(measured) > 25_000
    assert {training[key] for key in training.keys() & measured} == set()


@pytest.mark.data
def test_the_script_makes_the_same_files_again(data_dir, tmp_path, capsys):
    build_assets.build(data_dir, tmp_path, seed=0, n_wiki=60_000, n_labelled=12_000)
    made = sorted(tmp_path.iterdir())
    assert len(made) == 6
    assert [file.name for file in made if read(file) != read(FOLDER / file.name)] == []
    assert capsys.readouterr().out.count("licence: ") == 6


def test_sizes_stay_under_what_a_wheel_may_weigh():
    sizes = {
        file: file.stat().st_size for file in FOLDER.rglob("*") if file.is_file() and "__pycache__" not in file.parts
    }
    assert sum(sizes.values()) < 33e6
    assert sum(size for file, size in sizes.items() if "mini" in file.parts) <= 20e6


def test_the_encoder_has_safetensors_and_no_other_weights():
    files = {file.name for file in assets.path("mini").rglob("*")}
    assert "model.safetensors" in files
    assert "config.json" in files
    assert {name for name in files if name.endswith((".bin", ".pt", ".pth", ".pkl", ".ckpt", ".h5", ".onnx"))} == set()


def test_every_asset_has_its_licence_written_down():
    licences = (FOLDER / "LICENCES.md").read_text(encoding="utf-8")
    files = [file for file in FOLDER.iterdir() if file.name not in ("__init__.py", "__pycache__", "LICENCES.md")]
    assert [file.name for file in files if f"`{file.name}" not in licences] == []


def test_a_packed_file_has_no_time_in_it():
    for file in FOLDER.glob("*.gz"):
        flags, time = file.read_bytes()[3], file.read_bytes()[4:8]
        assert (flags, time) == (0, bytes(4)), file.name


def test_triplets_use_every_hypothesis_of_a_premise_that_has_both_kinds():
    pairs = [
        ("entailment", "P", "e1"),
        ("contradiction", "P", "c1"),
        ("contradiction", "p!", "c2"),
        ("entailment", "Q", "e"),
    ]
    assert build_assets.nli_triplets(pairs) == [("P", "e1", "c1"), ("P", "e1", "c2")]


def test_the_wiki_sample_keeps_the_order_of_the_source_and_whole_documents():
    documents = [[f"document {i} sentence {j}" for j in range(5)] for i in range(20)]
    sample = build_assets.wiki_sample(documents, 30, seed=1)
    assert len(sample) == 6
    assert sample == [document for document in documents if document in sample]
    assert sample != build_assets.wiki_sample(documents, 30, seed=2)


@pytest.mark.slow
def test_the_wheel_is_small_enough_and_holds_the_assets(tmp_path):
    build = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "No module named hatchling" in build.stderr:
        pytest.skip("hatchling is not installed")
    assert build.returncode == 0, build.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 35e6
    names = set(zipfile.ZipFile(wheel).namelist())
    held = [file for file in FOLDER.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    assert [str(file) for file in held if file.relative_to(ROOT).as_posix() not in names] == []
