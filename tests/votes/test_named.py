"""The array that combine_votes returns: names and weights follow its rows and columns."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import labelquorum as lq


@pytest.fixture
def votes():
    columns = [[5, 5, 7], ["b", None, "a"], ["c", "c", None]]
    return lq.combine_votes(columns, weights=[1, 2, 0.5])


def test_names_and_weights_are_kept(votes):
    assert votes.names == (None, ("a", "b"), ("c",))
    assert votes.weights == (1.0, 2.0, 0.5)
    assert votes.tolist() == [[0, 1, 0], [0, -1, 0], [1, 0, -1]]
    assert lq.combine_votes([[0, 1]]).weights == (1.0,)


@pytest.mark.parametrize(
    "key, places",
    [
        (slice(1, 3), [0, 1, 2]),
        (np.array([2, 0]), [0, 1, 2]),
        ([True, False, True], [0, 1, 2]),
        ((slice(None), slice(None, None, -1)), [2, 1, 0]),
        ((slice(None), [1]), [1]),
        ((slice(None), np.array([True, False, True])), [0, 2]),
    ],
)
def test_rows_and_columns_keep_theirs(votes, key, places):
    part = votes[key]
    np.testing.assert_array_equal(part, np.asarray(votes)[key])
    assert part.names == tuple(votes.names[i] for i in places)
    assert part.weights == tuple(votes.weights[i] for i in places)


@pytest.mark.parametrize("key", [0, (0, 1), (slice(None), 1), (..., 1), np.s_[:, None, :]])
def test_other_parts_are_plain(votes, key):
    part = votes[key]
    np.testing.assert_array_equal(part, np.asarray(votes)[key])
    assert not hasattr(part, "names")


def test_copies_and_pickles_are_the_same(votes):
    for other in (
        votes.copy(),
        copy.copy(votes),
        copy.deepcopy(votes),
        pickle.loads(pickle.dumps(votes)),
    ):
        np.testing.assert_array_equal(other, votes)
        assert (other.names, other.weights) == (votes.names, votes.weights)


def test_results_of_computations_are_plain(votes):
    assert type(votes + 1) is np.ndarray
    assert votes.max() == 1


@pytest.mark.parametrize(
    "changed",
    [
        lambda votes: votes.astype(np.int64),
        lambda votes: votes.view(),
        lambda votes: votes.reshape(votes.shape),
        lambda votes: votes.T.T,
    ],
)
def test_arrays_of_another_type_or_shape_are_partitions_like_any(changed):
    truth = np.arange(60) % 3
    votes = lq.combine_votes([truth, np.array(["a", "b", "c"])[truth], truth], weights=[2, 1, 0])
    plain = np.asarray(votes)
    other = changed(votes)
    np.testing.assert_array_equal(lq.consensus(other, 3), lq.consensus(plain, 3))
    np.testing.assert_array_equal(
        lq.LabelModel().fit(other).labels_, lq.LabelModel().fit(plain).labels_
    )
    model = lq.ConsensusClusterer(3).fit(truth[:, None], partitions=other)
    assert model.classes_.tolist() == [0, 1, 2]
    assert model.partition_weights_.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "weights, error, message",
    [
        ([1, 2], ValueError, r"weights must have shape \(3,\)"),
        ([1, 2, -1], ValueError, "weights must be finite, at least 0"),
        ([1, 2, np.nan], ValueError, "weights must be finite"),
        ([0, 0, 0], ValueError, "not all 0"),
        (["a", "b", "c"], TypeError, "weights must hold numbers"),
    ],
)
def test_bad_weights_are_refused(weights, error, message):
    with pytest.raises(error, match=message):
        lq.combine_votes([[0], [1], [2]], weights=weights)


def test_a_column_of_weight_0_does_not_count():
    rng = np.random.default_rng(0)
    truth = rng.integers(4, size=300)
    good = [np.where(rng.random(300) < 0.1, rng.integers(4, size=300), truth) for _ in range(6)]
    other = rng.permutation(truth)
    with_it = lq.combine_votes([*good, other], weights=[1] * 6 + [0])
    np.testing.assert_array_equal(lq.consensus(with_it, 4), lq.consensus(lq.combine_votes(good), 4))
    heavy = lq.combine_votes([*good, other], weights=[0.001] * 6 + [1])
    assert lq.clustering_accuracy(other, lq.consensus(heavy, 4)) > 0.9
