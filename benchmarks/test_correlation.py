"""Cluster by positive and negative weights, beside pivots and average linkage.

`studies/correlation_quality.py` compares the quality with the optimum; here it is asserted to be no
worse than that of the peers.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

import labelquorum as lq

SIZES = {
    "n_nodes": {"small": [1000], "full": [10_000]},
    "n_weights": {"small": [50_000], "full": [1_000_000]},
}


def random_weights(rng, n, shift=0.0):
    upper = np.triu(rng.normal(shift, 1, size=(n, n)).astype(np.float32), 1)
    return upper + upper.T


def planted_weights(rng, n, n_classes=100, noise=2):
    classes = rng.integers(n_classes, size=n)
    weights = np.where(classes[:, None] == classes, np.float32(1), np.float32(-1))
    upper = np.triu(weights + noise * rng.normal(size=(n, n)).astype(np.float32), 1)
    return upper + upper.T


DENSE = {
    "random": random_weights,
    "planted": planted_weights,
    "without clusters": lambda rng, n: random_weights(rng, n, -1.0),
}


@pytest.fixture(scope="module", params=DENSE)
def dense(request, n_nodes):
    weights = DENSE[request.param](np.random.default_rng(0), n_nodes)
    return f"correlation clustering of {n_nodes:,} nodes, {request.param}", weights


def value(weights, labels):
    """Sum the weights within the clusters."""
    return float(weights[np.triu(labels[:, None] == labels, 1)].sum(dtype=np.float64))


def by_pivots(weights):
    """Take nodes in random order, each with its free neighbors of positive weight."""
    labels = np.full(len(weights), -1)
    for node in np.random.default_rng(0).permutation(len(weights)):
        if labels[node] < 0:
            labels[(labels < 0) & (weights[node] > 0)] = node
            labels[node] = node
    return labels


def by_average_linkage(weights):
    """Merge clusters while the mean weight between them is positive."""
    most = weights.max()
    return fcluster(linkage(squareform(most - weights, checks=False), "average"), most, "distance")


def test_dense_labelquorum(timed, dense, threads):
    group, weights = dense
    labels = timed(
        group,
        lambda: lq.correlation_clustering(weights, n_jobs=threads),
        weights=weights.size,
        reads=[weights],
    )
    for peer in (by_pivots, by_average_linkage):
        assert value(weights, labels) >= value(weights, peer(weights)) - 1e-3


@pytest.mark.parametrize("peer", [by_pivots, by_average_linkage])
def test_dense_peer(timed, benchmark, dense, peer):
    group, weights = dense
    labels = timed(group, lambda: peer(weights), weights=weights.size, reads=[weights])
    ours = value(weights, lq.correlation_clustering(weights))
    benchmark.extra_info["share_of_our_value"] = value(weights, labels) / ours if ours else 1.0


def planted_sparse(rng, n, n_weights):
    """Half of the weights lie within groups of 50 nodes, and most of these are positive."""
    first = rng.integers(n, size=n_weights)
    second = np.where(
        rng.random(n_weights) < 0.5,
        first // 50 * 50 + rng.integers(50, size=n_weights),
        rng.integers(n, size=n_weights),
    )
    kept = (first != second) & (second < n)
    first, second = first[kept], second[kept]
    values = np.where(first // 50 == second // 50, 1.0, -1.0) + rng.normal(size=len(first))
    return sparse.coo_array((values, (first, second)), shape=(n, n))


def random_sparse(rng, n, n_weights):
    pairs = rng.integers(n, size=(2, n_weights))
    pairs = pairs[:, pairs[0] != pairs[1]]
    return sparse.coo_array((rng.normal(size=pairs.shape[1]), tuple(pairs)), shape=(n, n))


@pytest.mark.parametrize("make", [planted_sparse, random_sparse])
def test_sparse_labelquorum(timed, n_weights, make, threads):
    graph = make(np.random.default_rng(0), n_weights // 10, n_weights).tocsr()
    graph = sparse.csr_array(graph + graph.T)
    labels = timed(
        f"correlation clustering of {n_weights:,} weights, {make.__name__}",
        lambda: lq.correlation_clustering(graph, n_jobs=threads),
        weights=graph.nnz,
        reads=[graph.data, graph.indices],
    )
    rows = np.repeat(np.arange(len(labels)), np.diff(graph.indptr))
    within = labels[rows] == labels[graph.indices]
    assert graph.data[within].sum() > max(0, graph.data.sum())  # better than apart and than all


@pytest.mark.parametrize("make", [planted_sparse, random_sparse])
def test_sparse_pivots(timed, n_weights, make):
    graph = make(np.random.default_rng(0), n_weights // 10, n_weights).tocsr()
    graph = sparse.csr_array(graph + graph.T)

    def pivots():
        labels = np.full(graph.shape[0], -1)
        for node in np.random.default_rng(0).permutation(graph.shape[0]):
            if labels[node] < 0:
                edges = slice(graph.indptr[node], graph.indptr[node + 1])
                near = graph.indices[edges][graph.data[edges] > 0]
                labels[near[labels[near] < 0]] = node
                labels[node] = node
        return labels

    labels = timed(
        f"correlation clustering of {n_weights:,} weights, {make.__name__}",
        pivots,
        weights=graph.nnz,
        reads=[graph.data, graph.indices],
    )
    assert labels.min() >= 0
