from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sentemb.errors import DataError, ModelError
from sentemb.postprocess import blocks
from sentemb.postprocess.arrays import write_arrays
from sentemb.postprocess.moments import Moments
from tests.postprocess.samples import correlated, relative

NAMES = ["mean", "scatter", "third", "fourth"]


def of(*parts):
    moments = Moments(parts[0].shape[1])
    for part in parts:
        moments.update(part)
    return moments


def in_loops(x):
    """The four sums, number by number."""
    n, d = x.shape
    mean = [sum(x[i][j] for i in range(n)) / n for j in range(d)]
    scatter, third, fourth = [[0.0] * d for _ in range(d)], [0.0] * d, 0.0
    for row in x:
        y = [row[j] - mean[j] for j in range(d)]
        square = sum(value * value for value in y)
        fourth += square * square
        for j in range(d):
            third[j] += square * y[j]
            for k in range(d):
                scatter[j][k] += y[j] * y[k]
    return {"mean": mean, "scatter": scatter, "third": third, "fourth": fourth}


def assert_same(got, expected, tolerance):
    assert (got.count, got.resolution) == (expected.count, expected.resolution)
    for name in NAMES:
        assert relative(getattr(got, name), getattr(expected, name)) <= tolerance, name


@pytest.mark.parametrize(("n", "d"), [(1, 1), (2, 3), (7, 1), (30, 4)])
def test_agrees_with_loops(n, d, rng):
    x = correlated(rng, n, d)
    moments = of(x)
    assert moments.count == n
    for name, expected in in_loops(x).items():
        assert_allclose(getattr(moments, name), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("cuts", [[100], [1], [1, 2, 3, 4], list(range(1, 200)), [0, 0, 150, 199, 200]])
def test_any_cut_into_blocks_gives_the_same(cuts, rng):
    x = correlated(rng)
    assert_same(of(*np.split(x, cuts)), of(x), 1e-10)


def test_any_size_of_the_parts_gives_the_same(rng, monkeypatch):
    x = correlated(rng)
    whole = of(x)
    monkeypatch.setattr(blocks, "_PART", 7 * x.shape[1])
    assert len(list(blocks.parts_of(x))) == 29  # the premise: there are parts
    assert_same(of(x), whole, 1e-10)


def test_shards_merged_in_any_order_equal_the_whole(rng):
    x = correlated(rng)
    shards = [of(part) for part in np.split(x, [10, 11, 120])]
    before = [shard.copy() for shard in shards]
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        merged = Moments(6)
        for i in order:
            merged.merge(shards[i])
        assert_same(merged, of(x), 1e-10)
    for shard, kept in zip(shards, before, strict=True):
        assert_same(shard, kept, 0.0)
    merged.merge(Moments(6))
    assert_same(merged, of(x), 1e-10)


def test_merging_with_itself_counts_the_rows_twice(rng):
    x = correlated(rng)
    moments = of(x)
    moments.merge(moments)
    assert_same(moments, of(x, x), 1e-10)


def test_a_mean_a_million_times_the_spread_costs_no_digits(rng):
    small = rng.normal(size=(500, 3))
    large = small + 2.0**20  # exact to 2⁻³²
    small = large - 2.0**20
    naive = large.T @ large - 500 * np.outer(large.mean(0), large.mean(0))
    expected = of(small).scatter
    assert relative(naive, expected) > 1e-6  # the premise: E[x²] − E[x]² loses what is asked for
    assert relative(of(large).scatter, expected) < 1e-12
    assert relative(of(*np.split(large, 10)).scatter, expected) < 1e-9  # the means of blocks are kept to 2⁻³³
    assert relative(of(large[:1], large[1:]).scatter, expected) < 1e-9


def test_an_unlike_first_block_costs_no_digits(rng):
    x = np.concatenate([np.zeros((1, 3)), 1e6 + rng.normal(size=(99, 3))])  # a fixed shift at the first block would
    rest = of(x[1:])
    moments = of(x[:1], x[1:])
    gap = x[1:].mean(axis=0)
    assert_allclose(moments.scatter, rest.scatter + 0.99 * np.outer(gap, gap), rtol=1e-12)


@pytest.mark.parametrize("ddof", [0, 1])
def test_covariance_is_numpys(ddof, rng):
    x = correlated(rng)
    assert_allclose(of(x).covariance(ddof), np.cov(x.T, ddof=ddof), rtol=1e-10)
    assert_array_equal(of(x).covariance(ddof), of(x).covariance(ddof).T)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, ">f4"])
def test_narrow_floats_are_summed_in_float64(dtype, rng):
    x = correlated(rng).astype(dtype)
    narrow, wide = of(x), of(x.astype(np.float64))
    assert (narrow.resolution, wide.resolution) == (np.finfo(dtype).eps, np.finfo(np.float64).eps)
    assert_array_equal(narrow.scatter, wide.scatter)
    wide.merge(narrow)
    assert wide.resolution == narrow.resolution


def test_strided_rows_and_the_input_left_as_it_was(rng):
    x = correlated(rng)
    kept = x.copy()
    assert_same(of(x[::-2, ::2]), of(x[::-2, ::2].copy()), 1e-14)
    assert_array_equal(x, kept)


