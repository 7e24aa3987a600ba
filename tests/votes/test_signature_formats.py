"""Pickles, bytes and Arrow tables give the same SignatureTable back, in every later version."""

from __future__ import annotations

import copy
import io
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import labelquorum as lq
from strategies import MAX_ID, planted
from tables import assert_holds, assert_same, expected_table, table_of

DATA = Path(__file__).parents[1] / "data"


# Pickles and copies


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_table_comes_back_and_can_be_updated(protocol):
    rng = np.random.default_rng(6)
    first, second = planted(rng, 2000, 30, max_id=MAX_ID, abstain=0.1), planted(rng, 500, 30)
    table = pickle.loads(pickle.dumps(table_of(first), protocol))
    assert_holds(table, expected_table(first))
    table.update(second)
    assert_holds(table, expected_table(np.concatenate([first, second])))


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_does_not_follow_the_original(duplicate):
    rows = np.array([[1, 2], [3, 4]])
    table = table_of(rows)
    other = duplicate(table)
    table.update(np.array([[5, 6]]))
    assert_holds(other, expected_table(rows))


def test_an_empty_table_can_be_pickled_and_copied():
    for table in (
        pickle.loads(pickle.dumps(lq.SignatureTable(3))),
        copy.copy(lq.SignatureTable(3)),
    ):
        assert table.update(np.array([[1, 2, 3]])).tolist() == [0]


def test_the_pickle_of_version_0_1_is_still_read():
    # Written by version 0.1.0 from these rows, at protocol 4. Do not write it again.
    table = pickle.loads((DATA / "signature_table_v1.pickle").read_bytes())
    rows = np.array([[0, -1, MAX_ID], [3, 2, 1], [0, -1, MAX_ID], [-1, -1, -1], [3, 2, 0]])
    assert_holds(table, expected_table(rows))


@pytest.mark.parametrize("damage", ["cut", "empty"])
def test_a_damaged_pickle_is_refused(damage):
    data = pickle.dumps(table_of(np.arange(3000).reshape(1000, 3)))
    with pytest.raises((pickle.UnpicklingError, EOFError, ValueError)):
        pickle.loads(data[: len(data) // 2] if damage == "cut" else b"")


# Bytes and Arrow


def test_the_same_table_has_the_same_bytes_in_any_process():
    code = "import labelquorum as lq, sys; table = lq.SignatureTable(2); "
    code += "table.update([[3, 3, -1], [200, 7, 7]]); sys.stdout.buffer.write(table.to_bytes())"
    written = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    rows = np.array([[3, 200], [3, 7], [-1, 7]])
    assert table_of(rows).to_bytes() == written
    table = lq.SignatureTable.from_bytes(memoryview(bytearray(written)))
    assert_holds(table, expected_table(rows))
    assert table.update(rows[::-1]).tolist() == [2, 1, 0]


def test_the_bytes_and_the_arrow_file_of_version_0_1_are_still_read():
    # Written by version 0.1.0 from these rows. Do not write it again.
    expected = expected_table(
        np.array([[0, -1, MAX_ID], [3, 2, 1], [0, -1, MAX_ID], [-1, -1, -1], [3, 2, 0]])
    )
    data = (DATA / "signature_table_v1.npz").read_bytes()
    assert_holds(lq.SignatureTable.from_bytes(data), expected)
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = parquet.read_table(DATA / "signature_table_v1.parquet")
    assert_holds(lq.SignatureTable.from_arrow(arrow), expected)


def saved_in_format(number):
    file = io.BytesIO()
    np.savez(file, format=number, unknown_to_version_1=np.arange(3))
    return file.getvalue()


def saved_array():
    file = io.BytesIO()
    np.save(file, np.arange(3))
    return file.getvalue()


def saved(**state):
    file = io.BytesIO()
    empty = {"signatures": np.zeros((0, 2), np.int8), "counts": np.zeros(0, np.int64)}
    np.savez(file, **{"format": 1, "n_partitions": 2} | empty | state)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"data must be.* got other or damaged bytes \(not a zip file\)"),
        (b"PK", r"data must be.* got other or damaged bytes \(not a zip file\)"),
        (
            pickle.dumps({"format": 1}),
            r"data must be.* got other or damaged bytes \(not a zip file\)",
        ),
        (saved_array(), r"data must be.* got other or damaged bytes \(not a zip file\)"),
        (saved_in_format(2), "the saved SignatureTable must have format version 1, got 2"),
        (saved(n_partitions=0), "n_partitions"),
        (saved(n_partitions=2**31), "n_partitions"),
        (saved(counts=np.ones(1, np.int64)), "signatures must hold at least one sample, got none"),
        (
            saved(signatures=np.zeros((1, 3), int), counts=np.ones(1, int)),
            "signatures must hold.* got 3",
        ),
        (
            saved(signatures=np.zeros((1, 2), int), counts=np.zeros(1, int)),
            "counts must be.* got 0",
        ),
    ],
)
def test_bytes_of_anything_else_are_refused(data, message):
    with pytest.raises(ValueError, match=message):
        lq.SignatureTable.from_bytes(data)


