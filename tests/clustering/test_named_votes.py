"""Votes with names in ConsensusClusterer: what is believed, what is not, and what is reported."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import make_blobs

import labelquorum as lq

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
    assert np.isnan(model.reliability_).all()


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
