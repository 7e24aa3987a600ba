"""Arrays that other threads write to while a call reads them, as with a shared memory map.

The result may be anything, or a ValueError; but the process lives, and memory stays as it was.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

import labelquorum as lq

PREAMBLE = """
    import contextlib, threading
    import numpy as np
    from scipy import sparse
    import labelquorum as lq

    n = 4000
    known = np.where(np.arange(n) < 40, np.arange(n) % 4, -1)

    def prepare():
        global graph, both, X, rows, pairs, out, table
        rng = np.random.default_rng(0)
        graph = sparse.csr_array(
            (rng.random(8 * n) + 0.5, rng.integers(n, size=8 * n).astype(INDEX),
             np.arange(0, 8 * n + 1, 8).astype(INDEX)), shape=(n, n)
        )
        both = lq.symmetrize_graph(graph)
        both.data -= 1
        X = rng.normal(size=(1500, 6))
        rows = rng.integers(6, size=(n, 5)).astype(np.int32)
        pairs = rng.integers(n, size=(3 * n, 2))
        out = np.zeros(n, dtype=np.int32)
        table = lq.SignatureTable(5)

    @contextlib.contextmanager
    def changing(array, bad):
        good, stop = array.copy(), False
        def write():
            random = np.random.default_rng(1)
            flat = array.reshape(-1)
            while not stop:
                flat[random.integers(flat.size, size=50)] = bad
                flat[random.integers(flat.size, size=50)] = random.choice(good.ravel(), 50)
                if random.random() < 0.3:
                    array[...] = good
        thread = threading.Thread(target=write)
        thread.start()
        try:
            yield
        finally:
            stop = True
            thread.join()

    def repeat(call, times):
        for _ in range(times):
            try:
                call()
            except ValueError:
                pass
"""

CALLS = {
    "symmetrize_graph": ("graph.indices", "lq.symmetrize_graph(graph, n_jobs=2)"),
    "symmetrize_graph of sums": (
        "graph.indices",
        "lq.symmetrize_graph(graph, 'mutual', combine='sum', self_loops=True, n_jobs=2)",
    ),
    "symmetrize_graph, indptr": ("graph.indptr", "lq.symmetrize_graph(graph, n_jobs=2)"),
    "normalize_graph": ("graph.indices", "lq.normalize_graph(graph, n_jobs=2)"),
    "normalize_graph, indptr": ("graph.indptr", "lq.normalize_graph(graph, n_jobs=2)"),
    "connected_components": ("graph.indices", "lq.connected_components(graph, n_jobs=2)"),
    "connected_components, indptr": ("graph.indptr", "lq.connected_components(graph, n_jobs=2)"),
    "communities": ("graph.indices", "lq.communities(graph, n_jobs=2)"),
    "coassociation": ("pairs", "lq.coassociation(rows, pairs, n_jobs=2)"),
    "coassociation of a graph": (
        "graph.indices",
        "lq._core.coassociation_csr(list(rows.T), graph.indptr, graph.indices, 2, None)",
    ),
    "correlation_clustering": (
        "both.indices",
        "lq._core.correlation_clustering(both.indptr, both.indices, both.data, None, 2, None)",
    ),
    "propagate": (
        "graph.indices",
        "lq._core.propagate(graph.indptr, graph.indices, graph.data, np.arange(40), "
        "np.eye(4)[known[:40]], 0.5, 0.5, False, 10, 0.0, 2, None)",
    ),
    "kneighbors": ("X", "lq.kneighbors(X, 12, n_jobs=2)"),
    "kneighbors with a recall": ("X", "lq.kneighbors(X, 12, recall=0.9, n_jobs=2)"),
    "assign_codebooks": ("X", "lq.assign_codebooks(X, [X[:30], X[30:50]], n_jobs=2)"),
    "update": ("rows", "table.update(rows, out=out, n_jobs=2)"),
    "update, out": ("out", "table.update(rows, out=out, n_jobs=2)"),
    "lookup": ("rows", "table.lookup(rows, n_jobs=2)"),
    "mini_clusters": ("rows", "lq.mini_clusters(rows, 4, n_jobs=2)"),
    "mini_clusters, out": ("out", "lq.mini_clusters(rows, 4, out=out, n_jobs=2)"),
}


IS_GRAPH = ("graph", "both")
GROUPS = [
    ("np.int32", [name for name in CALLS if CALLS[name][0].startswith(IS_GRAPH)]),
    ("np.int64", [name for name in CALLS if CALLS[name][0].startswith(IS_GRAPH)]),
    ("np.int32", [name for name in CALLS if not CALLS[name][0].startswith(IS_GRAPH)]),
]


# Many calls in a process, since most of the time would go into starting one for each.
@pytest.mark.parametrize("index, names", GROUPS, ids=["int32", "int64", "no graph"])
def test_no_memory_is_corrupted(index, names):
    script = textwrap.dedent(PREAMBLE).replace("INDEX", index)
    for name in names:
        array, call = CALLS[name]
        bad = ["np.nan", "np.inf", "1e300"] if array == "X" else ["-1", "2**30", "n"]
        script += textwrap.dedent(f"""
            print({name!r}, flush=True)
            prepare()
            for bad in [{", ".join(bad)}]:
                with changing({array}, bad):
                    repeat(lambda: {call}, 15)
            """)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False
    )
    started = done.stdout.splitlines()
    assert done.returncode == 0, (started[-1:], done.stderr[-2000:])
    assert started == names


def test_two_tables_that_write_to_the_same_array():
    rng = np.random.default_rng(0)
    parts = [rng.integers(30, size=(300_000, 4)).astype(np.int16) for _ in range(2)]
    out = np.empty(300_000, dtype=np.int32)
    expected = []
    for rows in parts:
        table = lq.SignatureTable(4)
        table.update(rows)
        expected.append(table)
    for _ in range(5):
        tables = [lq.SignatureTable(4) for _ in parts]
        threads = [
            threading.Thread(target=table.update, args=(rows,), kwargs={"out": out, "n_jobs": 2})
            for table, rows in zip(tables, parts, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for table, same in zip(tables, expected, strict=True):
            np.testing.assert_array_equal(table.counts, same.counts)
            np.testing.assert_array_equal(table.signatures, same.signatures)
