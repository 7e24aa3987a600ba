"""SmallClusters: which samples share a cluster, which clusters are neighbors, and averages."""

from __future__ import annotations

import numpy as np
import pytest

from labelquorum.active_learning.small_clusters import SmallClusters, as_n_clusters


def clusters_of(X, n_clusters=2_000, metric="euclidean"):
    return SmallClusters.fit(X, n_clusters, metric, np.random.RandomState(0), 1, None)


@pytest.mark.parametrize("n_clusters", [2, 40, 300])
def test_members_are_the_samples_of_a_cluster_the_most_central_first(digits, n_clusters):
    X = digits[0][:500]
    clusters = clusters_of(X, n_clusters)
    assert len(np.unique(clusters.cluster_of_sample)) == len(clusters.centers) <= n_clusters
    for sample in (0, 17, 499):
        members = clusters.members(sample)
        is_member = clusters.cluster_of_sample == clusters.cluster_of_sample[sample]
        np.testing.assert_array_equal(np.sort(members), np.flatnonzero(is_member))
        rows = X[members] - X[members].mean(axis=0)
        assert (np.diff(np.linalg.norm(rows, axis=1)) >= -1e-3).all()


def test_few_samples_are_a_cluster_each(blobs):
    X = blobs[0][:30]
    clusters = clusters_of(X, 30)
    np.testing.assert_array_equal(clusters.cluster_of_sample, np.arange(30))


def test_lengths_do_not_count_with_the_cosine(blobs):
    scaled = blobs[0][:240] - blobs[0][:240].mean(axis=0)
    scaled /= np.linalg.norm(scaled, axis=1, keepdims=True)
    scaled -= scaled.mean(axis=0)
    graph = clusters_of(scaled, metric="cosine").graph
    unit = scaled / np.linalg.norm(scaled, axis=1, keepdims=True)
    nearest = np.setdiff1d(np.argsort(-unit[0] @ unit.T)[:11], [0])
    assert set(nearest) <= set(graph.indices[graph.indptr[0] : graph.indptr[1]])


def test_the_values_of_the_nearest_clusters_are_averaged():
    X = np.arange(40, dtype=float)[:, None]
    clusters = clusters_of(X)
    values = np.column_stack([np.arange(40.0), np.ones(40)])
    averages = clusters.interpolate(values, np.array([[7.0], [20.5], [100.0]]), 1)
    np.testing.assert_allclose(averages[:, 1], 1)
    assert averages[:2, 0] == pytest.approx([7, 20.5], abs=0.2)
    assert 30 <= averages[2, 0] <= 39


def test_a_single_cluster_has_no_neighbors():
    clusters = clusters_of(np.ones((6, 2)), 2)
    assert clusters.graph.shape == (1, 1)
    assert clusters.graph.nnz == 0


def test_clusters_made_from_their_state_are_the_same(blobs):
    clusters = clusters_of(blobs[0], 40, "cosine")
    copy = SmallClusters.of_state(clusters.state(), "cosine")
    values = np.arange(40.0)[: len(clusters.centers), None]
    np.testing.assert_array_equal(
        copy.interpolate(values, blobs[0] + 0.1, 1), clusters.interpolate(values, blobs[0] + 0.1, 1)
    )
    assert (copy.graph != clusters.graph).nnz == 0


def test_the_number_of_clusters_is_limited():
    assert as_n_clusters(None) == 2_000
    assert as_n_clusters(7) == 7
    with pytest.raises(ValueError, match="n_clusters must be at most 10000, got 10001"):
        as_n_clusters(10_001)
