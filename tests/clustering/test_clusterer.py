"""ConsensusClusterer: from features to categories."""

from __future__ import annotations

import pickle
import sys
from collections import Counter

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

import labelquorum as lq
from labelquorum.clustering.novelty import novelty
from labelquorum.clustering.outcome import Categories, _without_empty
from strategies import share


# Some checks set n_clusters to 1 and pass y, which clusterers of scikit-learn do not read.
@pytest.mark.filterwarnings("ignore:n_clusters is ., y holds", "ignore:X shows no clusters")
@parametrize_with_checks([lq.ConsensusClusterer(n_partitions=4)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


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


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_pseudo_labels_are_the_most_certain_and_some_of_each_category(share):
    X = load_digits().data
    model = fitted((X, None), n_clusters=10, pseudo_share=share)
    chosen = model.pseudo_labels_ >= 0
    np.testing.assert_array_equal(model.pseudo_labels_[chosen], model.labels_[chosen])
    confidence = model.confidence_
    expected = confidence >= np.sort(confidence)[::-1][int(share * len(X)) - 1]
    assert expected.sum() >= int(share * len(X))
    for label in range(10):
        members = np.flatnonzero(model.labels_ == label)
        n_least = max(1, int(share / 10 * len(members)))
        least = np.sort(confidence[members])[::-1][n_least - 1]
        expected[members[confidence[members] >= least]] = True
    np.testing.assert_array_equal(chosen, expected)


def test_pseudo_labels_are_more_precise_than_all_labels():
    X, classes = load_digits(return_X_y=True)
    model = fitted((X, None), n_clusters=10)
    chosen = model.pseudo_labels_ >= 0
    by_label = [np.bincount(classes[chosen & (model.labels_ == k)]).max() for k in range(10)]
    of_all = [np.bincount(classes[model.labels_ == k]).max() for k in range(10)]
    assert sum(by_label) / chosen.sum() >= sum(of_all) / len(X)


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
    expected = np.where(classes < 2, classes, -1)
    for classifier in (None, LogisticRegression(), LinearSVC()):
        model = fitted(blobs, y, discover=False, classifier=classifier)
        np.testing.assert_array_equal(model.labels_, expected)
        np.testing.assert_array_equal(model.predict(X), expected)
        assert set(model.pseudo_labels_) == {-1, 0, 1}
    names = np.where(y >= 0, np.array(["a", "b"])[y.clip(0)], None)
    model = fitted(blobs, names, discover=False)
    assert set(model.predict(X[classes > 1])) == {None}
    assert set(model.predict(X[classes < 2])) == {"a", "b"}


def test_the_history_says_what_the_round_gave(blobs):
    X, _ = blobs
    model = fitted(blobs, None, pseudo_share=0.2)
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


def test_many_small_categories_are_counted():
    X, classes = make_blobs(3000, 16, centers=60, cluster_std=1.5, random_state=0)
    model = lq.ConsensusClusterer(random_state=0, n_partitions=8).fit(X)
    assert 54 <= model.n_clusters_ <= 66
    assert lq.clustering_accuracy(classes, model.labels_) > 0.9


@pytest.mark.parametrize("kind", ["Gaussian", "uniform", "shuffled columns", "plane"])
def test_where_there_are_no_clusters_none_are_invented(kind):
    rng = np.random.default_rng(0)
    X = {
        "Gaussian": lambda: rng.normal(size=(1500, 12)) @ rng.normal(size=(12, 12)),
        "uniform": lambda: rng.random((1500, 5)),
        "shuffled columns": lambda: rng.permuted(load_digits().data, axis=0),
        "plane": lambda: rng.random((1000, 2)),
    }[kind]()
    with pytest.warns(UserWarning, match="X shows no clusters"):
        model = lq.ConsensusClusterer(random_state=0, n_partitions=4).fit(X)
    assert model.n_clusters_ == 1
    assert (model.labels_ == 0).all()


@pytest.mark.parametrize("share_wrong", [0, 0.1])
def test_known_labels_say_which_differences_matter(share_wrong):
    """Three columns tell six classes, twelve louder ones tell something else."""
    rng = np.random.default_rng(0)
    n = 1500
    classes, others = rng.integers(6, size=n), rng.integers(4, size=n)
    centers = np.concatenate([5 * np.eye(3), -5 * np.eye(3)])[rng.permutation(6)]
    telling = centers[classes] + rng.normal(size=(n, 3))
    louder = 12 * rng.normal(size=(4, 12))[others] + 3 * rng.normal(size=(n, 12))
    X = np.concatenate([telling, louder], axis=1)
    assert lq.clustering_accuracy(classes, fitted((X, None), n_clusters=6).labels_) < 0.5
    y = np.where((classes < 3) & (rng.random(n) < 0.2), classes, -1)
    wrong = (y >= 0) & (rng.random(n) < share_wrong)
    y[wrong] = (y[wrong] + 1) % 3
    model = fitted((X, None), y, n_clusters=6)
    new = classes >= 3
    assert lq.clustering_accuracy(classes[new], model.labels_[new]) > 0.85
    assert (model.labels_ == classes)[~new & (y < 0)].mean() > 0.85


def test_pickles(blobs):
    model = fitted(blobs)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict(blobs[0]), model.predict(blobs[0]))


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"n_clusters": 0}, ValueError, "n_clusters must be an integer of at least 1, got 0"),
        ({"n_clusters": 2.5}, TypeError, "n_clusters"),
        ({"n_clusters": 601}, ValueError, "n_clusters is 601, X holds 600 samples"),
        ({"n_clusters": 2, "y": [0, 1, 2] * 200}, UserWarning, "y holds 3 categories"),
        ({"n_partitions": 0}, ValueError, "n_partitions must be an integer of at least 1, got 0"),
        ({"pseudo_share": 0}, ValueError, r"pseudo_share must be a number in \(0, 1\], got 0"),
        ({"y": [-1] * 3}, ValueError, "y must have 600 values, one per sample, got 3"),
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


