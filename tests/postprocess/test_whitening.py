from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sentemb.errors import ConfigError, DataError
from sentemb.postprocess.ledoit_wolf import ledoit_wolf_shrinkage
from sentemb.postprocess.moments import Moments
from sentemb.postprocess.spectrum import principal_axes
from tests.postprocess.samples import correlated, relative, whitening


def authors(x, k=None):
    """compute_kernel_bias of the paper, from the formulas of its §3 in NumPy."""
    u, s, _ = np.linalg.svd(np.cov(x.T))
    kernel = np.stack([u[:, j] / math.sqrt(s[j]) for j in range(len(s))], axis=1)[:, :k]
    return (x - x.mean(axis=0)) @ kernel


def up_to_sign(got, expected):
    """`expected` with each column's sign as in `got`."""
    return expected * np.sign((got * expected).sum(axis=0))


def cosines(x):
    rows = x / np.linalg.norm(x, axis=1, keepdims=True)
    return rows @ rows.T


@pytest.mark.parametrize("k", [None, 1, 4, 6])
def test_agrees_with_the_authors_formula(k, rng):
    x = correlated(rng)
    got = whitening(n_components=k).fit(x).transform(x)
    expected = authors(x, k)
    assert got.shape == expected.shape == (200, k or 6)
    assert_allclose(got, up_to_sign(got, expected), atol=1e-8)
    assert_allclose(cosines(got), cosines(expected), atol=1e-8)  # what the paper measures, signs or not


@pytest.mark.parametrize("k", [None, 3])
def test_agrees_with_scikit_learns_whitening_pca(k, rng):
    from sklearn.decomposition import PCA

    x, new = correlated(rng), correlated(rng, 20)
    pca = PCA(n_components=k, whiten=True, svd_solver="full").fit(x)
    ours = whitening(n_components=k).fit(x)  # PCA divides by √(n − 1) variances: ddof 1
    got = ours.transform(new)
    assert_allclose(got, up_to_sign(got, pca.transform(new)), atol=1e-8)
    assert_allclose(ours.eigenvalues_[:k], pca.explained_variance_, rtol=1e-8)


@pytest.mark.parametrize("form", ["pca", "zca"])
@pytest.mark.parametrize("ddof", [0, 1])
def test_the_covariance_of_the_fitted_set_is_the_identity(form, ddof, rng):
    x = correlated(rng)
    assert np.abs(np.cov(x.T) - np.eye(6)).max() > 0.5  # the premise: there is something to whiten
    white = whitening(form=form, ddof=ddof).fit(x).transform(x)
    assert_allclose(np.cov(white.T, ddof=ddof), np.eye(6), atol=1e-8)
    assert_allclose(white.mean(axis=0), 0.0, atol=1e-10)


def test_ddof_changes_the_scale_alone(rng):
    x = correlated(rng)
    zero, one = (whitening(ddof=ddof).fit(x).transform(x) for ddof in (0, 1))
    assert_allclose(zero, one * math.sqrt(200 / 199), rtol=1e-10)


def test_closed_form():
    x = np.array([[8.0, 7.0], [2.0, 7.0], [5.0, 8.0], [5.0, 6.0]])  # variances 6 and 2/3 with ddof 1
    ours = whitening().fit(x)
    assert_allclose(ours.kernel_, np.diag([1 / math.sqrt(6), math.sqrt(1.5)]), atol=1e-12)
    assert_allclose(ours.eigenvalues_, [6, 2 / 3])
    assert_allclose(ours.mean_, [5, 7])
    assert (ours.n_floored_, ours.shrinkage_) == (0, 0.0)


def test_cosines_at_full_rank_do_not_depend_on_the_form(rng):
    x = correlated(rng)
    pca, zca = (whitening(form=form).fit(x) for form in ("pca", "zca"))
    assert_allclose(cosines(pca.transform(x)), cosines(zca.transform(x)), atol=1e-10)
    assert not np.allclose(pca.transform(x), zca.transform(x), atol=0.1)
    assert_allclose(zca.kernel_, zca.kernel_.T, atol=1e-12)
    assert (np.linalg.eigvalsh(zca.kernel_) > 0).all()


def test_cosines_at_full_rank_do_not_depend_on_a_linear_map_of_the_embeddings(rng):
    x = correlated(rng)
    mapped = x @ rng.normal(size=(6, 6)) + 3.0
    assert_allclose(
        cosines(whitening().fit(x).transform(x)), cosines(whitening().fit(mapped).transform(mapped)), atol=1e-8
    )


def test_axes_descend_and_have_a_fixed_sign(rng):
    x = correlated(rng)
    ours = whitening().fit(x)
    assert (np.diff(ours.eigenvalues_) < 0).all()
    assert (ours.kernel_[np.abs(ours.kernel_).argmax(axis=0), np.arange(6)] > 0).all()
    assert_allclose(whitening().fit(x[::-1]).kernel_, ours.kernel_, rtol=1e-8)
    values, vectors = principal_axes(np.cov(x.T))
    assert_allclose(vectors * values @ vectors.T, np.cov(x.T), atol=1e-10)


