"""Tables of signatures: made, compared, merged in random order, or counted by other engines."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest

import labelquorum as lq
import oracle


def table_of(rows, **kwargs):
    table = lq.SignatureTable(rows.shape[1])
    table.update(rows, **kwargs)
    return table


def expected_table(rows, counts=None):
    table = oracle.Table(rows.shape[1])
    table.update(rows, counts)
    return table


def assert_holds(table, expected):
    """Assert that the table equals an oracle.Table and has the documented types."""
    assert len(table) == len(expected.counts)
    assert table.n_partitions == expected.n_partitions
    assert table.n_samples == sum(expected.counts)
    assert table.counts.dtype == np.int64
    assert table.signatures.dtype == np.int32
    np.testing.assert_array_equal(table.signatures, expected.signatures)
    np.testing.assert_array_equal(table.counts, np.array(expected.counts, dtype=np.int64))


def assert_same(table, other):
    np.testing.assert_array_equal(table.signatures, other.signatures)
    np.testing.assert_array_equal(table.counts, other.counts)


def merged(rng, tables, **kwargs):
    """Merge adjacent tables in random order until one is left; return it and the ids by chunk."""
    groups = [(table, [np.arange(len(table))]) for table in tables]
    while len(groups) > 1:
        i = int(rng.integers(len(groups) - 1))
        (left, left_ids), (right, right_ids) = groups[i], groups[i + 1]
        remap = left.merge(right, **kwargs)
        groups[i : i + 2] = [(left, left_ids + [remap[ids] for ids in right_ids])]
    return groups[0]


def count_with_sqlite(rows):
    columns = [f"c{p}" for p in range(rows.shape[1])]
    names = ", ".join(columns)
    with sqlite3.connect(":memory:") as connection:
        connection.execute(f"CREATE TABLE votes ({names})")
        marks = ", ".join("?" * len(columns))
        connection.executemany(f"INSERT INTO votes VALUES ({marks})", rows.tolist())
        query = f"SELECT {names}, COUNT(*) FROM votes GROUP BY {names}"
        result = np.array(connection.execute(query).fetchall(), dtype=np.int64)
    connection.close()
    return result[:, :-1], result[:, -1]


def count_with_duckdb(rows):
    duckdb = pytest.importorskip("duckdb")
    pandas = pytest.importorskip("pandas")
    votes = pandas.DataFrame(rows, columns=[f"c{p}" for p in range(rows.shape[1])])
    with duckdb.connect() as connection:
        connection.register("votes", votes)
        result = connection.execute("SELECT *, COUNT(*) AS n FROM votes GROUP BY ALL").fetchnumpy()
    *columns, counts = (np.asarray(values) for values in result.values())
    return np.column_stack(columns), counts


def count_with_polars(rows):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({f"c{p}": column for p, column in enumerate(rows.T)})
    counted = frame.group_by(frame.columns).len().to_numpy()
    return counted[:, :-1], counted[:, -1].astype(np.int64)


COUNTERS = {
    "sqlite": count_with_sqlite,
    "duckdb": count_with_duckdb,
    "polars": count_with_polars,
}
