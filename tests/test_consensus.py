"""consensus equals the same steps on all samples, done the long way."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

import labelquorum as lq
from strategies import THREADS


def naive(partitions, n_clusters):
    """Sample by sample, without signatures; None where ties leave a choice."""
    partitions = np.asarray(partitions)
    columns = []
    for column in partitions.T:
        columns += [column == label for label in np.unique(column[column >= 0])]
    members = np.array(columns).T.astype(float)
    members = members[:, members.sum(axis=0) > 0]
    weights = -np.log(members.mean(axis=0))
    similarity = (members * weights) @ members.T
    walk = similarity / similarity.sum(axis=1, keepdims=True)
    profiles = walk @ (members * np.sqrt(weights))
    profiles /= np.linalg.norm(profiles, axis=1, keepdims=True)
    clusters = fcluster(linkage(profiles, "ward"), n_clusters, "maxclust") - 1
    for seed in range(16):
        noise = 1e-7 * np.random.default_rng(seed).normal(size=profiles.shape)
        others = fcluster(linkage(profiles + noise, "ward"), n_clusters, "maxclust")
        together = clusters[:, None] == clusters
        if clusters.max() + 1 < n_clusters or (together != (others[:, None] == others)).any():
            return None
    one_hot = np.eye(n_clusters)[clusters]
    # Each sample against the others of each cluster.
    sums = similarity @ one_hot - one_hot * similarity.diagonal()[:, None]
    scores = sums / np.maximum(one_hot.sum(axis=0) - one_hot, 1)
    ordered = np.sort(scores, axis=1)
    if n_clusters > 1 and (ordered[:, -1] - ordered[:, -2]).min() < 1e-6:
        return None
    found = scores.argmax(axis=1)
    for lost in np.setdiff1d(clusters, found):
        found[clusters == lost] = lost
    return found


@st.composite
def ensembles(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(6, 40))
    hidden = rng.integers(draw(st.integers(2, 6)), size=n)
    columns = []
    for _ in range(draw(st.integers(3, 8))):
        noisy = np.where(rng.random(n) < 0.25, rng.integers(6, size=n), hidden)
        parts = noisy * 3 + rng.integers(draw(st.integers(1, 3)), size=n)
        columns.append(np.where(rng.random(n) < 0.1, -1, parts))
    partitions = np.stack(columns, axis=1)
    partitions[:, 0] = np.maximum(partitions[:, 0], 0)  # nobody without a vote
    return partitions


@given(ensembles(), st.integers(2, 4), st.sampled_from(THREADS))
def test_equals_the_naive_consensus(partitions, n_clusters, n_threads):
    if len(np.unique(partitions, axis=0)) < n_clusters:
        return
    expected = naive(partitions, n_clusters)
    if expected is None:
        return
    found = lq.consensus(partitions, n_clusters, n_jobs=n_threads)
    assert adjusted_rand_score(expected, found) == 1


def planted(n=2000, n_clusters=12, n_partitions=12, seed=0):
    rng = np.random.default_rng(seed)
    hidden = rng.integers(n_clusters, size=n)
    columns = [
        np.where(rng.random(n) < 0.2, rng.integers(n_clusters * 3, size=n), hidden * 3 + j)
        for j in (rng.integers(3, size=(n_partitions, n)))
    ]
    return hidden, np.stack(columns, axis=1)


def test_finds_what_single_partitions_blur():
    hidden, partitions = planted()
    found = lq.consensus(partitions, 12)
    assert lq.clustering_accuracy(hidden, found) > 0.99
    sizes = np.bincount(found)
    assert (np.diff(sizes) <= 0).all()


def test_more_signatures_than_groups():
    hidden, partitions = planted(n=20_000)
    assert len(np.unique(partitions, axis=0)) > 5000
    assert lq.clustering_accuracy(hidden, lq.consensus(partitions, 12)) > 0.98


def test_order_of_samples_and_names_of_clusters_do_not_matter():
    _, partitions = planted()
    expected = lq.consensus(partitions, 12)
    order = np.random.default_rng(0).permutation(len(partitions))
    np.testing.assert_array_equal(lq.consensus(partitions[order], 12), expected[order])
    renamed = np.stack([100 - column for column in partitions.T], axis=1)
    assert adjusted_rand_score(expected, lq.consensus(renamed, 12)) > 0.99


def test_the_number_of_clusters_is_found_where_they_lie_apart():
    X, classes = make_blobs(1500, 8, centers=9, random_state=0)
    partitions = lq.base_partitions(X, (5, 40), random_state=0)
    assert lq.clustering_accuracy(classes, lq.consensus(partitions)) == 1


@pytest.mark.parametrize("n_clusters", [1, 2, 3, 7])
def test_where_all_partitions_agree_theirs_is_the_result(n_clusters):
    labels = np.repeat(np.arange(n_clusters), 10 * np.arange(2, n_clusters + 2)[::-1])
    np.testing.assert_array_equal(lq.consensus([labels, 5 - labels + 10, labels * 2]), labels)


def test_abstentions():
    partitions = np.array([[0, 0, 1, 1, -1], [0, 0, 1, 1, -1], [0, -1, 1, 1, -1]]).T
    np.testing.assert_array_equal(lq.consensus(partitions, 2), [1, 1, 0, 0, -1])


@pytest.mark.parametrize("partitions", [[[3, 3, 3]], [[0, 1, 2]], [[5]]])
def test_one_partition(partitions):
    np.testing.assert_array_equal(lq.consensus(partitions, 1), np.zeros(len(partitions[0])))


def test_linear_in_the_number_of_samples():
    _, partitions = planted(n=20_000, n_partitions=6)
    seconds = []
    for rows in (partitions, np.tile(partitions, (10, 1))):
        started = time.perf_counter()
        lq.consensus(rows, 12)
        seconds.append(time.perf_counter() - started)
    assert seconds[1] < 10 * seconds[0] + 1


@pytest.mark.parametrize(
    "partitions, n_clusters, error, message",
    [
        ([[0, 1, 2]], 4, ValueError, "n_clusters is 4; the partitions tell only 3 groups apart"),
        ([[0, 1, 2]], 0, ValueError, "n_clusters is 0"),
        ([[0.5, 1, 2]], 2, TypeError, r"partitions\[0\] holds floats"),
        ([[-1, -1]], 1, ValueError, "partitions hold no vote"),
        ([], 1, ValueError, "partitions is empty"),
    ],
)
def test_bad_arguments_are_named(partitions, n_clusters, error, message):
    with pytest.raises(error, match=message):
        lq.consensus(partitions, n_clusters)
