"""What estimators inherit: `score` with samples that have no label, and `forget`."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import BaseEstimator

import labelquorum as lq
from labelquorum._shared.estimators import (
    SemiSupervisedClassifierMixin,
    SemiSupervisedClusterMixin,
    forget,
)


class Copying(SemiSupervisedClassifierMixin, SemiSupervisedClusterMixin, BaseEstimator):
    """Predicts what X says; its labels are those of `y`."""

    def __init__(self, classes=("a", "b")):
        self.classes = classes

    def fit(self, X, y=None, *, offset=0):
        self.classes_ = np.array(self.classes)
        self.labels_ = y + offset
        return self

    def predict(self, X):
        return np.array([row[0] for row in X], dtype=object)


def test_score_leaves_out_samples_without_a_label():
    model = Copying().fit(None, 0)
    assert model.score([["a"], ["b"], ["a"], [None]], ["a", "a", None, "b"]) == pytest.approx(1 / 3)
    assert model.score([["a"], ["b"]], ["a", "a"], [3, 1]) == 0.75
    assert model.score([["a"], ["b"], ["b"]], ["a", "a", None], [3, 1, 9]) == 0.75
    assert Copying((0, 1)).fit(None, 0).score([[0], [1], [1]], [0, 0, -1]) == 0.5


@pytest.mark.parametrize(
    "y, weights, error, message",
    [
        ([0, 1], None, TypeError, r"y must hold labels like those of fit, \['a', 'b'\], got \[0"),
        ([None, None], None, ValueError, "y must hold at least one label"),
        (["a"], None, ValueError, "y must have 2 values"),
        (["a", "b"], [1.0], ValueError, "inconsistent numbers of samples"),
    ],
)
def test_score_refuses_what_it_cannot_compare(y, weights, error, message):
    with pytest.raises(error, match=message):
        Copying().fit(None, 0).score([["a"], ["b"]], y, weights)


def test_fit_predict_hands_everything_to_fit():
    assert Copying().fit_predict(None, np.arange(3), offset=2).tolist() == [2, 3, 4]


def test_forget_deletes_what_is_there():
    model = Copying().fit(None, 0)
    forget(model, "classes_", "never_set_")
    assert sorted(vars(model)) == ["classes", "labels_"]


def test_bools_are_no_numbers():
    model = lq.LabelSpreading(3).fit(np.arange(6.0)[:, None], [True, None, None, False, None, None])
    with pytest.raises(TypeError, match="y must hold labels like those of fit"):
        model.score([[0.0]], [1])


@pytest.mark.parametrize("weights", [[0, 0], [-1, 2], [np.nan, 1], [np.inf, 1]])
def test_weights_without_a_mean_are_refused(weights):
    model = lq.LabelSpreading(2).fit([[0.0], [1.0], [5.0]], [0, -1, 1])
    with pytest.raises(ValueError, match="sample_weight must be finite numbers"):
        model.score([[0.0], [5.0]], [0, 1], sample_weight=weights)
