"""consensus equals the same steps on all samples, without signatures and groups."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from scipy.stats import sem
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score, mutual_info_score

import labelquorum as lq
from labelquorum._shared.arguments import as_columns
from labelquorum.clustering.ballots import Ballots
from labelquorum.clustering.consensus import ConsensusTree
from oracle import cluster_members, cluster_reliability
from strategies import THREADS


def cut(tree, n_clusters, least_size):
    """Undo merges until n_clusters clusters have the least size; 0 for the others."""
    while True:
        for n_all in range(n_clusters, len(tree) + 2):
            clusters = fcluster(tree, n_all, "maxclust")
            sizes = np.bincount(clusters)
            if (sizes[1:] >= max(least_size, 1)).sum() == n_clusters:
                return np.where(sizes[clusters] >= least_size, clusters, 0)
        if least_size < 1:
            return np.zeros(len(tree) + 1)  # merges of equal cost skip this number
        least_size /= 2


def naive(partitions, n_clusters, rule):
    """The consensus of all samples, without signatures; None if ties leave a choice."""
    members, partition_of = cluster_members(partitions)
    if rule == "ward":
        weights = -np.log(members.mean(axis=0))
    else:
        weights = cluster_reliability(members, partition_of)
    similarity = (members * weights) @ members.T
    rng = np.random.default_rng(0)
    n = len(members)
    if rule == "ward":
        if (similarity.sum(axis=1) == 0).any():  # only votes for clusters of all samples
            return None
        walk = similarity / similarity.sum(axis=1, keepdims=True)
        profiles = walk @ (members * np.sqrt(weights))
        profiles /= np.linalg.norm(profiles, axis=1, keepdims=True)

        def link(scale):
            return linkage(profiles + scale * rng.normal(size=profiles.shape), "ward"), 0
    else:
        distances = squareform(similarity.max() - similarity, checks=False)

        def link(scale):
            return linkage(distances + scale * rng.random(len(distances)), "average"), (
                0.1 * n / n_clusters
            )

    clusters = cut(*link(0)[:1], n_clusters, link(0)[1])
    if any((cut(*link(1e-7)[:1], n_clusters, link(0)[1]) != clusters).any() for _ in range(8)):
        return None
    if len(np.setdiff1d(clusters, [0])) < n_clusters:
        return None
    # Without signatures, equal samples may be apart while others are merged.
    if len(np.unique(np.column_stack([partitions, clusters]), axis=0)) > len(
        np.unique(partitions, axis=0)
    ):
        return None
    has_outliers = (clusters == 0).any()
    clusters = np.unique(clusters, return_inverse=True)[1] - has_outliers
    one_hot = np.eye(n_clusters + 1)[clusters][:, :n_clusters]
    # A sample is compared with the other members of each cluster.
    sums = similarity @ one_hot - one_hot * similarity.diagonal()[:, None]
    shares = sums / np.maximum(one_hot.sum(axis=0) - one_hot, 1)
    ordered = np.sort(shares, axis=1)
    if n_clusters > 1 and (ordered[:, -1] - ordered[:, -2]).min() < 1e-6:
        return None
    labels = shares.argmax(axis=1)
    while len(emptied := np.setdiff1d(clusters, [*labels, -1])):
        stays = np.isin(clusters, emptied)
        labels[stays] = clusters[stays]
    return labels


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
    partitions[:, 0] = np.maximum(partitions[:, 0], 0)  # every sample has a vote
    return partitions


@given(
    ensembles(), st.integers(2, 4), st.sampled_from(["ward", "average"]), st.sampled_from(THREADS)
)
def test_both_rules_equal_the_naive_ones(partitions, n_clusters, rule, n_threads):
    if len(np.unique(partitions, axis=0)) < n_clusters:
        return
    expected = naive(partitions, n_clusters, rule)
    if expected is None:
        return
    ballots = Ballots.of(as_columns(partitions), n_threads)
    tree = ConsensusTree(ballots, rule, n_threads=n_threads)
    labels = ballots.expand(tree.ballots.reassigned(tree.cut(n_clusters)))
    assert adjusted_rand_score(expected, labels) == 1


def planted(n=2000, n_clusters=12, n_partitions=12, seed=0):
    rng = np.random.default_rng(seed)
    hidden = rng.integers(n_clusters, size=n)
    columns = [
        np.where(rng.random(n) < 0.2, rng.integers(n_clusters * 3, size=n), hidden * 3 + j)
        for j in (rng.integers(3, size=(n_partitions, n)))
    ]
    return hidden, np.stack(columns, axis=1)


def test_noisy_partitions_together_give_the_hidden_clusters():
    hidden, partitions = planted()
    labels = lq.consensus(partitions, 12)
    assert lq.clustering_accuracy(hidden, labels) > 0.99
    sizes = np.bincount(labels)
    assert (np.diff(sizes) <= 0).all()


def test_more_signatures_than_groups_are_handled():
    hidden, partitions = planted(n=20_000)
    assert len(np.unique(partitions, axis=0)) > 5000
    assert lq.clustering_accuracy(hidden, lq.consensus(partitions, 12)) > 0.98


@pytest.mark.slow
def test_the_order_of_samples_and_the_numbers_of_clusters_do_not_matter():
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
def test_partitions_that_agree_are_the_result(n_clusters):
    labels = np.repeat(np.arange(n_clusters), 10 * np.arange(2, n_clusters + 2)[::-1])
    np.testing.assert_array_equal(lq.consensus([labels, 5 - labels + 10, labels * 2]), labels)


def test_samples_on_which_all_partitions_abstain_get_no_label():
    partitions = np.array([[0, 0, 1, 1, -1], [0, 0, 1, 1, -1], [0, -1, 1, 1, -1]]).T
    np.testing.assert_array_equal(lq.consensus(partitions, 2), [1, 1, 0, 0, -1])


@pytest.mark.parametrize("partitions", [[[3, 3, 3]], [[0, 1, 2]], [[5]]])
def test_one_partition_is_enough(partitions):
    np.testing.assert_array_equal(lq.consensus(partitions, 1), np.zeros(len(partitions[0])))


def uneven(n=1500, seed=0):
    """Ten classes of three modes each, and k-means partitions of 2 to 30 clusters."""
    X, modes = make_blobs(n, 8, centers=30, cluster_std=3, random_state=seed)
    rng = np.random.default_rng(seed)
    partitions = [
        KMeans(int(rng.integers(2, 30)), n_init=1, max_iter=5, random_state=seed + i).fit_predict(X)
        for i in range(10)
    ]
    return modes // 3, np.stack(partitions, axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("make, expected_rule", [(planted, "ward"), (uneven, "average")])
def test_the_rule_is_chosen_by_the_information_that_halves_share(make, expected_rule):
    _, partitions = make()
    n_clusters = 12
    ballots = Ballots.of(as_columns(partitions), 1)

    def labels(rule, columns):
        part = Ballots.of(as_columns(partitions[:, columns]), 1)
        tree = ConsensusTree(part, rule, n_clusters=n_clusters, min_groups=400)
        return part.expand(tree.ballots.reassigned(tree.cut(n_clusters)))

    gains = []
    rng = np.random.RandomState(0)
    for _ in range(8):
        order = rng.permutation(partitions.shape[1])
        middle = len(order) // 2
        ward, average = (
            mutual_info_score(labels(rule, order[:middle]), labels(rule, order[middle:]))
            for rule in ("ward", "average")
        )
        gains.append(ward - average)
    best = "ward" if np.mean(gains) > 3 * sem(gains) else "average"
    assert best == expected_rule
    tree = ConsensusTree(ballots, best, n_clusters=n_clusters)
    expected = ballots.expand(tree.ballots.reassigned(tree.cut(n_clusters)))
    np.testing.assert_array_equal(lq.consensus(partitions, n_clusters), expected)


def test_outliers_do_not_count_as_clusters():
    """Average linkage alone would make clusters of 12 samples that share nothing with others."""
    hidden = np.repeat(np.arange(4), 100)
    rng = np.random.default_rng(0)
    columns = [hidden * 3 + rng.integers(3, size=400) for _ in range(6)]
    partitions = np.stack(columns, axis=1)
    partitions[::33] = 100 + rng.integers(1000, size=partitions[::33].shape)
    ballots = Ballots.of(as_columns(partitions), 1)
    tree = ConsensusTree(ballots, "average")
    labels = ballots.expand(tree.ballots.reassigned(tree.cut(4)))
    is_outlier = np.zeros(400, dtype=bool)
    is_outlier[::33] = True
    assert lq.clustering_accuracy(hidden[~is_outlier], labels[~is_outlier]) == 1


@pytest.mark.slow
def test_time_is_linear_in_the_number_of_samples():
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
        ([[0, 1, 2]], 4, ValueError, "n_clusters must be at most 3, .*tell apart.*, got 4"),
        ([[0, 1, 2]], 0, ValueError, "n_clusters must be .*, got 0"),
        ([[0.5, 1, 2]], 2, TypeError, r"partitions\[0\] .*floats"),
        ([[-1, -1]], 1, ValueError, "partitions must hold at least one vote"),
        ([], 1, ValueError, "partitions must hold at least one partition"),
    ],
)
def test_bad_arguments_are_named(partitions, n_clusters, error, message):
    with pytest.raises(error, match=message):
        lq.consensus(partitions, n_clusters)


@pytest.mark.parametrize("rule", ["ward", "average"])
def test_a_tree_is_linked_anew_by_its_own_rule(rule):
    partitions = [np.arange(40) // 10, np.arange(40) // 5, np.arange(40) // 20]
    tree = ConsensusTree(Ballots.of(partitions, 1), rule, n_clusters=4)
    assert tree.rule == rule
    known = np.where(np.arange(40) < 15, np.int32(0), np.int32(-1))
    anew = tree.linked_anew(known, 3, 1)
    assert anew.rule == rule
    clusters = anew.ballots.expand(anew.cut(3))
    assert len(set(clusters[:15])) == 1
