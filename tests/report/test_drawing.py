"""The pictures: what they hold, and that the same values give the same picture."""

from __future__ import annotations

import re

import numpy as np
import pytest
import sklearn
from hypothesis import given
from hypothesis import strategies as st

from labelquorum.report.drawing import Box, box_of, category_map, embedded, heat_map, overlap


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


@given(
    name=st.text(min_size=1, max_size=16),
    x=st.floats(0, 1),
    y=st.floats(0, 1),
    size=st.sampled_from([7.0, 8.5]),
)
def test_names_stay_within_the_map(name, x, y, size):
    box = box_of(name, x, y, size)
    assert box.left >= 0 or box.right >= 1
    assert box.right <= 1 + 1e-9
    assert box.bottom < y < box.top


def test_boxes_overlap_where_they_share_a_place():
    first = Box(0.1, 0.1, 0.3, 0.2)
    assert overlap(first, Box(0.2, 0.15, 0.5, 0.5))
    assert overlap(Box(0, 0, 1, 1), first)
    assert not overlap(first, Box(0.3, 0.1, 0.5, 0.2))
    assert not overlap(first, Box(0.1, 0.2, 0.3, 0.3))


def test_the_map_has_points_and_names_that_the_script_can_find():
    rng = np.random.default_rng(0)
    numbers = np.repeat([4, 7, 9], 20).astype(np.int32)
    rows = (9 * np.eye(10)[numbers] + rng.normal(size=(60, 10))).astype(np.float32)
    sizes = np.full(10, 20)
    svg = category_map(rows, numbers, {4: "four <4>", 7: "seven"}, sizes)
    assert svg == category_map(rows, numbers, {4: "four <4>", 7: "seven"}, sizes)
    ids = set(re.findall(r'id="(map-[ct]\d+)"', svg))
    assert ids == {"map-c4", "map-t4", "map-c7", "map-t7"}
    assert "four &lt;4&gt;" in svg
    assert "#888888" in svg  # the rest
    assert svg.startswith("<svg")


def test_names_that_would_overlap_are_left_to_the_larger_category():
    numbers = np.tile([0, 1], 30).astype(np.int32)
    rows = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32).repeat(2, axis=0)
    names = {0: "smaller", 1: "larger"}
    svg = category_map(rows, numbers, names, np.array([30, 31]))
    assert "map-t1" in svg
    assert "map-t0" not in svg


def test_the_heat_map_takes_the_color_of_the_page():
    picture = heat_map(np.array([[0.9, 0.1], [0.1, 0.8]]), ["$a_1$", "b"])
    assert "currentColor" in picture.svg
    assert "#010203" not in picture.svg
    assert "$a_1$" in picture.svg
