from __future__ import annotations

import random

import pytest

from sentemb.augment.back_translation import BackTranslation, Flagged
from sentemb.augment.seeds import Draws, derive_seed
from sentemb.augment.translation_cache import TranslationCache
from sentemb.augment.translators import CutTranslation
from sentemb.errors import ConfigError, ModelError
from tests.augment.toy import NASTY, random_texts


class Fake:
    """A translator by a function of one text; remembers what it was asked."""

    def __init__(self, function, identity: str = "") -> None:
        self.function, self.identity, self.calls = function, identity, []

    def __call__(self, texts: list[str]) -> list[str]:
        assert isinstance(texts, list) and texts
        self.calls.append(list(texts))
        return [self.function(text) for text in texts]

    @property
    def asked(self) -> list[str]:
        return [text for call in self.calls for text in call]


class FakeSampler:
    """A translator that appends a number drawn from the seed."""

    takes_seeds = True

    def __init__(self, identity: str = "sampler") -> None:
        self.identity, self.asked = identity, 0

    def __call__(self, texts: list[str], *, seeds: list[int]) -> list[str]:
        self.asked += len(texts)
        return [f"{text} {Draws(seed).below(10**6)}" for text, seed in zip(texts, seeds, strict=True)]


def view(forward, backward, cache=None, **changes) -> BackTranslation:
    return BackTranslation(forward, backward, cache=cache, **{"min_length_ratio": 0.5, "texts_per_call": 3} | changes)


