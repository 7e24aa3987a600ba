"""A SignatureTable has the ids and counts of a dict, in whatever form the rows come."""

from __future__ import annotations

import copy
import functools
import importlib.util
import pickle
import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

import labelquorum as lq
import oracle
from strategies import (
    INTEGER_TYPES,
    LAYOUTS,
    MAX_ID,
    THREADS,
    cuts,
    ensembles,
    planted,
    share,
)
from tables import COUNTERS, assert_holds, assert_same, expected_table, merged, table_of

# The contents equal the oracle's


@given(data=st.data(), rows=ensembles())
def test_update_equals_a_dict_for_any_chunks_threads_and_type_of_ids(data, rows):
    table, expected = lq.SignatureTable(rows.shape[1]), oracle.Table(rows.shape[1])
    for chunk in data.draw(cuts(len(rows))):
        n_jobs = data.draw(st.sampled_from(THREADS))
        out = data.draw(
            st.sampled_from([None, np.int32, np.int64]).map(
                lambda t, n=chunk.stop - chunk.start: None if t is None else np.full(n, 77, t)
            )
        )
        ids = table.update(rows[chunk], out=out, n_jobs=n_jobs)
        assert ids is out if out is not None else ids.dtype == np.int32
        np.testing.assert_array_equal(ids, expected.update(rows[chunk]))
    assert_holds(table, expected)


@share(0.3)
@given(rows=ensembles(), queries=ensembles(), n_jobs=st.sampled_from(THREADS))
def test_lookup_gives_the_id_or_minus_one_and_counts_nothing(rows, queries, n_jobs):
    table, expected = table_of(rows), expected_table(rows)
    m = rows.shape[1]
    # Rows of the table and rows of another ensemble, brought to the same width.
    queries = np.concatenate([rows[::2], np.resize(queries, (len(queries), m))])
    ids = table.lookup(queries, n_jobs=n_jobs)
    assert ids.dtype == np.int32
    np.testing.assert_array_equal(ids, expected.lookup(queries))
    assert_holds(table, expected)


