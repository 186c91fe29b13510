"""Many fits at once are each what one fit alone is: scikit-learn's optimum, and no lower loss beside it."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special

from sentemb.errors import ModelError
from sentemb.evaluation import transfer_logistic
from sentemb.evaluation.transfer_logistic import Axes, classes, fit_together, logits
from tests.oracles import senteval as oracles


def problem(rng, n_classes, n_rows=300, width=12, scale=1.0):
    """Features off the origin and of unequal spread, and classes that they tell apart in part."""
    x = scale * (rng.normal(size=(n_rows, width)) * np.geomspace(2, 0.1, width) + 1)
    y = (x @ rng.normal(size=(width, n_classes)) / scale + rng.gumbel(size=(n_rows, n_classes))).argmax(axis=1)
    return x, y, y[:, None].astype(float) if n_classes == 2 else np.eye(n_classes)[y]


def probabilities(scores):
    """(N, K) from (N, K or 1) logits."""
    both = np.concatenate([np.zeros_like(scores), scores], axis=1) if scores.shape[1] == 1 else scores
    return special.softmax(both, axis=1)


def placed_exactly(x):
    """The axes, and the coordinates in double precision."""
    axes = Axes.of(x)
    return axes, np.concatenate([(x - axes.mean) @ axes.directions, np.ones((len(x), 1))], axis=1)


def one_fit(x, targets, penalty):
    axes, placed = placed_exactly(x)
    fit = fit_together(placed, targets, np.ones((len(x), 1), dtype=bool), np.array([penalty]), "here")
    return axes, placed, fit


@pytest.fixture
def to_the_end(monkeypatch):
    """As near the optimum as double precision goes."""
    monkeypatch.setattr(transfer_logistic, "_GAP", 1e-14)


@pytest.mark.usefixtures("to_the_end")
@pytest.mark.parametrize("n_classes", [2, 3, 6])
@pytest.mark.parametrize("scale", [0.02, 1.0, 10.0])
def test_every_fit_is_scikit_learns(rng, n_classes, scale):
    x, y, targets = problem(rng, n_classes, scale=scale)
    penalties = np.repeat([1e-4, 1e-2], 3)
    members = rng.random((len(x), 6)) < np.array([1.0, 0.9, 0.5, 1.0, 0.9, 0.5])
    placed = placed_exactly(x)[1]
    found = logits(placed, fit_together(placed, targets, members, penalties, "here"))
    for fit in range(6):
        alone = oracles.classifier(x[members[:, fit]], y[members[:, fit]], penalties[fit])
        assert_allclose(probabilities(found[:, fit]), alone.predict_proba(x), atol=2e-4)
        assert (classes(found[:, fit]) == alone.predict(x)).all()


@pytest.mark.parametrize("n_classes", [2, 6])
@pytest.mark.parametrize("penalty", [1e-5, 1e-2])
def test_single_precision_decides_as_the_optimum_does(rng, n_classes, penalty):
    x, y, targets = problem(rng, n_classes, n_rows=2000, width=50)
    placed = Axes.of(x).place(x)
    assert placed.dtype == np.float32
    fit = fit_together(placed, targets, np.ones((len(x), 1), dtype=bool), np.array([penalty]), "here")
    alone = oracles.classifier(x, y, penalty)
    assert_allclose(probabilities(logits(placed, fit)[:, 0]), alone.predict_proba(x), atol=2e-3)
    assert (classes(logits(placed, fit)[:, 0]) == alone.predict(x)).mean() > 0.9985


def test_the_start_changes_no_optimum(rng):
    x, _, targets = problem(rng, 3)
    placed, members = placed_exactly(x)[1], np.ones((len(x), 1), dtype=bool)
    found = [
        fit_together(placed, targets, members, np.array([1e-2]), "here", start)
        for start in (None, rng.normal(size=(1, 3, placed.shape[1])))
    ]
    assert_allclose(*(probabilities(logits(placed, each)[:, 0]) for each in found), atol=1e-4)


@pytest.mark.usefixtures("to_the_end")
def test_no_step_away_lowers_the_loss_of_soft_targets(rng):
    x, _, _ = problem(rng, 4, n_rows=40, width=3)
    targets = rng.dirichlet(np.ones(4), size=40)
    axes, _, fit = one_fit(x, targets, 0.1)
    weights, bias = fit[0, :, :-1] @ axes.directions.T, fit[0, :, -1]
    bias = bias - weights @ axes.mean
    best = oracles.objective(weights, bias, x, targets, 0.1)
    for _ in range(50):
        to_weights, to_bias = 1e-3 * rng.normal(size=weights.shape), 1e-3 * rng.normal(size=bias.shape)
        assert oracles.objective(weights + to_weights, bias + to_bias, x, targets, 0.1) > best - 1e-12
    assert_allclose(weights.sum(axis=0), 0, atol=1e-6)  # the penalty picks the one shift whose weights sum to 0


@pytest.mark.usefixtures("to_the_end")
def test_without_features_the_bias_is_the_log_odds():
    targets = np.array([[1.0]] * 3 + [[0.0]])
    _, _, fit = one_fit(np.zeros((4, 2)), targets, 1.0)
    assert_allclose(fit[0, 0], [0, 0, np.log(3)], atol=1e-5)


@pytest.mark.usefixtures("to_the_end")
def test_two_points_have_the_slope_that_the_penalty_lets_them():
    """At x = ±1 with classes 1 and 0: w = σ(-w) / λ, and b = 0 by symmetry."""
    axes, _, fit = one_fit(np.array([[1.0], [-1.0]]), np.array([[1.0], [0.0]]), 0.25)
    w, b = abs(fit[0, 0, 0]), fit[0, 0, 1]
    assert axes.mean == pytest.approx(0)
    assert w == pytest.approx(1 / (1 + np.exp(w)) / 0.25, abs=1e-5)
    assert b == pytest.approx(0, abs=1e-6)


@pytest.mark.usefixtures("to_the_end")
def test_the_others_beside_it_change_no_fit(rng):
    x, _, targets = problem(rng, 3)
    placed = placed_exactly(x)[1]
    members, penalties = rng.random((len(x), 5)) < 0.8, np.array([1e-5, 1e-2, 1e-3, 1e-1, 1e-4])
    together = fit_together(placed, targets, members, penalties, "here")
    for fit in range(5):
        alone = fit_together(placed, targets, members[:, [fit]], penalties[[fit]], "here")
        pair = (probabilities(logits(placed, each)[:, 0]) for each in (together[[fit]], alone))
        assert_allclose(*pair, atol=1e-4)


@pytest.mark.usefixtures("to_the_end")
def test_chunks_of_rows_change_nothing(rng, monkeypatch):
    x, _, targets = problem(rng, 2)
    before = one_fit(x, targets, 1e-3)
    monkeypatch.setattr(transfer_logistic, "_CHUNK_ROWS", 7)
    after = one_fit(x, targets, 1e-3)
    assert_allclose(after[0].place(x)[:, -1], 1)
    assert_allclose(logits(after[1], after[2]), logits(before[1], before[2]), atol=1e-4)


def test_axes_turn_without_stretching(rng):
    x = (rng.normal(size=(50, 5)) + 3).astype(np.float32)
    placed = Axes.of(x).place(x)
    assert_allclose(placed[:, :-1].mean(axis=0), 0, atol=1e-6)
    covariance = placed[:, :-1].T @ placed[:, :-1]
    assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-4)
    assert_allclose(
        np.linalg.norm(placed[:, None, :-1] - placed[None, :, :-1], axis=-1),
        np.linalg.norm(x[:, None] - x[None], axis=-1),
        atol=1e-5,
    )


@pytest.mark.usefixtures("to_the_end")
def test_more_columns_than_rows_and_columns_alike(rng):
    x = np.repeat(rng.normal(size=(8, 6)), 4, axis=1)  # 24 columns of rank 6
    y = np.array([0, 1] * 4)
    _, placed, fit = one_fit(x, y[:, None].astype(float), 1e-2)
    expected = oracles.classifier(x, y, 1e-2).decision_function(x)
    assert_allclose(logits(placed, fit)[:, 0, 0], expected, atol=1e-4)


def test_ties_go_to_the_first_class():
    assert classes(np.array([[[0.0]], [[1e-9]], [[-1.0]]])).tolist() == [[0], [1], [0]]
    assert classes(np.array([[[0.5, 0.5, 0.0]]])).tolist() == [[0]]


def test_a_fit_that_reaches_no_optimum_is_said(rng, monkeypatch):
    x, _, targets = problem(rng, 2)
    monkeypatch.setattr(transfer_logistic, "_MAX_STEPS", 2)
    with pytest.raises(ModelError, match="MR: a classifier is not at its optimum after 2 steps"):
        fit_together(Axes.of(x).place(x), targets, np.ones((len(x), 1), dtype=bool), np.array([1e-5]), "MR")
