"""Nearest neighbors equal those of the float64 oracle."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import labelquorum as lq
import oracle
from labelquorum import _core
from strategies import SHAPES, THREADS, shaped, share

METRICS = ["euclidean", "cosine", "inner_product"]
FLOATS = [np.float16, np.float32, np.float64]


def assert_equals_oracle(X, k, metric, Y=None, **options):
    """Neighbors and their order are equal, except at distances that rounding cannot separate."""
    distances, indices = lq.kneighbors(X, k, metric=metric, Y=Y, **options)
    table = oracle.distances(X, Y, metric)
    expected = oracle.nearest(table, k)
    wide = np.float64 in (X.dtype, None if Y is None else Y.dtype)
    assert distances.dtype == (np.float64 if wide else np.float32)
    assert indices.dtype == np.int64
    found = np.take_along_axis(table, indices, 1)
    right = np.take_along_axis(table, expected, 1)
    rounding = {"euclidean": 0, "cosine": 1e-15}.get(metric)
    if rounding is None:
        norms = np.sqrt((X.astype(np.float64) ** 2).sum(axis=1))
        of = norms if Y is None else np.sqrt((Y.astype(np.float64) ** 2).sum(axis=1))
        rounding = 1e-15 * X.shape[1] * of[:, None] * norms.max()
    assert (np.abs(found - right) <= 1e-12 * np.abs(right) + rounding).all()
    tolerance = 1e-12 if wide else 1e-7
    assert (np.abs(distances - found) <= tolerance * np.abs(found) + rounding).all()
    assert all(len(set(row)) == k for row in indices.tolist())
    if Y is None:
        assert (indices != np.arange(len(X))[:, None]).all()
    return indices, expected


@given(
    shape=st.sampled_from(SHAPES),
    n=st.integers(2, 150),
    d=st.one_of(st.integers(1, 8), st.integers(1, 300)),
    metric=st.sampled_from(METRICS),
    dtype=st.sampled_from([np.float32, np.float64]),
    with_queries=st.booleans(),
    n_jobs=st.sampled_from(THREADS),
    data=st.data(),
)
def test_neighbors_equal_the_oracle(shape, n, d, metric, dtype, with_queries, n_jobs, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    if shape == "huge":
        dtype = np.float64
    X = shaped(rng, shape, n, d).astype(dtype)
    Y = shaped(rng, shape, data.draw(st.integers(1, 40)), d).astype(dtype) if with_queries else None
    k = data.draw(st.integers(1, n - (Y is None)))
    assert_equals_oracle(X, k, metric, Y, n_jobs=n_jobs)


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 300),
    d=st.integers(1, 20),
    width=st.integers(1, 300),
    dtype=st.sampled_from([*FLOATS, np.uint8, np.int64]),
    n_jobs=st.sampled_from(THREADS),
)
@share(0.3)
def test_ties_and_duplicates_go_by_index(seed, n, d, width, dtype, n_jobs):
    rng = np.random.default_rng(seed)
    X = rng.integers(0, width, size=(n, d), endpoint=True).astype(dtype)  # sums are exact
    k = int(rng.integers(1, n))
    expected = oracle.nearest(oracle.distances(X, None, "euclidean"), k)
    np.testing.assert_array_equal(lq.kneighbors(X, k, n_jobs=n_jobs)[1], expected)


@pytest.mark.slow
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("n", "d"), [(2000, 1), (1500, 33), (400, 2000)])
def test_many_rows_and_columns(metric, dtype, n, d):
    X = np.random.default_rng(0).normal(size=(n, d)).astype(dtype)
    indices, expected = assert_equals_oracle(X, 20, metric)
    if d > 1 and dtype != np.float16:
        np.testing.assert_array_equal(indices, expected)


@given(st.integers(0, 2**32 - 1), st.sampled_from(FLOATS))
@share(0.2)
def test_any_layout_gives_the_same(seed, dtype):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(int(rng.integers(2, 60)), int(rng.integers(1, 20)))).astype(dtype)
    n, d = X.shape
    strided = np.zeros((2 * n, 3 * d), dtype)[::-2, ::3]
    strided[:] = X
    misaligned = np.frombuffer(b"x" + X.tobytes(), np.uint8)[1:].view(dtype).reshape(n, d)
    read_only = X.copy()
    read_only.flags.writeable = False
    k = int(rng.integers(1, n))
    expected = lq.kneighbors(X, k)
    swapped = X.astype(X.dtype.newbyteorder())
    for same in (np.asfortranarray(X), strided, misaligned, read_only, swapped):
        for ours, theirs in zip(lq.kneighbors(same, k), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_memory_maps_lists_and_integers_are_read(tmp_path):
    X = np.random.default_rng(1).integers(0, 256, size=(50, 6))
    expected = lq.kneighbors(X.astype(np.float64), 5)[1]
    np.save(tmp_path / "x.npy", X.astype(np.float32))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for same in (mapped, X.tolist(), X, X.astype(np.uint8), X.astype(np.int32)):
        np.testing.assert_array_equal(lq.kneighbors(same, 5)[1], expected)
    assert lq.kneighbors(X.astype(np.uint8), 5)[0].dtype == np.float32
    assert lq.kneighbors(X, 5)[0].dtype == np.float64


def test_parallel_rows_are_at_distance_zero_by_cosine():
    X = np.array([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0], [2.0, 4.0, 6.0], [7.0, 14.0, 21.0]])
    distances, indices = lq.kneighbors(X, 2, metric="cosine")
    assert distances[0].tolist() == [0, 0]
    assert indices[0].tolist() == [2, 3]


def test_a_row_of_zeros_is_at_distance_one_by_cosine():
    X = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]])
    distances, indices = lq.kneighbors(X, 3, metric="cosine")
    assert distances[0].tolist() == [1, 1, 1]
    assert indices[0].tolist() == [1, 2, 3]
    assert distances[1].tolist() == [1, 1, 2]


# Search with a recall


def rings(rng, n):
    angle = rng.uniform(0, 2 * np.pi, n)
    radius = rng.integers(1, 8, n)
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle), radius])


def embedded(rng, n, low, high):
    """A curved surface of few dimensions in many, with a little noise."""
    points = rng.uniform(-1, 1, size=(n, low))
    folded = np.concatenate([np.sin(3 * points), np.cos(2 * points), points**2], axis=1)
    return folded @ rng.normal(size=(3 * low, high)) + 0.01 * rng.normal(size=(n, high))


def clustered(rng, n, d, n_clusters, spread):
    centers = spread * rng.normal(size=(n_clusters, d))
    shares = rng.dirichlet(np.ones(n_clusters))
    return centers[rng.choice(n_clusters, size=n, p=shares)] + rng.normal(size=(n, d))


DATA = {
    **{
        f"{c} clusters, {d} columns, {spread} apart": lambda rng, c=c, d=d, s=spread: clustered(
            rng, 12_000, d, c, s
        )
        for c, d, spread in [
            (2, 8, 10),
            (5, 32, 1),
            (20, 16, 3),
            (100, 64, 1),
            (100, 64, 5),
            (300, 24, 20),
            (1000, 10, 5),
            (40, 150, 0.5),
            (40, 150, 2),
        ]
    },
    **{
        f"uniform, {d} columns": lambda rng, d=d: rng.random((12_000, d))
        for d in (1, 2, 3, 6, 12, 24, 100)
    },
    **{
        f"surface of {low} in {high}": lambda rng, low=low, high=high: embedded(
            rng, 12_000, low, high
        )
        for low, high in [(1, 10), (2, 50), (2, 200), (4, 64), (6, 300)]
    },
    "duplicates": lambda rng: rng.normal(size=(300, 20))[rng.integers(300, size=12_000)],
    "few distinct": lambda rng: rng.normal(size=(7, 5))[rng.integers(7, size=12_000)],
    "half duplicates": lambda rng: np.concatenate(
        [rng.normal(size=(6000, 12)), np.zeros((6000, 12))]
    ),
    "grid of 2": lambda rng: rng.integers(0, 60, size=(12_000, 2)).astype(float),
    "grid of 4": lambda rng: rng.integers(0, 6, size=(12_000, 4)).astype(float),
    "bits": lambda rng: rng.integers(0, 2, size=(12_000, 64)).astype(float),
    "rings": lambda rng: rings(rng, 12_000),
    "far from zero": lambda rng: 1e4 + rng.normal(size=(12_000, 10)),
    "scales": lambda rng: rng.normal(size=(12_000, 10)) * np.logspace(-3, 3, 10),
    "heavy tails": lambda rng: rng.standard_t(1.5, size=(12_000, 10)),
    "all equal": lambda rng: np.ones((12_000, 3)),
}


def true_recall(distances, exact_distances):
    return (distances <= exact_distances[:, -1:] * (1 + 1e-6)).mean()


@pytest.mark.slow
@pytest.mark.parametrize("shape", DATA)
def test_a_promised_recall_is_kept(shape):
    X = DATA[shape](np.random.default_rng(5)).astype(np.float32)
    exact, _ = lq.kneighbors(X, 15)
    for wanted in (0.8, 0.95, 0.99):
        distances, indices, quality = lq.kneighbors(X, 15, recall=wanted, return_quality=True)
        assert quality.recall >= wanted
        assert true_recall(distances, exact) >= wanted - 0.01
        assert (indices != np.arange(len(X))[:, None]).all()
        assert (np.diff(np.sort(indices, axis=1), axis=1) > 0).all()
        assert (np.diff(distances, axis=1) >= 0).all()
        rows = X[:200, None].astype(np.float64) - X[indices[:200]]
        np.testing.assert_allclose(distances[:200], np.sqrt((rows**2).sum(axis=2)), rtol=1e-6)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_a_promised_recall_is_kept_for_queries(metric, dtype):
    rng = np.random.default_rng(6)
    X = clustered(rng, 12_000, 20, 50, 3).astype(dtype)
    Y = clustered(rng, 5000, 20, 50, 3).astype(dtype)
    exact, _ = lq.kneighbors(X, 10, metric=metric, Y=Y)
    found, _, quality = lq.kneighbors(
        X, 10, metric=metric, Y=Y, recall=0.9, return_quality=True, n_jobs=2
    )
    assert quality.recall >= 0.9
    slack = 1e-6 * np.abs(exact[:, -1:])
    assert (found <= exact[:, -1:] + slack).mean() >= 0.89


def test_the_quality_is_that_of_another_sample_than_the_tuned_one():
    X = clustered(np.random.default_rng(7), 20_000, 16, 1, 0).astype(np.float32)
    exact, _ = lq.kneighbors(X, 15)
    distances, _, quality = lq.kneighbors(X, 15, recall=0.8, return_quality=True)
    assert quality.n_queries == 200
    assert quality.method == "cells"
    assert quality.lower_bound < quality.recall < 1
    assert quality.lower_bound - 0.02 < true_recall(distances, exact) < quality.recall + 0.05


def test_exact_search_reports_that_it_is_exact():
    X = np.random.default_rng(8).normal(size=(50, 3))
    for recall in (None, 1.0, 0.9):
        quality = lq.kneighbors(X, 3, recall=recall, return_quality=True)[2]
        assert quality == (1.0, 1.0, 0, "exact")


@pytest.mark.slow
def test_threads_do_not_change_the_result():
    X = clustered(np.random.default_rng(9), 12_000, 120, 30, 1).astype(np.float32)
    expected = lq.kneighbors(X, 12, recall=0.9, n_jobs=1)
    for n_jobs in (2, 8):
        found = lq.kneighbors(X, 12, recall=0.9, n_jobs=n_jobs)
        for ours, theirs in zip(found, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


# Custom distances

numba = pytest.importorskip("numba")
SIGNATURE = "float64(CPointer(float64), CPointer(float64), int64)"


@numba.cfunc(SIGNATURE)
def manhattan(a, b, n):
    total = 0.0
    for i in range(n):
        total += abs(a[i] - b[i])
    return total


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 80),
    d=st.integers(1, 6),
    dtype=st.sampled_from(FLOATS),
    with_queries=st.booleans(),
    n_jobs=st.sampled_from(THREADS),
)
@share(0.3)
def test_a_custom_distance_equals_the_naive_search(seed, n, d, dtype, with_queries, n_jobs):
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 5, size=(n, d)).astype(dtype)
    Y = rng.integers(0, 5, size=(7, d)).astype(dtype) if with_queries else X
    table = np.abs(Y[:, None].astype(float) - X[None]).sum(axis=2)
    if not with_queries:
        np.fill_diagonal(table, np.inf)
    k = int(rng.integers(1, n))
    expected = oracle.nearest(table, k)
    distances, indices = lq.kneighbors(
        X, k, metric=manhattan, Y=Y if with_queries else None, n_jobs=n_jobs
    )
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_array_equal(distances, np.take_along_axis(table, expected, 1))


def test_a_metric_may_be_a_ctypes_pointer():
    X = np.random.default_rng(10).normal(size=(30, 4))
    expected = lq.kneighbors(X, 3, metric=manhattan)
    for ours, theirs in zip(lq.kneighbors(X, 3, metric=manhattan.ctypes), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_metric_that_returns_nan_is_named():
    @numba.cfunc(SIGNATURE)
    def nothing(a, b, n):
        return np.nan

    with pytest.raises(ValueError, match=r"metric returned NaN for row \d of X and row \d of X"):
        lq.kneighbors([[1.0], [2.0]], 1, metric=nothing)


def test_a_metric_of_another_signature_is_refused():
    @numba.cfunc("float32(CPointer(float32), CPointer(float32), int64)")
    def single(a, b, n):
        return a[0] - b[0]

    @numba.cfunc("float64(float64, float64)")
    def of_numbers(a, b):
        return a - b

    cases = [
        (single, r"metric must have .* got \(float32\*, float32\*, int64\) -> float32"),
        (of_numbers, "metric must have the signature"),
        (of_numbers.ctypes, r"got argtypes \['c_double', 'c_double'\]"),
        (lambda a, b: 0.0, "got a Python function, which is too slow to call for every pair"),
        (None, r"metric must be one of .* got None"),
    ]
    for metric, message in cases:
        with pytest.raises(TypeError, match=message):
            lq.kneighbors([[1.0], [2.0]], 1, metric=metric)


# Graphs


def naive_graph(X, k, metric, mode):
    distances, indices = lq.kneighbors(X, k, metric=metric)
    rows = {
        (i, int(j)): distance
        for i in range(len(X))
        for j, distance in zip(indices[i], distances[i], strict=True)
    }
    back = {(j, i): distance for (i, j), distance in rows.items()}
    if mode == "union":
        return rows | back
    if mode == "mutual":
        return {edge: distance for edge, distance in rows.items() if edge in back}
    return rows


@given(
    shape=st.sampled_from(SHAPES),
    n=st.integers(2, 60),
    d=st.integers(1, 8),
    metric=st.sampled_from(METRICS),
    mode=st.sampled_from(["union", "mutual", "directed"]),
    n_jobs=st.sampled_from(THREADS),
    data=st.data(),
)
@share(0.5)
def test_a_graph_has_the_edges_of_the_naive_one(shape, n, d, metric, mode, n_jobs, data):
    X = shaped(np.random.default_rng(data.draw(st.integers(0, 2**32 - 1))), shape, n, d)
    k = data.draw(st.integers(1, n - 1))
    graph = lq.kneighbors_graph(X, k, metric=metric, mode=mode, n_jobs=n_jobs)
    assert graph.shape == (n, n)
    graph.check_format(full_check=True)
    assert graph.indices.dtype == graph.indptr.dtype == np.int32
    edges = graph.tocoo()
    found = {
        (int(i), int(j)): weight
        for i, j, weight in zip(edges.row, edges.col, edges.data, strict=True)
    }
    assert found == naive_graph(X, k, metric, mode)
    assert len(found) == graph.nnz
    for row in range(n):
        indices = graph.indices[graph.indptr[row] : graph.indptr[row + 1]]
        assert (np.diff(indices) > 0).all()


def test_both_widths_of_indices_give_the_same_graph():
    X = np.random.default_rng(2).normal(size=(40, 3))
    distances, indices = lq.kneighbors(X, 4)
    narrow = _core.neighbor_graph32(indices, distances, "union", 1, None)
    wide = _core.neighbor_graph64(indices, distances, "union", 1, None)
    for ours, theirs in zip(narrow, wide, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert narrow[0].dtype == narrow[1].dtype == np.int32
    assert wide[0].dtype == wide[1].dtype == np.int64


def test_a_bad_mode_is_named():
    with pytest.raises(
        ValueError, match="mode must be 'union', 'mutual' or 'directed', got 'both'"
    ):
        lq.kneighbors_graph([[1.0], [2.0]], 1, mode="both")


SCRIPT = """
import sys
import numpy as np
import labelquorum as lq
for dtype in (np.float32, np.float64):
    rng = np.random.default_rng(3)
    X = (rng.normal(size=(20, 50))[rng.integers(20, size=400)] + 0.1 * rng.normal(size=(400, 50)))
    for metric in ("euclidean", "cosine", "inner_product"):
        for array in lq.kneighbors(X.astype(dtype), 9, metric=metric):
            sys.stdout.buffer.write(array.tobytes())
