"""Distinct rows, compared with `np.unique` on arrays with many copies."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labelquorum._shared import distinct as module
from labelquorum._shared.distinct import DistinctRows

VALUES = [0.0, -0.0, 1.0, -1.0, 2.0**-24, 1e-200, 1e150]


@st.composite
def arrays_with_copies(draw):
    shape = draw(st.integers(1, 30)), draw(st.integers(1, 4))
    X = draw(arrays(np.float64, shape, elements=st.sampled_from(VALUES)))
    return X.astype(draw(st.sampled_from([np.float16, np.float32, np.float64])))


def check(distinct, X):
    _, firsts, places, counts = np.unique(
        X + 0.0, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(firsts)
    np.testing.assert_array_equal(distinct.samples, firsts[order])
    np.testing.assert_array_equal(distinct.counts, counts[order])
    np.testing.assert_array_equal(distinct.samples[distinct.numbers], firsts[places.ravel()])
    np.testing.assert_array_equal(distinct.expand(distinct.rows_of(X)), X + 0.0)
    assert distinct.has_copies == (len(firsts) < len(X))


@pytest.mark.filterwarnings("ignore:overflow")
@given(arrays_with_copies())
def test_distinct_rows_are_those_of_numpy(X):
    X = np.where(np.isfinite(X), X, 0)
    check(DistinctRows.of(X), X)
    check(DistinctRows.of(np.asfortranarray(X)), X)
    if X.dtype != np.float16:
        check(DistinctRows.of(scipy.sparse.csr_array(X)), X)


def test_stored_zeros_and_the_order_of_entries_make_no_difference():
    entries = ([1.0, 2.0, 0.0, 2.0, 1.0, 0.5, 0.5, 2.0], [0, 3, 2, 3, 0, 0, 0, 3], [0, 3, 5, 8])
    distinct = DistinctRows.of(scipy.sparse.csr_array(entries, shape=(3, 4)))
    np.testing.assert_array_equal(distinct.numbers, [0, 0, 0])


def test_rows_are_compared_where_hashes_are_equal(monkeypatch):
    hashes = module._hashes
    seeds = []

    def weak_at_first(X, seed):
        seeds.append(seed)
        return hashes(X, seed) % 2 if seed < 2 else hashes(X, seed)

    monkeypatch.setattr(module, "_hashes", weak_at_first)
    X = np.random.default_rng(0).integers(0, 3, size=(200, 3)).astype(np.float32)
    check(DistinctRows.of(X), X)
    assert seeds == [0, 1, 2]


def test_many_numbers_that_need_few_bits_do_not_collide():
    X = np.stack(np.meshgrid(*[np.arange(64.0)] * 3), axis=-1).reshape(-1, 3)
    for dtype in (np.float32, np.float64):
        assert not DistinctRows.of(X.astype(dtype)).has_copies


def test_weights_are_1_if_all_rows_occur_equally_often():
    X = np.repeat(np.eye(3), 4, axis=0)
    np.testing.assert_array_equal(DistinctRows.of(X).weights(), [1, 1, 1])
    np.testing.assert_array_equal(DistinctRows.of(X[:9]).weights(), [4, 4, 1])
    of_rows = DistinctRows.of(np.array([[0.0], [1.0], [0.0]]))
    np.testing.assert_array_equal(of_rows.weights(np.array([2, 3, 4])), [2, 1])


def test_equal_samples_go_where_most_of_them_are():
    distinct = DistinctRows.of(np.array([[0.0], [0.0], [0.0], [1.0], [2.0], [2.0]]))
    partition = np.array([4, 1, 4, -1, 3, 2], dtype=np.int32)
    np.testing.assert_array_equal(distinct.shared_codes(partition), [4, -1, 2])
    np.testing.assert_array_equal(distinct.unified(partition[:, None])[:, 0], [4, 4, 4, -1, 2, 2])
    nothing = np.full(6, -1, dtype=np.int32)
    np.testing.assert_array_equal(distinct.shared_codes(nothing), [-1, -1, -1])
