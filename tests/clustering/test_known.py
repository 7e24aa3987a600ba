"""Known categories are recognized where both the classifier and the votes say so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.linear_model import LogisticRegression

import labelquorum as lq
from labelquorum._shared.arguments import as_columns
from labelquorum._shared.frame import Frame
from labelquorum.clustering.ballots import Ballots
from labelquorum.clustering.known import FEWEST_JUDGED, recognized, relative_density
from strategies import share

RNG = np.random.default_rng(0)


def recognize(X, y, partitions, *, level=0.5, n_clusters=None):
    known = np.asarray(y, dtype=np.int32)
    ballots = Ballots.of(as_columns(partitions), 1, known=known)
    framed = Frame.fit(np.asarray(X, dtype=np.float64), 0, known)
    return recognized(framed, ballots, level, n_clusters or known.max() + 2, 1).members


def labels_of_some(classes, n_known, share_labeled, seed=0):
    """Label a share of the samples of the first categories."""
    drawn = np.random.default_rng(seed).random(len(classes)) < share_labeled
    return np.where((classes < n_known) & drawn, classes, -1).astype(np.int32)


def noisy_votes(classes, n_partitions=12, wrong=0.1, seed=0):
    rng = np.random.default_rng(seed)
    shape = (len(classes), n_partitions)
    others = rng.integers(0, classes.max() + 1, shape)
    return np.where(rng.random(shape) < wrong, others, classes[:, None])


@pytest.fixture(scope="module")
def near_pairs():
    """Samples of six classes, each known one beside a new one, and their votes."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 6, 1800)
    centers = 8 * np.eye(8)[classes % 3]
    centers[:, 7] = 5.0 * (classes >= 3)
    return centers + rng.normal(size=(len(classes), 8)), classes


def naive_density(partitions, y, n_known):
    """The share of labels in each sample's clusters, its own label left out: the mean of votes."""
    density = np.zeros((len(y), n_known))
    for i, row in enumerate(partitions):
        n_votes = max(1, (row >= 0).sum())
        for m in np.flatnonzero(row >= 0):
            others = (partitions[:, m] == row[m]) & (np.arange(len(y)) != i)
            labels = y[others]
            counts = np.bincount(labels[labels >= 0], minlength=n_known)
            density[i] += counts / max(1, others.sum()) / n_votes
    return density


@share(0.5)
@given(st.data())
def test_densities_of_labels_equal_the_naive_ones(data):
    n = data.draw(st.integers(4, 16))
    partitions = data.draw(arrays(np.int64, (n, 3), elements=st.integers(-1, 2)))
    y = data.draw(arrays(np.int32, n, elements=st.integers(-1, 2)))
    y[0] = 2
    ballots = Ballots.of(as_columns(partitions), 1, known=y)
    density = relative_density(ballots, 3)
    naive = naive_density(partitions, y, 3)
    own = np.flatnonzero(y >= 0)
    sums = np.bincount(y[own], naive[own, y[own]], minlength=3)
    usual = sums.sum() / len(own)
    if usual == 0:
        assert density is None
        return
    expected = naive / ((sums + usual) / (np.bincount(y[own], minlength=3) + 1))
    np.testing.assert_allclose(ballots.expand(density), expected, rtol=1e-4, atol=1e-5)


def test_a_partition_of_weight_2_is_as_dense_as_two_of_it(near_pairs):
    classes = near_pairs[1]
    y = labels_of_some(classes, 3, 0.1)
    votes = noisy_votes(classes, 3)
    votes[::7, 1] = -1
    twice = np.column_stack([votes, votes[:, 0]])
    weighted = Ballots.of(as_columns(votes), 1, known=y, weights=np.array([2.0, 1.0, 1.0]))
    expected = Ballots.of(as_columns(twice), 1, known=y)
    np.testing.assert_allclose(
        weighted.expand(relative_density(weighted, 3)),
        expected.expand(relative_density(expected, 3)),
        rtol=1e-5,
    )


def test_a_known_category_does_not_swallow_its_neighbor(near_pairs):
    X, classes = near_pairs
    y = labels_of_some(classes, 3, 0.1)
    unlabeled = y < 0
    model = lq.ConsensusClusterer(6, random_state=0).fit(X, y)
    np.testing.assert_array_equal(model.labels_[~unlabeled], y[~unlabeled])
    labels, classes = model.labels_[unlabeled], classes[unlabeled]
    assert (classes[labels < 3] == labels[labels < 3]).mean() > 0.85
    assert (labels == classes)[classes < 3].mean() > 0.9
    assert lq.clustering_accuracy(classes, labels) > 0.9


