from __future__ import annotations

import dataclasses
import gzip
import itertools

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from sentemb import assets
from sentemb.errors import ConfigError, DataError
from sentemb.postprocess import flow_fit
from sentemb.postprocess.flow_fit import fit_flow
from sentemb.postprocess.flow_settings import PAPER, RELEASED, FlowTraining
from tests.postprocess.flows import architecture


def training(**changes):
    plain = dict(
        batch_size=16,
        epochs=2,
        patience=2,
        held_out=0.1,
        learning_rate=1e-3,
        adam_epsilon=1e-8,
        weight_decay=0.0,
        max_gradient_norm=None,
    )
    return FlowTraining(**plain | changes)


def fit(rows, *, seed=0, shape=None, on_progress=None, **changes):
    return fit_flow(
        rows,
        architecture=shape or architecture(depth=1),
        training=training(**changes),
        seed=seed,
        on_progress=on_progress,
    )


@pytest.fixture
def rows(rng):
    """Two bent clusters: neither Gaussian nor of independent dimensions."""
    x = rng.normal(size=(300, 8)) @ rng.normal(size=(8, 8))
    x[:, 4:] += np.abs(x[:, :4]) + np.where(rng.random(300) < 0.3, 4.0, 0.0)[:, None]
    return x.astype(np.float32)


@pytest.fixture(scope="module")
def sentence_embeddings():
    from sentemb.embedding import embed
    from sentemb.encoder import load

    with gzip.open(assets.path("wiki"), "rt", encoding="utf-8") as stream:
        sentences = [line.strip()[:200] for line, _ in zip(stream, range(300), strict=False)]
    return embed(load("bundled:mini", "first_last_avg"), sentences)


def same_state(one, other):
    return all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


@pytest.mark.parametrize("preset", [PAPER, RELEASED], ids=["paper", "released"])
def test_the_likelihood_of_sentence_embeddings_rises_every_epoch(sentence_embeddings, preset):
    many = dataclasses.replace(preset.training, epochs=5, patience=5)
    flow, history = fit_flow(sentence_embeddings, architecture=preset.architecture, training=many, seed=0)
    assert [record.epoch for record in history] == [1, 2, 3, 4, 5]
    for earlier, later in itertools.pairwise(history):
        assert later.train_bits < earlier.train_bits - 0.01
        assert later.held_out_bits < earlier.held_out_bits - 0.01
    z, _ = flow(torch.from_numpy(sentence_embeddings))
    raw_mean, mean = (
        np.linalg.norm(x.mean(0)) / np.sqrt((x**2).sum(1).mean()) for x in (sentence_embeddings, z.detach().numpy())
    )
    assert raw_mean > 0.5 and mean < 0.15  # the embeddings lie in a cone, the latent vectors around 0


def test_a_gaussian_reaches_its_entropy(rng):
    scales = np.array([0.1, 1.0, 3.0, 10.0])
    rows = 5.0 + scales * rng.normal(size=(2000, 4))
    _, history = fit(rows, shape=architecture(n_levels=1, depth=1, coupling_width=2), batch_size=64, epochs=3)
    entropy = 0.5 * np.log2(2 * np.pi * np.e) + np.log2(scales).mean()
    assert_allclose(history[-1].held_out_bits, entropy, atol=0.05)
    assert_allclose(history[-1].train_bits, entropy, atol=0.05)


def test_the_seed_decides_everything_and_no_global_generator_is_touched(rows):
    before, before_numpy = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    (one, history), (same, same_history), (other, _) = (fit(rows, seed=seed) for seed in (3, 3, 4))
    assert same_state(one, same) and history == same_history
    assert not same_state(one, other)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (np.random.get_state()[1] == before_numpy).all()  # noqa: NPY002


def test_only_the_embeddings_matter_not_how_they_are_held(rows, tmp_path):
    np.save(tmp_path / "rows.npy", rows.astype(np.float16))
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    flow, history = fit(rows.astype(np.float16).astype(np.float64))
    from_disk, same_history = fit(mapped)
    assert same_state(flow, from_disk) and history == same_history
    strided = np.repeat(rows.astype(np.float16), 2, axis=1)[:, ::2]
    assert same_state(fit(strided)[0], flow)


