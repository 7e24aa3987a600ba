"""Labels are read from `y`, named, spread over groups, and made from codes."""

from __future__ import annotations

import numpy as np
import pytest

from labelquorum._shared.labels import (
    category_names,
    group_codes,
    has_label,
    known_codes,
    known_labels,
    most_likely,
    spread_over_groups,
    to_labels,
)


@pytest.mark.parametrize(
    ("y", "classes", "samples", "codes"),
    [
        ([7, -1, 3, 7], [3, 7], [0, 2, 3], [1, 0, 1]),
        (np.array(["b", None, "a"], dtype=object), ["a", "b"], [0, 2], [1, 0]),
        (np.array([2, None, -1, 1], dtype=object), [1, 2], [0, 3], [1, 0]),
        (["b", "a"], ["a", "b"], [0, 1], [1, 0]),
        ([True, False], [False, True], [0, 1], [1, 0]),
        ([[4], [5]], [4, 5], [0, 1], [0, 1]),
    ],
)
@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
def test_a_class_per_sample_is_read(y, classes, samples, codes):
    known = known_labels(y, len(y), "Estimator")
    assert known.classes.tolist() == classes
    assert known.samples.tolist() == samples
    np.testing.assert_array_equal(known.shares, np.eye(len(classes))[codes])


def test_shares_of_classes_are_read():
    known = known_labels([[0.25, 0.75], [0, 0], [1, 0]], 3, "Estimator")
    assert known.classes.tolist() == [0, 1]
    assert known.samples.tolist() == [0, 2]
    assert known.shares.tolist() == [[0.25, 0.75], [1, 0]]


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (None, ValueError, "This Estimator estimator requires y to be passed"),
        ([0, 1], ValueError, "y must have 3 values, one per sample, got 2"),
        ([-1, -1, -1], ValueError, "y must hold at least one label, got -1 or None for every"),
        (np.full(3, np.nan), ValueError, "NaN"),
        ([0.5, np.nan, 1], ValueError, "continuous"),
        ([0, -2, 1], ValueError, "y must hold integers of at least 0, .* got -2 at position 1"),
        (np.zeros((3, 2, 2)), ValueError, r"y must have shape \(n_samples,\), or .* got \(3, 2, 2"),
        (np.array(["a", 1, None], dtype=object), TypeError, "y must hold labels .* mixed types"),
        (np.zeros((3, 2)), ValueError, "y must hold at least one label, got only rows of zeros"),
        (np.full((3, 2), "a"), TypeError, "a 2-D y must hold the shares .* got dtype <U1"),
        ([[1, 0], [2, -1], [0, 1]], ValueError, "a 2-D y must hold .* negative share -1"),
        ([[1, 0], [0.5, 0.2], [0, 1]], ValueError, r"a 2-D y must .* sum of 0\.7 in row 1"),
    ],
)
def test_bad_labels_are_named(y, error, message):
    with pytest.raises(error, match=message):
        known_labels(y, 3, "Estimator")


def test_shares_are_refused_where_only_classes_are_wanted():
    with pytest.raises(ValueError, match=r"y must have shape \(n_samples,\), got \(3, 2\)"):
        known_labels(np.eye(3, 2), 3, "Estimator", shares=False)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (np.array([0, -1, 2]), [True, False, True]),
        (np.array(["a", None, -1, 3], dtype=object), [True, False, False, True]),
        (np.array(["a", ""]), [True, False]),
        (np.array([True, False]), [True, True]),
    ],
)
def test_minus_1_and_none_are_no_labels(labels, expected):
    assert has_label(labels).tolist() == expected


def test_codes_are_none_without_labels():
    for y in (None, [-1, -1], np.array([None, None], dtype=object)):
        classes, codes = known_codes(y, 2)
        assert codes is None
        assert not len(classes)
    classes, codes = known_codes([-1, 8], 2)
    assert (classes.tolist(), codes.tolist()) == ([8], [-1, 0])
    with pytest.raises(ValueError, match="y must have 3 values, one per sample, got 2"):
        known_codes([-1, -1], 3)


