"""k-means follows Lloyd's algorithm, with the same result for any number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans

from labelquorum.neighbors.kmeans import (
    cluster_means,
    distances_to_means,
    kmeans_centers,
    moved_centers,
    nearest_center,
    spread_rows,
)
from strategies import THREADS


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    centers = 10 * rng.normal(size=(8, 4))
    return (centers[rng.integers(8, size=500)] + rng.normal(size=(500, 4))).astype(np.float32)


@pytest.mark.parametrize("n_jobs", THREADS)
def test_centers_are_those_of_scikit_learn(rows, n_jobs):
    first = rows[:8]
    expected = KMeans(8, init=first, n_init=1, algorithm="lloyd", tol=0).fit(rows)
    centers = moved_centers(rows, first, 300, n_jobs)
    np.testing.assert_allclose(centers, expected.cluster_centers_, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(nearest_center(rows, centers, n_jobs), expected.labels_)


def test_the_result_does_not_depend_on_threads(rows):
    one, *others = (
        kmeans_centers(rows, 20, 10, np.random.RandomState(0), n_jobs) for n_jobs in THREADS
    )
    for centers in others:
        np.testing.assert_array_equal(centers, one)


def test_centers_without_rows_stay(rows):
    far = np.full((1, 4), 1000, dtype=np.float32)
    centers = moved_centers(rows, np.vstack([rows[:3], far]), 5, 1)
    np.testing.assert_array_equal(centers[3:], far)


def test_there_are_no_more_centers_than_rows(rows):
    assert len(kmeans_centers(rows[:5], 9, 3, np.random.RandomState(0), 1)) == 5


def test_progress_ends_at_1(rows):
    shown = []
    moved_centers(rows, rows[:8], 3, 1, lambda stage, fraction: shown.append((stage, fraction)))
    assert [stage for stage, _ in shown] == ["centers"] * 3
    assert shown[-1][1] == 1


def test_spread_rows_are_distinct_and_in_different_clusters():
    rng = np.random.default_rng(1)
    truth = np.repeat(np.arange(6), 20)
    rows = (100 * np.eye(6)[truth] + rng.normal(size=(120, 6))).astype(np.float32)
    chosen = spread_rows(rows, 6, np.random.RandomState(0))
    assert sorted(truth[chosen]) == [0, 1, 2, 3, 4, 5]
    repeated = np.repeat(rows[:4], 10, axis=0)
    assert len(spread_rows(repeated, 6, np.random.RandomState(0))) == 4


def test_means_and_distances_leave_out_rows_without_a_cluster(rows, monkeypatch):
    monkeypatch.setattr("labelquorum.neighbors.kmeans._ROWS_PER_BLOCK", 64)
    clusters = np.random.default_rng(2).integers(-1, 5, size=500)
    means = cluster_means(rows, clusters)
    distances = distances_to_means(rows, means, clusters)
    assert means.shape == (5, 4)
    assert np.isnan(distances[clusters == -1]).all()
    for cluster, mean in enumerate(means):
        members = rows[clusters == cluster]
        np.testing.assert_allclose(mean, members.mean(axis=0), rtol=1e-4, atol=1e-4)
        expected = np.linalg.norm(members - mean, axis=1)
        np.testing.assert_allclose(distances[clusters == cluster], expected, rtol=1e-5)
