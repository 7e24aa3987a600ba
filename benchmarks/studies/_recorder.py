"""Record what a study found: arguments, time, memory, the machine, and results as JSON."""

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

import labelquorum as lq

RESULTS = Path(__file__).parent / "results"
PACKAGES = (
    "labelquorum",
    "dask",
    "duckdb",
    "evoc",
    "faiss-cpu",
    "fast-hdbscan",
    "hdbscan",
    "hnswlib",
    "numba",
    "numpy",
    "polars",
    "pynndescent",
    "scikit-activeml",
    "scikit-learn",
    "scipy",
    "torch",
    "umap-learn",
    "usearch",
)


def _new_file(text):
    """Check now that the file can be written, not after hours of work."""
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"{text} must be a file in an existing folder")
    return path


def parser(doc):
    """Make an argument parser with the options that every study has."""
    options = argparse.ArgumentParser(description=doc.splitlines()[0])
    target = options.add_mutually_exclusive_group()
    target.add_argument("--out", type=_new_file, help="write the results to this file")
    target.add_argument(
        "--record",
        dest="out",
        action="store_const",
        const=RESULTS / f"{Path(sys.argv[0]).stem}.json",
        help="replace the recorded results, benchmarks/studies/results/STUDY.json",
    )
    options.add_argument(
        "--threads",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="number of threads (default: all available cores)",
    )
    return options


def add_choices(options, flag, choices, help, default=None, nargs="+"):
    """Add an option that takes some of the choices; all of them by default."""
    described = f"{help}: {', '.join(choices)} (default: {', '.join(default or ['all'])})"
    default = list(default or choices)
    options.add_argument(
        flag, nargs=nargs, choices=choices, default=default, metavar="NAME", help=described
    )


def record(args, results):
    """Write the results to the file that the user asked for, if any."""
    if args.out is None:
        return
    # A folder's name belongs to this machine and means nothing to readers.
    words = ["DIR" if word.startswith(("/", "~", "..")) else word for word in sys.argv[1:]]
    content = {
        "command": " ".join(["python", f"benchmarks/studies/{Path(sys.argv[0]).name}", *words]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "threads": args.threads,
        "results": results,
    }
    args.out.write_text(json.dumps(content, indent=1) + "\n")


def machine():
    """Describe the machine without naming it: processor, cores, memory, system."""
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


def versions():
    """Return the versions of Python and packages, and the instruction set in use."""
    numbers = {"python": platform.python_version(), "instruction_set": lq.instruction_set()}
    for name in PACKAGES:
        try:
            numbers[name] = version(name)
        except PackageNotFoundError:
            numbers[name] = None
    return numbers


def timed(call):
    """Return the wall time of a call in seconds, and its result."""
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


@contextmanager
def within(seconds):
    """Raise TimeoutError in the main thread if the block takes longer."""

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
    """Read a field of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


class PeakMemory:
    """Peak of the resident memory within a block, without the page cache (RssAnon).

    A thread samples it every 5 ms. It sees the peak only if the measured call releases the
    interpreter lock, as all calls of labelquorum do.
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
