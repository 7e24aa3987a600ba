"""The place of every sample on the map."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st

from labelquorum.report.data import report_data
from labelquorum.report.layout import embedded, layout_of, placed
from labelquorum.report.selection import select


def three_groups(n, n_columns=3):
    """Rows of three groups far from each other, and the group of each."""
    rng = np.random.default_rng(0)
    classes = np.arange(n) % 3
    rows = 10 * np.eye(3, n_columns)[classes] + rng.normal(size=(n, n_columns))
    return rows.astype(np.float32), classes


def test_rows_that_are_close_stay_close_in_the_plane():
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(3), 40)
    rows = (10 * np.eye(3)[classes] + rng.normal(size=(120, 3))).astype(np.float32)
    points = embedded(rows)
    np.testing.assert_array_equal(points, embedded(rows))
    np.testing.assert_allclose(points.min(axis=0), 0)
    assert points.max() == 1
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (classes[distances.argmin(axis=1)] == classes).all()


def test_tiny_features_and_few_rows_have_a_map():
    assert np.isfinite(embedded(1e-30 * np.arange(12, dtype=np.float32).reshape(6, 2))).all()
    assert embedded(np.array([[0.0], [1.0], [5.0]], dtype=np.float32)).shape == (3, 2)


def test_rows_are_placed_the_same_whatever_the_output_settings_of_scikit_learn_are():
    pytest.importorskip("pandas")
    rows = np.random.default_rng(0).normal(size=(30, 60)).astype(np.float32)
    expected = embedded(rows)
    with sklearn.config_context(transform_output="pandas"):
        np.testing.assert_array_equal(embedded(rows), expected)


def test_rows_that_are_not_laid_out_lie_in_the_group_of_their_neighbors():
    for n_columns in (3, 70):  # few columns stay, many are projected
        rows, classes = three_groups(900, n_columns)
        drawn = np.arange(150)
        points = placed(rows, drawn)
        assert points.shape == (900, 2)
        np.testing.assert_array_equal(points, placed(rows, drawn))
        np.testing.assert_allclose(points[drawn], embedded(rows[drawn]), atol=1e-6)
        middles = np.array([points[drawn][classes[drawn] == k].mean(axis=0) for k in range(3)])
        nearest = np.linalg.norm(points[:, None] - middles, axis=2).argmin(axis=1)
        assert (nearest == classes).all()


@given(scale=st.sampled_from([1e-200, 1e-30, 1, 1e30, 1e150]), seed=st.integers(0, 9))
def test_all_places_are_finite_and_within_the_map(scale, seed):
    rng = np.random.default_rng(seed)
    rows = scale * rng.normal(size=(40, 3))
    rows[-1] *= 1e20  # an outlier that is not laid out
    points = placed(rows, np.arange(12))
    assert np.isfinite(points).all()
    assert points.min() >= 0
    assert points.max() <= 1


def test_equal_samples_lie_at_the_same_place(fit_partitions):
    classes = np.arange(90) % 3
    X = np.repeat(three_groups(45)[0], 2, axis=0)
    model = fit_partitions(classes[:, None], n_clusters=3, X=X)
    data = report_data(model, X=None, texts=None, images=None, judgment=None)
    layout = layout_of(data, select(data))
    np.testing.assert_array_equal(layout.points[::2], layout.points[1::2])
    np.testing.assert_array_equal(layout.drawn, np.arange(90))


def test_samples_with_the_same_features_have_no_map(three_categories):
    data = report_data(three_categories, X=None, texts=None, images=None, judgment=None)
    assert layout_of(data, select(data)) is None