def test_constant_columns_in_spite_of_rounding(rng):
    x = correlated(rng, 1000, 4)
    x[:, 1], x[:, 3] = 0.1, 0.0
    assert of(*np.split(x, 7 * [100])).constant_columns() == [1, 3]
    x[5, 1] = np.nextafter(np.float32(0.1), np.float32(1))
    assert of(x).constant_columns() == [3]


def test_save_and_load_bit_for_bit_and_go_on(tmp_path, rng):
    x = correlated(rng)
    of(x[:50]).save(tmp_path / "new" / "moments.safetensors")
    loaded = Moments.load(tmp_path / "new" / "moments.safetensors")
    assert_same(loaded, of(x[:50]), 0.0)
    loaded.update(x[50:])
    assert_same(loaded, of(x[:50], x[50:]), 0.0)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["moments.safetensors"]


def test_what_cannot_be_loaded_is_named(tmp_path, rng):
    file = tmp_path / "moments.safetensors"
    with pytest.raises(ModelError, match=r"moments.safetensors: there is no such file"):
        Moments.load(file)
    of(correlated(rng)).save(file)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ModelError, match=r"not a whole safetensors file"):
        Moments.load(file)
    write_arrays(file, {"weight": np.zeros(3)})
    with pytest.raises(ModelError, match=r"it holds weight, not count, fourth, mean, resolution, scatter, third"):
        Moments.load(file)
    arrays = {name: np.asarray(getattr(of(correlated(rng)), name)) for name in ["count", "resolution", *NAMES]}
    write_arrays(file, arrays | {"scatter": np.zeros((2, 2))})
    with pytest.raises(ModelError, match=r"shapes don't fit each other"):
        Moments.load(file)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ([[1.0, 2.0]], "embeddings are a list, not a NumPy array"),
        (np.zeros(6), r"embeddings have shape \(6,\), not \(N, D\)"),
        (np.zeros((2, 0)), r"embeddings have shape \(2, 0\)"),
        (np.zeros((2, 6), dtype=int), "embeddings are int64, not float16, float32 or float64"),
        (np.zeros((2, 6), dtype=complex), "embeddings are complex128"),
        (np.zeros((2, 6), dtype=np.longdouble), "embeddings are float128"),
        (np.zeros((2, 5)), "embeddings are 5 wide, but 6 is the width so far"),
    ],
)
def test_other_forms_are_refused(bad, message, rng):
    moments = of(correlated(rng))
    with pytest.raises(DataError, match=message):
        moments.update(bad)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_is_named_and_nothing_is_taken_in(value, rng, monkeypatch):
    x = correlated(rng)
    moments, before = of(x), of(x)
    bad = x.copy()
    bad[17, 2] = value
    monkeypatch.setattr(blocks, "_PART", 5 * 6)  # earlier parts of the block are whole
    with pytest.raises(DataError, match=rf"embeddings, row 217 \(from 0\): column 2 is {value}, not a finite number"):
        moments.update(bad)
    assert_same(moments, before, 0.0)


def test_too_few_rows_or_another_width_are_refused():
    moments = Moments(3)
    moments.update(np.zeros((0, 3), dtype=np.float32))
    assert moments.count == 0
    with pytest.raises(DataError, match=r"0 row\(s\), but a covariance with ddof 1 needs 2 or more"):
        moments.covariance(1)
    with pytest.raises(DataError, match=r"0 row\(s\), but a covariance with ddof 0 needs 1 or more"):
        moments.covariance(0)
    with pytest.raises(DataError, match="moments of width 2 can't be merged into those of width 3"):
        moments.merge(Moments(2))
    with pytest.raises(ValueError, match="width must be 1 or more, not 0"):
        Moments(0)


# ------------------------------------------------------------------------------------------- memory maps
def resident_kb(file):
    """Kilobytes of the file's mapping that are in this process's memory."""
    lines = Path("/proc/self/smaps").read_text().splitlines()
    starts = [i for i, line in enumerate(lines) if str(file) in line]
    return sum(int(line.split()[1]) for i in starts for line in lines[i : i + 25] if line.startswith("Rss:"))


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="the system has no madvise")
def test_pages_of_a_memory_map_are_given_back(tmp_path, rng, monkeypatch):
    file = tmp_path / "rows.npy"
    np.save(file, rng.normal(size=(20_000, 32)).astype(np.float32))
    mapped = np.load(file, mmap_mode="r")
    plain = of(np.load(file))
    assert mapped.sum() != 0
    if resident_kb(file) < 2000:
        pytest.skip("/proc/self/smaps does not tell")
    monkeypatch.setattr(blocks, "_PART", 32 * 4000)
    seen = []
    for _, _ in blocks.parts_of(np.asarray(mapped)[5:]):
        seen.append(resident_kb(file))
    assert len(seen) == 5 and max(seen) < 500
    assert_same(of(mapped), plain, 1e-10)


def test_a_map_that_can_be_changed_keeps_its_changes(tmp_path, rng):
    file = tmp_path / "rows.npy"
    np.save(file, rng.normal(size=(100, 4)))
    changed = np.load(file, mmap_mode="c")  # pages dropped here would be read from the file again
    changed[3] = 7.0
    of(changed)
    assert_array_equal(changed[3], 7.0)
    assert_array_equal(changed[:, 1:][3], 7.0)
    of(changed[:, 1:])
    assert_array_equal(changed[3], 7.0)
