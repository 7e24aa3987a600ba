"""faiss proposes good candidates, and its threads are limited only while it is called."""

from __future__ import annotations

import io

import numpy as np
import pytest

import labelquorum as lq
from labelquorum.neighbors import faiss_index
from searchers import METRICS, SHAPES, shaped


@pytest.fixture
def faiss():
    return pytest.importorskip("faiss")


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shape", SHAPES)
def test_rows_of_an_index_order_neighbors_as_the_metric_does(metric, shape):
    points = shaped(np.random.default_rng(SHAPES.index(shape)), shape, 200)
    frame = faiss_index.IndexFrame.fitted(points, metric)
    rows = frame.rows(points)
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()
    distances, neighbors = lq.kneighbors(points, 5, metric=metric)
    products = np.einsum("ij,ikj->ik", rows.astype(float), rows[neighbors].astype(float))
    gaps = rows[:, None].astype(float) - rows[neighbors]
    expected = -products if frame.is_similarity else (gaps**2).sum(axis=2)
    scale = max(1.0, np.abs(rows.astype(float)).max()) ** 2 * rows.shape[1]
    np.testing.assert_allclose(
        frame.index_distances(distances), expected, rtol=1e-3, atol=1e-5 * scale
    )


def test_ordinary_float32_rows_are_not_copied():
    points = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    frame = faiss_index.IndexFrame.fitted(points, "euclidean")
    assert np.shares_memory(frame.rows(points), points)


def test_batches_cover_all_rows_in_order():
    for n, n_columns in ((1, 1), (1024, 8), (5000, 8), (3000, 100_000), (7, 10**8)):
        batches = faiss_index.batches(n, n_columns)
        rows = [row for batch in batches for row in range(batch.start, batch.stop)]
        assert rows == list(range(n))
        assert max(batch.stop - batch.start for batch in batches) <= 1024


def test_links_back_fill_the_room_that_is_left():
    links = np.array([[1, 2, -1], [2, -1, -1], [0, 1, 3], [2, -1, -1]], dtype=np.int32)
    faiss_index._link_back(links)
    assert links.tolist() == [[1, 2, 2], [2, 0, 2], [0, 1, 3], [2, 2, -1]]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", [faiss_index.Graph, faiss_index.Lists])
def test_an_index_proposes_near_points_and_is_read_as_it_was_written(faiss, kind, metric):
    points = shaped(np.random.default_rng(1), "clustered", 2000).astype(np.float32)
    frame = faiss_index.IndexFrame.fitted(points, metric)
    index, held_out = kind.build(points, frame, 300, np.random.RandomState(0), 2, None)
    assert len(held_out) == 300
    setting = index.settings(2000, 10)[-1]
    rows = frame.rows(points[held_out])
    assert not np.isin(index.candidates(rows, 10, setting, 2), held_out).any()
    index.complete(points, held_out, 2)
    assert index.shape == (2000, 16)
    candidates = index.candidates(rows, 10, setting, 2)
    true_neighbors = lq.kneighbors(points, 10, metric=metric, Y=points[held_out])[1]
    is_found = [np.isin(*both) for both in zip(true_neighbors, candidates, strict=True)]
    assert np.mean(is_found) > 0.8
    file = io.BytesIO()
    faiss_index.write(index, file)
    file.seek(0)
    again = faiss_index.read(kind.kind, frame, file)
    assert again.shape == index.shape
    np.testing.assert_array_equal(again.candidates(rows, 10, setting, 1), candidates)


def test_threads_are_limited_for_a_block_and_restored_after_it(faiss):
    before = faiss.omp_get_max_threads()
    for n in (1, 3):
        with faiss_index.limited(n) as module:
            assert module.omp_get_max_threads() == n
        assert faiss.omp_get_max_threads() == before
    with pytest.raises(KeyboardInterrupt), faiss_index.limited(before + 1):
        raise KeyboardInterrupt
    assert faiss.omp_get_max_threads() == before


def test_a_search_restores_the_number_of_threads(method, faiss):
    before = faiss.omp_get_max_threads()
    X = shaped(np.random.default_rng(11), "clustered", 3000)
    found = lq.NeighborSearcher(recall=0.8, n_jobs=before + 2, random_state=0).fit(X)
    assert faiss.omp_get_max_threads() == before
    found.query(X[:10])
    assert faiss.omp_get_max_threads() == before
