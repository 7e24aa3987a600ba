"""One ladder network learns from few labels, and clusters."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import labelquorum as lq

pytest.importorskip("safetensors.torch")

from deep_settings import SMALL
from labelquorum.deep import LadderClassifier, LadderIM

pytestmark = pytest.mark.deep

QUICK = SMALL | {"learning_rate": 0.02}
MINUS_ONE = {"check_classifiers_classes": "-1 means no label, so it cannot be a class"}


@pytest.mark.slow
@parametrize_with_checks(
    [
        LadderClassifier(**QUICK, labeled_batch_size=50, n_steps=50),
        LadderIM(4, **QUICK, n_steps=30),
    ],
    expected_failed_checks=lambda estimator: (
        MINUS_ONE if isinstance(estimator, LadderClassifier) else {}
    ),
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "hidden, costs", [((), [1, 4]), ((5,), [1, 2, 4]), ((5, 4, 3), [1, 2, 3, 3, 4])]
)
def test_each_kind_of_layer_has_its_cost(three_blobs, hidden, costs):
    model = LadderIM(3, hidden=hidden, denoising_costs=(1, 2, 3, 4), n_steps=1)
    assert list(model.fit(three_blobs[0])._networks.costs) == costs


@pytest.mark.slow
def test_few_labels_are_enough(three_blobs):
    X, y = three_blobs
    names = np.array(["a", "b", "c"])[y].astype(object)
    is_labeled = np.arange(len(X)) < 12
    model = LadderClassifier(**SMALL, n_steps=200).fit(X, np.where(is_labeled, names, None))
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert (model.predict(X) == names).mean() > 0.95
    np.testing.assert_array_equal(model.transduction_, model.predict(X))
    of_numbers = LadderClassifier(**SMALL, n_steps=200).fit(X, np.where(is_labeled, y, -1))
    np.testing.assert_array_equal(of_numbers.predict(X), of_numbers.transduction_)


@pytest.mark.slow
@pytest.mark.parametrize("loss, mu", [("information", 4), ("dot", 10)])
def test_a_ladder_clusters(three_blobs, loss, mu):
    X, y = three_blobs
    model = LadderIM(3, **SMALL, n_steps=200, loss=loss, mu=mu).fit(X)
    assert lq.clustering_accuracy(y, model.labels_) > 0.95
    np.testing.assert_array_equal(model.labels_, model.predict(X))