@pytest.mark.parametrize(
    "state",
    [
        {"signatures": np.zeros((3, 2), np.int8)},
        {"signatures": np.zeros((2, 2)), "counts": np.ones(2, np.int64)},
        {"signatures": np.zeros((1, 2), np.int8), "counts": np.ones(1)},
        {"signatures": np.array(7), "counts": np.array(7)},
        {"signatures": np.eye(2, dtype=int), "counts": np.full(2, 2**63 - 1)},
        {"n_partitions": np.array([1, 2])},
        {"n_partitions": "x"},
    ],
)
def test_arrays_that_make_no_table_are_a_value_error(state):
    with pytest.raises(ValueError):
        lq.SignatureTable.from_bytes(saved(**state))


def test_zeros_in_the_directory_of_the_archive_do_not_make_an_empty_table():
    expected = table_of(planted(np.random.default_rng(0), 50, 3))
    whole = expected.to_bytes()
    for i in range(len(whole) - 12):
        damaged = whole[:i] + bytes(12) + whole[i + 12 :]
        try:
            table = lq.SignatureTable.from_bytes(damaged)
        except ValueError:
            continue
        assert_same(table, expected)


def test_strings_are_no_bytes():
    with pytest.raises(TypeError, match="data must be bytes-like, got str"):
        lq.SignatureTable.from_bytes("table")


def test_damaged_bytes_are_refused_or_give_the_same_table():
    expected = table_of(planted(np.random.default_rng(0), 50, 3))
    whole = expected.to_bytes()
    for i in range(len(whole)):
        damaged = bytearray(whole)
        damaged[i] ^= 0x55
        for data in (damaged, whole[:i]):
            try:
                table = lq.SignatureTable.from_bytes(data)
            except ValueError:
                continue
            assert_same(table, expected)


def test_arrow_has_a_column_for_each_partition_and_the_counts():
    pa = pytest.importorskip("pyarrow")
    table = lq.SignatureTable.from_counts([[0, -1], [5, 6]], [10, 20])
    arrow = table.to_arrow()
    assert arrow.to_pydict() == {"p0": [0, -1], "p1": [5, 6], "count": [10, 20]}
    assert arrow.schema.types == [pa.int32(), pa.int32(), pa.int64()]
    # Concatenated tables are merged; the ids are those of the first.
    twice = lq.SignatureTable.from_arrow(pa.concat_tables([arrow, arrow.slice(1), arrow]))
    assert twice.counts.tolist() == [20, 60]
    np.testing.assert_array_equal(twice.signatures, table.signatures)
    assert len(lq.SignatureTable.from_arrow(lq.SignatureTable(3).to_arrow())) == 0


def test_arrow_of_other_engines_is_read():
    pa = pytest.importorskip("pyarrow")
    polars = pytest.importorskip("polars")
    rows = planted(np.random.default_rng(8), 500, 3, n_ids=4, noise=0.2)
    frame = polars.DataFrame({f"c{p}": column for p, column in enumerate(rows.T)})
    counted = frame.group_by(frame.columns).len("count")
    for data in (counted, counted.to_arrow(), pa.table(counted).to_batches()[0]):
        table = lq.SignatureTable.from_arrow(data)
        assert table.n_samples == len(rows)
        assert len(table) == len(table_of(rows))


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        ({"p0": [1]}, ValueError, "data must have one column named 'count', got the columns p0"),
        ({"count": [1]}, ValueError, "signatures must hold at least one partition, got none"),
        ({"p0": [None, 1], "count": [1, 1]}, TypeError, r"signatures\[0\] must hold.* got NaN"),
        ({"p0": ["a"], "count": [1]}, TypeError, r"signatures\[0\] must hold.* got dtype object"),
        ({"p0": [1], "count": [1.5]}, TypeError, "counts must hold integers, got dtype float64"),
        ({"p0": [1], "count": [0]}, ValueError, "counts must be at least 1, got 0"),
    ],
)
def test_arrow_without_counts_of_integers_is_refused(columns, error, message):
    pa = pytest.importorskip("pyarrow")
    with pytest.raises(error, match=message):
        lq.SignatureTable.from_arrow(pa.table(columns))


def test_arrow_of_a_later_format_is_refused():
    pytest.importorskip("pyarrow")
    arrow = table_of(np.array([[1, 2]])).to_arrow()
    later = arrow.replace_schema_metadata({"labelquorum.format": "2"})
    with pytest.raises(ValueError, match=r"the saved SignatureTable must have .* got 2"):
        lq.SignatureTable.from_arrow(later)
