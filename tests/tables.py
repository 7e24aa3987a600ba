"""Tables of signatures by other ways: merged in random order, and counted by other engines."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest


def merged(rng, tables, **kwargs):
    """Merges neighbours in random order until one is left; its ids, chunk by chunk."""
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
