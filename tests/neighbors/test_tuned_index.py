"""Indexes are tuned until they reach the recall, within the memory."""

from __future__ import annotations

import numpy as np
import pytest

import labelquorum as lq
from labelquorum.neighbors import faiss_index, tuned_index
from searchers import assert_measured, shaped


def test_a_recall_closer_to_1_takes_more_queries_to_measure():
    assert tuned_index.sample_size(0.5) == tuned_index.sample_size(0.992) == 1000
    assert tuned_index.sample_size(1 - 2**-10) == 8192
    assert tuned_index.sample_size(1) > 1 << 60


def test_an_index_pays_off_from_10_000_points_on():
    assert not tuned_index.pays_off(9_999, 0.9, 10)
    assert tuned_index.pays_off(10_000, 0.9, 10)
    assert not tuned_index.pays_off(10_000, 0.9, 101)
    assert not tuned_index.pays_off(10_000, 0.999, 10)
    assert not tuned_index.pays_off(10**9, 1, 10)


def test_the_quality_counts_neighbors_within_the_last_true_distance():
    distances = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 3.0], [2.0, np.inf]])
    quality = tuned_index.measured_quality(distances, np.array([1.0, 1.0, 2.0, 1.0]), "graph")
    assert (quality.recall, quality.n_queries, quality.method) == (0.625, 4, "graph")
    assert 0 <= quality.lower_bound < 0.625
    perfect = tuned_index.measured_quality(np.zeros((500, 3)), np.zeros(500), "lists")
    assert perfect.recall == 1
    assert 0.98 < perfect.lower_bound < 1


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "inner_product"])
def test_last_distances_leave_out_held_out_points(metric):
    points = shaped(np.random.default_rng(0), "clustered", 300)
    held_out = np.arange(0, 300, 2)
    last = tuned_index._last_distances(points, held_out, 7, metric, 1)
    expected = lq.kneighbors(points[1::2], 7, metric=metric, Y=points[held_out])[0][:, -1]
    np.testing.assert_array_equal(last, expected)


@pytest.mark.slow
def test_the_search_is_exact_if_no_index_is_good_enough(method):
    rows = np.random.default_rng(9).normal(size=(3000, 200))
    found = lq.NeighborSearcher(recall=0.97, random_state=0).fit(rows)
    assert found.quality_ == (1, 1, 0, "exact")
    np.testing.assert_array_equal(
        found.query(rows[:50])[1], lq.kneighbors(rows, 15, Y=rows[:50])[1]
    )


def test_lists_that_miss_the_recall_for_lack_of_memory_warn(small_sets_have_indexes, monkeypatch):
    monkeypatch.setattr(faiss_index.Lists, "n_bytes", lambda _n, _d, bits: bits - 4)
    monkeypatch.setattr(tuned_index, "_MEMORY_SHARE", 0.0)
    rows = np.random.default_rng(10).normal(size=(3000, 100))
    with pytest.warns(
        UserWarning, match=r"recall is 0\.\d+ \(at least 0\.\d+\), below the requested 0\.97"
    ):
        found = lq.NeighborSearcher(recall=0.97, random_state=0).fit(rows)
    assert found.quality_.method == "lists"
    distances, indices = found.query(rows[:50])
    assert_measured(rows, rows[:50], distances, indices, "euclidean")


def test_too_little_memory_is_an_error(small_sets_have_indexes, monkeypatch):
    monkeypatch.setattr(tuned_index, "_MEMORY_SHARE", 0.0)
    with pytest.raises(
        MemoryError, match=r"an index of 3000 samples needs .* bytes, but it may use 0"
    ):
        lq.NeighborSearcher(recall=0.9).fit(np.zeros((3000, 2)))