def test_the_samples_of_a_group_get_one_label_by_the_sum_of_their_scores():
    X, classes = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    groups = np.full(len(X), -1)
    for label in range(10):  # 20 groups of 4 samples each, of one digit
        groups[rng.permutation(np.flatnonzero(classes == label))[:80]] = (
            100 * label + np.arange(80) % 20
        )
    alone = fitted((X, None), n_clusters=10)
    model = lq.ConsensusClusterer(10, random_state=0).fit(
        X, partitions=alone.partitions_, groups=groups
    )
    # Sizes have changed, and with them the order of the categories.
    places = np.array(
        [np.unique(model.labels_[(alone.labels_ == k) & (groups < 0)]) for k in range(10)]
    )
    np.testing.assert_array_equal(np.sort(places[:, 0]), range(10))
    assert (np.diff(np.bincount(model.labels_)) <= 0).all()
    shares = alone.outcome_.categories.shares_of(slice(None))
    n_moved = 0
    for group in np.unique(groups[groups >= 0]):
        members = np.flatnonzero(groups == group)
        before = np.unique(alone.labels_[members])
        sums = shares[members].sum(axis=0, dtype=np.float64)
        np.testing.assert_array_equal(
            model.labels_[members], places[before[sums[before].argmax()], 0]
        )
        np.testing.assert_allclose(model.confidence_[members], sums[before].max() / 4, rtol=1e-5)
        n_moved += len(before) > 1
    assert n_moved > 5
    right = lq.clustering_accuracy(classes[groups >= 0], model.labels_[groups >= 0])
    assert right > lq.clustering_accuracy(classes[groups >= 0], alone.labels_[groups >= 0])
    # A group of one sample is that sample.
    singles = lq.ConsensusClusterer(10, random_state=0).fit(
        X, partitions=alone.partitions_, groups=np.arange(len(X))
    )
    np.testing.assert_array_equal(singles.labels_, alone.labels_)
    np.testing.assert_allclose(singles.confidence_, alone.confidence_, rtol=1e-6)
    np.testing.assert_allclose(singles.predict_proba(X[:9]), alone.predict_proba(X[:9]), rtol=1e-4)


