"""The order of names."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import labelquorum as lq
from labelquorum._shared.labels import as_codes
from labelquorum._shared.names import natural_key

NAMES = ["", "2 b", "10 a", "a1b2", "a1b10", "a10b1", "new", "new 1", "new 2", "new 10", "new x"]


def test_numbers_in_names_count_as_numbers():
    shuffled = np.random.default_rng(0).permutation(np.array(NAMES, dtype=object)).tolist()
    assert sorted(shuffled, key=natural_key) == NAMES
    assert sorted(["10", 10, 2, "2"], key=natural_key) == [2, 10, "2", "10"]
    huge = ["1" + "0" * 5000, "9" * 5000]
    assert sorted(huge, key=natural_key) == ["9" * 5000, "1" + "0" * 5000]


@given(st.lists(st.text("a1 0\u0661\U0001f600") | st.integers(0, 20), unique=True))
def test_the_order_is_total_and_does_not_depend_on_the_input(names):
    ordered = sorted(names, key=natural_key)
    names.reverse()
    assert sorted(names, key=natural_key) == ordered
    assert len({str(natural_key(name)) for name in names}) == len(names)


def test_categories_are_listed_in_natural_order():
    labels = [f"new {i}" for i in (10, 2, 1, 10, 2, 1)]
    ordered = ["new 1", "new 2", "new 10"]
    names, codes = as_codes(labels, "labels")
    assert names == ordered
    assert [names[code] for code in codes] == labels
    texts = ["a card"] * 6
    assert list(lq.text.keywords(texts, labels)) == ordered
    assert list(lq.text.representatives(texts, labels)) == ordered
    quality = lq.label_quality(labels, labels)
    assert quality.categories.tolist() == ordered
    np.testing.assert_array_equal(quality.category_n_right, 2)
    wrong = lq.label_quality(labels, ["new 10", *labels[1:5], "new 2"])
    np.testing.assert_array_equal(wrong.category_n_right, [1, 2, 2])
