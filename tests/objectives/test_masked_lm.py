from __future__ import annotations

import pytest
import torch

from sentemb.objectives.masked_lm import mask_tokens, number_words

MASK, SIZE = 4, 1000


def corrupt(rate=0.15, shape=(400, 50), **more):
    torch.manual_seed(0)
    ids = torch.randint(5, SIZE, shape)
    maskable = torch.ones_like(ids, dtype=torch.bool)
    maskable[:, 0] = False
    corrupted, chosen = mask_tokens(ids, maskable, rate=rate, mask_id=MASK, vocabulary_size=SIZE, **more)
    return ids, maskable, corrupted, chosen


@pytest.mark.parametrize("rate", [0.15, 0.5])
def test_the_share_of_chosen_tokens_and_the_80_10_10_rule(rate):
    ids, maskable, corrupted, chosen = corrupt(rate)
    n = int(maskable.sum())
    assert abs(chosen.sum() / n - rate) < 4 * (rate * (1 - rate) / n) ** 0.5
    share = {
        "mask": ((corrupted == MASK) & chosen).sum() / chosen.sum(),
        "same": ((corrupted == ids) & chosen).sum() / chosen.sum(),
    }
    assert abs(share["mask"] - 0.8) < 0.03 and abs(share["same"] - 0.1) < 0.03


def test_only_maskable_tokens_change():
    ids, maskable, corrupted, chosen = corrupt()
    assert not chosen[~maskable].any()
    assert (corrupted == ids)[~chosen].all()


# ------------------------------------------------------------------------------- whole words
WORDS = (torch.arange(400 * 50) // 3).view(400, 50)  # of three pieces each; here they go on over the rows' ends


@pytest.mark.parametrize("rate", [0.15, 0.5])
def test_a_word_is_chosen_with_all_its_pieces_and_the_share_is_the_same(rate):
    _, maskable, _, chosen = corrupt(rate, words=WORDS)
    for piece in range(3):
        firsts = slice(piece, 19998, 3)
        same = chosen.flatten()[firsts] == chosen.flatten()[slice(0, 19998, 3)]
        assert (same | ~maskable.flatten()[firsts] | ~maskable.flatten()[slice(0, 19998, 3)]).all()
    n_words = int(WORDS.max()) + 1
    assert abs(chosen.sum() / maskable.sum() - rate) < 4 * (rate * (1 - rate) / n_words) ** 0.5
    assert not chosen[~maskable].any()


def test_the_pieces_of_a_chosen_word_are_corrupted_each_on_its_own():
    ids, _, corrupted, chosen = corrupt(words=WORDS)
    masked = (corrupted == MASK) & chosen
    same = (corrupted == ids) & chosen
    assert abs(masked.sum() / chosen.sum() - 0.8) < 0.03 and abs(same.sum() / chosen.sum() - 0.1) < 0.03
    partly = {int(word) for word in WORDS[masked]} & {int(word) for word in WORDS[chosen & ~masked]}
    assert len(partly) > 0.3 * len({int(word) for word in WORDS[chosen]})  # 1 − 0.8³ − 0.2³ = 0.48


def test_pieces_one_by_one_are_not_chosen_together():
    _, _, _, chosen = corrupt()
    pieces = chosen.flatten()[:19998].view(-1, 3).sum(1)
    assert (pieces == 1).sum() > 10 * (pieces == 3).sum()


def test_number_words_as_in_a_loop():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 7, (40,), generator=generator)
    texts = [torch.randint(-1, 3, (int(n),), generator=generator).sort().values for n in lengths]
    expected, number = [], -1
    for text in texts:
        before = None
        for word in text.tolist():
            number += word != before
            before = word
            expected.append(number)
    assert number_words(torch.cat(texts), lengths).tolist() == expected


def test_a_generator_of_one_s_own_draws_the_same_again_and_leaves_torch_s_alone():
    def draw(seed):
        return corrupt(generator=torch.Generator().manual_seed(seed))[2]

    assert torch.equal(draw(1), draw(1)) and not torch.equal(draw(1), draw(2))
    ids = torch.full((4, 4), 7)
    state = torch.get_rng_state()
    mask_tokens(ids, ids > 0, rate=0.5, mask_id=MASK, vocabulary_size=SIZE, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.get_rng_state(), state)