def test_a_known_label_is_that_of_its_whole_group(blobs):
    X, classes = blobs
    y = np.full(len(X), None, dtype=object)
    y[np.flatnonzero(classes == 2)[:5]] = "two"
    first, other = np.flatnonzero(classes == 2)[0], np.flatnonzero(classes == 4)[0]
    groups = np.full(len(X), None, dtype=object)
    groups[[first, other]] = "thread 1"
    model = lq.ConsensusClusterer(5, random_state=0).fit(X, y, groups=groups)
    assert model.labels_[other] == "two"
    assert (model.labels_[(classes == 4) & (np.arange(len(X)) != other)] != "two").all()
    y[other] = "four"
    with pytest.raises(
        ValueError, match=f"got 'two' for sample {first} and 'four' for sample {other}"
    ):
        lq.ConsensusClusterer(5, random_state=0).fit(X, y, groups=groups)


def test_a_new_category_that_groups_empty_is_left_out():
    X, partition = np.arange(40.0)[:, None], np.repeat([0, 1, 2], [20, 18, 2])
    groups = np.full(40, -1)
    groups[:20] = groups[38:] = 0
    with pytest.warns(UserWarning, match="tell only 2 groups apart"):
        model = lq.ConsensusClusterer(3).fit(X, partitions=partition[:, None], groups=groups)
    np.testing.assert_array_equal(model.labels_, np.repeat([0, 1, 0], [20, 18, 2]))
    assert model.n_clusters_ == 2
    np.testing.assert_allclose(
        model.outcome_.categories.shares_of(slice(None)).sum(axis=1), 1, rtol=1e-6
    )


def test_who_shared_with_an_emptied_category_alone_shares_with_all_alike():
    scores = np.array([[0, 0, 1], [0.5, 0.2, 0.3], [0, 0, 1], [0.8, 0.2, 0]], dtype=np.float32)
    clusters = Categories(scores, np.array([0, 1, 2, 3]), np.array([0, 0, 1, 1], dtype=np.int32))
    kept = _without_empty(clusters, n_known=0)
    np.testing.assert_allclose(kept.scores, [[0.5, 0.5], [5 / 7, 2 / 7], [0.5, 0.5], [0.8, 0.2]])
    np.testing.assert_array_equal(kept.numbers, [0, 0, 1, 1])


def test_groups_of_samples_without_votes_have_no_label():
    partition = np.repeat([0, 1, -1], 10)
    groups = np.where(partition < 0, 0, -1)
    model = lq.ConsensusClusterer(2).fit(
        np.arange(30.0)[:, None], partitions=partition[:, None], groups=groups
    )
    np.testing.assert_array_equal(model.labels_, partition)
    np.testing.assert_array_equal(model.confidence_[20:], 0.5)
    explanation = model.explain(25)
    assert explanation.category is None
    assert explanation.seed is None
    assert "no partition has a vote for it" in repr(explanation)
    assert model.category_table_["size"].tolist() == [10, 10]


@pytest.mark.parametrize(
    "groups, error, message",
    [
        ([0, 1], ValueError, "groups must have 600 values, one per sample, got 2"),
        (np.zeros(600), TypeError, r"groups must hold integers, got floats \(float64\)"),
        (np.zeros((600, 2), dtype=int), ValueError, r"groups must be.* got shape \(600, 2\)"),
    ],
)
def test_bad_groups_are_named(blobs, groups, error, message):
    with pytest.raises(error, match=message):
        lq.ConsensusClusterer(5, random_state=0).fit(blobs[0], groups=groups)


