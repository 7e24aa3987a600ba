"""The number of clusters that agree and are separated best, and none where there are none."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import make_blobs

import labelquorum as lq
from labelquorum._shared.frame import Frame
from labelquorum.clustering.number_of_clusters import natural_number


def test_clusters_that_lie_apart_are_counted(blobs):
    number = natural_number(Frame.fit(blobs[0]), 10, 0, 1)
    assert number.n_clusters == 5
    assert 1.8 < number.score <= 2


@pytest.mark.slow
def test_clusters_are_found_by_the_clusterer_without_their_number(blobs):
    X, classes = blobs
    model = lq.ConsensusClusterer(random_state=0).fit(X)
    assert lq.clustering_accuracy(classes, model.labels_) == 1
    # Six samples far away from the others make a category only if so few are enough.
    X = np.concatenate([X, np.random.default_rng(0).normal(60, 0.1, size=(6, X.shape[1]))])
    model = lq.ConsensusClusterer(min_cluster_size=20, random_state=0).fit(X)
    assert model.n_clusters_ == 5


@pytest.mark.slow
def test_many_small_categories_are_counted():
    X, classes = make_blobs(3000, 16, centers=60, cluster_std=1.5, random_state=0)
    model = lq.ConsensusClusterer(random_state=0, n_partitions=8).fit(X)
    assert 54 <= model.n_clusters_ <= 66
    assert lq.clustering_accuracy(classes, model.labels_) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Gaussian", "uniform", "shuffled columns", "plane"])
def test_noise_has_one_category_and_a_warning(digits, kind):
    rng = np.random.default_rng(0)
    X = {
        "Gaussian": lambda: rng.normal(size=(1500, 12)) @ rng.normal(size=(12, 12)),
        "uniform": lambda: rng.random((1500, 5)),
        "shuffled columns": lambda: rng.permuted(digits[0], axis=0),
        "plane": lambda: rng.random((1000, 2)),
    }[kind]()
    with pytest.warns(UserWarning, match="X shows no clusters"):
        model = lq.ConsensusClusterer(random_state=0, n_partitions=4).fit(X)
    assert model.n_clusters_ == 1
    assert (model.labels_ == 0).all()


def test_progress_is_shown(blobs):
    calls = []
    natural_number(Frame.fit(blobs[0]), 10, 0, 1, lambda *call: calls.append(call))
    assert calls == [("number of clusters", i / 3) for i in (1, 2, 3)]


def pairs_of_blobs(rng):
    y = rng.integers(0, 4, 1200)
    return np.array([[0, 0], [6, 0], [100, 0], [106, 0]])[y] + rng.normal(size=(1200, 2)), 4


def blobs_of_falling_size(rng):
    y = np.repeat(np.arange(12), (600 / np.arange(1, 13)).astype(int))
    return rng.normal(size=(12, 20))[y] * 4 + rng.normal(size=(len(y), 20)), 12


def blobs_on_a_grid(rng):
    centers = np.array([[0, 0, 0], [9, 0, 0], [0, 9, 0], [0, 0, 9], [9, 9, 0], [9, 9, 9]])
    return np.round(centers[rng.integers(0, 6, 1500)] + rng.normal(size=(1500, 3))), 6


def two_unequal_blobs(rng):
    y = (rng.random(1200) < 0.1).astype(int)
    return rng.normal(size=(1200, 30)) + 8 * y[:, None] * (np.arange(30) == 0), 2


@pytest.mark.parametrize(
    "make",
    [
        pairs_of_blobs,
        blobs_of_falling_size,
        blobs_on_a_grid,
        two_unequal_blobs,
    ],
)
def test_clusters_of_many_shapes_are_counted(make):
    X, n_clusters = make(np.random.default_rng(0))
    found = natural_number(Frame.fit(X), 10, 0, 1).n_clusters
    assert found is not None
    assert abs(found - n_clusters) <= 1


@pytest.mark.slow
def test_there_is_no_limit_to_the_number():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(600), 30)
    X = rng.normal(size=(600, 16))[y] * 4 + rng.normal(size=(len(y), 16))
    found = natural_number(Frame.fit(X.astype(np.float32)), 10, 0, 2).n_clusters
    assert 480 < found < 720
