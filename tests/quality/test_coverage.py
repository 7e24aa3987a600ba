"""Precision of the most confident labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import labelquorum as lq
from labelquorum.quality.coverage import coverage_at_thresholds, coverage_of, judge
from strategies import share


@share(0.5)
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


def named_model(names, n_known):
    """A category of 20 samples for each name; the first ones are known from 5 samples."""
    classes = np.repeat(np.arange(len(names)), 20)
    known = np.full(len(classes), None, dtype=object)
    for k in range(n_known):
        known[20 * k : 20 * k + 5] = names[k]
    partitions = np.repeat(classes[:, None], 4, axis=1)
    model = lq.ConsensusClusterer(len(names), random_state=0)
    return model.fit(np.zeros((len(classes), 1)), known, partitions=partitions), classes


@pytest.mark.parametrize("n_known", [2, 3])
@pytest.mark.parametrize("truth", [["cars", "food", "music"], [0, 1, 2], ["Sport", "Work", "Home"]])
def test_names_that_do_not_overlap_are_matched_and_the_note_says_so(truth, n_known):
    model, classes = named_model(["sport", "work", "home"], n_known)
    judgment = judge(model, np.array(truth, dtype=object)[classes])
    assert judgment.right[judgment.samples].all()
    assert "y has none of the names of the known categories" in judgment.note
    assert coverage_of(model, judgment).precision[-1] == 1
    assert coverage_of(model, judgment).note == judgment.note


def test_numbers_and_names_of_numbers_do_not_overlap():
    model, classes = named_model(["0", "1", "2"], 3)
    judgment = judge(model, classes)
    assert judgment.right[judgment.samples].all()
    assert "matched" in judgment.note


def test_the_same_names_need_no_note():
    names = np.array(["sport", "work", "home", "fun"], dtype=object)
    model, classes = named_model(names.tolist(), 3)
    judgment = judge(model, names[classes])
    assert judgment.right[judgment.samples].all()
    assert judgment.note is None
    assert judge(*_without_known()).note is None


def _without_known():
    classes = np.repeat([0, 1], 10)
    model = lq.ConsensusClusterer(2, random_state=0)
    return model.fit(np.zeros((20, 1)), partitions=classes[:, None]), classes + 5


def test_names_that_overlap_in_part_count_by_name_and_the_others_are_named():
    names = ["sport", "work", "home", "fun", "a" * 200]
    model, classes = named_model(names, 5)
    truth = np.array(["sport", "office", "house", "fun", "long"], dtype=object)[classes]
    judgment = judge(model, truth)
    np.testing.assert_array_equal(
        judgment.right[judgment.samples], np.isin(classes[judgment.samples], (0, 3))
    )
    assert judgment.note.startswith("y does not have the known categories a")
    assert "home" in judgment.note
    assert "work" in judgment.note
    assert len(judgment.note) < 400
    assert "100.0% of the labels instead of 40.0% would be right" in judgment.note


def test_equal_names_that_seem_to_mean_other_things_are_noted():
    model, classes = named_model(["0", "1", "2", "3"], 4)
    truth = np.array(["1", "2", "3", "0"], dtype=object)[classes]
    judgment = judge(model, truth)
    assert not judgment.right.any()
    assert judgment.note.startswith("100.0% of the labels instead of 0.0% would be right")
