"""What holds of every linear post-processor, whatever it learns."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sentemb.errors import DataError, ModelError, OutputError
from sentemb.postprocess import blocks
from sentemb.postprocess.moments import Moments
from sentemb.postprocess.standardise import Standardise
from sentemb.postprocess.whitening import Whitening
from tests.postprocess.samples import FULL_RANK, MAKERS, correlated, relative, whitening


@pytest.fixture(params=list(MAKERS))
def make(request):
    return MAKERS[request.param]


def learnt(fitted):
    """All that ends in `_`."""
    names = [name for name in dir(type(fitted)) if name.endswith("_") and not name.startswith("_")]
    assert "mean_" in names and len(names) >= 3  # else the comparisons below would be vacuous
    return {name: np.asarray(getattr(fitted, name)) for name in names}


def assert_same(got, expected, tolerance):
    for name, value in learnt(expected).items():
        assert np.abs(learnt(got)[name] - value).max() <= tolerance * np.abs(value).max(), name


@pytest.mark.parametrize("cuts", [[100], [1, 3, 50], list(range(1, 200))])
def test_any_cut_into_blocks_gives_the_same(make, cuts, rng):
    x = correlated(rng)
    streamed = make()
    for block in np.split(x, cuts):
        assert streamed.partial_fit(block) is streamed
    whole = make().fit(x)
    assert_same(streamed, whole, 1e-10)
    assert relative(streamed.transform(x), whole.transform(x)) < 1e-10


def test_merged_shards_give_the_same(make, rng):
    x = correlated(rng)
    merged = Moments(6)
    for shard in np.split(x, [40, 41]):
        moments = Moments(6)
        moments.update(shard)
        merged.merge(moments)
    fitted = make().fit_moments(merged)
    assert_same(fitted, make().fit(x), 1e-10)
    merged.update(x + 100.0)  # the post-processor has its own copy
    assert_same(fitted, make().fit(x), 1e-10)
    fitted.partial_fit(x)
    assert merged.count == 400


def test_fit_forgets_and_partial_fit_adds(make, rng):
    x, other = correlated(rng), correlated(rng)
    assert_same(make().fit(other).fit(x), make().fit(x), 0.0)
    assert_same(make().partial_fit(other).fit(x), make().fit(x), 0.0)
    assert_same(make().fit(x).fit(x), make().fit(x), 0.0)
    added = make().fit(other)
    before = added.transform(x)
    assert_same(added.partial_fit(x), make().fit(np.concatenate([other, x])), 1e-10)
    assert relative(added.transform(x), before) > 1e-3


def test_a_stream_shorter_than_its_rank_may_go_on(rng):
    x = correlated(rng)
    streamed = whitening().partial_fit(x[:2])
    with pytest.raises(DataError, match="2 rows span at most 1 of 6 directions"):
        streamed.transform(x)
    assert_same(streamed.partial_fit(x[2:]), whitening().fit(x), 1e-10)


def test_a_failed_fit_keeps_the_old_one(make, rng):
    x = correlated(rng)
    fitted, bad = make().fit(x), x.copy()
    bad[150, 1] = np.nan
    for verb in ("fit", "partial_fit"):
        with pytest.raises(DataError, match=r"row \d+ \(from 0\): column 1 is nan"):
            getattr(fitted, verb)(bad)
    with pytest.raises(DataError):
        fitted.fit(np.ones((50, 6)))
    with pytest.raises(DataError, match=r"\.partial_fit: embeddings are 5 wide, but 6 is the width so far"):
        fitted.partial_fit(x[:, :5])
    assert_same(fitted, make().fit(x), 0.0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_narrow_floats_are_computed_in_float64_and_come_out_as_float32(make, dtype, rng):
    x = correlated(rng).astype(dtype)
    wide = x.astype(np.float64)
    fitted = make().fit(x)
    assert_same(fitted, make().fit(wide), 0.0)
    assert fitted.transform(x).dtype == np.float32
    assert fitted.transform(wide).dtype == np.float64
    assert_array_equal(fitted.transform(x), fitted.transform(wide).astype(np.float32))


def test_each_row_is_mapped_by_itself(make, rng, monkeypatch):
    x = correlated(rng)
    fitted = make().fit(x)
    whole = fitted.transform(x)
    order = rng.permutation(200)
    assert_allclose(fitted.transform(x[order]), whole[order], atol=1e-10)
    assert_allclose(fitted.transform(x[17:18]), whole[17:18], atol=1e-10)
    assert fitted.transform(x[:0]).shape == (0, whole.shape[1])
    monkeypatch.setattr(blocks, "_PART", 7 * 6)
    assert_allclose(fitted.transform(x), whole, atol=1e-10)
    assert_allclose(make().fit(x[order]).transform(x), whole, atol=1e-8)


@pytest.mark.parametrize("name", FULL_RANK)
def test_the_inverse_undoes_the_map_at_full_rank(name, rng):
    x, new = correlated(rng), correlated(rng, 20)
    fitted = MAKERS[name]().fit(x)
    assert_allclose(fitted.inverse_transform(fitted.transform(new)), new, atol=1e-8)
    assert_allclose(fitted.transform(fitted.inverse_transform(new)), new, atol=1e-8)


def test_the_inverse_is_the_pseudo_inverse(make, rng):
    x = correlated(rng)
    fitted = make().fit(x)
    y = fitted.transform(x)
    assert_allclose(fitted.transform(fitted.inverse_transform(y)), y, atol=1e-8)
    weight, _ = fitted.affine()
    pseudo = np.linalg.pinv(weight, rcond=1e-10)
    assert_allclose(fitted.inverse_transform(y), y @ pseudo.T + fitted.mean_, atol=1e-7)


def test_affine_is_the_same_map(make, rng):
    x, new = correlated(rng), correlated(rng, 20)
    fitted = make().fit(x)
    weight, bias = fitted.affine()
    y = fitted.transform(new)
    assert weight.shape == (y.shape[1], 6) and bias.shape == (y.shape[1],)
    assert weight.dtype == bias.dtype == np.float64 and weight.flags.c_contiguous
    assert_allclose(new @ weight.T + bias, y, atol=1e-8)


def test_a_memory_map_is_fitted_like_an_array(make, tmp_path, rng):
    x = correlated(rng)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert_same(make().fit(mapped), make().fit(x), 0.0)
    assert_array_equal(make().fit(x).transform(mapped), make().fit(x).transform(x))


# ------------------------------------------------------------------------------------------- refusals
def test_nothing_works_before_fit(make, tmp_path, rng):
    x = correlated(rng)
    name = type(make()).__name__
    uses = [
        lambda p: p.transform(x),
        lambda p: p.inverse_transform(x),
        lambda p: p.affine(),
        lambda p: p.mean_,
        lambda p: p.save(tmp_path / "out"),
    ]
    for use in uses:
        with pytest.raises(ModelError, match=f"{name}: it is not fitted. Call fit or partial_fit, or load a saved one"):
            use(make())
    assert not (tmp_path / "out").exists()


def test_another_width_or_form_is_refused(make, rng):
    x = correlated(rng)
    fitted, name = make().fit(x), type(make()).__name__
    with pytest.raises(DataError, match=rf"{name}.transform: embeddings are 5 wide, but 6 is the width so far"):
        fitted.transform(x[:, :5])
    with pytest.raises(DataError, match=rf"{name}.inverse_transform: embeddings are 9 wide"):
        fitted.inverse_transform(np.zeros((2, 9)))
    with pytest.raises(DataError, match=rf"{name}.transform: embeddings have shape \(6,\)"):
        fitted.transform(x[0])
    with pytest.raises(DataError, match=rf"{name}.fit: embeddings are a list"):
        fitted.fit(x.tolist())
    with pytest.raises(DataError, match=rf"{name}.fit: embeddings are int64"):
        fitted.fit(np.ones((9, 6), dtype=int))
    with pytest.raises(DataError, match=r"0 row\(s\)|no rows"):
        make().fit(x[:0])
    bad = x.copy()
    bad[3, 4] = np.inf
    with pytest.raises(DataError, match=r"embeddings, row 3 \(from 0\): column 4 is inf"):
        fitted.transform(bad)


# ------------------------------------------------------------------------------------------- save and load
def test_saved_and_loaded_is_the_same_bit_for_bit_and_goes_on(make, tmp_path, rng):
    x, new = correlated(rng), correlated(rng, 20)
    fitted = make().partial_fit(x)
    fitted.save(tmp_path / "a" / "saved")
    loaded = type(fitted).load(tmp_path / "a" / "saved")
    assert loaded.settings == fitted.settings
    assert_same(loaded, fitted, 0.0)
    assert_array_equal(loaded.transform(new), fitted.transform(new))
    assert_array_equal(loaded.inverse_transform(fitted.transform(new)), fitted.inverse_transform(fitted.transform(new)))
    assert_same(loaded.partial_fit(new), fitted.partial_fit(new), 0.0)
    loaded.save(tmp_path / "a" / "saved")  # over the old one
    assert_same(type(fitted).load(tmp_path / "a" / "saved"), fitted, 0.0)
    files = sorted(path.name for path in (tmp_path / "a" / "saved").iterdir())
    assert files == ["moments.safetensors", "postprocess.json", "postprocess.safetensors"]


def test_a_folder_with_other_things_is_not_replaced(tmp_path, rng):
    (tmp_path / "thesis.tex").write_text("all of it")
    fitted = whitening().fit(correlated(rng))
    with pytest.raises(OutputError, match="it holds other things than a post-processor. Name a new folder"):
        fitted.save(tmp_path)
    with pytest.raises(OutputError, match="other things"):
        fitted.save(tmp_path / "thesis.tex")
    assert (tmp_path / "thesis.tex").read_text() == "all of it"


def test_what_cannot_be_loaded_is_named(tmp_path, rng):
    saved = tmp_path / "saved"
    with pytest.raises(
        ModelError, match=r"saved: it holds no postprocess.json. Name a folder that Whitening.save wrote"
    ):
        Whitening.load(saved)
    whitening().fit(correlated(rng)).save(saved)
    with pytest.raises(ModelError, match=r"it is of a Whitening, not of a Standardise. Load it with Whitening.load"):
        Standardise.load(saved)
    record = json.loads((saved / "postprocess.json").read_text())
    record["settings"]["colour"] = "red"
    (saved / "postprocess.json").write_text(json.dumps(record))
    with pytest.raises(ModelError, match=r"its settings don't fit \(.*colour"):
        Whitening.load(saved)
    for text in ("{", "[]", '{"kind": "Whitening"}'):
        (saved / "postprocess.json").write_text(text)
        with pytest.raises(ModelError, match="it is no record of a post-processor"):
            Whitening.load(saved)


def test_files_of_different_fits_are_refused(tmp_path, rng):
    whitening().fit(correlated(rng)).save(tmp_path / "six")
    whitening().fit(correlated(rng, d=5)).save(tmp_path / "five")
    (tmp_path / "five" / "moments.safetensors").replace(tmp_path / "six" / "moments.safetensors")
    with pytest.raises(ModelError, match="its two files are of different fits"):
        Whitening.load(tmp_path / "six")
    (tmp_path / "five" / "postprocess.safetensors").unlink()
    with pytest.raises(ModelError, match=r"postprocess.safetensors: there is no such file"):
        Whitening.load(tmp_path / "five")
