"""Threads, signals and processes: what a long call must not do to the rest of a program."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numba
import numpy as np
import pytest

import labelquorum as lq
from labelquorum import _core
from strategies import planted

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals and fork are POSIX")


@pytest.fixture(autouse=True)
def a_deadlock_ends_the_run():
    """Where a thread waits for ever with the interpreter lock held, nothing else could end it."""
    faulthandler.dump_traceback_later(300, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


# The interpreter lock is released


@contextmanager
def no_switching():
    """While this lasts, a thread gets the interpreter only where another gives it away."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def ticks_during(call):
    """How often another Python thread ran during `call`, and the seconds it took."""
    ticks = 0
    stop = False

    def tick():
        nonlocal ticks
        while not stop:
            ticks += 1
            time.sleep(0.001)

    with no_switching():
        thread = threading.Thread(target=tick)
        thread.start()
        time.sleep(0.01)
        before, start = ticks, time.perf_counter()
        call()
        during, seconds = ticks - before, time.perf_counter() - start
        stop = True
        thread.join()
    return during, seconds


@numba.cfunc("float64(CPointer(float64), CPointer(float64), int64)")
def manhattan(a, b, n):
    total = 0.0
    for i in range(n):
        total += abs(a[i] - b[i])
    return total


def long_core_calls():
    """Every long call of the extension, on arguments that make it last some 50 ms or more.

    The extension itself, not the Python layer: NumPy gives the lock away too.
    """
    rng = np.random.default_rng(0)
    n = 1_500_000
    rows = np.asfortranarray(rng.integers(10, size=(n, 8), dtype=np.int8))
    columns = list(rows.T)
    ids = np.empty(n, dtype=np.int32)
    table = _core.SignatureTable(8)
    table.update(columns, ids, None, 2, None)
    u = len(table)
    few = _core.SignatureTable(8)
    few.update([column[:40_000] for column in columns], ids[:40_000], None, 2, None)
    pairs = rng.integers(n, size=(n, 2))
    indptr = np.arange(n + 1)
    ones = np.ones(n, dtype=np.int64)
    points = rng.normal(size=(6_000, 100))
    many = rng.normal(size=(100_000, 20))
    assigned = many, [many[i::1000].copy() for i in range(6)], [None] * 6, "euclidean"
    neighbors = (np.arange(n)[:, None] + np.array([3, 70, 999])) % n
    graph = np.arange(0, 3 * n + 1, 3), neighbors.ravel(), np.ones(3 * n)
    return {
        "update": lambda: _core.SignatureTable(8).update(columns, ids, None, 1, None),
        "update_counted": lambda: _core.SignatureTable(8).update_counted(
            columns, ones, ids, 1, None
        ),
        "merge": lambda: _core.SignatureTable(8).merge(table, 1, None),
        "lookup": lambda: table.lookup(columns, 1, None),
        "signatures": lambda: table.signatures(1),
        "agreement_degrees": lambda: _core.agreement_degrees(few, 5, "pairs", 1, None),
        "agreement_graph": lambda: _core.agreement_graph(few, 6, 1, None),
        "coassociation_pairs": lambda: _core.coassociation_pairs(columns, pairs, 1, None),
        "coassociation_csr": lambda: _core.coassociation_csr(
            columns, indptr, pairs[:, 0].copy(), 1, None
        ),
        "mini_clusters": lambda: _core.mini_clusters(few, 50, 6, 7, 1, None, 1, None),
        "neighbors": lambda: _core.neighbors(points, None, 5, "euclidean", 1.0, 1, None),
        "neighbors, recall": lambda: _core.neighbors(points, None, 5, "cosine", 0.5, 1, None),
        "custom_neighbors": lambda: _core.custom_neighbors(
            points[:1000], None, 5, manhattan.address, 1, None
        ),
        "nearest_candidates": lambda: _core.nearest_candidates(
            points, points, pairs[:60_000].reshape(6_000, 20) % 6_000, 5, "cosine", 1, None
        ),
        "assign_codebooks": lambda: _core.assign_codebooks(
            *assigned, np.empty(600_000, np.int16), 1, None
        ),
        "assign_signatures": lambda: _core.assign_signatures(
            *assigned, _core.SignatureTable(6), np.empty(100_000, np.int32), 1, None
        ),
        "neighbor_graph32": lambda: _core.neighbor_graph32(
            neighbors, neighbors.astype(np.float64), "union", 1, None
        ),
        "symmetrized_graph": lambda: _core.symmetrized_graph(
            *graph, "union", "max", False, 1, None
        ),
        "normalized_weights": lambda: _core.normalized_weights(*graph, "symmetric", False, 1, None),
        "connected_components": lambda: _core.connected_components(*graph[:2], 1, None),
        "propagate": lambda: _core.propagate(
            *graph, np.arange(5), np.ones((5, 2)), 0.9, 0.1, False, 10, 0.0, 1, None
        ),
        "expand": lambda: _core.expand(
            np.tile(ids, 10), np.arange(u, dtype=np.int32), -1, np.empty(10 * n, np.int32), 1, None
        ),
    }