@pytest.mark.parametrize("seed", range(3))
def test_known_digits_are_about_as_right_as_by_a_classifier_and_pure(digits, seed):
    X, classes = digits
    classes = np.random.default_rng(seed).permutation(10)[classes]
    y = labels_of_some(classes, 5, 0.1, seed)
    model = lq.ConsensusClusterer(10, random_state=seed).fit(X, y)
    of_known = (y < 0) & (classes < 5)
    by_classifier = LogisticRegression(max_iter=1000).fit(X[y >= 0], y[y >= 0]).predict(X)
    right = (model.labels_ == classes)[of_known].mean()
    assert right > (by_classifier == classes)[of_known].mean() - 0.08
    in_known = (y < 0) & (model.labels_ < 5)
    assert (model.labels_ == classes)[in_known].mean() > 0.9
    assert lq.clustering_accuracy(classes[y < 0], model.labels_[y < 0]) > 0.85


def test_without_new_categories_every_sample_is_named(near_pairs):
    X, classes = near_pairs
    y = labels_of_some(classes, 6, 0.1)
    members = recognize(X, y, noisy_votes(classes), n_clusters=6)
    assert (members >= 0).all()
    assert (members == classes).mean() > 0.97
    np.testing.assert_array_equal(members[y >= 0], y[y >= 0])


def test_a_lower_level_recognizes_more(near_pairs):
    X, classes = near_pairs
    y = labels_of_some(classes, 3, 0.1)
    votes = noisy_votes(classes % 3 + 3 * (classes >= 3) * (RNG.random(len(classes)) < 0.7), 12)
    before = np.zeros(len(y), dtype=bool)
    for level in (1.0, 0.5, 0.2):
        members = recognize(X, y, votes, level=level)
        assert (members[before] >= 0).all()
        np.testing.assert_array_equal(members[y >= 0], y[y >= 0])
        before = members >= 0
        assert (members[(y < 0) & (classes < 3)] >= 0).mean() > (0.9 if level <= 0.2 else 0.2)


@pytest.mark.parametrize("X", [np.zeros((1800, 1)), np.full((1800, 1), 1e9)])
def test_votes_alone_recognize_where_features_say_nothing(near_pairs, X):
    classes = near_pairs[1]
    y = labels_of_some(classes, 3, 0.1)
    members = recognize(X, y, noisy_votes(classes))
    unlabeled = y < 0
    assert (members == classes)[unlabeled & (classes < 3)].mean() > 0.9
    assert (members[classes >= 3] < 0).mean() > 0.9


@pytest.mark.parametrize("n_known", [1, 2])
def test_one_or_two_known_categories(near_pairs, n_known):
    X, classes = near_pairs
    y = labels_of_some(classes, n_known, 0.2)
    members = recognize(X, y, noisy_votes(classes))
    assert (members == classes)[(y < 0) & (classes < n_known)].mean() > 0.9
    assert (members[classes >= n_known] < 0).mean() > 0.95


@pytest.mark.parametrize("n_of_each", [1, 2, 3])
def test_too_few_labels_teach_nothing(near_pairs, n_of_each):
    X, classes = near_pairs
    y = np.full(len(classes), -1)
    for c in range(3):
        y[np.flatnonzero(classes == c)[:n_of_each]] = c
    assert 3 * n_of_each < FEWEST_JUDGED
    assert recognize(X, y, noisy_votes(classes)) is None


def test_votes_that_say_nothing_teach_nothing(near_pairs):
    X, classes = near_pairs
    y = labels_of_some(classes, 3, 0.1)
    partitions = np.full((len(classes), 2), -1)
    partitions[y < 0] = 0
    assert recognize(X, y, partitions) is None


def test_a_category_with_a_single_label_beside_others(near_pairs):
    X, classes = near_pairs
    y = labels_of_some(classes, 2, 0.1)
    y[np.flatnonzero(classes == 2)[0]] = 2
    members = recognize(X, y, noisy_votes(classes))
    assert (members == classes)[(y < 0) & (classes < 2)].mean() > 0.9
    assert (members[classes >= 3] < 0).mean() > 0.9


