"""Tables of results: what each format holds."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import numpy as np
import pytest

from labelquorum._shared.files import FileError
from labelquorum.cli.files.labels import read_labels
from labelquorum.cli.files.results import check_output, format_of, write_columns


def _columns(kind):
    labels = np.array([0, -1, 7]) if kind == "integers" else np.array(["a", None, 'b,"c'], object)
    return {"label": labels, "confidence": np.array([0.1, 1, 0.25], dtype=np.float32)}


def _written(path, columns):
    with open(path, "wb") as file:
        write_columns(path, file, columns)
    return path


@pytest.mark.parametrize("kind", ["integers", "strings"])
def test_a_written_csv_is_read_as_labels_again(tmp_path, kind):
    columns = _columns(kind)
    path = _written(tmp_path / "table.csv", columns)
    assert read_labels(path).tolist() == columns["label"].tolist()
    first, second = path.read_text().splitlines()[:2]
    assert (first, second[1:]) == ("label,confidence", ",0.1")


@pytest.mark.parametrize("kind", ["integers", "strings"])
def test_written_arrays_need_no_pickle(tmp_path, kind):
    columns = _columns(kind)
    with np.load(_written(tmp_path / "table.npz", columns), allow_pickle=False) as found:
        assert found["label"].tolist() == [x if x is not None else "" for x in columns["label"]]
        assert found["confidence"].dtype == np.float32


@pytest.mark.parametrize("kind", ["integers", "strings"])
def test_written_parquet_has_types(tmp_path, kind):
    pq = pytest.importorskip("pyarrow.parquet")
    columns = _columns(kind)
    table = pq.read_table(_written(tmp_path / "table.parquet", columns))
    assert table["label"].to_pylist() == columns["label"].tolist()
    assert str(table["confidence"].type) == "float"
    assert str(table["label"].type) == ("int64" if kind == "integers" else "string")


def test_outputs_of_other_kinds_are_refused(tmp_path):
    with pytest.raises(FileError, match=r"extension must be .csv, .npz or .parquet, got '\.npy'"):
        check_output(tmp_path / "table.npy")


def test_writing_leaves_the_file_open():
    file = io.BytesIO()
    write_columns(Path("table.csv"), file, _columns("integers"))
    assert not file.closed


WIDE = ["\uff1da", "\uff0ba", "\uff0da", "\uff20a"]
NAMES = ["=1+1", "+a", "-a", "@a", "\tx", "\rx", "a\rb", "'a", "a", *WIDE]
STARTS = tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")


def test_names_are_no_formulas_and_come_back(tmp_path):
    path = tmp_path / "labels.csv"
    names = np.array([*NAMES, None], dtype=object)
    with open(path, "wb") as file:
        write_columns(path, file, {"label": names, "number": np.full(len(names), -1)})
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    assert not any(row[0].startswith(STARTS) for row in rows)
    assert {row[1] for row in rows} == {"-1"}
    expected = [name.strip() for name in NAMES]
    assert read_labels(path).tolist() == [*expected, None]


@pytest.mark.skipif(not os.path.exists("/dev/null"), reason="devices of POSIX")
def test_devices_need_no_extension(tmp_path):
    check_output(Path("/dev/null"))
    assert format_of(Path("/dev/null")) == ".csv"
    with pytest.raises(FileError, match="the extension must be"):
        check_output(tmp_path / "null")