@pytest.fixture(scope="module")
def core_calls():
    return long_core_calls()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "update",
        "update_counted",
        "merge",
        "lookup",
        "signatures",
        "agreement_degrees",
        "agreement_graph",
        "coassociation_pairs",
        "coassociation_csr",
        "mini_clusters",
        "neighbors",
        "neighbors, recall",
        "custom_neighbors",
        "nearest_candidates",
        "assign_codebooks",
        "assign_signatures",
        "neighbor_graph32",
        "symmetrized_graph",
        "normalized_weights",
        "connected_components",
        "propagate",
        "expand",
    ],
)
def test_another_thread_runs_during_the_call(core_calls, name):
    ticks, seconds = ticks_during(core_calls[name])
    # 1 ms of sleep each, and as much again for waking up on a busy machine.
    assert ticks >= max(2, seconds / 0.02), f"{ticks} ticks in {seconds:.3f} s"


def test_the_measurement_sees_a_call_that_keeps_the_lock():
    ticks, seconds = ticks_during(lambda: sum(range(5_000_000)))
    assert ticks <= 1, f"{ticks} ticks in {seconds:.3f} s"


def test_two_threads_compute_at_once_and_get_their_own_results():
    rng = np.random.default_rng(1)
    cases = [planted(rng, 30_000, 8, noise=0.2) for _ in range(6)]
    expected = [lq.mini_clusters(rows, 20, min_agree=6, min_differ=6) for rows in cases]
    with ThreadPoolExecutor(6) as pool:
        for _ in range(3):
            results = pool.map(
                lambda rows: lq.mini_clusters(rows, 20, min_agree=6, min_differ=6, n_jobs=2), cases
            )
            for labels, want in zip(results, expected, strict=True):
                np.testing.assert_array_equal(labels, want)


# One table, many threads


def test_updates_of_one_table_from_many_threads_lose_no_sample():
    rng = np.random.default_rng(2)
    chunks = [planted(rng, 20_000, 6, n_ids=5, noise=0.3) for _ in range(16)]
    table = lq.SignatureTable(6)
    with ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda chunk: table.update(chunk, n_jobs=2), chunks))
    whole = lq.SignatureTable(6)
    whole.update(np.concatenate(chunks))
    assert table.n_samples == whole.n_samples
    assert len(table) == len(whole)
    # The order of arrival is free, the contents are not.
    np.testing.assert_array_equal(table.counts[table.lookup(whole.signatures)], whole.counts)
    for chunk, chunk_ids in zip(chunks, ids, strict=True):
        np.testing.assert_array_equal(table.signatures[chunk_ids], chunk)


def test_reading_a_table_while_it_grows_sees_whole_updates_only():
    rng = np.random.default_rng(3)
    size = 2000
    # Nearly every row is new, so that the table grows to the end.
    chunks = [planted(rng, size, 6, n_ids=50, noise=0.7, abstain=0.1) for _ in range(40)]
    table = lq.SignatureTable(6)
    table.update(chunks[0])
    other = lq.SignatureTable(6)
    other.update(chunks[0])
    done = threading.Event()
    errors = []

    def read():
        try:
            while not done.is_set():
                assert table.n_samples % size == 0
                assert table.counts.sum() % size == 0
                assert (table.lookup(chunks[0], n_jobs=2) >= 0).all()
                signatures = table.signatures
                assert len(np.unique(signatures, axis=0)) == len(signatures)
                assert pickle.loads(pickle.dumps(table)).n_samples % size == 0
                assert lq.agreement_degrees(table, 5, n_jobs=2).max() > 0
                assert lq.agreement_graph(table, 6, n_jobs=2).shape[0] >= len(signatures)
                assert lq.mini_clusters(table, 3, min_agree=5).max() >= 0
        except BaseException as error:
            errors.append(error)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for i, chunk in enumerate(chunks[1:]):
        table.update(chunk, n_jobs=2)
        if i % 10 == 0:
            table.merge(other)
    done.set()
    for reader in readers:
        reader.join()
    assert not errors, errors
    assert table.n_samples == (len(chunks) + 4) * size


