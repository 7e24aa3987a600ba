"""clustering_accuracy against all matchings, one by one."""

from __future__ import annotations

import tracemalloc
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import labelquorum as lq
from labelquorum.quality.metrics import TO_MATCH, UNMATCHED, is_right
from strategies import share

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 4)), min_size=1, max_size=40)


@share(0.5)
@given(PAIRS)
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


def test_samples_without_a_label_are_wrong():
    assert lq.clustering_accuracy([0, 1], [-1, -1]) == 0.0


def test_samples_of_unknown_class_are_left_out():
    assert lq.clustering_accuracy([-1, 1], [0, 1]) == 1.0
    assert lq.clustering_accuracy(["a", None, "b", "b"], [0, 0, 1, -1]) == 2 / 3


def test_matching_too_many_clusters_is_refused():
    chain = np.arange(200_001)  # each class shares samples with two clusters, and so on
    with pytest.raises(lq.WorkLimitError, match="10000200001 combinations"):
        lq.clustering_accuracy(chain // 2, (chain + 1) // 2)


def test_clusters_that_share_nothing_need_no_table():
    labels = np.arange(200_000)
    tracemalloc.start()
    assert lq.clustering_accuracy(labels, labels[::-1]) == 1.0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100 * 2**20


def test_a_chain_of_classes_and_clusters_is_matched():
    chain = np.arange(4001)
    assert lq.clustering_accuracy(chain // 2, (chain + 1) // 2) == 2001 / 4001


def test_a_cluster_that_stands_for_a_class_is_not_matched_with_another():
    classes = np.array([0, 0, 0, 1, 1, 2, -1])
    clusters = np.array([0, 1, 1, 1, 2, 0, 0])
    free = np.full(3, TO_MATCH)
    assert is_right(classes, clusters, 3, free).tolist() == [
        *(False, True, True, False, True, True, False)
    ]
    fixed = np.array([0, TO_MATCH, UNMATCHED])  # class 0 is taken
    assert is_right(classes, clusters, 3, fixed).tolist() == [
        *(True, False, False, True, False, False, False)
    ]


@pytest.mark.parametrize(
    ("y_true", "y_pred", "error", "message"),
    [
        ([0, 1], [0], ValueError, "y_true has 2 values, but y_pred has 1: they must have the same"),
        ([0.5], [0], TypeError, r"y_true must hold integers, got floats \(float64\)"),
        ([0], [[0]], ValueError, r"y_pred must be 1-D, .* got shape \(1, 1\)"),
        ([], [], ValueError, "y_true must hold at least one sample, got none"),
        (np.empty(0, int), [0], ValueError, "y_true must hold at least one sample, got none"),
    ],
)
def test_wrong_arguments_are_named(y_true, y_pred, error, message):
    with pytest.raises(error, match=message):
        lq.clustering_accuracy(y_true, y_pred)