def test_truncation_keeps_the_first_axes(rng):
    x = correlated(rng)
    assert_allclose(whitening(n_components=2).fit(x).kernel_, whitening().fit(x).kernel_[:, :2])


# ------------------------------------------------------------------------------------------- shrinkage
@pytest.mark.parametrize(("n", "d"), [(200, 6), (12, 6), (4, 6), (5, 1), (30, 40)])
def test_ledoit_wolf_is_scikit_learns(n, d, rng):
    from sklearn.covariance import ledoit_wolf

    x = correlated(rng, n, d)
    covariance, alpha = ledoit_wolf(x)
    moments = Moments(d)
    for block in np.array_split(x, 3):
        moments.update(block)
    assert_allclose(ledoit_wolf_shrinkage(moments), alpha, atol=1e-8)
    ours = whitening(shrinkage="ledoit_wolf", ddof=0).fit_moments(moments)
    assert_allclose(ours.shrinkage_, alpha, atol=1e-8)
    assert_allclose(ours.eigenvalues_, np.linalg.eigvalsh(covariance)[::-1], rtol=1e-8)
    precision = ours.kernel_ @ ours.kernel_.T
    assert relative(precision, np.linalg.inv(covariance)) < 1e-8


def test_ledoit_wolf_shrinks_to_the_identity_at_most():
    from sklearn.covariance import ledoit_wolf

    x = np.array([[1.1, 0.0], [-1.1, 0.0], [0.0, 1.0], [0.0, -1.0]])  # d² = 0.0055, b̄² = 0.1
    assert ledoit_wolf(x)[1] == 1.0
    assert whitening(shrinkage="ledoit_wolf").fit(x).shrinkage_ == 1.0


def test_ledoit_wolf_of_an_isotropic_sample_is_zero_and_needs_rows():
    moments = Moments(2)
    with pytest.raises(DataError, match="no rows, so there is no shrinkage to estimate"):
        ledoit_wolf_shrinkage(moments)
    moments.update(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]))
    assert ledoit_wolf_shrinkage(moments) == 0.0


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_shrinkage_by_hand(alpha, rng):
    x = correlated(rng)
    covariance = np.cov(x.T)
    shrunk = (1 - alpha) * covariance + alpha * np.trace(covariance) / 6 * np.eye(6)
    ours = whitening(shrinkage=alpha).fit(x)
    assert_allclose(ours.kernel_.T @ shrunk @ ours.kernel_, np.eye(6), atol=1e-8)
    assert ours.shrinkage_ == alpha


def test_shrinkage_gives_few_rows_full_rank(rng):
    x = correlated(rng, 4)
    ours = whitening(shrinkage=0.1).fit(x)
    assert ours.n_floored_ == 0
    assert_allclose(ours.inverse_transform(ours.transform(x)), x, atol=1e-8)


# ------------------------------------------------------------------------------------------- without full rank
def repeated(rng):
    x = correlated(rng)
    x[:, 5] = x[:, 0] + x[:, 1]
    return x


def constant(rng):
    x = correlated(rng)
    x[:, [1, 4]] = 0.1
    return x


DEFICIENT = {
    "few rows": (
        lambda rng: correlated(rng, 4),
        "3 of 6 directions have no variance: 4 rows span at most 3 of 6 directions",
    ),
    "as many rows as columns": (lambda rng: correlated(rng, 6), "1 of 6 .*6 rows span at most 5 of 6"),
    "constant": (constant, r"2 of 6 .*constant in all rows are the columns 1, 4 \(from 0\)"),
    "dependent": (repeated, "1 of 6 .*rows repeat, or columns depend on each other"),
    "repeated rows": (lambda rng: np.tile(correlated(rng, 3), (50, 1)), "4 of 6 .*rows repeat"),
}


@pytest.mark.parametrize("case", list(DEFICIENT))
def test_a_covariance_without_full_rank_is_refused_by_name(case, rng):
    make, message = DEFICIENT[case]
    rank = 6 - int(message.split(" of")[0])
    remedy = f"set n_components to {rank} or fewer, or set shrinkage or eigenvalue_floor"
    with pytest.raises(DataError, match=f"Whitening: {message}.*{remedy}"):
        whitening().fit(make(rng))
    with pytest.raises(DataError, match=f'Whitening: {message}.*use form "pca", or set shrinkage'):
        whitening(form="zca").fit(make(rng))


@pytest.mark.parametrize("case", list(DEFICIENT))
def test_or_floored_with_a_warning(case, rng):
    x = DEFICIENT[case][0](rng)
    n_flat = int(DEFICIENT[case][1].split(" of")[0])
    with pytest.warns(UserWarning, match=rf"Whitening: {n_flat} of 6 variances were raised to 1e-09 of the largest"):
        ours = whitening(eigenvalue_floor=1e-9).fit(x)
    assert ours.n_floored_ == n_flat
    top = ours.eigenvalues_[0]
    assert_allclose(ours.kernel_[:, -1] @ ours.kernel_[:, -1], 1 / (1e-9 * top), rtol=1e-6)
    assert_allclose(ours.inverse_transform(ours.transform(x)), x, atol=1e-8)