def oracle(texts, forward, backward, ratio):
    """What becomes of each text, one at a time, and why; None: it is used."""
    outputs, reasons = [], []
    for text in texts:
        if text.strip() == "":
            outputs.append(text)
            continue
        pivot = forward(text)
        back = backward(pivot) if pivot.strip() else ""
        reason = None
        if back.strip() == "":
            reason = "empty"
        elif isinstance(pivot, CutTranslation) or isinstance(back, CutTranslation):
            reason = "truncated"
        elif len(back.strip()) / len(text.strip()) < ratio:
            reason = "truncated"
        elif "".join(back.split()) == "".join(text.split()) and len(back.split()) == len(text.split()):
            reason = "identical"
        outputs.append(back if reason is None else text)
        reasons += [reason] * (reason is not None)
    return outputs, reasons


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("cached", [False, True])
def test_it_agrees_with_one_text_at_a_time(tmp_path, ratio, cached):
    def forward(text):
        return "" if len(text) % 5 == 1 else CutTranslation(text) if len(text) % 7 == 2 else f"<{text}>"

    def backward(text):
        inner = text.strip("<>")
        kept = inner[: len(inner) // 3] if len(inner) % 3 == 1 else inner if len(inner) % 3 == 2 else inner.upper()
        return CutTranslation(kept) if len(inner) % 11 == 3 else kept

    texts = [*NASTY, *random_texts(150, 3), "dog", "dog"]
    cache = TranslationCache(tmp_path) if cached else None
    made = view(Fake(forward, "f"), Fake(backward, "b"), cache, min_length_ratio=ratio, texts_per_call=50)
    expected, reasons = oracle(texts, forward, backward, ratio)
    for _ in range(2):
        assert made(texts, [0] * len(texts)) == expected
    assert made.report.texts == 2 * sum(bool(text.strip()) for text in texts)
    assert dict(made.report.reasons) == {reason: 2 * reasons.count(reason) for reason in set(reasons)}
    assert reasons.count("empty") > 5 and reasons.count("truncated") > 5


CASES = {
    "identical": (lambda text: "pivot", lambda text: " a  dog\n", "identical"),
    "empty pivot": (lambda text: " ", lambda text: "no one asks", "empty"),
    "empty": (lambda text: "pivot", lambda text: "\n", "empty"),
    "pivot cut": (lambda text: CutTranslation("pivot"), lambda text: "some dog", "truncated"),
    "cut": (lambda text: "pivot", lambda text: CutTranslation("some dog"), "truncated"),
    "short": (lambda text: "pivot", lambda text: "a", "truncated"),
}


@pytest.mark.parametrize("case", list(CASES))
def test_what_is_of_no_use_is_flagged_and_the_text_stays(case):
    forward, backward, reason = CASES[case]
    made = view(Fake(forward), Fake(backward))
    assert made(["a dog"], [0]) == ["a dog"]
    output = "" if case == "empty pivot" else str(backward("pivot"))
    assert list(made.report.flagged) == [Flagged("a dog", output, reason)]
    assert str(made.report) == f"1 texts, of which 1 stay as they are: 1 {reason}"


def test_blank_texts_are_neither_translated_nor_counted():
    forward, backward = Fake(str.upper), Fake(str.title)
    made = view(forward, backward)
    assert made(["", " \n", "a dog", "\u3000"], [0, 1, 2, 3]) == ["", " \n", "A Dog", "\u3000"]
    assert (forward.asked, backward.asked) == (["a dog"], ["A DOG"])
    assert str(made.report) == "1 texts, all back-translated"
    assert made([], []) == [] and made([""], [0]) == [""]


def test_an_empty_pivot_is_not_translated_back():
    backward = Fake(str.title)
    assert view(lambda texts: ["" if "cat" in text else text for text in texts], backward)(
        ["a cat", "a dog"], [0, 0]
    ) == ["a cat", "A Dog"]
    assert backward.asked == ["a dog"]


def test_the_length_that_is_just_enough():
    for ratio, expected in ((0.5, "abcde"), (0.51, "0123456789")):
        made = view(lambda texts: texts, lambda texts: ["abcde" for _ in texts], min_length_ratio=ratio)
        assert made(["0123456789"], [0]) == [expected]


def test_order_batches_and_neighbours_change_nothing():
    texts = random_texts(40, 5)
    forward, backward = str.swapcase, lambda text: text[1:] + "!"
    whole = view(Fake(forward), Fake(backward))(texts, [0] * 40)
    order = list(range(40))
    random.Random(0).shuffle(order)
    shuffled = view(Fake(forward), Fake(backward), texts_per_call=7)([texts[i] for i in order], [0] * 40)
    assert shuffled == [whole[i] for i in order]
    one = view(Fake(forward), Fake(backward))
    assert [one([text], [9])[0] for text in texts] == whole


def test_calls_are_bounded_and_equal_texts_are_translated_once():
    forward, backward = Fake(str.upper), Fake(lambda text: "one and the same")
    view(forward, backward)(["a", "b", "a", "c", "d", "a"], range(6))
    assert forward.calls == [["a", "b", "c"], ["d"]] and sorted(backward.asked) == ["A", "B", "C", "D"]


def test_the_pivot_is_handed_over_as_a_plain_string():
    seen = []
    view(lambda texts: [CutTranslation(text) for text in texts], lambda texts: seen.extend(texts) or texts)(["a"], [0])
    assert [type(text) for text in seen] == [str]


# ------------------------------------------------------------------------------------------------ the cache
def test_nothing_is_translated_twice(tmp_path):
    forward, backward = Fake(str.upper, "f"), Fake(str.title, "b")
    first = view(forward, backward, TranslationCache(tmp_path))(["a dog", "a cat"], [0, 0])
    again = view(forward, backward, TranslationCache(tmp_path))(["a cat", "a dog", "a bird"], [5, 6, 7])
    assert first == ["A Dog", "A Cat"] and again == ["A Cat", "A Dog", "A Bird"]
    assert forward.asked == ["a dog", "a cat", "a bird"] and backward.asked == ["A DOG", "A CAT", "A BIRD"]


def test_another_identity_or_direction_is_another_translation(tmp_path):
    cache = TranslationCache(tmp_path)
    assert view(Fake(str.upper, "same"), Fake(lambda text: text + "?", "same"), cache)(["a dog"], [0]) == ["A DOG?"]
    assert view(Fake(lambda text: text + "!", "other"), Fake(str.title, "b"), cache)(["a dog"], [0]) == ["A Dog!"]
    swapped = view(Fake(lambda text: text + " x", "same"), Fake(str.title, "same"), cache)
    assert swapped(["A DOG"], [0]) == ["A Dog X"]  # "A DOG" was translated back before, not forth


def test_cut_translations_stay_flagged_when_they_come_from_the_cache(tmp_path):
    cache = TranslationCache(tmp_path)
    for _ in range(2):
        made = view(Fake(lambda text: CutTranslation("x"), "f"), Fake(str.upper, "b"), cache, min_length_ratio=0)
        assert made(["a dog"], [0]) == ["a dog"] and dict(made.report.reasons) == {"truncated": 1}


# ------------------------------------------------------------------------------------------------ sampling
@pytest.mark.parametrize("cached", [False, True])
def test_a_sampler_draws_from_the_seed_of_each_text(tmp_path, cached):
    cache = TranslationCache(tmp_path) if cached else None
    made = view(FakeSampler("f"), FakeSampler("b"), cache)
    got = made(["a dog", "a dog", "a cat", "a dog"], [7, 8, 7, 7])
    drawn = [[Draws(derive_seed(seed, leg)).below(10**6) for leg in (0, 1)] for seed in (7, 8, 7, 7)]
    texts = ["a dog", "a dog", "a cat", "a dog"]
    assert got == [f"{text} {there} {back}" for text, (there, back) in zip(texts, drawn, strict=True)]
    assert made.forward.asked == 3
    assert made(["a cat"], [7]) == [got[2]] and made.forward.asked == (3 if cached else 4)


# ------------------------------------------------------------------------------------------------ what is wrong
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"min_length_ratio": 1.5}, "back_translation.min_length_ratio: 1.5 is not a share from 0 to 1. Correct it."),
        ({"min_length_ratio": float("nan")}, "back_translation.min_length_ratio: nan is not"),
        ({"texts_per_call": 0}, "back_translation.texts_per_call: 0 is not a whole number from 1."),
    ],
)
def test_arguments_out_of_range(changes, message):
    with pytest.raises(ConfigError) as caught:
        view(str.upper, str.lower, **changes)
    assert message in str(caught.value)


def test_a_cache_needs_identities(tmp_path):
    with pytest.raises(
        ConfigError, match="^back_translation.backward: the translator has no identity, .* Set its attr"
    ):
        view(Fake(str.upper, "f"), Fake(str.upper), TranslationCache(tmp_path))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["x"], "the translator gave 1 translations for 2 texts. Mend the translator: it has to give one string"),
        ("ab", "the translator gave one string for 2 texts"),
        (["x", None], "the translator gave None, which is no string"),
    ],
)
def test_a_translator_that_breaks_the_rules(tmp_path, given, message):
    cache = TranslationCache(tmp_path)
    forward = Fake(str.upper, "f")
    forward.__class__ = type("Broken", (Fake,), {"__call__": lambda self, texts: given})
    with pytest.raises(ModelError, match=f"^back_translation.forward: {message}"):
        view(forward, Fake(str.upper, "b"), cache)(["a", "b"], [0, 0])
    assert not cache.file.exists()


def test_as_many_seeds_as_texts():
    with pytest.raises(ValueError, match="2 texts need as many seeds, not 1"):
        view(str.upper, str.lower)(["a", "b"], [0])
