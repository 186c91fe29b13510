"""Embeddings for the post-processor tests, and one of each post-processor with the settings of its paper."""

from __future__ import annotations

import numpy as np

from sentemb.postprocess.common_components import CommonComponents
from sentemb.postprocess.standardise import Standardise
from sentemb.postprocess.whitening import Whitening

PAPER = {"n_components": None, "eigenvalue_floor": 0.0, "shrinkage": None, "form": "pca", "ddof": 1}


def whitening(**changes):
    return Whitening(**(PAPER | changes))


MAKERS = {
    "whitening": whitening,
    "whitening truncated": lambda: whitening(n_components=3),
    "whitening zca": lambda: whitening(form="zca"),
    "standardise": lambda: Standardise(variance_floor=0.0, ddof=1),
    "common components": lambda: CommonComponents(n_removed=2),
}
FULL_RANK = ["whitening", "whitening zca", "standardise"]


def correlated(rng, n=200, d=6):
    """(n, d) float64 with a mean far from zero, unequal variances and correlated columns."""
    return rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) * np.geomspace(3, 0.1, d) + 10.0 * rng.normal(size=d)


def relative(got, expected):
    """The largest difference, relative to the largest value: how matrices and vectors are compared."""
    return np.abs(np.asarray(got) - expected).max() / max(np.abs(expected).max(), 1e-300)
