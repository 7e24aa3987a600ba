"""Known labels: integers or strings, from every kind of file, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from labelquorum._shared.files import FileError
from labelquorum.cli.files.labels import read_labels

LABELS = {
    "integers": ("3\n-1\n\n0", [3, -1, -1, 0]),
    "strings": ("a\n\n-1\n b c ", ["a", None, None, "b c"]),
    "leading zeros": ("007\n1", ["007", "1"]),
    "large integers": ("123456789012345678\n1", [123456789012345678, 1]),
    "as floats": ("1.0\n\n2.0", [1, -1, 2]),
    "as NumPy saves floats": ("1.000e+00\nnan\n-1.000e+00\n2.000e+01", [1, -1, -1, 20]),
    "numbers and strings": ("1\n2.50\nx\n-1", ["1", "2.50", "x", None]),
    "Unicode's other ends of lines": ("a\u2028b\nc", ["a\u2028b", "c"]),
    "none known": ("\n-1\n", [-1, -1]),
}


def _check_labels(path, text, expected):
    path.write_bytes(f"\ufeff{text}".encode())
    found = read_labels(path)
    assert found.tolist() == expected
    assert found.dtype == (np.int64 if isinstance(expected[0], int) else object)


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("extension", [".txt", ".csv"])
def test_labels_are_read_one_per_line(tmp_path, kind, extension):
    _check_labels(tmp_path / f"labels{extension}", *LABELS[kind])


@pytest.mark.parametrize("kind", LABELS)
def test_labels_are_the_column_of_that_name(tmp_path, kind):
    text, expected = LABELS[kind]
    rows = [f"0.5,{line}" for line in text.split("\n")][: len(expected)]
    _check_labels(tmp_path / "labels.csv", "\n".join(["confidence,label", *rows]), expected)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([3, -1], dtype=np.int8), [3, -1]),
        (np.array([3.0, np.nan]), [3, -1]),
        (np.array(["u", ""]), ["u", None]),
        (np.array([3], dtype=np.uint64), [3]),
    ],
)
def test_labels_of_arrays(tmp_path, array, expected):
    np.save(tmp_path / "labels.npy", array)
    assert read_labels(tmp_path / "labels.npy").tolist() == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("y.txt", "1\n-2\n", "must be strings, or integers from 0 to .*, got -2"),
        ("y.txt", "1\n0.5\n", "must be strings, or integers from 0 to .*, got 0.5"),
        ("y.txt", "1\n99999999999999999999\n", "got 99999999999999999999"),
        ("y.txt", "1\n1e999\n", "got inf"),
        ("y.npy", np.array([-2]), "got -2"),
        ("y.npy", np.array([2**63], np.uint64), "got 9223372036854775808"),
        ("y.csv", "a,b\n1,2\n", "must have one column, or one named label, got a, b"),
        ("y.json", "[]", "the extension must be .npy, .txt, .csv.*, got '.json'"),
        ("y.npy", np.zeros((2, 2)), r"the labels must be 1-D, .*, got \(2, 2\)"),
        ("y.npy", np.array([True]), "labels must be integers or strings, got True"),
        ("y.npy", np.array([None]), "damaged or not a .npy file"),
        ("y.npy", np.array([1j]), r"labels must be integers or strings, got 1j"),
        ("y.txt", "\xff\xfe", "the text must be UTF-8, got UTF-16"),
        ("y.txt", "", "the file is empty"),
    ],
)
def test_bad_labels_are_refused(tmp_path, name, content, message):
    path = tmp_path / name
    if isinstance(content, str):
        path.write_bytes(content.encode("latin-1"))
    else:
        np.save(path, content)
    with pytest.raises(FileError, match=message):
        read_labels(path)


@pytest.mark.parametrize("extension", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_column_of_another_name_is_named(tmp_path, extension):
    path = tmp_path / f"y{extension}"
    names = ["card", "=cash", None]
    if extension == ".parquet":
        pq.write_table(pa.table({"id": [1, 2, 3], "intent": names}), path)
    elif extension == ".jsonl":
        path.write_text(
            "".join(json.dumps({"id": i, "intent": name}) + "\n" for i, name in enumerate(names))
        )
    else:
        rows = [["id", "intent"], *([str(i), name or ""] for i, name in enumerate(names))]
        separator = "\t" if extension == ".tsv" else ","
        path.write_text("".join(separator.join(row) + "\n" for row in rows))
    assert read_labels(path, "intent").tolist() == names
    with pytest.raises(FileError, match=r"got id, intent: name the column .* with --label-column"):
        read_labels(path)
    with pytest.raises(FileError, match="no column 'label'; the columns are id, intent"):
        read_labels(path, "label")


def test_files_without_columns_are_said_to_have_none(tmp_path):
    path = tmp_path / "y.txt"
    path.write_text("a\nb\n")
    with pytest.raises(FileError, match=r"\.txt files have no named columns: 'intent'"):
        read_labels(path, "intent")


def test_marks_of_formulas_are_removed(tmp_path):
    path = tmp_path / "y.csv"
    path.write_text("label\n'=a\n'@b\n''c\n'tis\n\u2019d\n'-1x\n")
    assert read_labels(path).tolist() == ["=a", "@b", "'c", "'tis", "\u2019d", "-1x"]
