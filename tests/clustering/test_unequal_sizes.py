"""Categories of unequal sizes: small ones that lie far away are found, and outliers are none."""

from __future__ import annotations

import numpy as np
import pytest

import labelquorum as lq
from labelquorum._shared.arguments import as_columns
from labelquorum.clustering.ballots import Ballots
from labelquorum.clustering.consensus import ConsensusTree

DISTANCES = {1: 60.0, 2: 17.0, 16: 17.0, 384: 40.0}


def far_group(n_columns, size, seed):
    """500 samples of one Gaussian, and a few of another one that lies far away."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(500 + size, n_columns))
    direction = rng.normal(size=n_columns)
    X[500:] += DISTANCES[n_columns] * direction / np.linalg.norm(direction)
    return X, np.repeat([0, 1], [500, size])


def three_blobs(n_far, seed=0):
    """Three blobs of 200 samples, and a few samples a hundred standard deviations away."""
    rng = np.random.default_rng(seed)
    classes = np.repeat([0, 1, 2], 200)
    X = 8 * rng.normal(size=(3, 8))[classes] + rng.normal(size=(600, 8))
    far = X.mean(axis=0) + 100 / np.sqrt(8) + 0.3 * rng.normal(size=(n_far, 8))
    return np.concatenate([X, far]), np.append(classes, np.full(n_far, 3))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("n_columns", [2, 16, 384])
def test_a_dozen_samples_far_away_are_a_category(n_columns, seed):
    X, classes = far_group(n_columns, 12, seed)
    model = lq.ConsensusClusterer(2, random_state=seed).fit(X)
    np.testing.assert_array_equal(model.labels_, classes)
    assert model.confidence_[classes == 1].mean() > 0.5


@pytest.mark.parametrize("n_columns", [2, 16, 384])
def test_a_dozen_samples_far_away_are_a_known_category(n_columns):
    X, classes = far_group(n_columns, 12, 0)
    y = np.full(len(X), -1)
    y[:20], y[500:503] = 0, 1
    model = lq.ConsensusClusterer(2, random_state=0).fit(X, y)
    np.testing.assert_array_equal(model.labels_, classes)


def test_four_samples_far_away_are_a_category():
    X, classes = three_blobs(4)
    model = lq.ConsensusClusterer(4, random_state=0).fit(X)
    assert lq.clustering_accuracy(classes, model.labels_) == 1


def test_one_sample_far_away_takes_no_category_of_its_own():
    X, classes = three_blobs(1)
    model = lq.ConsensusClusterer(3, random_state=0).fit(X)
    assert lq.clustering_accuracy(classes[:-1], model.labels_[:-1]) == 1


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("n, gap, far", [(100, 8, 100), (400, 8, 1000), (50, 8, 10_000)])
def test_two_far_pairs_of_blobs_are_four_categories(n, gap, far, seed):
    rng = np.random.default_rng(seed)
    centers = np.array([[0, 0], [gap, 0], [far, far], [far + gap, far]])
    classes = np.repeat(np.arange(4), n)
    X = centers[classes] + rng.normal(size=(4 * n, 2))
    model = lq.ConsensusClusterer(4, random_state=seed).fit(X)
    assert lq.clustering_accuracy(classes, model.labels_) == 1


def test_a_row_that_occurs_a_thousand_times_is_a_category_besides_others():
    rng = np.random.default_rng(0)
    classes = np.append(np.repeat(np.arange(4), 150), np.full(1000, 4))
    centers = 8 * rng.normal(size=(5, 8))
    X = centers[classes] + rng.normal(size=(len(classes), 8)) * (classes < 4)[:, None]
    model = lq.ConsensusClusterer(5, random_state=0).fit(X)
    assert lq.clustering_accuracy(classes, model.labels_) > 0.995


def islands(sizes, n_partitions, seed=0):
    """Partitions that cut each island into random parts, and never put two islands together."""
    rng = np.random.default_rng(seed)
    island = np.repeat(np.arange(len(sizes)), sizes)
    n_parts = np.where(np.array(sizes) > 50, 3, 1)[island]
    parts = [rng.integers(n_parts) for _ in range(n_partitions)]
    return island, np.stack([3 * island + part for part in parts], axis=1)


@pytest.mark.parametrize("rule", ["ward", "average"])
def test_as_many_islands_as_clusters_are_the_clusters(rule):
    island, partitions = islands([500, 12, 2], 8)
    ballots = Ballots.of(as_columns(partitions), 1)
    tree = ConsensusTree(ballots, rule, n_clusters=3)
    labels = ballots.expand(tree.ballots.reassigned(tree.cut(3)))
    np.testing.assert_array_equal(labels, island)


@pytest.mark.parametrize("rule", ["ward", "average"])
def test_an_island_of_one_sample_is_no_cluster(rule):
    island, partitions = islands([500, 12, 1], 8)
    ballots = Ballots.of(as_columns(partitions), 1)
    tree = ConsensusTree(ballots, rule, n_clusters=2)
    labels = ballots.expand(tree.ballots.reassigned(tree.cut(2)))
    np.testing.assert_array_equal(labels[:-1], island[:-1])


def test_samples_stay_in_their_island():
    """Some partitions put samples of the large island into the small one."""
    island, partitions = islands([500, 12], 8)
    partitions[:5, :3] = partitions[-1, :3]
    np.testing.assert_array_equal(lq.consensus(partitions, 2), island)


def test_fewer_islands_than_clusters_are_kept_apart():
    """Ward's linkage would split the large island into more than two."""
    island, partitions = islands([500, 12, 8], 8)
    labels = lq.consensus(partitions, 4)
    assert labels.max() == 3
    for number in np.unique(labels):
        assert len(np.unique(island[labels == number])) == 1


def test_known_categories_are_never_divided():
    """Labels join two islands: there are no longer as many as clusters."""
    island, partitions = islands([40, 30, 20], 8)
    known = np.where(island < 2, 0, -1).astype(np.int32)
    ballots = Ballots.of(as_columns(partitions), 1, known=known)
    tree = ConsensusTree(ballots, n_clusters=2)
    labels = ballots.expand(tree.ballots.reassigned(tree.cut(2)))
    np.testing.assert_array_equal(labels, island == 2)
