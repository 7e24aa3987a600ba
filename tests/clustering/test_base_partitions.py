"""base_partitions: many clusterings, repeatable and resumable."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import scipy.sparse
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.datasets import make_blobs

import labelquorum as lq
from labelquorum.clustering import base_partitions as module


@pytest.fixture(scope="module")
def four_blobs():
    return make_blobs(300, 4, centers=4, random_state=0)


def test_partitions_differ_and_each_agrees_with_most_classes(digits):
    X, classes = digits
    partitions = lq.base_partitions(X, 10, n_partitions=10, random_state=0)
    assert partitions.shape == (len(X), 10)
    assert partitions.dtype == np.int32
    assert len(np.unique(partitions, axis=1).T) == 10
    for labels in partitions.T:
        counts = np.zeros((10, labels.max() + 1))
        np.add.at(counts, (classes, labels), 1)
        assert counts.max(axis=0).sum() / len(X) > 0.75
        assert 5 <= labels.max() + 1 <= 60


def test_the_result_depends_on_the_seed_and_not_on_the_number_of_threads(digits):
    X = digits[0][:600]
    one = lq.base_partitions(X, 10, n_partitions=8, random_state=0, n_jobs=1)
    np.testing.assert_array_equal(
        one, lq.base_partitions(X, 10, n_partitions=8, random_state=0, n_jobs=3)
    )
    assert (one != lq.base_partitions(X, 10, n_partitions=8, random_state=1)).any()


@pytest.mark.slow
def test_views_of_many_samples_look_at_some_and_extend_to_all(digits, monkeypatch, tmp_path):
    X, classes = digits
    monkeypatch.setattr(module, "_MAX_ROWS_PER_VIEW", 700)
    drawn_by_view = []
    extended = module._extended

    def checked(part, rows, drawn, n_threads):
        result = extended(part, rows, drawn, n_threads)
        drawn_by_view.append(drawn)
        np.testing.assert_array_equal(result[drawn], part)
        others = np.setdiff1d(np.arange(len(rows)), drawn)
        gaps = rows[others, None] - rows[drawn][None]
        nearest = np.einsum("ijk,ijk->ij", gaps, gaps).argmin(axis=1)
        assert (result[others] == part[nearest]).mean() > 0.95  # the search has a recall
        return result

    monkeypatch.setattr(module, "_extended", checked)
    partitions = lq.base_partitions(X, 10, n_partitions=12, random_state=0)
    assert [len(drawn) for drawn in drawn_by_view] == [700] * 3
    assert len(np.intersect1d(drawn_by_view[0], drawn_by_view[1])) < 500
    assert lq.clustering_accuracy(classes, lq.consensus(partitions, 10)) > 0.8
    np.testing.assert_array_equal(
        partitions,
        lq.base_partitions(X, 10, n_partitions=12, random_state=0, directory=tmp_path, n_jobs=3),
    )


def test_finished_partitions_are_kept_and_read_by_the_next_call(digits, tmp_path):
    X = digits[0][:600]
    arguments = {"n_partitions": 12, "random_state": 0}
    expected = lq.base_partitions(X, 10, **arguments)
    first = lq.base_partitions(X, 10, directory=tmp_path, **arguments)
    np.testing.assert_array_equal(first, expected)
    (tmp_path / "partitions-001.npy").unlink()
    (tmp_path / "partitions-002.npy").unlink()
    kept = (tmp_path / "partitions-000.npy").stat()
    again = lq.base_partitions(X, 10, directory=tmp_path, **arguments)
    np.testing.assert_array_equal(again, expected)
    now = (tmp_path / "partitions-000.npy").stat()
    assert (now.st_ino, now.st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)  # only read
    assert (tmp_path / "partitions-002.npy").exists()  # made again


def test_files_of_others_are_no_partitions(digits, tmp_path):
    X = digits[0][:300]
    arguments = {"n_partitions": 8, "random_state": 0, "directory": tmp_path}
    expected = lq.base_partitions(X, 10, **arguments)
    first, second = (tmp_path / f"partitions-00{i}.npy" for i in range(2))
    np.save(first, np.load(first) + 1)  # without a digest
    np.testing.assert_array_equal(lq.base_partitions(X, 10, **arguments), expected)
    first.write_bytes(second.read_bytes())  # of another number
    np.testing.assert_array_equal(lq.base_partitions(X, 10, **arguments), expected)
    first.unlink()
    first.mkdir()
    with pytest.raises(ValueError, match=r"partitions-000.npy must be a file of partitions"):
        lq.base_partitions(X, 10, **arguments)


def test_partitions_by_clusterers_are_kept_too(four_blobs, tmp_path):
    arguments = {"clusterers": [KMeans(4, n_init=1), KMeans(6, n_init=1)], "random_state": 0}
    first = lq.base_partitions(four_blobs[0], 4, directory=tmp_path, **arguments)
    assert np.load(tmp_path / "partitions-001.npy").shape == (300, 1)
    (tmp_path / "partitions-001.npy").unlink()
    again = lq.base_partitions(four_blobs[0], 4, directory=tmp_path, **arguments)
    np.testing.assert_array_equal(again, first)


def test_a_folder_with_the_partitions_of_another_call_is_refused(digits, tmp_path):
    X = digits[0][:300]
    arguments = {"n_partitions": 4, "directory": tmp_path}
    lq.base_partitions(X, 10, random_state=0, **arguments)
    with pytest.raises(
        ValueError, match=r"partitions of the same call, .*whose call differs in random_state"
    ):
        lq.base_partitions(X, 10, random_state=1, **arguments)
    with pytest.raises(ValueError, match="whose call differs in content"):
        lq.base_partitions(X + 1e-3 * X**2, 10, random_state=0, **arguments)
    with pytest.raises(ValueError, match=r"random_state must be an int .*, got None"):
        lq.base_partitions(X, 10, **arguments)


def words(groups):
    """Bags of three of the five words of each sample's group: all stored values are 1."""
    rng = np.random.default_rng(3)
    columns = np.concatenate([rng.choice(5, 3, replace=False) + 5 * group for group in groups])
    rows = np.repeat(np.arange(len(groups)), 3)
    return scipy.sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), (len(groups), 10))


