"""A limit on the address space (ulimit -v): each call succeeds or raises MemoryError."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import numpy as np
import pytest

resource = pytest.importorskip("resource", reason="limits of processes are POSIX")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the limit works on Linux alone")

# What is left when the call starts, in MiB. A stack of a thread takes 8.
SPARE = [0.1, 1, 3, 9, 18, 27, 40, 70, 130, 300]

PREAMBLE = """
    import os, resource, sys
    import numpy as np
    from scipy import sparse
    import sklearn.utils.validation
    import labelquorum as lq

    def leave(mebibytes):
        with open("/proc/self/statm") as file:
            size = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (int(size + mebibytes * 2**20),) * 2)

    rng = np.random.default_rng(0)
"""

CALLS = {
    "mini_clusters": (
        "rows = rng.integers(30, size=(200_000, 8))",
        "lq.mini_clusters(rows, 20, n_jobs=4)",
    ),
    "update": (
        "rows = rng.integers(50, size=(300_000, 8)).astype(np.int16); table = lq.SignatureTable(8)",
        "table.update(rows, n_jobs=8)",
    ),
    "kneighbors": (
        "X = rng.normal(size=(4000, 16)).astype(np.float32)",
        "lq.kneighbors(X, 10, n_jobs=8)",
    ),
    "symmetrize_graph": (
        "graph = sparse.random_array((50_000, 50_000), density=2e-4, format='csr', rng=rng)",
        "lq.symmetrize_graph(graph, n_jobs=8)",
    ),
    "LabelSpreading": (
        "X = rng.normal(size=(3000, 4)); y = np.where(np.arange(3000) < 50, np.arange(3000) % 5, "
        "-1); model = lq.LabelSpreading(n_jobs=4)",
        "model.fit(X, y)",
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_call_succeeds_or_raises_memory_error(name):
    prepare, call = CALLS[name]
    script = textwrap.dedent(PREAMBLE) + textwrap.dedent(f"""
        {prepare}
        if sys.argv[1] == "warm":
            {call}  # what is imported late is there
        for spare in map(float, sys.argv[2:]):
            if os.fork() == 0:
                leave(spare)
                try:
                    {call}
                except MemoryError as error:
                    os._exit(11)
                os._exit(10)
            print(os.waitstatus_to_exitcode(os.wait()[1]))
        """)
    done = subprocess.run(
        [sys.executable, "-c", script, "warm", *map(str, SPARE)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    codes = list(map(int, done.stdout.split()))
    assert len(codes) == len(SPARE)
    assert set(codes) <= {10, 11}, (codes, done.stderr[-2000:])
    assert codes[-1] == 10


@pytest.mark.parametrize("mebibytes", [450, 600, 800, 1100, 1500])
def test_the_command_line_prints_one_line(tmp_path, mebibytes):
    rng = np.random.default_rng(0)
    path = tmp_path / "X.npy"
    np.save(path, rng.normal(size=(600, 8)) + 9 * np.eye(8)[rng.integers(4, size=600)])

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (mebibytes * 2**20,) * 2)

    command = [sys.executable, "-m", "labelquorum", "fit", path, "--n-clusters", "4", "-q"]
    done = subprocess.run(
        [*command, "--out", tmp_path / "labels.csv"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        preexec_fn=limit,
    )
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    assert "ABORT" not in done.stderr
    if done.returncode == 1:
        assert len(done.stderr.strip().splitlines()) == 1 or "OpenBLAS" in done.stderr, done.stderr
    else:
        assert (tmp_path / "labels.csv").exists()
