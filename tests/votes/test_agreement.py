"""Degrees, the agreement graph and co-association equal the naive matrices, whatever the way."""

from __future__ import annotations

import functools
import math
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from hypothesis import assume, given
from hypothesis import strategies as st

import labelquorum as lq
import oracle
from labelquorum import _core
from labelquorum.votes.agreement import _degrees
from strategies import INSTALLED_LAYOUTS, LAYOUTS, MAX_ID, THREADS, ensembles, planted, share

WAYS = ["subsets", "pairs", "blocks", None]


def subset_steps(m, min_agree):
    """Return how many subsets of columns the way "subsets" counts."""
    return sum(math.comb(m, s) for s in range(min_agree, m + 1))


def ways_for(m, min_agree):
    # Forced onto many partitions and a low threshold, "subsets" would take minutes.
    return [way for way in WAYS if way != "subsets" or subset_steps(m, min_agree) <= 5000]


def thresholds(m):
    """Return all thresholds of few partitions; otherwise the ends and some between."""
    return range(1, m + 1) if m <= 8 else sorted({1, 2, m // 3, m // 2, m - 3, m - 1, m})


# Degrees


@given(rows=ensembles(), n_jobs=st.sampled_from(THREADS))
def test_degrees_equal_the_oracle_for_every_way_and_threshold(rows, n_jobs):
    m = rows.shape[1]
    agree, _ = oracle.pairwise_votes(rows)
    for min_agree in thresholds(m):
        expected = (agree >= min_agree).sum(axis=1)
        for way in ways_for(m, min_agree):
            degrees = _degrees(rows, min_agree, way=way, n_jobs=n_jobs)
            assert degrees.dtype == np.int64
            np.testing.assert_array_equal(degrees, expected, err_msg=f"{min_agree=} {way=}")


@given(data=st.data(), rows=ensembles(max_rows=100))
def test_degrees_of_a_table_are_weighted_by_its_counts(data, rows):
    m = rows.shape[1]
    largest = data.draw(st.sampled_from([1, 3, 2**33, 2**62 // len(rows)]), "largest count")
    rng = np.random.default_rng(len(rows))
    counts = rng.integers(1, largest, size=len(rows), endpoint=True)
    table = lq.SignatureTable.from_counts(rows, counts)
    min_agree = data.draw(st.integers(1, m), "min_agree")
    expected = oracle.agreement_degrees(table.signatures, min_agree, table.counts)
    for way in ways_for(m, min_agree):
        np.testing.assert_array_equal(_degrees(table, min_agree, way=way), expected, err_msg=way)


@share(0.2)
@given(
    data=st.data(),
    rows=ensembles(max_id=127, max_rows=60),
    layout=st.sampled_from(INSTALLED_LAYOUTS),
)
def test_degrees_do_not_depend_on_the_layout(data, rows, layout):
    m = rows.shape[1]
    min_agree = data.draw(st.integers(1, m))
    held = LAYOUTS[layout](rows.astype(np.int8))
    np.testing.assert_array_equal(
        lq.agreement_degrees(held, min_agree), oracle.agreement_degrees(rows, min_agree)
    )


@share(0.2)
@given(rows=ensembles(max_rows=40), fraction=st.floats(0, 1, exclude_min=True))
def test_a_fraction_of_the_partitions_means_that_many_votes_rounded_up(rows, fraction):
    votes = math.ceil(fraction * rows.shape[1] - 1e-9)
    assume(votes >= 1)
    np.testing.assert_array_equal(
        lq.agreement_degrees(rows, fraction), lq.agreement_degrees(rows, votes)
    )


@pytest.mark.parametrize("fraction, votes", [(0.9, 9), (0.7, 7), (0.1, 1), (1.0, 10), (0.91, 10)])
def test_a_fraction_that_floats_cannot_hold_is_not_rounded_to_a_vote_more(fraction, votes):
    rows = planted(np.random.default_rng(0), 100, 10, noise=0.3)
    np.testing.assert_array_equal(
        lq.agreement_degrees(rows, fraction), oracle.agreement_degrees(rows, votes)
    )


@pytest.mark.slow
@pytest.mark.parametrize("way", ["pairs", "blocks", None])
@pytest.mark.parametrize("max_id", [1, 9, 300, MAX_ID])
@pytest.mark.parametrize("m", [24, 33, 64, 65, 100, 1000])
def test_degrees_of_rows_of_many_words(m, max_id, way):
    rng = np.random.default_rng(m)
    rows = planted(rng, 150, m, n_ids=min(10, max_id + 1), noise=0.15, abstain=0.05, max_id=max_id)
    agree, _ = oracle.pairwise_votes(rows)
    levels = {1, m // 4, m // 2, int(0.7 * m), int(0.8 * m), m - 5, m - 1, m}
    for min_agree in sorted(levels):
        expected = (agree >= min_agree).sum(axis=1)
        degrees = _degrees(rows, min_agree, way=way)
        np.testing.assert_array_equal(degrees, expected, err_msg=f"{min_agree=}")


@pytest.mark.parametrize("m, min_agree", [(24, 22), (33, 31), (64, 63), (100, 99), (1000, 1000)])
def test_degrees_by_subsets_of_rows_of_many_words(m, min_agree):
    rows = planted(np.random.default_rng(m), 250, m, noise=1 / m, abstain=0.3 / m, max_id=MAX_ID)
    np.testing.assert_array_equal(
        _degrees(rows, min_agree, way="subsets"), oracle.agreement_degrees(rows, min_agree)
    )


def test_a_sample_with_too_few_votes_has_no_neighbor_not_even_itself():
    rows = np.array([[1, 1, -1], [1, 1, -1], [-1, -1, -1], [1, 1, 1]])
    for way in WAYS:
        assert _degrees(rows, 3, way=way).tolist() == [0, 0, 0, 1]
        assert _degrees(rows, 2, way=way).tolist() == [3, 3, 0, 3]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_degrees_equal_the_oracle_where_threads_share_the_work(way):
    rng = np.random.default_rng(5)
    rows = planted(rng, 200_000, 8, n_ids=4, noise=0.25, abstain=0.02, n_distinct=4000)
    table = lq.SignatureTable(8)
    ids = table.update(rows)
    for min_agree in (1, 4, 6, 8):
        expected = oracle.agreement_degrees(table.signatures, min_agree, table.counts)
        for n_jobs in THREADS:
            degrees = _degrees(table, min_agree, way=way, n_jobs=n_jobs)
            np.testing.assert_array_equal(degrees, expected, err_msg=f"{min_agree=} {n_jobs=}")
        np.testing.assert_array_equal(lq.agreement_degrees(rows, min_agree), expected[ids])


@pytest.mark.slow
@pytest.mark.parametrize("min_agree", [14, 16, 18, 20])
def test_all_ways_agree_on_many_signatures(min_agree):
    rows = planted(np.random.default_rng(9), 10_000, 20, n_ids=10, noise=0.15, abstain=0.01)
    first, *others = [
        _degrees(rows, min_agree, way=way, n_jobs=n_jobs)
        for way, n_jobs in [("pairs", 2), ("blocks", 1), ("blocks", 8), (None, 2)]
        + ([("subsets", 2)] if min_agree >= 18 else [])
    ]
    assert first.max() > 1
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize("min_agree", [1, 500, 1000, 1500, 2000])
def test_binomials_of_many_partitions_may_overflow(min_agree):
    rows = planted(np.random.default_rng(1), 60, 2000, n_ids=3, noise=0.3)
    np.testing.assert_array_equal(
        lq.agreement_degrees(rows, min_agree), oracle.agreement_degrees(rows, min_agree)
    )


@pytest.mark.parametrize("m, min_agree", [(64, 32), (100, 50), (1000, 500), (2000, 1)])
def test_work_over_the_limit_is_refused_with_what_to_change(m, min_agree):
    rows = planted(np.random.default_rng(1), 2000, m, noise=0.5)
    with pytest.raises(lq.WorkLimitError, match="min_agree"):
        _degrees(rows, min_agree, way="subsets")


IN_A_FRESH_PROCESS = """
import numpy as np
import labelquorum as lq
from labelquorum.votes.agreement import _degrees
from strategies import planted

print(lq.instruction_set())
for max_id in (None, 300, 100_000):
    for m in (7, 40, 300):
        rows = planted(np.random.default_rng(m), 700, m, noise=0.3, abstain=0.05, max_id=max_id)
        for way in ("pairs", "blocks"):
            print(_degrees(rows, m // 2, way=way).tolist())
        print(lq.mini_clusters(rows, min_agree=m // 2, min_differ=m // 3).tolist())
"""


@functools.cache
def run_with_instruction_set(name):
    return subprocess.run(
        [sys.executable, "-c", IN_A_FRESH_PROCESS],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "LABELQUORUM_INSTRUCTION_SET": name},
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in _core.compiled_instruction_sets() if n != "baseline"])
def test_every_instruction_set_gives_the_numbers_of_the_baseline(name):
    done = run_with_instruction_set(name)
    if done.returncode != 0:
        assert name in done.stderr
        pytest.skip(f"this CPU has no {name}")
    used, *numbers = done.stdout.splitlines()
    assert used == name
    baseline = run_with_instruction_set("baseline")
    assert baseline.returncode == 0, baseline.stderr
    assert baseline.stdout.splitlines() == ["baseline", *numbers]


def test_an_unknown_way_is_refused():
    with pytest.raises(ValueError, match="way"):
        _degrees(np.array([[1, 2]]), 1, way="magic")


# Graph


@given(data=st.data(), rows=ensembles(), n_jobs=st.sampled_from(THREADS))
def test_graph_equals_the_oracle_for_every_threshold(data, rows, n_jobs):
    table = lq.SignatureTable(rows.shape[1])
    table.update(rows)
    min_agree = data.draw(st.integers(1, rows.shape[1]), "min_agree")
    graph = lq.agreement_graph(table, min_agree, n_jobs=n_jobs)
    assert isinstance(graph, scipy.sparse.csr_array)
    assert graph.shape == (len(table), len(table))
    assert graph.data.dtype == np.int32
    assert graph.indices.dtype == graph.indptr.dtype == np.int32
    assert graph.has_canonical_format
    for a, b in pairwise(graph.indptr):
        assert (np.diff(graph.indices[a:b]) > 0).all(), "sorted, none twice"
    expected = oracle.agreement_graph(table.signatures, min_agree)
    assert graph.nnz == np.count_nonzero(expected)
    np.testing.assert_array_equal(graph.toarray(), expected)


@pytest.mark.parametrize("m, max_id", [(24, None), (65, None), (100, MAX_ID), (1000, 255)])
def test_graph_of_rows_of_many_words(m, max_id):
    rows = planted(np.random.default_rng(m), 200, m, noise=0.15, abstain=0.05, max_id=max_id)
    table = lq.SignatureTable(m)
    table.update(rows)
    for min_agree in (1, m // 2, int(0.7 * m), m):
        np.testing.assert_array_equal(
            lq.agreement_graph(table, min_agree).toarray(),
            oracle.agreement_graph(table.signatures, min_agree),
        )


@pytest.mark.parametrize("min_agree", [3, 5, 7])
def test_graph_of_many_signatures_has_the_degrees_and_is_symmetric(min_agree):
    rows = planted(np.random.default_rng(2), 50_000, 7, n_ids=6, noise=0.3, n_distinct=8000)
    table = lq.SignatureTable(7)
    table.update(rows)
    first, *others = [lq.agreement_graph(table, min_agree, n_jobs=n_jobs) for n_jobs in THREADS]
    degrees = (first > 0).astype(np.int64) @ table.counts
    np.testing.assert_array_equal(degrees, lq.agreement_degrees(table, min_agree))
    assert (first != first.T).nnz == 0
    for other in others:
        np.testing.assert_array_equal(other.indptr, first.indptr)
        np.testing.assert_array_equal(other.indices, first.indices)
        np.testing.assert_array_equal(other.data, first.data)


def test_a_graph_that_cannot_fit_in_memory_is_refused_before_memory_is_taken():
    resource = pytest.importorskip("resource")
    # 200,000 signatures that all agree on the first partition: 4e10 edges, 320 GB.
    rows = np.column_stack([np.zeros(200_000, dtype=np.int64), np.arange(200_000)])
    table = lq.SignatureTable(2)
    table.update(rows)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((MemoryError, lq.WorkLimitError), match=r"\d"):
        lq.agreement_graph(table, 1)
    # In KiB on Linux, bytes on macOS: at most 512 MiB there.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19


# Co-association


@given(data=st.data(), rows=ensembles(), index=st.sampled_from([np.int32, np.int64]))
def test_coassociation_of_pairs_and_patterns_equals_the_oracle(data, rows, index):
    n = len(rows)
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    pairs = rng.integers(n, size=(data.draw(st.integers(1, 50)), 2)).astype(index)
    n_jobs = data.draw(st.sampled_from(THREADS))
    values = lq.coassociation(rows, pairs, n_jobs=n_jobs)
    assert values.dtype == np.float64
    expected = oracle.coassociation(rows, pairs)
    np.testing.assert_array_equal(values, expected)

    unique = np.unique(pairs, axis=0)
    entries = (np.ones(len(unique)), (unique[:, 0], unique[:, 1]))
    pattern = scipy.sparse.csr_array(entries, shape=(n, n))
    pattern.indptr, pattern.indices = pattern.indptr.astype(index), pattern.indices.astype(index)
    graph = lq.coassociation(rows, pattern, n_jobs=n_jobs)
    np.testing.assert_array_equal(graph.indptr, pattern.indptr)
    np.testing.assert_array_equal(graph.indices, pattern.indices)
    coordinates = np.column_stack(graph.tocoo().coords)
    np.testing.assert_array_equal(graph.data, oracle.coassociation(rows, coordinates))
    assert (pattern.data == 1).all(), "the given pattern stays as it is"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_coassociation_does_not_depend_on_the_layout(layout):
    rng = np.random.default_rng(3)
    rows = planted(rng, 80, 6, n_ids=3, noise=0.4, abstain=0.3)
    pairs = rng.integers(80, size=(200, 2))
    values = lq.coassociation(LAYOUTS[layout](rows.astype(np.int16)), pairs)
    np.testing.assert_array_equal(values, oracle.coassociation(rows, pairs))


@pytest.mark.parametrize("arrange", [np.asfortranarray, lambda p: p[:, ::-1], lambda p: p[::-2]])
def test_coassociation_accepts_pairs_in_any_layout(arrange):
    rng = np.random.default_rng(3)
    rows = planted(rng, 80, 6, n_ids=3, noise=0.4, abstain=0.3)
    pairs = arrange(rng.integers(80, size=(200, 2)))
    np.testing.assert_array_equal(lq.coassociation(rows, pairs), oracle.coassociation(rows, pairs))


def test_coassociation_without_a_common_partition_is_nan():
    rows = np.array([[1, -1], [-1, 1], [1, 1]])
    values = lq.coassociation(rows, np.array([[0, 1], [0, 2], [0, 0]]))
    np.testing.assert_array_equal(values, [np.nan, 1.0, 1.0])


@pytest.mark.parametrize("n_jobs", THREADS)
def test_coassociation_of_many_pairs_equals_numpy(n_jobs):
    rng = np.random.default_rng(4)
    rows = planted(rng, 5000, 12, abstain=0.2)
    pairs = rng.integers(5000, size=(300_000, 2))
    left, right = rows[pairs[:, 0]], rows[pairs[:, 1]]
    both = (left >= 0) & (right >= 0)
    with np.errstate(invalid="ignore"):
        expected = ((left == right) & both).sum(axis=1) / both.sum(axis=1)
    np.testing.assert_array_equal(lq.coassociation(rows, pairs, n_jobs=n_jobs), expected)


@pytest.mark.parametrize("bad", [-1, 3, 2**40])
def test_coassociation_refuses_row_numbers_out_of_range(bad):
    rows = np.array([[1], [2], [3]])
    with pytest.raises(ValueError, match="pairs"):
        lq.coassociation(rows, np.array([[0, 1], [bad, 2]]))
