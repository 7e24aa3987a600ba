"""Ballots equal the same counts on all samples, made without signatures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from labelquorum._shared.arguments import as_columns
from labelquorum.clustering.ballots import Ballots
from oracle import cluster_members, cluster_reliability
from strategies import share


@st.composite
def votes(draw):
    """Partitions of 6 to 20 samples; the first one has a cluster for every sample."""
    n = draw(st.integers(6, 20))
    shape = (n, draw(st.integers(2, 5)))
    partitions = draw(arrays(np.int64, shape, elements=st.integers(-1, 2)))
    partitions[:, 0] = partitions[:, 0].clip(0)
    return partitions


def made(partitions, known=None):
    return Ballots.of(as_columns(partitions), 1, known=known)


@given(votes())
def test_signatures_are_sorted_by_count_and_expand_to_the_samples(partitions):
    ballots = made(partitions)
    np.testing.assert_array_equal(ballots.expand(ballots.signatures), partitions)
    np.testing.assert_array_equal(ballots.counts, np.bincount(ballots.ids))
    keys = [(-n, *row) for n, row in zip(ballots.counts, ballots.signatures.tolist(), strict=True)]
    assert keys == sorted(keys)
    assert len(ballots) == len(np.unique(partitions, axis=0))


@share(0.5)
@given(votes())
def test_clusters_and_their_weights_equal_the_naive_ones(partitions):
    ballots = made(partitions)
    members, partition_of = cluster_members(partitions)
    np.testing.assert_array_equal(ballots.expand(ballots.members.toarray()), members)
    np.testing.assert_array_equal(ballots.partition_of, partition_of)
    np.testing.assert_array_equal(ballots.sizes, members.sum(axis=0))
    np.testing.assert_allclose(ballots.surprise(), -np.log(members.mean(axis=0)), atol=1e-12)
    np.testing.assert_allclose(
        ballots.reliability(), cluster_reliability(members, partition_of), atol=1e-9
    )


@given(votes(), st.data())
def test_shares_equal_the_naive_ones(partitions, data):
    ballots = made(partitions)
    n_categories = data.draw(st.integers(1, 3))
    categories = data.draw(
        arrays(np.int32, len(ballots), elements=st.integers(-1, n_categories - 1))
    )
    categories[0] = n_categories - 1
    members, _ = cluster_members(partitions)
    similarity = (members * ballots.weights) @ members.T
    np.fill_diagonal(similarity, 0)
    one_hot = np.eye(n_categories + 1)[ballots.expand(categories)][:, :n_categories]
    n_others = np.maximum(one_hot.sum(axis=0) - one_hot, 1)
    shared = similarity @ one_hot / n_others
    totals = shared.sum(axis=1, keepdims=True)
    if (totals < 1e-6).any():
        return  # rounding decides
    np.testing.assert_allclose(
        ballots.expand(ballots.shares(categories)), shared / totals, atol=1e-5
    )


def test_a_signature_that_shares_nothing_has_equal_shares():
    ballots = made([[0, 0, 1, 1, 2], [3, 3, 4, 4, -1]])
    shares = ballots.weighted(np.ones(5)).shares(np.arange(3))
    np.testing.assert_allclose(shares[ballots.ids[4]], [1 / 3] * 3)


def test_known_categories_keep_signatures_apart_and_in_place():
    known = np.array([-1, -1, 1, 0, -1, -1], dtype=np.int32)
    ballots = made([[5, 5, 5, 5, 6, 6], [7, 7, 7, 7, 8, 8]], known)
    assert len(ballots) == 4
    np.testing.assert_array_equal(ballots.expand(ballots.known), known)
    np.testing.assert_array_equal(ballots.signatures[ballots.ids[2]], [5, 7])
    clusters = np.empty(4, dtype=np.int32)
    clusters[ballots.ids] = [2, 2, 0, 1, 3, 3]  # the numbers do not matter
    labels = ballots.expand(ballots.reassigned(clusters))
    assert (labels[3], labels[2]) == (0, 1)  # known categories come first, in their order


def test_reassigned_signatures_go_where_they_share_most_and_no_cluster_is_emptied():
    partitions = np.array([[0, 0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, -1]]).T
    ballots = made(partitions)
    clusters = np.empty(len(ballots), dtype=np.int32)
    clusters[ballots.ids] = [0, 0, 0, 1, 1, 1, 1]
    labels = ballots.expand(ballots.reassigned(clusters))
    np.testing.assert_array_equal(labels, [0, 0, 0, 0, 1, 1, 1])
    clusters[ballots.ids] = [0, 0, 0, 1, 0, 0, 0]
    assert set(ballots.reassigned(clusters)) == {0, 1}


def test_samples_without_votes_have_no_cluster():
    ballots = made([[0, 0, 1, -1], [0, 0, 1, -1]])
    labels = ballots.expand(ballots.reassigned(np.zeros(len(ballots), dtype=np.int32)))
    np.testing.assert_array_equal(labels, [0, 0, 0, -1])


@share(0.5)
@given(votes())
def test_a_part_equals_the_ballots_of_these_signatures_and_partitions(partitions):
    ballots = made(partitions)
    signatures = np.arange(0, len(ballots), 2)
    columns = np.array([1, 0])
    part = ballots.part(signatures, columns)
    kept = np.isin(ballots.ids, signatures)
    expected = made(partitions[kept][:, columns])
    np.testing.assert_array_equal(
        part.expand(part.signatures), ballots.signatures[np.ix_(signatures, columns)]
    )
    np.testing.assert_array_equal(part.signatures, expected.signatures)
    np.testing.assert_array_equal(part.counts, expected.counts)
    np.testing.assert_allclose(part.weights, expected.weights)


def test_weighted_ballots_leave_the_original_as_it_is():
    ballots = made([[0, 0, 1], [0, 1, 1]])
    weights = ballots.weights.copy()
    other = ballots.weighted(np.zeros(4))
    np.testing.assert_array_equal(ballots.weights, weights)
    np.testing.assert_array_equal(other.weights, 0)
    assert other.members is ballots.members


@pytest.mark.parametrize("n_threads", [1, 3])
def test_the_number_of_threads_does_not_matter(n_threads):
    partitions = np.random.default_rng(0).integers(-1, 5, size=(5000, 4))
    ballots = Ballots.of(as_columns(partitions), n_threads)
    np.testing.assert_array_equal(ballots.ids, made(partitions).ids)


@share(0.5)
@given(votes(), st.data())
def test_no_cluster_is_emptied_whatever_the_votes(partitions, data):
    ballots = made(partitions)
    drawn = data.draw(arrays(np.int32, len(ballots), elements=st.integers(0, 4)))
    names, clusters = np.unique(drawn, return_inverse=True)  # numbered without gaps
    assert len(np.unique(ballots.reassigned(clusters))) == len(names)
