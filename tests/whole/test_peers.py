"""The peers implemented for the studies do what their papers say."""

from __future__ import annotations

from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from strategies import share

STUDIES = Path(__file__).parents[2] / "benchmarks" / "studies"


@pytest.fixture(scope="module")
def peers():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(STUDIES)
        import _peers

        yield _peers


def random_partitions(seed, n, m):
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.integers(rng.integers(1, 6), size=n) for _ in range(m)])


def entropic_index(partitions, j, cluster, theta):
    """Compute the ensemble-driven cluster index exactly as it is defined."""
    inside = partitions[:, j] == cluster
    entropy = 0.0
    for other in partitions.T:
        for name in np.unique(other):
            share = (inside & (other == name)).sum() / inside.sum()
            if share > 0:
                entropy -= share * np.log2(share)
    return np.exp(-entropy / (theta * partitions.shape[1]))


@share(0.2)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 30), m=st.integers(1, 6))
def test_votes_are_weighted_by_the_reliability_of_their_clusters(peers, seed, n, m):
    partitions = random_partitions(seed, n, m)
    member = peers.membership(partitions)
    weights = peers.reliability(member, m)[member.indices].reshape(n, m)
    expected = [
        [entropic_index(partitions, j, row[j], peers.THETA) for j in range(m)] for row in partitions
    ]
    np.testing.assert_allclose(weights, expected, rtol=1e-12)
    apart = peers.distances(partitions, weights)
    for distance, (i, j) in zip(apart, combinations(range(n), 2), strict=True):
        agree = partitions[i] == partitions[j]
        np.testing.assert_allclose(distance, 1 - weights[i][agree].sum() / m, atol=1e-12)


def test_a_cluster_that_no_partition_divides_is_fully_reliable(peers):
    partitions = np.array([[0, 0], [0, 0], [1, 1], [1, 2]])
    member = peers.membership(partitions)
    # Clusters 0 and 1 of the first partition, then 0, 1 and 2 of the second, which halves 1.
    index = peers.reliability(member, 2)
    np.testing.assert_allclose(index, [1, np.exp(-1 / (peers.THETA * 2)), 1, 1, 1])


@pytest.mark.parametrize("method", ["eac", "lwea", "lwgp"])
@share(0.2)
@given(seed=st.integers(0, 2**32 - 1))
def test_consensus_of_nearly_equal_partitions_is_the_common_one(peers, method, seed):
    rng = np.random.default_rng(seed)
    classes = rng.permutation(np.arange(60) % 3)
    partitions = np.column_stack([rng.permutation(3)[classes] for _ in range(8)])
    noisy = rng.random(60) < 0.1
    partitions[noisy, rng.integers(8, size=noisy.sum())] = 3
    labels = getattr(peers, method)(partitions, 3)
    assert adjusted_rand_score(classes, labels) == 1


def merged_on_average(apart, n_clusters):
    """Merge the two clusters with the least average distance until n_clusters are left."""
    clusters = [[i] for i in range(len(apart))]
    while len(clusters) > n_clusters:
        a, b = min(
            combinations(range(len(clusters)), 2),
            key=lambda pair: apart[np.ix_(clusters[pair[0]], clusters[pair[1]])].mean(),
        )
        clusters[a] += clusters.pop(b)
    labels = np.empty(len(apart), dtype=np.int64)
    for c, members in enumerate(clusters):
        labels[members] = c
    return labels


@share(0.2)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 12), n_clusters=st.integers(1, 5))
def test_average_linkage_equals_the_naive_one(peers, seed, n, n_clusters):
    n_clusters = min(n, n_clusters)
    apart = np.zeros((n, n))
    pairs = np.triu_indices(n, 1)
    apart[pairs] = np.random.default_rng(seed).random(len(pairs[0]))  # no ties
    labels = peers.average_linkage(apart[pairs], n_clusters)
    assert len(np.unique(labels)) == n_clusters
    assert adjusted_rand_score(merged_on_average(apart + apart.T, n_clusters), labels) == 1


def partly_labeled(seed):
    rng = np.random.default_rng(seed)
    X, classes = make_blobs(150, centers=5, cluster_std=2.0, random_state=seed % 2**32)
    n_known = int(rng.integers(1, 6))
    y = np.where((classes < n_known) & (rng.random(150) < 0.3), classes, -1)
    y[[np.flatnonzero(classes == c)[0] for c in range(n_known)]] = range(n_known)
    return X.astype(np.float32), classes, y


@share(0.2)
@given(seed=st.integers(0, 2**32 - 1), n_init=st.integers(1, 3))
def test_labeled_samples_stay_in_their_category(peers, seed, n_init):
    X, _, y = partly_labeled(seed)
    labels = peers.constrained_kmeans(X, y, 5, n_init=n_init, seed=seed)
    np.testing.assert_array_equal(labels[y >= 0], y[y >= 0])
    assert labels.min() >= 0
    assert labels.max() < 5


@pytest.mark.parametrize("method", ["seeded_kmeans", "constrained_kmeans"])
@share(0.2)
@given(seed=st.integers(0, 2**32 - 1))
def test_unlabeled_samples_are_in_the_nearest_cluster(peers, method, seed):
    X, _, y = partly_labeled(seed)
    labels = getattr(peers, method)(X, y, 5, n_init=1, seed=seed)
    may_move = np.full(len(y), True) if method == "seeded_kmeans" else y < 0
    used = np.unique(labels)
    centers = np.array([X[labels == c].mean(axis=0) for c in used])
    gaps = ((X[:, None] - centers) ** 2).sum(axis=2)
    own = gaps[np.arange(len(X)), np.searchsorted(used, labels)]
    assert (own <= gaps.min(axis=1) + 1e-3)[may_move].all()


def test_seeded_kmeans_may_move_labeled_samples(peers):
    X = np.array([[0.0], [0.1], [0.2], [10.0], [10.1], [10.2]], dtype=np.float32)
    y = np.array([0, 0, 1, 1, 1, 1])
    assert list(peers.seeded_kmeans(X, y, 2)) == [0, 0, 0, 1, 1, 1]
    assert list(peers.constrained_kmeans(X, y, 2)) == [0, 0, 1, 1, 1, 1]


def test_more_starts_are_never_worse(peers):
    X, _, y = partly_labeled(3)
    y[y > 0] = -1

    def inertia(labels):
        return sum(((X[labels == c] - X[labels == c].mean(axis=0)) ** 2).sum() for c in range(5))

    reached = [inertia(peers.constrained_kmeans(X, y, 5, n_init=n, seed=0)) for n in (1, 2, 5, 20)]
    assert all(after <= before * (1 + 1e-5) for before, after in pairwise(reached))


def test_distant_blobs_are_recovered_with_one_category_known(peers):
    classes = np.arange(300) % 6
    X = np.random.default_rng(0).normal(size=(300, 2)) + 100 * np.eye(6, 2)[classes]
    X[:, 0] += 1000 * classes
    y = np.where((classes == 0) & (np.arange(300) % 7 == 0), 0, -1)
    for method in (peers.seeded_kmeans, peers.constrained_kmeans):
        labels = method(X.astype(np.float32), y, 6)
        assert adjusted_rand_score(classes, labels) == 1
        assert set(labels[classes == 0]) == {0}
