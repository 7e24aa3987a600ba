"""Timing, peak memory, machine facts, and results as JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from numba import njit, prange, set_num_threads

import labelquorum as lq

RESULTS = Path(__file__).parent / "results"


def _file(text):
    """Refuse what cannot be written to, before hours are spent on what would be."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder or in none; wanted a file")
    return path


def parser(doc):
    """Make an argument parser with the options of every script."""
    options = argparse.ArgumentParser(description=doc.splitlines()[0])
    options.add_argument(
        "--out", type=_file, help="file of the results (default: results/SCRIPT.json)"
    )
    options.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    return options


def best_of(repeats, call):
    """Return the least wall time of some calls, in seconds, and the last result."""
    best = float("inf")
    for _ in range(repeats):
        result = None  # so that no two results are alive at once
        started = time.perf_counter()
        result = call()
        best = min(best, time.perf_counter() - started)
    return best, result


@contextmanager
def within(seconds):
    """Raise TimeoutError in the main thread when the time is over."""

    def stop(_signal, _frame):
        raise TimeoutError(f"over {seconds:g} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def memory(field):
    """Read bytes from /proc/self/status; RssAnon is resident memory beyond the page cache."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


class PeakMemory:
    """Peak of the anonymous resident memory within a block, sampled every 5 ms by a thread.

    It sees the peak only where the measured call releases the interpreter lock, as ours do.
    """

    def __enter__(self):
        self.before = self.peak = memory("RssAnon")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def _sample(self):
        while not self._stop.wait(0.005):
            self.peak = max(self.peak, memory("RssAnon"))

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self.peak = max(self.peak, memory("RssAnon"))


@njit(parallel=True)
def _sum(words):
    total = np.uint64(0)
    for i in prange(len(words)):
        total += words[i]
    return total


def memory_floor(array, n_threads):
    """Time reading a contiguous array once: what no way of looking at all of it can beat."""
    data = array.ravel(order="K").view(np.uint8)
    words = data[: len(data) // 8 * 8].view(np.uint64)
    set_num_threads(n_threads)
    _sum(words[:8])
    return best_of(3, lambda: _sum(words))[0]


def _machine():
    cpu = next(
        line.split(":")[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    kilobytes = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(kilobytes / 2**20, 1),
        "system": platform.system(),
    }


def _versions():
    versions = {"python": platform.python_version(), "instruction_set": lq.instruction_set()}
    for name in (
        "labelquorum",
        "numpy",
        "numba",
        "polars",
        "duckdb",
        "dask",
        "faiss-cpu",
        "hdbscan",
        "hnswlib",
        "pynndescent",
        "scikit-activeml",
        "scikit-learn",
        "scipy",
        "umap-learn",
        "usearch",
    ):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = None
    return versions


def record(args, results):
    """Write results, with what is needed to judge and repeat them."""
    script = Path(sys.argv[0])
    # Folders are this machine's own; they say nothing to a reader.
    words = ["DIR" if word.startswith(("/", "~", "..")) else word for word in sys.argv[1:]]
    out = args.out or RESULTS / f"{script.stem}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "command": " ".join(["python", f"benchmarks/{script.name}", *words]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": _machine(),
        "versions": _versions(),
        "threads": args.threads,
        "results": results,
    }
    out.write_text(json.dumps(content, indent=1) + "\n")
