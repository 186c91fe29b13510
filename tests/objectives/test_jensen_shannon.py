from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sentemb.objectives.jensen_shannon import jensen_shannon_mi
from tests.oracles import schemes as oracles

SHAPES = [(2, 1, 1), (2, 3, 4), (3, 5, 1), (5, 7, 8)]  # B, L, D


def padded(rng, batch: int, length: int, dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States of sentences of 1 to `length` tokens, with large numbers where there is only padding."""
    lengths = rng.integers(1, length + 1, size=batch)
    mask = np.arange(length) < lengths[:, None]
    states = np.where(mask[..., None], rng.normal(size=(batch, length, dim)), 1e3)
    return states, mask, rng.normal(size=(batch, dim))


def ragged(states: np.ndarray, mask: np.ndarray, sentences: np.ndarray) -> tuple[torch.Tensor, ...]:
    return torch.tensor(states[mask]), torch.tensor(np.nonzero(mask)[0]), torch.tensor(sentences)


@pytest.mark.parametrize(("batch", "length", "dim"), SHAPES)
def test_agrees_with_the_padded_and_masked_loops(batch, length, dim, rng):
    for _ in range(5):
        inputs = padded(rng, batch, length, dim)
        got = jensen_shannon_mi(*ragged(*inputs))
        assert got.shape == ()
        assert_allclose(got, oracles.jensen_shannon_mi(*inputs), rtol=1e-10, atol=1e-12)


def test_duplicate_sentences_and_a_sentence_without_tokens(rng):
    states, mask, sentences = padded(rng, 4, 3, 2)
    states[1], mask[1], sentences[1] = states[0], mask[0], sentences[0]
    mask[3] = False
    got = jensen_shannon_mi(*ragged(states, mask, sentences))
    assert_allclose(got, oracles.jensen_shannon_mi(states, mask, sentences), rtol=1e-10)


def test_closed_forms(rng):
    owners, sentences = torch.tensor([0, 0, 1, 2]), torch.tensor(rng.normal(size=(3, 5)))
    assert_allclose(jensen_shannon_mi(torch.zeros(4, 5).double(), owners, sentences), 0.0, atol=1e-12)
    axes = torch.eye(3, dtype=torch.float64)
    told_apart = jensen_shannon_mi(200 * axes[owners] - 100, owners, axes)  # own products 100, others −100
    assert_allclose(told_apart, -2 * math.log(2), rtol=1e-12)
    t = 1.7  # own products t, others 0
    assert_allclose(jensen_shannon_mi(t * axes[owners], owners, axes), math.log((1 + math.exp(-t)) / 2), rtol=1e-12)


def test_is_the_discriminators_binary_cross_entropy(rng):
    tokens, owners, sentences = ragged(*padded(rng, 4, 5, 3))
    scores, own = tokens @ sentences.T, torch.nn.functional.one_hot(owners, 4).bool()
    bce = torch.nn.functional.binary_cross_entropy_with_logits
    positive, others = scores[own], scores[~own]
    expected = bce(positive, torch.ones_like(positive)) + bce(others, torch.zeros_like(others)) - 2 * math.log(2)
    assert_allclose(jensen_shannon_mi(tokens, owners, sentences), expected, rtol=1e-10)


def test_gradients(rng):
    tokens, owners, sentences = ragged(*padded(rng, 3, 4, 3))
    inputs = (tokens.requires_grad_(), sentences.requires_grad_())
    assert torch.autograd.gradcheck(lambda t, s: jensen_shannon_mi(t, owners, s), inputs)


def test_invariant_to_the_order_of_tokens_and_sentences(rng):
    tokens, owners, sentences = ragged(*padded(rng, 4, 5, 3))
    whole = jensen_shannon_mi(tokens, owners, sentences)
    order = torch.tensor(rng.permutation(len(tokens)))
    assert_allclose(jensen_shannon_mi(tokens[order], owners[order], sentences), whole, rtol=1e-12)
    assert_allclose(jensen_shannon_mi(tokens, 3 - owners, sentences.flip(0)), whole, rtol=1e-12)
    assert abs(jensen_shannon_mi(tokens, owners, sentences.flip(0)) - whole) > 0.01  # who owns a token matters


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_does_not_overflow(dtype, rng):
    tokens, owners, sentences = ragged(*padded(rng, 4, 5, 8))
    tokens, sentences = (200 * tokens).to(dtype), (200 * sentences).to(dtype)  # products overflow float16
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = jensen_shannon_mi(tokens, owners, sentences)
    assert got.dtype == torch.float32 and torch.isfinite(got)
    assert (tokens.double() @ sentences.double().T).abs().max() > 65504
    assert_allclose(got, jensen_shannon_mi(tokens.double(), owners, sentences.double()), rtol=1e-5)


def test_large_scores_have_finite_gradients():
    tokens, sentences = torch.tensor([[1e4], [-1e4]], requires_grad=True), torch.tensor([[1e4], [1e4]])
    loss = jensen_shannon_mi(tokens, torch.tensor([0, 1]), sentences)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(tokens.grad).all()


@pytest.mark.parametrize("which", [0, 2])
def test_nan_is_not_dropped(which, rng):
    inputs = ragged(*padded(rng, 3, 4, 2))
    inputs[which][1, 0] = math.nan
    assert jensen_shannon_mi(*inputs).isnan()


def test_bad_input_is_refused():
    tokens, owners, sentences = torch.ones(3, 2), torch.tensor([0, 1, 1]), torch.ones(2, 2)
    jensen_shannon_mi(tokens, owners, sentences)
    with pytest.raises(ValueError, match="negatives need 2 sentences or more, not 1"):
        jensen_shannon_mi(tokens, torch.zeros_like(owners), sentences[:1])
    with pytest.raises(ValueError, match="one width, not 2 and 1"):
        jensen_shannon_mi(tokens, owners, sentences[:, :1])
    with pytest.raises(ValueError, match=r"owners must be \(3,\) int64, not \(2,\) torch.int64"):
        jensen_shannon_mi(tokens, owners[:2], sentences)
    with pytest.raises(ValueError, match=r"owners must be \(3,\) int64, not \(3,\) torch.float32"):
        jensen_shannon_mi(tokens, owners.float(), sentences)
    with pytest.raises(ValueError, match="owners must be from 0 to 1, not from 1 to 2"):
        jensen_shannon_mi(tokens, owners + 1, sentences)
    with pytest.raises(ValueError, match="owners must be from 0 to 1, not from -1 to 0"):
        jensen_shannon_mi(tokens, owners - 1, sentences)
    with pytest.raises(ValueError, match="an empty batch has no loss"):
        jensen_shannon_mi(tokens[:0], owners[:0], sentences)
    with pytest.raises(ValueError, match=r"must be \(B, D\), not token_states \(1, 3, 2\)"):
        jensen_shannon_mi(tokens[None], owners, sentences)
