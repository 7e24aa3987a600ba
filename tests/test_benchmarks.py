"""Every benchmark runs, at a size that proves nothing but that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")
pytest.importorskip("polars")

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def run(script, *args, out, env=None):
    command = [sys.executable, BENCHMARKS / script, *args, "--out", out]
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | (env or {}),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("script", "args"),
    [
        ("bench_mini_clusters.py", ["--rows", 600, "--naive-rows", 100, 200]),
        ("bench_signatures.py", ["--rows", 1000, "--repeats", 1]),
        ("bench_agreement.py", ["--max-rows", 300, "--limit", 0.3]),
        ("bench_codebooks.py", ["--sets", "small", "--rows", 300]),
        ("bench_neighbors.py", ["--sets", "blobs", "--rows", 300, "--peers", "faiss Flat"]),
        ("bench_propagation.py", ["--rows", 300, "--nodes", 500, "--iterations", 2]),
        ("bench_searcher.py", ["--sets", "blobs", "--rows", 300, "--peers", "faiss_hnsw"]),
        ("scale.py", ["--rows", 100, 1000, "--max-growth", 1000]),
        ("worst_cases.py", ["--max-rows", 500, "--cases", 0, 5, 6]),
    ],
)
def test_script_runs_and_records(script, args, tmp_path):
    out = tmp_path / "results.json"
    assert run(script, *args, out=out)
    recorded = json.loads(out.read_text())
    assert recorded["results"]
    assert recorded["command"].startswith(f"python benchmarks/{script}")
    assert str(tmp_path) not in out.read_text()


def test_billion(tmp_path):
    out = tmp_path / "results.json"
    run("scale_billion.py", tmp_path, "--rows", 2000, out=out)
    results = json.loads(out.read_text())["results"]
    assert results["without_label"] + sum(results["sizes"]) == 2000


def test_real_ensembles(tmp_path):
    (tmp_path / "ensembles").mkdir()
    rng = np.random.default_rng(0)
    classes = rng.integers(3, size=200)
    members = np.where(rng.random((200, 100)) < 0.9, classes[:, None], 3).astype(np.uint8)
    np.savez(tmp_path / "ensembles" / "made_up.npz", members=members, gt=classes)
    out = tmp_path / "results.json"
    run("real_ensembles.py", "--draws", 2, out=out, env={"LABELQUORUM_DATA": str(tmp_path)})
    first = json.loads(out.read_text())["results"][0]
    assert first["precision"] == 1
    assert first["n_found"] == 3


def test_propagation_accuracy(tmp_path):
    out = tmp_path / "results.json"
    run("propagation_accuracy.py", *["--sets", "digits", "--draws", 2, "--rows", 300], out=out)
    results = json.loads(out.read_text())["results"]
    of = {(row["method"], row["per_class"]): row["mean"] for row in results}
    assert 0.5 < of["LabelSpreading", 1] < of["LabelSpreading", 10] <= 1


def test_real_ensembles_says_what_is_missing(tmp_path):
    out = tmp_path / "results.json"
    env = {"LABELQUORUM_DATA": str(tmp_path)}
    assert run("real_ensembles.py", out=out, env=env).startswith("skipped")
    assert not out.exists()


def test_data_is_the_same_in_any_chunks(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import _data

    rows = _data.ensemble(1000, 12, abstain=0.2, seed=3)
    part = np.empty((400, 12), dtype=np.int8)
    _data.fill(part, first=600, abstain=0.2, seed=3)
    np.testing.assert_array_equal(part, rows[600:])
    assert 0.15 < (rows < 0).mean() < 0.25
    assert len(np.unique(_data.all_distinct(10_000, 4), axis=0)) == 10_000
