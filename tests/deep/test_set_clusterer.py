"""Clusters within sets by networks that look at whole sets; the rest is in tests/sets/test_base."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone

import labelquorum as lq

pytest.importorskip("safetensors.torch")

from labelquorum.deep import set_clusterer
from sets_data import b_cubed, context_sets, network, pet_sets

pytestmark = pytest.mark.deep


@pytest.mark.slow
def test_a_network_sees_the_context_and_pairs_do_not():
    sets, clusters = context_sets(300, 0)
    model = network(n_epochs=15).fit(sets[:250], clusters[:250])
    assert b_cubed(model, sets[250:], clusters[250:]) > 0.95
    of_pairs = lq.PairwiseSetClusterer(random_state=0).fit(sets[:250], clusters[:250])
    assert b_cubed(of_pairs, sets[250:], clusters[250:]) < 0.85


def new_kinds(n_sets, seed, kinds):
    """Sets of items of some kinds, each around a place of its own; items come again and again."""
    rng = np.random.default_rng(seed)
    places = np.random.default_rng(0).normal(size=(60, 20))
    items = places[:, None] + 0.4 * np.random.default_rng(1).normal(size=(60, 20, 20))
    clusters = [np.repeat(rng.choice(kinds, 4, replace=False), 4) for _ in range(n_sets)]
    return [items[of, rng.integers(20, size=16)] for of in clusters], clusters


@pytest.mark.slow
def test_what_is_learned_about_items_does_not_count_where_clusters_recur():
    model = network(n_epochs=15).fit(*new_kinds(120, 2, range(20)))
    assert model.item_weight_ == 0
    sets, clusters = new_kinds(40, 3, range(20, 60))
    assert b_cubed(model, sets, clusters) > 0.9
    of_context = network(n_epochs=15).fit(*context_sets(300, 0))
    assert of_context.item_weight_ == 1


class StoppedError(Exception):
    """What stops a fit in the middle of an epoch."""


def test_an_interrupted_fit_resumes(tmp_path, monkeypatch):
    model = network(n_models=2, n_epochs=3, directory=tmp_path)
    sets, clusters, categories = pet_sets(8, 15)
    uninterrupted = clone(model).set_params(directory=None).fit(sets, clusters, categories)
    train_epoch = set_clusterer.train_epoch
    n_epochs = 0

    def stopping(*args, **options):
        nonlocal n_epochs
        n_epochs += 1
        if n_epochs == 5:
            raise StoppedError
        return train_epoch(*args, **options)

    monkeypatch.setattr(set_clusterer, "train_epoch", stopping)
    with pytest.raises(StoppedError):
        model.fit(sets, clusters, categories)
    model.fit(sets, clusters, categories)
    assert n_epochs == 3 + 1 + 1 + 2  # the first network, one epoch, the stop, the rest
    assert model.history_ == uninterrupted.history_
    matrices, expected = model.predict_affinity(sets), uninterrupted.predict_affinity(sets)
    for a, b in zip(matrices, expected, strict=True):
        np.testing.assert_array_equal(a, b)
    clusters[0] = clusters[0][::-1]
    categories[0] = categories[0][::-1]
    with pytest.raises(ValueError, match="a fit with different examples"):
        model.fit(sets, clusters, categories)


def test_a_saved_model_predicts_the_same(tmp_path):
    model = network().fit(*pet_sets(30, 0))
    path = tmp_path / "model.safetensors"
    model.save(path)
    loaded = lq.SetClusterer.load(path)
    sets, _, _ = pet_sets(3, 16)
    for a, b in zip(model.predict(sets), loaded.predict(sets), strict=True):
        np.testing.assert_array_equal(a, b)
    assert loaded.get_params() == model.get_params()
    assert loaded.history_ == model.history_
    with pytest.raises(ValueError, match="must hold a saved LadderIM, got SetClusterer"):
        lq.deep.LadderIM.load(path)
    copy = pickle.loads(pickle.dumps(model)).set_params(random_state=np.random.RandomState(0))
    with pytest.raises(TypeError, match="random_state must be None or an int to save the model"):
        copy.save(path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 15}, "width must be a multiple of n_heads=4, got 15"),
        ({"dropout": 1.0}, r"dropout must be a number in \[0, 1\), got 1.0"),
        ({"learning_rate": 0.0}, "learning_rate must be a number above 0, got 0"),
        ({"n_epochs": 0}, "n_epochs must be an integer of at least 1, got 0"),
        ({"directory": "x", "random_state": None}, "random_state must be an int .* got None"),
    ],
)
def test_bad_parameters_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        network(**settings).fit(*pet_sets(5, 0))