@pytest.mark.parametrize("case", list(DEFICIENT))
def test_or_truncated_to_what_varies(case, rng):
    x = DEFICIENT[case][0](rng)
    rank = 6 - int(DEFICIENT[case][1].split(" of")[0])
    white = whitening(n_components=rank).fit(x).transform(x)
    assert_allclose(np.cov(white.T).reshape(rank, rank), np.eye(rank), atol=1e-8)
    with pytest.raises(DataError, match=f"1 of {rank + 1} directions"):
        whitening(n_components=rank + 1).fit(x)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_what_rounding_put_there_is_no_variance(dtype, rng):
    x = rng.normal(size=(500, 6))
    x -= x.mean(axis=1, keepdims=True)  # a layer norm: each row sums to zero, up to rounding of the dtype
    x = (x / x.std(axis=1, keepdims=True) + 30.0 * np.arange(6)).astype(dtype)
    wide = x.astype(np.float64)
    assert 1e-3 > whitening().fit(wide).eigenvalues_[-1] > 1e-15  # the premise: as float64 it passes for variance
    with pytest.raises(DataError, match="1 of 6 .*columns depend on each other, as they do after a layer norm"):
        whitening().fit(x)
    white = whitening(n_components=5).fit(x).transform(wide)
    assert_allclose(np.cov(white.T), np.eye(5), atol=1e-8)


def test_a_floor_that_does_not_bind_changes_nothing_and_one_that_does_is_exact(rng):
    x = correlated(rng)
    values = whitening().fit(x).eigenvalues_
    low = values[-1] / values[0] / 2
    assert_array_equal(whitening(eigenvalue_floor=low).fit(x).kernel_, whitening().fit(x).kernel_)
    with pytest.warns(UserWarning, match="2 of 6"):
        ours = whitening(eigenvalue_floor=values[3] / values[0] * 0.999).fit(x)
    variances = np.cov(ours.transform(x).T).diagonal()
    assert_allclose(variances[:4], 1.0, rtol=1e-8)
    assert_allclose(variances[4:], values[4:] / (values[3] * 0.999), rtol=1e-8)


@pytest.mark.parametrize("floor", [0.0, 1e-6])
def test_rows_all_alike_are_refused_with_or_without_a_floor(floor):
    with pytest.raises(DataError, match="all 50 rows are alike, so there is nothing to scale"):
        whitening(eigenvalue_floor=floor).fit(np.full((50, 3), 0.1, dtype=np.float32))


def test_one_row_is_refused():
    with pytest.raises(DataError, match=r"1 row\(s\), but a covariance with ddof 1 needs 2"):
        whitening().fit(np.ones((1, 3)))
    with pytest.raises(DataError, match="all 1 rows are alike"):
        whitening(ddof=0).fit(np.ones((1, 3)))


# ------------------------------------------------------------------------------------------- settings
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_components": 0}, "Whitening.n_components: it is 0, but must be a whole number from 1, or None"),
        ({"eigenvalue_floor": -0.1}, "Whitening.eigenvalue_floor: it is -0.1, but must be at least 0 and below 1"),
        ({"eigenvalue_floor": 1.0}, "Whitening.eigenvalue_floor: it is 1.0"),
        ({"eigenvalue_floor": math.nan}, "Whitening.eigenvalue_floor: it is nan"),
        ({"shrinkage": 1.1}, 'Whitening.shrinkage: it is 1.1, but must be a number from 0 to 1, "ledoit_wolf" or None'),
        ({"shrinkage": -0.1}, "Whitening.shrinkage: it is -0.1"),
        ({"shrinkage": "oas"}, 'Whitening.shrinkage: it is "oas"'),
        ({"form": "cholesky"}, 'Whitening.form: it is "cholesky", but must be "pca" or "zca"'),
        ({"ddof": 2}, "Whitening.ddof: it is 2, but must be 0 or 1"),
    ],
)
def test_a_setting_out_of_its_range_is_refused_at_once(changes, message):
    with pytest.raises(ConfigError, match=message):
        whitening(**changes)


def test_settings_that_do_not_fit_the_width_are_refused_before_the_rows_are_read(rng):
    unreadable = np.full((3, 6), np.nan)
    for verb in ("fit", "partial_fit"):
        with pytest.raises(ConfigError, match="n_components: 7 is more than the width of the embeddings, 6"):
            getattr(whitening(n_components=7), verb)(unreadable)
        with pytest.raises(ConfigError, match='n_components: 5 of 6 dimensions, but form "zca" keeps all'):
            getattr(whitening(n_components=5, form="zca"), verb)(unreadable)
    with pytest.raises(ConfigError, match="n_components: 7 is more than"):
        whitening(n_components=7).fit_moments(Moments(6))
    assert whitening(n_components=6, form="zca").fit(correlated(rng)).kernel_.shape == (6, 6)
