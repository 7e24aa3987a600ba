"""Curves: what stands in the axes."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, make_blobs
from sklearn.exceptions import NotFittedError

import labelquorum as lq

pytestmark = pytest.mark.usefixtures("no_window")


@pytest.fixture
def fitted():
    X, classes = make_blobs(150, 4, centers=3, cluster_std=2.5, random_state=0)
    y = np.full(150, None, dtype=object)
    y[np.flatnonzero(classes == 1)[:10]] = "one"
    model = lq.ConsensusClusterer(3, n_partitions=8, random_state=0).fit(X, y)
    return model, np.array(["zero", "one", "two"])[classes], y


def test_precision_is_that_of_the_surest_labels():
    rng = np.random.default_rng(0)
    y_true = rng.integers(-1, 3, 400)
    y_pred = np.where(rng.random(400) < 0.8, (y_true + 1) % 3, rng.integers(-1, 3, 400))
    confidence = rng.integers(0, 6, 400) / 5
    display = lq.CoveragePrecisionDisplay.from_predictions(y_true, y_pred, confidence)
    right = (y_pred >= 0) & (y_pred == (y_true + 1) % 3)
    known = y_true >= 0
    assert display.threshold.tolist() == [1.0, 0.8, 0.6, 0.4, 0.2, 0.0]
    for i, threshold in enumerate(display.threshold):
        kept = known & (y_pred >= 0) & (confidence >= threshold)
        assert display.coverage[i] == pytest.approx(kept.sum() / known.sum())
        assert display.precision[i] == pytest.approx(right[kept].mean())
        assert display.confidence[i] == pytest.approx(confidence[kept].mean())
    np.testing.assert_array_equal(display.line_.get_ydata(), display.precision)


def test_what_fit_knew_does_not_count_and_known_categories_keep_their_names(fitted):
    model, truth, y = fitted
    display = lq.CoveragePrecisionDisplay.from_estimator(model, truth)
    unknown = y == None  # noqa: E711
    classes = {"one": "one"}  # the others are matched
    rest = unknown & (model.labels_ != "one") & (truth != "one")
    pairs = [("zero", "two"), ("two", "zero")]
    best = max(
        pairs,
        key=lambda p: sum(
            np.sum(rest & (model.labels_ == f"new {i}") & (truth == name))
            for i, name in enumerate(p)
        ),
    )
    classes |= {f"new {i}": name for i, name in enumerate(best)}
    right = np.array([classes[label] for label in model.labels_]) == truth
    assert display.precision[-1] == pytest.approx(right[unknown].mean())
    assert display.coverage[-1] == 1
    chosen = unknown & (model.pseudo_labels_ != None)  # noqa: E711
    assert display.in_use == pytest.approx((chosen.sum() / unknown.sum(), right[chosen].mean()))
    # A known category whose name is no true label is never right.
    renamed = np.where(truth == "one", "another", truth)
    of_known = unknown & (model.labels_ == "one")
    wrong = lq.CoveragePrecisionDisplay.from_estimator(model, renamed)
    assert wrong.precision[-1] == pytest.approx(right[unknown & ~of_known].sum() / unknown.sum())


def test_without_true_labels_there_is_no_precision(fitted):
    display = lq.CoveragePrecisionDisplay.from_estimator(fitted[0])
    assert display.precision is None
    assert display.ax_.get_ylabel() == "mean confidence"
    assert "precision" not in [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_a_curve_has_at_most_1000_points():
    n = 30_000
    confidence = np.arange(n) / n
    display = lq.CoveragePrecisionDisplay.from_predictions(
        np.ones(n, int), np.ones(n, int), confidence
    )
    assert len(display.coverage) == 1000
    assert display.coverage[-1] == 1
    np.testing.assert_allclose(np.diff(display.coverage), 1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["numbers", "strings"])
def test_a_learning_curve_is_that_of_answers_with_known_classes(kind):
    X, classes = load_digits(return_X_y=True)
    truth = classes if kind == "numbers" else np.array([f"class {c}" for c in classes], object)
    model = lq.PreClusteringSampler(random_state=0).fit(X)
    by_hand = lq.PreClusteringSampler(random_state=0).fit(X)
    display = lq.LearningCurveDisplay.from_estimator(model, truth, n_labels=25, name="ours")
    assert display.n_labels.tolist() == [10, 20, 25]
    for n, accuracy in zip((10, 10, 5), display.accuracy, strict=True):
        asked = by_hand.query(n)
        assert accuracy == (by_hand.teach(asked, truth[asked]).predict() == truth).mean()
    assert len(model.labeled_indices_) == 0  # the copy was taught
    np.testing.assert_array_equal(display.line_.get_ydata(), display.accuracy)
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["ours"]


def test_a_learning_curve_skips_what_is_unknown_and_starts_with_what_was_given():
    X, classes = make_blobs(60, 3, centers=3, random_state=0)
    y = np.where(np.arange(60) < 20, -1, classes)
    model = lq.PreClusteringSampler(random_state=0).fit(X, np.where(np.arange(60) < 50, -1, y))
    display = lq.LearningCurveDisplay.from_estimator(model, y, n_labels=100, batch_size=7)
    assert display.n_labels[0] == 10
    assert display.n_labels[-1] == 40
    assert (np.diff(display.n_labels) > 0).all()
    assert display.accuracy[0] == (model.predict() == classes)[20:].mean()
    assert display.accuracy[-1] == 1


def test_a_learning_curve_of_predictions_counts_what_is_called_by_its_name():
    figure = Figure()
    axes = figure.subplots()
    truth = ["a", "b", "b", None]
    display = lq.LearningCurveDisplay.from_predictions(
        truth, {20: ["a", "b", "c", "a"], 5: ["b", "b", None, "a"]}, ax=axes
    )
    assert display.n_labels.tolist() == [5, 20]
    np.testing.assert_allclose(display.accuracy, [1 / 3, 2 / 3])
    again = lq.LearningCurveDisplay.from_predictions([0, 1, -1], {5: [1, 1, 1]}, ax=axes)
    assert again.accuracy.tolist() == [0.5]
    assert list(axes.lines) == [display.line_, again.line_]
    assert display.line_.get_color() != again.line_.get_color()
    assert display.line_.get_marker() != again.line_.get_marker()


def test_a_history_shows_what_is_a_share_in_each_round():
    history = [
        {"round": 0, "coverage": 0.25, "agreement": 0.5, "is_complete": True, "loss": 2.5},
        {"round": 1, "coverage": 0.75, "agreement": 1.0, "is_complete": True, "loss": 0.5},
    ]
    display = lq.HistoryDisplay.from_history(history)
    assert {name: values.tolist() for name, values in display.shares.items()} == {
        "coverage": [0.25, 0.75],
        "agreement": [0.5, 1.0],
    }
    assert [line.get_ydata().tolist() for line in display.lines_] == [[0.25, 0.75], [0.5, 1.0]]
    assert display.ax_.get_xlabel() == "round"


def test_a_history_of_an_estimator(fitted):
    model, _, _ = fitted
    display = lq.HistoryDisplay.from_estimator(model)
    assert display.shares["coverage"].tolist() == [model.history_[0]["coverage"]]
    assert set(display.shares) == {"coverage", "confidence"}


@pytest.fixture(scope="module")
def sampler():
    return lq.PreClusteringSampler(random_state=0).fit(make_blobs(30, 2, random_state=0)[0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: lq.CoveragePrecisionDisplay.from_estimator(lq.ConsensusClusterer()),
            NotFittedError,
            "not fitted",
        ),
        (
            lambda: lq.CoveragePrecisionDisplay.from_predictions([0], [0, 1], [1]),
            ValueError,
            "y_pred holds 2 samples, y_true 1",
        ),
        (
            lambda: lq.CoveragePrecisionDisplay.from_predictions([-1], [0], [1]),
            ValueError,
            "y_true holds no label",
        ),
        (
            lambda: lq.CoveragePrecisionDisplay.from_predictions([0], [-1], [1]),
            ValueError,
            "no sample that counts has a label",
        ),
        (
            lambda: lq.CoveragePrecisionDisplay.from_predictions([0], [0], None),
            TypeError,
            "confidence must hold numbers, got dtype object",
        ),
        (
            lambda: lq.CoveragePrecisionDisplay.from_predictions([0], [0], [np.nan]),
            ValueError,
            "confidence must hold finite numbers of at least 0, got nan",
        ),
        (
            lambda: lq.LearningCurveDisplay.from_estimator(lq.PreClusteringSampler(), [0]),
            NotFittedError,
            "not fitted",
        ),
        (
            lambda: lq.LearningCurveDisplay.from_predictions([0], [[0]]),
            TypeError,
            "y_pred is .* wanted a dict",
        ),
        (
            lambda: lq.LearningCurveDisplay.from_predictions([0], {0: [0]}),
            ValueError,
            "a key of y_pred must be an integer of at least 1, got 0",
        ),
        (
            lambda: lq.LearningCurveDisplay.from_predictions([0], {5: [0, 1]}),
            ValueError,
            r"y_pred\[5\] holds 2 samples, y_true 1",
        ),
        (
            lambda: lq.LearningCurveDisplay.from_estimator(KMeans(2), [0]),
            TypeError,
            "estimator is a KMeans, which asks for no labels; wanted a PreClusteringSampler",
        ),
        (
            lambda: lq.HistoryDisplay.from_estimator(KMeans(2).fit([[0], [1]])),
            TypeError,
            "estimator is a KMeans, which has no rounds with a coverage",
        ),
        (lambda: lq.HistoryDisplay.from_history([]), ValueError, "0 rounds and no share"),
        (
            lambda: lq.HistoryDisplay.from_history([{"loss": 2.0}]),
            ValueError,
            "1 rounds and no share",
        ),
        (
            lambda: lq.HistoryDisplay.from_estimator(lq.ConsensusClusterer()),
            NotFittedError,
            "not fitted",
        ),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize(
    ("y", "options", "error", "message"),
    [
        ([0], {}, ValueError, "y holds 1 samples, the estimator was fitted on 30"),
        ([-1] * 30, {}, ValueError, "y holds no label"),
        ([0.5] * 30, {}, TypeError, r"y must hold integers, got floats \(float64\)"),
        ([0] * 30, {"n_labels": 0}, ValueError, "n_labels must be an integer of at least 1, got 0"),
        ([0] * 30, {"batch_size": 1.5}, TypeError, r"batch_size must be.* got 1\.5 \(float\)"),
    ],
)
def test_bad_arguments_of_a_learning_curve_are_named(sampler, y, options, error, message):
    with pytest.raises(error, match=message):
        lq.LearningCurveDisplay.from_estimator(sampler, y, **options)
