"""Mini-clusters equal the published procedure, sample for sample, however they are computed."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import labelquorum as lq
import oracle
from strategies import (
    INSTALLED_LAYOUTS,
    INTEGER_TYPES,
    LAYOUTS,
    MAX_ID,
    THREADS,
    cuts,
    ensembles,
    planted,
    share,
)
from tables import COUNTERS, merged


@st.composite
def options(draw, m):
    """Arguments of mini_clusters for m partitions, thresholds in votes."""
    return {
        "n_clusters": draw(st.none() | st.sampled_from([1, 2, 5, 1000, 2**40])),
        "min_agree": draw(st.integers(1, m)),
        "min_differ": draw(st.integers(0, m)),
        "min_size": draw(st.sampled_from([1, 1, 2, 3, 10])),
    }


def eligibility(n):
    """None, or an array of n booleans; few or many of them true."""
    return st.none() | st.tuples(st.integers(0, 99), st.sampled_from([0.0, 0.2, 0.8, 1.0])).map(
        lambda drawn: np.random.default_rng(drawn[0]).random(n) < drawn[1]
    )


# The oracle, sample for sample


@given(data=st.data(), rows=ensembles(), n_jobs=st.sampled_from(THREADS))
def test_labels_equal_the_oracle(data, rows, n_jobs):
    arguments = data.draw(options(rows.shape[1]), "options")
    arguments["eligible"] = data.draw(eligibility(len(rows)), "eligible")
    labels = lq.mini_clusters(rows, **arguments, n_jobs=n_jobs)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, oracle.mini_clusters(rows, **arguments))


@given(data=st.data(), rows=ensembles(max_rows=100))
def test_labels_of_a_table_equal_the_oracle_with_counts(data, rows):
    counts = np.random.default_rng(len(rows)).integers(
        1, data.draw(st.sampled_from([1, 3, 2**33, 2**62 // len(rows)])), len(rows), endpoint=True
    )
    table = lq.SignatureTable.from_counts(rows, counts)
    arguments = data.draw(options(rows.shape[1]), "options")
    arguments["eligible"] = data.draw(eligibility(len(table)), "eligible")
    labels = lq.mini_clusters(table, **arguments)
    assert labels.dtype == np.int32
    expected = oracle.mini_clusters(table.signatures, counts=table.counts, **arguments)
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("abstain", [0.0, 0.1], ids=["full", "abstaining"])
@pytest.mark.parametrize("min_agree", range(1, 11))
def test_order_and_membership_of_ten_partitions_at_all_thresholds(min_agree, abstain):
    rows = planted(
        np.random.default_rng(10), 250, 10, n_ids=6, noise=0.2, abstain=abstain, n_distinct=180
    )
    for min_differ in range(11):
        np.testing.assert_array_equal(
            lq.mini_clusters(rows, min_agree=min_agree, min_differ=min_differ),
            oracle.mini_clusters(rows, min_agree=min_agree, min_differ=min_differ),
            err_msg=f"{min_differ=}",
        )


@pytest.mark.slow
@pytest.mark.parametrize("m, max_id", [(24, MAX_ID), (64, None), (65, 300), (100, 9), (1000, 9)])
def test_labels_of_rows_of_many_words_equal_the_oracle(m, max_id):
    rows = planted(np.random.default_rng(m), 220, m, noise=0.15, abstain=0.02, max_id=max_id)
    for min_agree in (m // 2, int(0.6 * m), int(0.75 * m), m):
        for min_differ in (0, m // 3, int(0.9 * m), m):
            np.testing.assert_array_equal(
                lq.mini_clusters(rows, min_agree=min_agree, min_differ=min_differ),
                oracle.mini_clusters(rows, min_agree=min_agree, min_differ=min_differ),
                err_msg=f"{min_agree=} {min_differ=}",
            )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", INTEGER_TYPES)
def test_every_type_and_layout_gives_the_same_labels(dtype, layout):
    rng = np.random.default_rng(7)
    rows = planted(rng, 200, 8, noise=0.2, abstain=0.1 if dtype[0] == "i" else 0.0)
    np.testing.assert_array_equal(
        lq.mini_clusters(LAYOUTS[layout](rows.astype(dtype)), min_agree=5, min_differ=6),
        oracle.mini_clusters(rows, min_agree=5, min_differ=6),
    )


@share(0.2)
@given(data=st.data(), rows=ensembles(max_id=127), layout=st.sampled_from(INSTALLED_LAYOUTS))
def test_random_rows_in_any_layout_equal_the_oracle(data, rows, layout):
    arguments = data.draw(options(rows.shape[1]), "options")
    held = LAYOUTS[layout](rows.astype(np.int8))
    np.testing.assert_array_equal(
        lq.mini_clusters(held, **arguments), oracle.mini_clusters(rows, **arguments)
    )


# The same labels for any order, chunks and counting engine


@given(data=st.data(), rows=ensembles(), seed=st.integers(0, 1000))
def test_shuffling_the_rows_shuffles_the_labels(data, rows, seed):
    arguments = data.draw(options(rows.shape[1]), "options")
    arguments["eligible"] = eligible = data.draw(eligibility(len(rows)), "eligible")
    labels = lq.mini_clusters(rows, **arguments)
    order = np.random.default_rng(seed).permutation(len(rows))
    arguments["eligible"] = None if eligible is None else eligible[order]
    shuffled = lq.mini_clusters(rows[order], **arguments)
    np.testing.assert_array_equal(shuffled, labels[order])


@given(data=st.data(), rows=ensembles(), seed=st.integers(0, 1000))
def test_chunks_merged_in_any_tree_give_the_same_labels(data, rows, seed):
    chunks = data.draw(cuts(len(rows)))
    tables = [lq.SignatureTable(rows.shape[1]) for _ in chunks]
    ids = [table.update(rows[chunk]) for table, chunk in zip(tables, chunks, strict=True)]
    # In any order too: a later chunk may lead, so the ids are other ones.
    order = np.random.default_rng(seed).permutation(len(chunks))
    table, remaps = merged(np.random.default_rng(seed), [tables[i] for i in order])
    arguments = data.draw(options(rows.shape[1]), "options")
    of_signature = lq.mini_clusters(table, **arguments)
    labels = np.empty(len(rows), dtype=np.int32)
    for i, remap in zip(order, remaps, strict=True):
        labels[chunks[i]] = of_signature[remap[ids[i]]]
    np.testing.assert_array_equal(labels, lq.mini_clusters(rows, **arguments))


@pytest.mark.parametrize("counter", COUNTERS.values(), ids=COUNTERS)
def test_signatures_counted_by_another_engine_give_the_same_labels(counter):
    rows = planted(np.random.default_rng(8), 5000, 6, n_ids=4, noise=0.2, abstain=0.05)
    table = lq.SignatureTable.from_counts(*counter(rows))
    for min_agree, min_differ in [(3, 3), (4, 5), (5, 6), (6, 0)]:
        labels = lq.mini_clusters(rows, min_agree=min_agree, min_differ=min_differ)
        of_signature = lq.mini_clusters(table, min_agree=min_agree, min_differ=min_differ)
        np.testing.assert_array_equal(of_signature[table.lookup(rows)], labels)
        assert labels.max() >= 0


def test_equal_degrees_go_to_the_row_with_more_samples_then_to_the_smaller_row():
    # Three groups of degree 4 that are far from each other: 2+2, 3+1 and 2+2 samples.
    rows = np.array(
        [[5, 5, 5]] * 2 + [[5, 5, 6]] * 2 + [[9, 9, 9]] * 3 + [[9, 9, 8]] + [[0, 0, 0]] * 2
        + [[0, 0, 1]] * 2
    )  # fmt: skip
    labels = lq.mini_clusters(rows, min_agree=2, min_differ=3)
    assert labels.tolist() == [2] * 4 + [0] * 4 + [1] * 4


def test_an_abstention_sorts_before_every_cluster_in_a_tie():
    rows = np.array([[1, 0, 3], [0, 1, 1], [1, -7, 1], [-1, 2, 2]])
    assert lq.mini_clusters(rows, min_agree=2, min_differ=0).tolist() == [3, 1, 2, 0]


# Arguments


def test_float_thresholds_are_fractions_of_the_partitions_rounded_up():
    rows = planted(np.random.default_rng(1), 300, 10, noise=0.15)
    for agree, differ, votes in [(1.0, 0.9, (10, 9)), (0.7, 0.0, (7, 0)), (0.61, 0.81, (7, 9))]:
        np.testing.assert_array_equal(
            lq.mini_clusters(rows, min_agree=agree, min_differ=differ),
            lq.mini_clusters(rows, min_agree=votes[0], min_differ=votes[1]),
        )
    np.testing.assert_array_equal(
        lq.mini_clusters(rows), lq.mini_clusters(rows, min_agree=10, min_differ=9)
    )


def test_fewer_clusters_are_the_first_of_more():
    rows = planted(np.random.default_rng(1), 300, 10, n_groups=8, noise=0.1)
    labels = lq.mini_clusters(rows, min_agree=0.7, min_differ=0.7)
    assert labels.max() >= 4
    for n_clusters in (1, 2, 3):
        fewer = lq.mini_clusters(rows, n_clusters, min_agree=0.7, min_differ=0.7)
        np.testing.assert_array_equal(fewer, np.where(labels < n_clusters, labels, -1))


def test_no_eligible_sample_means_no_label():
    rows = np.array([[1, 1], [1, 1]])
    assert lq.mini_clusters(rows, eligible=np.zeros(2, dtype=bool)).tolist() == [-1, -1]


def test_ineligible_twins_neither_count_nor_get_a_label():
    rows = np.array([[1, 1]] * 5 + [[2, 2]] * 3)
    eligible = np.array([True] * 2 + [False] * 3 + [True] * 3)
    labels = lq.mini_clusters(rows, eligible=eligible)
    assert labels.tolist() == [1, 1, -1, -1, -1, 0, 0, 0]


def test_samples_that_only_abstain_get_no_label():
    assert lq.mini_clusters(np.full((4, 3), -1)).tolist() == [-1] * 4


def test_out_is_filled_and_returned():
    rows = planted(np.random.default_rng(2), 5000, 6)
    expected = lq.mini_clusters(rows, min_agree=4)
    out = np.full(len(rows), 77, dtype=np.int32)
    assert lq.mini_clusters(rows, min_agree=4, out=out) is out
    np.testing.assert_array_equal(out, expected)


def test_out_may_be_a_memory_map_and_a_part_of_it(tmp_path):
    rows = planted(np.random.default_rng(2), 5000, 6)
    path = tmp_path / "labels.npy"
    out = np.lib.format.open_memmap(path, mode="w+", dtype=np.int32, shape=(6000,))
    out[:] = 77
    lq.mini_clusters(rows, min_agree=4, out=out[500:5500])
    out.flush()
    written = np.load(path)
    np.testing.assert_array_equal(written[500:5500], lq.mini_clusters(rows, min_agree=4))
    assert (written[:500] == 77).all()
    assert (written[5500:] == 77).all()


def test_the_input_is_not_changed():
    rows = planted(np.random.default_rng(2), 500, 6, abstain=0.2)
    before = rows.copy()
    eligible = np.ones(500, dtype=bool)
    lq.mini_clusters(rows, min_agree=4, eligible=eligible)
    np.testing.assert_array_equal(rows, before)
    assert eligible.all()


# Sizes at which several threads share the work


@functools.cache
def large_case():
    rng = np.random.default_rng(13)
    rows = planted(rng, 200_000, 10, n_groups=12, noise=0.25, abstain=0.01, n_distinct=2500)
    ids, signatures, counts = oracle.first_appearance(rows)
    return rows, ids, signatures, counts


@pytest.mark.slow
@pytest.mark.parametrize(
    "min_agree, min_differ, min_size",
    [(10, 9, 1), (9, 9, 1), (7, 8, 1), (6, 7, 500), (4, 5, 1), (8, 0, 1)],
)
def test_large_ensemble_equals_the_oracle_on_signatures(min_agree, min_differ, min_size):
    rows, ids, signatures, counts = large_case()
    arguments = {"min_agree": min_agree, "min_differ": min_differ, "min_size": min_size}
    expected = oracle.mini_clusters(signatures, counts=counts, n_clusters=40, **arguments)
    for n_jobs in THREADS:
        labels = lq.mini_clusters(rows, 40, **arguments, n_jobs=n_jobs)
        np.testing.assert_array_equal(labels, expected[ids])


@pytest.mark.slow
@pytest.mark.parametrize("min_agree, min_differ", [(10, 9), (8, 9), (7, 7), (5, 8)])
def test_many_signatures_give_the_same_labels_for_any_threads_and_order(min_agree, min_differ):
    rng = np.random.default_rng(14)
    rows = planted(rng, 100_000, 10, n_groups=10, noise=0.2)
    order = rng.permutation(len(rows))
    arguments = {"n_clusters": 30, "min_agree": min_agree, "min_differ": min_differ}
    labels = lq.mini_clusters(rows, **arguments, n_jobs=1)
    assert labels.max() >= 0
    for n_jobs in (2, 8):
        np.testing.assert_array_equal(lq.mini_clusters(rows, **arguments, n_jobs=n_jobs), labels)
    shuffled = lq.mini_clusters(rows[order].astype(np.int8), **arguments)
    np.testing.assert_array_equal(shuffled, labels[order])


def test_every_signature_its_own_mini_cluster_comes_in_lexicographic_order():
    # All distinct and none removed by another: as many mini-clusters as rows, each a tie.
    rng = np.random.default_rng(15)
    rows = rng.permutation(np.column_stack([np.arange(3000) // 60, np.arange(3000) % 60]))
    labels = lq.mini_clusters(rows, min_agree=2, min_differ=0)
    np.testing.assert_array_equal(labels, np.argsort(np.lexsort(rows.T[::-1])))
