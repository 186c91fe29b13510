from __future__ import annotations

import pickle
import random

import numpy as np
import pytest
import torch
from scipy import stats
from transformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    M2M100Config,
    M2M100ForConditionalGeneration,
    NllbTokenizer,
)

from sentemb.augment.translators import CutTranslation
from sentemb.augment.translators_transformers import BeamSearch, Sampling, TransformersTranslator, _GumbelNoise
from sentemb.errors import ConfigError, ModelError
from tests.augment.tiny_marian import POSITIONS, WORDS, save_marian
from tests.augment.toy import NASTY
from tests.tiny import save_tiny

DRAW = random.Random(1)
TEXTS = [" ".join(DRAW.choice(WORDS) for _ in range(n)) for n in (1, 9, 2, 17, 5, 5, 30, 1, 12, 3)]


@pytest.fixture(scope="module")
def marian(tmp_path_factory):
    return save_marian(tmp_path_factory.mktemp("marian"))


def translator(folder, decoding=None, **changes) -> TransformersTranslator:
    settings = {
        "max_new_tokens": 20, "max_tokens_per_batch": 64, "device": "cpu", "source_language": None,
        "target_language": None,
    }  # fmt: skip
    return TransformersTranslator(str(folder), decoding=decoding or BeamSearch(1), **settings | changes)


# ------------------------------------------------------------------------------------ the oracle: a step at a time
class Oracle:
    """p(next token | text, tokens so far) by a whole pass of the model for each step."""

    def __init__(self, folder):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForSeq2SeqLM.from_pretrained(folder).eval()

    @torch.no_grad()
    def logits(self, text, tokens):
        ids = torch.tensor([self.tokenizer(text)["input_ids"]])
        return self.model(input_ids=ids, decoder_input_ids=torch.tensor([[2, *tokens]])).logits[0, -1].double().numpy()

    def greedy(self, text, limit):
        tokens = []
        while len(tokens) < limit - 1 and (not tokens or tokens[-1] != 0):
            tokens.append(int(self.logits(text, tokens).argmax()))
        return tokens if tokens[-1] == 0 else [*tokens, 0]  # Marian forces the end at the limit

    def words(self, tokens):
        return " ".join(self.tokenizer.convert_ids_to_tokens(token) for token in tokens if token > 4)


def test_greedy_takes_the_best_token_of_each_step(marian):
    oracle, got = Oracle(marian), translator(marian)(TEXTS)
    found = [oracle.greedy(text, 20) for text in TEXTS]
    assert got == [oracle.words(tokens) for tokens in found]
    assert len({len(tokens) for tokens in found}) > 3
    cut = [isinstance(text, CutTranslation) for text in got]
    assert cut == [len(tokens) >= 20 for tokens in found] and any(cut) and not all(cut)


def test_beams_find_what_is_at_least_as_likely(marian):
    oracle = Oracle(marian)

    def score(text, translation):
        tokens = [*oracle.tokenizer(translation)["input_ids"]]
        steps = [oracle.logits(text, tokens[:i]) for i in range(len(tokens))]
        return sum(x[t] - np.logaddexp.reduce(x) for x, t in zip(steps, tokens, strict=True)) / len(tokens)

    greedy, beams = translator(marian)(TEXTS), translator(marian, BeamSearch(6))(TEXTS)
    whole = [
        i
        for i, pair in enumerate(zip(greedy, beams, strict=True))
        if not any(isinstance(t, CutTranslation) for t in pair)
    ]
    gains = [score(TEXTS[i], beams[i]) - score(TEXTS[i], greedy[i]) for i in whole]
    assert len(gains) >= 3 and np.mean(gains) > 0 and beams != greedy


DECODINGS = {"greedy": BeamSearch(1), "beams": BeamSearch(3), "sampling": Sampling(1.0)}


