"""Sets of items with known clusters, and small estimators that learn from them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import labelquorum as lq

PLACES = np.array([[-2, -2], [-2, 0], [-2, 2], [2, -2], [2, 0], [2, 2]])
SPECIES = np.array(["cat", "cat", "cat", "dog", "dog", "dog"])


def pet_sets(n_sets, seed, n_items=12):
    """Sets of items near six places: those of one place are a cluster, of cats or of dogs."""
    rng = np.random.default_rng(seed)
    clusters = [rng.integers(6, size=n_items) for _ in range(n_sets)]
    sets = [PLACES[places] + 0.2 * rng.normal(size=(n_items, 2)) for places in clusters]
    return sets, clusters, [SPECIES[places] for places in clusters]


def context_sets(n_sets, seed, n_items=8):
    """Sets in which one of two features tells the clusters; the first item's third says which."""
    rng = np.random.default_rng(seed)
    sets, clusters = [], []
    for _ in range(n_sets):
        items = rng.integers(2, size=(n_items, 3)).astype(float)
        column = rng.integers(2)
        items[:, 2] = 0
        items[0, 2] = 2 * column - 1
        sets.append(items)
        clusters.append(items[:, column].astype(int))
    return sets, clusters


def pairwise(**settings):
    """Return an estimator that looks at pairs."""
    return lq.PairwiseSetClusterer(
        **{"classifier": LogisticRegression(), "n_models": 2, "random_state": 0} | settings
    )


def network(**settings):
    """Return an estimator that looks at whole sets."""
    small = {"width": 16, "n_epochs": 8, "batch_size": 60, "learning_rate": 0.005}
    small |= {"n_models": 1, "random_state": 0}
    return lq.SetClusterer(**small | settings)


both_estimators = pytest.mark.parametrize(
    "make", [pairwise, pytest.param(network, marks=pytest.mark.deep)]
)


def b_cubed(model, sets, clusters, **more):
    """Return the mean F1 of the clusters that the model predicts."""
    predicted = model.predict(sets, **more).clusters
    return lq.evaluate_sets(clusters, predicted).scores["b_cubed"].f1
