from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.decomposition import PCA

from sentemb.errors import DataError
from sentemb.metrics.isotropy import isoscore, mean_cosine, partition_isotropy
from sentemb.metrics.rank import participation_ratio


def rotation(dim: int, rng: np.random.Generator) -> np.ndarray:
    return np.linalg.qr(rng.normal(size=(dim, dim)))[0]


def axes(dim: int, scales: list[float]) -> np.ndarray:
    """Plus and minus a scale on each of the first axes: mean 0, variances in the ratio of the squared scales."""
    rows = np.zeros((2 * len(scales), dim))
    for i, scale in enumerate(scales):
        rows[2 * i, i], rows[2 * i + 1, i] = scale, -scale
    return rows


# ---------------------------------------------------------------- IsoScore
def isoscore_by_steps(x: np.ndarray) -> float:
    """Algorithm 1 of the paper: scikit-learn's PCA, then the covariance and each step in loops."""
    points = PCA().fit_transform(x)
    n_rows, n = points.shape
    diagonal = []
    for d in range(n):
        mean = sum(points[:, d]) / n_rows
        diagonal.append(sum((v - mean) ** 2 for v in points[:, d]) / (n_rows - 1))
    length = math.sqrt(sum(v * v for v in diagonal))
    hat = [math.sqrt(n) * v / length for v in diagonal]
    defect = math.sqrt(sum((v - 1) ** 2 for v in hat)) / math.sqrt(2 * (n - math.sqrt(n)))
    phi = (n - defect**2 * (n - math.sqrt(n))) ** 2 / n**2
    return (n * phi - 1) / (n - 1)


def isoscore_by_traces(x: np.ndarray) -> float:
    """Without an eigenvalue: tr(Σ) and tr(Σ²) of the covariance in loops; n φ = tr(Σ)² / tr(Σ²)."""
    n_rows, n = x.shape
    means = [sum(x[:, d]) / n_rows for d in range(n)]
    cov = [[sum((r[i] - means[i]) * (r[j] - means[j]) for r in x) for j in range(n)] for i in range(n)]
    trace = sum(cov[i][i] for i in range(n))
    squared = sum(cov[i][j] ** 2 for i in range(n) for j in range(n))
    return (trace**2 / squared - 1) / (n - 1)


@pytest.mark.parametrize(("n_rows", "dim"), [(3, 2), (30, 2), (20, 5), (50, 9)])
def test_isoscore_agrees_with_the_steps_of_the_paper(n_rows, dim, rng):
    x = rng.normal(size=(n_rows, dim)) @ rng.normal(size=(dim, dim)) + 3.0
    assert isoscore(x) == pytest.approx(isoscore_by_steps(x), abs=1e-12)


@pytest.mark.parametrize(("n_rows", "dim"), [(2, 2), (3, 8), (5, 5), (20, 5)])
def test_isoscore_agrees_with_loops_also_for_fewer_rows_than_dimensions(n_rows, dim, rng):
    x = rng.normal(size=(n_rows, dim)) * rng.uniform(0.1, 3.0, size=dim) - 1.0
    assert isoscore(x) == pytest.approx(isoscore_by_traces(x), abs=1e-12)