@pytest.mark.parametrize("name", list(DECODINGS))
def test_neither_batches_nor_order_change_a_translation(marian, name):
    decoding = DECODINGS[name]
    whole = translator(marian, decoding, max_tokens_per_batch=2000)
    single = translator(marian, decoding, max_tokens_per_batch=1)

    def run(made, order):
        seeds = {"seeds": [100 + i for i in order]} if made.takes_seeds else {}
        return made([TEXTS[i] for i in order], **seeds)

    expected = run(single, range(len(TEXTS)))
    order = random.Random(2).sample(range(len(TEXTS)), len(TEXTS))
    assert run(whole, order) == [expected[i] for i in order]
    assert [type(text) for text in run(whole, order)] == [type(expected[i]) for i in order]
    assert run(pickle.loads(pickle.dumps(single)), range(3)) == expected[:3]
    assert len(set(expected)) > 5


def test_batches_hold_no_more_than_the_budget(marian, monkeypatch):
    made, shapes = translator(marian), []
    generate = made.model.generate
    monkeypatch.setattr(made.model, "generate", lambda **kw: shapes.append(kw["input_ids"].shape) or generate(**kw))
    made(TEXTS)
    assert len(shapes) > 1 and all(rows * width <= 64 for rows, width in shapes)
    assert sum(rows for rows, _ in shapes) == len(TEXTS)


@pytest.mark.parametrize("temperature", [1.0, 0.4])
def test_samples_follow_the_softmax_and_leave_the_global_generator_alone(marian, temperature):
    oracle, made, n = Oracle(marian), translator(marian, Sampling(temperature), max_new_tokens=2), 1500
    torch.manual_seed(5)
    state = torch.get_rng_state()
    drawn = made(["the red dog"] * n, seeds=range(n))
    assert torch.equal(torch.get_rng_state(), state)
    logits = oracle.logits("the red dog", []) / temperature
    p = np.exp(logits - np.logaddexp.reduce(logits))
    words = {token: oracle.words([token]) for token in range(len(p))}
    expected = {word: sum(p[token] for token in words if words[token] == word) for word in set(words.values())}
    kept = [word for word, share in expected.items() if share * n >= 5]
    counts = [drawn.count(word) for word in kept]
    rest = n - sum(counts)
    shares = [expected[word] for word in kept]
    assert len(kept) > 3
    result = stats.chisquare([*counts, rest + 1e-9], [n * share for share in [*shares, 1 - sum(shares) + 1e-12]])
    assert result.pvalue > 1e-3


def test_each_step_and_each_text_draws_noise_of_its_own(marian):
    noise = _GumbelNoise([5, 6], 1.0)
    first, second = (noise(torch.zeros(2, step), torch.zeros(2, 20_000)) for step in (1, 2))
    assert abs(first.mean().item() - 0.5772) < 0.03 and abs(first.var().item() - np.pi**2 / 6) < 0.06  # Gumbel(0, 1)
    pairs = [(first[0], first[1]), (first[0], second[0])]
    assert all(abs(np.corrcoef(a, b)[0, 1]) < 0.03 for a, b in pairs)
    made = translator(marian, Sampling(1.0))
    alone = [made([text], seeds=[seed])[0] for text, seed in zip(TEXTS, range(10), strict=True)]
    assert made(["", *TEXTS, " "], seeds=[77, *range(10), 78]) == ["", *alone, ""]


def test_a_text_that_is_too_long_is_cut_and_flagged(tmp_path):
    made = translator(save_marian(tmp_path, end_bias=50.0))  # ends at once, so that only the source can be too long
    texts = ["red " * (POSITIONS - 2), "red " * (POSITIONS - 1), "red " * POSITIONS, "red " * 500]
    assert [isinstance(text, CutTranslation) for text in made(texts)] == [False, False, True, True]


def test_more_new_tokens_than_the_model_has_places_for(tmp_path):
    made = translator(save_marian(tmp_path, end_bias=-50.0), max_new_tokens=1000)
    (text,) = made(["a dog"])
    assert isinstance(text, CutTranslation) and made.max_new_tokens == POSITIONS - 1


@pytest.mark.parametrize("text", [text[:200] for text in NASTY])
def test_any_text_is_taken(marian, text):
    (got,) = translator(marian)([text])
    assert isinstance(got, str) and (got == "" or text.strip())


def test_blank_texts_keep_their_places(marian):
    made = translator(marian)
    assert made(["", TEXTS[0], " \n", TEXTS[1]]) == ["", *made(TEXTS[:1]), "", *made(TEXTS[1:2])]
    assert made([]) == [] and made(["\0"]) == [""]