@pytest.mark.parametrize("share_wrong", [0.1, 0.3])
def test_wrong_labels_cost_little_and_are_reported(near_pairs, share_wrong):
    X, classes = near_pairs
    y = labels_of_some(classes, 3, 0.2)
    wrong = (y >= 0) & (np.random.default_rng(1).random(len(y)) < share_wrong)
    y[wrong] = (y[wrong] + 1) % 3
    model = lq.ConsensusClusterer(6, random_state=0).fit(X, y)
    np.testing.assert_array_equal(model.labels_[y >= 0], y[y >= 0])
    assert lq.clustering_accuracy(classes[y < 0], model.labels_[y < 0]) > 0.9
    assert wrong[model.suspect_labels_].mean() > 0.8
    assert np.isin(np.flatnonzero(wrong), model.suspect_labels_).mean() > 0.9


def test_equal_samples_get_equal_labels(near_pairs):
    X, classes = (array[:600] for array in near_pairs)
    y = labels_of_some(classes, 3, 0.2)
    twice = lq.ConsensusClusterer(6, random_state=0, n_partitions=8).fit(
        np.concatenate([X, X]), np.concatenate([y, np.full(len(y), -1)])
    )
    np.testing.assert_array_equal(twice.labels_[:600], twice.labels_[600:])


def test_samples_that_are_not_recognized_join_where_the_votes_are_clear():
    """All share one cluster with the labeled ones, and so they do not make a new category."""
    partitions = np.repeat([0, 1, 2], 200)[:, None] * np.ones((1, 6), dtype=np.int64)
    y = np.full(600, -1)
    y[:40] = 0
    X = RNG.normal(size=(600, 3)) + 4 * partitions[:, :3]
    model = lq.ConsensusClusterer(3, known_level=1.0).fit(X, y, partitions=partitions)
    np.testing.assert_array_equal(model.labels_[:200], 0)
    assert model.n_clusters_ == 3


@pytest.mark.parametrize(
    "level, error", [(0, ValueError), (1.1, ValueError), ("high", TypeError), (True, TypeError)]
)
def test_a_bad_level_is_named(blobs, level, error):
    with pytest.raises(error, match=r"known_level must be a number in \(0, 1\], got"):
        lq.ConsensusClusterer(5, known_level=level).fit(blobs[0])


def test_as_many_new_categories_are_found_as_asked_for(near_pairs):
    """All six classes are known, and so parts of them have to become the new ones."""
    X, classes = (array[:300] for array in near_pairs)
    y = labels_of_some(classes, 6, 0.2)
    assert recognize(X, y, classes[:, None], n_clusters=9) is None
    model = lq.ConsensusClusterer(9, random_state=0, n_partitions=8).fit(X, y)
    assert model.n_clusters_ == 9


@pytest.mark.parametrize("seed", range(3))
def test_a_fit_without_the_suspects_is_no_worse(near_pairs, seed):
    """Wrong labels of one category beside another: right ones near the border are not suspect."""
    X, classes = near_pairs
    y = labels_of_some(classes, 3, 0.2, seed)
    wrong = (y >= 0) & (np.random.default_rng(seed).random(len(y)) < 0.1)
    y[wrong] = (y[wrong] + 1) % 3
    unlabeled = y < 0
    model = lq.ConsensusClusterer(6, random_state=seed).fit(X, y)
    cleaned = y.copy()
    cleaned[model.suspect_labels_] = -1
    assert wrong[model.suspect_labels_].mean() > 0.67
    again = lq.ConsensusClusterer(6, random_state=seed).fit(X, cleaned)
    before, after = (
        lq.clustering_accuracy(classes[unlabeled], fitted.labels_[unlabeled])
        for fitted in (model, again)
    )
    assert after >= before - 0.005


def test_right_labels_that_only_the_votes_contradict_are_not_suspect(near_pairs):
    """The votes put a tenth of each known category into others; the features know better."""
    X, classes = near_pairs
    y = labels_of_some(classes, 3, 0.2)
    moved = (classes < 3) & (np.random.default_rng(1).random(len(classes)) < 0.1)
    voted = np.where(moved, (classes + 1) % 3, classes)
    X = X + 12 * np.eye(8)[classes]
    model = lq.ConsensusClusterer(6).fit(X, y, partitions=noisy_votes(voted, wrong=0.02))
    assert len(model.suspect_labels_) < 0.2 * np.count_nonzero(moved & (y >= 0))