DUPLICATES = {
    "pickle": lambda table: pickle.loads(pickle.dumps(table)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "bytes": lambda table: lq.SignatureTable.from_bytes(table.to_bytes()),
}
if importlib.util.find_spec("pyarrow"):
    DUPLICATES["arrow"] = lambda table: lq.SignatureTable.from_arrow(table.to_arrow())


class TableMachine(RuleBasedStateMachine):
    """Any sequence of calls on several tables leaves each equal to its dict."""

    tables = Bundle("tables")

    @initialize(m=st.integers(1, 5) | st.sampled_from([24, 70]))
    def choose_n_partitions(self, m):
        self.m = m
        self.pairs = []

    def _rows(self, seed, n, n_ids, max_id):
        rng = np.random.default_rng(seed)
        return planted(rng, n, self.m, n_ids=n_ids, noise=0.3, abstain=0.1, max_id=max_id)

    def _add(self, pair):
        self.pairs.append(pair)
        return pair

    @rule(target=tables)
    def new(self):
        return self._add((lq.SignatureTable(self.m), oracle.Table(self.m)))

    @rule(
        pair=tables,
        seed=st.integers(0, 5),
        n=st.integers(1, 50),
        n_ids=st.sampled_from([1, 3, 300]),
        max_id=st.sampled_from([None, 200, 70_000, MAX_ID]),
        n_jobs=st.sampled_from(THREADS),
    )
    def update(self, pair, seed, n, n_ids, max_id, n_jobs):
        rows = self._rows(seed, n, n_ids, max_id)
        ids = pair[0].update(rows, n_jobs=n_jobs)
        np.testing.assert_array_equal(ids, pair[1].update(rows))

    @rule(pair=tables, other=tables, n_jobs=st.sampled_from(THREADS))
    def merge(self, pair, other, n_jobs):
        if len(pair[1].counts) == 0 == len(other[1].counts):
            return
        if sum(pair[1].counts) + sum(other[1].counts) > 2**63 - 1:
            return
        remap = pair[0].merge(other[0], n_jobs=n_jobs)
        assert remap.dtype == np.int32
        np.testing.assert_array_equal(remap, pair[1].merge(other[1]))

    @rule(pair=tables, seed=st.integers(0, 5))
    def update_with_an_id_too_large(self, pair, seed):
        rows = self._rows(seed, 20, 10, None)
        rows[-1, -1] = MAX_ID + 1
        with pytest.raises(ValueError, match="2147483648"):
            pair[0].update(rows)

    @rule(target=tables, pair=tables, way=st.sampled_from(sorted(DUPLICATES)))
    def duplicate(self, pair, way):
        return self._add((DUPLICATES[way](pair[0]), copy.deepcopy(pair[1])))

    @invariant()
    def every_table_equals_its_dict(self):
        for table, expected in getattr(self, "pairs", []):
            assert_holds(table, expected)


TestTableMachine = TableMachine.TestCase
TestTableMachine.settings = settings(share(0.1), stateful_step_count=20)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", INTEGER_TYPES)
def test_every_type_and_layout_gives_the_same_ids(dtype, layout):
    rng = np.random.default_rng(7)
    rows = planted(rng, 500, 7, n_distinct=90, abstain=0.2 if dtype[0] == "i" else 0.0)
    # The largest id the type holds: its bits must not be taken for a sign.
    rows[3, 2] = min(np.iinfo(dtype).max, MAX_ID)
    held = LAYOUTS[layout](rows.astype(dtype))
    expected = expected_table(rows)
    table = lq.SignatureTable(7)
    np.testing.assert_array_equal(table.update(held), expected.lookup(rows))
    np.testing.assert_array_equal(table.lookup(held), expected.lookup(rows))
    assert_holds(table, expected)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64"])
def test_every_negative_value_is_the_same_abstention(dtype):
    negatives = np.array([-1, -2, np.iinfo(dtype).min, np.iinfo(dtype).min + 1], dtype=dtype)
    table = table_of(np.column_stack([negatives, np.zeros_like(negatives)]))
    assert table.signatures.tolist() == [[-1, 0]]
    assert table.counts.tolist() == [4]


def test_a_zero_stride_counts_one_row_many_times():
    rows = np.broadcast_to(np.array([[3, -1, 5]], dtype=np.int16), (100_000, 3))
    table = table_of(rows, n_jobs=2)
    assert table.signatures.tolist() == [[3, -1, 5]]
    assert table.counts.tolist() == [100_000]


# Rows packed into many words, and tables that widen


@pytest.mark.parametrize("max_id", [1, 9, 255, 65_535, MAX_ID])
@pytest.mark.parametrize("m", [1, 2, 3, 24, 63, 64, 65, 100, 1000])
def test_rows_of_any_number_of_words(m, max_id):
    rng = np.random.default_rng(m)
    n_ids = min(10, max_id + 1)
    rows = planted(rng, 200, m, n_ids=n_ids, noise=0.02, abstain=0.05, max_id=max_id)
    # Rows that differ in one place only: the first, the last, a middle one.
    variants = np.repeat(rows[:1], 3, axis=0)
    variants[[0, 1, 2], [0, m // 2, m - 1]] = rng.integers(max_id, size=3, endpoint=True)
    rows = np.concatenate([rows, variants, rows[::-1]])
    expected = expected_table(rows)
    for n_jobs in THREADS:
        table = lq.SignatureTable(m)
        np.testing.assert_array_equal(table.update(rows, n_jobs=n_jobs), expected.lookup(rows))
        assert_holds(table, expected)


def test_more_partitions_than_a_thousand():
    rows = planted(np.random.default_rng(0), 50, 5000, n_distinct=20)
    assert_holds(table_of(rows), expected_table(rows))


@pytest.mark.parametrize("n_jobs", THREADS)
@pytest.mark.parametrize("descending", [False, True], ids=["wider", "narrower"])
def test_ids_stay_when_later_chunks_hold_other_widths(descending, n_jobs):
    rng = np.random.default_rng(3)
    widths = [1, 3, 200, 300, 60_000, 70_000, 2**30, MAX_ID]
    table, expected = lq.SignatureTable(9), oracle.Table(9)
    for max_id in widths[::-1] if descending else widths:
        rows = planted(rng, 400, 9, n_ids=min(5, max_id + 1), abstain=0.1, max_id=max_id)
        np.testing.assert_array_equal(table.update(rows, n_jobs=n_jobs), expected.update(rows))
        assert_holds(table, expected)


def test_ids_stay_when_one_column_after_another_widens():
    table, expected = lq.SignatureTable(20), oracle.Table(20)
    for column in range(20):
        rows = np.ones((3, 20), dtype=np.int64)
        rows[1, column] = 4**column % MAX_ID
        rows[2, column] = MAX_ID - column
        np.testing.assert_array_equal(table.update(rows), expected.update(rows))
        assert_holds(table, expected)


def test_lookup_of_ids_wider_than_any_seen_finds_nothing():
    table = table_of(np.array([[0, 1], [1, 0]]))
    # Truncated to the table's few bits per vote these would look like known rows.
    strangers = np.array([[4, 1], [256, 1], [2**16, 1], [2**31 - 2, 1], [MAX_ID, 1], [1, MAX_ID]])
    assert table.lookup(strangers).tolist() == [-1] * 6
    assert table.lookup(np.array([[1, 0], [0, 1]])).tolist() == [1, 0]


def test_abstention_differs_from_the_largest_id():
    rows = np.array([[-1, 0], [MAX_ID, 0], [0, 0]])
    table = table_of(rows)
    assert table.signatures.tolist() == rows.tolist()
    assert table.lookup(np.array([[-5, 0]])).tolist() == [0]


# Merging and counting elsewhere


@given(data=st.data(), rows=ensembles(), seed=st.integers(0, 1000))
def test_any_merge_tree_gives_the_table_of_one_update(data, rows, seed):
    chunks = data.draw(cuts(len(rows)))
    tables = [lq.SignatureTable(rows.shape[1]) for _ in chunks]
    ids = [table.update(rows[chunk]) for table, chunk in zip(tables, chunks, strict=True)]
    n_jobs = data.draw(st.sampled_from(THREADS))
    table, remaps = merged(np.random.default_rng(seed), tables, n_jobs=n_jobs)
    expected = expected_table(rows)
    assert_holds(table, expected)
    global_ids = np.concatenate([remap[i] for remap, i in zip(remaps, ids, strict=True)])
    np.testing.assert_array_equal(global_ids, expected.lookup(rows))


def test_merge_with_itself_doubles_the_counts():
    rows = planted(np.random.default_rng(1), 300, 6, n_distinct=40)
    table, expected = table_of(rows), expected_table(np.concatenate([rows, rows]))
    assert table.merge(table).tolist() == list(range(len(table)))
    assert_holds(table, expected)


def test_merge_leaves_the_other_table_as_it_was():
    rng = np.random.default_rng(2)
    first, second = planted(rng, 100, 5), planted(rng, 100, 5, max_id=MAX_ID)
    table, other = table_of(first), table_of(second)
    table.merge(other)
    assert_holds(other, expected_table(second))


def test_merge_with_an_empty_table_changes_nothing():
    rows = np.array([[1, 2], [3, 4]])
    table = table_of(rows)
    assert table.merge(lq.SignatureTable(2)).tolist() == []
    assert_holds(table, expected_table(rows))
    empty = lq.SignatureTable(2)
    assert empty.merge(table).tolist() == [0, 1]
    assert_holds(empty, expected_table(rows))


def test_merge_refuses_another_number_of_partitions():
    table, other = table_of(np.array([[1, 2]])), table_of(np.array([[1, 2, 3]]))
    with pytest.raises(ValueError, match="partitions"):
        table.merge(other)
    assert_holds(table, expected_table(np.array([[1, 2]])))


def test_an_empty_table_holds_nothing():
    table = lq.SignatureTable(4)
    assert len(table) == table.n_samples == 0
    assert table.signatures.shape == (0, 4)
    assert table.counts.shape == (0,)
    assert table.lookup(np.zeros((2, 4), dtype=int)).tolist() == [-1, -1]


@share(0.3)
@given(data=st.data(), rows=ensembles())
def test_from_counts_adds_up_duplicates_in_order_of_first_appearance(data, rows):
    counts = data.draw(
        st.lists(st.integers(1, 2**40), min_size=len(rows), max_size=len(rows)), "counts"
    )
    table = lq.SignatureTable.from_counts(rows, np.array(counts, dtype=np.int64))
    assert_holds(table, expected_table(rows, counts))


@pytest.mark.parametrize("counter", COUNTERS.values(), ids=COUNTERS)
def test_counted_by_another_engine_the_table_holds_the_same_samples(counter):
    rows = planted(np.random.default_rng(8), 5000, 6, n_ids=4, noise=0.2, abstain=0.05)
    # Other engines know nothing of abstentions: -1 and -7 are two groups to them.
    table = lq.SignatureTable.from_counts(*counter(rows))
    whole = table_of(rows)
    assert table.n_samples == len(rows)
    order = table.lookup(whole.signatures)
    assert sorted(order.tolist()) == list(range(len(whole)))
    np.testing.assert_array_equal(table.counts[order], whole.counts)


# Counts of any size


def test_counts_pass_two_to_the_31_by_merging_a_table_with_itself():
    rows = np.array([[0, 1], [2, -1], [0, 1]])
    table = table_of(rows)
    for doubled in range(1, 41):
        table.merge(table)
        assert table.n_samples == 3 * 2**doubled
    assert table.counts.tolist() == [2**41, 2**40]
    assert lq.agreement_degrees(table, 2).tolist() == [2**41, 0]
    assert lq.mini_clusters(table, min_agree=2, min_size=2**40).tolist() == [0, -1]
    assert lq.mini_clusters(table, min_agree=2, min_size=2**41 + 1).tolist() == [-1, -1]


def overflowing_calls():
    rows = np.array([[5, 5], [MAX_ID, 0]])
    full = lq.SignatureTable.from_counts(rows, np.array([2**62, 2**62 - 1]))
    return {
        "merge_with_itself": lambda: full.merge(full),
        "merge": lambda: full.merge(table_of(np.array([[7, 7]]))),
        "update": lambda: full.update(np.array([[9, 9]])),
        "update_of_a_known_row": lambda: full.update(rows[:1]),
    }, full


@pytest.mark.parametrize("name", overflowing_calls()[0])
def test_more_samples_than_two_to_the_63_are_refused_and_nothing_changes(name):
    calls, full = overflowing_calls()
    before = full.signatures, full.counts
    with pytest.raises(OverflowError):
        calls[name]()
    assert full.n_samples == 2**63 - 1
    np.testing.assert_array_equal(full.signatures, before[0])
    np.testing.assert_array_equal(full.counts, before[1])
    assert full.lookup(np.array([[7, 7], [9, 9], [5, 5]])).tolist() == [-1, -1, 0]


def test_from_counts_refuses_more_samples_than_two_to_the_63():
    counts = np.array([2**62, 2**62], dtype=np.int64)
    for rows in ([[1, 2], [3, 4]], [[1, 2], [1, 2]]):
        with pytest.raises(OverflowError):
            lq.SignatureTable.from_counts(np.array(rows), counts)


@pytest.mark.parametrize("count", [0, -1, -(2**63)])
def test_from_counts_refuses_counts_below_one(count):
    with pytest.raises(ValueError, match="counts"):
        lq.SignatureTable.from_counts(np.array([[1], [2]]), np.array([1, count]))


# A failed call changes nothing


@pytest.mark.parametrize("n_jobs", THREADS)
@pytest.mark.parametrize("row", [0, 150_000, 299_999])
@pytest.mark.parametrize("too_large", [MAX_ID + 1, 2**32, 2**63 - 1])
def test_an_id_too_large_anywhere_in_a_chunk_leaves_the_table_as_it_was(too_large, row, n_jobs):
    rng = np.random.default_rng(11)
    before = planted(rng, 1000, 4)
    table, expected = table_of(before), expected_table(before)
    chunk = planted(rng, 300_000, 4, n_ids=1000, noise=0.5)
    chunk[row, 2] = too_large
    with pytest.raises(ValueError, match=str(too_large)) as error:
        table.update(chunk, n_jobs=n_jobs)
    assert str(row) in str(error.value), "the message says which row"
    assert_holds(table, expected)
    np.testing.assert_array_equal(table.lookup(before), expected.lookup(before))
    if row > 0:
        assert table.lookup(chunk[:row], n_jobs=n_jobs).max() < len(expected.counts)
    # The table can be used as before.
    chunk[row, 2] = 0
    table.update(chunk, n_jobs=n_jobs)
    whole = table_of(np.concatenate([before, chunk]))
    assert_same(table, whole)


def test_lookup_refuses_an_id_too_large():
    table = table_of(np.array([[1, 2]]))
    with pytest.raises(ValueError, match="4294967297"):
        table.lookup(np.array([[1, 2**32 + 1]]))


# Results written to a given array


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_update_writes_into_a_memory_map(tmp_path, dtype):
    rows = planted(np.random.default_rng(4), 10_000, 5, n_distinct=300)
    path = tmp_path / "ids.npy"
    out = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(len(rows),))
    assert lq.SignatureTable(5).update(rows, out=out, n_jobs=2) is out
    out.flush()
    np.testing.assert_array_equal(np.load(path), expected_table(rows).lookup(rows))


def test_update_writes_nothing_beside_its_part_of_a_larger_array():
    rows = planted(np.random.default_rng(4), 300, 5)
    ids = np.full(500, -99, dtype=np.int32)
    lq.SignatureTable(5).update(rows, out=ids[100:400])
    np.testing.assert_array_equal(ids[100:400], expected_table(rows).lookup(rows))
    assert (ids[:100] == -99).all()
    assert (ids[400:] == -99).all()


# Sizes at which several threads share the work


@functools.cache
def large_case(kind):
    """200,000 rows, and what np.unique makes of them."""
    rng = np.random.default_rng(12)
    rows = {
        "few_signatures": lambda: planted(rng, 200_000, 10, noise=0.1, n_distinct=900),
        "many_signatures": lambda: planted(rng, 200_000, 10, noise=0.2, abstain=0.02),
        "all_distinct": lambda: rng.permutation(
            np.column_stack([np.arange(200_000) // 1000, np.arange(200_000) % 1000])
        ),
        "two_words": lambda: planted(rng, 200_000, 24, noise=0.1, n_distinct=60_000),
        "many_words": lambda: planted(rng, 200_000, 12, noise=0.1, max_id=MAX_ID),
        "one_signature": lambda: np.full((200_000, 3), 4),
    }[kind]()
    return rows, oracle.first_appearance(rows)


LARGE = [
    "few_signatures",
    "many_signatures",
    "all_distinct",
    "two_words",
    "many_words",
    "one_signature",
]


@pytest.mark.slow
@pytest.mark.parametrize("n_chunks", [1, 3, 50])
@pytest.mark.parametrize("n_jobs", THREADS)
@pytest.mark.parametrize("kind", LARGE)
def test_large_update_equals_np_unique(kind, n_jobs, n_chunks):
    rows, (ids, signatures, counts) = large_case(kind)
    table = lq.SignatureTable(rows.shape[1])
    got = [table.update(chunk, n_jobs=n_jobs) for chunk in np.array_split(rows, n_chunks)]
    np.testing.assert_array_equal(np.concatenate(got), ids)
    np.testing.assert_array_equal(table.signatures, signatures)
    np.testing.assert_array_equal(table.counts, counts)
    np.testing.assert_array_equal(table.lookup(rows, n_jobs=n_jobs), ids)


@pytest.mark.parametrize("n_jobs", THREADS)
@pytest.mark.parametrize("kind", LARGE)
def test_large_merge_equals_one_update(kind, n_jobs):
    rows, (ids, signatures, counts) = large_case(kind)
    table, other = table_of(rows[:80_000]), lq.SignatureTable(rows.shape[1])
    other_ids = other.update(rows[80_000:])
    remap = table.merge(other, n_jobs=n_jobs)
    np.testing.assert_array_equal(remap[other_ids], ids[80_000:])
    np.testing.assert_array_equal(table.signatures, signatures)
    np.testing.assert_array_equal(table.counts, counts)


@pytest.mark.parametrize("n_jobs", THREADS)
def test_large_update_equals_np_unique_for_a_memory_mapped_file(n_jobs):
    rows, (ids, _, _) = large_case("many_signatures")
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file, rows.astype(np.int8))
        file.flush()
        mapped = np.load(file.name, mmap_mode="r")
        np.testing.assert_array_equal(lq.SignatureTable(10).update(mapped, n_jobs=n_jobs), ids)


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", THREADS)
def test_millions_of_rows_in_one_chunk_that_widens_at_its_end(n_jobs):
    n = 5_000_000
    first = np.arange(n) // 1000
    columns = [(first % 256).astype(np.uint8), (first // 256).astype(np.int16), np.zeros(n, int)]
    columns[2][-3:] = [-5, 70_000, MAX_ID]
    table = lq.SignatureTable(3)
    before = np.array([[3, 0, 0], [9, 9, 9]])
    table.update(before)
    ids = table.update(columns, n_jobs=n_jobs)
    # The rows come in runs of 1,000; the fourth run is known already, the last row's three are new.
    expected = np.where(first < 3, first + 2, np.where(first == 3, 0, first + 1))
    expected[-3:] = 5001 + np.arange(3)
    np.testing.assert_array_equal(ids, expected)
    np.testing.assert_array_equal(
        table.counts, np.bincount(expected) + np.eye(1, 5004)[0] + np.eye(1, 5004, 1)[0]
    )
    assert table.signatures[-3:, 2].tolist() == [-1, 70_000, MAX_ID]
    # A failure at the end of as many rows undoes them all.
    counts = table.counts
    columns[2][-1] = MAX_ID + 1
    with pytest.raises(ValueError, match=str(n - 1)):
        table.update(columns, n_jobs=n_jobs)
    np.testing.assert_array_equal(table.counts, counts)
