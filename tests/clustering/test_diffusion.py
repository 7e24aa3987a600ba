"""Coordinates of a random walk, against those of the dense matrix; silhouettes by centers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from labelquorum.clustering.diffusion import center_silhouette, diffusion_coordinates
from labelquorum.graphs.affinity import affinity_graph


def dense_coordinates(graph, n_columns):
    """The same by a decomposition of the whole matrix."""
    weights = graph.toarray().astype(float)
    roots = np.sqrt(weights.sum(axis=1))
    values, vectors = np.linalg.eigh(weights / np.outer(roots, roots))
    chosen = np.argsort(-values)[1 : n_columns + 1]
    scale = np.sqrt((roots**2).sum() / (1 - values[chosen]))
    return vectors[:, chosen] / roots[:, None] * scale


@pytest.mark.parametrize("n", [30, 400])
def test_coordinates_are_those_of_the_whole_matrix(n):
    X = np.random.default_rng(0).normal(size=(n, 2)) * [3, 1]
    graph = affinity_graph(X, 10)
    found = diffusion_coordinates(graph, 3, np.random.RandomState(0))
    expected = dense_coordinates(graph, 3)
    for j in range(3):
        cosine = found[:, j] @ expected[:, j]
        cosine /= np.linalg.norm(found[:, j]) * np.linalg.norm(expected[:, j])
        assert abs(cosine) > 0.99
        assert found[:, j].std() == pytest.approx(expected[:, j].std(), rel=0.02)


def test_parts_that_are_not_connected_are_points_far_apart():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), 60)
    graph = affinity_graph(y[:, None] * 100 + rng.normal(size=(240, 2)), 10)
    points = diffusion_coordinates(graph, 5, np.random.RandomState(0))
    assert center_silhouette(points, y.astype(np.int32), np.ones(240), 1) > 0.9


@pytest.mark.parametrize("n", [2, 3, 5])
def test_tiny_graphs_have_coordinates(n):
    graph = sparse.csr_array(np.ones((n, n)) - np.eye(n))
    points = diffusion_coordinates(graph, 10, np.random.RandomState(0))
    assert points.shape == (n, n - 1)
    assert np.isfinite(points).all()


def test_the_silhouette_is_the_mean_over_points():
    points = np.array([[0.0], [2.0], [10.0], [10.0]])
    clusters = np.array([0, 0, 1, 1], dtype=np.int32)
    weights = np.array([1.0, 3.0, 1.0, 1.0])
    # The centers are 1.5 and 10.
    expected = np.average([8.5 / 10, 7.5 / 8, 1, 1], weights=weights)
    assert center_silhouette(points, clusters, weights, 1) == pytest.approx(expected)
    assert center_silhouette(points, np.zeros(4, dtype=np.int32), weights, 1) == 0
