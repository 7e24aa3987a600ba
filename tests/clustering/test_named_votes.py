"""Votes with names in ConsensusClusterer: what is believed, what is not, and what is reported."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn.datasets import make_blobs

import labelquorum as lq
from labelquorum.clustering import named_votes
from labelquorum.clustering.named_votes import believed, experts_of, useful_voters

NAMES = np.array(["apple", "berry", "cherry", "date", None], dtype=object)


@pytest.fixture(scope="module")
def data():
    X, truth = make_blobs(400, 8, centers=4, cluster_std=4.0, random_state=0)
    return X, truth


def answers(truth, share, wrong, seed=0, n_names=4):
    rng = np.random.default_rng(seed)
    given = np.full(len(truth), -1)
    chosen = rng.choice(len(truth), round(share * len(truth)), replace=False)
    given[chosen] = truth[chosen]
    flipped = rng.choice(chosen, round(wrong * len(chosen)), replace=False)
    given[flipped] = (given[flipped] + rng.integers(1, n_names, len(flipped))) % n_names
    return given


def fit(X, **arguments):
    return lq.ConsensusClusterer(4, n_partitions=8, random_state=0).fit(X, **arguments)


@pytest.mark.parametrize("share", [0.3, 1.0])
@pytest.mark.parametrize("wrong", [0.05, 0.3])
def test_wrong_answers_are_overruled(data, share, wrong):
    X, truth = data
    given = answers(truth, share, wrong)
    model = fit(X, votes=NAMES[given])
    answered = given >= 0
    right = model.labels_ == NAMES[truth]
    assert right[answered].mean() > (given == truth)[answered].mean() + wrong / 2
    assert model.reliability_[0] == pytest.approx(1 - wrong, abs=0.08)
    by_y = fit(X, y=NAMES[given]).labels_ == NAMES[truth]
    assert right.mean() >= by_y.mean() - 0.02


def test_names_of_combined_votes_survive_into_labels(data):
    X, truth = data
    partitions = lq.base_partitions(X, 4, n_partitions=8, random_state=0)
    votes = lq.combine_votes([partitions, NAMES[answers(truth, 0.3, 0.15)]])
    model = fit(X, partitions=votes)
    assert model.classes_.tolist() == NAMES[:4].tolist()
    assert (model.labels_ == NAMES[truth]).mean() > 0.9
    assert model.partition_weights_.tolist() == [1] * 8 + [0]


def test_integers_are_names_among_votes_and_keep_their_values(data):
    X, truth = data
    given = answers(truth, 0.3, 0.15)
    model = fit(X, votes=np.where(given >= 0, 10 * given + 10, -1))
    assert model.classes_.tolist() == [10, 20, 30, 40]


def test_votes_use_the_names_of_y_which_stay(data):
    X, truth = data
    y = np.where(np.arange(len(X)) % 40 == 0, truth, -1)
    y[0] = (truth[0] + 1) % 4
    model = fit(X, y=NAMES[y], votes=NAMES[answers(truth, 0.3, 0.15)])
    assert (model.labels_[y >= 0] == NAMES[y[y >= 0]]).all()
    with pytest.raises(TypeError, match="votes and y must be all names or all integers, got both"):
        fit(X, y=y, votes=NAMES[answers(truth, 0.3, 0.15)])


def test_a_group_gets_one_name(data):
    X, truth = data
    groups = np.arange(len(X)) // 2
    X, truth = X[np.argsort(truth, kind="stable")], np.sort(truth)
    model = fit(X, votes=NAMES[answers(truth, 0.5, 0.2)], groups=groups)
    assert (model.labels_[::2] == model.labels_[1::2]).all()


def test_a_group_of_two_names_gets_one_even_if_votes_are_few():
    X, truth = make_blobs(60, 4, centers=4, random_state=0)
    X, truth = X[np.argsort(truth, kind="stable")], np.sort(truth)
    names = np.array(["apple", "berry", "cherry", "date", "elder", "fig"])[truth].astype(object)
    names[::3] = None
    names[[1, 5]] = ["elder", "fig"]  # each said only once, and one of a group of two
    groups = np.where(np.arange(60) // 2 < 3, np.arange(60) // 2, -1)
    model = lq.ConsensusClusterer(6, n_partitions=8, random_state=0)
    labels = model.fit(X, votes=names, groups=groups).labels_
    assert (labels[[0, 2, 4]] == labels[[1, 3, 5]]).all()
    assert labels[[1, 5]].tolist() == ["elder", "fig"]


def test_noise_changes_nothing_and_is_reported(data):
    X, _ = data
    rng = np.random.default_rng(0)
    partitions = lq.base_partitions(X, 4, n_partitions=8, random_state=0)
    plain = fit(X, partitions=partitions)
    with pytest.warns(UserWarning, match="changes nothing") as caught:
        model = fit(
            X,
            partitions=np.column_stack([partitions, rng.integers(20, size=(len(X), 2))]),
            votes=NAMES[rng.integers(4, size=len(X))],
        )
    messages = [str(warning.message) for warning in caught]
    assert [message.split(" changes")[0] for message in messages] == [
        "partitions[:, 8]",
        "partitions[:, 9]",
        "votes: voter 0",
    ]
    np.testing.assert_array_equal(model.labels_, plain.labels_)
    assert model.partition_weights_.tolist() == [1] * 8 + [0] * 2
    assert model.history_[0]["n_partitions"] == 8
    assert np.isnan(model.reliability_).all()


@pytest.mark.parametrize("constant", [0, -1])
def test_a_constant_column_changes_nothing_and_is_reported(data, constant):
    X, truth = data
    partitions = lq.base_partitions(X, 4, n_partitions=8, random_state=0)
    given = NAMES[answers(truth, 0.3, 0.15)]
    plain = fit(X, partitions=lq.combine_votes([partitions, given]))
    with pytest.warns(UserWarning, match=r"partitions\[:, 8\] changes nothing"):
        model = fit(X, partitions=lq.combine_votes([partitions, np.full(len(X), constant), given]))
    np.testing.assert_array_equal(model.labels_, plain.labels_)
    np.testing.assert_array_equal(model.confidence_, plain.confidence_)
    assert model.partition_weights_.tolist() == [1] * 8 + [0, 0]


def test_beside_a_constant_column_alone_answers_count_as_without_it(data):
    X, truth = data
    given = NAMES[answers(truth, 0.3, 0.15)]
    plain = fit(X, votes=given)
    with pytest.warns(UserWarning, match="it puts all samples together"):
        model = fit(X, partitions=lq.combine_votes([np.zeros(len(X), dtype=int), given]))
    np.testing.assert_array_equal(model.labels_, plain.labels_)


def test_constant_partitions_count_if_there_is_nothing_else(data):
    X, _ = data
    with pytest.warns(UserWarning, match="tell only 1 category") as caught:
        model = fit(X, partitions=np.zeros((len(X), 2), dtype=int))
    assert len(caught) == 1
    assert model.n_clusters_ == 1
    assert model.partition_weights_.tolist() == [1, 1]


@pytest.mark.parametrize("share", [0.2, 0.5])
@pytest.mark.parametrize("share_of_other", [0.0, 0.2])
def test_a_voter_that_nearly_always_says_the_same_is_reported(data, share, share_of_other):
    X, truth = data
    rng = np.random.default_rng(0)
    same = np.where(rng.random(len(X)) < share_of_other, rng.integers(4, size=len(X)), 0)
    given = [NAMES[answers(truth, share, 0.1)], NAMES[same]]
    with pytest.warns(UserWarning, match="voter 1 changes nothing"):
        model = fit(X, votes=given)
    np.testing.assert_array_equal(model.labels_, fit(X, votes=given[0]).labels_)


def test_more_names_than_wanted_are_kept_with_a_warning(data):
    X, truth = data
    model = lq.ConsensusClusterer(2, n_partitions=8, random_state=0)
    with pytest.warns(UserWarning, match="n_clusters is 2, but y and votes name 4 categories"):
        model.fit(X, votes=NAMES[answers(truth, 0.5, 0.1)])
    assert model.n_clusters_ == 4


def test_categories_that_nobody_names_are_found_beside_those_of_votes(data):
    X, truth = data
    given = answers(truth, 0.5, 0.1)
    given[truth >= 2] = -1
    given[given >= 2] = -1
    model = fit(X, votes=NAMES[given])
    assert model.classes_.tolist() == ["apple", "berry", "new 0", "new 1"]
    assert (model.labels_ == NAMES[truth])[truth < 2].mean() > 0.9
    assert lq.clustering_accuracy(truth, model.labels_) > 0.9


@pytest.mark.parametrize("n_rows", [7, 64, 399])
def test_blocks_of_any_size_give_the_same(data, monkeypatch, n_rows):
    X, truth = data
    partitions = lq.base_partitions(X, 4, n_partitions=8, random_state=0)
    voters = [answers(truth, 0.6, wrong, seed) for seed, wrong in enumerate([0.1, 0.3])]
    codes = np.stack(voters, axis=1).astype(np.int32)
    known = np.where(np.arange(len(X)) % 50 == 0, truth, -1).astype(np.int32)

    def judged():
        return believed(codes, 4, experts_of(X, list(partitions.T), 1), known)

    whole = judged()
    monkeypatch.setattr(named_votes, "_ROWS_PER_BLOCK", n_rows)
    monkeypatch.setattr("labelquorum.votes.label_model._ROWS_PER_BLOCK", n_rows)
    in_blocks = judged()
    np.testing.assert_allclose(in_blocks.shares, whole.shares, atol=1e-4)
    np.testing.assert_allclose(in_blocks.reliability, whole.reliability, atol=1e-4)
    np.testing.assert_array_equal(in_blocks.shares[known >= 0].argmax(axis=1), known[known >= 0])


def test_memory_is_a_few_floats_for_each_sample_and_name(monkeypatch):
    """200,000 answers with 150 names then take less than 1 GB: 8 floats of 4 bytes each."""
    n_samples, n_names = 5_000, 150
    rng = np.random.default_rng(0)
    truth = rng.integers(n_names, size=n_samples)
    rows = rng.normal(size=(n_names, 8)).astype(np.float32)[truth]
    codes = np.where(rng.random((n_samples, 1)) < 0.2, 0, truth[:, None]).astype(np.int32)
    partitions = [np.where(rng.random(n_samples) < 0.3, 0, truth) for _ in range(4)]
    monkeypatch.setattr(named_votes, "_ROWS_PER_BLOCK", 256)
    monkeypatch.setattr("labelquorum.votes.label_model._ROWS_PER_BLOCK", 256)
    monkeypatch.setattr(named_votes, "_N_ROUNDS", 1)
    monkeypatch.setattr(named_votes, "_N_STEPS", 2)
    tracemalloc.start()
    experts = experts_of(rows, partitions, 1)
    assert useful_voters(codes, n_names, experts).all()
    believed(codes, n_names, experts)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * 4 * n_samples * n_names


def test_a_voter_of_noise_does_not_harm_another_one(data):
    X, truth = data
    good = NAMES[answers(truth, 0.5, 0.1)]
    noise = NAMES[np.random.default_rng(1).integers(4, size=len(X))]
    alone = fit(X, votes=[good])
    with pytest.warns(UserWarning, match="voter 1 changes nothing"):
        both = fit(X, votes=[good, noise])
    assert (both.labels_ == NAMES[truth]).mean() >= (alone.labels_ == NAMES[truth]).mean() - 0.02
    assert np.isnan(both.reliability_).tolist() == [False, True]


def test_neither_the_order_of_voters_nor_threads_matter(data):
    X, truth = data
    voters = [NAMES[answers(truth, 0.4, wrong, seed)] for seed, wrong in enumerate([0.1, 0.3])]
    model = fit(X, votes=voters)
    other = lq.ConsensusClusterer(4, n_partitions=8, random_state=0, n_jobs=2)
    other.fit(X, votes=voters[::-1])
    np.testing.assert_array_equal(model.labels_, other.labels_)
    np.testing.assert_allclose(model.reliability_, other.reliability_[::-1], atol=1e-6)


def test_votes_must_fit_the_samples(data):
    X, truth = data
    with pytest.raises(ValueError, match="votes must have 400 samples, one for each row of X"):
        fit(X, votes=NAMES[truth[:10]])


def test_votes_without_any_name_are_reported(data):
    X, _ = data
    with pytest.warns(UserWarning, match="voter 0 changes nothing"):
        model = fit(X, votes=[None] * len(X))
    assert model.labels_.dtype.kind == "i"


def test_names_with_too_few_votes_to_judge_are_kept():
    rng = np.random.default_rng(0)
    X, truth = make_blobs(600, 8, centers=30, cluster_std=2.0, random_state=0)
    names = np.array([*(f"name {i:02}" for i in range(30)), None], dtype=object)
    given = np.full(600, -1)
    for category in range(30):
        n = 1 if category < 5 else 5
        given[rng.choice(np.flatnonzero(truth == category), n, replace=False)] = category
    model = lq.ConsensusClusterer(30, n_partitions=8, random_state=0).fit(X, votes=names[given])
    assert model.classes_.tolist() == names[:30].tolist()
    assert (model.labels_ == names[truth]).mean() > 0.9
