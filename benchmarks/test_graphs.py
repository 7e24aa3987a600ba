"""Symmetrize and normalize graphs of neighbors, beside the same in SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import labelquorum as lq
from _data import blobs

SIZES = {"n_nodes": {"small": [20_000], "full": [1_000_000]}}


@pytest.fixture(scope="module")
def graph(n_nodes):
    X = blobs(n_nodes, 16, 100)
    return lq.kneighbors_graph(X, 15, recall=0.95 if n_nodes > 10**5 else None)


def equal(graph, expected):
    expected = sparse.csr_array(expected)
    expected.sort_indices()
    np.testing.assert_array_equal(graph.indptr, expected.indptr)
    np.testing.assert_array_equal(graph.indices, expected.indices)
    np.testing.assert_allclose(graph.data, expected.data, rtol=1e-6)


def test_symmetrize_labelquorum(timed, graph, threads):
    symmetric = timed(
        f"symmetrize a graph of {graph.shape[0]:,} nodes",
        lambda: lq.symmetrize_graph(graph, n_jobs=threads),
        edges=graph.nnz,
        reads=[graph.data, graph.indices],
    )
    equal(symmetric, graph.maximum(graph.T))


def test_symmetrize_scipy(timed, graph):
    symmetric = timed(
        f"symmetrize a graph of {graph.shape[0]:,} nodes",
        lambda: graph.maximum(graph.T),
        edges=graph.nnz,
        reads=[graph.data, graph.indices],
    )
    assert abs(symmetric - symmetric.T).max() == 0


def normalized(graph):
    scale = sparse.diags_array(1 / np.sqrt(graph.sum(axis=0)))
    return scale @ graph @ scale


@pytest.fixture(scope="module")
def symmetric(graph):
    return lq.symmetrize_graph(graph)


def test_normalize_labelquorum(timed, symmetric, threads):
    result = timed(
        f"normalize a graph of {symmetric.shape[0]:,} nodes",
        lambda: lq.normalize_graph(symmetric, n_jobs=threads),
        edges=symmetric.nnz,
        reads=[symmetric.data, symmetric.indices],
    )
    equal(result, normalized(symmetric))


def test_normalize_scipy(timed, symmetric):
    result = timed(
        f"normalize a graph of {symmetric.shape[0]:,} nodes",
        lambda: normalized(symmetric),
        edges=symmetric.nnz,
        reads=[symmetric.data, symmetric.indices],
    )
    assert result.nnz == symmetric.nnz
