"""Communities are connected, and no node gains by moving to another one."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

import labelquorum as lq
from strategies import THREADS, graphs, share


def quality(weights, labels, resolution):
    """Return the modularity of a dense symmetric matrix, not divided by the sum of weights."""
    degrees = weights.sum(axis=1)
    total = max(weights.sum(), 1e-300)
    same = labels[:, None] == labels[None, :]
    return ((weights - resolution * np.outer(degrees, degrees) / total) * same).sum()


def both_ways(graph):
    dense = graph.toarray().astype(float)
    return dense + dense.T - np.diag(np.diag(dense))


def all_partitions(n):
    """Yield every partition of n nodes."""
    if n == 0:
        yield ()
        return
    for rest in all_partitions(n - 1):
        for label in range(max(rest, default=-1) + 2):
            yield (*rest, label)


@given(graphs(max_nodes=25), st.sampled_from([0.2, 1.0, 3.0]), st.integers(0, 5))
def test_no_node_gains_by_moving_and_communities_are_connected(graph, resolution, seed):
    weights = both_ways(graph)
    labels = lq.communities(graph, resolution, n_rounds=100, random_state=seed)
    found = quality(weights, labels, resolution)
    # The gain of each move: the links of a node to each community, without the node itself.
    degrees = weights.sum(axis=1)
    links = weights - resolution * np.outer(degrees, degrees) / max(weights.sum(), 1e-300)
    np.fill_diagonal(links, 0)
    gains = links @ np.eye(labels.max() + 2)[labels]
    own = gains[np.arange(len(labels)), labels]
    assert (gains.max(axis=1) <= own + 1e-6 * max(1, weights.sum())).all()
    assert found >= quality(weights, np.arange(len(labels)), resolution) - 1e-9
    for label in range(labels.max() + 1):
        members = np.flatnonzero(labels == label)
        part = scipy.sparse.csr_array(weights[np.ix_(members, members)])
        assert scipy.sparse.csgraph.connected_components(part)[0] == 1


@share(0.2)
@given(graphs(max_nodes=5), st.sampled_from([0.5, 1.0, 2.0]))
def test_the_result_is_close_to_the_best_of_all_partitions(graph, resolution):
    weights = both_ways(graph)
    n = len(weights)
    best = max(quality(weights, np.array(p), resolution) for p in all_partitions(n))
    found = max(
        quality(weights, lq.communities(graph, resolution, random_state=seed), resolution)
        for seed in range(3)
    )
    assert best - 0.1 * weights.sum() - 1e-9 <= found <= best + 1e-6 * max(1, weights.sum())


@share(0.2)
@given(graphs(), st.integers(0, 5), st.sampled_from(THREADS))
def test_several_resolutions_are_the_same_for_any_number_of_threads(graph, seed, n_threads):
    resolutions = [0.3, 1.0, 1.0, 4.0]
    partitions = lq.communities(graph, resolutions, random_state=seed)
    assert partitions.shape == (graph.shape[0], 4)
    again = lq.communities(graph, resolutions, random_state=seed, n_jobs=n_threads)
    np.testing.assert_array_equal(partitions, again)
    for labels in partitions.T:  # numbered by first members
        _, firsts = np.unique(labels, return_index=True)
        assert (np.diff(firsts) > 0).all()
        assert labels.min() == 0
        assert len(firsts) == labels.max() + 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_separated_clusters_are_found(dtype, index):
    X, y = make_blobs(3000, 5, centers=12, cluster_std=0.5, random_state=0)
    graph = lq.kneighbors_graph(X, 10)
    graph.data = np.exp(-graph.data).astype(dtype)
    graph.indptr, graph.indices = graph.indptr.astype(index), graph.indices.astype(index)
    labels = lq.communities(graph, 0.1, random_state=0)
    # A cluster may be cut in two, never joined with another.
    assert adjusted_rand_score(y, labels) > 0.95
    counts = lq.communities(graph, [0.1, 1, 10, 100], random_state=0).max(axis=0) + 1
    assert (np.diff(counts) >= 0).all()
    assert counts[-1] > 100


def test_the_order_of_visits_may_change_communities():
    X = np.random.default_rng(0).normal(size=(500, 5))
    graph = lq.kneighbors_graph(X, 10)
    partitions = lq.communities(graph, [1.0, 1.0], random_state=0)
    assert (partitions[:, 0] != partitions[:, 1]).any()


def test_without_edges_every_node_is_alone():
    labels = lq.communities(scipy.sparse.csr_array((4, 4)))
    np.testing.assert_array_equal(labels, range(4))


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"graph": np.eye(3)}, TypeError, "graph must be.* got ndarray"),
        (
            {"graph": scipy.sparse.csr_array((3, 4))},
            ValueError,
            r"graph must be.* got shape \(3, 4\)",
        ),
        (
            {"graph": -scipy.sparse.eye_array(3)},
            ValueError,
            "graph must have weights from 0 to 1e30, got an edge of weight -1",
        ),
        (
            {"graph": np.nan * scipy.sparse.eye_array(3)},
            ValueError,
            "graph must have weights that are numbers, got an edge of weight NaN",
        ),
        ({"resolution": 0}, ValueError, "resolution must be.* got 0"),
        ({"resolution": [1, np.inf]}, ValueError, r"resolution must be.* got \[1, inf\]"),
        ({"resolution": []}, ValueError, r"resolution must be.* got shape \(0,\)"),
        ({"resolution": "1"}, TypeError, "resolution must be.* got dtype <U1"),
        ({"n_rounds": 0}, ValueError, "n_rounds must be an integer of at least 1, got 0"),
    ],
)
def test_bad_arguments_are_named(change, error, message):
    arguments = {"graph": scipy.sparse.eye_array(3).tocsr(), "resolution": 1.0, "n_rounds": 2}
    arguments |= change
    with pytest.raises(error, match=message):
        lq.communities(arguments.pop("graph"), **arguments)


@pytest.mark.parametrize("scale", [1e-310, 1e-46, 1e30, 1e307])
def test_neither_communities_nor_walks_depend_on_the_scale(scale):
    graph = scipy.sparse.csr_array(np.kron(np.eye(2), np.ones((3, 3))) - np.eye(6))
    assert lq.communities(graph * scale).tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_allclose(lq.normalize_graph(graph * scale).data, 0.5, rtol=1e-6)