def clusterers(start=None):
    return [KMeans(4, n_init=1), KMeans(4, n_init=1, init="random" if start is None else start)]


GROUPS = np.repeat([0, 1], 20)
STARTS = np.random.default_rng(0).normal(size=(4, 400))
OTHER_STARTS = STARTS + np.eye(4, 400, 200)  # their repr, shortened, is that of STARTS
WIDE = np.random.default_rng(1).normal(size=(40, 400))
NUMBERS = np.round(np.random.default_rng(2).normal(size=(20, 2)), 3).astype(object)


@pytest.mark.parametrize(
    "X, models, other_X, other_models, name",
    [
        (words(GROUPS), clusterers(), words(GROUPS[::-1]), clusterers(), "content"),
        (words(GROUPS), None, words(GROUPS[::-1]), None, "content"),
        (WIDE, clusterers(STARTS), WIDE, clusterers(OTHER_STARTS), "clusterers"),
        (WIDE, clusterers(), WIDE, clusterers()[:1], "clusterers"),
        (NUMBERS, clusterers(), NUMBERS * 2, clusterers(), "content"),
        (NUMBERS.tolist(), clusterers(), (NUMBERS * 2).tolist(), clusterers(), "content"),
    ],
)
def test_calls_are_compared_by_value(tmp_path, X, models, other_X, other_models, name):
    arguments = {"n_partitions": 4, "directory": tmp_path, "random_state": 0}
    first = lq.base_partitions(X, 2, clusterers=models, **arguments)
    equal = copy.deepcopy(X), copy.deepcopy(models)
    np.testing.assert_array_equal(
        first, lq.base_partitions(equal[0], 2, clusterers=equal[1], **arguments)
    )
    with pytest.raises(ValueError, match=f"whose call differs in {name}$"):
        lq.base_partitions(other_X, 2, clusterers=other_models, **arguments)


