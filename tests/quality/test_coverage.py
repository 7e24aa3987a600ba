"""Precision of the most confident labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import labelquorum as lq
from labelquorum.quality.coverage import coverage_at_thresholds, coverage_of, judge


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4), st.booleans()), min_size=1))
def test_each_threshold_keeps_the_labels_with_at_least_that_confidence(samples):
    has_label, confidence, right = map(np.array, zip(*samples, strict=True))
    if not has_label.any():
        with pytest.raises(ValueError, match="at least one sample that counts must have a label"):
            coverage_at_thresholds(has_label, confidence, right)
        return
    coverage = coverage_at_thresholds(has_label, confidence, right)
    assert coverage.threshold.tolist() == sorted(set(confidence[has_label].tolist()), reverse=True)
    for i, threshold in enumerate(coverage.threshold):
        kept = has_label & (confidence >= threshold)
        assert coverage.coverage[i] == pytest.approx(kept.mean())
        assert coverage.confidence[i] == pytest.approx(confidence[kept].mean())
        assert coverage.precision[i] == pytest.approx(right[kept].mean())


@pytest.fixture(scope="module")
def model():
    """Three categories of 20 samples; the first is known as "zero" from its first 5 samples."""
    classes = np.repeat([0, 1, 2], 20)
    known = np.full(60, None, dtype=object)
    known[:5] = "zero"
    partitions = np.repeat(classes[:, None], 4, axis=1)
    return lq.ConsensusClusterer(3, random_state=0).fit(
        np.zeros((60, 1)), known, partitions=partitions
    )


def test_labels_given_to_fit_and_unknown_ones_do_not_count(model):
    y = np.repeat(np.array(["zero", "one", "two"], dtype=object), 20)
    y[30:40] = None
    judgment = judge(model, y)
    assert judgment.samples.tolist() == [*range(5, 30), *range(40, 60)]
    assert judgment.right[judgment.samples].all()
    assert not judgment.right[:5].any()
    assert judgment.classes == ["one", "two", "zero"]


def test_a_known_category_is_right_only_under_its_name(model):
    y = np.repeat(np.array(["another", "one", "two"], dtype=object), 20)
    judgment = judge(model, y)
    assert not judgment.right[:20].any()
    assert judgment.right[20:].all()


def test_the_point_in_use_is_that_of_the_pseudo_labels(model):
    is_pseudo_label = np.array([label is not None for label in model.pseudo_labels_])
    coverage = coverage_of(model, None)
    assert coverage.precision is None
    assert coverage.in_use == pytest.approx(
        (is_pseudo_label.mean(), model.confidence_[is_pseudo_label].mean())
    )
    judgment = judge(model, np.repeat(np.array(["zero", "one", "two"], dtype=object), 20))
    assert coverage_of(model, judgment).in_use[1] == 1


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (["a"], "y has 1 values, but the estimator was fitted on 60 samples: they must have"),
        (["zero"] * 5 + [None] * 55, "y must hold at least one label that was not given to fit"),
    ],
)
def test_wrong_true_labels_are_named(model, y, message):
    with pytest.raises(ValueError, match=message):
        judge(model, y)
