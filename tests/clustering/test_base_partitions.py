"""base_partitions: many clusterings, repeatable and resumable."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.datasets import make_blobs

import labelquorum as lq
from labelquorum.clustering import base_partitions as ensemble


def test_partitions_differ_and_each_knows_much_of_the_classes(digits):
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


def test_the_same_for_any_number_of_threads_and_another_for_another_seed(digits):
    X = digits[0][:600]
    one = lq.base_partitions(X, 10, n_partitions=8, random_state=0, n_jobs=1)
    np.testing.assert_array_equal(
        one, lq.base_partitions(X, 10, n_partitions=8, random_state=0, n_jobs=3)
    )
    assert (one != lq.base_partitions(X, 10, n_partitions=8, random_state=1)).any()


def test_views_of_many_samples_look_at_some_and_extend_to_all(digits, monkeypatch, tmp_path):
    X, classes = digits
    monkeypatch.setattr(ensemble, "_MAX_ROWS_PER_VIEW", 700)
    looked_at = []
    extended = ensemble._extended

    def watched(part, rows, chosen, n_threads):
        found = extended(part, rows, chosen, n_threads)
        looked_at.append(chosen)
        np.testing.assert_array_equal(found[chosen], part)
        others = np.setdiff1d(np.arange(len(rows)), chosen)
        gaps = rows[others, None] - rows[chosen][None]
        nearest = np.einsum("ijk,ijk->ij", gaps, gaps).argmin(axis=1)
        assert (found[others] == part[nearest]).mean() > 0.95  # found with a recall
        return found

    monkeypatch.setattr(ensemble, "_extended", watched)
    partitions = lq.base_partitions(X, 10, n_partitions=12, random_state=0)
    assert [len(chosen) for chosen in looked_at] == [700] * 3
    assert len(np.intersect1d(looked_at[0], looked_at[1])) < 500
    assert lq.clustering_accuracy(classes, lq.consensus(partitions, 10)) > 0.8
    np.testing.assert_array_equal(
        partitions,
        lq.base_partitions(X, 10, n_partitions=12, random_state=0, directory=tmp_path, n_jobs=3),
    )


def test_finished_partitions_are_kept_and_gone_on_from(digits, tmp_path):
    X = digits[0][:600]
    arguments = {"n_partitions": 12, "random_state": 0}
    expected = lq.base_partitions(X, 10, **arguments)
    first = lq.base_partitions(X, 10, directory=tmp_path, **arguments)
    np.testing.assert_array_equal(first, expected)
    (tmp_path / "partitions-001.npy").unlink()
    changed = np.load(tmp_path / "partitions-000.npy") + 1
    np.save(tmp_path / "partitions-000.npy", changed)
    again = lq.base_partitions(X, 10, directory=tmp_path, **arguments)
    np.testing.assert_array_equal(again[:, :4], changed)  # read, not made anew
    np.testing.assert_array_equal(again[:, 4:], expected[:, 4:])


def test_a_folder_of_another_call_is_refused(digits, tmp_path):
    X = digits[0][:300]
    lq.base_partitions(X, 10, n_partitions=4, random_state=0, directory=tmp_path)
    with pytest.raises(ValueError, match="partitions of another call: other random_state"):
        lq.base_partitions(X, 10, n_partitions=4, random_state=1, directory=tmp_path)
    with pytest.raises(ValueError, match="other content"):
        lq.base_partitions(X + 1e-3 * X**2, 10, n_partitions=4, random_state=0, directory=tmp_path)
    with pytest.raises(ValueError, match="random_state is None; wanted an int"):
        lq.base_partitions(X, 10, directory=tmp_path)


def test_clusterers_of_scikit_learn():
    X, classes = make_blobs(300, 4, centers=4, random_state=0)
    X[::50] += 100 * np.arange(6)[:, None] + 50
    partitions = lq.base_partitions(
        X, 4, clusterers=[KMeans(4, n_init=1), KMeans(6, n_init=1), HDBSCAN(30, copy=True)]
    )
    assert partitions.shape == (300, 3)
    assert partitions[:, 2].min() == -1  # noise abstains
    assert lq.clustering_accuracy(classes, lq.consensus(partitions, 4)) > 0.9


@pytest.mark.parametrize("scale, shift", [(1e-20, 0), (1e20, 0), (1, 1e6)])
def test_scale_and_place_do_not_matter(scale, shift):
    X, classes = make_blobs(300, 4, centers=4, random_state=0)
    partitions = lq.base_partitions(X * scale + shift, 4, n_partitions=4, random_state=0)
    assert lq.clustering_accuracy(classes, lq.consensus(partitions, 4)) == 1


@pytest.mark.parametrize(
    "X", [np.zeros((50, 3)), np.ones((3, 1)), scipy.sparse.csr_array(np.eye(20))]
)
def test_structureless_and_tiny_data_do_no_harm(X):
    partitions = lq.base_partitions(X, 2, n_partitions=8, random_state=0)
    assert partitions.shape == (X.shape[0], 8)
    assert partitions.min() == 0


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"n_clusters": 0}, ValueError, "n_clusters must be an integer of at least 1, got 0"),
        ({"n_clusters": (5, 2)}, ValueError, "wanted the fewest first"),
        ({"n_partitions": -1}, ValueError, "n_partitions must be an integer of at least 1, got -1"),
        ({"X": np.full((5, 2), np.nan)}, ValueError, "X must be.* got NaN at row 0, column 0"),
        ({"X": np.zeros((2, 2))}, ValueError, "n_samples = 2"),
        ({"clusterers": [3]}, TypeError, r"clusterers\[0\] is 3"),
    ],
)
def test_bad_arguments_are_named(arguments, error, message):
    arguments = {"X": np.zeros((5, 2)), "n_clusters": 2} | arguments
    with pytest.raises(error, match=message):
        lq.base_partitions(arguments.pop("X"), arguments.pop("n_clusters"), **arguments)
