"""A fitted searcher keeps the recall it promises, and gives the same once saved and loaded."""

from __future__ import annotations

import json
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

import labelquorum as lq
from labelquorum.neighbors import faiss_index, tuned_index

METRICS = ["euclidean", "cosine", "inner_product"]
SAVED = Path(__file__).parents[1] / "data"


@parametrize_with_checks([lq.NeighborSearcher(), lq.NeighborSearcher(recall=0.9)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.fixture
def small_sets_have_indexes(monkeypatch):
    """What is decided by size is decided at a size that tests can afford."""
    monkeypatch.setattr(tuned_index, "_EXACT_BELOW", 1000)
    monkeypatch.setattr(tuned_index, "_MIN_HELD_OUT", 400)
    monkeypatch.setattr(tuned_index, "_FAILURES_IN_SAMPLE", 4)


@pytest.fixture(params=["graph", "lists"])
def method(request, small_sets_have_indexes, monkeypatch):
    if request.param == "lists":
        monkeypatch.setattr(faiss_index.Graph, "n_bytes", lambda *_: 1 << 62)
    return request.param


def shaped(rng, shape, n):
    """Data of one of many shapes."""
    if shape == "clustered":
        return 5 * rng.normal(size=(40, 16))[rng.integers(40, size=n)] + rng.normal(size=(n, 16))
    if shape == "uniform":
        return rng.random((n, 6))
    if shape == "low intrinsic dimension":
        latent = rng.normal(size=(n, 2))
        return np.sin(latent @ LIFT)
    if shape == "heavy duplicates":
        return rng.integers(0, 6, size=(n, 3)).astype(float)
    if shape == "integer grid":
        return rng.integers(0, 30, size=(n, 3)).astype(float)
    if shape == "far from zero":
        return 1e6 + shaped(rng, "clustered", n)
    if shape == "tiny":
        return 1e-30 * shaped(rng, "clustered", n)
    if shape == "huge":
        return 1e100 * shaped(rng, "clustered", n)
    assert shape == "some zero rows"
    return shaped(rng, "clustered", n) * (rng.random((n, 1)) < 0.9)


LIFT = np.random.default_rng(99).normal(size=(2, 20))
SHAPES = [
    "clustered",
    "uniform",
    "low intrinsic dimension",
    "heavy duplicates",
    "integer grid",
    "far from zero",
    "tiny",
    "huge",
    "some zero rows",
]


def recall_of(X, Y, found, k, metric):
    exact = lq.kneighbors(X, k, metric=metric, Y=Y)[0]
    return (found <= exact[:, -1:]).mean()


def assert_measured(X, Y, distances, indices, metric):
    """The distances are those of the rows, nearest first, ties by index; no row comes twice."""
    exact, order = lq.kneighbors(X, len(X), metric=metric, Y=Y)
    table = np.empty_like(exact)
    np.put_along_axis(table, order, exact, axis=1)
    np.testing.assert_array_equal(distances, np.take_along_axis(table, indices, axis=1))
    assert distances.dtype == exact.dtype
    assert indices.dtype == np.int64
    for row, gaps in zip(indices, distances, strict=True):
        np.testing.assert_array_equal(row, row[np.lexsort((row, gaps))])
        assert len(set(row.tolist())) == len(row)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("target", [0.8, 0.97])
def test_the_promised_recall_is_kept(shape, target, method):
    rng = np.random.default_rng(SHAPES.index(shape))
    # Not everything has neighbours by every metric: constant directions, or all equal.
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


def test_the_result_does_not_depend_on_threads_and_repeats(method):
    rows = shaped(np.random.default_rng(2), "clustered", 4500)
    answers = []
    for n_jobs in (1, 2, 5, 1):
        found = lq.NeighborSearcher(recall=0.8, n_jobs=n_jobs, random_state=3).fit(rows[:4000])
        answers.append((found.quality_, found._tuned.setting, *found.query(rows[4000:])))
    for answer in answers[1:]:
        assert answer[:2] == answers[0][:2]
        np.testing.assert_array_equal(answer[2], answers[0][2])
        np.testing.assert_array_equal(answer[3], answers[0][3])


def test_samples_held_back_are_found_in_the_end(method):
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
    found._tuned = replace(found._tuned, setting=(1, 2))  # 1 list of about 250
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


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_any_layout_gives_the_same_and_is_not_copied(method, dtype, tmp_path):
    rows = shaped(np.random.default_rng(7), "clustered", 4100).astype(dtype)
    X, Y = rows[:4000], rows[4000:]
    expected = lq.NeighborSearcher(recall=0.8, random_state=0).fit(X).query(Y)
    for same in layouts(X, tmp_path):
        found = lq.NeighborSearcher(recall=0.8, random_state=0).fit(same)
        assert found.quality_.method == method
        assert np.shares_memory(found._points, same)
        for ours, theirs in zip(found.query(np.asfortranarray(Y)), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_queries_unlike_the_samples_are_told(small_sets_have_indexes, monkeypatch):
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


def test_where_no_index_is_good_enough_the_search_is_exact(method):
    rows = np.random.default_rng(9).normal(size=(3000, 200))
    found = lq.NeighborSearcher(recall=0.97, random_state=0).fit(rows)
    assert found.quality_ == (1, 1, 0, "exact")
    np.testing.assert_array_equal(
        found.query(rows[:50])[1], lq.kneighbors(rows, 15, Y=rows[:50])[1]
    )


def test_with_little_memory_lists_are_as_good_as_they_get(small_sets_have_indexes, monkeypatch):
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


def test_too_little_memory_is_told(small_sets_have_indexes, monkeypatch):
    monkeypatch.setattr(tuned_index, "_MEMORY_SHARE", 0.0)
    with pytest.raises(
        MemoryError, match=r"an index of 3000 samples needs .* bytes, but it may use 0"
    ):
        lq.NeighborSearcher(recall=0.9).fit(np.zeros((3000, 2)))


# faiss's threads


@pytest.fixture
def faiss():
    return pytest.importorskip("faiss")


def test_faiss_is_limited_for_a_block_and_set_free_after_it(faiss):
    before = faiss.omp_get_max_threads()
    for n in (1, 3):
        with faiss_index.limited(n) as module:
            assert module.omp_get_max_threads() == n
        assert faiss.omp_get_max_threads() == before
    with pytest.raises(KeyboardInterrupt), faiss_index.limited(before + 1):
        raise KeyboardInterrupt
    assert faiss.omp_get_max_threads() == before


def test_a_search_leaves_faiss_as_it_was(method, faiss):
    before = faiss.omp_get_max_threads()
    X = shaped(np.random.default_rng(11), "clustered", 3000)
    found = lq.NeighborSearcher(recall=0.8, n_jobs=before + 2, random_state=0).fit(X)
    assert faiss.omp_get_max_threads() == before
    found.query(X[:10])
    assert faiss.omp_get_max_threads() == before


# Files


def example(method_or_none):
    rows = shaped(np.random.default_rng(12), "clustered", 3100).astype(np.float32)
    recall = None if method_or_none is None else 0.8
    return lq.NeighborSearcher(recall=recall, n_neighbors=5, random_state=0).fit(rows[:3000]), rows[
        3000:
    ]


def assert_same_answers(one, other, Y):
    for ours, theirs in zip(one.query(Y, 5), other.query(Y, 5), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_loaded_searcher_answers_as_the_saved_one(method, tmp_path):
    for kind in (None, method):
        found, Y = example(kind)
        assert found.quality_.method == (kind or "exact")
        found.save(tmp_path / "searcher.zip")
        loaded = lq.NeighborSearcher.load(tmp_path / "searcher.zip")
        assert loaded.quality_ == found.quality_
        assert loaded.get_params() == found.get_params()
        assert (loaded.n_samples_fit_, loaded.n_features_in_) == (3000, 16)
        assert_same_answers(loaded, found, Y)
        loaded.save(tmp_path / "again.zip")
        assert_same_answers(lq.NeighborSearcher.load(tmp_path / "again.zip"), found, Y)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shape", ["far from zero", "huge"])
def test_the_frame_of_rows_is_saved(method, metric, shape, tmp_path):
    rows = shaped(np.random.default_rng(13), shape, 3000)
    found = lq.NeighborSearcher(metric=metric, recall=0.5, n_neighbors=5, random_state=0).fit(rows)
    found.save(tmp_path / "searcher")
    assert_same_answers(lq.NeighborSearcher.load(tmp_path / "searcher"), found, rows[:50])


def test_points_are_mapped_and_begin_at_a_cache_line(tmp_path):
    for n in range(1, 40, 7):
        X = np.random.default_rng(n).normal(size=(n, 3))
        lq.NeighborSearcher(n_neighbors=1).fit(np.asfortranarray(X)).save(tmp_path / "s.zip")
        loaded = lq.NeighborSearcher.load(tmp_path / "s.zip")
        assert isinstance(loaded._points.base, np.memmap) or isinstance(loaded._points, np.memmap)
        np.testing.assert_array_equal(loaded._points, X)
        assert loaded._points.ctypes.data % 64 == 0
        with np.load(tmp_path / "s.zip") as archive:  # as NumPy reads it
            np.testing.assert_array_equal(archive["points"], X)


def test_names_of_features_are_saved(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"b": [1.0, 2.0, 3.0], "a": [0.0, 1.0, 0.0]})
    lq.NeighborSearcher(n_neighbors=1).fit(frame).save(tmp_path / "s")
    loaded = lq.NeighborSearcher.load(tmp_path / "s")
    assert loaded.feature_names_in_.tolist() == ["b", "a"]
    assert loaded.query(frame)[1].ravel().tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="feature names"):
        loaded.query(frame[["a", "b"]])


@pytest.mark.parametrize(
    "name", ["searcher-1-exact.zip", "searcher-1-graph.zip", "searcher-1-lists.zip"]
)
def test_files_of_earlier_versions_stay_readable(name):
    loaded = lq.NeighborSearcher.load(SAVED / name)
    X = np.asarray(loaded._points)
    assert loaded.quality_.method == name.split("-")[2].split(".")[0]
    assert X.shape == (loaded.n_samples_fit_, 2)
    found = loaded.query(X[:100], 3)[0]
    assert recall_of(X, X[:100], found, 3, "euclidean") > 0.7


def test_damage_is_found(method, tmp_path):
    found, _ = example(method)
    path = tmp_path / "s.zip"
    found.save(path)
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        begin = archive.getinfo("index.faiss").header_offset
    rng = np.random.default_rng(14)
    cut = [whole[: int(n)] for n in rng.integers(len(whole), size=20)]
    changed = []
    for at in [*rng.integers(begin + 200, len(whole), size=40), *range(0, 60, 3)]:
        other = bytearray(whole)
        other[at] ^= 0x55
        changed.append(bytes(other))
    n_refused = 0
    for content in [b"", b"junk", *cut, *changed]:
        path.write_bytes(content)
        try:
            lq.NeighborSearcher.load(path)
        except ValueError as error:
            assert "s.zip is damaged or not a saved searcher" in str(error)
            n_refused += 1
        else:
            # Where nobody looks: dates, attributes, and the name in the header of meta.json.
            assert content in changed
    assert n_refused > 60


def test_files_of_other_kinds_and_versions_are_refused(tmp_path):
    def load(meta):
        with zipfile.ZipFile(tmp_path / "s", "w") as archive:
            archive.writestr("meta.json", json.dumps(meta))
        return lq.NeighborSearcher.load(tmp_path / "s")

    with pytest.raises(ValueError, match=r"s is damaged or not a saved searcher .*'other'"):
        load({"format": "other"})
    with pytest.raises(ValueError, match="must have format version 1, got 2: a newer label"):
        load({"format": "labelquorum.NeighborSearcher", "version": 2})
    with pytest.raises(ValueError, match="not a saved searcher"):
        load([1, 2])
    np.savez(tmp_path / "arrays.npz", points=np.zeros(3))
    with pytest.raises(ValueError, match=r"arrays\.npz is damaged or not a saved searcher"):
        lq.NeighborSearcher.load(tmp_path / "arrays.npz")
    with pytest.raises(FileNotFoundError):
        lq.NeighborSearcher.load(tmp_path / "missing")
    with pytest.raises(OSError, match="cannot be written"):
        lq.NeighborSearcher().fit([[1.0]]).save(tmp_path / "no" / "folder")


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "s"
    lq.NeighborSearcher(n_neighbors=1).fit([[1.0], [2.0]]).save(path)
    before = path.read_bytes()
    bad = lq.NeighborSearcher(n_neighbors=1).fit([[3.0], [2.0]])
    bad._index = "no index"  # fails once the points are written
    with pytest.raises(AttributeError):
        bad.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


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
        (TypeError, "Sparse", {"X": scipy.sparse.eye(4).tocsr()}),
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
