"""Displays of curves: what is in the axes."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
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


def test_precision_is_that_of_the_most_confident_labels():
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


def test_known_labels_do_not_count_and_known_categories_keep_their_names(fitted):
    model, truth, y = fitted
    display = lq.CoveragePrecisionDisplay.from_estimator(model, truth)
    unknown = y == None  # noqa: E711
    class_of = {"one": "one"}  # the others are matched
    rest = unknown & (model.labels_ != "one") & (truth != "one")
    pairs = [("zero", "two"), ("two", "zero")]
    best = max(
        pairs,
        key=lambda p: sum(
            np.sum(rest & (model.labels_ == f"new {i}") & (truth == name))
            for i, name in enumerate(p)
        ),
    )
    class_of |= {f"new {i}": name for i, name in enumerate(best)}
    right = np.array([class_of[label] for label in model.labels_]) == truth
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


def test_a_learning_curve_is_drawn_with_its_name():
    display = lq.LearningCurveDisplay(
        n_labels=np.array([10, 20]), accuracy=np.array([0.5, 0.75]), name="ours"
    )
    assert display.plot() is display
    assert display.line_.get_xdata().tolist() == [10, 20]
    assert display.line_.get_ydata().tolist() == [0.5, 0.75]
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["ours"]


def test_a_learning_curve_of_predictions_does_not_match_names():
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


def test_a_history_shows_values_that_are_a_share_in_each_round():
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


def test_a_history_comes_from_the_estimator(fitted):
    model, _, _ = fitted
    display = lq.HistoryDisplay.from_estimator(model)
    assert display.shares["coverage"].tolist() == [model.history_[0]["coverage"]]
    assert set(display.shares) == {"coverage", "confidence"}


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
            "y_pred has 2 values, but y_true has 1",
        ),
        (
            lambda: lq.CoveragePrecisionDisplay.from_predictions([-1], [0], [1]),
            ValueError,
            "y_true must hold at least one label",
        ),
        (
            lambda: lq.CoveragePrecisionDisplay.from_predictions([0], [-1], [1]),
            ValueError,
            "at least one sample that counts must have a label",
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
            lambda: lq.LearningCurveDisplay.from_predictions([0], [[0]]),
            TypeError,
            "y_pred must be a dict .* got",
        ),
        (
            lambda: lq.LearningCurveDisplay.from_predictions([0], {0: [0]}),
            ValueError,
            "a key of y_pred must be an integer of at least 1, got 0",
        ),
        (
            lambda: lq.LearningCurveDisplay.from_predictions([0], {5: [0, 1]}),
            ValueError,
            r"y_pred\[5\] has 2 values, but y_true has 1",
        ),
        (
            lambda: lq.HistoryDisplay.from_estimator(KMeans(2).fit([[0], [1]])),
            TypeError,
            "estimator must be a Kingdra or ConsensusClusterer, .* got a KMeans",
        ),
        (lambda: lq.HistoryDisplay.from_history([]), ValueError, "got 0 rounds without one"),
        (
            lambda: lq.HistoryDisplay.from_history([{"loss": 2.0}]),
            ValueError,
            "got 1 rounds without one",
        ),
        (
            lambda: lq.HistoryDisplay.from_estimator(lq.ConsensusClusterer()),
            NotFittedError,
            "not fitted",
        ),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("truth", [["A", "B", "B"], [0, 1, 1]])
def test_a_learning_curve_of_other_names_is_refused(truth):
    with pytest.raises(ValueError, match="y_pred must hold names of classes in y_true, such as"):
        lq.LearningCurveDisplay.from_predictions(truth, {5: ["a", "b", None]})
    no_labels = lq.LearningCurveDisplay.from_predictions(truth, {5: [None, None, None]})
    assert no_labels.accuracy.tolist() == [0]


def test_the_note_on_names_stands_above_the_curves(fitted):
    classes = np.repeat([0, 1], 20)
    y = np.full(40, None, dtype=object)
    y[[0, 20]] = "left", "right"
    model = lq.ConsensusClusterer(2, random_state=0)
    model.fit(np.zeros((40, 1)), y, partitions=classes[:, None])
    display = lq.CoveragePrecisionDisplay.from_estimator(model, classes)
    assert display.precision[-1] == 1
    title = display.ax_.get_title(loc="left")
    assert title.replace("\n", " ") == display.note
    assert "matched with its classes one to one" in display.note
    assert lq.CoveragePrecisionDisplay.from_estimator(fitted[0], fitted[1]).note is None


@pytest.mark.parametrize("values", [[0.5], [0.9, 0.5], [1, 0.9, 0.9, 0.9, 0.2]])
def test_samples_of_equal_confidence_are_one_point(values):
    confidence = np.repeat(values, 30)
    display = lq.CoveragePrecisionDisplay.from_predictions(
        np.ones(len(confidence), int), np.ones(len(confidence), int), confidence
    )
    assert display.threshold.tolist() == sorted(set(values), reverse=True)
    assert (np.diff(display.coverage) > 0).all()
