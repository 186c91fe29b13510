from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sentemb.errors import DataError
from sentemb.metrics.rows import checked_rows, directions, unit_rows


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_any_number_comes_out_as_float64(dtype):
    rows = unit_rows("figure", np.array([[3, 4], [0, -2]], dtype=dtype), 2)
    assert rows.dtype == np.float64
    assert_allclose(rows, [[0.6, 0.8], [0.0, -1.0]], rtol=1e-15)


@pytest.mark.parametrize("scale", [1e-300, 1e-3, 1.0, 1e200])
def test_directions_do_not_depend_on_the_scale(scale, rng):
    x = rng.normal(size=(5, 3))
    assert_allclose(directions(scale * x), x / np.sqrt((x**2).sum(axis=1, keepdims=True)), rtol=1e-13)


def test_a_zero_row_stays_zero_but_has_no_direction():
    x = np.array([[1.0, 0.0], [0.0, 0.0]])
    assert directions(x).tolist() == [[1.0, 0.0], [0.0, 0.0]]
    with pytest.raises(DataError, match="figure: vector 1 is zero, so it has no direction"):
        unit_rows("figure", x, 1)
    assert checked_rows("figure", x, 1).tolist() == x.tolist()


@pytest.mark.parametrize(
    ("vectors", "at_least", "message"),
    [
        (np.ones(3), 1, r"figure: vectors of shape \(3,\). Pass one vector or more, as rows"),
        (np.ones((0, 3)), 1, r"shape \(0, 3\)"),
        (np.ones((3, 0)), 1, r"shape \(3, 0\)"),
        (np.ones((1, 3)), 2, "1 vector, but 2 or more are needed"),
        (np.ones((4, 3)), 11, "4 vectors, but 11 or more are needed. Pass 11 vectors or more"),
        (np.array([[1.0], [np.nan]]), 1, "vector 1 holds a value that is not finite"),
        (np.array([[np.inf], [1.0]]), 1, "vector 0 holds a value that is not finite"),
    ],
)
@pytest.mark.parametrize("check", [checked_rows, unit_rows])
def test_what_is_no_set_of_vectors_is_refused(check, vectors, at_least, message):
    with pytest.raises(DataError, match=message):
        check("figure", vectors, at_least)
