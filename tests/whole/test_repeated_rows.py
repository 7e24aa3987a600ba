"""Samples that occur often: results equal those on distinct samples, and equal samples agree."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.datasets import make_blobs

import labelquorum as lq

N = 90
X, CLASSES = make_blobs(N, 3, centers=3, cluster_std=0.8, random_state=3)
Y = np.full(N, -1)
Y[[np.flatnonzero(c == CLASSES)[:3] for c in range(3)]] = np.arange(3)[:, None]
NAMES = np.array([None, "a", "b", "c"], dtype=object)[Y + 1]


def partition(labels):
    """Number the labels by their first samples, so that partitions can be compared."""
    _, firsts, places = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(firsts))[places]


def clusterer(n_clusters=3, **settings):
    return lq.ConsensusClusterer(n_clusters, n_partitions=8, random_state=0, **settings)


FITS = {
    "ConsensusClusterer": lambda X, y: clusterer().fit(X).labels_,
    "ConsensusClusterer with labels": lambda X, y: clusterer().fit(X, y).labels_,
    "ConsensusClusterer, number unknown": lambda X, y: clusterer(None).fit(X).labels_,
    "ConsensusClusterer, predicted": lambda X, y: clusterer().fit(X).predict(X),
    "LabelSpreading": lambda X, y: lq.LabelSpreading().fit(X, y).transduction_,
    "LabelSpreading, cosine": lambda X, y: (
        lq.LabelSpreading(metric="cosine").fit(X, y).transduction_
    ),
    "LabelSpreading, predicted": lambda X, y: lq.LabelSpreading().fit(X, y).predict(X),
    "LabelSpreading, class masses": lambda X, y: (
        lq.LabelSpreading(class_mass_normalization=True).fit(X, y).transduction_
    ),
    "LabelPropagation": lambda X, y: lq.LabelPropagation().fit(X, y).transduction_,
    "PoissonLearning": lambda X, y: lq.PoissonLearning().fit(X, y).transduction_,
    "KNNLabelPropagation": lambda X, y: (
        lq.KNNLabelPropagation(random_state=0).fit(X, y).transduction_
    ),
    "PreClusteringSampler": lambda X, y: (
        lq.PreClusteringSampler(random_state=0).fit(X, y).predict(X)
    ),
    "base_partitions": lambda X, y: partition_of_rows(
        lq.base_partitions(X, 3, n_partitions=8, random_state=0)
    ),
}


def partition_of_rows(partitions):
    return np.unique(partitions, axis=0, return_inverse=True)[1].ravel()


@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
@pytest.mark.parametrize("n_copies", [2, 10, 40])
def test_repeating_all_samples_changes_nothing(fit, n_copies):
    plain = fit(X, Y)
    repeated = fit(np.repeat(X, n_copies, axis=0), np.repeat(Y, n_copies))
    np.testing.assert_array_equal(partition(repeated), partition(np.repeat(plain, n_copies)))
    tiled = fit(np.tile(X, (n_copies, 1)), np.tile(Y, n_copies))
    np.testing.assert_array_equal(partition(tiled), partition(np.tile(plain, n_copies)))


@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
def test_equal_samples_get_equal_labels(fit):
    rng = np.random.default_rng(0)
    chosen = np.concatenate([np.arange(N), rng.choice(N, 3 * N, p=rng.dirichlet(np.full(N, 0.3)))])
    labels = fit(X[chosen], np.concatenate([Y, np.full(3 * N, -1)]))
    for sample in range(N):
        assert len(set(labels[chosen == sample].tolist())) == 1


@pytest.mark.parametrize("n_more", [20, 50, 100, 300])
@pytest.mark.parametrize("name", [name for name in FITS if name != "base_partitions"])
def test_one_sample_that_occurs_very_often_tears_nothing(name, n_more):
    often = 4
    repeated = np.concatenate([X, np.repeat(X[[often]], n_more, axis=0)])
    labels = FITS[name](repeated, np.concatenate([Y, np.full(n_more, -1)]))
    assert lq.clustering_accuracy(CLASSES, labels[:N]) > 0.95
    assert (labels[N:] == labels[often]).all()


@pytest.mark.parametrize("n_distinct", [1, 2, 3, 4])
def test_fewer_distinct_samples_than_clusters_are_clusters_and_warn(n_distinct):
    few = np.repeat(np.arange(n_distinct, dtype=float)[:, None] ** 2, 30, axis=0)
    with pytest.warns(UserWarning, match=f"n_clusters is 5, but .* only {n_distinct} "):
        model = lq.ConsensusClusterer(5, random_state=0).fit(few)
    np.testing.assert_array_equal(partition(model.labels_), np.repeat(range(n_distinct), 30))
    np.testing.assert_array_equal(model.predict(few), model.labels_)


def test_few_distinct_samples_that_occur_often_are_categories():
    few = np.repeat([[0.0, 0], [1, 5], [2, 2], [9, 0]], [50, 30, 20, 2], axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = lq.ConsensusClusterer(random_state=0).fit(few)
    assert model.n_clusters_ == 3


def test_copies_of_a_labeled_sample_get_its_label_unless_they_have_another():
    few = np.repeat(X, 3, axis=0)
    y = np.full(len(few), None)
    y[0:2] = "a", "b"  # the first sample and its copy
    y[3:6] = "a", "b", "b"
    y[6] = "c"
    for model in (clusterer(4), lq.LabelPropagation(), lq.PoissonLearning()):
        model.fit(few, y)
        labels = model.labels_ if hasattr(model, "labels_") else model.transduction_
        assert labels[:2].tolist() == ["a", "b"]
        assert labels[3:6].tolist() == ["a", "b", "b"]
        assert labels[6:9].tolist() == ["c", "c", "c"]


@pytest.mark.filterwarnings("ignore:n_clusters is 3")
def test_clusterers_of_the_caller_do_not_part_equal_samples():
    class ByPosition:
        def get_params(self, deep=True):
            return {}

        def fit_predict(self, X):
            return np.arange(len(X)) * 3 // len(X)

    repeated = np.tile(X[:40], (2, 1))
    model = lq.ConsensusClusterer(3, clusterers=[ByPosition()] * 3, random_state=0).fit(repeated)
    np.testing.assert_array_equal(model.labels_[:40], model.labels_[40:])


def test_novelty_does_not_depend_on_copies():
    new = np.concatenate([X[:30] + 0.05, np.full((40, 3), 30.0) + X[:40] / 10])
    plain = clusterer().fit(X).novelty(new)
    repeated = clusterer().fit(np.repeat(X, 10, axis=0)).novelty(new)
    assert plain.groups.tolist() == repeated.groups.tolist()
    np.testing.assert_allclose(repeated.scores, plain.scores, atol=0.02)
    assert (plain.scores[:30] < 0.99).all()
