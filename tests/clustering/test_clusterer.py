"""ConsensusClusterer: from features to categories, and labels for new samples."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

import labelquorum as lq
from labelquorum._shared import frame


# Some checks set n_clusters to 1 and pass y, which clusterers of scikit-learn do not read.
@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:n_clusters is ., but y and votes name", "ignore:X shows no clusters"
)
@parametrize_with_checks([lq.ConsensusClusterer(n_partitions=4)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def fitted(X, y=None, origins=None, **parameters):
    model = lq.ConsensusClusterer(**({"n_clusters": 5, "random_state": 0} | parameters))
    return model.fit(X, y, origins=origins)


def test_clusters_that_lie_apart_are_found_and_predicted(blobs):
    X, classes = blobs
    model = fitted(X[::2])
    assert lq.clustering_accuracy(classes[::2], model.labels_) == 1
    assert lq.clustering_accuracy(classes[1::2], model.predict(X[1::2])) == 1
    np.testing.assert_array_equal(model.classes_, range(5))
    assert (model.confidence_ > 0.9).all()
    np.testing.assert_array_equal(model.confidence_, model.probabilities_)
    probabilities = model.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), model.predict(X))


def test_pseudo_labels_are_more_precise_than_all_labels(digits):
    X, classes = digits
    model = fitted(X, n_clusters=10)
    chosen = model.pseudo_labels_ >= 0
    n_right_chosen = [np.bincount(classes[chosen & (model.labels_ == k)]).max() for k in range(10)]
    n_right = [np.bincount(classes[model.labels_ == k]).max() for k in range(10)]
    assert sum(n_right_chosen) / chosen.sum() >= sum(n_right) / len(X)


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 3])
def test_the_number_of_threads_does_not_matter(blobs, n_jobs):
    X, _ = blobs
    np.testing.assert_array_equal(fitted(X, n_jobs=n_jobs).labels_, fitted(X).labels_)


def test_known_categories_keep_their_names_and_new_ones_follow(blobs):
    X, classes = blobs
    y = np.where((classes < 2) & (np.arange(len(X)) % 10 == 0), 10 * classes + 7, -1)
    model = fitted(X, y)
    np.testing.assert_array_equal(model.classes_, [7, 17, 18, 19, 20])
    np.testing.assert_array_equal(model.labels_[classes == 0], 7)
    np.testing.assert_array_equal(model.labels_[classes == 1], 17)
    assert lq.clustering_accuracy(classes, model.labels_) == 1
    assert not len(model.suspect_labels_)


def test_names_may_be_strings(blobs):
    X, classes = blobs
    y = np.full(len(X), None, dtype=object)
    y[(classes == 3) & (np.arange(len(X)) % 5 == 0)] = "three"
    model = fitted(X, y)
    assert model.classes_.tolist() == ["three", "new 0", "new 1", "new 2", "new 3"]
    assert set(model.labels_[classes == 3]) == {"three"}
    overlapping = X + np.random.default_rng(0).normal(scale=3, size=X.shape)
    assert None in fitted(overlapping, y).pseudo_labels_
    assert set(model.predict(X[classes == 3])) == {"three"}


def test_without_discovery_labels_are_known_categories_or_none(blobs):
    X, classes = blobs
    y = np.where((classes < 2) & (np.arange(len(X)) % 10 == 0), classes, -1)
    expected = np.where(classes < 2, classes, -1)
    for classifier in (None, LogisticRegression(), LinearSVC()):
        model = fitted(X, y, discover=False, classifier=classifier)
        np.testing.assert_array_equal(model.labels_, expected)
        np.testing.assert_array_equal(model.predict(X), expected)
        assert set(model.pseudo_labels_) == {-1, 0, 1}
    names = np.where(y >= 0, np.array(["a", "b"])[y.clip(0)], None)
    model = fitted(X, names, discover=False)
    assert set(model.predict(X[classes > 1])) == {None}
    assert set(model.predict(X[classes < 2])) == {"a", "b"}


def test_the_history_has_the_figures_of_the_round(blobs):
    X, _ = blobs
    model = fitted(X, pseudo_share=0.2)
    (entry,) = model.history_
    assert entry["round"] == 0
    assert entry["n_partitions"] == model.partitions_.shape[1]
    assert entry["n_clusters"] == model.n_clusters_ == 5
    assert entry["coverage"] == (model.pseudo_labels_ >= 0).sum() / len(X)
    assert entry["confidence"] == pytest.approx(model.confidence_.mean())


def test_wrong_known_labels_are_kept_and_reported(blobs):
    X, classes = blobs
    y = np.where(np.arange(len(X)) % 4 == 0, classes, -1)
    wrong = np.flatnonzero(y == 0)[:3]
    y[wrong] = 4
    model = fitted(X, y)
    np.testing.assert_array_equal(np.sort(model.suspect_labels_), wrong)
    np.testing.assert_array_equal(model.labels_[wrong], 4)
    others = np.setdiff1d(np.arange(len(X)), wrong)
    np.testing.assert_array_equal(model.labels_[others], classes[others])


@pytest.mark.parametrize("names, name_of_new", [(None, 4), (["billing", "login"], "new 2")])
def test_last_weeks_labels_as_y_keep_their_numbers_and_names(blobs, names, name_of_new):
    X, classes = blobs
    is_old = classes < 4
    missing = -1 if names is None else None
    y = None
    if names is not None:
        y = np.full(is_old.sum(), None, dtype=object)
        for label, name in enumerate(names):
            y[np.flatnonzero(classes[is_old] == label)[:20]] = name
    last_week = lq.ConsensusClusterer(4, random_state=0).fit(X[is_old], y)
    # This week there are more samples, of a new category.
    labels = np.full(len(X), missing, dtype=object)
    labels[is_old] = last_week.labels_
    this_week = lq.ConsensusClusterer(5, random_state=0).fit(X, labels)
    np.testing.assert_array_equal(this_week.labels_[is_old], last_week.labels_)
    np.testing.assert_array_equal(this_week.classes_[:4], np.sort(last_week.classes_))
    assert set(this_week.labels_[~is_old]) == {name_of_new}
    # New samples may belong to categories of last week, too.
    labels[is_old & (np.arange(len(X)) % 2 == 1)] = missing
    with_fewer_labels = lq.ConsensusClusterer(5, random_state=0).fit(X, labels)
    np.testing.assert_array_equal(with_fewer_labels.labels_, this_week.labels_)


@pytest.mark.slow
@pytest.mark.parametrize("share_wrong", [0, 0.1])
def test_known_labels_emphasize_the_differences_that_matter(share_wrong):
    """Three columns tell six classes apart, twelve louder ones tell other groups apart."""
    rng = np.random.default_rng(0)
    n = 1500
    classes, other_groups = rng.integers(6, size=n), rng.integers(4, size=n)
    centers = np.concatenate([5 * np.eye(3), -5 * np.eye(3)])[rng.permutation(6)]
    telling = centers[classes] + rng.normal(size=(n, 3))
    louder = 12 * rng.normal(size=(4, 12))[other_groups] + 3 * rng.normal(size=(n, 12))
    X = np.concatenate([telling, louder], axis=1)
    assert lq.clustering_accuracy(classes, fitted(X, n_clusters=6).labels_) < 0.5
    y = np.where((classes < 3) & (rng.random(n) < 0.2), classes, -1)
    wrong = (y >= 0) & (rng.random(n) < share_wrong)
    y[wrong] = (y[wrong] + 1) % 3
    model = fitted(X, y, n_clusters=6)
    is_new = classes >= 3
    assert lq.clustering_accuracy(classes[is_new], model.labels_[is_new]) > 0.85
    assert (model.labels_ == classes)[~is_new & (y < 0)].mean() > 0.85


def test_partitions_and_clusterers_of_the_caller_are_used(blobs):
    X, classes = blobs
    partitions = np.stack(
        [KMeans(8, n_init=1, random_state=i).fit_predict(X) for i in range(6)], axis=1
    )
    partitions[::7, 0] = -1
    from_partitions = lq.ConsensusClusterer(5).fit(X, partitions=partitions)
    assert lq.clustering_accuracy(classes, from_partitions.labels_) > 0.95
    np.testing.assert_array_equal(from_partitions.partitions_[::7, 0], -1)
    from_clusterers = fitted(X, clusterers=[KMeans(k, n_init=1) for k in (6, 8, 9, 11)])
    assert from_clusterers.partitions_.shape == (len(X), 4)
    assert lq.clustering_accuracy(classes, from_clusterers.labels_) > 0.95


def test_a_classifier_learns_from_the_pseudo_labels(blobs):
    X, classes = blobs
    model = fitted(X, classifier=LogisticRegression())
    assert lq.clustering_accuracy(classes, model.predict(X)) > 0.99
    np.testing.assert_array_equal(model.predict_proba(X).argmax(axis=1), model.predict(X))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int16])
def test_other_dtypes_work(blobs, dtype):
    X = (blobs[0] * (50 if dtype == np.int16 else 1)).astype(dtype)
    assert lq.clustering_accuracy(blobs[1], fitted(X).labels_) == 1


@pytest.fixture(scope="module")
def sparse_topics():
    """300 sparse samples of three classes, each with features of its own."""
    rng = np.random.default_rng(0)
    X = np.zeros((300, 400))
    classes = np.arange(300) % 3
    for i, c in enumerate(classes):
        X[i, 100 * c + rng.choice(100, 30, replace=False)] = 1
    return scipy.sparse.csr_array(X), classes


def test_dense_samples_can_be_predicted_after_sparse_ones(sparse_topics):
    X, _ = sparse_topics
    model = lq.ConsensusClusterer(3, random_state=0, n_partitions=8).fit(X)
    dense, some = X.toarray(), slice(0, 50)
    np.testing.assert_allclose(
        model.predict_proba(dense[some]), model.predict_proba(X[some]), atol=1e-5
    )
    np.testing.assert_array_equal(model.predict(dense[some]), model.predict(X[some]))
    np.testing.assert_allclose(
        model.novelty(dense[some]).scores, model.novelty(X[some]).scores, atol=1e-3
    )


def test_sparse_samples_are_clustered_and_predicted(sparse_topics):
    X, classes = sparse_topics
    model = fitted(X, n_clusters=3)
    assert lq.clustering_accuracy(classes, model.labels_) == 1
    np.testing.assert_array_equal(model.predict(X), model.labels_)


@pytest.mark.parametrize("is_sparse", [False, True])
def test_each_call_converts_samples_once(blobs, sparse_topics, monkeypatch, is_sparse):
    X, classes = sparse_topics if is_sparse else blobs
    y = np.where(np.arange(len(classes)) % 5 == 0, classes, -1)
    n_conversions = 0
    convert = frame._finite_samples

    def counted(X):
        nonlocal n_conversions
        n_conversions += 1
        return convert(X)

    monkeypatch.setattr(frame, "_finite_samples", counted)
    model = fitted(X, y, n_partitions=4)
    assert n_conversions == 1
    for i, method in enumerate((model.predict, model.predict_proba, model.novelty)):
        method(X)
        assert n_conversions == i + 2


def test_fewer_and_more_categories_come_from_the_same_votes(blobs):
    X, classes = blobs
    y = np.where((classes < 2) & (np.arange(len(X)) % 10 == 0), classes, -1)
    model = fitted(X, y)
    np.testing.assert_array_equal(model.cut(5), model.labels_)
    np.testing.assert_array_equal(np.unique(model.cut(3)), range(3))
    np.testing.assert_array_equal(np.unique(model.cut(1)), range(2))  # known ones stay apart
    finer = fitted(X).cut(8)
    for label in range(8):  # each is a part of one of the five
        assert len(np.unique(classes[finer == label])) == 1


def test_models_are_pickled_and_cloned(blobs):
    X, _ = blobs
    model = fitted(X)
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(restored.predict(X), model.predict(X))
    np.testing.assert_array_equal(restored.cut(3), model.cut(3))
    np.testing.assert_array_equal(restored.outcome_.is_pseudo_label, model.outcome_.is_pseudo_label)
    assert not hasattr(clone(model), "outcome_")
    np.testing.assert_array_equal(clone(model).fit(X).labels_, model.labels_)


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"n_clusters": 0}, ValueError, "n_clusters must be .*, got 0"),
        ({"n_clusters": 2.5}, TypeError, "n_clusters"),
        ({"n_clusters": 601}, ValueError, "n_clusters must be at most 600, .* got 601"),
        ({"n_clusters": 2, "y": [0, 1, 2] * 200}, UserWarning, "but y and votes name 3 categories"),
        ({"n_partitions": 0}, ValueError, "n_partitions must be .*, got 0"),
        ({"pseudo_share": 0}, ValueError, "pseudo_share must be .*, got 0"),
        ({"y": [-1] * 3}, ValueError, "y must have 600 .* got 3"),
        ({"clusterers": LogisticRegression()}, TypeError, r"clusterers\[0\] .*LogisticRegression"),
    ],
)
def test_bad_arguments_are_named(blobs, change, error, message):
    y = change.pop("y", None)
    with pytest.raises(error, match=message):
        fitted(blobs[0], y, **change)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(blobs, value):
    X, _ = blobs
    wrong = X.copy()
    wrong[3, 1] = value
    with pytest.raises(ValueError, match=r"X .*(NaN|infinity)"):
        fitted(wrong)
    for classifier in (None, LogisticRegression(), LinearSVC()):
        with pytest.raises(ValueError, match=r"X .*(NaN|infinity)"):
            fitted(X, classifier=classifier, n_partitions=4).predict(wrong)


def test_a_warning_says_if_the_partitions_tell_fewer_categories_apart():
    labels = np.repeat([0, 1, 2], 30)
    with pytest.warns(UserWarning, match="n_clusters is 8, but the partitions tell only 3"):
        model = lq.ConsensusClusterer(8).fit(labels[:, None] * 1.0, partitions=[labels, labels])
    assert model.n_clusters_ == 3


def test_partitions_of_another_length_are_refused(blobs):
    with pytest.raises(ValueError, match=r"partitions must have 600 rows, .* got 3"):
        lq.ConsensusClusterer(2).fit(blobs[0], partitions=[[0, 1, 1]])


@pytest.fixture(scope="module")
def weeks(blobs):
    """Labels of a person, a first fit, and what the person accepted and corrected of it."""
    X, classes = blobs
    y = np.full(len(X), None, dtype=object)
    for k, name in enumerate(["billing", "login"]):
        y[np.flatnonzero(classes == k)[:8]] = name
    first = fitted(X, y)
    labels, origins = first.labels_.astype(object), first.label_origins_.copy()
    accepted = np.flatnonzero(classes == 2)[:6]
    corrected = np.flatnonzero(classes == 3)[:5]
    origins[accepted] = "accepted"
    labels[corrected], origins[corrected] = "refund", "given"
    return X, y, first, labels, origins


def test_labels_remember_where_they_come_from_week_after_week(weeks):
    X, y, first, labels, origins = weeks
    is_given = np.not_equal(y, None)
    assert set(first.label_origins_[is_given]) == {"given"}
    assert set(first.label_origins_[~is_given]) == {"proposed"}
    second = fitted(X, labels, n_clusters=6)  # without origins, a person says it all
    assert set(second.label_origins_) == {"given"}
    second = lq.ConsensusClusterer(5, random_state=1).fit(X, labels, origins=origins)
    np.testing.assert_array_equal(second.label_origins_, origins)
    known = origins != "proposed"
    np.testing.assert_array_equal(second.labels_[known], labels[known])
    table = second.category_table_
    name = labels[origins == "accepted"][0]
    n_labeled = {"billing": 8, "login": 8, "refund": 5, name: 6}
    assert {k: n for k, n in table["n_labeled"].items() if n} == n_labeled
    assert table["n_accepted"].sum() == table["n_accepted"][name] == 6
    third = lq.ConsensusClusterer(5, random_state=2).fit(
        X, second.labels_, origins=second.label_origins_
    )
    np.testing.assert_array_equal(third.label_origins_, origins)
    np.testing.assert_array_equal(third.labels_, second.labels_)


def test_proposals_of_last_week_vote_and_may_be_wrong(weeks):
    X, y, first, _, _ = weeks
    known = np.not_equal(y, None)
    rng = np.random.default_rng(0)
    wrong = first.labels_.astype(object)  # the model errs
    few = rng.permutation(np.flatnonzero(~known))[::10]
    wrong[few] = [rng.choice(first.classes_[first.classes_ != label]) for label in wrong[few]]
    again = lq.ConsensusClusterer(5, random_state=3).fit(X, wrong, origins=first.label_origins_)
    assert (again.labels_ == first.labels_).mean() > 0.99
    assert len(again.reliability_) == 0
    np.testing.assert_array_equal(again.cut(5), again.labels_)
    np.testing.assert_array_equal(again.outcome_.known >= 0, known)
    assert set(again.label_origins_[~known]) == {"proposed"}
    assert not set(again.suspect_labels_) & set(few)
    is_known = again.outcome_.is_known(again.classes_)
    assert set(again.classes_[is_known]) == {"billing", "login"}
    for layer in again.cluster_layers_:
        assert {"billing", "login"} <= set(layer.tolist())
    plain = lq.ConsensusClusterer(5, discover=False, random_state=3)
    plain.fit(X, wrong, origins=first.label_origins_)
    assert set(plain.labels_) <= {"billing", "login", None}


def test_a_few_corrections_change_what_they_correct():
    X, classes = load_digits(return_X_y=True)
    first = fitted(X, n_clusters=10)
    name_of = {k: np.bincount(classes[first.labels_ == k]).argmax() for k in first.classes_}
    labels = np.array([name_of[k] for k in first.labels_.tolist()])
    corrected = np.flatnonzero(labels != classes)[::3][:20]
    labels[corrected] = classes[corrected]
    origins = np.full(len(X), "proposed", dtype=object)
    origins[corrected] = "given"
    second = fitted(X, labels, n_clusters=10, origins=origins)
    right = labels == classes
    assert (second.labels_[right] == classes[right]).mean() > 0.98
    assert (second.labels_[corrected] == classes[corrected]).all()


def test_labels_that_are_all_proposals_keep_their_numbers(blobs):
    X, _ = blobs
    last = (fitted(X).labels_ + 3) % 5 + 10
    model = lq.ConsensusClusterer(5, random_state=4).fit(X, last, origins=["proposed"] * len(X))
    np.testing.assert_array_equal(model.labels_, last)
    assert set(model.label_origins_) == {"proposed"}
    assert model.outcome_.n_known == 0


def test_samples_without_a_label_have_no_origin(blobs):
    X, classes = blobs
    y = np.where((classes < 2) & (np.arange(len(X)) % 10 == 0), classes, -1)
    model = fitted(X, y, discover=False)
    np.testing.assert_array_equal(model.label_origins_ == "", model.labels_ == -1)
    np.testing.assert_array_equal(model.label_origins_ == "given", y >= 0)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.label_origins_, model.label_origins_)


def test_members_of_a_group_and_believed_voters_are_proposals(blobs):
    X, classes = blobs
    y = np.full(len(X), -1)
    y[5] = 3
    groups = np.full(len(X), -1)
    groups[[5, 17, 99]] = 0
    votes = np.where(np.arange(len(X)) % 3 == 0, classes, -1)
    model = lq.ConsensusClusterer(5, random_state=0).fit(X, y, groups=groups, votes=votes)
    assert model.labels_[[17, 99]].tolist() == [3, 3]
    assert np.flatnonzero(model.label_origins_ == "given").tolist() == [5]
    assert set(model.label_origins_) == {"given", "proposed"}


def test_refitting_forgets_the_origins_of_before(weeks):
    X, y, _, labels, origins = weeks
    model = lq.ConsensusClusterer(5, random_state=0).fit(X, labels, origins=origins)
    assert set(model.fit(X, y).label_origins_) == {"given", "proposed"}
    assert set(model.fit(X).label_origins_) == {"proposed"}


@pytest.mark.parametrize(
    ("y", "origins", "message"),
    [
        (None, ["given"] * 600, "origins must come with y"),
        ([0] * 600, ["given"] * 599, "origins must have 600 values, one per sample, got 599"),
        ([0] * 600, ["model"] * 600, "origins must hold 'given', .*, got 'model' at position 0"),
    ],
)
def test_wrong_origins_are_named(blobs, y, origins, message):
    with pytest.raises(ValueError, match=message):
        lq.ConsensusClusterer(5).fit(blobs[0], y, origins=origins)
