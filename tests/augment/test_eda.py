from __future__ import annotations

import pickle
import subprocess
import sys
from collections import Counter

import pytest
from scipy import stats

from sentemb.augment.eda import EDA, EDAOperations, eda_paper
from sentemb.augment.synonyms import bundled_synonyms
from sentemb.augment.words import letters_only
from sentemb.errors import ConfigError
from tests.augment.toy import NASTY, random_texts, toy_synonyms

OFF = {"alpha_sr": 0.0, "alpha_ri": 0.0, "alpha_rs": 0.0, "alpha_rd": 0.0}
ALL = dict.fromkeys(OFF, 0.1)
TEXT = "The quick brown fox jumps over 3 lazy dogs, and the Dogs don't mind."


def operations(cleaning="gentle", insertion="content_words", synonyms=None, **alphas) -> EDAOperations:
    return EDAOperations(
        **{**OFF, **alphas}, cleaning=cleaning, insertion=insertion, synonyms=synonyms or bundled_synonyms()
    )


VIEWS = {
    **{name: EDA(operations(**{name: 0.3}), mode="one_of") for name in OFF},
    "one_of": EDA(operations(**ALL), mode="one_of"),
    "compose": EDA(operations(**ALL), mode="compose"),
    "reference": EDA(operations(**ALL, cleaning="reference", insertion="all_words"), mode="one_of"),
    "strong": EDA(operations(**dict.fromkeys(OFF, 1.0)), mode="compose"),
}


@pytest.mark.parametrize("name", VIEWS)
def test_any_text_gives_a_text(name):
    view = VIEWS[name]
    texts = [*NASTY, *random_texts(400, seed=3)]
    viewed = view(texts, range(len(texts)))
    assert len(viewed) == len(texts)
    changed = 0
    for text, new in zip(texts, viewed, strict=True):
        words = view.operations.words(text)
        assert isinstance(new, str)
        if not words:
            assert new == text
            continue
        assert new == " ".join(new.split()) != ""
        changed += new.split() != words
    assert changed > 100


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_depends_on_text_and_seed_alone(name):
    view = VIEWS[name]
    texts = [TEXT, "", *random_texts(60, seed=4), TEXT]
    seeds = [7 * i for i in range(len(texts))]
    whole = view(texts, seeds)
    assert whole == view(texts, seeds)
    assert whole == [view([text], [seed])[0] for text, seed in zip(texts, seeds, strict=True)]
    assert whole == [*view(texts[:10], seeds[:10]), *view(texts[10:], seeds[10:])]
    assert whole == view(texts[::-1], seeds[::-1])[::-1]
    assert whole == pickle.loads(pickle.dumps(view))(texts, seeds)
    assert len(set(view([TEXT] * 50, range(50)))) > 5  # the seed matters


def test_another_process_gives_the_same_texts():
    texts = [TEXT, *random_texts(60, seed=5), *NASTY[:10]]
    view = VIEWS["compose"]
    code = (
        "import pickle, sys\n"
        "view, texts = pickle.load(sys.stdin.buffer)\n"
        "pickle.dump(view(texts, range(len(texts))), sys.stdout.buffer)"
    )
    for hash_seed in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", code], input=pickle.dumps((view, texts)), capture_output=True, check=True,
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": hash_seed},
        )  # fmt: skip
        assert pickle.loads(done.stdout) == view(texts, range(len(texts)))


def test_pickles_are_small_though_the_table_is_large():
    view = EDA(operations(**ALL), mode="one_of")
    view([TEXT] * 50, range(50))
    assert len(pickle.dumps(view)) < 10_000


def test_views_do_not_change_between_versions():
    assert VIEWS["one_of"]([TEXT] * 4, range(4)) == [
        "The quick brown fox jumps lazy dogs, and the Dogs don't mind.",
        "The quick brown fox jumps 3 over lazy dogs, and the Dogs don't mind.",
        "The quick brown fox jumps over 3 skip lazy dogs, and the Dogs don't mind.",
        "The quick brown fox jumps 3 lazy dogs, and Dogs don't mind.",
    ]
    assert VIEWS["compose"]([TEXT], [0]) == [
        "The quick fox beware alternate over 3 lazy dogs, and brown Dogs don't mind.",
    ]