def test_frames_are_compared_by_value(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(WIDE).rename(columns=str)
    arguments = {"clusterers": clusterers(), "directory": tmp_path, "random_state": 0}
    first = lq.base_partitions(frame, 2, **arguments)
    np.testing.assert_array_equal(first, lq.base_partitions(frame.copy(), 2, **arguments))
    with pytest.raises(ValueError, match=r"whose call differs in content$"):
        lq.base_partitions(frame.assign(**{"3": 0.0}), 2, **arguments)


def test_partitions_of_another_call_are_not_taken_for_those_of_this_one(tmp_path):
    arguments = {"clusterers": clusterers(), "directory": tmp_path, "random_state": 0}
    expected = lq.base_partitions(WIDE, 2, clusterers=clusterers(), random_state=0)
    lq.base_partitions(WIDE[::-1], 2, **arguments)
    (tmp_path / "settings.json").unlink()
    np.testing.assert_array_equal(lq.base_partitions(WIDE, 2, **arguments), expected)


def test_clusterers_that_cannot_be_compared_are_refused_with_a_directory(tmp_path):
    model = KMeans(2, init=(x for x in ()))
    with pytest.raises(TypeError, match=r"clusterers must hold values .* leave out the directory"):
        lq.base_partitions(WIDE, 2, clusterers=model, directory=tmp_path, random_state=0)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"version": 2}', b"\xff", b"[" * 9999]
)
def test_damaged_settings_are_named(tmp_path, content):
    arguments = {"clusterers": clusterers(), "directory": tmp_path, "random_state": 0}
    lq.base_partitions(WIDE, 2, **arguments)
    (tmp_path / "settings.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"settings\.json is damaged .*: use an empty folder"):
        lq.base_partitions(WIDE, 2, **arguments)


def test_clusterers_of_scikit_learn(four_blobs):
    X, classes = four_blobs[0].copy(), four_blobs[1]
    X[::50] += 100 * np.arange(6)[:, None] + 50
    partitions = lq.base_partitions(
        X, 4, clusterers=[KMeans(4, n_init=1), KMeans(6, n_init=1), HDBSCAN(30, copy=True)]
    )
    assert partitions.shape == (300, 3)
    assert partitions[:, 2].min() == -1  # noise abstains
    assert lq.clustering_accuracy(classes, lq.consensus(partitions, 4)) > 0.9


@pytest.mark.parametrize("scale, shift", [(1e-20, 0), (1e20, 0), (1, 1e6)])
def test_scale_and_offset_do_not_matter(four_blobs, scale, shift):
    X, classes = four_blobs
    partitions = lq.base_partitions(X * scale + shift, 4, n_partitions=4, random_state=0)
    assert lq.clustering_accuracy(classes, lq.consensus(partitions, 4)) == 1


@pytest.mark.parametrize(
    "X", [np.zeros((50, 3)), np.ones((3, 1)), scipy.sparse.csr_array(np.eye(20))]
)
def test_tiny_data_and_data_without_structure_work(X):
    partitions = lq.base_partitions(X, 2, n_partitions=8, random_state=0)
    assert partitions.shape == (X.shape[0], 8)
    assert partitions.min() == 0


def test_given_partitions_are_numbered_from_0():
    given = module.given_partitions([[5, 9, -3, 5], [-1, 2, 2, 0]], 4)
    np.testing.assert_array_equal(given.T, [[0, 1, -1, 0], [-1, 1, 1, 0]])
    assert given.dtype == np.int32
    with pytest.raises(ValueError, match=r"partitions must have 5 rows.* got 4"):
        module.given_partitions([[5, 9, -3, 5]], 5)


class WithoutIntegers(KMeans):
    def fit_predict(self, X, y=None, sample_weight=None):
        return np.zeros(len(X))


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"n_clusters": 0}, ValueError, "n_clusters must be .*, got 0"),
        ({"n_clusters": (5, 2)}, ValueError, r"n_clusters must be .*fewest, most.* got \(5, 2\)"),
        ({"n_partitions": -1}, ValueError, "n_partitions must be .*, got -1"),
        ({"X": np.full((5, 2), np.nan)}, ValueError, "X .*NaN"),
        ({"X": np.zeros((2, 2))}, ValueError, "X must have at least 3 samples, got 2"),
        ({"clusterers": [3]}, TypeError, r"clusterers\[0\] must be a clusterer .*, got 3"),
        ({"clusterers": WithoutIntegers()}, TypeError, r"clusterers\[0\] must return .*float64"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    arguments = {"X": np.zeros((5, 2)), "n_clusters": 2} | arguments
    with pytest.raises(error, match=message):
        lq.base_partitions(arguments.pop("X"), arguments.pop("n_clusters"), **arguments)