@pytest.mark.parametrize("dim", [2, 3, 10, 64])
def test_isoscore_of_k_equal_axes(dim):
    """The paper's heuristic: k dimensions used alike, and no other, give (k − 1) / (n − 1)."""
    for k in {1, 2, dim // 2 or 1, dim}:
        assert isoscore(axes(dim, [2.0] * k)) == pytest.approx((k - 1) / (dim - 1), abs=1e-12)


def test_isoscore_of_unequal_axes_by_hand():
    # variances 9 : 1, so n φ = 10² / 82 and ι = 100/82 − 1
    assert isoscore(axes(2, [3.0, 1.0])) == pytest.approx(18 / 82, abs=1e-12)


def test_isoscore_is_blind_to_shift_rotation_scale_and_order_but_not_to_stretch(rng):
    x = rng.normal(size=(40, 6)) * np.arange(1, 7)
    whole = isoscore(x)
    for same in (x + 100.0, x @ rotation(6, rng), 1e-180 * x, 1e180 * x, x[rng.permutation(40)], np.vstack([x, x])):
        assert isoscore(same) == pytest.approx(whole, rel=1e-9)
    assert isoscore(x * [1, 1, 1, 1, 1, 9]) < 0.5 * whole


def test_isoscore_is_the_participation_ratio_in_other_units(rng):
    x = rng.normal(size=(40, 6)) * np.arange(1, 7)
    assert isoscore(x) == pytest.approx((participation_ratio(x) - 1) / 5, rel=1e-12)


def test_isoscore_of_few_gaussian_rows_is_what_its_docstring_says(rng):
    n_rows, dim = 200, 100
    assert isoscore(rng.normal(size=(n_rows, dim))) == pytest.approx(1 / (1 + dim / n_rows), rel=0.02)
    assert isoscore(np.eye(5)) == pytest.approx(3 / 4)  # the most that 5 rows reach in 5 dimensions


# ---------------------------------------------------------------- partition function
def partition_by_loops(x: np.ndarray) -> float:
    """Unscaled sums of exponentials over both signs of each right singular vector (not the solver under test)."""
    _, _, vectors = np.linalg.svd(x)
    sums = []
    for c in [*vectors, *(-vectors)]:
        sums.append(sum(math.exp(sum(a * b for a, b in zip(c, row, strict=True))) for row in x))
    return min(sums) / max(sums)


@pytest.mark.parametrize(("n_rows", "dim"), [(1, 1), (5, 1), (6, 2), (20, 4), (50, 9)])
def test_partition_agrees_with_loops(n_rows, dim, rng):
    x = rng.normal(size=(n_rows, dim)) * np.linspace(0.5, 2.0, dim) + 0.3
    assert partition_isotropy(x) == pytest.approx(partition_by_loops(x), rel=1e-10)


def test_partition_closed_forms():
    one = np.array([[3.0, 0.0]])  # Z = e³, e⁻³ along it and 1 across
    assert partition_isotropy(one) == pytest.approx(math.exp(-6))
    assert partition_isotropy(np.repeat(one, 7, axis=0)) == pytest.approx(math.exp(-6))
    assert partition_isotropy(np.zeros((4, 3))) == 1.0
    # eigenvalues 8 and 2: Z = 2 cosh 2 + 2 and 2 cosh 1 + 2, the same for either sign
    expected = (2 * math.cosh(1) + 2) / (2 * math.cosh(2) + 2)
    assert partition_isotropy(axes(2, [2.0, 1.0])) == pytest.approx(expected)
    assert partition_isotropy(axes(2, [1.0, 1.0 + 1e-9])) == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize(("length", "expected"), [(100.0, math.exp(-200)), (1e3, 0.0), (1e8, 0.0)])
def test_partition_of_long_vectors_does_not_overflow(length, expected):
    assert partition_isotropy(np.array([[length, 0.0]])) == pytest.approx(expected, rel=1e-12)


def test_partition_sees_scale_and_shift_but_not_rotation_order_reflection_or_repeats(rng):
    x = rng.normal(size=(40, 4)) * [2.0, 1.0, 0.5, 0.1] + [0.5, 0.0, 0.0, 0.0]
    whole = partition_isotropy(x)
    for same in (x @ rotation(4, rng), -x, x[rng.permutation(40)], np.vstack([x, x])):
        assert partition_isotropy(same) == pytest.approx(whole, rel=1e-9)
    assert partition_isotropy(2 * x) < whole
    assert partition_isotropy(x + 1.0) < whole


# ---------------------------------------------------------------- mean cosine
def mean_cosine_by_loops(x: np.ndarray) -> float:
    cosines = []
    for i in range(len(x)):
        for j in range(i):
            dot = sum(a * b for a, b in zip(x[i], x[j], strict=True))
            cosines.append(dot / math.sqrt(sum(a * a for a in x[i]) * sum(b * b for b in x[j])))
    return sum(cosines) / len(cosines)


@pytest.mark.parametrize(("n_rows", "dim"), [(2, 1), (2, 5), (7, 3), (40, 8)])
@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_mean_cosine_agrees_with_loops_over_all_pairs(n_rows, dim, shift, rng):
    x = rng.normal(size=(n_rows, dim)) + shift
    assert mean_cosine(x) == pytest.approx(mean_cosine_by_loops(x), abs=1e-12)


def test_mean_cosine_closed_forms():
    assert mean_cosine(np.ones((9, 3))) == pytest.approx(1.0)
    assert mean_cosine(np.eye(5)) == pytest.approx(0.0, abs=1e-12)
    for n in (2, 4, 10):
        assert mean_cosine(axes(n, [1.0] * n)) == pytest.approx(-1 / (2 * n - 1))  # directions that cancel out


def test_mean_cosine_is_blind_to_row_scale_rotation_and_order(rng):
    x = rng.normal(size=(30, 4)) + 1.0
    whole = mean_cosine(x)
    for same in (x * rng.uniform(0.1, 9.0, size=(30, 1)), x @ rotation(4, rng), x[::-1]):
        assert mean_cosine(same) == pytest.approx(whole, abs=1e-12)
    assert mean_cosine(x - x.mean(axis=0)) == pytest.approx(0.0, abs=0.1) != pytest.approx(whole, abs=0.1)


# ---------------------------------------------------------------- what is refused
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: isoscore(np.ones((1, 3))), "isoscore: 1 vector, but 2 or more"),
        (lambda: isoscore(np.array([[1.0], [2.0]])), "isoscore: vectors of 1 dimension"),
        (lambda: isoscore(np.full((7, 3), 0.1)), "isoscore: all 7 vectors are alike"),
        (lambda: isoscore(np.array([[1.0, 2.0], [np.inf, 0.0]])), "isoscore: vector 1 holds a value that is not"),
        (lambda: partition_isotropy(np.ones((0, 3))), "partition_isotropy: vectors of shape"),
        (lambda: partition_isotropy(np.array([[np.nan]])), "partition_isotropy: vector 0 holds a value that is not"),
        (lambda: mean_cosine(np.ones((1, 3))), "mean_cosine: 1 vector, but 2 or more"),
        (lambda: mean_cosine(np.array([[0.0, 0.0], [1.0, 0.0]])), "mean_cosine: vector 0 is zero"),
    ],
)
def test_what_has_no_isotropy_is_refused(call, message):
    with pytest.raises(DataError, match=message):
        call()


@pytest.mark.parametrize("figure", [isoscore, partition_isotropy, mean_cosine])
def test_half_precision_is_read_as_its_float64_value(figure, rng):
    x = (rng.normal(size=(50, 4)) + 1.0).astype(np.float16)
    assert figure(x) == figure(x.astype(np.float64))
