"""Kingdra: an ensemble that learns from its own agreement."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.utils.estimator_checks import parametrize_with_checks

import labelquorum as lq

pytest.importorskip("safetensors.torch")

import torch

from deep_settings import ENSEMBLE, SMALL
from labelquorum.deep import Kingdra, kingdra
from labelquorum.deep.training import Training

pytestmark = pytest.mark.deep

QUICK = SMALL | {"learning_rate": 0.02}


@pytest.mark.slow
@parametrize_with_checks(
    [Kingdra(4, **QUICK, n_networks=2, n_first_steps=30, n_rounds=1, n_steps=5)]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.slow
def test_kingdra_beats_k_means_on_digits(digits):
    X, y = digits
    model = Kingdra(
        10, n_first_steps=600, n_rounds=2, n_steps=200, hidden=(128, 128), batch_size=100,
        labeled_batch_size=50, random_state=0,
    ).fit(X)  # fmt: skip
    k_means_accuracies = [
        lq.clustering_accuracy(y, KMeans(10, n_init=1, random_state=seed).fit_predict(X))
        for seed in range(10)
    ]
    assert lq.clustering_accuracy(y, model.labels_) >= np.mean(k_means_accuracies) + 0.10
    pseudo = model.pseudo_labels_
    assert lq.clustering_accuracy(y[pseudo >= 0], pseudo[pseudo >= 0]) > 0.93
    coverage = [entry["coverage"] for entry in model.history_]
    assert len(coverage) == 3
    assert coverage[-1] > coverage[0]
    assert coverage[-1] == pytest.approx((pseudo >= 0).mean())
    assert (pseudo[pseudo >= 0] == model.labels_[pseudo >= 0]).mean() > 0.95


@pytest.mark.slow
def test_each_network_starts_from_partitions_of_its_own(digits):
    X, y = digits
    settings = {"hidden": (64,), "n_first_steps": 150, "n_rounds": 0, "random_state": 0}
    model = Kingdra(10, n_networks=4, **settings)
    initial = model._initial_labels(X, 4).numpy()
    assert initial.shape == (4, len(X))
    assert len(np.unique(initial, axis=0)) == 4
    assert min(lq.clustering_accuracy(y, labels) for labels in initial) > 0.85
    votes = model.fit(X)._probabilities(X).argmax(axis=2)
    agreements = [np.mean(vote == labels) for vote, labels in zip(votes, initial, strict=True)]
    assert min(agreements) > 0.85
    from_scratch = Kingdra(10, n_networks=4, n_partitions=0, **settings)
    assert from_scratch._initial_labels(X, 4) is None
    votes = from_scratch.fit(X)._probabilities(X).argmax(axis=2)
    assert np.mean(votes == initial) < 0.3  # its clusters have other numbers


@pytest.mark.slow
def test_networks_learn_from_the_last_complete_mini_clusters(three_blobs, monkeypatch):
    X, y = three_blobs
    incomplete = np.where(y > 0, y - 1, -1)
    agreed = iter([incomplete, y, incomplete, y])
    monkeypatch.setattr(Kingdra, "_agreed", lambda *_: next(agreed).astype(np.int32))
    labels_of_rounds = []
    train = Training.train

    def recording_train(self, labels, schedule):
        labels_of_rounds.append(labels)
        train(self, labels, schedule)

    monkeypatch.setattr(Training, "train", recording_train)
    model = Kingdra(3, **ENSEMBLE | {"n_rounds": 3}).fit(X)
    assert [entry["is_complete"] for entry in model.history_] == [False, True, False, True]
    assert [entry["n_mini_clusters"] for entry in model.history_] == [2, 3, 2, 3]
    assert lq.clustering_accuracy(y, labels_of_rounds[0][0].numpy()) > 0.95
    assert labels_of_rounds[1] is labels_of_rounds[0]  # none were complete so far
    assert labels_of_rounds[3] is labels_of_rounds[2]
    for labels in labels_of_rounds[2]:  # each network has its own numbers
        assert lq.clustering_accuracy(y, labels.numpy()) == 1


def test_uncertain_samples_get_a_pseudo_label_only_in_uncertain_clusters():
    truth = np.repeat([0, 1], 50)
    confidence = np.concatenate([np.linspace(0.8, 1, 50), np.linspace(0.6, 0.7, 50)])
    of_network = np.stack([confidence, 1 - confidence], axis=1)
    of_network[50:] = of_network[50:, ::-1]
    probabilities = np.stack([of_network, of_network]).astype(np.float32)
    votes = np.stack([truth, truth]).astype(np.int32)
    labels = Kingdra(2, min_confidence=0.85)._agreed(probabilities, votes)
    np.testing.assert_array_equal(labels[:50] >= 0, confidence[:50] >= 0.85)
    np.testing.assert_array_equal(labels[50:] >= 0, confidence[50:] >= 0.65)  # the better half
    assert lq.clustering_accuracy(truth[labels >= 0], labels[labels >= 0]) == 1
    assert (Kingdra(2, min_confidence=0)._agreed(probabilities, votes) >= 0).all()


def test_agreement_is_measured_after_matching():
    votes = np.array([[0, 0, 1, 1, 2, 2], [2, 2, 0, 0, 1, 1], [0, 0, 1, 2, 2, 2]], dtype=np.int32)
    assert kingdra._agreement(votes, 3) == pytest.approx((5 + 2 / 3) / 6)


def test_networks_are_matched_with_the_one_that_agrees_most_with_all():
    rng = np.random.default_rng(0)
    clusters = rng.integers(0, 4, 500).astype(np.int32)
    permuted = [rng.permutation(4).astype(np.int32)[clusters] for _ in range(4)]
    unlike_all = rng.integers(0, 4, 500).astype(np.int32)
    order = kingdra._aligned(np.stack([unlike_all, *permuted]), 4)
    assert (np.sort(order, axis=1) == np.arange(4)).all()
    for labels, numbers in zip(permuted, np.argsort(order[1:], axis=1), strict=True):
        np.testing.assert_array_equal(numbers[labels], np.argsort(order[1])[permuted[0]])


def head():
    """A network of the user."""
    return torch.nn.Sequential(
        torch.nn.Linear(8, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU(), torch.nn.Linear(16, 3)
    )


@pytest.mark.slow
def test_networks_of_the_user(three_blobs, tmp_path):
    X, y = three_blobs
    settings = ENSEMBLE | {"network": head, "n_first_steps": 200, "directory": tmp_path / "kept"}
    model = Kingdra(3, **settings).fit(X)
    assert lq.clustering_accuracy(y, model.labels_) > 0.9
    model.save(tmp_path / "model.safetensors")
    loaded = Kingdra.load(tmp_path / "model.safetensors", network=head)
    np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    resumed = Kingdra(3, **settings).fit(X)
    np.testing.assert_array_equal(resumed.predict_proba(X), model.predict_proba(X))
    with pytest.raises(ValueError, match="a fit with different network"):
        Kingdra(3, **settings | {"network": lambda: head()}).fit(X)