def test_gentle_words_keep_case_digits_and_punctuation():
    view = VIEWS["alpha_rs"]
    for new in view([TEXT] * 20, range(20)):
        assert sorted(new.split()) == sorted(TEXT.split())


def test_reference_words_are_letters():
    for new in VIEWS["reference"]([TEXT] * 50, range(50)):
        assert set(new) <= set("abcdefghijklmnopqrstuvwxyz ")


def test_one_operation_a_view_evenly():
    """Told apart on a text where each can only do one recognisable thing."""
    ops = operations(**dict.fromkeys(OFF, 1e-9), synonyms=toy_synonyms)
    ops.alphas["rd"] = 1.0
    kinds = Counter()
    for new in EDA(ops, mode="one_of")(["alpha fast omega"] * 4000, range(4000)):
        words = new.split()
        kind = {1: "rd", 4: "ri"}.get(len(words), "sr" if words == ["alpha", "quick", "omega"] else "rs")
        assert kind != "rs" or sorted(words) == ["alpha", "fast", "omega"]
        kinds[kind] += 1
    assert set(kinds) == {"sr", "ri", "rs", "rd"}
    assert stats.chisquare(list(kinds.values())).pvalue > 1e-3


def test_all_operations_in_turn_in_the_stated_order():
    """SR makes "quick" of "fast"; RI then inserts a synonym of what it finds, so there is none to insert."""
    ops = operations(alpha_sr=0.1, alpha_ri=0.1, synonyms=toy_synonyms)
    assert set(EDA(ops, mode="compose")(["alpha fast"] * 30, range(30))) == {"alpha quick"}
    ops = operations(alpha_sr=0.1, alpha_rs=0.1, synonyms=toy_synonyms)
    assert set(EDA(ops, mode="compose")(["alpha fast"] * 30, range(30))) == {"quick alpha"}
    ops = operations(alpha_rs=0.1, alpha_rd=1.0)
    assert set(EDA(ops, mode="compose")(["a b"] * 30, range(30))) == {"a", "b"}


@pytest.mark.parametrize("mode", ["one_of", "compose"])
def test_alpha_zero_turns_an_operation_off(mode):
    assert EDA(operations(), mode=mode)(["a  b"], [0]) == ["a b"]
    assert set(EDA(operations(alpha_rs=0.1), mode=mode)(["a b"] * 9, range(9))) == {"b a"}


def test_stop_words_are_never_replaced_and_inserted_for_only_when_asked():
    text = ["is the is"] * 40
    assert set(EDA(operations(alpha_sr=1.0, synonyms=toy_synonyms), mode="one_of")(text, range(40))) == {"is the is"}
    both = operations(alpha_sr=1.0, insertion="all_words", synonyms=toy_synonyms)
    assert set(EDA(both, mode="one_of")(text, range(40))) == {"is the is"}
    paper = operations(alpha_ri=0.1, synonyms=toy_synonyms)
    assert set(EDA(paper, mode="one_of")(text, range(40))) == {"is the is"}
    code = operations(alpha_ri=0.1, insertion="all_words", synonyms=toy_synonyms)
    assert set(EDA(code, mode="one_of")(text, range(40))) == {
        "exists is the is", "is exists the is", "is the exists is"
    }  # fmt: skip


def test_ten_thousand_words_take_no_time_to_speak_of():
    text = " ".join(f"{word}{i}" if i % 2 else word for i, word in enumerate(["dog", "bank", "happy", "runs"] * 2500))
    new = EDA(operations(**ALL), mode="compose")([text], [0])[0]
    assert 8_000 < len(new.split()) < 15_000


# -------------------------------------------------------------------------------------------------------- eda_paper
@pytest.mark.parametrize(("n_aug", "n"), [(1, 2), (3, 4), (4, 5), (9, 10), (16, 17)])
def test_n_aug_copies_and_the_cleaned_text_last(n_aug, n):
    copies = eda_paper(TEXT, operations(**ALL, cleaning="reference"), n_aug=n_aug, seed=0)
    assert len(copies) == n
    assert copies[-1] == letters_only(TEXT)
    assert eda_paper(TEXT, operations(**ALL), n_aug=n_aug, seed=0)[-1] == TEXT


