"""RepresentativeSampler: the sample it chooses of each cluster, and the labels that follow."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import make_blobs
from sklearn.utils.estimator_checks import parametrize_with_checks

import labelquorum as lq
from labelquorum.neighbors.kmeans import spread_rows
from strategies import share


@parametrize_with_checks([lq.RepresentativeSampler(3)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def six_blobs():
    """Features and classes of 300 samples in six Gaussian clusters, far from each other."""
    return make_blobs(300, 4, centers=6, cluster_std=0.3, random_state=0)


def naive_distances(X, clusters):
    """For each cluster, the distances of its samples from their mean."""
    X = np.asarray(X, dtype=np.float64)
    distances = []
    for k in range(clusters.max() + 1):
        members = [i for i in range(len(X)) if clusters[i] == k]
        mean = sum(X[i] for i in members) / len(members)
        distances.append([np.sqrt(((X[i] - mean) ** 2).sum()) for i in members])
    return distances


@share(0.3)
@given(
    st.integers(2, 60),
    st.integers(1, 12),
    st.integers(1, 4),
    st.integers(0, 1000),
)
def test_representatives_are_nearest_to_the_means_of_their_clusters(n, n_samples, d, seed):
    n_samples = min(n, n_samples)
    X = np.random.default_rng(seed).normal(size=(n, d))
    model = lq.RepresentativeSampler(n_samples, random_state=seed).fit(X)
    assert len(model.indices_) == n_samples
    np.testing.assert_array_equal(model.clusters_[model.indices_], np.arange(n_samples))
    sizes = np.bincount(model.clusters_)
    assert (np.diff(sizes) <= 0).all()
    for k, distances in enumerate(naive_distances(X, model.clusters_)):
        own = model.distances_[model.clusters_ == k]
        np.testing.assert_allclose(own, distances, atol=1e-5)
        assert own.min() == model.distances_[model.indices_[k]]


def test_each_of_six_separate_clusters_gets_a_representative(six_blobs):
    X, classes = six_blobs
    model = lq.RepresentativeSampler(6, random_state=0).fit(X)
    assert sorted(classes[model.indices_]) == list(range(6))
    np.testing.assert_array_equal(model.propagate(classes[model.indices_]), classes)


@pytest.mark.parametrize("percentile", [0, 20, 50, 99, 100, None])
def test_labels_go_to_the_nearest_share_of_each_cluster(digits, percentile):
    X, classes = digits
    model = lq.RepresentativeSampler(20, random_state=0).fit(X)
    labels = model.propagate(classes[model.indices_], percentile)
    for k, representative in enumerate(model.indices_):
        members = np.flatnonzero(model.clusters_ == k)
        limit = np.percentile(model.distances_[members], 100 if percentile is None else percentile)
        for i in members:
            expected = classes[representative] if model.distances_[i] <= limit else -1
            assert labels[i] == expected


def test_labels_may_be_strings_and_some_may_be_missing(six_blobs):
    X, _ = six_blobs
    model = lq.RepresentativeSampler(6, random_state=0).fit(X)
    labels = model.propagate(["a", None, "b", "a", None, "b"])
    assert labels.dtype == object
    for k, name in enumerate(["a", None, "b", "a", None, "b"]):
        assert set(labels[model.clusters_ == k]) == {name}
    labels = model.propagate([7, -1, 7, 7, 7, 7], max_distance_percentile=50)
    assert set(labels) == {7, -1}
    assert set(labels[model.clusters_ == 1]) == {-1}


def test_a_single_class(six_blobs):
    model = lq.RepresentativeSampler(4, random_state=0).fit(six_blobs[0])
    assert set(model.propagate([3, 3, 3, 3])) == {3}


@pytest.mark.parametrize("n_samples", [1, 3, 5])
def test_a_partition_is_represented_largest_clusters_first(six_blobs, n_samples):
    X, _ = six_blobs
    partition = np.repeat([4, 0, -1, 9, 2, 7], [30, 90, 20, 60, 50, 50])
    model = lq.RepresentativeSampler(n_samples).fit(X, partition=partition)
    chosen = [0, 9, 2, 7, 4][:n_samples]
    assert partition[model.indices_].tolist() == chosen
    np.testing.assert_array_equal(model.clusters_ >= 0, np.isin(partition, chosen))
    labels = model.propagate(chosen)
    np.testing.assert_array_equal(labels, np.where(np.isin(partition, chosen), partition, -1))
    for k, name in enumerate(chosen):
        members = np.flatnonzero(partition == name)
        distances = np.linalg.norm(X[members] - X[members].mean(axis=0), axis=1)
        assert members[distances.argmin()] == model.indices_[k]


def test_a_consensus_partition_can_be_represented(six_blobs):
    X, classes = six_blobs
    partition = lq.ConsensusClusterer(6, n_partitions=8, random_state=0).fit(X).labels_
    model = lq.RepresentativeSampler(6).fit(X, partition=partition)
    np.testing.assert_array_equal(model.propagate(classes[model.indices_]), classes)


def test_as_many_representatives_as_samples_are_all_samples(six_blobs):
    X = six_blobs[0][:20]
    model = lq.RepresentativeSampler(20, random_state=0).fit(X)
    assert sorted(model.indices_) == list(range(20))
    np.testing.assert_array_equal(model.propagate(np.arange(20))[model.indices_], np.arange(20))


def test_equal_samples_are_one_cluster():
    X = np.repeat([[0.0, 1.0], [5.0, 5.0], [9.0, 0.0]], [5, 3, 2], axis=0)
    with pytest.warns(UserWarning, match="n_samples is 7, but X has only 3 distinct samples"):
        model = lq.RepresentativeSampler(7, random_state=0).fit(X)
    assert model.indices_.tolist() == [0, 5, 8]
    assert model.propagate([1, 2, 3]).tolist() == [1] * 5 + [2] * 3 + [3] * 2


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_the_same_for_any_number_of_threads(six_blobs, n_jobs):
    model = lq.RepresentativeSampler(10, random_state=3, n_jobs=n_jobs).fit(six_blobs[0])
    other = lq.RepresentativeSampler(10, random_state=3).fit(six_blobs[0])
    np.testing.assert_array_equal(model.clusters_, other.clusters_)
    np.testing.assert_array_equal(model.indices_, other.indices_)


def test_sparse_samples():
    X = scipy.sparse.random(80, 300, 0.1, format="csr", random_state=0)
    model = lq.RepresentativeSampler(5, random_state=0).fit(X)
    assert len(model.indices_) == 5


def test_fifty_labels_are_enough_for_most_digits(digits):
    X, classes = digits
    model = lq.RepresentativeSampler(50, random_state=0).fit(X)
    labels = model.propagate(classes[model.indices_])
    assert (labels == classes).mean() > 0.87
    nearest = model.propagate(classes[model.indices_], 20)
    assert (nearest == classes)[nearest >= 0].mean() > 0.93


def test_starts_are_distinct_rows():
    rows = np.repeat(np.arange(10, dtype=np.float32)[:, None], 4, axis=0)
    chosen = spread_rows(rows, 40, np.random.RandomState(0))
    assert sorted(rows[chosen, 0]) == list(range(10))


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_samples": 0}, ValueError, "n_samples must be an integer of at least 1, got 0"),
        ({"n_samples": 301}, ValueError, "n_samples must be at most 300, .* 300 samples, got 301"),
        ({"n_samples": 2.5}, TypeError, "n_samples must be an integer of at least 1, got 2.5"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be .*, got 0"),
    ],
)
def test_bad_parameters_are_refused(six_blobs, parameters, error, message):
    with pytest.raises(error, match=message):
        lq.RepresentativeSampler(**parameters).fit(six_blobs[0])


@pytest.mark.parametrize(
    ("partition", "error", "message"),
    [
        ([0, 1], ValueError, "partition must have 300 values, one per sample, got 2"),
        ([0, 1] * 150, ValueError, "n_samples must be at most 2, .* in partition, got 50"),
        ([0.5, 1] * 150, TypeError, "partition must hold integers, got floats"),
        ([-1] * 300, ValueError, "n_samples must be at most 0, .* in partition, got 50"),
    ],
)
def test_bad_partitions_are_refused(six_blobs, partition, error, message):
    with pytest.raises(error, match=message):
        lq.RepresentativeSampler().fit(six_blobs[0], partition=partition)


@pytest.mark.parametrize(
    ("y", "percentile", "error", "message"),
    [
        ([1, 2], None, ValueError, r"y must have shape \(4,\), a label, .*, got \(2,\)"),
        (3, None, ValueError, r"y must have shape \(4,\), .*, got \(\)"),
        ([-1] * 4, None, ValueError, "y must hold at least one label, got -1 or None"),
        ([1.5, 2, 3, 4], None, ValueError, "continuous"),
        ([1, 2, 3, 4], -1, ValueError, "max_distance_percentile must be .*, got -1"),
        ([1, 2, 3, 4], 101, ValueError, "max_distance_percentile must be at most 100, got 101"),
        ([1, 2, 3, 4], float("nan"), ValueError, "max_distance_percentile must be .*, got nan"),
        ([1, 2, 3, 4], "5", TypeError, "max_distance_percentile must be .*, got '5'"),
    ],
)
def test_bad_labels_are_refused(six_blobs, y, percentile, error, message):
    model = lq.RepresentativeSampler(4, random_state=0).fit(six_blobs[0])
    with pytest.raises(error, match=message):
        model.propagate(y, percentile)


def test_nan_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        lq.RepresentativeSampler(2).fit([[0.0], [np.nan], [1.0]])
