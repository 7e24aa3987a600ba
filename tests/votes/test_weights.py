"""combine_votes and partition_weights against loops over samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

import labelquorum as lq
from strategies import ensembles, share

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")


def naive_codes(column):
    values = sorted({value for value in column if value >= 0})
    return [values.index(value) if value >= 0 else -1 for value in column]


def naive_weights(partitions):
    weights = []
    for column in np.asarray(partitions).T.tolist():
        labeled = [value for value in column if value >= 0]
        weights.append(
            [
                len(labeled) / labeled.count(c) - 1 if c in labeled else 0.0
                for c in range(max(labeled, default=-1) + 1)
            ]
        )
    return weights


@given(ensembles(max_rows=60))
def test_votes_are_numbered_in_the_order_of_each_column(partitions):
    combined = lq.combine_votes([partitions])
    assert combined.dtype == np.int32
    assert combined.shape == partitions.shape
    for column, codes in zip(partitions.T, combined.T, strict=True):
        assert codes.tolist() == naive_codes(column.tolist())


@given(ensembles(max_rows=60), st.randoms(use_true_random=False))
@share(0.5)
def test_neither_names_nor_the_form_of_voters_matter(partitions, random):
    columns = []
    for column in partitions.T:
        names = [None if value < 0 else f"label {value:010}" for value in column]
        kinds = [column, column.tolist(), names, np.array(names, dtype=object), pd.Series(names)]
        columns.append(random.choice(kinds))
    np.testing.assert_array_equal(lq.combine_votes(columns), lq.combine_votes([partitions]))


def test_the_order_of_samples_does_not_change_their_numbers():
    labels = ["b", None, "a", "c", "a"]
    order = [4, 2, 0, 1, 3]
    combined = lq.combine_votes([labels])
    np.testing.assert_array_equal(lq.combine_votes([[labels[i] for i in order]]), combined[order])


@pytest.mark.parametrize(
    "labels",
    [
        ["b", "a", None, "b"],
        ("b", "a", float("nan"), "b"),
        np.array(["b", "a", None, "b"], dtype=object),
        pd.Series(["b", "a", None, "b"]),
        pd.Series(["b", "a", None, "b"], dtype="string"),
        pd.Series(["b", "a", None, "b"], dtype="category"),
        pd.Series([7, 3, None, 7], dtype="Int64"),
        pl.Series(["b", "a", None, "b"]),
        [7, 3, None, 7],
        ["b", 3, -1, "b"],
        np.array([7, 3, -5, 7], dtype=np.int8),
        np.array([7, 3, -5, 7], dtype=">i8"),
        np.ma.masked_array([7, 3, 9, 7], [0, 0, 1, 0]),
    ],
)
def test_labels_come_in_many_forms(labels):
    assert lq.combine_votes([labels]).tolist() == [[1], [0], [-1], [1]]


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame, pa.table])
def test_the_columns_of_frames_and_matrices_are_voters(library):
    frame = library({"rule": ["x", None, "y"], "clusters": [5, 5, 1]})
    words = np.array([["q", "a"], ["p", "a"], ["q", "b"]])
    combined = lq.combine_votes([frame, words, [0, -1, -1]])
    assert combined.tolist() == [[0, 1, 1, 0, 0], [-1, 1, 0, 0, -1], [1, 0, 1, 1, -1]]


@pytest.mark.parametrize(
    "votes, error, message",
    [
        (np.zeros((3, 2), int), TypeError, "votes must be.* got ndarray"),
        ([], ValueError, "votes must hold at least one voter, got none"),
        ([[]], ValueError, r"votes\[0\] must hold at least one sample, got none"),
        ([[0, 1], [0, 1, 2]], ValueError, r"votes\[1\] must have.* got 3"),
        ([[0.0, 1.0]], TypeError, r"votes\[0\] must hold integers, got floats \(float64\)"),
        ([[True, False]], TypeError, r"votes\[0\] must hold integers, got bools"),
        ([["a", 0.5]], TypeError, r"votes\[0\] must hold.* got 0\.5 \(float\) at position 1"),
        ([["a", True]], TypeError, r"votes\[0\] must hold.* got True \(bool\) at position 1"),
        ([["a"], [["a"]]], ValueError, r"votes\[1\] must be.* got shape \(1, 1\)"),
        ([[["a"], ["b", "c"]]], ValueError, r"votes\[0\] must be.* got ragged data"),
        (["ab"], ValueError, r"votes\[0\] must be 1-D, \(n_samples,\), got shape \(\)"),
        ([np.zeros((2, 2))], TypeError, r"votes\[0\]\[:, 0\] must hold.* got floats \(float64\)"),
        ([np.zeros((2, 0), int)], ValueError, "votes must hold at least one voter, got none"),
        (
            [pd.DataFrame({"a": [0.5]})],
            TypeError,
            r"votes\[0\]\['a'\] must hold.* got floats \(float64\)",
        ),
    ],
)
def test_anything_but_votes_is_refused(votes, error, message):
    with pytest.raises(error, match=message):
        lq.combine_votes(votes)


@given(ensembles(max_rows=80, max_id=200))
def test_weights_equal_naive_ones(partitions):
    weights = lq.partition_weights(partitions)
    expected = naive_weights(partitions)
    assert [len(w) for w in weights] == [len(w) for w in expected]
    for ours, theirs in zip(weights, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@given(ensembles(max_rows=80, max_id=200))
@share(0.5)
def test_a_table_of_signatures_has_the_same_weights(partitions):
    table = lq.SignatureTable(partitions.shape[1])
    table.update(partitions)
    for ours, theirs in zip(
        lq.partition_weights(table), lq.partition_weights(partitions), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_cluster_of_all_samples_has_no_weight():
    for column in ([3, 3, 3], [0, -1, 0], [0], [-1, -1]):
        (weights,) = lq.partition_weights([column])
        assert not weights.any()


def test_agreements_in_columns_with_few_values_weigh_less():
    rng = np.random.default_rng(0)
    sizes = [2, 3, 10, 100]
    partitions = np.stack([rng.integers(k, size=20_000) for k in sizes], axis=1)
    weights = lq.partition_weights(partitions)
    np.testing.assert_allclose([w.mean() for w in weights], np.array(sizes) - 1, rtol=0.02)


def agreement_by_chance(partitions, weights):
    """Return the mean weight of pairs of samples, per partition."""
    return np.array(
        [
            (np.bincount(column, minlength=len(w)) / len(column)) ** 2 @ w
            for column, w in zip(partitions.T, weights, strict=True)
        ]
    )


def test_weights_bring_agreements_by_chance_closer_together():
    rng = np.random.default_rng(0)
    partitions = np.stack([rng.integers(k, size=20_000) for k in (2, 3, 5, 10, 20)], axis=1)
    ones = [np.ones(k) for k in (2, 3, 5, 10, 20)]
    plain = agreement_by_chance(partitions, ones)
    weighted = agreement_by_chance(partitions, lq.partition_weights(partitions))
    assert plain.max() / plain.min() > 9
    assert weighted.max() / weighted.min() < 2
    np.testing.assert_allclose(weighted, 1 - plain)


def test_weights_find_the_groups_among_many_random_halves():
    rng = np.random.default_rng(0)
    groups = rng.integers(20, size=600)
    noise = rng.random((600, 4)) < 0.3
    good = np.where(noise, rng.integers(20, size=(600, 4)), groups[:, None])
    partitions = lq.combine_votes([good, rng.integers(2, size=(600, 16))])
    first, second = rng.integers(600, size=(2, 50_000))
    together = groups[first] == groups[second]
    agree = partitions[first] == partitions[second]
    weights = lq.partition_weights(partitions)
    of_agreement = np.stack([w[c] for w, c in zip(weights, partitions[first].T, strict=True)], 1)
    plain = roc_auc_score(together, agree.sum(axis=1))
    weighted = roc_auc_score(together, (agree * of_agreement).sum(axis=1))
    assert plain < 0.85
    assert weighted > 0.95


def test_numbers_far_above_the_number_of_samples_are_refused():
    assert len(lq.partition_weights([[0, 65_535]])[0]) == 65_536
    with pytest.raises(
        ValueError, match=r"partitions must number .* got 65536 among 2 samples in partition 1"
    ):
        lq.partition_weights([[0, 1], [0, 65_536]])
    with pytest.raises(TypeError, match="must hold integers, got floats"):
        lq.partition_weights([[0.5, 1.0]])
