"""A simulated annotator answers a sampler's questions."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError

import labelquorum as lq


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["numbers", "strings"])
def test_questions_are_answered_with_the_known_classes(digits, kind):
    X, classes = digits
    truth = classes if kind == "numbers" else np.array([f"class {c}" for c in classes], object)
    model = lq.PreClusteringSampler(random_state=0).fit(X)
    by_hand = lq.PreClusteringSampler(random_state=0).fit(X)
    curve = lq.learning_curve(model, truth, n_labels=25)
    assert curve.n_labels.tolist() == [10, 20, 25]
    for n, accuracy in zip((10, 10, 5), curve.accuracy, strict=True):
        asked = by_hand.query(n)
        assert accuracy == (by_hand.teach(asked, truth[asked]).predict() == truth).mean()
    assert len(model.labeled_indices_) == 0  # a copy was taught


def test_unknown_classes_are_skipped_and_the_first_point_has_the_labels_given_before():
    X, classes = make_blobs(60, 3, centers=3, random_state=0)
    y = np.where(np.arange(60) < 20, -1, classes)
    model = lq.PreClusteringSampler(random_state=0).fit(X, np.where(np.arange(60) < 50, -1, y))
    curve = lq.learning_curve(model, y, n_labels=100, batch_size=7)
    assert curve.n_labels[0] == 10
    assert curve.n_labels[-1] == 40
    assert (np.diff(curve.n_labels) > 0).all()
    assert curve.accuracy[0] == (model.predict() == classes)[20:].mean()
    assert curve.accuracy[-1] == 1


@pytest.fixture(scope="module")
def sampler():
    return lq.PreClusteringSampler(random_state=0).fit(make_blobs(30, 2, random_state=0)[0])


def test_an_unfitted_or_other_estimator_is_refused():
    with pytest.raises(NotFittedError, match="not fitted"):
        lq.learning_curve(lq.PreClusteringSampler(), [0])
    with pytest.raises(TypeError, match=r"must be a PreClusteringSampler, .* got a KMeans"):
        lq.learning_curve(KMeans(2), [0])


@pytest.mark.parametrize(
    ("y", "options", "error", "message"),
    [
        ([0], {}, ValueError, "y has 1 values, but the estimator was fitted on 30"),
        ([-1] * 30, {}, ValueError, "y must hold at least one label"),
        ([0.5] * 30, {}, TypeError, "y must hold integers, got floats"),
        ([0] * 30, {"n_labels": 0}, ValueError, "n_labels must be an integer of at least 1, got 0"),
        (
            [0] * 30,
            {"batch_size": 1.5},
            TypeError,
            "batch_size must be an integer of at least 1, got 1.5",
        ),
    ],
)
def test_wrong_arguments_are_named(sampler, y, options, error, message):
    with pytest.raises(error, match=message):
        lq.learning_curve(sampler, y, **options)
