"""clustering_accuracy against all matchings, one by one."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import labelquorum as lq

_PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 4)), min_size=1, max_size=40)


@given(_PAIRS)
def test_equals_the_best_of_all_matchings(pairs):
    y_true, y_pred = np.array(pairs).T
    best = max(
        np.mean([cluster >= 0 and matching[cluster] == label for label, cluster in pairs])
        for matching in permutations(range(5))
    )
    assert lq.clustering_accuracy(y_true, y_pred) == pytest.approx(best)


def test_names_of_classes_and_clusters_do_not_matter():
    y_true = ["b", "b", "a", "c"]
    assert lq.clustering_accuracy(y_true, [70, 70, 10, 30]) == 1.0
    assert lq.clustering_accuracy(np.array(y_true, dtype=object), ["x", "x", "y", "z"]) == 1.0


def test_no_label_at_all_is_wrong_everywhere():
    assert lq.clustering_accuracy([0, 1], [-1, -1]) == 0.0


def test_a_negative_class_is_a_class_like_any_other():
    assert lq.clustering_accuracy([-1, 1], [0, 1]) == 1.0


def test_matching_too_many_clusters_is_refused():
    labels = np.arange(10_001)
    with pytest.raises(lq.WorkLimitError, match="100020001 combinations"):
        lq.clustering_accuracy(labels, labels)