"""


@pytest.mark.slow
def test_every_instruction_set_gives_the_same_bytes():
    outputs = set()
    for name in _core.compiled_instruction_sets():
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "LABELQUORUM_INSTRUCTION_SET": name},
            capture_output=True,
        )
        if b"for this build on this machine, got" in done.stderr:
            continue
        assert done.returncode == 0, done.stderr.decode()
        outputs.add(done.stdout)
    assert len(outputs) == 1


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (ValueError, "X must be 2-D, (n_samples, n_features)", {"X": [1.0, 2.0, 3.0]}),
        (ValueError, "X must have at least one row and one column", {"X": np.empty((0, 2))}),
        (ValueError, "X must have at least one row and one column", {"X": np.empty((2, 0))}),
        (ValueError, "X must be an array or rectangular nested lists", {"X": [[1.0], [1.0, 2.0]]}),
        (
            ValueError,
            "X must be finite, got NaN at row 1, column 2",
            {"X": [[0, 1, 2], [3, 4, np.nan]]},
        ),
        (
            ValueError,
            "X must be finite, got infinity at row 0, column 0",
            {"X": [[np.inf, 1], [2, 3]]},
        ),
        (ValueError, "X must be at most 1e150 in magnitude", {"X": [[1e200, 1], [2, 3]]}),
        (ValueError, "Y must be finite, got NaN at row 0, column 1", {"Y": [[1.0, np.nan]]}),
        (ValueError, "Y must have 2 columns, as X has, got 3", {"Y": np.zeros((4, 3))}),
        (TypeError, "X must hold floats of at most 64 bits", {"X": np.zeros((3, 2), complex)}),
        (TypeError, "integers or bools, got dtype <U1", {"X": [["a", "b"], ["c", "d"]]}),
        (
            TypeError,
            "X must hold floats of at most 64 bits",
            {"X": scipy.sparse.eye(4, dtype=complex).tocsr()},
        ),
        (TypeError, "X must be a plain array of numbers", {"X": np.ma.zeros((4, 2))}),
        (ValueError, "n_neighbors must be an integer of at least 1, got 0", {"n_neighbors": 0}),
        (ValueError, "n_neighbors must be at most 2, the number of", {"n_neighbors": 3}),
        (
            ValueError,
            "n_neighbors must be at most 3, the number of samples of X, got 4",
            {"n_neighbors": 4, "Y": [[1.0, 2.0]]},
        ),
        (TypeError, "n_neighbors must be an integer of at least 1", {"n_neighbors": 1.5}),
        (
            ValueError,
            "metric must be 'euclidean', 'cosine' or 'inner_product'",
            {"metric": "manhattan"},
        ),
        (ValueError, "recall must be a number in (0, 1], got 0", {"recall": 0}),
        (ValueError, "recall must be a number in (0, 1], got nan", {"recall": np.nan}),
        (TypeError, "recall must be a number in (0, 1], got 'high' (str)", {"recall": "high"}),
    ],
)
def test_bad_arguments_are_named(error, message, arguments):
    given = {"X": [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], "n_neighbors": 1, **arguments}
    with pytest.raises(error) as caught:
        lq.kneighbors(**given)
    assert message in str(caught.value)
