"""Neighbors of sparse rows are those of the dense rows."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import labelquorum as lq
from labelquorum.neighbors import sparse_search as module


def rows_like_tf_idf(n=300, n_columns=200, seed=0):
    """Rows with a few of many columns; some rows are empty, and some equal others."""
    rng = np.random.default_rng(seed)
    X = np.abs(rng.normal(size=(n, n_columns))) * (rng.random((n, n_columns)) < 0.04)
    X[7] = X[90] = 0
    X[40:60] = X[41]
    return X


@pytest.mark.parametrize("values_per_block", [300, 1 << 22])
@pytest.mark.parametrize("metric", ["euclidean", "cosine", "inner_product"])
@pytest.mark.parametrize("k", [1, 10, 299])
def test_neighbors_are_those_of_the_dense_rows(k, metric, values_per_block, monkeypatch):
    monkeypatch.setattr(module, "_VALUES_PER_BLOCK", values_per_block)
    X = rows_like_tf_idf()
    distances, indices = lq.kneighbors(scipy.sparse.csr_array(X), k, metric=metric)
    expected, _ = lq.kneighbors(X, k, metric=metric)
    np.testing.assert_allclose(distances, expected, rtol=1e-12, atol=1e-14)
    assert (indices != np.arange(300)[:, None]).all()
    assert (np.sort(indices, axis=1)[:, 1:] > np.sort(indices, axis=1)[:, :-1]).all()
    is_tie = distances[:, 1:] == distances[:, :-1]
    assert (indices[:, 1:] > indices[:, :-1])[is_tie].all(), "of ties, the first comes first"


def test_equal_rows_are_at_distance_zero_however_many_there_are():
    rng = np.random.default_rng(0)
    X = np.repeat(rng.normal(size=(3, 50)) * 1e6, 100, axis=0)
    distances, indices = lq.kneighbors(scipy.sparse.csr_array(X), 20)
    assert (distances == 0).all()
    assert indices[150].tolist() == list(range(100, 120))


def test_nearly_equal_rows_are_told_apart():
    """Their products differ by less than their last digit."""
    X = 1e6 + np.arange(12)[:, None] * 1e-6 * np.ones(3)
    distances, indices = lq.kneighbors(scipy.sparse.csr_array(X), 2)
    expected, expected_indices = lq.kneighbors(X, 2)
    np.testing.assert_allclose(distances, expected, rtol=1e-12)
    np.testing.assert_array_equal(indices, expected_indices)


@pytest.mark.parametrize(
    ("points", "queries", "expected"),
    [("f4", "f4", "f4"), ("f4", "f8", "f8"), ("f8", "f4", "f8"), ("f8", None, "f8")],
)
def test_distances_have_the_type_of_the_samples(points, queries, expected):
    X = scipy.sparse.csr_array(rows_like_tf_idf())
    Y = None if queries is None else X[:5].astype(queries)
    assert lq.kneighbors(X.astype(points), 2, Y=Y)[0].dtype == expected


@pytest.mark.parametrize("is_sparse", [True, False])
def test_queries_take_the_form_of_the_samples(is_sparse):
    X = rows_like_tf_idf()
    new = X[:20] + 1
    points = scipy.sparse.csr_array(X) if is_sparse else X
    queries = new.astype(np.float16) if is_sparse else scipy.sparse.coo_array(new)
    expected = lq.kneighbors(X, 3, Y=new.astype(np.float16) if is_sparse else new)
    distances, indices = lq.kneighbors(points, 3, Y=queries)
    np.testing.assert_allclose(distances, expected[0], rtol=1e-12)
    np.testing.assert_array_equal(indices, expected[1])
    searcher = lq.NeighborSearcher(n_neighbors=3).fit(points)
    np.testing.assert_array_equal(searcher.query(queries)[1], indices)


def test_a_recall_is_kept_by_exact_search():
    X = scipy.sparse.random_array((12_000, 50), density=0.1, format="csr", random_state=0)
    quality = lq.kneighbors(X, 2, recall=0.9, Y=X[:10], return_quality=True)[2]
    assert quality == (1.0, 1.0, 0, "exact")
    searcher = lq.NeighborSearcher(recall=0.9).fit(X)
    assert searcher.query(X[:10], return_quality=True)[2] == (1.0, 1.0, 0, "exact")
    assert searcher.quality_.method == "exact"


def test_a_searcher_of_sparse_rows_is_not_saved(tmp_path):
    searcher = lq.NeighborSearcher().fit(scipy.sparse.csr_array(rows_like_tf_idf()))
    with pytest.raises(TypeError, match="must hold dense samples to be saved, got sparse ones"):
        searcher.save(tmp_path / "searcher.zip")
    assert not list(tmp_path.iterdir())


def test_a_c_function_is_refused():
    import ctypes

    function = ctypes.CFUNCTYPE(
        ctypes.c_double,
        ctypes.POINTER(ctypes.c_double),
        ctypes.POINTER(ctypes.c_double),
        ctypes.c_int64,
    )(lambda a, b, n: 0.0)
    with pytest.raises(TypeError, match=r"metric must be one of .* for sparse X, got a C function"):
        lq.kneighbors(scipy.sparse.csr_array(rows_like_tf_idf()), 1, metric=function)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_values_that_are_not_finite_are_named(value):
    X = scipy.sparse.csr_array(rows_like_tf_idf())
    bad = X.copy()
    bad.data[5] = value
    row, column = np.argwhere(~(np.abs(bad.toarray()) <= 1e150))[0]
    for name, call in {
        "X": lambda: lq.kneighbors(bad, 2),
        "Y": lambda: lq.kneighbors(X, 2, Y=bad),
    }.items():
        with pytest.raises(ValueError, match=f"{name} must be .* at row {row}, column {column}"):
            call()


@pytest.mark.parametrize("scale", [1e-310, 1e-170])
@pytest.mark.parametrize("metric", ["euclidean", "inner_product", "cosine"])
def test_tiny_values_do_not_underflow(metric, scale):
    X = scipy.sparse.random(120, 40, density=0.1, random_state=0, format="csr")
    np.testing.assert_array_equal(
        lq.kneighbors(X * scale, 5, metric=metric)[1], lq.kneighbors(X, 5, metric=metric)[1]
    )


def test_dense_rows_stored_as_sparse_ones_are_compared_as_dense_ones():
    X = np.abs(np.random.default_rng(0).normal(size=(200, 20))) + 1e9
    for queries in (None, X[:7] + 0.1):
        stored = None if queries is None else scipy.sparse.csr_array(queries)
        found = lq.kneighbors(scipy.sparse.csr_array(X), 5, Y=stored)
        for result, expected in zip(found, lq.kneighbors(X, 5, Y=queries), strict=True):
            np.testing.assert_array_equal(result, expected)
