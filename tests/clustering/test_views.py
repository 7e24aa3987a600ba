"""Views: spaces, scales of resolutions, and the partitions of a view."""

from __future__ import annotations

import time

import numpy as np
import pytest
import scipy.sparse
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score

from labelquorum.clustering.views import (
    PARTITIONS_PER_VIEW,
    ResolutionScale,
    Space,
    View,
    ViewKind,
    directions_keep_neighbors,
    graph_partitions,
    groups_apart,
)


@pytest.fixture(scope="module")
def rows(blobs):
    return (blobs[0] - blobs[0].mean(axis=0)).astype(np.float32)


def space_of(rows, is_cosine=False):
    counts = np.ones(len(rows), dtype=np.int64)
    return Space.of(rows, counts, is_cosine, 5, np.random.RandomState(0))[0]


@pytest.mark.parametrize("is_cosine", [False, True])
def test_a_space_keeps_few_columns_as_they_are(rows, is_cosine):
    space = space_of(rows, is_cosine)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    expected = rows / lengths if is_cosine else rows
    np.testing.assert_allclose(space.rows, expected, rtol=1e-5)
    assert space.narrow_rows is space.rows


def test_a_space_projects_many_columns_on_their_main_directions():
    X, _ = make_blobs(500, 100, centers=6, random_state=0)
    rows = X.astype(np.float32)
    space = space_of(rows)
    assert space.rows is rows
    assert space.narrow_rows.shape == (500, 64)
    centered = rows - rows.mean(axis=0)
    values = np.linalg.svd(centered, compute_uv=False)
    kept = np.linalg.svd(space.narrow_rows - space.narrow_rows.mean(axis=0), compute_uv=False)
    np.testing.assert_allclose(kept, values[:64], rtol=1e-3)


def test_a_subset_of_a_space_has_these_rows(rows):
    space = space_of(rows, True)
    assert space.subset(None) is space
    subset = space.subset(np.array([3, 5, 8]))
    np.testing.assert_array_equal(subset.rows, space.rows[[3, 5, 8]])
    assert subset.is_cosine


def test_a_scale_interpolates_between_resolutions_and_extends_them_in_proportion():
    scale = ResolutionScale(np.log([1.0, 10.0]), np.log([4.0, 40.0]))
    resolutions = scale.resolutions_for(np.array([2.0, 4.0, 12.0, 40.0, 80.0]))
    np.testing.assert_allclose(resolutions, [0.5, 1, 3, 10, 20])


def test_a_scale_leads_to_about_the_wanted_number_of_communities(rows):
    space = space_of(rows)
    view = View.of(space, False, 3, 1)
    wanted = np.array([5.0, 10.0, 20.0, 40.0])
    resolutions = view.resolution_scale(1).resolutions_for(wanted)
    partitions = graph_partitions(view.graph, resolutions, 2, np.random.RandomState(0), 1)
    counts = np.array([partition.max() + 1 for partition in partitions])
    assert (counts > wanted / 2).all()
    assert (counts < wanted * 2).all()


def test_the_four_kinds_of_views_take_turns():
    kinds = [ViewKind.of(v) for v in range(8)]
    assert len(set(kinds[:4])) == 4
    assert kinds[:4] == kinds[4:]


@pytest.mark.parametrize("is_smooth", [False, True])
@pytest.mark.parametrize("is_cosine", [False, True])
def test_a_view_makes_partitions_of_about_the_wanted_size(rows, blobs, is_cosine, is_smooth):
    space = space_of(rows, is_cosine)
    view = View.of(space, is_smooth, 7, 1)
    assert scipy.sparse.issparse(view.graph)
    assert view.smooth_rows.shape == rows.shape
    partitions = view.partitions((5, 10), view.resolution_scale(1), 1)
    assert partitions.shape == (len(rows), PARTITIONS_PER_VIEW)
    assert partitions.dtype == np.int32
    for partition in partitions.T:
        assert 3 <= len(np.unique(partition)) <= 20
        assert adjusted_rand_score(blobs[1], partition) > (0.3 if is_cosine else 0.5)


def test_a_view_depends_on_its_seed_alone(rows):
    space = space_of(rows)
    first, again, other = (View.of(space, True, seed, n) for seed, n in [(1, 1), (1, 3), (2, 1)])
    scale = first.resolution_scale(1)
    partitions = first.partitions((5, 20), scale, 1)
    np.testing.assert_array_equal(again.partitions((5, 20), scale, 3), partitions)
    assert (other.partitions((5, 20), scale, 1) != partitions).any()


def test_rows_with_far_more_columns_than_rows_are_projected_at_once():
    rows = np.random.default_rng(0).normal(size=(80, 20_000)).astype(np.float32)
    started = time.perf_counter()
    space = space_of(rows)
    assert time.perf_counter() - started < 5
    assert space.narrow_rows.shape == (80, 64)


def test_groups_that_lie_apart_are_found_whatever_their_size():
    """A dozen rows have more neighbors than there are in the group; none of these looks back."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(513, 16)).astype(np.float32)
    rows[500:512] += 17 / 4
    rows[512] -= 30  # an outlier stays with its nearest row
    groups = groups_apart(space_of(rows), 2, 1)
    assert len(np.unique(groups)) == 2
    assert len(np.unique(groups[500:512])) == 1
    assert len(np.unique(np.delete(groups, np.s_[500:512]))) == 1
    assert groups_apart(space_of(rows[:500]), 2, 1) is None
    assert groups_apart(space_of(rows), 1, 1) is None  # more groups than clusters
    assert groups_apart(space_of(rows[:1]), 2, 1) is None


@pytest.mark.parametrize("n_columns, expected", [(2, False), (64, True)])
def test_directions_of_two_columns_lose_most_neighbors(n_columns, expected):
    rows = np.random.default_rng(0).normal(size=(500, n_columns)).astype(np.float32)
    assert directions_keep_neighbors(rows) == expected
