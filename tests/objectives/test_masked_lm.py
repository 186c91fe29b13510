from __future__ import annotations

import pytest
import torch

from sentemb.objectives.masked_lm import mask_tokens

MASK, SIZE = 4, 1000


def corrupt(rate=0.15, shape=(400, 50)):
    torch.manual_seed(0)
    ids = torch.randint(5, SIZE, shape)
    maskable = torch.ones_like(ids, dtype=torch.bool)
    maskable[:, 0] = False
    corrupted, chosen = mask_tokens(ids, maskable, rate=rate, mask_id=MASK, vocabulary_size=SIZE)
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
