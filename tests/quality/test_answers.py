"""Labels and the answers of whoever checks them, in any form."""

from __future__ import annotations

import numpy as np
import pytest

import labelquorum as lq


def test_names_numbers_and_bools_say_the_same():
    labels = np.array([0, 0, 0, 1, 1, 2, -1])
    truth = np.array([0, 1, -1, 1, -1, -1, 2])
    quality = lq.label_quality(labels, truth)
    assert quality.categories.tolist() == [0, 1, 2]
    assert quality.category_n_labels.tolist() == [3, 2, 1]
    assert quality.category_n_checked.tolist() == [2, 1, 0]
    assert quality.category_n_right.tolist() == [1, 1, 0]
    np.testing.assert_array_equal(quality.category_precision, [0.5, 1, np.nan])
    assert (quality.n_labels, quality.n_checked, quality.n_right) == (6, 3, 2)
    names = np.array(["a", "b", "c", None], dtype=object)
    by_name = lq.label_quality(names[labels], names[truth])
    bools = lq.label_quality(labels, [True, False, None, True, None, None, None])
    scalars = lq.label_quality(labels.astype(object), [0, np.int8(1), None, 1, None, -1, None])
    for other in (by_name, bools, scalars):
        np.testing.assert_array_equal(other[:5], quality[:5])
        for ours, theirs in zip(other[6:11], quality[6:11], strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_what_is_no_category_is_wrong():
    quality = lq.label_quality(["a", "a", "b"], ["a", "none of them", "b"])
    assert quality.n_right == 2


@pytest.mark.parametrize(
    ("labels", "answers"),
    [
        (["sport", "work", None], ["Sport", "Work", None]),
        ([0, 1, 1], [7, 8, -1]),
        (["a", "b", "b"], ["none", "c", "b2"]),
    ],
)
def test_answers_under_other_names_are_refused(labels, answers):
    message = "oracle_labels must hold names that labels has, got only others, such as .*bools"
    with pytest.raises(ValueError, match=message):
        lq.label_quality(labels, answers)


def test_one_name_for_no_category_is_an_answer():
    assert lq.label_quality(["a", "a", "b"], ["none of them"] * 3).n_right == 0
    assert lq.label_quality([0, 1, 2], [-2, -2, -1]).n_right == 0
