"""Small files with large content are refused in one line before they fill the memory."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc and the limit are of Linux")

# What the process may take besides what it has once it has loaded its packages.
ROOM = 300_000_000
SCRIPT = """
import json, resource, sys
from pathlib import Path
import sklearn.cluster, scipy.sparse, pyarrow.parquet, pyarrow.csv, pyarrow.compute
import fsspec.implementations.local
from labelquorum.cli.main import main
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + int(sys.argv[1]), -1))
sys.exit(main(json.loads(sys.argv[2])))
"""
N = 400_000_000  # bytes of content


def _write_npy_header(file, shape, dtype):
    header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _npz(path):
    zeros = bytes(1 << 20)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("X.npy", "w") as member,
    ):
        _write_npy_header(member, (N >> 20 << 17, 8), np.int8)
        for _ in range(N >> 20):
            member.write(zeros)


def _npy(path):
    with open(path, "wb") as file:
        _write_npy_header(file, (N // 8, 8), np.int8)
        file.truncate(file.tell() + N)  # a hole, which takes no room on the disk


def _gz(line, n):
    return lambda path: path.write_bytes(gzip.compress(line * n, 1))


def _zeros(path):
    columns = {name: np.zeros(1_000_000, dtype=np.int64) for name in "abcde"}
    table = pa.table(columns)
    with pq.ParquetWriter(path, table.schema) as writer:
        for _ in range(10):
            writer.write_table(table)


def _lists(path):
    row = pa.array([[0.0] * 1000] * 50_000, pa.list_(pa.float64()))
    pq.write_table(pa.table({"embedding": row}), path)


def _texts(path):
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), ["long " * 100_000])
    pq.write_table(pa.table({"text": text}), path)


JSON = json.dumps({"a": 1, "b": 2, "text": ""}).encode() + b"\n"
FILES = {
    "X.npz": _npz,
    "X.npy": _npy,
    "zeros.parquet": _zeros,
    "lists.parquet": _lists,
    "texts.parquet": _texts,
    "lines.txt.gz": _gz(b"\n", 5_000_000),
    "line.txt.gz": _gz(b"x", 60_000_000),
    "X.csv.gz": _gz(b"1,2,3,5\n", 10_000_000),
    "line.csv.gz": _gz(b"x", 60_000_000),
    "quote.csv.gz": _gz(b'"x\n', 60_000_000),
    "labels.csv.gz": _gz(b"a\n", 5_000_000),
    "texts.jsonl.gz": _gz(JSON, 3_000_000),
}
CALLS = [
    ("X.npz", ["consensus", "FILE"]),
    ("X.npz", ["mini-clusters", "FILE"]),
    ("X.npz", ["fit", "FILE"]),
    ("X.npy", ["consensus", "FILE"]),
    ("X.npy", ["fit", "FILE"]),
    ("X.npy", ["report", "FILE"]),
    ("X.npy", ["label", "TEXTS", "--features", "FILE"]),
    ("zeros.parquet", ["fit", "FILE"]),
    ("zeros.parquet", ["consensus", "FILE"]),
    ("lists.parquet", ["fit", "FILE"]),
    ("texts.parquet", ["label", "FILE"]),
    ("texts.parquet", ["fit", "TEXTS", "--labels", "FILE", "--label-column", "text"]),
    ("lines.txt.gz", ["label", "FILE"]),
    ("line.txt.gz", ["label", "FILE"]),
    ("X.csv.gz", ["fit", "FILE"]),
    ("X.csv.gz", ["consensus", "FILE"]),
    ("line.csv.gz", ["fit", "FILE"]),
    ("quote.csv.gz", ["label", "FILE"]),
    ("labels.csv.gz", ["fit", "SMALL", "--labels", "FILE"]),
    ("texts.jsonl.gz", ["label", "FILE"]),
]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")

    def write(name):
        path = folder / name
        if not path.exists():
            FILES[name](path)
        return path

    return write


SLOW = [pytest.mark.slow]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        pytest.param(*call, marks=SLOW if ".gz" in call[0] or "lists" in call[0] else [])
        for call in CALLS
    ],
)
def test_declared_sizes_are_compared_with_the_memory_there_is(tmp_path, written, name, arguments):
    path, small = written(name), tmp_path / "small.csv"
    assert path.stat().st_size < 5_000_000 or name == "X.npy"
    small.write_text("text\n" + "1.5\n2.5\n" * 20)
    paths = {"FILE": str(path), "SMALL": str(small), "TEXTS": str(small)}
    arguments = [paths.get(argument, argument) for argument in arguments]
    arguments += ["--out", str(tmp_path / ("o.html" if arguments[0] == "report" else "o.csv"))]
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(ROOM), json.dumps(arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
        env={"OMP_NUM_THREADS": "1", "PYTHONPATH": ":".join(sys.path)},
    )
    lines = run.stderr.splitlines()
    assert run.returncode == 1, run.stderr
    assert lines[-1].startswith(f"labelquorum: {path}: ")
    assert "Traceback" not in run.stderr
    message = lines[-1].removeprefix(f"labelquorum: {path}: ")
    assert any(
        part in message
        for part in ("memory are available", "that is available", "at most", "not enough memory")
    ), message
