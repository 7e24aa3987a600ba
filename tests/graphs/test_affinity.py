"""The graph of nearest neighbors has the weights of its formula, whatever the scale of the data."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

import labelquorum as lq
from labelquorum.graphs.affinity import heat_weights

METRICS = ["euclidean", "cosine"]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_are_those_of_the_formula_and_add_up_in_both_directions(metric, dtype):
    X = np.random.default_rng(0).normal(size=(40, 5)).astype(dtype)
    distances, indices = lq.kneighbors(X, 6, metric=metric)
    squared = distances**2 if metric == "euclidean" else distances
    one_way = np.zeros((40, 40))
    one_way[np.arange(40)[:, None], indices] = np.exp(-4 * squared / squared[:, -1:])
    graph = lq.affinity_graph(X, 6, metric=metric)
    assert graph.dtype == dtype
    assert graph.has_canonical_format
    np.testing.assert_allclose(graph.toarray(), one_way + one_way.T, rtol=1e-5)


@pytest.mark.parametrize("scale", [1e-12, 1, 1e12])
def test_weights_do_not_depend_on_the_scale_of_the_data(scale):
    X = np.random.default_rng(1).normal(size=(30, 3))
    expected = lq.affinity_graph(X, 5).toarray()
    np.testing.assert_allclose(lq.affinity_graph(scale * X, 5).toarray(), expected, rtol=1e-9)


def test_equal_samples_are_joined_by_the_first_of_them():
    graph = lq.affinity_graph(np.zeros((6, 2)), 3)
    expected = np.zeros((6, 6))
    expected[0, 1:] = expected[1:, 0] = 1
    np.testing.assert_array_equal(graph.toarray(), expected)


@pytest.mark.parametrize("metric", METRICS)
def test_samples_with_many_copies_keep_their_neighbors(metric):
    X = np.random.default_rng(0).normal(size=(30, 4))
    copies = np.repeat(np.arange(30), 8)
    graph = lq.affinity_graph(X[copies], 5, metric=metric)
    plain = lq.affinity_graph(X, 5, metric=metric)
    assert lq.connected_components(graph)[0] == lq.connected_components(plain)[0]
    # The first copies stand for their rows: each row gives its neighbors eight times the weight.
    summed = np.zeros((30, 30))
    np.add.at(summed, (copies[:, None], copies), graph.toarray())
    np.fill_diagonal(summed, 0)
    np.testing.assert_allclose(summed, 8 * plain.toarray(), rtol=1e-12)


def test_no_weight_is_0():
    distances = np.array([[0.0, 1.0, 1e-300], [0.0, 0.0, 0.0]])
    weights = heat_weights(distances, distances.max(axis=1, keepdims=True), "euclidean")
    assert weights.min() == np.exp(-4)
    assert weights.max() == 1


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_a_graph_of_distances_gives_the_same_weights(metric, index):
    X = np.random.default_rng(2).normal(size=(50, 4))
    distances = lq.kneighbors_graph(X, 5, metric=metric, mode="directed")
    distances.indptr = distances.indptr.astype(index)
    distances.indices = distances.indices.astype(index)
    graph = lq.affinity_graph(distances, metric=metric)
    expected = lq.affinity_graph(X, 5, metric=metric)
    np.testing.assert_allclose(graph.toarray(), expected.toarray(), rtol=1e-9)


@pytest.mark.parametrize(
    ("error", "message", "X", "options"),
    [
        (ValueError, "X, a graph, must hold distances .* got nan", np.nan, {}),
        (ValueError, "X, a graph, must hold distances .* got inf", np.inf, {}),
        (ValueError, "X, a graph, must hold distances .* got -1", -1.0, {}),
        (ValueError, "metric must be 'euclidean' or 'cosine', got 'l1'", 1.0, {"metric": "l1"}),
        (ValueError, "n_jobs must be .* got 0", 1.0, {"n_jobs": 0}),
    ],
)
def test_bad_arguments_are_named(error, message, X, options):
    graph = scipy.sparse.csr_array(([1.0, X], ([0, 1], [1, 0])), shape=(2, 2))
    with pytest.raises(error, match=message):
        lq.affinity_graph(graph, **options)


def test_a_sparse_matrix_that_is_not_square_holds_samples():
    X = np.eye(6, 8) + np.eye(6, 8, 1)
    graph = lq.affinity_graph(scipy.sparse.csr_array(X), 2)
    np.testing.assert_allclose(graph.toarray(), lq.affinity_graph(X, 2).toarray(), rtol=1e-12)
    with pytest.raises(ValueError, match="n_neighbors must be at most 1"):
        lq.affinity_graph(scipy.sparse.csr_array((2, 3)))