def test_a_table_that_grows_as_its_mini_clusters_begin_gives_whole_labels(monkeypatch):
    rows = planted(np.random.default_rng(4), 1000, 4, noise=0.5)
    table = lq.SignatureTable(4)
    table.update(rows[:10])
    module = sys.modules["labelquorum.votes.collapse"]
    begin = module.progress

    def grow_and_begin(verbose):
        table.update(rows)
        return begin(verbose)

    # What another thread may do between the check of the arguments and the call.
    small = len(table)
    monkeypatch.setattr(module, "progress", grow_and_begin)
    labels = lq.mini_clusters(table, min_agree=3)
    assert len(labels) in (small, len(table))


def test_two_tables_merged_into_each_other_at_once_do_not_lock_up():
    rng = np.random.default_rng(4)
    tables = [lq.SignatureTable(4), lq.SignatureTable(4)]
    for table in tables:
        table.update(planted(rng, 2000, 4, noise=0.5))

    def merge(i):
        # Not into a full table: every round at most doubles the counts, 20 rounds stay below 2^63.
        for _ in range(20):
            tables[i].merge(tables[1 - i], n_jobs=2)

    threads = [threading.Thread(target=merge, args=(i,), daemon=True) for i in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in threads), "deadlock"
    first, second = tables
    assert sorted(first.signatures.tolist()) == sorted(second.signatures.tolist())


# Ctrl-C


INTERRUPTED = """
import os, signal, threading, time
import numpy as np
import labelquorum as lq
from labelquorum.votes.agreement import _degrees

rng = np.random.default_rng(0)
{setup}

def interrupt():
    global sent
    time.sleep(0.5)
    sent = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)

for n_jobs in (1, 2):
    before = None if table is None else (table.n_samples, len(table))
    thread = threading.Thread(target=interrupt)
    thread.start()
    completed = 0
    try:
        while True:
            {call}
            completed += 1
    except KeyboardInterrupt:
        seconds = time.monotonic() - sent
    thread.join()
    assert seconds < 1.0, f"stopped after {{seconds:.2f}} s with {{n_jobs}} threads"
{check}
print("interrupted twice")
"""

# The table is as it was before the call that was interrupted, and still works.
UNCHANGED = """
done = before[0] + completed * len(rows)
assert table.n_samples in (done, done + len(rows))
assert table.counts.sum() == table.n_samples
assert table.signatures.shape == (len(table), rows.shape[1])
n = table.n_samples
ids = table.update(rows[:1000])
assert (table.signatures[ids] == rows[:1000]).all()
assert table.n_samples == n + 1000
"""

ROWS = "table = lq.SignatureTable(10); table.update(np.zeros((5, 10), dtype=np.int8))\n"
FEW_SIGNATURES = ROWS + "rows = rng.integers(2, size=(3_000_000, 10), dtype=np.int8)"
ALL_DISTINCT = ROWS + "rows = rng.integers(10, size=(3_000_000, 10), dtype=np.int8)"
MANY = """
table = lq.SignatureTable({m})
table.update(rng.integers({k}, size=({u}, {m}), dtype=np.int16))
"""
UNTOUCHED = """
assert (table.n_samples, len(table)) == before
assert table.counts.sum() == table.n_samples
"""

COUNTED = """
done = before[0] + completed * len(rows)
assert table.n_samples in (done, done + len(rows))
assert table.counts.sum() == table.n_samples
"""

CODEBOOKS = """
points = rng.normal(size=(100_000, 100)).astype('float32')
codebooks = [points[i::200] for i in range(10)]
table = lq.SignatureTable(10)
"""

RING = """
import scipy.sparse
table = None
ring = (np.arange(2_000_000)[:, None] + np.arange(1, 8)) % 2_000_000
graph = scipy.sparse.csr_array((np.ones(ring.size), ring.ravel(), np.arange(0, ring.size + 1, 7)))
y = np.full(2_000_000, -1)
y[:2] = 0, 1
"""

