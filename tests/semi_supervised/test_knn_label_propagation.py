"""Votes equal a naive count, settings are chosen without leaks, and the validation is honest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils.estimator_checks import check_classifiers_classes, parametrize_with_checks

import labelquorum as lq
from labelquorum.semi_supervised.knn_label_propagation import _wilson
from strategies import share

# scikit-learn exempts its own estimators, by name, from taking -1 for a class.
MINUS_ONE = {"check_classifiers_classes": "-1 is no class but the lack of a label"}


@parametrize_with_checks(
    [lq.KNNLabelPropagation()], expected_failed_checks=lambda estimator: MINUS_ONE
)
@pytest.mark.filterwarnings("ignore:.*one labelled sample only:UserWarning")
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_the_check_of_classes_passes_in_the_form_for_semi_supervised_estimators():
    check_classifiers_classes("LabelSpreading", lq.KNNLabelPropagation())


def naive_vote(distances, codes, n_classes, weights):
    votes, far = np.zeros(n_classes), np.zeros(n_classes)
    for distance, code in zip(distances, codes, strict=True):
        if weights == "uniform":
            votes[code] += 1
        elif distances[0] == 0:
            votes[code] += distance == 0
        else:
            votes[code] += distances[0] / distance
        far[code] += distance
    best = min(range(n_classes), key=lambda c: (-round(votes[c], 9), far[c], c))
    return best, votes / votes.sum()


@given(
    seed=st.integers(0, 2**32 - 1),
    metric=st.sampled_from(["euclidean", "cosine"]),
    weights=st.sampled_from(["uniform", "distance"]),
    n_classes=st.integers(1, 5),
    grid=st.booleans(),
)
@share(0.5)
@pytest.mark.filterwarnings("ignore:.*one labelled sample only:UserWarning")
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
    distances, indices = lq.kneighbors(X[known], k, metric=metric, Y=X[~known])
    codes = np.searchsorted(model.classes_, y[known])[indices]
    for i, sample in enumerate(np.flatnonzero(~known)):
        best, shares = naive_vote(distances[i], codes[i], len(model.classes_), weights)
        np.testing.assert_allclose(model.label_distributions_[sample], shares, atol=1e-12)
        assert model.transduction_[sample] == model.classes_[best]
    np.testing.assert_array_equal(model.transduction_[known], y[known])
    np.testing.assert_array_equal(model.confidence_[known], 1)
    np.testing.assert_array_equal(model.predict(X[~known]), model.transduction_[~known])


def digits(n_labeled, seed=0):
    X, truth = load_digits(return_X_y=True)
    y = np.full(len(truth), -1)
    known = np.random.default_rng(seed).choice(len(truth), n_labeled, replace=False)
    y[known] = truth[known]
    return X, y, truth


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_one_neighbor_is_that_of_scikit_learn(weights):
    X, y, _ = digits(300)
    known = y >= 0
    theirs = KNeighborsClassifier(1, weights=weights).fit(X[known], y[known])
    ours = lq.KNNLabelPropagation(1, metric="euclidean", weights=weights).fit(X, y)
    np.testing.assert_array_equal(ours.transduction_[~known], theirs.predict(X[~known]))


def test_the_interval_holds_the_accuracy_on_the_unlabeled():
    inside = 0
    for seed in range(20):
        X, y, truth = digits(200, seed)
        model = lq.KNNLabelPropagation(random_state=seed).fit(X, y)
        low, high = model.validation_["interval"]
        inside += low <= (model.transduction_ == truth)[y == -1].mean() <= high
    # 95 %, less what the accuracies themselves vary and what fewer labels cost in the folds.
    assert inside >= 14


def test_labels_at_random_validate_as_such():
    """The choice among settings must not show in the accuracy that is reported."""
    accuracies, chosen = [], []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        model = lq.KNNLabelPropagation(random_state=seed)
        model.fit(rng.normal(size=(60, 4)), rng.permutation(np.repeat([0, 1], 30)))
        accuracies.append(model.validation_["accuracy"])
        chosen.append(max(model.cv_results_["accuracy"]))
    assert abs(np.mean(accuracies) - 0.5) < 0.05
    assert np.mean(chosen) > np.mean(accuracies) + 0.03, "the best of the settings looks better"


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


def test_a_low_confidence_gives_no_label():
    X, y, truth = digits(200)
    options = {"n_neighbors": 10, "metric": "euclidean", "weights": "uniform", "random_state": 0}
    free = lq.KNNLabelPropagation(**options).fit(X, y)
    strict = lq.KNNLabelPropagation(**options, min_confidence=0.8).fit(X, y)
    sure = free.confidence_ >= 0.8
    np.testing.assert_array_equal(strict.transduction_, np.where(sure, free.transduction_, -1))
    np.testing.assert_array_equal(
        strict.predict(X[:50]) == -1, free.predict_proba(X[:50]).max(1) < 0.8
    )
    assert strict.validation_["accuracy"] > free.validation_["accuracy"]
    assert strict.validation_["coverage"] < free.validation_["coverage"] == 1
    unlabeled = y == -1
    assert abs(strict.validation_["coverage"] - sure[unlabeled].mean()) < 0.12
    assert (strict.transduction_ == truth)[unlabeled & sure].mean() > 0.95


def test_the_figures_of_the_classes_are_those_of_the_validation():
    X, y, _ = digits(300)
    report = lq.KNNLabelPropagation(5, metric="cosine", weights="uniform", random_state=0).fit(X, y)
    found = report.validation_
    np.testing.assert_array_equal(found["support"], np.bincount(y[y >= 0]))
    assert found["n_samples"] == 300
    right = (found["recall"] * found["support"]).sum()
    np.testing.assert_allclose(right / 300, found["accuracy"])
    assert report.cv_results_["accuracy"] == [pytest.approx(found["accuracy"])]


@pytest.mark.parametrize(
    ("n_right", "n", "expected"),
    [(0, 10, (0.0, 0.2775)), (10, 10, (0.7225, 1.0)), (81, 263, (0.2553, 0.3662))],
)
def test_wilson_intervals_are_the_published_ones(n_right, n, expected):
    np.testing.assert_allclose(_wilson(n_right, n), expected, atol=1e-4)


def test_a_class_with_one_label_is_pointed_out():
    with pytest.warns(UserWarning, match="1 of 2 classes have one labelled sample only"):
        lq.KNNLabelPropagation().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, -1])


def test_one_label_labels_all_and_validates_nothing():
    model = lq.KNNLabelPropagation().fit([[0.0], [1.0], [2.0]], ["a", None, None])
    assert model.transduction_.tolist() == ["a", "a", "a"]
    assert np.isnan(model.validation_["accuracy"])
    assert model.validation_["interval"] == (0.0, 1.0)


@pytest.mark.filterwarnings("ignore:.*one labelled sample only:UserWarning")
def test_the_order_of_samples_does_not_matter():
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
        (ValueError, "n_neighbors is 4; wanted 1 to 3", {"n_neighbors": 4}, [0, 1, 1, -1]),
        (ValueError, "n_neighbors must be.* got 0", {"n_neighbors": 0}, [0, 1, 1, -1]),
        (ValueError, "metric must be.* got 'l1'", {"metric": "l1"}, [0, 1, 1, -1]),
        (
            ValueError,
            "weights must be.* got 'heat'",
            {"weights": ["uniform", "heat"]},
            [0, 1, 1, -1],
        ),
        (ValueError, "cv is 1", {"cv": 1}, [0, 1, 1, -1]),
        (ValueError, "min_confidence must be.* got -1", {"min_confidence": -1}, [0, 1, 1, -1]),
        (ValueError, "y must hold.* got -1 or None for every sample", {}, [-1, -1, -1, -1]),
        (ValueError, r"y must have shape \(n_samples,\), got \(4, 2\)", {}, np.eye(4, 2)),
    ],
)
def test_bad_arguments_are_named(error, message, options, y):
    with pytest.raises(error, match=message):
        lq.KNNLabelPropagation(**options).fit([[0.0], [1.0], [2.0], [3.0]], y)
