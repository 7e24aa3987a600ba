"""faiss, scikit-learn, torch, numba and this package in one process, in forks and in loky workers.

No crash, no hang, no more threads than asked for, and no setting of another library left changed.
"""

from __future__ import annotations

import faulthandler
import importlib.util
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import labelquorum as lq
from labelquorum.neighbors import faiss_index as _faiss

faiss = pytest.importorskip("faiss")
joblib = pytest.importorskip("joblib")
threadpoolctl = pytest.importorskip("threadpoolctl")


@pytest.fixture(autouse=True, scope="module")
def blas_on_all_cores():
    """Else the limit of the other tests would hide one that is left behind."""
    with threadpoolctl.threadpool_limits(max(2, os.cpu_count()), user_api="blas"):
        yield


posix_only = pytest.mark.skipif(sys.platform == "win32", reason="signals and fork are POSIX")
linux_only = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs /proc")
HAS_TORCH = importlib.util.find_spec("torch") is not None
HAS_NUMBA = importlib.util.find_spec("numba") is not None


@pytest.fixture(autouse=True)
def a_deadlock_ends_the_run():
    faulthandler.dump_traceback_later(300, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


def data():
    rng = np.random.default_rng(0)
    X = 3 * rng.normal(size=(50, 32))[rng.integers(50, size=12_000)]
    return (X + rng.normal(size=X.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def fitted():
    X = data()
    found = lq.NeighborSearcher(recall=0.9, n_neighbors=10, n_jobs=2, random_state=0).fit(X)
    assert found.quality_.method == "graph"
    return X, found, found.query(X[:500])


def use_all(X):
    """Give every library's threads work."""
    from sklearn.cluster import KMeans
    from sklearn.neighbors import NearestNeighbors

    index = faiss.IndexFlatL2(X.shape[1])
    index.add(X)
    index.search(X[:200], 5)
    KMeans(8, n_init=1, max_iter=5, random_state=0).fit(X)
    NearestNeighbors(n_neighbors=5, algorithm="brute", n_jobs=2).fit(X).kneighbors(X[:200])
    if HAS_NUMBA:
        numba_sum(X)
    if HAS_TORCH:
        import torch

        tensor = torch.from_numpy(np.ascontiguousarray(X[:2000]))
        torch.cdist(tensor, tensor).topk(5, largest=False)


def numba_sum(X):
    import numba

    @numba.njit(parallel=True)
    def total(values):
        result = 0.0
        for i in numba.prange(len(values)):
            result += values[i]
        return result

    return total(X.ravel())


def settings():
    """What a library says about the threads it may use."""
    found = {
        "faiss": faiss.omp_get_max_threads(),
        "pools": sorted((pool["filepath"], pool["num_threads"]) for pool in pools()),
    }
    if HAS_TORCH:
        import torch

        found["torch"] = torch.get_num_threads()
    if HAS_NUMBA:
        import numba

        found["numba"] = numba.get_num_threads()
    return found


def pools():
    return threadpoolctl.threadpool_info()


def answers_are_right(X, found, expected):
    """Our results amid the work of the others, from this process."""
    use_all(X)
    for ours, theirs in zip(found.query(X[:500]), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    lq.kneighbors(X[:2000], 5, n_jobs=2)
    use_all(X)
    return True


@pytest.mark.slow
def test_all_in_one_process(fitted):
    answers_are_right(*fitted)


@pytest.mark.slow
@posix_only
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork.*:DeprecationWarning")
def test_in_forked_workers_of_a_process_that_has_used_all(fitted):
    X, found, expected = fitted
    use_all(X)
    found.query(X[:500])
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for answer in pool.map_async(found.query, [X[:500]] * 4).get(timeout=100):
            for ours, theirs in zip(answer, expected, strict=True):
                np.testing.assert_array_equal(ours, theirs)
        fits = pool.map_async(fit_and_query, [X] * 2).get(timeout=100)
    for answer in fits:
        np.testing.assert_array_equal(answer, expected[1])


def fit_and_query(X):
    found = lq.NeighborSearcher(recall=0.9, n_neighbors=10, n_jobs=2, random_state=0).fit(X)
    return found.query(X[:500])[1]


@pytest.mark.slow
def test_in_loky_workers(fitted):
    X, found, expected = fitted
    run = joblib.Parallel(n_jobs=2, backend="loky", timeout=200)
    answers = run(joblib.delayed(found.query)(X[:500]) for _ in range(3))
    for answer in answers:
        for ours, theirs in zip(answer, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_two_threads_at_once(fitted):
    X, found, expected = fitted
    run = joblib.Parallel(n_jobs=4, backend="threading")
    for answer in run(joblib.delayed(found.query)(X[:500]) for _ in range(8)):
        np.testing.assert_array_equal(answer[1], expected[1])


class ThreadCount:
    """The most threads that appeared beside those there were, sampled every millisecond."""

    def __enter__(self):
        self._before = set(os.listdir("/proc/self/task"))
        self.most = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def _watch(self):
        watcher = str(threading.get_native_id())
        while not self._stop.wait(0.001):
            new = set(os.listdir("/proc/self/task")) - self._before - {watcher}
            self.most = max(self.most, len(new))

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


@linux_only
@pytest.mark.parametrize("n_jobs", [1, 2, 3])
def test_no_more_threads_than_asked_for(n_jobs):
    # In a process of its own: teams of threads that others left behind would hide new ones. Some
    # libraries start theirs when imported.
    code = f"""
    import sys
    sys.path.insert(0, {os.path.dirname(__file__)!r})
    from test_coexistence import ThreadCount, data, lq
    import faiss
    searcher = lq.NeighborSearcher
    X = data()
    with ThreadCount() as count:
        found = searcher(recall=0.9, n_neighbors=10, n_jobs={n_jobs}, random_state=0).fit(X)
        found.query(X[:2000])
    assert found.quality_.method == "graph"
    # faiss's team includes the caller; it sleeps, but stays, while our own threads run.
    print(count.most)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) <= n_jobs + (n_jobs - 1)


@pytest.mark.slow
def test_no_setting_is_left_changed(fitted):
    X, found, _ = fitted
    use_all(X)
    before = settings()
    fit_and_query(X)
    found.query(X[:500])
    lq.KNeighborsTransformer(3, recall=0.9, n_jobs=2).fit(X).transform(X[:10])
    assert settings() == before
    bad = X[:10].copy()
    bad[3, 3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        found.query(bad)
    assert settings() == before
    with threadpoolctl.threadpool_limits(1):
        limited = settings()
        found.query(X[:100])
        assert settings() == limited
    assert settings() == before


@pytest.mark.slow
@posix_only
@pytest.mark.parametrize("what", ["fit", "query"])
def test_no_setting_is_left_changed_by_an_interrupt(fitted, what):
    X, found, expected = fitted
    use_all(X)
    before = settings()
    sent = []

    def interrupt():
        time.sleep(0.3)
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        while True:
            if what == "fit":
                fit_and_query(X)
            else:
                found.query(X)
    assert time.monotonic() - sent[0] < 1
    thread.join()
    assert settings() == before
    np.testing.assert_array_equal(found.query(X[:500])[1], expected[1])


def test_in_a_fork_faiss_runs_on_one_thread(fitted, monkeypatch):
    X, found, expected = fitted
    monkeypatch.setattr(_faiss, "_forked_with_faiss", True)
    with _faiss.limited(4) as module:
        assert module.omp_get_max_threads() == 1
    np.testing.assert_array_equal(found.query(X[:500])[1], expected[1])
