"""Damaged and foreign files: always one line that names the file, never a traceback."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import sparse

from labelquorum._shared.files import FileError
from labelquorum.cli.files.features import read_features
from labelquorum.cli.files.labels import read_labels
from labelquorum.cli.files.partitions import read_partitions
from labelquorum.cli.files.texts import read_texts
from labelquorum.cli.main import main

N_SAMPLES = 20
READERS = {
    "features": read_features,
    "partitions": lambda path: list(read_partitions(path)),
    "labels": read_labels,
    "texts": read_texts,
}
ROWS = np.arange(3 * N_SAMPLES).reshape(N_SAMPLES, 3) % 7


def _save_npz(path):
    np.savez_compressed(path, X=ROWS)


def _save_table(path):
    delimiter = "\t" if path.suffix == ".tsv" else ","
    np.savetxt(path, ROWS, fmt="%d", delimiter=delimiter, header="a b c".replace(" ", delimiter))


def _save_jsonl(path):
    lines = [json.dumps({"a": row.tolist(), "text": f"käse {row[0]}"}) for row in ROWS]
    path.write_text("\n".join(lines), encoding="utf-8")


def _save_parquet(path):
    texts = [f"text {row[0]}" for row in ROWS]
    pq.write_table(pa.table({"a": ROWS.tolist(), "label": ROWS[:, 0], "text": texts}), path)


WRITERS = {
    "X.npy": lambda path: np.save(path, ROWS),
    "names.npy": lambda path: np.save(path, np.array(["card", "käse"] * (N_SAMPLES // 2))),
    "X.npz": _save_npz,
    "sparse.npz": lambda path: sparse.save_npz(path, sparse.csr_array(ROWS)),
    "X.csv": _save_table,
    "X.tsv": _save_table,
    "X.csv.gz": lambda path: path.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * N_SAMPLES)),
    "X.jsonl": _save_jsonl,
    "X.parquet": _save_parquet,
    "t.txt": lambda path: path.write_text("käse\nbrot\n" * (N_SAMPLES // 2), encoding="utf-8"),
}


def mutations(content, rng, n):
    """Damaged forms: cut, with flipped bits, with other bytes, or nothing but noise."""
    yield from (b"", b"\0" * 100, rng.bytes(300), content + b"\0", content * 2)
    for _ in range(n):
        damaged = bytearray(content)
        kind = rng.integers(4)
        places = rng.integers(len(content), size=1 + rng.integers(3))
        if kind == 3:  # headers are at the beginning
            places %= 128
        for place in places:
            damaged[place % len(content)] = (
                damaged[place % len(content)] ^ (1 << rng.integers(8))
                if kind % 2
                else rng.integers(256)
            )
        yield bytes(damaged[: places[0]]) if kind == 2 else bytes(damaged)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", WRITERS)
def test_damaged_files_are_read_or_named(tmp_path, name, reader):
    path = tmp_path / name
    WRITERS[name](path)
    rng = np.random.default_rng(0)
    for content in mutations(path.read_bytes(), rng, 60):
        path.write_bytes(content)
        try:
            READERS[reader](path)
        except FileError as error:
            assert str(error).startswith(str(path))
            assert "\n" not in str(error)


COMMANDS = {
    "fit": ["fit", "FILE", "--n-clusters", "2"],
    "labels": ["fit", "X", "--labels", "FILE"],
    "report": ["report", "X", "--n-clusters", "2", "--texts", "FILE"],
    "truth": ["report", "X", "--n-clusters", "2", "--truth", "FILE"],
    "consensus": ["consensus", "FILE", "--n-clusters", "2"],
    "mini-clusters": ["mini-clusters", "FILE"],
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", WRITERS)
def test_commands_say_in_a_line_what_is_damaged(tmp_path, capsys, name, command):
    path, source = tmp_path / name, tmp_path / "source.npy"
    WRITERS[name](path)
    np.save(source, ROWS)
    out = tmp_path / ("o.html" if COMMANDS[command][0] == "report" else "o.csv")
    paths = {"FILE": str(path), "X": str(source)}
    arguments = [paths.get(argument, argument) for argument in COMMANDS[command]]
    rng = np.random.default_rng(1)
    for content in mutations(path.read_bytes(), rng, 5):
        path.write_bytes(content)
        code = main([*arguments, "--quiet", "--out", str(out)])
        lines = capsys.readouterr().err.splitlines()
        assert code in (0, 1, 2)
        assert len(lines) == bool(code)
        assert bool(code) or out.exists()
        out.unlink(missing_ok=True)
