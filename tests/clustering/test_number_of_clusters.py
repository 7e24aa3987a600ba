"""The number of clusters on which views agree, and none where there are no clusters."""

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
    assert 0.9 < number.agreement <= 1


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
    assert calls == [("number of clusters", (v + 1) / 4) for v in range(4)]