@pytest.mark.parametrize(
    ("known", "names"),
    [
        (np.array([3, 5]), [3, 5, 6, 7]),
        (np.array([], dtype=np.int64), [0, 1, 2, 3]),
        (np.array([False, True]), [0, 1, 2, 3]),
        (np.array(["a", "new 0"]), ["a", "new 0", "new 1", "new 2"]),
        (np.array([127], dtype=np.int8), [127, 128, 129, 130]),
        (np.array([2**63 - 2]), [2**63 - 2, 0, 1, 2]),
        (np.array([1, 2**64 - 1], dtype=np.uint64), [1, 2**64 - 1, 0, 2]),
    ],
)
def test_new_categories_get_names_of_the_same_kind(known, names):
    assert category_names(known, 4).tolist() == names


def test_a_known_category_is_given_to_its_whole_group():
    groups = group_codes(["x", None, "y", "x", "y", "z"], 6)
    codes = np.array([1, 0, -1, -1, 0, -1], dtype=np.int32)
    names = np.array(["no", "yes"])
    assert spread_over_groups(codes, groups, names).tolist() == [1, 0, 0, 1, 0, -1]
    codes[3] = 0
    message = "the same label in y, got '(yes|no)' for sample (0|3) and '(yes|no)' for sample (0|3)"
    with pytest.raises(ValueError, match=message):
        spread_over_groups(codes, groups, names)
    with pytest.raises(ValueError, match="groups must have 5 values, one per sample, got 6"):
        group_codes([0] * 6, 5)


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (np.array([3, 9]), [9, -1, 3]),
        (np.array([3, 9], dtype=np.uint8), [9, -1, 3]),
        (np.array([False, True]), [1, -1, 0]),
        (np.array([0.5, 1.5]), [1.5, -1.0, 0.5]),
        (np.array([3, 2**64 - 1], dtype=np.uint64), [2**64 - 1, -1, 3]),
        (np.array([False, 2], dtype=object), [2, -1, False]),
        (np.array(["a", "b"]), ["b", None, "a"]),
    ],
)
def test_the_code_minus_1_becomes_no_label(classes, expected):
    codes = np.array([1, -1, 0])
    assert to_labels(classes, codes).tolist() == expected
    assert to_labels(classes, codes[::2]).dtype == classes.dtype


def test_the_most_likely_column_of_zeros_is_none():
    assert most_likely(np.array([[0.2, 0.8], [0.0, 0.0], [0.5, 0.5]])).tolist() == [1, -1, 0]


def test_bools_stay_bools():
    classes = category_names(np.array([False, True]), 3)
    assert [str(name) for name in classes] == ["False", "True", "2"]
    assert [str(name) for name in to_labels(classes[:2], np.array([1, -1]))] == ["True", "-1"]


def test_whole_floats_are_integers_as_in_scikit_learn():
    for y in (
        [1.0, -1.0, 3.0],
        np.array([1.0, np.nan, 3.0]),
        np.ma.masked_array([1.0, 0.5, 3], [0, 1, 0]),
    ):
        known = known_labels(y, 3, "Estimator")
        assert (known.classes.dtype, known.classes.tolist()) == (np.int64, [1, 3])
    with pytest.raises(ValueError, match="infinity"):
        known_labels([1.0, np.inf, 3.0], 3, "Estimator")


@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
@pytest.mark.parametrize(
    "names", [[["a"], [None], ["b"]], [["a"], [-1], ["b"]], [["a"], [np.nan], ["b"]]]
)
def test_a_column_keeps_its_gaps(names):
    for y in (
        names,
        np.array(names, dtype=object),
        np.ma.masked_array([["a"], ["c"], ["b"]], [[0], [1], [0]]),
    ):
        known = known_labels(y, 3, "Estimator")
        assert (known.classes.tolist(), known.samples.tolist()) == (["a", "b"], [0, 2])


def test_masked_shares_are_refused():
    with pytest.raises(TypeError, match="a 2-D y must be a plain array of shares, got a masked"):
        known_labels(np.ma.masked_array(np.eye(3)), 3, "Estimator")
