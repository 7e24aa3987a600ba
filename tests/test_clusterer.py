"""ConsensusClusterer: from features to categories."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

import labelquorum as lq


# Some checks set n_clusters to 1 and pass y, which clusterers of scikit-learn do not read.
@pytest.mark.filterwarnings("ignore:n_clusters is ., y holds")
@parametrize_with_checks([lq.ConsensusClusterer(n_partitions=4)])
def test_scikit_learn_contracts(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def blobs():
    return make_blobs(600, 6, centers=5, cluster_std=0.8, random_state=1)


def fitted(blobs, y=None, **parameters):
    return lq.ConsensusClusterer(**({"n_clusters": 5, "random_state": 0} | parameters)).fit(
        blobs[0], y
    )


def test_clusters_that_lie_apart_are_found_and_predicted(blobs):
    X, classes = blobs
    model = fitted((X[::2], None))
    assert lq.clustering_accuracy(classes[::2], model.labels_) == 1
    assert lq.clustering_accuracy(classes[1::2], model.predict(X[1::2])) == 1
    np.testing.assert_array_equal(model.classes_, range(5))
    assert (model.confidence_ > 0.9).all()
    np.testing.assert_array_equal(model.confidence_, model.probabilities_)
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), model.predict(X))


def test_pseudo_labels_are_the_more_certain_half_of_each_category():
    X, classes = load_digits(return_X_y=True)
    model = fitted((X, None), n_clusters=10)
    chosen = model.pseudo_labels_ >= 0
    np.testing.assert_array_equal(model.pseudo_labels_[chosen], model.labels_[chosen])
    for label in range(10):
        members = model.labels_ == label
        assert (chosen & members).sum() == max(1, members.sum() // 2)
        assert (
            model.confidence_[chosen & members].min() >= model.confidence_[~chosen & members].max()
        )
    by_label = [np.bincount(classes[chosen & (model.labels_ == k)]).max() for k in range(10)]
    of_all = [np.bincount(classes[model.labels_ == k]).max() for k in range(10)]
    assert sum(by_label) / chosen.sum() > sum(of_all) / len(X)


@pytest.mark.parametrize("n_jobs", [1, 3])
def test_the_same_for_any_number_of_threads(blobs, n_jobs):
    np.testing.assert_array_equal(fitted(blobs, n_jobs=n_jobs).labels_, fitted(blobs).labels_)


def test_known_categories_keep_their_names_and_new_ones_come_after(blobs):
    X, classes = blobs
    y = np.where((classes < 2) & (np.arange(len(X)) % 10 == 0), 10 * classes + 7, -1)
    model = fitted(blobs, y)
    np.testing.assert_array_equal(model.classes_, [7, 17, 18, 19, 20])
    np.testing.assert_array_equal(model.labels_[classes == 0], 7)
    np.testing.assert_array_equal(model.labels_[classes == 1], 17)
    assert lq.clustering_accuracy(classes, model.labels_) == 1
    assert not len(model.suspect_labels_)


def test_names_may_be_strings(blobs):
    X, classes = blobs
    y = np.full(len(X), None, dtype=object)
    y[(classes == 3) & (np.arange(len(X)) % 5 == 0)] = "three"
    model = fitted(blobs, y)
    assert model.classes_.tolist() == ["three", "new 0", "new 1", "new 2", "new 3"]
    assert set(model.labels_[classes == 3]) == {"three"}
    assert None in model.pseudo_labels_
    assert set(model.predict(X[classes == 3])) == {"three"}


def test_without_discovery_only_known_categories_are_filled(blobs):
    X, classes = blobs
    y = np.where((classes < 2) & (np.arange(len(X)) % 10 == 0), classes, -1)
    model = fitted(blobs, y, discover=False)
    np.testing.assert_array_equal(model.labels_, np.where(classes < 2, classes, -1))


def test_wrong_known_labels_are_kept_and_reported(blobs):
    X, classes = blobs
    y = np.where(np.arange(len(X)) % 4 == 0, classes, -1)
    wrong = np.flatnonzero(y == 0)[:3]
    y[wrong] = 4
    model = fitted(blobs, y)
    np.testing.assert_array_equal(np.sort(model.suspect_labels_), wrong)
    np.testing.assert_array_equal(model.labels_[wrong], 4)
    others = np.setdiff1d(np.arange(len(X)), wrong)
    np.testing.assert_array_equal(model.labels_[others], classes[others])


def test_partitions_and_clusterers_of_the_user(blobs):
    X, classes = blobs
    partitions = np.stack(
        [KMeans(8, n_init=1, random_state=i).fit_predict(X) for i in range(6)], axis=1
    )
    partitions[::7, 0] = -1
    given = lq.ConsensusClusterer(5).fit(X, partitions=partitions)
    assert lq.clustering_accuracy(classes, given.labels_) > 0.95
    np.testing.assert_array_equal(given.partitions_[::7, 0], -1)
    own = fitted(blobs, clusterers=[KMeans(k, n_init=1) for k in (6, 8, 9, 11)])
    assert own.partitions_.shape == (len(X), 4)
    assert lq.clustering_accuracy(classes, own.labels_) > 0.95


def test_a_classifier_learns_from_the_pseudo_labels(blobs):
    X, classes = blobs
    model = fitted(blobs, classifier=LogisticRegression())
    assert lq.clustering_accuracy(classes, model.predict(X)) > 0.99
    np.testing.assert_array_equal(model.predict_proba(X).argmax(axis=1), model.predict(X))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int16])
def test_other_dtypes(blobs, dtype):
    X = (blobs[0] * (50 if dtype == np.int16 else 1)).astype(dtype)
    assert lq.clustering_accuracy(blobs[1], fitted((X, None)).labels_) == 1


def test_sparse_rows(blobs):
    rng = np.random.default_rng(0)
    X = np.zeros((300, 400))
    classes = np.arange(300) % 3
    for i, c in enumerate(classes):
        X[i, 100 * c + rng.choice(100, 30, replace=False)] = 1
    sparse = scipy.sparse.csr_array(X)
    model = lq.ConsensusClusterer(3, random_state=0).fit(sparse)
    assert lq.clustering_accuracy(classes, model.labels_) == 1
    np.testing.assert_array_equal(model.predict(sparse), model.labels_)


def test_coarser_and_finer_categories_come_from_the_same_votes(blobs):
    X, classes = blobs
    y = np.where((classes < 2) & (np.arange(len(X)) % 10 == 0), classes, -1)
    model = fitted(blobs, y)
    np.testing.assert_array_equal(model.cut(5), model.labels_)
    np.testing.assert_array_equal(np.unique(model.cut(3)), range(3))
    np.testing.assert_array_equal(np.unique(model.cut(1)), range(2))  # known ones stay apart
    finer = fitted((X, None)).cut(8)
    for label in range(8):  # parts of the five
        assert len(np.unique(classes[finer == label])) == 1


def test_the_number_of_categories_is_found_where_they_lie_apart(blobs):
    X, classes = blobs
    assert lq.clustering_accuracy(classes, fitted(blobs, n_clusters=None).labels_) == 1
    # A group of 6 samples far away is a category only where so few are enough.
    X = np.concatenate([X, np.random.default_rng(0).normal(60, 0.1, size=(6, X.shape[1]))])
    assert fitted((X, None), n_clusters=None, min_cluster_size=20).n_clusters_ == 5


def test_pickles(blobs):
    model = fitted(blobs)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict(blobs[0]), model.predict(blobs[0]))


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"n_clusters": 0}, ValueError, "n_clusters is 0"),
        ({"n_clusters": 2.5}, TypeError, "n_clusters"),
        ({"n_clusters": 601}, ValueError, "n_clusters is 601, X holds 600 samples"),
        ({"n_clusters": 2, "y": [0, 1, 2] * 200}, UserWarning, "y holds 3 categories"),
        ({"n_partitions": 0}, ValueError, "n_partitions is 0"),
        ({"pseudo_share": 0}, ValueError, "pseudo_share is 0"),
        ({"y": [-1] * 3}, ValueError, "y holds 3 samples, X 600"),
        ({"clusterers": LogisticRegression()}, TypeError, r"clusterers\[0\] is LogisticRegression"),
    ],
)
def test_bad_arguments_are_named(blobs, change, error, message):
    y = change.pop("y", None)
    with pytest.raises(error, match=message):
        fitted(blobs, y, **change)


def test_fewer_groups_than_wanted_are_pointed_out():
    labels = np.repeat([0, 1, 2], 30)
    with pytest.warns(UserWarning, match="n_clusters is 8, the partitions tell only 3 groups"):
        model = lq.ConsensusClusterer(8).fit(labels[:, None] * 1.0, partitions=[labels, labels])
    assert model.n_clusters_ == 3


def test_partitions_of_other_samples_are_refused(blobs):
    with pytest.raises(ValueError, match="partitions hold 3 samples, X 600"):
        lq.ConsensusClusterer(2).fit(blobs[0], partitions=[[0, 1, 1]])
