from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sentemb.errors import ConfigError, DataError
from sentemb.postprocess.common_components import CommonComponents
from tests.postprocess.samples import correlated


def all_but_the_top(x, n_removed):
    """Mu and Viswanath 2018, Algorithm 1, vector by vector, the axes from the SVD of the centred vectors."""
    centred = x - x.mean(axis=0)
    axes = np.linalg.svd(centred, full_matrices=False)[2]
    out = []
    for vector in centred:
        rest = vector.copy()
        for axis in axes[:n_removed]:
            rest = rest - sum(a * b for a, b in zip(vector, axis, strict=True)) * axis
        out.append(rest)
    return np.array(out)


@pytest.mark.parametrize("n_removed", [0, 1, 3, 5])
def test_agrees_with_the_paper_in_loops(n_removed, rng):
    x = correlated(rng, 50)
    got = CommonComponents(n_removed=n_removed).fit(x).transform(x)
    assert_allclose(got, all_but_the_top(x, n_removed), atol=1e-8)


def test_agrees_with_what_scikit_learns_pca_leaves_over(rng):
    from sklearn.decomposition import PCA

    x, new = correlated(rng), correlated(rng, 20)
    pca = PCA(n_components=2, svd_solver="full").fit(x)
    ours = CommonComponents(n_removed=2).fit(x)
    assert_allclose(ours.transform(new), new - pca.inverse_transform(pca.transform(new)), atol=1e-8)
    assert_allclose(ours.eigenvalues_[:2], pca.explained_variance_, rtol=1e-8)


def test_the_top_variance_is_gone_and_the_rest_is_untouched(rng):
    x = correlated(rng)
    before = np.linalg.eigvalsh(np.cov(x.T))[::-1]
    ours = CommonComponents(n_removed=2).fit(x)
    y = ours.transform(x)
    after = np.linalg.eigvalsh(np.cov(y.T))[::-1]
    assert_allclose(after, [*before[2:], 0, 0], atol=1e-8)
    assert_allclose(y.mean(axis=0), 0.0, atol=1e-10)
    assert_allclose(ours.components_ @ ours.components_.T, np.eye(2), atol=1e-12)
    assert_allclose(y @ ours.components_.T, 0.0, atol=1e-8)


@pytest.mark.parametrize(("width", "expected"), [(2, 1), (99, 1), (128, 1), (300, 3), (384, 3)])
def test_the_papers_rule_is_a_hundredth_of_the_width(width, expected, rng):
    ours = CommonComponents(n_removed=None).fit(rng.normal(size=(20, width)))
    assert ours.components_.shape == (expected, width)


def test_back_again_without_what_was_taken_out(rng):
    x = correlated(rng)
    ours = CommonComponents(n_removed=2).fit(x)
    back = ours.inverse_transform(ours.transform(x))
    removed = (x - ours.mean_) @ ours.components_.T @ ours.components_
    assert_allclose(back, x - removed, atol=1e-8)


def test_what_cannot_be_removed_is_refused(rng):
    with pytest.raises(ConfigError, match="n_removed: it is -1, but must be 0 or more, or None"):
        CommonComponents(n_removed=-1)
    with pytest.raises(ConfigError, match="n_removed: 6 of 6 directions removed leaves nothing"):
        CommonComponents(n_removed=6).fit(np.full((2, 6), np.nan))
    with pytest.raises(ConfigError, match="n_removed: 1 of 1 directions removed leaves nothing"):
        CommonComponents(n_removed=None).fit(rng.normal(size=(20, 1)))
    with pytest.raises(DataError, match="3 components are to be removed, but the 3 rows vary along 2"):
        CommonComponents(n_removed=3).fit(correlated(rng, 3))
    with pytest.raises(DataError, match="1 components are to be removed, but the 30 rows vary along 0"):
        CommonComponents(n_removed=1).fit(np.full((30, 6), 0.1))
