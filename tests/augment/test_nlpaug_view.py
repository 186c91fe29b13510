"""The guards against a small fake with nlpaug's faults; then, where nlpaug 1.1.11 is installed, nlpaug itself."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Sequence

import numpy as np
import pytest
import torch

from sentemb.augment.nlpaug_guards import build
from sentemb.augment.nlpaug_view import NlpaugView
from sentemb.errors import ConfigError, DataError
from tests.augment import fake_nlpaug
from tests.augment.tiny_roberta import save_tiny_roberta
from tests.tiny import SENTENCES, save_tiny

TEXTS = [
    *SENTENCES,
    "It doesn't rain.",
    "",
    "  \n",
    "Hi",
    "two words",
    "東京 に 行く 😀",
    "Hello there. How are you? Fine!",
]
SEEDS = [2**63 - 1 - 5 * i for i in range(len(TEXTS))]


def synonyms(word: str) -> Sequence[str]:
    return {"man": ["gentleman", "fellow"], "dog": ["hound"], "plays": ["performs"], "hi": ["hello"]}.get(word, [])


def states():
    return random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()  # noqa: NPY002


@pytest.fixture
def fake(monkeypatch) -> None:
    fake_nlpaug.install(monkeypatch)


# ------------------------------------------------------------------------------------------------ against the fake
@pytest.mark.usefixtures("fake")
class TestGuards:
    def test_each_text_draws_from_its_own_seed(self):
        view = NlpaugView("RandomWordAug", {})
        whole = view(TEXTS, SEEDS)
        assert view(TEXTS[::-1], SEEDS[::-1])[::-1] == whole
        assert [view([text], [seed])[0] for text, seed in zip(TEXTS, SEEDS, strict=True)] == whole
        drawn = [tuple(text.split()[-3:]) for text in view(["a"] * 20, range(20))]
        for generator in zip(*drawn, strict=True):  # Python's, NumPy's and torch's
            assert len(set(generator)) == 20

    def test_seeds_that_differ_in_their_high_half_only_differ(self):
        one, other = NlpaugView("RandomWordAug", {})(["a", "a"], [5, 5 + (1 << 40)])
        assert all(x != y for x, y in zip(one.split()[1:], other.split()[1:], strict=True))

    def test_the_global_generators_are_as_they_were(self):
        before = states()
        NlpaugView("RandomWordAug", {})(TEXTS, SEEDS)
        assert states() == before
        flow = [{"name": "RandomWordAug"}, {"name": "KeyboardAug", "arguments": {"leaves": "two"}}]
        with pytest.raises(DataError):
            NlpaugView("Sequential", {"flow": flow})(["a"], [0])
        assert states() == before

    def test_blanks_are_kept_and_words_not_torn(self):
        got = NlpaugView("RandomWordAug", {})(["", " ", "doesn't"], [1, 2, 3])
        assert got[:2] == ["", " "]
        assert got[2].startswith("doesn't ")

    def test_a_tokenizer_of_ones_own_is_used(self):
        got = NlpaugView("RandomWordAug", {"tokenizer": list, "reverse_tokenizer": "-".join})(["ab"], [0])
        assert got[0].startswith("a-b-")

    @pytest.mark.parametrize("key", ["aug_p", "aug_max"])
    def test_zero_means_nothing_is_done(self, key):
        texts = ["it  doesn't ", ""]
        assert NlpaugView("RandomWordAug", {key: 0})(texts, [0, 1]) == texts
        assert NlpaugView("RandomWordAug", {key: None} if key == "aug_max" else {key: 0.1})(texts, [0, 1]) != texts
        assert NlpaugView("KeyboardAug", {"aug_char_p": 0.0})(texts, [0, 1]) == texts
        flow = [{"name": "RandomWordAug", "arguments": {key: 0}}]
        assert NlpaugView("Sequential", {"flow": flow})(texts, [0, 1]) == texts

    def test_a_text_of_which_nothing_is_left_stays(self):
        assert NlpaugView("KeyboardAug", {})(["a b"], [0]) == ["a b"]

    @pytest.mark.parametrize("leaves", ["two", "none", "nested"])
    def test_other_than_one_text_of_one_is_refused(self, leaves):
        with pytest.raises(DataError, match=r'nlpaug.KeyboardAug: made \[.*\] of "a b". Use another augmenter.'):
            NlpaugView("KeyboardAug", {"leaves": leaves})(["a b"], [0])

    def test_as_many_seeds_as_texts(self):
        with pytest.raises(ValueError, match="2 texts need as many seeds, not 1"):
            NlpaugView("RandomWordAug", {})(["a", "b"], [0])

    def test_a_flow_runs_its_parts_in_order(self):
        flow = [{"name": "SynonymAug"}, {"name": "Sometimes", "arguments": {"aug_p": 1.0, "flow": [
            {"name": "RandomWordAug"}, {"name": "KeyboardAug", "arguments": {"aug_char_p": 0}}]}}]  # fmt: skip
        got = NlpaugView("Sequential", {"flow": flow}, synonyms=synonyms)(["The dog runs", ""], [0, 1])
        assert got[0].startswith("The hound runs 0.")
        assert len(got[0].split()) == 6
        assert got[1] == ""

    def test_sometimes_draws_for_each_text(self):
        view = NlpaugView("Sometimes", {"aug_p": 0.3, "flow": [{"name": "RandomWordAug"}]})
        share = sum(text != "a" for text in view(["a"] * 300, range(300))) / 300
        assert abs(share - 0.3) < 0.11  # 4 standard errors

    def test_synonyms_are_those_passed_with_the_punctuation_kept(self):
        view = NlpaugView("SynonymAug", {}, synonyms=synonyms)
        assert view(["The (dog), Plays!", "a co-op"], [0, 1]) == ["The (hound), performs!", "a co-op"]

    def test_a_spelling_dictionary_is_its_own_and_in_order(self):
        assert NlpaugView("SpellingAug", {})(["a dog"], [0]) == ["a dgo"]

    @pytest.mark.parametrize("n_words", [1, 2, 3, 9])
    def test_crop_takes_a_range(self, n_words):
        words = [f"w{i}" for i in range(n_words)]
        view = NlpaugView("RandomWordAug", {"action": "crop"})
        gone = set()
        for text in view([" ".join(words)] * 60, range(60)):
            kept = [words.index(word) for word in text.split()]
            missing = sorted(set(range(n_words)) - set(kept))
            assert missing == list(range(missing[0], missing[-1] + 1)) if missing else n_words == 1
            gone |= set(missing)
        assert gone == (set(range(n_words)) if n_words > 1 else set())

    def test_one_sentence_is_not_swapped(self):
        got = NlpaugView("RandomSentAug", {})(["One only.", "First. Second? Third"], [0, 1])
        assert got == ["One only.", "Second? First. Third"]

    def test_a_contextual_model_is_loaded_from_its_folder_and_mended(self, tmp_path):
        for name in ("one", "two"):
            save_tiny(tmp_path / name / "same")
        first, second = (
            build("ContextualWordEmbsAug", {"model_path": str(tmp_path / name / "same")}, None, "nlpaug")
            for name in ("one", "two")
        )
        assert (first.model.path, second.model.path) == tuple(str(tmp_path / n / "same") for n in ("one", "two"))
        assert first.model_type == "bert"
        assert first.model.model.weight.dtype == torch.float32
        view = NlpaugView("ContextualWordEmbsAug", {"model_path": "bundled:mini"})
        assert view(["a dog", ""], [0, 1]) == ["a dog [MASK]", ""]

    @pytest.mark.parametrize(("config", "model_type"), [("distilbert", "bert"), ("roberta", "roberta")])
    def test_the_type_of_a_contextual_model_is_read_from_its_folder(self, tmp_path, config, model_type):
        (tmp_path / "config.json").write_text(json.dumps({"model_type": config}), encoding="utf-8")
        assert build("ContextualWordEmbsAug", {"model_path": str(tmp_path)}, None, "x").model_type == model_type

    @pytest.mark.parametrize(
        ("name", "arguments", "message"),
        [
            ("RandomWordAgu", {}, r'name: nlpaug has no augmenter "RandomWordAgu". Did you mean "RandomWordAug"\?'),
            ("NoiseAug", {}, "nlpaug.name: NoiseAug is not run here: it works on sound, not on text. Use one of"),
            ("AbstSummAug", {}, "AbstSummAug is not run here: it writes new sentences .* downloads"),
            ("BackTranslationAug", {}, "starts two worker processes a text"),
            ("AntonymAug", {}, "needs a part-of-speech tagger"),
            ("WordEmbsAug", {}, "needs gensim"),
            ("RandomWordAug", {"aug_pp": 1}, r'arguments.aug_pp: .*no such argument. Did you mean "aug_p"\? Use'),
            ("RandomWordAug", {"num_thread": 4}, "nlpaug.arguments.num_thread: RandomWordAug has no such argument"),
            ("SynonymAug", {}, "nlpaug.arguments: SynonymAug has no synonyms, and nlpaug would download WordNet"),
            ("SynonymAug", {"aug_src": "ppdb"}, 'nlpaug.arguments.aug_src: "ppdb" needs a part-of-speech tagger'),
            ("ContextualWordEmbsAug", {}, "nlpaug.arguments.model_path: no folder given, and nlpaug would download"),
            ("ContextualWordEmbsAug", {"model_path": "bert-base-uncased"}, '"bert-base-uncased" is no folder with'),
            ("ContextualWordEmbsAug", {"model_path": "bundled:mini", "use_custom_api": False}, "use_custom_api: false"),
            ("SplitAug", {"min_char": 2}, "nlpaug.arguments.min_char: 2 is below 3"),
            ("ReservedAug", {"reserved_tokens": [], "generate_all_combinations": True}, "makes many texts of one"),
            ("TfIdfAug", {"model_path": "/nowhere"}, 'model_path: "/nowhere" holds no tfidfaug_w2idf.txt'),
            ("Sequential", {}, "nlpaug.arguments.flow: None is not a list of augmenters"),
            ("Sequential", {"flow": ["RandomWordAug"]}, r'arguments.flow\[0\]: "RandomWordAug" is not an augm'),
            ("Sequential", {"flow": [{"name": "Sometimes", "arguments": {"flow": [{"name": "KeyAug"}]}}]},
             r'nlpaug.arguments.flow\[0\].arguments.flow\[0\].name: nlpaug has no augmenter "KeyAug"'),
        ],
    )  # fmt: skip
    def test_what_is_refused(self, name, arguments, message):
        with pytest.raises(ConfigError, match=message):
            NlpaugView(name, arguments)

    def test_a_model_type_unknown_to_nlpaug_is_refused(self, tmp_path):
        (tmp_path / "config.json").write_text('{"model_type": "albert"}', encoding="utf-8")
        with pytest.raises(ConfigError, match='a model of type "albert" is not known to nlpaug'):
            NlpaugView("ContextualWordEmbsAug", {"model_path": str(tmp_path)})


def test_another_version_is_refused(monkeypatch):
    fake_nlpaug.install(monkeypatch, version="2.0.0")
    with pytest.raises(ConfigError, match=r'version 2.0.0 is installed, .* pip install "sentemb\[nlpaug\]"'):
        NlpaugView("RandomWordAug", {})


def test_without_nlpaug_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "nlpaug", None)
    with pytest.raises(ConfigError, match=r'^nlpaug: is not installed, or .* pip install "sentemb\[nlpaug\]"\.$'):
        NlpaugView("RandomWordAug", {})


# ------------------------------------------------------------------------------------------------ against nlpaug
REAL = [
    ("RandomWordAug", {"action": "swap"}),
    ("RandomWordAug", {"action": "delete"}),
    ("RandomWordAug", {"action": "crop"}),
    ("RandomWordAug", {"action": "substitute", "target_words": ["thing"]}),
    ("KeyboardAug", {}),
    ("OcrAug", {}),
    ("RandomCharAug", {"action": "insert"}),
    ("ReservedAug", {"reserved_tokens": [["dog", "wolf"], ["man", "person"]]}),
    ("SpellingAug", {}),
    ("SplitAug", {"min_char": 3}),
    ("SynonymAug", {"aug_p": 1.0}),
    ("RandomSentAug", {}),
    ("RandomSentAug", {"mode": "random"}),
    ("ContextualWordEmbsAug", {"model_path": "TINY", "top_k": 10}),
    ("ContextualWordEmbsAug", {"model_path": "TINY", "action": "insert", "top_k": None}),
    ("Sequential", {"flow": [{"name": "RandomWordAug", "arguments": {"action": "swap"}},
                             {"name": "Sometimes", "arguments": {"flow": [{"name": "KeyboardAug"}]}}]}),
]  # fmt: skip


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return str(save_tiny(tmp_path_factory.mktemp("tiny")))


@pytest.mark.filterwarnings("ignore::SyntaxWarning")
class TestNlpaug:
    @pytest.fixture(autouse=True)
    def _installed(self):
        pytest.importorskip("nlpaug")

    @pytest.mark.parametrize(("name", "arguments"), REAL, ids=lambda value: str(value)[:40])
    def test_it_runs_and_each_text_draws_from_its_own_seed(self, name, arguments, tiny):
        arguments = {key: tiny if value == "TINY" else value for key, value in arguments.items()}
        view = NlpaugView(name, arguments, synonyms=synonyms)
        before = states()
        whole = view(TEXTS, SEEDS)
        assert states() == before
        assert len(whole) == len(TEXTS)
        assert whole != TEXTS
        assert [(a, b) for a, b in zip(TEXTS, whole, strict=True) if not a.strip()] == [("", ""), ("  \n", "  \n")]
        assert all(text.strip() for text, old in zip(whole, TEXTS, strict=True) if old.strip())
        assert view(TEXTS[::-1], SEEDS[::-1])[::-1] == whole
        assert NlpaugView(name, arguments, synonyms=synonyms)(TEXTS[:3], SEEDS[:3]) == whole[:3]
        many = [view(TEXTS, range(start, start + len(TEXTS))) for start in range(0, 600, 60)]
        assert all(len(views) == len(TEXTS) for views in many)

    def test_tf_idf_reads_the_folder_its_model_was_saved_to(self, tmp_path):
        import nlpaug.model.word_stats as word_stats

        model = word_stats.TfIdf()
        model.train([text.split() for text in SENTENCES])
        model.save(str(tmp_path))
        view = NlpaugView("TfIdfAug", {"model_path": str(tmp_path)})
        whole = view(SENTENCES, range(8))
        assert whole != SENTENCES
        assert view(SENTENCES[::-1], range(8)[::-1])[::-1] == whole

    def test_roberta_leaves_no_mask_or_unknown_word_behind(self, tmp_path):
        view = NlpaugView("ContextualWordEmbsAug", {"model_path": str(save_tiny_roberta(tmp_path)), "top_k": None})
        whole = view(SENTENCES, range(8))
        assert all(old != new and "<" not in new for old, new in zip(SENTENCES, whole, strict=True))

    def test_two_folders_of_one_name_are_two_models(self, tmp_path):
        views = [
            NlpaugView("ContextualWordEmbsAug", {"model_path": str(save_tiny(tmp_path / str(seed) / "m", seed=seed))})
            for seed in (0, 1)
        ]
        a, b = (view._augmenter.model.get_model().get_input_embeddings().weight for view in views)
        assert not torch.equal(a, b)

    def test_a_spelling_dictionary_is_in_an_order_that_no_hash_seed_changes(self):
        words = build("SpellingAug", {}, None, "nlpaug").model.dict
        assert len(words) > 1000
        assert all(others == sorted(others) for others in words.values())