@pytest.mark.parametrize("names", [None, ["billing", "login"]])
def test_last_weeks_labels_as_y_keep_their_numbers_and_names(blobs, names):
    X, classes = blobs
    last = classes < 4
    y = None
    if names is not None:
        y = np.full(last.sum(), None, dtype=object)
        for label, name in enumerate(names):
            y[np.flatnonzero(classes[last] == label)[:20]] = name
    old = lq.ConsensusClusterer(4, random_state=0).fit(X[last], y)
    # This week: the same samples and some more, of which a part is of a new category.
    labels = np.full(len(X), -1 if names is None else None, dtype=object)
    labels[last] = old.labels_
    new = lq.ConsensusClusterer(5, random_state=0).fit(X, labels)
    np.testing.assert_array_equal(new.labels_[last], old.labels_)
    np.testing.assert_array_equal(new.classes_[:4], np.sort(old.classes_))
    assert set(new.labels_[~last]) == {4 if names is None else "new 2"}
    # And samples that were not there last week, of categories that were.
    half = last & (np.arange(len(X)) % 2 == 0)
    labels[last & ~half] = -1 if names is None else None
    fewer = lq.ConsensusClusterer(5, random_state=0).fit(X, labels)
    np.testing.assert_array_equal(fewer.labels_, new.labels_)


def test_the_table_of_categories(blobs):
    X, classes = blobs
    y = np.full(len(X), None, dtype=object)
    y[np.flatnonzero(classes == 0)[:9]] = "a"
    y[np.flatnonzero(classes == 1)[:8]] = "b"
    wrong = np.flatnonzero(classes == 3)[0]
    y[wrong] = "b"
    model = fitted(blobs, y)
    table = model.category_table_
    assert table.index.tolist() == model.classes_.tolist() == ["a", "b", "new 0", "new 1", "new 2"]
    assert table["known"].tolist() == [True, True, False, False, False]
    assert table["n_labeled"].tolist() == [9, 9, 0, 0, 0]
    assert table["n_suspect"].tolist() == [0, 1, 0, 0, 0]
    assert table["share"].sum() == pytest.approx(1)
    shares = model.outcome_.categories.shares_of(slice(None)).astype(np.float64)
    for k, name in enumerate(table.index):
        row, members = table.loc[name], model.labels_ == name
        assert row["size"] == members.sum()
        assert row["confidence"] == pytest.approx(model.confidence_[members].mean(), rel=1e-5)
        others = shares[members].mean(axis=0)
        others[k] = -1
        assert row["nearest"] == model.classes_[others.argmax()]
        assert row["nearest_share"] == pytest.approx(others.max(), rel=1e-5)


def test_the_table_of_one_category_has_no_nearest(blobs):
    table = fitted(blobs, n_clusters=1).category_table_
    assert table["nearest"].tolist() == [None]
    assert table["nearest_share"].isna().all()


def test_the_table_needs_pandas_and_a_fit(blobs, monkeypatch):
    assert not hasattr(lq.ConsensusClusterer(), "category_table_")
    model = fitted(blobs)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="category_table_ needs pandas: pip install pandas"):
        model.category_table_  # noqa: B018


def naive_explanation(model, i):
    """What each partition says of a sample, by loops over all samples."""
    partitions, names = model.partitions_, model.labels_.tolist()
    agreements, said = np.zeros(len(partitions), dtype=int), []
    for column in partitions.T:
        others = [j for j in range(len(column)) if j != i and column[j] == column[i] >= 0]
        agreements[others] += 1
        if column[i] < 0:
            said.append((-1, 0, None, None))
            continue
        counts = Counter(names[j] for j in others)
        most = max(counts.values(), default=0)
        share = counts[names[i]] / len(others) if others else None
        majority = None
        if most:
            majority = names[i] if counts[names[i]] == most else None
            majority = majority or min(n for n in model.classes_.tolist() if counts[n] == most)
        said.append((column[i], len(others) + 1, share, majority))
    return said, agreements


