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

from sentemb.errors import ModelError

Array = np.ndarray[Any, np.dtype[Any]]

_GAP = 1e-12  # nats above the optimum that L-BFGS still expects to gain; probabilities are then right to about 1e-5
_MAX_STEPS = 10_000
_MAX_HALVINGS = 40
_MEMORY = 10  # pairs of steps and gradient changes kept
_SUFFICIENT = 1e-4  # of the decrease that the slope promises (Nocedal & Wright 2006, equation 3.4)
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
            centred = features[start : start + _CHUNK_ROWS] - mean
            covariance += centred.T @ centred
        return cls(mean, np.linalg.eigh(covariance)[1])

    def place(self, features: Array) -> Array:
        """(N, D + 1) float64: the coordinates of (N, D) features, and a last column of ones for the bias."""
        placed = np.ones((len(features), len(self.mean) + 1))
        for start in range(0, len(features), _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            placed[rows, :-1] = (features[rows] - self.mean) @ self.directions
        return placed


def fit_together(placed: Array, targets: Array, members: Array, penalties: Array, place: str) -> Array:
    """The optimum of each of F fits.

    Args:
        placed: (N, P) float64, from `Axes.place`; the last column is ones.
        targets: (N, 1) float64 in [0, 1], the probability of the second of two classes; or (N, K) float64, K > 2, the
            probabilities of K classes, each row summing to 1.
        members: (N, F) bool, the rows of each fit, at least one each.
        penalties: (F,) float64, λ > 0 of each fit.
        place: what an error names.

    Returns:
        (F, K or 1, P) float64: weights, and the bias last.

    Raises:
        ModelError: no optimum within 10,000 steps.
    """
    problem = _Problem(placed, targets, members / members.sum(axis=0), penalties)
    found = np.zeros((len(penalties), targets.shape[1], placed.shape[1]))
    left = np.arange(len(penalties))  # fits that are not yet at their optimum
    state = _State(found, *problem.at(found, left))
    scale = problem.first_guess()
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
        pair = _Pair(moved.parameters - state.parameters, moved.gradients - state.gradients)
        memory = [*memory[-_MEMORY + 1 :], pair]
        state = moved
    raise ModelError(
        place,
        f"a classifier is not at its optimum after {_MAX_STEPS} steps: the embeddings span very unequal scales",
        "Normalise or whiten the embeddings",
    )


def logits(placed: Array, parameters: Array) -> Array:
    """(N, F, K or 1) float64 of (N, P) rows under (F, K or 1, P) parameters."""
    n_fits, n_outputs, width = parameters.shape
    flat: Array = placed @ parameters.reshape(-1, width).T
    return flat.reshape(len(placed), n_fits, n_outputs)


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
    """One step of A fits, and how their gradients changed by it; both (A, K, P)."""

    steps: Array
    changes: Array

    def only(self, kept: Array) -> _Pair:
        return _Pair(self.steps[kept], self.changes[kept])


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    """The losses of all fits. `weights`: (N, F), 1/n for the rows of a fit, 0 for others."""

    placed: Array
    targets: Array
    weights: Array
    penalties: Array

    def first_guess(self) -> Array:
        """(F, 1, P) inverse of about the Hessian's diagonal, where nothing is known but how frequent each class is.

        The same for each class: the gradients of the K logits sum to 0, and steps scaled alike keep the weights' sum
        at its optimum, 0. It would be slow to mend, as only the penalty pulls it.
        """
        frequencies = self.weights.T @ self.targets  # (F, K)
        spread = np.maximum((frequencies * (1 - frequencies)).mean(axis=1, keepdims=True), 1e-3)
        squares = np.einsum("np,np->p", self.placed, self.placed) / len(self.placed)
        penalties = np.tile(self.penalties[:, None, None], (1, 1, len(squares)))
        penalties[..., -1] = 0.0
        guess: Array = 1 / (spread[:, :, None] * squares + penalties)
        return guess

    def at(self, parameters: Array, fits: Array) -> tuple[Array, Array]:
        """(A,) losses and (A, K, P) gradients of A of the fits at (A, K, P) parameters."""
        losses = np.zeros(len(fits))
        gradients = np.zeros_like(parameters)
        flat = gradients.reshape(-1, parameters.shape[-1])
        for start in range(0, len(self.placed), _CHUNK_ROWS):
            rows = slice(start, start + _CHUNK_ROWS)
            placed, weights = self.placed[rows], self.weights[rows][:, fits]
            scores = logits(placed, parameters)
            entropies, residuals = _cross_entropy(scores, self.targets[rows][:, None, :])
            losses += np.einsum("na,na->a", weights, entropies)
            residuals *= weights[:, :, None]
            flat += residuals.reshape(len(placed), -1).T @ placed
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
        return entropies[..., 0], np.where(scores >= 0, 1.0, faded) / (1 + faded) - targets
    top = scores.max(axis=-1, keepdims=True)
    shares = np.exp(scores - top)
    total = shares.sum(axis=-1, keepdims=True)
    shares /= total
    entropies = (top + np.log(total))[..., 0] - np.einsum("nak,nak->na", scores, np.broadcast_to(targets, scores.shape))
    return entropies, shares - targets


def _dot(first: Array, second: Array) -> Array:
    """(A,) inner products of (A, K, P) with (A, K, P)."""
    product: Array = np.einsum("akp,akp->a", first, second)
    return product


def _direction(gradients: Array, memory: list[_Pair], guess: Array) -> Array:
    """(A, K, P) where each fit goes next: minus the gradient times L-BFGS's inverse Hessian (the two loops of 7.4)."""
    direction = -gradients
    shares = []
    for pair in reversed(memory):
        share = _dot(pair.steps, direction) / _dot(pair.steps, pair.changes)
        direction = direction - share[:, None, None] * pair.changes
        shares.append(share)
    direction = direction * guess
    if memory:
        last = memory[-1]
        size = _dot(last.steps, last.changes) / _dot(last.changes, guess * last.changes)
        direction *= size[:, None, None]
    for pair, share in zip(memory, reversed(shares), strict=True):
        back = _dot(pair.changes, direction) / _dot(pair.steps, pair.changes)
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
        rounding = 1e-14 * np.maximum(1.0, np.abs(losses))
        wanted = state.losses[pending] + _SUFFICIENT * length[pending] * slopes[pending] + rounding
        pending = pending[losses > wanted]
        if not len(pending):
            break
        length[pending] /= 2
    return moved