def test_the_rows_are_left_as_they_are(rows):
    before = rows.copy()
    fit(rows)
    assert (rows == before).all()


def test_it_stops_when_the_held_out_likelihood_falls_and_returns_the_best_epoch(rng):
    few = rng.normal(size=(60, 8)).astype(np.float32)
    eager = dict(shape=architecture(coupling_width=64, depth=3), learning_rate=1e-2)
    flow, history = fit(few, epochs=60, patience=3, **eager)
    bits = [record.held_out_bits for record in history]
    best = int(np.argmin(bits)) + 1
    assert len(history) == best + 3 < 60
    assert bits[-1] > min(bits) + 0.05  # the premise: the last flow is worse
    at_best, shorter = fit(few, epochs=best, patience=3, **eager)
    assert shorter == history[:best]
    assert same_state(flow, at_best)


def test_held_out_rows_are_never_trained_on(rows, monkeypatch):
    trained, measured, read = [], [], flow_fit._read

    def watched(embeddings, numbers):
        (trained if torch.is_grad_enabled() else measured).append(numbers.tolist())
        return read(embeddings, numbers)

    monkeypatch.setattr(flow_fit, "_read", watched)
    fit(rows[:100], batch_size=16, held_out=0.1, epochs=2)
    assert len(measured) == 2 and measured[0] == measured[1] and len(set(measured[0])) == 10
    for epoch in (trained[:5], trained[5:]):
        seen = [row for batch in epoch for row in batch]
        assert len(seen) == len(set(seen)) == 5 * 16  # once each, the 10 that fill no batch wait
        assert set(seen).isdisjoint(measured[0])
    assert trained[:5] != trained[5:]


def test_progress_is_told_after_each_epoch(rows):
    told = []
    _, history = fit(rows, on_progress=told.append)
    assert told == history and len(told) == 2