def test_an_explanation_says_what_each_partition_says():
    X, classes = load_digits(return_X_y=True)
    X, classes = X[:400], classes[:400]
    y = np.full(400, None, dtype=object)
    y[:120] = [f"digit {label}" for label in classes[:120]]
    y[7] = "digit 2"
    partitions = lq.base_partitions(X, 10, n_partitions=12, random_state=0)
    partitions[::9, 3] = -1
    partitions[40, 5] = 1000  # a cluster of its own
    model = lq.ConsensusClusterer(10, random_state=0).fit(X, y, partitions=partitions)
    for i in (0, 7, 9, 40, 399):
        found = model.explain(i)
        said, agreements = naive_explanation(model, i)
        assert found.category == model.labels_[i]
        assert found.confidence == model.confidence_[i]
        assert found.known_label == y[i]
        assert found.is_suspect == (i in model.suspect_labels_)
        assert found.is_pseudo_label == (model.pseudo_labels_[i] is not None)
        np.testing.assert_array_equal(found.clusters, [row[0] for row in said])
        np.testing.assert_array_equal(found.cluster_sizes, [row[1] for row in said])
        for of_cluster, row in zip(found.cluster_shares, said, strict=True):
            assert np.isnan(of_cluster) if row[2] is None else of_cluster == pytest.approx(row[2])
        assert found.majorities.tolist() == [row[3] for row in said]
        assert found.n_for == sum(row[3] == found.category for row in said)
        assert found.n_for + found.n_against == sum(row[3] is not None for row in said)
        others = sorted(range(400), key=lambda j: (-agreements[j], j))[:10]
        np.testing.assert_array_equal(found.neighbors, others)
        np.testing.assert_array_equal(found.neighbor_agreements, agreements[others])
        np.testing.assert_array_equal(found.neighbor_categories, model.labels_[others])
        members = np.flatnonzero(model.labels_ == found.category)
        assert found.seed == members[model.confidence_[members].argmax()]
        assert found.runner_up != found.category
        assert found.runner_up_share <= found.confidence or found.is_suspect
    assert model.explain(7).is_suspect
    text = str(model.explain(7))
    assert text.startswith("Sample 7: digit 2, confidence 0.")
    assert "Known as digit 2, against which the partitions speak." in text
    assert len(text.splitlines()) == 6 + 12
    with pytest.raises(AttributeError):
        model.explain(7).category = "digit 7"


def test_an_explanation_names_the_group_of_a_sample(blobs):
    groups = np.full(600, -1)
    groups[[5, 17, 99]] = 4
    model = lq.ConsensusClusterer(5, random_state=0).fit(blobs[0], groups=groups)
    assert model.explain(17).group.tolist() == [5, 17, 99]
    assert "Votes as one with 2 other samples." in repr(model.explain(17))
    assert not len(model.explain(18).group)


@pytest.mark.parametrize(
    "i, error", [(600, ValueError), (-1, ValueError), (1.0, TypeError), ("1", TypeError)]
)
def test_samples_that_cannot_be_explained_are_named(blobs, i, error):
    with pytest.raises(error, match=r"i must be an integer from 0 to 599 \(a training sample\)"):
        fitted(blobs).explain(i)


def test_what_is_new_in_new_samples_is_found():
    X, classes = load_digits(return_X_y=True)
    is_old = (classes < 8) & (np.arange(len(X)) % 3 > 0)
    model = lq.ConsensusClusterer(8, n_partitions=8, random_state=0).fit(X[is_old])
    new, is_new = X[~is_old], classes[~is_old] >= 8
    found = model.novelty(new)
    assert roc_auc_score(is_new, found.scores) > 0.97
    assert (found.scores[~is_new] >= 0.95).mean() < 0.08
    assert 0.3 < found.share_at_least < found.share < is_new.mean()
    in_group = found.groups >= 0
    assert is_new[in_group].mean() > 0.98
    assert in_group[is_new].mean() > 0.9
    for group in range(found.n_groups):  # each is of one digit
        digits = classes[~is_old][found.groups == group]
        assert len(digits) >= model.min_cluster_size
        assert np.bincount(digits).max() > 0.8 * len(digits)
    text = repr(found)
    assert text.startswith(f"{found.share:.1%} of {len(new)} new samples are novel (at least ")
    assert len(text.splitlines()) == 1 + found.n_groups
    again = model.set_params(n_jobs=3).novelty(new)
    np.testing.assert_array_equal(again.scores, found.scores)
    np.testing.assert_array_equal(again.groups, found.groups)


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_new_in_samples_like_the_training_data(seed):
    X, _ = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(X))
    model = lq.ConsensusClusterer(10, n_partitions=4, random_state=0).fit(X[order[:1200]])
    found = model.novelty(X[order[1200:]])
    assert found.share < 0.02
    assert found.n_groups == 0
    # Scores mean what they say: above 1 - a with a chance of a.
    for a in (0.05, 0.2, 0.5, 0.8):
        assert abs((found.scores >= 1 - a).mean() - a) < 0.06


