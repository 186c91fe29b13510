"""Many logistic regressions on the same rows at once, each solved to its exact optimum.

Cross-validation over a grid fits the same features again and again, on row sets that differ by a fold, with penalties
that differ by a power of ten. Here all of them take their steps together: the parameters of F fits are the columns of
one matrix, so a step is two matrix products over the rows instead of F times two matrix-vector products.

Fit f, with its n rows and penalty λ, minimises (SentEval's classifier without a hidden layer, at convergence)

    1/n Σ_i loss(z_i, t_i) + λ/2 ‖W‖²,    z_i = W x_i + b,

where loss is the cross entropy of the softmax of K logits, or of the sigmoid of one. The bias b is not penalised. The
same optimum as scikit-learn's `LogisticRegression(C=1 / (λ n))`.

As b is free and ‖W‖ is the same in any orthonormal basis, features may be centred and turned onto their principal axes
without moving the optimum (`Axes`). There the Hessian is nearly diagonal, so L-BFGS (Nocedal & Wright 2006, algorithm
7.4) with a diagonal first guess needs some ten to thirty steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from sentemb.errors import ModelError

Array = np.ndarray[Any, np.dtype[Any]]

_GAP = 1e-10  # nats above the optimum that L-BFGS still expects to gain
_MAX_STEPS = 10_000
_MAX_HALVINGS = 40
_MEMORY = 10  # pairs of steps and gradient changes kept
_SUFFICIENT = 1e-4  # of the decrease that the slope promises (Nocedal & Wright 2006, equation 3.4)
_RARE = 1e-6  # classes and curvatures below are taken for this
_CHUNK_ROWS = 1024  # features, logits and residuals of a chunk stay in the processor's cache


@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """A centre and D principal axes.

    Attributes:
        mean: (D,) float64.
        directions: (D, D) float64, orthonormal columns.
    """

    mean: Array
    directions: Array

    @classmethod
    def of(cls, features: Array) -> Axes:
        """Those of (N, D) float features."""
        mean = features.mean(axis=0, dtype=np.float64)
        covariance = np.zeros((len(mean), len(mean)))
        for start in range(0, len(features), _CHUNK_ROWS):
            centred = (features[start : start + _CHUNK_ROWS] - mean).astype(np.float32)
            covariance += centred.T @ centred
        return cls(mean, np.linalg.eigh(covariance)[1])

    def place(self, features: Array) -> Array:
        """(N, D + 1) float32: the coordinates of (N, D) features, and a last column of ones for the bias."""
        placed = np.ones((len(features), len(self.mean) + 1), dtype=np.float32)
        directions = self.directions.astype(np.float32)
        for start in range(0, len(features), _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            placed[rows, :-1] = (features[rows] - self.mean).astype(np.float32) @ directions
        return placed


def fit_together(
    placed: Array, targets: Array, members: Array, penalties: Array, place: str, start: Array | None = None
) -> Array:
    """The optimum of each of F fits.

    Args:
        placed: (N, P) float, from `Axes.place`; the last column is ones. Its type is that of the matrix products.
        targets: (N, 1) float in [0, 1], the probability of the second of two classes; or (N, K) float, K > 2, the
            probabilities of K classes, each row summing to 1.
        members: (N, F) bool, the rows of each fit, at least one each.
        penalties: (F,) float64, λ > 0 of each fit.
        place: what an error names.
        start: (F, K or 1, P) float64, where to begin; the nearer the optimum, the fewer steps. None: without weights.

    Returns:
        (F, K or 1, P) float64: weights, and the bias last.

    Raises:
        ModelError: no optimum within 10,000 steps.
    """
    weights = (members / members.sum(axis=0)).astype(placed.dtype)
    problem = _Problem(placed, targets.astype(placed.dtype), weights, penalties)
    found = problem.without_weights() if start is None else start.copy()
    left = np.arange(len(penalties))  # fits that are not yet at their optimum
    state = _State(found.copy(), *problem.at(found, left))
    scale = problem.first_guess(found)
    memory: list[_Pair] = []
    for _ in range(_MAX_STEPS):
        direction = _direction(state.gradients, memory, scale[left])
        slopes = _dot(state.gradients, direction)
        going = -slopes > 2 * _GAP
        found[left[~going]] = state.parameters[~going]
        left, state, direction, slopes = left[going], state.only(going), direction[going], slopes[going]
        memory = [pair.only(going) for pair in memory]
        if not len(left):
            return found
        moved = _line_search(problem, left, state, direction, slopes)
        memory = [*memory[-_MEMORY + 1 :], _Pair.between(state, moved)]
        state = moved
    raise ModelError(
        place,
        f"a classifier is not at its optimum after {_MAX_STEPS} steps: the embeddings span very unequal scales",
        "Normalise or whiten the embeddings",
    )


def logits(placed: Array, parameters: Array) -> Array:
    """(N, F, K or 1) float of (N, P) rows under (F, K or 1, P) parameters."""
    n_fits, n_outputs, width = parameters.shape
    by_output = parameters.transpose(1, 0, 2).reshape(-1, width)  # so sums over K run along rows of F, which is faster
    flat: Array = placed @ by_output.T.astype(placed.dtype)
    return flat.reshape(len(placed), n_outputs, n_fits).transpose(0, 2, 1)


def classes(scores: Array) -> Array:
    """(…) int64 class of (…, K or 1) logits: the highest, or whether the one is above 0; the first of equals."""
    found: Array = scores.argmax(axis=-1) if scores.shape[-1] > 1 else (scores[..., 0] > 0).astype(np.int64)
    return found


class _State(NamedTuple):
    """Where A fits are: (A, K, P) parameters, (A,) losses, (A, K, P) gradients."""

    parameters: Array
    losses: Array
    gradients: Array

    def only(self, kept: Array) -> _State:
        return _State(self.parameters[kept], self.losses[kept], self.gradients[kept])


class _Pair(NamedTuple):
    """One step of A fits, how their gradients changed by it, both (A, K, P), and (A,) the inverse of their product."""

    steps: Array
    changes: Array
    inverse: Array

    @classmethod
    def between(cls, before: _State, after: _State) -> _Pair:
        steps, changes = after.parameters - before.parameters, after.gradients - before.gradients
        curvature = _dot(steps, changes)
        known = curvature > 0  # it is, but for rounding; a pair that says otherwise is left out
        return cls(steps, changes, np.divide(1.0, curvature, out=np.zeros_like(curvature), where=known))

    def only(self, kept: Array) -> _Pair:
        return _Pair(self.steps[kept], self.changes[kept], self.inverse[kept])


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    """The losses of all fits. `weights`: (N, F), 1/n for the rows of a fit, 0 for others."""

    placed: Array
    targets: Array
    weights: Array
    penalties: Array

    def without_weights(self) -> Array:
        """(F, K, P) parameters that give each row its class's frequency: weights 0, biases the log-odds."""
        frequencies = np.clip(self.weights.T @ self.targets, _RARE, 1 - _RARE).astype(np.float64)  # (F, K)
        parameters = np.zeros((*frequencies.shape, self.placed.shape[1]))
        odds = frequencies / (1 - frequencies) if frequencies.shape[1] == 1 else frequencies
        parameters[..., -1] = np.log(odds)
        return parameters

    def first_guess(self, parameters: Array) -> Array:
        """(F, 1, P) inverse of the Hessian's diagonal at (F, K, P) parameters, the mean of it over the classes.

        The same for each class: the gradients of the K logits sum to 0, and steps scaled alike keep the weights' sum
        at its optimum, 0. It would be slow to mend, as only the penalty pulls it.
        """
        curvatures = np.zeros((len(parameters), parameters.shape[-1]))
        for start in range(0, len(self.placed), _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            shares = _shares(logits(self.placed[rows], parameters))
            spread = self.weights[rows] * (shares * (1 - shares)).mean(axis=-1)
            curvatures += spread.T @ np.square(self.placed[rows])
        curvatures[:, :-1] += self.penalties[:, None]
        guess: Array = 1 / np.maximum(curvatures, _RARE)[:, None, :]
        return guess

    def at(self, parameters: Array, fits: Array) -> tuple[Array, Array]:
        """(A,) losses and (A, K, P) gradients of A of the fits at (A, K, P) parameters."""
        losses = np.zeros(len(fits))
        by_output = np.zeros((parameters.shape[1], len(fits), parameters.shape[2]))
        flat = by_output.reshape(-1, parameters.shape[2])
        for start in range(0, len(self.placed), _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            placed, weights = self.placed[rows], self.weights[rows][:, fits]
            scores = logits(placed, parameters)
            entropies, residuals = _cross_entropy(scores, self.targets[rows][:, None, :])
            losses += np.einsum("na,na->a", weights, entropies, dtype=np.float64)
            residuals *= weights[:, :, None]
            flat += residuals.transpose(0, 2, 1).reshape(len(placed), -1).T @ placed
        gradients = by_output.transpose(1, 0, 2)
        penalised = parameters[..., :-1]
        penalties = self.penalties[fits]
        losses += penalties / 2 * np.einsum("akp,akp->a", penalised, penalised)
        gradients[..., :-1] += penalties[:, None, None] * penalised
        return losses, gradients


def _cross_entropy(scores: Array, targets: Array) -> tuple[Array, Array]:
    """(n, A) cross entropies of (n, A, K or 1) logits, and their gradients by the logits."""
    if scores.shape[-1] == 1:
        faded = np.exp(-np.abs(scores))
        entropies = np.maximum(scores, 0) + np.log1p(faded) - scores * targets
        return entropies[..., 0], np.where(scores >= 0, 1, faded) / (1 + faded) - targets
    top = scores.max(axis=-1, keepdims=True)
    shares = np.exp(scores - top)
    total = shares.sum(axis=-1, keepdims=True)
    entropies = (top + np.log(total) - (scores * targets).sum(axis=-1, keepdims=True))[..., 0]
    return entropies, shares / total - targets


def _shares(scores: Array) -> Array:
    """(n, A, K or 1) probabilities of (n, A, K or 1) logits."""
    shares: Array = special.expit(scores) if scores.shape[-1] == 1 else special.softmax(scores, axis=-1)
    return shares


def _dot(first: Array, second: Array) -> Array:
    """(A,) inner products of (A, K, P) with (A, K, P)."""
    product: Array = np.einsum("akp,akp->a", first, second)
    return product


def _direction(gradients: Array, memory: list[_Pair], guess: Array) -> Array:
    """(A, K, P) where each fit goes next: minus the gradient times L-BFGS's inverse Hessian (the two loops of 7.4)."""
    direction = -gradients
    shares = []
    for pair in reversed(memory):
        share = _dot(pair.steps, direction) * pair.inverse
        direction = direction - share[:, None, None] * pair.changes
        shares.append(share)
    direction = direction * guess
    if memory:
        last = memory[-1]
        product = last.inverse * _dot(last.changes, guess * last.changes)
        direction *= np.divide(1.0, product, out=np.ones_like(product), where=product > 0)[:, None, None]
    for pair, share in zip(memory, reversed(shares), strict=True):
        back = _dot(pair.changes, direction) * pair.inverse
        direction = direction + (share - back)[:, None, None] * pair.steps
    return direction


def _line_search(problem: _Problem, fits: Array, state: _State, direction: Array, slopes: Array) -> _State:
    """Each fit's first point of step 1, ½, ¼ … along its direction that lowers its loss enough.

    The losses are strongly convex, so any such step has the positive curvature that L-BFGS needs.
    """
    length = np.ones(len(fits))
    moved = _State(*(np.empty_like(part) for part in state))
    pending = np.arange(len(fits))
    for _ in range(_MAX_HALVINGS):
        tried = state.parameters[pending] + length[pending, None, None] * direction[pending]
        losses, gradients = problem.at(tried, fits[pending])
        moved.parameters[pending], moved.losses[pending], moved.gradients[pending] = tried, losses, gradients
        rounding = np.finfo(problem.placed.dtype).eps * np.maximum(1.0, losses)
        wanted = state.losses[pending] + _SUFFICIENT * length[pending] * slopes[pending] + rounding
        pending = pending[losses > wanted]
        if not len(pending):
            break
        length[pending] /= 2
    return moved
