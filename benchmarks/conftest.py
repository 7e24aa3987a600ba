"""Sizes, timing, floors and the stored form of the benchmarks.

A module lists the values of its arguments for both sizes in SIZES:
``{"argument": {"small": [...], "full": [...]}}``.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numba import njit, prange, set_num_threads
from threadpoolctl import threadpool_limits

from _recorder import PeakMemory, machine, timed, versions

RECORDED = Path(__file__).parent / "recorded"
COMMIT_FACTS = ("id", "dirty")  # the others name branches and folders
FIGURES = pytest.StashKey[list]()


def pytest_addoption(parser):
    group = parser.getgroup("benchmark")
    group.addoption(
        "--size",
        choices=["small", "full"],
        default="small",
        help="small: minutes in all; full: the recorded runs, hours in all (default: small)",
    )
    group.addoption(
        "--threads",
        type=int,
        default=len(os.sched_getaffinity(0)),
        help="threads of the library and of its peers (default: all available cores)",
    )


@pytest.hookimpl(tryfirst=True)  # before pytest-benchmark reads its options
def pytest_configure(config):
    if not config.pluginmanager.hasplugin("benchmark"):
        raise pytest.UsageError("The benchmarks need pytest-benchmark: pip install '.[bench]'.")
    if config.option.benchmark_storage == "file://./.benchmarks":  # its default
        config.option.benchmark_storage = f"file://{RECORDED}"
    config.option.benchmark_columns = config.option.benchmark_columns or ["min", "median", "rounds"]
    # Another machine or another version is worth a warning, but no error.
    config.addinivalue_line(
        "filterwarnings", "default::pytest_benchmark.logger.PytestBenchmarkWarning"
    )
    config.stash[FIGURES] = []
    os.environ["POLARS_MAX_THREADS"] = str(config.option.threads)  # read when polars is imported


def pytest_generate_tests(metafunc):
    for name, values in getattr(metafunc.module, "SIZES", {}).items():
        if name in metafunc.fixturenames:
            values = values[metafunc.config.option.size]
            metafunc.parametrize(name, values, ids=_id_of, scope="module")


def _id_of(value):
    return "x".join(map(str, value)) if isinstance(value, tuple) else None


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_generate_machine_info(config):
    return machine() | {"threads": config.option.threads, "size": config.option.size}


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_commit_info(commit_info):
    for name in commit_info.keys() - COMMIT_FACTS:
        del commit_info[name]


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(output_json):
    output_json["versions"] = versions()
    for bench in output_json["benchmarks"]:
        del bench["options"]  # pytest-benchmark's, the same for all


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter, config):
    """Print what pytest-benchmark's tables leave out: throughput, memory, floors, recall."""
    if config.stash[FIGURES]:
        terminalreporter.section("benchmark: more figures")
    for test, figures in config.stash[FIGURES]:
        words = [f"{name} {_shown(value)}" for name, value in figures.items()]
        terminalreporter.write_line(f"{test}: {', '.join(words)}")


def _shown(value):
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if value < 1000 else f"{float(f'{value:.3g}'):,.0f}"


@pytest.fixture(scope="session", autouse=True)
def threads(request):
    """Give everything the same number of threads, the matrix products of NumPy included."""
    n_threads = request.config.option.threads
    with threadpool_limits(n_threads):
        yield n_threads


@pytest.fixture(name="timed")
def timed_fixture(request, benchmark):
    """Time a call, and add its first time, memory, throughput and distance to a floor.

    timed(group, call, reads=[rows], rows=len(rows)) returns the result of the call. `reads` are
    the arrays that it has to read at least once; `computes` is a function that returns the least
    seconds that its arithmetic takes; other keywords are amounts per call. A call runs once
    before it is timed, unless once=True, and then for about a second.
    """

    def run(group, call, *, reads=None, computes=None, once=False, **amounts):
        benchmark.group = group
        if not benchmark.enabled:
            return benchmark.pedantic(call)
        figures, rounds = benchmark.extra_info, 1
        request.config.stash[FIGURES].append((request.node.name, figures))
        if not once:
            with PeakMemory() as memory:
                figures["first_s"], _ = timed(call)
            figures["peak_mib"] = (memory.peak - memory.before) / 2**20
            rounds = max(1 if figures["first_s"] > 10 else 2, min(10, int(1 / figures["first_s"])))
        result = benchmark.pedantic(call, rounds=rounds)
        best = benchmark.stats.stats.min
        for unit, amount in amounts.items():
            figures[f"{unit}_per_s"] = amount / best
        if reads is not None:
            bandwidth = request.getfixturevalue("bandwidth")
            figures["times_memory_floor"] = best * bandwidth / sum(array.nbytes for array in reads)
        if computes is not None:
            figures["times_compute_floor"] = best / computes()
        return result

    return run


@njit(parallel=True)
def _sum(words):
    total = np.uint64(0)
    for i in prange(len(words)):
        total += words[i]
    return total


def _best_of_five(call):
    return min(timed(call)[0] for _ in range(5))


@pytest.fixture(scope="session")
def bandwidth(threads):
    """Bytes per second at which a parallel sum reads memory that no cache holds."""
    words = np.ones(2**25, dtype=np.uint64)  # 256 MiB
    set_num_threads(threads)
    _sum(words[:8])  # compile it
    return words.nbytes / _best_of_five(lambda: _sum(words))


@pytest.fixture(scope="session")
def products():
    """A compute floor: a function that times the matrix product X @ Y.T, in parts that fit."""

    def measure(X, Y):
        def multiply():
            for begin in range(0, len(X), 4096):
                X[begin : begin + 4096] @ Y.T

        return _best_of_five(multiply)

    return measure
