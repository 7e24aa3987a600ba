"""Answers to new samples, and when there are none."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

import labelquorum as lq

NAMES = np.array(["red", "blue", "green", "gray", "white"])


def model_of(X, y=None, n_clusters=5, **given):
    fit = {key: given.pop(key) for key in ("groups", "partitions", "votes") if key in given}
    model = lq.ConsensusClusterer(n_clusters, n_partitions=8, random_state=0, **given)
    return model.fit(X, y, **fit)


@pytest.fixture(scope="module")
def weeks(blobs):
    """This week's samples and labels of four blobs, and all samples of next week's five."""
    X, classes = blobs
    is_old = (classes < 4) & (np.arange(len(X)) % 2 == 0)
    y = np.where(np.arange(len(X)) % 4 == 0, classes, -1)
    return X[is_old], y[is_old], X[1::2], classes[1::2]


@pytest.mark.parametrize("level", [0.05, 0.1])
@pytest.mark.parametrize("seed", range(3))
def test_answers_are_right_and_an_unseen_digit_gets_none(digits, level, seed):
    X, classes = digits
    rng = np.random.default_rng(seed)
    classes = rng.permutation(10)[classes]
    training = (classes < 9) & (rng.random(len(X)) < 0.7)
    y = np.where(rng.random(len(X)) < 0.3, classes, -1)[training]
    given = model_of(X[training], y, 9).predict(X[~training], reject_level=level)
    true = classes[~training]
    is_answer = given >= 0
    assert is_answer[true < 9].mean() > 0.6
    assert (given != true)[is_answer & (true < 9)].mean() < level
    assert (~is_answer[true == 9]).mean() > 0.8


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"classifier": LogisticRegression()},
        {"classifier": LinearSVC()},
        {"discover": False},
        {"groups": np.arange(243) // 3},
        {"partitions": True},
        {"is_sparse": True},
        {"n_jobs": 3},
    ],
)
@pytest.mark.parametrize("kind", ["integers", "names", "no labels"])
def test_what_lies_apart_is_answered_and_what_is_far_away_is_not(weeks, given, kind):
    X, y, new, classes = weeks
    given = dict(given)
    if given.pop("is_sparse", False):
        X, new = sparse.csr_array(X), sparse.csr_array(new)
    if "groups" in given:
        order = np.argsort(weeks[1], kind="stable")
        given["groups"] = np.full(len(y), -1)
        for k in range(4):  # groups of samples with the same label
            of_class = order[y[order] == k]
            given["groups"][of_class] = 100 * k + np.arange(len(of_class)) // 3
    if given.pop("partitions", False):
        given["partitions"] = model_of(X, y, 4).partitions_
    labels = {"integers": y, "names": np.where(y >= 0, NAMES[y], None), "no labels": None}[kind]
    if labels is None and "discover" in given:
        return  # there is a single category
    model = model_of(X, labels, 4, **given)
    found = model.predict(new, reject_level=0.05)
    is_old = classes < 4
    rejected = np.array([label is None or label == -1 for label in found.tolist()])
    assert rejected[~is_old].all()
    assert rejected[is_old].mean() < 0.15
    answered = is_old & ~rejected
    if labels is None:
        assert lq.clustering_accuracy(classes[answered], found[answered].astype(int)) == 1
    else:
        true = classes if kind == "integers" else NAMES[classes]
        np.testing.assert_array_equal(found[answered], true[answered])
    # An answer depends on nothing but its sample.
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(restored.predict(new[[7]], reject_level=0.05), found[[7]])
    np.testing.assert_array_equal(model.predict(new[::-1], reject_level=0.05), found[::-1])
    assert 0 <= model.calibration_error_ < 0.2 or isinstance(model.classifier, LinearSVC)


def test_answers_are_among_those_without_a_level_and_grow_with_it(digits):
    X, classes = digits
    y = np.where(np.arange(len(X)) % 4 == 0, classes, -1)[::2]
    model = model_of(X[::2], y, 10)
    answers = model.predict(X[1::2])
    found = [model.predict(X[1::2], reject_level=level) for level in (0.05, 0.2, 0.5)]
    for fewer, more in zip(found, [*found[1:], answers], strict=True):
        np.testing.assert_array_equal(fewer[fewer >= 0], more[fewer >= 0])


def test_few_labels_reject_all_with_a_warning(weeks):
    X, y, new, _ = weeks
    y = np.where(np.cumsum(y >= 0) <= 20, y, -1)
    with pytest.warns(UserWarning, match="predict rejects all samples: of 20 samples"):
        assert set(model_of(X, y, 4).predict(new, reject_level=0.05)) == {-1}


@pytest.mark.filterwarnings("ignore:predict rejects all samples", "ignore:X shows no clusters")
@pytest.mark.parametrize("n_labeled", [0, 1, 70])
@pytest.mark.parametrize("n_clusters", [1, 2])
@pytest.mark.parametrize("n_rows", [1, 2, 70])
def test_few_categories_and_few_distinct_samples_can_be_predicted(n_labeled, n_clusters, n_rows):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 2))[np.arange(70) % n_rows]
    y = np.where(np.arange(70) < n_labeled, np.arange(70) % n_rows % n_clusters, -1)
    partitions = (np.arange(70) % n_rows % n_clusters)[:, None]
    model = model_of(X, y, min(n_clusters, n_rows), partitions=np.repeat(partitions, 4, axis=1))
    assert model.predict(X, reject_level=0.1).shape == (70,)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)


@pytest.mark.parametrize(
    ("level", "error"),
    [(0, ValueError), (1, ValueError), (-0.1, ValueError), (np.nan, ValueError), ("a", TypeError)],
)
def test_other_levels_are_refused(weeks, level, error):
    X, y, new, _ = weeks
    with pytest.raises(error, match="reject_level must be"):
        model_of(X, y, 4).predict(new, reject_level=level)
