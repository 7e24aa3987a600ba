"""KNNLabelPropagation: votes against a naive count, and whether the validation is honest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils.estimator_checks import check_classifiers_classes, parametrize_with_checks

import labelquorum as lq
from labelquorum.semi_supervised.knn_label_propagation import wilson_interval
from strategies import share

# This check uses -1 as a class. scikit-learn skips it for its own semi-supervised estimators.
MINUS_ONE = {"check_classifiers_classes": "-1 means no label"}


@pytest.mark.slow
@parametrize_with_checks(
    [lq.KNNLabelPropagation()], expected_failed_checks=lambda estimator: MINUS_ONE
)
@pytest.mark.filterwarnings("ignore:.*only one labeled sample:UserWarning")
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_the_check_of_classes_for_semi_supervised_estimators_passes():
    check_classifiers_classes("LabelSpreading", lq.KNNLabelPropagation())


def naive_vote(distances, codes, n_classes, weights):
    votes, distance_sums = np.zeros(n_classes), np.zeros(n_classes)
    for distance, code in zip(distances, codes, strict=True):
        if weights == "uniform":
            votes[code] += 1
        elif distances[0] == 0:
            votes[code] += distance == 0
        else:
            votes[code] += distances[0] / distance
        distance_sums[code] += distance
    best = min(range(n_classes), key=lambda c: (-round(votes[c], 9), distance_sums[c], c))
    return best, votes / votes.sum()


@given(
    seed=st.integers(0, 2**32 - 1),
    metric=st.sampled_from(["euclidean", "cosine"]),
    weights=st.sampled_from(["uniform", "distance"]),
    n_classes=st.integers(1, 5),
    grid=st.booleans(),
)
@share(0.5)
@pytest.mark.filterwarnings("ignore:.*only one labeled sample:UserWarning")
def test_votes_equal_the_naive_count(seed, metric, weights, n_classes, grid):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(6, 40))
    X = rng.integers(1, 5, size=(n, 2)).astype(float) if grid else rng.normal(size=(n, 3))
    y = rng.integers(n_classes, size=n)
    known = rng.random(n) < 0.6
    known[:2] = True
    k = int(rng.integers(1, known.sum() + 1))
    model = lq.KNNLabelPropagation(k, metric=metric, weights=weights, random_state=0)
    model.fit(X, np.where(known, y, -1))
    if known.all():
        return
    # Equal samples with equal labels have one vote.
    pairs = np.column_stack([X, y])[known]
    voters = np.flatnonzero(known)[np.sort(np.unique(pairs, axis=0, return_index=True)[1])]
    distances, indices = lq.kneighbors(X[voters], min(k, len(voters)), metric=metric, Y=X[~known])
    codes = np.searchsorted(model.classes_, y)
    for i, sample in enumerate(np.flatnonzero(~known)):
        nearest = voters[indices[i]]
        best, shares = naive_vote(distances[i], codes[nearest], len(model.classes_), weights)
        if distances[i, 0] == 0:  # the labels of the samples there count
            equal = known & (X[nearest[0]] == X).all(axis=1)
            shares = np.bincount(codes[equal], minlength=len(shares)) / equal.sum()
            best = shares.argmax()
        np.testing.assert_allclose(model.label_distributions_[sample], shares, atol=1e-12)
        assert model.transduction_[sample] == model.classes_[best]
    np.testing.assert_array_equal(model.transduction_[known], y[known])
    np.testing.assert_array_equal(model.confidence_[known], 1)
    np.testing.assert_array_equal(model.predict(X[~known]), model.transduction_[~known])


def test_copies_neither_outvote_others_nor_validate_each_other():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    y = rng.integers(2, size=60)  # noise, so that nothing can be learned
    plain = lq.KNNLabelPropagation(random_state=0).fit(X, y)
    repeated = lq.KNNLabelPropagation(random_state=0).fit(np.repeat(X, 8, axis=0), np.repeat(y, 8))
    assert repeated.validation_["accuracy"] == plain.validation_["accuracy"] < 0.7
    assert repeated.cv_results_ == plain.cv_results_
    np.testing.assert_array_equal(repeated.predict(X + 0.1), plain.predict(X + 0.1))


def partly_labeled_digits(n_labeled, seed=0):
    """Return features, labels of some samples, and the classes of all."""
    X, truth = load_digits(return_X_y=True)
    y = np.full(len(truth), -1)
    known = np.random.default_rng(seed).choice(len(truth), n_labeled, replace=False)
    y[known] = truth[known]
    return X, y, truth


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_one_neighbor_gives_the_labels_of_scikit_learn(weights):
    X, y, _ = partly_labeled_digits(300)
    known = y >= 0
    theirs = KNeighborsClassifier(1, weights=weights).fit(X[known], y[known])
    ours = lq.KNNLabelPropagation(1, metric="euclidean", weights=weights).fit(X, y)
    np.testing.assert_array_equal(ours.transduction_[~known], theirs.predict(X[~known]))


@pytest.mark.slow
def test_the_interval_contains_the_accuracy_on_unlabeled_samples():
    inside = 0
    for seed in range(20):
        X, y, truth = partly_labeled_digits(200, seed)
        model = lq.KNNLabelPropagation(random_state=seed).fit(X, y)
        low, high = model.validation_["interval"]
        inside += low <= (model.transduction_ == truth)[y == -1].mean() <= high
    # Less than 95 %: accuracies vary, too, and folds have fewer labels to learn from.
    assert inside >= 14


def test_random_labels_have_the_accuracy_of_chance():
    """The choice among settings must not make the reported accuracy look better."""
    accuracies, best_accuracies = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        model = lq.KNNLabelPropagation(random_state=seed)
        model.fit(rng.normal(size=(60, 4)), rng.permutation(np.repeat([0, 1], 30)))
        accuracies.append(model.validation_["accuracy"])
        best_accuracies.append(max(model.cv_results_["accuracy"]))
    assert abs(np.mean(accuracies) - 0.5) < 0.05
    assert np.mean(best_accuracies) > np.mean(accuracies) + 0.03, "the best setting looks better"


def test_the_better_metric_and_number_of_neighbors_are_chosen():
    rng = np.random.default_rng(1)
    angles = rng.choice([0.2, 1.2], 400)
    X = np.exp(rng.normal(0, 2, (400, 1))) * np.column_stack([np.cos(angles), np.sin(angles)])
    X *= np.exp(rng.normal(0, 0.02, X.shape))
    model = lq.KNNLabelPropagation(random_state=0).fit(X, (angles > 1).astype(int))
    assert model.metric_ == "cosine"
    noisy = rng.normal(size=(600, 1))
    labels = (rng.random(600) < np.where(noisy[:, 0] > 0, 0.8, 0.2)).astype(int)
    assert lq.KNNLabelPropagation(random_state=0).fit(noisy, labels).n_neighbors_ >= 10
    assert len(model.cv_results_["accuracy"]) == 6 * 2 * 2


def test_samples_below_min_confidence_get_no_label():
    X, y, truth = partly_labeled_digits(200)
    options = {"n_neighbors": 10, "metric": "euclidean", "weights": "uniform", "random_state": 0}
    without_limit = lq.KNNLabelPropagation(**options).fit(X, y)
    strict = lq.KNNLabelPropagation(**options, min_confidence=0.8).fit(X, y)
    sure = without_limit.confidence_ >= 0.8
    np.testing.assert_array_equal(
        strict.transduction_, np.where(sure, without_limit.transduction_, -1)
    )
    np.testing.assert_array_equal(
        strict.predict(X[:50]) == -1, without_limit.predict_proba(X[:50]).max(1) < 0.8
    )
    assert strict.validation_["accuracy"] > without_limit.validation_["accuracy"]
    assert strict.validation_["coverage"] < without_limit.validation_["coverage"] == 1
    unlabeled = y == -1
    assert abs(strict.validation_["coverage"] - sure[unlabeled].mean()) < 0.12
    assert (strict.transduction_ == truth)[unlabeled & sure].mean() > 0.95


def test_the_numbers_of_classes_add_up_to_those_of_all_samples():
    X, y, _ = partly_labeled_digits(300)
    model = lq.KNNLabelPropagation(5, metric="cosine", weights="uniform", random_state=0).fit(X, y)
    validation = model.validation_
    np.testing.assert_array_equal(validation["support"], np.bincount(y[y >= 0]))
    assert validation["n_samples"] == 300
    n_right = (validation["recall"] * validation["support"]).sum()
    np.testing.assert_allclose(n_right / 300, validation["accuracy"])
    assert model.cv_results_["accuracy"] == [pytest.approx(validation["accuracy"])]


@pytest.mark.parametrize(
    ("n_right", "n", "expected"),
    [(0, 10, (0.0, 0.2775)), (10, 10, (0.7225, 1.0)), (81, 263, (0.2553, 0.3662))],
)
def test_wilson_intervals_are_the_published_ones(n_right, n, expected):
    np.testing.assert_allclose(wilson_interval(n_right, n), expected, atol=1e-4)


def test_a_class_with_one_label_causes_a_warning():
    with pytest.warns(UserWarning, match="1 of 2 classes have only one labeled sample"):
        lq.KNNLabelPropagation().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, -1])


def test_with_one_label_there_is_nothing_to_validate():
    model = lq.KNNLabelPropagation().fit([[0.0], [1.0], [2.0]], ["a", None, None])
    assert model.transduction_.tolist() == ["a", "a", "a"]
    assert np.isnan(model.validation_["accuracy"])
    assert model.validation_["interval"] == (0.0, 1.0)


@pytest.mark.filterwarnings("ignore:.*only one labeled sample:UserWarning")
def test_the_order_of_samples_does_not_change_the_labels():
    rng = np.random.default_rng(2)
    X, y = rng.normal(size=(80, 3)), rng.integers(4, size=80)
    y[40:] = -1
    options = {"n_neighbors": 4, "metric": "euclidean", "weights": "uniform"}  # many ties
    expected = lq.KNNLabelPropagation(**options).fit(X, y).transduction_
    for _ in range(5):
        order = rng.permutation(80)
        model = lq.KNNLabelPropagation(**options).fit(X[order], y[order])
        np.testing.assert_array_equal(model.transduction_, expected[order])


@pytest.mark.parametrize(
    ("error", "message", "options", "y"),
    [
        (
            ValueError,
            "n_neighbors must be from 1 to 3, .*, got 4",
            {"n_neighbors": 4},
            [0, 1, 1, -1],
        ),
        (ValueError, "n_neighbors must be .*, got 0", {"n_neighbors": 0}, [0, 1, 1, -1]),
        (ValueError, "metric must be .*, got 'l1'", {"metric": "l1"}, [0, 1, 1, -1]),
        (
            ValueError,
            "weights must be .*, got 'heat'",
            {"weights": ["uniform", "heat"]},
            [0, 1, 1, -1],
        ),
        (ValueError, "cv must be at least 2, got 1", {"cv": 1}, [0, 1, 1, -1]),
        (ValueError, "min_confidence must be .*, got -1", {"min_confidence": -1}, [0, 1, 1, -1]),
        (ValueError, "y must hold at least one label", {}, [-1, -1, -1, -1]),
        (ValueError, r"y must have shape .*, got \(4, 2\)", {}, np.eye(4, 2)),
    ],
)
def test_bad_arguments_are_refused_by_name(error, message, options, y):
    with pytest.raises(error, match=message):
        lq.KNNLabelPropagation(**options).fit([[0.0], [1.0], [2.0], [3.0]], y)