def test_scores_of_novelty_are_shares_of_training_samples_that_are_nearer(blobs):
    X = blobs[0][:60]
    model = lq.ConsensusClusterer(3, n_partitions=4, random_state=0).fit(X)
    new = np.concatenate([blobs[0][60:80], [[50.0] * 6]])
    between = np.linalg.norm(X[:, None] - X, axis=2)
    np.fill_diagonal(between, np.inf)
    usual = np.sort(between, axis=1)[:, :5].mean(axis=1)
    distances = np.sort(np.linalg.norm(new[:, None] - X, axis=2), axis=1)[:, :5].mean(axis=1)
    nearer = [(usual < distance).sum() for distance in distances]
    found = model.novelty(new)
    np.testing.assert_allclose(found.scores, np.array(nearer) / 61)
    assert found.scores[-1] == 60 / 61
    n_counted = (found.scores >= 0.95).sum()
    assert found.share == pytest.approx(max(0, (n_counted / 21 - 0.05) / 0.95))
    assert model.novelty(new, level=0.2).share == pytest.approx(
        max(0, ((found.scores >= 0.8).mean() - 0.2) / 0.8)
    )


@pytest.mark.parametrize("n_training, n_new", [(60, 300), (400, 100)])
def test_the_bound_of_the_novel_share_holds(n_training, n_new):
    rng = np.random.default_rng(0)
    n_draws, n_novel = 400, n_new // 5
    above = {0: 0, n_novel: 0}
    for _ in range(n_draws):
        for n in above:
            rows = rng.normal(size=(n_training + n_new, 2)).astype(np.float32)
            rows[n_training : n_training + n] += 9
            found = novelty(
                rows[:n_training],
                rows[n_training:],
                level=0.05,
                min_group_size=n_new + 1,
                n_threads=1,
            )
            above[n] += found.share_at_least > n / n_new
    assert max(above.values()) <= 0.05 * n_draws


def test_groups_that_emerge_by_chance_are_rare():
    rng = np.random.default_rng(0)
    n_alarms = 0
    for _ in range(60):
        rows = rng.integers(0, 30, size=(250, 2)).astype(np.float32)  # with duplicates
        found = novelty(rows[:150], rows[150:], level=0.05, min_group_size=3, n_threads=1)
        n_alarms += found.n_groups > 0
    assert n_alarms <= 5


def test_a_category_that_none_of_its_samples_gives_away_emerges_as_a_group():
    """A new category between those of the training data, as dense as they are."""
    rng = np.random.default_rng(0)
    wide = rng.uniform(-1, 1, size=(4000, 2))
    model = lq.ConsensusClusterer(4, n_partitions=4, random_state=0).fit(wide)
    new = np.concatenate([rng.uniform(-1, 1, size=(300, 2)), rng.normal(0, 0.01, size=(40, 2))])
    found = model.novelty(new)
    assert found.scores[300:].max() < 0.9
    assert found.n_groups == 1
    assert (found.groups[300:] == 0).all()
    assert (found.groups[:300] == 0).sum() < 5
    # Too small for a category.
    assert model.set_params(min_cluster_size=60).novelty(new).n_groups == 0
    assert model.set_params(min_cluster_size=400).novelty(new).n_groups == 0


