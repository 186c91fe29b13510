"""SentEval's protocol in plain loops, a scikit-learn classifier fitted to a tight tolerance at a time."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold


def classifier(x, y, penalty):
    solver = LogisticRegression(C=1 / (penalty * len(y)), tol=1e-10, max_iter=2000, solver="newton-cholesky")
    return solver.fit(x, y)


def best_penalty(x, y, penalties, n_folds, seed):
    """Scores rounded to two decimals; the first of equals."""
    means = []
    for penalty in penalties:
        accuracies = []
        for train, left_out in StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(x, y):
            accuracies.append(classifier(x[train], y[train], penalty).score(x[left_out], y[left_out]))
        means.append(round(100 * float(np.mean(accuracies)), 2))
    best = means.index(max(means))
    return penalties[best], means[best]


def nested(x, y, penalties, n_folds, seed):
    """Out-of-fold predictions, and each outer fold's penalty."""
    predictions, chosen = np.full(len(y), -1), []
    for train, test in StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(x, y):
        penalty, _ = best_penalty(x[train], y[train], penalties, n_folds, seed)
        predictions[test] = classifier(x[train], y[train], penalty).predict(x[test])
        chosen.append(penalty)
    return predictions, tuple(chosen)


def cross_validated(x, y, x_test, penalties, n_folds, seed):
    """Test predictions, the penalty, and its accuracy × 100 over the folds."""
    penalty, dev = best_penalty(x, y, penalties, n_folds, seed)
    return classifier(x, y, penalty).predict(x_test), penalty, dev


def held_out(x, y, x_dev, y_dev, x_test, penalties):
    """Test predictions, and the penalty."""
    fits = [classifier(x, y, penalty) for penalty in penalties]
    scores = [round(100 * fit.score(x_dev, y_dev), 2) for fit in fits]
    best = scores.index(max(scores))
    return fits[best].predict(x_test), penalties[best]


def objective(weights, bias, x, targets, penalty):
    """The loss of one fit, row by row: weights (K, D), bias (K,), targets (N, K) probabilities."""
    total = 0.0
    for row, target in zip(x, targets, strict=True):
        z = [float(w @ row + b) for w, b in zip(weights, bias, strict=True)]
        top = max(z)
        log_sum = top + np.log(sum(np.exp(value - top) for value in z))
        total += sum(t * (log_sum - value) for t, value in zip(target, z, strict=True))
    return total / len(x) + penalty / 2 * float((weights**2).sum())