def test_copies_of_each_operation_before_the_cut():
    """⌊9/4⌋ + 1 = 3 of each, so that two operations give six, and the cut to 9 leaves them all."""
    ops = operations(alpha_ri=1e-9, alpha_rs=1e-9, synonyms=toy_synonyms)
    orders = Counter()
    for seed in range(1000):
        *copies, last = eda_paper("alpha fast", ops, n_aug=9, seed=seed)
        assert last == "alpha fast"
        assert Counter(len(copy.split()) for copy in copies) == {3: 3, 2: 3}
        assert all(copy == "fast alpha" for copy in copies if len(copy.split()) == 2)
        orders[tuple(len(copy.split()) for copy in copies)] += 1
    assert len(orders) == 20  # 6! / (3! 3!)
    assert stats.chisquare(list(orders.values())).pvalue > 1e-3


def test_the_cut_drops_any_operation_alike():
    """Of 12 copies 9 stay: each operation loses 3/4 of a copy on average."""
    ops = operations(alpha_ri=1e-9, alpha_rs=1e-9, alpha_rd=1.0, alpha_sr=1e-9, synonyms=toy_synonyms)
    kept = Counter(
        len(copy.split()) for seed in range(400) for copy in eda_paper("alpha fast x", ops, n_aug=9, seed=seed)[:-1]
    )
    assert kept.total() == 3600
    assert stats.chisquare([kept[1], kept[4], kept[3]], [900, 900, 1800]).pvalue > 1e-3


@pytest.mark.parametrize("n_aug", [0, 0.5, 0.99])
def test_below_one_n_aug_is_how_many_are_kept_on_average(n_aug):
    counts = [len(eda_paper(TEXT, operations(**ALL), n_aug=n_aug, seed=seed)) - 1 for seed in range(600)]
    assert abs(sum(counts) / 600 - n_aug) < 4 * (n_aug / 600) ** 0.5 + 1e-9
    assert n_aug == 0 or max(counts) > 1


def test_copies_depend_on_the_seed_alone():
    ops = operations(**ALL)
    assert eda_paper(TEXT, ops, n_aug=9, seed=1) == eda_paper(TEXT, ops, n_aug=9, seed=1)
    assert eda_paper(TEXT, ops, n_aug=9, seed=1) != eda_paper(TEXT, ops, n_aug=9, seed=2)


@pytest.mark.parametrize("text", NASTY)
def test_copies_of_any_text(text):
    for cleaning in ("gentle", "reference"):
        copies = eda_paper(text, operations(**ALL, cleaning=cleaning), n_aug=4, seed=0)
        assert len(copies) == 5
        assert all(copies) or not text


def test_no_operation_leaves_the_text():
    assert eda_paper("a  b", operations(), n_aug=9, seed=0) == ["a b"]
    assert eda_paper("a  b", operations(), n_aug=0.5, seed=0) == ["a b"]


# ---------------------------------------------------------------------------------------------------- bad arguments
@pytest.mark.parametrize("name", OFF)
@pytest.mark.parametrize("alpha", [-0.1, 1.5, float("nan"), float("inf")])
def test_a_share_outside_0_to_1_is_refused(name, alpha):
    message = rf"EDA: {name}: {alpha} is no share of the words, which is from 0 to 1. Set a share, or 0 to turn"
    with pytest.raises(ConfigError, match=message):
        operations(**{name: alpha})


def test_unknown_names_are_refused():
    with pytest.raises(ConfigError, match=r'EDA: mode: "one-of" is not known. Did you mean "one_of"\? Use one of: one'):
        EDA(operations(), mode="one-of")
    with pytest.raises(ConfigError, match=r'EDA: cleaning: "none" is not known. Use one of: gentle, reference.'):
        operations(cleaning="none")
    with pytest.raises(ConfigError, match=r'EDA: insertion: "words" is not known..* Use one of: content_words, all_'):
        operations(insertion="words")


@pytest.mark.parametrize("n_aug", [-1, 2.5, float("nan"), float("inf")])
def test_a_broken_number_of_copies_is_refused(n_aug):
    with pytest.raises(ConfigError, match=rf"EDA: n_aug: {n_aug} is neither a whole number of copies nor .* as 9"):
        eda_paper(TEXT, operations(**ALL), n_aug=n_aug, seed=0)


def test_texts_and_seeds_of_different_number_are_refused():
    with pytest.raises(ValueError, match="zip"):
        VIEWS["one_of"](["a"], [])
