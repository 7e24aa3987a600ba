"""What is saved of a clusterer that was fitted to a sample is checked when it is read."""

from __future__ import annotations

import numpy as np
import pytest

import labelquorum as lq
from labelquorum.clustering.drawn import DrawnClusterer

X = np.vstack([np.zeros((10, 2)), np.full((10, 2), 5.0)]) + np.arange(20)[:, None] / 100


def drawn(sample):
    model = DrawnClusterer()
    model.estimator_ = lq.ConsensusClusterer(2, n_partitions=4, random_state=0).fit(X)
    model.sample_ = sample
    return model


def test_an_ascending_sample_is_right():
    drawn(np.arange(20) * 3).__check_saved__()


@pytest.mark.parametrize(
    "sample", [np.arange(19), np.arange(20)[::-1], np.zeros(20, int), np.arange(20) - 1, [1, 2]]
)
def test_another_sample_is_refused(sample):
    with pytest.raises((TypeError, ValueError), match="sample_"):
        drawn(sample).__check_saved__()


def test_another_estimator_is_refused():
    model = drawn(np.arange(20))
    model.estimator_ = lq.LabelModel()
    with pytest.raises(TypeError, match="estimator_ must be a ConsensusClusterer"):
        model.__check_saved__()
