"""Degrees by every exact way of counting, co-association of pairs, and the agreement graph.

The public functions choose the way of counting themselves. To force one, and to see whether the
choice was right, `test_forced` calls labelquorum._core; nothing else here does.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import labelquorum as lq
from _data import ensemble
from _recorder import within
from labelquorum import _core

# Rows, partitions, votes that have to agree.
SIZES = {
    "case": {
        "small": [(10**5, 10, 9), (10**4, 16, 8), (10**4, 24, 22)],
        "full": [
            (10**5, 10, 9),
            (10**6, 10, 9),
            (10**7, 10, 9),
            (10**5, 10, 7),
            (10**6, 10, 7),
            (10**5, 10, 3),
            (10**5, 16, 14),
            (10**5, 16, 8),
            (10**5, 24, 22),
            (10**5, 24, 12),
            (10**5, 50, 48),
            (10**5, 50, 40),
            (10**5, 100, 90),
        ],
    },
    "n_pairs": {"small": [10**5], "full": [10**7]},
    "graph_rows": {"small": [10**4], "full": [10**5]},
}
LIMIT = 30  # seconds for a forced way


@pytest.fixture(scope="module")
def counted(case):
    """Rows, their signatures, the votes wanted, and the name of the group."""
    n_rows, n_partitions, min_agree = case
    rows, table = ensemble(n_rows, n_partitions), lq.SignatureTable(n_partitions)
    table.update(rows)
    group = f"degrees, {n_rows:,} rows x {n_partitions}, {min_agree} votes"
    return rows, table, min_agree, group


@pytest.fixture(scope="module")
def degrees(counted):
    rows, _, min_agree, _ = counted
    return lq.agreement_degrees(rows, min_agree)


def test_automatic(timed, counted, threads):
    _, table, min_agree, group = counted
    signatures, counts = table.signatures, table.counts
    found = timed(
        group,
        lambda: lq.agreement_degrees(table, min_agree, n_jobs=threads),
        signatures=len(table),
        reads=[signatures, counts],
    )
    for i in np.random.default_rng(0).integers(len(table), size=20):
        agree = (signatures == signatures[i]).sum(axis=1) >= min_agree
        assert found[i] == counts[agree].sum()


@pytest.mark.parametrize("way", ["subsets", "pairs", "blocks"])
def test_forced(timed, counted, degrees, way, threads):
    rows, table, min_agree, group = counted
    core = _core.SignatureTable(rows.shape[1])
    ids = np.empty(len(rows), dtype=np.int32)
    core.update(list(np.asfortranarray(rows).T), ids, None, threads, None)

    def count():
        with within(LIMIT):
            return _core.agreement_degrees(core, min_agree, way, threads, None)

    try:
        found = timed(
            group,
            count,
            signatures=len(table),
            reads=[table.signatures, table.counts],
        )
    except (TimeoutError, lq.WorkLimitError) as error:
        pytest.skip(f"too much work by {way}: {error}")
    np.testing.assert_array_equal(found[ids], degrees)


@pytest.fixture(scope="module")
def pairs(n_pairs):
    rows = ensemble(n_pairs // 10, abstain=0.05)
    return rows, np.random.default_rng(0).integers(len(rows), size=(n_pairs, 2))


def shares(rows, pairs):
    """Co-association in NumPy."""
    first, second = rows[pairs[:, 0]], rows[pairs[:, 1]]
    both = (first >= 0) & (second >= 0)
    with np.errstate(invalid="ignore"):
        return ((first == second) & both).sum(axis=1) / both.sum(axis=1)


def test_coassociation_labelquorum(timed, pairs, threads):
    found = timed(
        "coassociation",
        lambda: lq.coassociation(*pairs, n_jobs=threads),
        pairs=len(pairs[1]),
        reads=pairs,
    )
    np.testing.assert_allclose(found, shares(*pairs))


def test_coassociation_numpy(timed, pairs):
    found = timed(
        "coassociation",
        lambda: shares(*pairs),
        pairs=len(pairs[1]),
        reads=pairs,
    )
    assert len(found) == len(pairs[1])


@pytest.fixture(scope="module")
def table(graph_rows):
    table = lq.SignatureTable(10)
    table.update(ensemble(graph_rows))
    return table


def product_graph(signatures, min_agree):
    """Count agreements as SciPy's product of a matrix of clusters, and drop what is too little."""
    n, m = signatures.shape
    clusters = (signatures + 10 * np.arange(m)).ravel()
    member = sparse.csr_array(
        (np.ones(n * m, dtype=np.int32), clusters, np.arange(0, n * m + 1, m)), shape=(n, 10 * m)
    )
    graph = member @ member.T
    graph.data[graph.data < min_agree] = 0
    graph.eliminate_zeros()
    graph.sort_indices()
    return graph


@pytest.mark.parametrize("min_agree", [9, 7])
def test_graph_labelquorum(timed, table, min_agree, threads):
    expected = product_graph(table.signatures, min_agree)
    graph = timed(
        f"agreement_graph, {min_agree} votes",
        lambda: lq.agreement_graph(table, min_agree, n_jobs=threads),
        edges=expected.nnz,
        reads=[expected.indices, expected.data],
    )
    np.testing.assert_array_equal(graph.indptr, expected.indptr)
    np.testing.assert_array_equal(graph.indices, expected.indices)
    np.testing.assert_array_equal(graph.data, expected.data)


@pytest.mark.parametrize("min_agree", [9, 7])
def test_graph_scipy(timed, table, min_agree):
    signatures = table.signatures
    graph = timed(
        f"agreement_graph, {min_agree} votes", lambda: product_graph(signatures, min_agree)
    )
    assert graph.nnz