LONG_CALLS = {
    "symmetrize_graph": (RING, "lq.symmetrize_graph(graph, n_jobs=n_jobs)", ""),
    "normalize_graph": (RING, "lq.normalize_graph(graph, n_jobs=n_jobs)", ""),
    "connected_components": (RING, "lq.connected_components(graph, n_jobs=n_jobs)", ""),
    "label_spreading": (
        RING,
        "lq.LabelSpreading(graph=graph, n_jobs=n_jobs).fit(None, y)",
        "",
    ),
    "kneighbors": (
        ROWS + "points = rng.normal(size=(100_000, 200))",
        "lq.kneighbors(points, 10, n_jobs=n_jobs)",
        "",
    ),
    "kneighbors_of_equal_samples": (
        ROWS + "points = np.ones((100_000, 200), dtype=np.float32)",
        "lq.kneighbors(points, 10, n_jobs=n_jobs)",
        "",
    ),
    "kneighbors_with_a_recall": (
        ROWS + "points = rng.standard_normal((300_000, 300), dtype='float32')",
        "lq.kneighbors(points, 10, recall=0.9, n_jobs=n_jobs)",
        "",
    ),
    "searcher_fit": (
        ROWS + "points = rng.normal(size=(30_000, 60))",
        "lq.NeighborSearcher(recall=0.9, n_jobs=n_jobs).fit(points)",
        "",
    ),
    "assign_codebooks": (
        CODEBOOKS,
        "lq.assign_codebooks(points, codebooks, n_jobs=n_jobs)",
        "",
    ),
    "assign_codebooks_of_equal_centers": (
        CODEBOOKS + "codebooks = [np.ones((3000, 100))] * 5",
        "lq.assign_codebooks(points, codebooks, n_jobs=n_jobs)",
        "",
    ),
    "assign_codebooks_to_a_table": (
        CODEBOOKS + "rows = points",
        "lq.assign_codebooks(points, codebooks, table=table, n_jobs=n_jobs)",
        COUNTED,
    ),
    "update": (FEW_SIGNATURES, "table.update(rows, n_jobs=n_jobs)", UNCHANGED),
    "update_all_distinct": (
        ALL_DISTINCT,
        "lq.SignatureTable(10).update(rows, n_jobs=n_jobs)",
        UNTOUCHED,
    ),
    "update_of_a_large_table": (
        ALL_DISTINCT,
        "table.update(rows, n_jobs=n_jobs)",
        UNCHANGED,
    ),
    "merge": (
        ALL_DISTINCT + "; other = lq.SignatureTable(10); other.update(rows)",
        "lq.SignatureTable(10).merge(other, n_jobs=n_jobs)",
        UNTOUCHED,
    ),
    "lookup": (
        ALL_DISTINCT + "; table.update(rows)",
        "table.lookup(rows, n_jobs=n_jobs)",
        "",
    ),
    "degrees_by_pairs": (
        MANY.format(m=50, k=3, u=200_000),
        "_degrees(table, 30, way='pairs', n_jobs=n_jobs)",
        UNTOUCHED,
    ),
    "degrees_by_subsets": (
        MANY.format(m=20, k=3, u=300_000),
        "_degrees(table, 10, way='subsets', n_jobs=n_jobs)",
        UNTOUCHED,
    ),
    "degrees_by_blocks": (
        MANY.format(m=20, k=3, u=300_000),
        "_degrees(table, 10, way='blocks', n_jobs=n_jobs)",
        UNTOUCHED,
    ),
    "agreement_graph": (
        MANY.format(m=30, k=3, u=100_000),
        "lq.agreement_graph(table, 22, n_jobs=n_jobs)",
        UNTOUCHED,
    ),
    "mini_clusters_degrees": (
        MANY.format(m=50, k=3, u=200_000),
        "lq.mini_clusters(table, min_agree=30, n_jobs=n_jobs)",
        UNTOUCHED,
    ),
    "mini_clusters_many_small": (
        MANY.format(m=3, k=100, u=1_000_000),
        "lq.mini_clusters(table, min_agree=2, min_differ=2, n_jobs=n_jobs)",
        UNTOUCHED,
    ),
    "mini_clusters_each_signature_one": (
        MANY.format(m=4, k=100, u=1_000_000),
        "lq.mini_clusters(table, min_agree=4, min_differ=0, n_jobs=n_jobs)",
        UNTOUCHED,
    ),
    "coassociation": (
        "table = None; rows = rng.integers(9, size=(1000, 50));"
        " pairs = rng.integers(1000, size=(3_000_000, 2))",
        "lq.coassociation(rows, pairs, n_jobs=n_jobs)",
        "",
    ),
}