def test_one_new_sample_and_few_training_samples_are_enough():
    model = lq.ConsensusClusterer(1, n_partitions=4, random_state=0).fit([[0.0], [1.0], [3.0]])
    found = model.novelty([[9.0]])
    np.testing.assert_array_equal(found.scores, [0.75])
    assert (found.share, found.n_groups) == (0, 0)
    far = model.set_params(min_cluster_size=1).novelty([[1e30], [0.0]])
    np.testing.assert_array_equal(far.scores, [0.75, 0])


@pytest.mark.parametrize(
    "X, level, error, message",
    [
        ([[0.0] * 5], 0.05, ValueError, "X has 5 features"),
        ([[np.nan] * 6], 0.05, ValueError, "NaN"),
        ([[0.0] * 6], 0, ValueError, r"level must be a number in \(0, 1\], got 0"),
        ([[0.0] * 6], 1, ValueError, "level is 1"),
        ([[0.0] * 6], "5 %", TypeError, r"level must be a number in \(0, 1\], got '5 %' \(str\)"),
    ],
)
def test_bad_arguments_of_novelty_are_named(blobs, X, level, error, message):
    with pytest.raises(error, match=message):
        fitted(blobs, n_partitions=4).novelty(X, level=level)


@pytest.mark.filterwarnings("ignore:n_clusters is ., the partitions tell only")
@pytest.mark.filterwarnings("ignore:n_clusters is ., y holds")
@share(0.3)
@given(st.data())
def test_groups_known_labels_and_abstentions_go_together(data):
    n = data.draw(st.integers(3, 14))
    shape = (n, data.draw(st.integers(1, 4)))
    partitions = data.draw(arrays(np.int8, shape, elements=st.integers(-1, 2)))
    partitions[0, 0] = 0
    y = data.draw(arrays(np.int64, n, elements=st.sampled_from([-1, -1, -1, 5, 6])))
    groups = data.draw(arrays(np.int64, n, elements=st.integers(-1, 3)))
    model = lq.ConsensusClusterer(data.draw(st.integers(1, 3)), min_cluster_size=1)
    known = {g: set(y[(groups == g) & (y >= 0)].tolist()) for g in range(4)}
    if any(len(labels) > 1 for labels in known.values()):
        with pytest.raises(ValueError, match="samples of one group must have the same label"):
            model.fit(np.zeros((n, 1)), y, partitions=partitions, groups=groups)
        return
    model.fit(np.zeros((n, 1)), y, partitions=partitions, groups=groups)
    np.testing.assert_array_equal(model.labels_[y >= 0], y[y >= 0])
    for g, labels in known.items():
        found = np.unique(model.labels_[groups == g])
        assert len(found) <= 1
        assert len(np.unique(model.confidence_[groups == g])) <= 1
        assert not labels or found.tolist() == list(labels)
    np.testing.assert_array_equal(model.cut(model.n_clusters), model.labels_)
    table = model.category_table_
    sizes = [(model.labels_ == label).sum() for label in model.classes_]
    np.testing.assert_array_equal(table["size"], sizes)
    assert min(sizes) > 0
    assert table["n_labeled"].sum() == (y >= 0).sum()
    np.testing.assert_allclose(
        model.outcome_.categories.shares_of(slice(None)).sum(axis=1), 1, rtol=1e-5
    )
    for i in range(n):
        explanation = model.explain(i)
        label = -1 if explanation.category is None else explanation.category
        assert label == model.labels_[i]
        assert repr(explanation).startswith(f"Sample {i}: ")


def test_without_discovery_new_categories_are_explained_and_counted(blobs):
    X, classes = blobs
    y = np.where((classes < 2) & (np.arange(len(X)) % 10 == 0), classes, -1)
    model = fitted(blobs, y, discover=False)
    i = int(np.flatnonzero(classes == 3)[0])
    assert model.labels_[i] == -1
    assert model.explain(i).category in (2, 3, 4)
    assert not model.explain(i).is_pseudo_label
    assert model.category_table_["size"].sum() == len(X)
    np.testing.assert_array_equal(model.cut(5), model.labels_)