# ------------------------------------------------------------------------------------------------ languages
@pytest.fixture(scope="module")
def nllb(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nllb")
    vocabulary = {piece: i for i, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", "▁", *"abcdefghij"])}
    tokenizer = NllbTokenizer(vocab=vocabulary, merges=[], extra_special_tokens=["eng_Latn", "spa_Latn"])
    tokenizer.save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = M2M100ForConditionalGeneration(
            M2M100Config(
                vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
                decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=32,
                pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2,
            )
        )  # fmt: skip
    model.save_pretrained(folder)
    return folder


def test_languages_are_the_first_tokens_of_source_and_translation(nllb, monkeypatch):
    made, seen = translator(nllb, source_language="eng_Latn", target_language="spa_Latn"), []
    generate = made.model.generate

    def spy(**arguments):
        found = generate(**arguments)
        seen.append((arguments["input_ids"], found))
        return found

    monkeypatch.setattr(made.model, "generate", spy)
    made(["abc"])
    ((source, target),) = seen
    english, spanish = made.tokenizer.convert_tokens_to_ids(["eng_Latn", "spa_Latn"])
    assert source[0, 0] == english and source[0, -1] == 2 and target[0, :2].tolist() == [2, spanish]
    back = translator(nllb, source_language="spa_Latn", target_language="eng_Latn")
    assert back.tokenizer("abc")["input_ids"][0] == spanish and back.generation.forced_bos_token_id == english


@pytest.mark.parametrize("which", ["source_language", "target_language"])
def test_an_unknown_language(nllb, which):
    with pytest.raises(ConfigError, match='^back_translation: language: "xxx_Latn" is no language of .*nllb.*eng_Latn'):
        translator(nllb, **{which: "xxx_Latn"})


# ------------------------------------------------------------------------------------------------ identity, errors
def test_the_identity_is_of_all_that_decides_a_translation(marian, tmp_path):
    others = [
        translator(marian),
        translator(marian, BeamSearch(2)),
        translator(marian, Sampling(1.0)),
        translator(marian, Sampling(0.5)),
        translator(marian, max_new_tokens=19),
        translator(marian, source_language="xx_XX"),
        translator(marian, target_language="xx_XX"),
    ]
    assert len({made.identity for made in others}) == len(others)
    same_name = [translator(save_marian(tmp_path, end_bias=bias)).identity for bias in (1.0, 1.5, 1.0)]
    assert same_name[0] == same_name[2] != same_name[1]
    assert translator(marian, max_tokens_per_batch=3).identity == others[0].identity
    assert [made.takes_seeds for made in others[:4]] == [False, False, True, True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decoding": BeamSearch(0)}, "n_beams: 0 is not a whole number from 1"),
        ({"decoding": Sampling(0.0)}, "temperature: 0.0 is not a number above 0"),
        ({"max_new_tokens": 0}, "max_new_tokens: 0 is not a whole number from 1"),
        ({"max_tokens_per_batch": 0}, "max_tokens_per_batch: 0 is not a whole number from 1"),
    ],
)
def test_arguments_out_of_range(marian, changes, message):
    with pytest.raises(ConfigError, match=f"^back_translation.{message}"):
        translator(marian, **changes)


def test_seeds_where_they_belong(marian):
    with pytest.raises(ValueError, match="seeds are needed to sample"):
        translator(marian, Sampling(1.0))(["a"])
    with pytest.raises(ValueError, match="seeds are of no use to beam search"):
        translator(marian)(["a"], seeds=[0])


def test_a_model_that_is_none(tmp_path):
    with pytest.raises(ModelError, match="gone: can't be opened as a translation model .* such as an opus-mt one"):
        translator(tmp_path / "gone")
    with pytest.raises(ModelError, match="can't be opened as a translation model"):
        translator(save_tiny(tmp_path / "bert"))


def test_pickled_weights_are_never_read(tmp_path):
    with pytest.raises(ModelError, match=r"can't be opened as a translation model .*safetensors"):
        translator(save_marian(tmp_path, safe=False))