def run_python(code, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
@posix_only
@pytest.mark.parametrize("name", LONG_CALLS)
def test_ctrl_c_stops_a_long_call_within_a_second(name):
    setup, call, check = LONG_CALLS[name]
    code = INTERRUPTED.format(setup=setup, call=call, check=textwrap.indent(check, "    "))
    assert run_python(code) == "interrupted twice\n"


@posix_only
def test_a_signal_handler_of_the_caller_runs_during_a_call():
    code = """
    import signal, time
    import numpy as np
    import labelquorum as lq
    from labelquorum.votes.agreement import _degrees

    class Alarm(Exception):
        pass

    def ring(signum, frame):
        raise Alarm

    table = lq.SignatureTable(50)
    table.update(np.random.default_rng(0).integers(3, size=(200_000, 50), dtype=np.int8))
    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    start = time.monotonic()
    try:
        while True:
            _degrees(table, 30, way="pairs", n_jobs=2)
    except Alarm:
        print(time.monotonic() - start)
    """
    assert float(run_python(code)) < 1.3


# Other processes and other libraries' threads


def _labels(rows):
    return lq.mini_clusters(rows, 20, min_agree=6, min_differ=6, n_jobs=2)


@posix_only
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_a_forked_child_computes_after_its_parent_did():
    rows = planted(np.random.default_rng(5), 100_000, 8, noise=0.2)
    expected = _labels(rows)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for labels in pool.map_async(_labels, [rows, rows]).get(timeout=60):
            np.testing.assert_array_equal(labels, expected)
    np.testing.assert_array_equal(_labels(rows), expected)


@pytest.mark.slow
@posix_only
def test_a_child_forked_during_a_call_computes():
    code = """
    import os, threading, time
    import numpy as np
    import labelquorum as lq
    from labelquorum.votes.agreement import _degrees

    rng = np.random.default_rng(0)
    table = lq.SignatureTable(50)
    rows = rng.integers(3, size=(60_000, 50), dtype=np.int8)
    table.update(rows)
    thread = threading.Thread(
        target=_degrees, args=(table, 30), kwargs={"way": "pairs", "n_jobs": 2}
    )
    thread.start()
    time.sleep(0.1)
    child = os.fork()
    if child == 0:
        other = lq.SignatureTable(50)
        other.update(rows, n_jobs=2)
        os._exit(0 if other.n_samples == len(rows) else 1)
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    """
    code = textwrap.dedent(code)
    run_python("import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n" + code)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_labels_are_the_same_under_joblib(backend):
    joblib = pytest.importorskip("joblib")
    rows = planted(np.random.default_rng(6), 50_000, 8, noise=0.2)
    expected = _labels(rows)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        results = joblib.Parallel()(joblib.delayed(lq.mini_clusters)(
            rows, 20, min_agree=6, min_differ=6, n_jobs=n_jobs
        ) for n_jobs in (1, 2, 8))  # fmt: skip
    for labels in results:
        np.testing.assert_array_equal(labels, expected)


def test_limits_of_other_thread_pools_are_kept_and_change_nothing():
    threadpoolctl = pytest.importorskip("threadpoolctl")
    rows = planted(np.random.default_rng(6), 50_000, 8, noise=0.2)
    expected = _labels(rows)
    with threadpoolctl.threadpool_limits(1):
        limited = threadpoolctl.threadpool_info()
        np.testing.assert_array_equal(_labels(rows), expected)
        assert threadpoolctl.threadpool_info() == limited


@pytest.mark.parametrize("value, expected", [("1", 1), ("", None), ("nonsense", None)])
def test_the_default_number_of_threads_respects_omp_num_threads(value, expected):
    code = "from labelquorum import _core; print(_core.default_n_threads())"
    wanted = _core.available_n_threads() if expected is None else expected
    assert int(run_python(code, OMP_NUM_THREADS=value)) == wanted


def test_omp_num_threads_cannot_raise_the_default_over_what_is_available():
    code = "from labelquorum import _core; print(_core.default_n_threads())"
    assert int(run_python(code, OMP_NUM_THREADS="1000")) == _core.available_n_threads()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs CPU affinity")
def test_the_default_number_of_threads_respects_the_cpu_affinity():
    code = """
    import os
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    from labelquorum import _core
    assert _core.available_n_threads() == 1
    assert _core.default_n_threads() == 1
    """
    run_python(code, OMP_NUM_THREADS="")


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs /proc")
def test_no_thread_outlives_its_call():
    before = set(os.listdir("/proc/self/task"))  # threads of other libraries may end any time
    _labels(planted(np.random.default_rng(7), 100_000, 8, noise=0.2))
    assert set(os.listdir("/proc/self/task")) <= before
