"""A fitted searcher keeps the recall that it promises."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

import labelquorum as lq
from labelquorum.neighbors import faiss_index
from searchers import (
    METRICS,
    SHAPES,
    assert_measured,
    assert_same_answers,
    example,
    recall_of,
    shaped,
)


@parametrize_with_checks([lq.NeighborSearcher(), lq.NeighborSearcher(recall=0.9)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("target", [0.8, 0.97])
def test_the_promised_recall_is_kept(shape, target, method):
    rng = np.random.default_rng(SHAPES.index(shape))
    # Some shapes have no neighbors by some metrics: their directions are constant or equal.
    metric = "euclidean" if "far" in shape else METRICS[SHAPES.index(shape) % 3]
    rows = shaped(rng, shape, 5000)
    if shape not in ("tiny", "huge", "far from zero"):
        rows = rows.astype([np.float16, np.float32, np.float64][SHAPES.index(shape) % 3])
    X, Y = rows[:4500], rows[4500:]
    found = lq.NeighborSearcher(metric=metric, recall=target, n_neighbors=10, random_state=0).fit(X)
    assert found.quality_.recall >= found.quality_.lower_bound >= target
    distances, indices, quality = found.query(Y, return_quality=True)
    assert recall_of(X, Y, distances, 10, metric) >= target - 0.01
    assert quality.recall >= target - 0.01
    assert_measured(X, Y[:20], distances[:20], indices[:20], metric)


@pytest.mark.parametrize("metric", METRICS)
def test_either_index_answers_where_it_is_good_enough(method, metric):
    rows = shaped(np.random.default_rng(1), "clustered", 5000).astype(np.float32)
    found = lq.NeighborSearcher(metric=metric, recall=0.8, n_neighbors=10, random_state=0).fit(
        rows[:4500]
    )
    assert found.quality_.method == method
    assert found.quality_.n_queries == 400
    for k in (1, 10):
        distances, indices = found.query(rows[4500:], k)
        assert distances.shape == indices.shape == (500, k)
        assert recall_of(rows[:4500], rows[4500:], distances, k, metric) >= 0.79


@pytest.mark.slow
def test_the_result_does_not_depend_on_threads_or_repeats(method):
    rows = shaped(np.random.default_rng(2), "clustered", 4500)
    answers = []
    for n_jobs in (1, 2, 5, 1):
        found = lq.NeighborSearcher(recall=0.8, n_jobs=n_jobs, random_state=3).fit(rows[:4000])
        answers.append((found.quality_, found._tuned.setting, *found.query(rows[4000:])))
    for answer in answers[1:]:
        assert answer[:2] == answers[0][:2]
        np.testing.assert_array_equal(answer[2], answers[0][2])
        np.testing.assert_array_equal(answer[3], answers[0][3])


def test_held_out_samples_are_found_in_the_end(method):
    X = shaped(np.random.default_rng(4), "clustered", 4000)
    found = lq.NeighborSearcher(recall=0.8, random_state=0).fit(X)
    assert found.quality_.method == method
    indices = found.query(X, 1)[1]
    assert (indices[:, 0] == np.arange(4000)).mean() > 0.95
    assert found.quality_.n_queries == 400


def test_neighbors_that_an_index_misses_are_filled_in_exactly(small_sets_have_indexes, monkeypatch):
    monkeypatch.setattr(faiss_index.Graph, "n_bytes", lambda *_: 1 << 62)
    X = shaped(np.random.default_rng(5), "clustered", 4000).astype(np.float32)
    found = lq.NeighborSearcher(recall=0.8, n_neighbors=30, random_state=0).fit(X)
    assert found.quality_.method == "lists"
    found._tuned = replace(found._tuned, setting=(1, 2))  # one list of about 250
    distances, indices = found.query(X[:200])
    short = found._tuned.search(X, X[:200], 30, 1, None)[1][:, -1] < 0
    assert short.sum() > 100
    exact = lq.kneighbors(X, 30, Y=X[:200])
    np.testing.assert_array_equal(distances[short], exact[0][short])
    np.testing.assert_array_equal(indices[short], exact[1][short])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8, np.int64])
def test_exact_answers_equal_kneighbors(metric, dtype):
    rows = np.random.default_rng(6).integers(0, 9, size=(120, 4)).astype(dtype)
    X, Y = rows[:100], rows[100:]
    for recall in (None, 0.5, 1):  # a small set: always exact
        found = lq.NeighborSearcher(metric=metric, recall=recall).fit(X)
        for ours, expected in zip(
            found.query(Y, 9), lq.kneighbors(X, 9, metric=metric, Y=Y), strict=True
        ):
            np.testing.assert_array_equal(ours, expected)
            assert ours.dtype == expected.dtype
        assert found.query(Y, return_quality=True)[2] == (1, 1, 0, "exact")
        assert found.query(Y)[0].shape == (20, 15)
        assert found.query(Y, 100)[0].shape == (20, 100)


def layouts(X, tmp_path):
    n, d = X.shape
    strided = np.zeros((2 * n, 3 * d), X.dtype)[::-2, ::3]
    strided[:] = X
    misaligned = np.frombuffer(b"x" + X.tobytes(), np.uint8)[1:].view(X.dtype).reshape(n, d)
    np.save(tmp_path / "x.npy", X)
    return [np.asfortranarray(X), strided, misaligned, np.load(tmp_path / "x.npy", mmap_mode="r")]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_any_layout_gives_the_same_answers_and_is_not_copied(method, dtype, tmp_path):
    rows = shaped(np.random.default_rng(7), "clustered", 4100).astype(dtype)
    X, Y = rows[:4000], rows[4000:]
    expected = lq.NeighborSearcher(recall=0.8, random_state=0).fit(X).query(Y)
    for same in layouts(X, tmp_path):
        found = lq.NeighborSearcher(recall=0.8, random_state=0).fit(same)
        assert found.quality_.method == method
        assert np.shares_memory(found._points, same)
        for ours, theirs in zip(found.query(np.asfortranarray(Y)), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_a_low_recall_of_unusual_queries_is_a_warning(small_sets_have_indexes, monkeypatch):
    monkeypatch.setattr(faiss_index.Graph, "n_bytes", lambda *_: 1 << 62)
    rng = np.random.default_rng(8)
    X = shaped(rng, "clustered", 5000).astype(np.float32)
    found = lq.NeighborSearcher(recall=0.9, random_state=0).fit(X)
    assert found.quality_.method == "lists"
    between = 3 * rng.normal(size=(100, 16)).astype(np.float32)
    with pytest.warns(
        UserWarning, match=r"recall is 0\.\d+ on 100 of these queries, below the requested 0\.9"
    ):
        quality = found.query(between, return_quality=True)[2]
    assert quality.recall < 0.9
    assert quality.n_queries == 100


def test_a_fitted_searcher_is_pickled_and_cloned(method):
    found, Y = example(method)
    assert_same_answers(pickle.loads(pickle.dumps(found)), found, Y)
    assert clone(found).get_params() == found.get_params()
    with pytest.raises(NotFittedError):
        clone(found).query(Y)


# Bad input


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (
            ValueError,
            "metric must be 'euclidean', 'cosine' or 'inner_product'",
            {"metric": "manhattan"},
        ),
        (ValueError, "recall must be a number in (0, 1], got 0", {"recall": 0}),
        (ValueError, "recall must be a number in (0, 1], got 1.5", {"recall": 1.5}),
        (TypeError, "recall must be a number in (0, 1], got 'high' (str)", {"recall": "high"}),
        (ValueError, "n_neighbors must be an integer of at least 1, got 0", {"n_neighbors": 0}),
        (TypeError, "n_neighbors must be an integer of at least 1", {"n_neighbors": 2.0}),
        (ValueError, "n_jobs must be None, -1 (all available cores) or an", {"n_jobs": 0}),
        (ValueError, "X must be finite, got NaN at row 1, column 0", {"X": [[1.0], [np.nan]]}),
        (ValueError, "X must be finite, got infinity at row 0, column 1", {"X": [[1.0, -np.inf]]}),
        (ValueError, "X must be at most 1e+150 in magnitude", {"X": [[1e200]]}),
        (ValueError, "Reshape your data", {"X": [1.0, 2.0]}),
        (TypeError, "X must be a plain array of numbers", {"X": np.ma.zeros((4, 2))}),
        (ValueError, "Complex data not supported", {"X": np.zeros((3, 2), complex)}),
        (ValueError, "minimum of 1 is required", {"X": np.empty((0, 2))}),
    ],
)
def test_bad_arguments_of_fit_are_named(error, message, arguments):
    X = arguments.pop("X", [[1.0], [2.0]])
    with pytest.raises(error) as caught:
        lq.NeighborSearcher(**arguments).fit(X)
    assert message in str(caught.value)


def test_bad_queries_are_named(method):
    found, Y = example(method)
    with pytest.raises(
        ValueError, match="n_neighbors must be at most 5, for which the recall was measured, got 6"
    ):
        found.query(Y, 6)
    with pytest.raises(ValueError, match=r"n_neighbors must be at most 3000, .* got 3001"):
        found.query(Y, 3001)
    with pytest.raises(ValueError, match="3 features, but NeighborSearcher is expecting 16"):
        found.query(Y[:, :3])
    bad = Y.copy()
    bad[7, 2] = np.nan
    with pytest.raises(ValueError, match="Y must be finite, got NaN at row 7, column 2"):
        found.query(bad)
    with pytest.raises(NotFittedError):
        lq.NeighborSearcher().query(Y)