def test_an_interrupt_leaves_nothing_behind(rows, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = rows.copy()

    def stop(record):
        if record.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(rows, on_progress=stop)
    assert list(tmp_path.iterdir()) == [] and (rows == before).all()
    assert same_state(fit(rows)[0], fit(rows.copy())[0])


def test_the_flow_comes_back_fitted_in_evaluation_mode(rows):
    flow, _ = fit(rows)
    assert flow.initialised and not flow.training
    with pytest.raises(ValueError, match="initialised already"):
        flow.initialise(torch.from_numpy(rows))


def test_the_first_batch_sets_the_actnorms(rows):
    """With a learning rate of next to nothing, the flow is what `initialise` made it: one batch standardised."""
    flow, _ = fit(rows, shape=architecture(n_levels=1, depth=1), epochs=1, learning_rate=1e-12, batch_size=128)
    norm = flow.levels[0].steps[0].actnorm
    close = np.abs(norm.bias.detach().numpy() + rows.mean(0)) / rows.std(0)
    assert close.max() < 0.3 and np.abs(rows.mean(0) / rows.std(0)).max() > 0.5
    assert_allclose(np.exp(-3 * norm.log_scale.detach().numpy()), rows.std(0), rtol=0.3)


@pytest.mark.parametrize("setting", [{"weight_decay": 5.0}, {"max_gradient_norm": 1e-6}, {"adam_epsilon": 1.0}])
def test_each_setting_of_the_optimiser_is_used(rows, setting):
    assert not same_state(fit(rows)[0], fit(rows, **setting)[0])


def test_the_presets_are_the_published_settings():
    paper, released = PAPER.architecture, RELEASED.architecture
    assert (paper.n_levels, paper.depth, paper.coupling_width) == (2, 3, 32)
    assert (paper.permutation, paper.coupling, paper.residual) == ("random", "additive", True)
    assert (released.n_levels, released.depth, released.coupling_width) == (3, 3, 32)
    assert (released.permutation, released.coupling, released.residual) == ("reverse", "additive", False)
    assert RELEASED.training.weight_decay == 0.01 and RELEASED.training.max_gradient_norm == 1.0
    assert PAPER.training.weight_decay == 0.0 and PAPER.training.max_gradient_norm is None
    for preset in (PAPER, RELEASED):
        assert (preset.training.epochs, preset.training.learning_rate) == (1, 1e-3)


# ------------------------------------------------------------------------------------------------ bad input
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_a_value_that_is_not_finite_is_refused_with_its_row(rows, value):
    rows = rows.astype(np.float64)
    rows[271, 5] = value
    with pytest.raises(DataError, match=r"flow: row 271, dimension 5 is .*, not a finite float32 number. Encode"):
        fit(rows)


def test_a_bad_row_is_found_in_a_later_block(monkeypatch, rows):
    monkeypatch.setattr("sentemb.postprocess.flow_fit._ROWS_AT_ONCE", 100)
    rows[271, 5] = np.nan
    with pytest.raises(DataError, match="row 271, dimension 5 is nan"):
        fit(rows)


def test_evaluation_does_not_depend_on_the_block(monkeypatch, rows):
    _, whole = fit(rows, held_out=0.5)
    monkeypatch.setattr("sentemb.postprocess.flow_fit._ROWS_AT_ONCE", 7)
    _, blocks = fit(rows, held_out=0.5)
    assert_allclose([r.held_out_bits for r in blocks], [r.held_out_bits for r in whole], rtol=1e-6)


@pytest.mark.parametrize(
    "bad", [np.zeros(8), np.zeros((0, 8)), np.zeros((5, 8), dtype=int), np.zeros((5, 8, 1)), np.zeros((5, 0))]
)
def test_what_is_no_table_of_floats_is_refused(bad):
    with pytest.raises(DataError, match=r"flow: embeddings are \w+ of shape .*, not \(N, D\) floats"):
        fit(bad)


def test_a_dimension_that_never_varies_is_refused(rows):
    rows[:, 3] = 0.25
    with pytest.raises(DataError, match="dimension 3 is 0.25 in all rows, so it has no density. Remove it first"):
        fit(rows)


@pytest.mark.parametrize(("n_rows", "n_train"), [(17, 15), (2, 1), (1, 0)])
def test_too_few_rows_are_refused(rng, n_rows, n_train):
    message = rf"{n_rows} rows leave {n_train} to train on, fewer than one batch of 16. Pass more sentences"
    with pytest.raises(DataError, match=message):
        fit(rng.normal(size=(n_rows, 8)))


def test_one_batch_is_enough(rng):
    assert len(fit(rng.normal(size=(18, 8)))[1]) == 2


def test_a_width_that_can_not_be_halved_is_refused(rng):
    with pytest.raises(ConfigError, match="width 6 can be halved 1 time"):
        fit(rng.normal(size=(100, 6)))


def test_a_learning_rate_that_blows_up_is_refused(rows):
    with pytest.raises(
        ConfigError, match=r"flow.learning_rate: with 1000.0 the likelihood is not finite after epoch 1"
    ):
        fit(rows, learning_rate=1000.0)


@pytest.mark.parametrize(
    ("setting", "accepted"),
    [
        ({"batch_size": 1}, "2 or more"),
        ({"epochs": 0}, "1 or more"),
        ({"patience": 0}, "1 or more"),
        ({"held_out": 0.0}, "above 0 and below 1"),
        ({"held_out": 1.0}, "above 0 and below 1"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"learning_rate": float("nan")}, "above 0"),
        ({"adam_epsilon": 0.0}, "above 0"),
        ({"weight_decay": -0.1}, "0 or more"),
        ({"max_gradient_norm": 0.0}, "above 0"),
    ],
)
def test_bad_settings_are_refused(setting, accepted):
    ((name, value),) = setting.items()
    with pytest.raises(ConfigError, match=f"flow.{name}: is {value}, not {accepted}"):
        training(**setting)
