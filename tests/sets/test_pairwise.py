"""Clusters within sets by a classifier of pairs; the rest is in test_base."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from labelquorum.sets.pairwise import pair_features
from sets_data import pairwise, pet_sets


def test_features_of_a_pair_do_not_depend_on_its_order():
    a, b = np.random.default_rng(0).normal(size=(2, 50, 7))
    features = pair_features(a, b)
    np.testing.assert_array_equal(features, pair_features(b, a))
    cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(features[:, -2], cosine)
    np.testing.assert_allclose(features[:, -1], np.linalg.norm(a - b, axis=1))
    assert np.isfinite(pair_features(0 * a, b)).all()


def test_pairs_of_one_kind_are_refused():
    sets = [np.zeros((2, 1)), np.ones((2, 1))]
    with pytest.raises(ValueError, match="got one kind in 1 of 2 sets: pass more sets"):
        pairwise().fit(sets, [[0, 0], [0, 1]])


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"max_pairs": 0}, ValueError, "max_pairs must be an integer of at least 1, got 0"),
        (
            {"classifier": LinearSVC()},
            TypeError,
            "classifier must be a classifier with predict_proba",
        ),
    ],
)
def test_bad_parameters_are_named(settings, error, message):
    with pytest.raises(error, match=message):
        pairwise(**settings).fit(*pet_sets(5, 0))
