"""Displays of categories: what is in the axes."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.figure import Figure
from matplotlib.text import Text
from sklearn.cluster import HDBSCAN
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError

import labelquorum as lq
from strategies import share

TEXTS = [
    "lost my credit card",
    "credit card is stolen",
    "a new credit card please",
    "my login fails",
    "the login of my account is locked",
    "hello",
]
NAMES = ["card", "card", "card", "login", "login", None]


pytestmark = pytest.mark.usefixtures("no_window")


def titles(display):
    return [axes.get_title(loc="left") for axes in display.axes_[:, 0]]


def image(axes):
    (drawn,) = axes.get_images()
    return np.asarray(drawn.get_array())


def lines(axes):
    (text,) = axes.texts
    return text.get_text().splitlines()


@pytest.mark.slow
def test_a_row_has_the_most_confident_images_of_its_category_first(digits):
    X, y = digits
    confidence = np.random.default_rng(0).random(len(X))
    display = lq.ClusterGridDisplay.from_labels(
        y, X, confidence=confidence, image_shape=(8, 8), n_samples=4
    )
    assert display.axes_.shape == (10, 4)
    assert titles(display) == [f"{k} ({(y == k).sum()} samples)" for k in range(10)]
    for k, row in enumerate(display.axes_):
        most_confident = max(np.flatnonzero(y == k), key=lambda i: confidence[i])
        np.testing.assert_array_equal(image(row[0]), X[most_confident].reshape(8, 8))
        shown = display.samples[k]
        assert len(shown) == 4
        assert (y[shown] == k).all()
        assert (np.diff(confidence[shown]) < 0).all()
        for axes, i in zip(row, shown, strict=True):
            np.testing.assert_array_equal(image(axes), X[i].reshape(8, 8))


def test_images_share_one_scale_and_are_upright():
    X = np.arange(12.0).reshape(2, 6)
    display = lq.ClusterGridDisplay.from_labels([0, 1], X, image_shape=(2, 3))
    for row, axes in enumerate(display.axes_[:, 0]):
        np.testing.assert_array_equal(image(axes), X[row].reshape(2, 3))
        assert axes.get_images()[0].get_clim() == (0, 11)
        assert axes.get_images()[0].origin == "upper"


def test_a_category_with_fewer_samples_leaves_cells_empty():
    display = lq.ClusterGridDisplay.from_labels([0, 0, 1, -1], np.eye(4), image_shape=(2, 2))
    assert [[len(axes.get_images()) for axes in row] for row in display.axes_] == [[1, 1], [1, 0]]
    assert titles(display) == ["0 (2 samples)", "1 (1 sample)"]


def test_texts_are_lines_with_keywords_in_the_title():
    confidence = [0.2, 0.9, 0.5, 0.3, 0.4, 1]
    display = lq.ClusterGridDisplay.from_labels(
        NAMES, texts=TEXTS, confidence=confidence, n_samples=2
    )
    words = lq.text.keywords(TEXTS, NAMES, 5)
    assert titles(display) == [
        f"{name} ({size} samples): {', '.join(word for word, _ in words[name])}"
        for name, size in [("card", 3), ("login", 2)]
    ]
    assert "credit card" in titles(display)[0]
    chosen = lq.text.representatives(TEXTS, NAMES, 2, confidence=confidence)
    for axes, name in zip(display.axes_[:, 0], ["card", "login"], strict=True):
        expected = sorted(chosen[name], key=lambda i: -confidence[i])
        assert lines(axes) == [TEXTS[i] for i in expected]


def test_long_texts_are_cut_and_dollar_signs_make_no_formula():
    texts = ["from $5 to $6\nor more " + "word " * 100, "x_1 costs $7^2$"]
    display = lq.ClusterGridDisplay.from_labels(["$a$", "$b_$"], texts=texts, n_samples=1)
    assert lines(display.axes_[0, 0])[0].startswith("from $5 to $6 or more word")
    assert len(lines(display.axes_[0, 0])[0]) <= 110
    display.figure_.canvas.draw()
    for axes in display.axes_[:, 0]:
        assert not axes.texts[0].get_parse_math()


def test_categories_are_shown_in_the_order_asked_for():
    display = lq.ClusterGridDisplay.from_labels(
        [2, 0, 1, 2], np.eye(4), image_shape=(2, 2), categories=[2, 0]
    )
    assert titles(display) == ["2 (2 samples)", "0 (1 sample)"]


def test_labels_confidence_and_order_come_from_the_estimator():
    X, classes = make_blobs(200, 4, centers=3, cluster_std=0.5, random_state=0)
    y = np.full(200, None, dtype=object)
    y[np.flatnonzero(classes == 1)[:20]] = "zebra"
    model = lq.ConsensusClusterer(3, random_state=0).fit(X, y)
    display = lq.ClusterGridDisplay.from_estimator(model, X, image_shape=(2, 2), n_samples=3)
    assert display.categories == ["zebra", "new 0", "new 1"]
    for name, rows in zip(display.categories, display.samples, strict=True):
        members = np.flatnonzero(model.labels_ == name)
        assert (model.labels_[rows] == name).all()
        assert model.confidence_[rows[0]] == model.confidence_[members].max()


def test_other_clusterers_work():
    X, _ = make_blobs(100, 4, centers=3, cluster_std=0.3, random_state=0)
    X = np.concatenate([X, [[99, 99, 99, 99]]])
    model = HDBSCAN(min_cluster_size=10, copy=True).fit(X)
    assert model.labels_[-1] == -1
    display = lq.ClusterGridDisplay.from_estimator(model, X, image_shape=(2, 2))
    assert display.categories == [0, 1, 2]
    for rows in display.samples:
        assert model.probabilities_[rows[0]] == 1


def test_a_grid_can_be_drawn_again_in_another_figure():
    display = lq.ClusterGridDisplay.from_labels([0, 1], np.eye(4)[:2], image_shape=(2, 2))
    figure = Figure()
    assert display.plot(figure=figure) is display
    assert display.figure_ is figure
    assert len(figure.axes) == display.axes_.size == 2


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"image_shape": None},
            ValueError,
            "one of image_shape and texts must be given, got neither",
        ),
        (
            {"texts": ["a", "b", "c"]},
            ValueError,
            "one of image_shape and texts must be given, got both",
        ),
        ({"X": None}, ValueError, "X must be given with image_shape"),
        (
            {"image_shape": (2, 3)},
            ValueError,
            r"X must have 6 columns, as image_shape \(2, 3\) says, got 4",
        ),
        ({"image_shape": 4}, ValueError, r"image_shape must be \(height, width\), got 4"),
        (
            {"image_shape": (0, 4)},
            ValueError,
            "image_shape must be an integer of at least 1, got 0",
        ),
        ({"X": np.eye(4)}, ValueError, "X has 4 rows, but labels has 3 values"),
        ({"X": np.full((3, 4), np.nan)}, ValueError, "X must be finite, got NaN"),
        ({"labels": [-1, -1, -1]}, ValueError, "labels must hold at least one label"),
        ({"labels": [0.5, 1, 2]}, TypeError, "labels must hold integers, got floats"),
        ({"categories": [0, 7]}, ValueError, "categories must hold labels of samples, got 7"),
        ({"categories": []}, ValueError, "categories must hold at least one category"),
        ({"n_samples": 0}, ValueError, "n_samples must be an integer of at least 1, got 0"),
        ({"confidence": [1, 2]}, ValueError, r"confidence must have shape \(3,\), got \(2,\)"),
        ({"image_shape": None, "texts": ["a"]}, ValueError, "labels has 3 values, but texts has 1"),
    ],
)
def test_wrong_arguments_of_a_grid_are_named(change, error, message):
    arguments = {"labels": [0, 0, 1], "X": np.eye(4)[:3], "image_shape": (2, 2)} | change
    with pytest.raises(error, match=message):
        lq.ClusterGridDisplay.from_labels(**arguments)


def test_an_unfitted_estimator_is_refused():
    with pytest.raises(NotFittedError):
        lq.ClusterGridDisplay.from_estimator(lq.ConsensusClusterer(), texts=["a"])


def naive_agreement(partitions, labels, first, second):
    """The share of votes that put a sample of each category in the same cluster."""
    n_together = n_votes = 0
    for i in np.flatnonzero(labels == first):
        for j in np.flatnonzero(labels == second):
            has_vote = (partitions[i] >= 0) & (partitions[j] >= 0) & (i != j)
            n_votes += has_vote.sum()
            n_together += (has_vote & (partitions[i] == partitions[j])).sum()
    return n_together / n_votes if n_votes else np.nan


@share(0.1)
@given(st.data())
def test_agreement_is_that_of_all_pairs(data):
    n, m = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 4))
    values = st.sampled_from([-1, 0, 1, 2, 10**9])
    partitions = data.draw(arrays(np.int64, (n, m), elements=values))
    labels = data.draw(arrays(np.int64, n, elements=st.integers(-1, 4)))
    labels[0] = 3
    display = lq.AgreementDisplay.from_predictions(partitions, labels, ax=Figure().subplots())
    assert sorted(display.categories) == np.unique(labels[labels >= 0]).tolist()
    expected = [
        [naive_agreement(partitions, labels, first, second) for second in display.categories]
        for first in display.categories
    ]
    np.testing.assert_allclose(display.agreement, expected)


def test_categories_that_agree_are_side_by_side():
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(8), 10))
    partitions = np.stack([labels, labels % 4, labels % 4], axis=1)
    display = lq.AgreementDisplay.from_predictions(partitions, labels)
    kinds = [name % 4 for name in display.categories]
    assert all(kinds[i] == kinds[i + 1] for i in range(0, 8, 2))
    np.testing.assert_array_equal(image(display.ax_), display.agreement)
    assert [text.get_text() for text in display.ax_.get_xticklabels()] == [
        str(name) for name in display.categories
    ]
    assert len(display.ax_.texts) == 64


def test_many_categories_have_no_names_at_the_sides():
    labels = np.repeat(np.arange(31), 2)
    display = lq.AgreementDisplay.from_predictions(labels[:, None], labels)
    assert not display.ax_.get_xticklabels()
    assert display.ax_.get_xlabel() == "31 categories, similar ones side by side"


def test_names_are_not_formulas_and_are_cut():
    figure = Figure()
    axes = figure.subplots()
    labels = ["$\\frac{", "$x_2$ " + "long " * 20, "$\\frac{", None]
    display = lq.AgreementDisplay.from_predictions([[0, 1, 0, 0]], labels, ax=axes)
    assert display.figure_ is figure
    assert display.ax_ is axes
    figure.canvas.draw()
    assert max(len(text.get_text()) for text in axes.get_xticklabels()) == 18


def test_partitions_and_labels_come_from_the_estimator():
    X, _ = make_blobs(150, 4, centers=3, random_state=0)
    model = lq.ConsensusClusterer(3, n_partitions=8, random_state=0).fit(X)
    display = lq.AgreementDisplay.from_estimator(model)
    expected = lq.AgreementDisplay.from_predictions(model.partitions_, model.labels_)
    np.testing.assert_array_equal(display.agreement, expected.agreement)


@pytest.mark.filterwarnings("ignore:partitions.* changes nothing")
def test_partitions_that_change_nothing_are_not_in_the_heat_map(blobs):
    X, classes = blobs
    idle = np.random.default_rng(0).integers(0, 5, len(X))
    partitions = np.column_stack([classes, classes // 2, classes, idle])
    model = lq.ConsensusClusterer(5, random_state=0).fit(X, partitions=partitions)
    assert model.partition_weights_.tolist() == [1, 1, 1, 0]
    display = lq.AgreementDisplay.from_estimator(model)
    expected = lq.AgreementDisplay.from_predictions(partitions[:, :3], model.labels_)
    np.testing.assert_array_equal(display.agreement, expected.agreement)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda m: lq.AgreementDisplay.from_predictions([[0], [1, 2]], [0]),
            ValueError,
            "partitions must hold.* got lengths from 1 to 2",
        ),
        (
            lambda m: lq.AgreementDisplay.from_predictions([[0, 1]], [0]),
            ValueError,
            "labels has 1 values, but partitions has 2 samples",
        ),
        (
            lambda m: lq.AgreementDisplay.from_predictions([[0]], [-1]),
            ValueError,
            "at least one label",
        ),
        (lambda m: lq.AgreementDisplay.from_estimator(m), NotFittedError, "not fitted"),
    ],
)
def test_wrong_arguments_of_a_heat_map_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call(lq.ConsensusClusterer())


def test_seventy_categories_with_long_names_fit_their_figure():
    names = [f"new {i}" for i in range(68)] + ["n" * 200, "\u540d" * 200]
    labels = np.array(names, dtype=object)[np.arange(140) % 70]
    display = lq.ClusterGridDisplay.from_labels(labels, np.eye(140)[:, :4], image_shape=(2, 2))
    assert display.axes_.shape == (70, 2)
    assert display.categories[:11] == [f"new {i}" for i in range(11)]
    assert max(display.figure_.get_size_inches()) <= 24
    assert titles(display)[0] == "new 0 (2 samples)"
    lefts = sorted({axes.get_position(original=True).x0 for axes in display.axes_[:, 0]})
    assert len(lefts) > 1
    width = (lefts[1] - lefts[0]) * display.figure_.bbox.width
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        for axes in display.axes_[:, 0]:
            texts = [child for child in axes.get_children() if isinstance(child, Text)]
            (title,) = [text for text in texts if text.get_text().endswith("(2 samples)")]
            assert title.get_window_extent().width < width


def test_texts_without_spaces_are_cut_and_not_left_out():
    display = lq.ClusterGridDisplay.from_labels([0, 1], texts=["x" * 500, "short"], n_samples=1)
    (line,) = lines(display.axes_[0, 0])
    assert line.startswith("xxx")
    assert len(line) < 120


@pytest.mark.parametrize("n", [12, 30, 70])
def test_long_names_of_a_heat_map_do_not_overlap(n):
    names = np.array([f"{i} " + "name" * 50 for i in range(n)], dtype=object)
    codes = np.arange(4 * n) % n
    display = lq.AgreementDisplay.from_predictions([codes], names[codes])
    assert max(display.figure_.get_size_inches()) <= 24
    display.figure_.canvas.draw()
    ticks = display.ax_.get_yticklabels()
    assert len(ticks) == (n if n <= 30 else 0)
    boxes = sorted((tick.get_window_extent() for tick in ticks), key=lambda box: box.y0)
    for below, above in pairwise(boxes):
        assert above.y0 > below.y0 + 0.6 * below.height
    assert all(box.x0 >= 0 for box in boxes)


def test_categories_go_by_their_names():
    X = np.repeat([[0.0], [9.0], [20.0]], 4, axis=0)
    y = ["a", *[None] * 11]
    texts = [*["x"] * 4, *["card"] * 4, *["login"] * 4]
    model = lq.ConsensusClusterer(3, discover=False).fit(X, y, partitions=[np.arange(12) // 4] * 3)
    display = lq.ClusterGridDisplay.from_estimator(model.name_categories(texts), texts=texts)
    assert display.categories == ["a"]  # The others are no labels.
    model = lq.ConsensusClusterer(3).fit(X, y, partitions=[np.arange(12) // 4] * 3)
    model.name_categories(texts)
    display = lq.ClusterGridDisplay.from_estimator(model, texts=texts)
    assert display.categories == ["a", *model.category_names_[1:].tolist()]
    chosen = ["new 0", "a"]
    display = lq.ClusterGridDisplay.from_estimator(model, texts=texts, categories=chosen)
    assert display.categories == [model.category_names_[1], "a"]
    heat_map = lq.AgreementDisplay.from_estimator(model)
    assert set(heat_map.categories) == {"a", "card", "login"}


def test_known_categories_are_shown_in_natural_order():
    classes = np.repeat(np.arange(13), 10)
    y = np.full(130, None, dtype=object)
    for k in range(12):
        y[classes.searchsorted(k)] = f"part {k}"
    model = lq.ConsensusClusterer(13, random_state=0)
    model.fit(np.zeros((130, 1)), y, partitions=np.column_stack([classes] * 3))
    display = lq.ClusterGridDisplay.from_estimator(
        model, np.ones((130, 1)), image_shape=(1, 1), n_samples=1
    )
    assert display.categories == [*(f"part {k}" for k in range(12)), "new 0"]
    assert model.classes_[:3].tolist() == ["part 0", "part 1", "part 10"]
