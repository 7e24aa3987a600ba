"""Collapse rows into signatures, beside group-bys of Polars and DuckDB.

Bringing the rows into the form that a peer likes is not timed. `update` also gives the id of every
row, which a group-by does not.
"""

from __future__ import annotations

import numpy as np
import pytest

import labelquorum as lq
from _data import ensemble, packed

SIZES = {"n_rows": {"small": [10**6], "full": [10**8]}}
GROUP = "collapse rows into signatures"
N_PARTITIONS = 10
COLUMNS = [f"p{j}" for j in range(N_PARTITIONS)]
DUCKDB_MAX_ROWS = 10**7


@pytest.fixture(scope="module")
def rows(n_rows):
    return ensemble(n_rows, N_PARTITIONS)


@pytest.fixture(scope="module")
def counts(rows):
    """Distinct rows as sorted words, and how often each stands among the rows."""
    return np.unique(packed(rows), return_counts=True)


def assert_counts(signatures, found, counts):
    words = packed(signatures)
    order = np.argsort(words)
    np.testing.assert_array_equal(words[order], counts[0])
    np.testing.assert_array_equal(found[order], counts[1])


@pytest.mark.parametrize("order", ["C", "F"])
def test_labelquorum(timed, rows, counts, order, threads):
    given = np.asarray(rows, order=order)
    ids = np.empty(len(rows), dtype=np.int32)  # reused, as in a stream of rows

    def collapse():
        table = lq.SignatureTable(N_PARTITIONS)
        table.update(given, out=ids, n_jobs=threads)
        return table

    table = timed(GROUP, collapse, rows=len(rows), reads=[rows])
    assert_counts(table.signatures, table.counts, counts)
    np.testing.assert_array_equal(table.signatures[ids[:1000]], rows[:1000])


def test_polars(timed, rows, counts):
    polars = pytest.importorskip("polars")
    columns = {name: rows[:, j].copy() for j, name in enumerate(COLUMNS)}
    frame = polars.DataFrame(columns)
    groups = timed(
        GROUP,
        lambda: frame.group_by(COLUMNS).len(),
        rows=len(rows),
        reads=[rows],
    )
    assert_counts(groups.select(COLUMNS).to_numpy(), groups["len"].to_numpy(), counts)


def test_duckdb(timed, rows, counts, threads):
    duckdb = pytest.importorskip("duckdb")
    if len(rows) > DUCKDB_MAX_ROWS:
        pytest.skip(f"DuckDB takes minutes beyond {DUCKDB_MAX_ROWS:,} rows")
    columns = {name: rows[:, j].copy() for j, name in enumerate(COLUMNS)}
    connection = duckdb.connect(config={"threads": threads})
    connection.register("columns_of_rows", columns)
    connection.execute("create table partitions as select * from columns_of_rows")
    names = ", ".join(COLUMNS)
    query = f"select {names}, count(*) as n from partitions group by {names}"
    groups = timed(
        GROUP,
        lambda: connection.execute(query).fetchnumpy(),
        rows=len(rows),
        reads=[rows],
    )
    assert_counts(np.column_stack([groups[name] for name in COLUMNS]), groups["n"], counts)
