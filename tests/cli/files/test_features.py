"""Files of features and known labels: every format, every kind of damage."""

from __future__ import annotations

import io

import numpy as np
import pytest

from labelquorum._shared.files import FileError
from labelquorum.cli.files import features as _feature_files
from labelquorum.cli.files.features import check_output, read_features, read_labels, write_columns

X = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
NAMES = ["a", "b", "c", "d"]
EXTENSIONS = [".npy", ".npz", ".parquet", ".csv"]


def _save(path, columns=None):
    columns = dict(zip(NAMES, X.T, strict=True)) if columns is None else columns
    if path.suffix == ".npy":
        np.save(path, np.stack([*columns.values()], axis=1))
    elif path.suffix == ".npz":
        np.savez(path, X=np.stack([*columns.values()], axis=1), y=np.zeros(3))
    elif path.suffix == ".parquet":
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet as pq

        pq.write_table(pa.table(columns), path, row_group_size=100)
    else:
        lines = [",".join(columns)]
        lines += [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
        path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_every_format_gives_the_same_features(tmp_path, monkeypatch, extension):
    monkeypatch.setattr(_feature_files, "_CSV_CHARACTERS_PER_CHUNK", 500)
    shown = []
    path = _save(tmp_path / f"X{extension}")
    found = read_features(path, show=lambda stage, fraction: shown.append(fraction))
    np.testing.assert_array_equal(found.X.astype(np.float32), X)
    assert found.labels is None
    if extension in (".parquet", ".csv"):
        assert len(shown) > 1
        assert shown == sorted(shown)
        assert shown[-1] == 1
    else:
        assert not shown


def test_float32_stays_float32_and_npy_is_memory_mapped(tmp_path):
    assert isinstance(read_features(_save(tmp_path / "X.npy")).X, np.memmap)
    for extension in (".npy", ".npz", ".parquet"):
        assert read_features(_save(tmp_path / f"X{extension}")).X.dtype == np.float32


def test_an_npz_with_one_array_needs_no_name(tmp_path):
    np.savez(tmp_path / "one.npz", features=X)
    np.testing.assert_array_equal(read_features(tmp_path / "one.npz").X, X)
    np.savez(tmp_path / "two.npz", features=X, y=X[:, 0])
    with pytest.raises(FileError, match="holds the arrays features, y; wanted one named X"):
        read_features(tmp_path / "two.npz")


@pytest.mark.parametrize("extension", [".parquet", ".csv"])
def test_a_column_of_labels_is_no_feature(tmp_path, extension):
    labels = ["x", "", "y, or z"] * 100
    columns = {"a": X[:, 0], "what": labels, "b": X[:, 1]}
    if extension == ".csv":
        columns["what"] = [f'"{label}"' for label in labels]
    found = read_features(_save(tmp_path / f"X{extension}", columns), label_column="what")
    np.testing.assert_array_equal(found.X.astype(np.float32), X[:, :2])
    assert found.labels.tolist() == ["x", None, "y, or z"] * 100


def test_labels_of_pandas_with_missing_ones(tmp_path):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(X[:3])
    frame.columns = frame.columns.astype(str)
    for labels, expected in [
        ([3, None, 4], [3, -1, 4]),
        (["u", None, "v"], ["u", None, "v"]),
        (pd.Categorical(["u", None, "v"]), ["u", None, "v"]),
        (pd.array([3, None, 4], dtype="Int64"), [3, -1, 4]),
    ]:
        frame["label"] = labels
        frame.to_parquet(tmp_path / "X.parquet")
        frame.to_csv(tmp_path / "X.csv", index=False)
        for name in ("X.parquet", "X.csv"):
            found = read_features(tmp_path / name, label_column="label")
            assert found.labels.tolist() == expected
            np.testing.assert_allclose(found.X, X[:3], rtol=1e-6)


def test_a_csv_without_names(tmp_path):
    np.savetxt(tmp_path / "X.csv", X, delimiter=",")
    np.testing.assert_allclose(read_features(tmp_path / "X.csv").X, X, rtol=1e-6)
    (tmp_path / "X.csv").write_text("0,1\n1,2\n")
    with pytest.raises(FileError, match="--header or --no-header"):
        read_features(tmp_path / "X.csv")
    assert read_features(tmp_path / "X.csv", header=True).X.tolist() == [[1, 2]]
    assert read_features(tmp_path / "X.csv", header=False).X.tolist() == [[0, 1], [1, 2]]


BAD_CSV = {
    "text": ("a,b\n1,2\n3,x\n", "'x' in the line '3,x' is no number; features have to be numbers"),
    "nothing": ("a,b\n1,2\n3,\n", "'' in the line '3,' is no number"),
    "a missing field": ("a,b,c\n1,2,3\n1,2\n", "'1,2' has 2 fields, the first line 3"),
    "one field more": ("a,b\n1,2\n1,2,3\n", "'1,2,3' has 3 fields, the first line 2"),
    "more in all": ("a,b\n1,2,3\n", "'1,2,3' has 3 fields, the first line 2"),
    "row numbers": (",a,b\n0,1,2\n", "first column has no name, .* index=False"),
    "NaN": ("a,b\n1,2\n3,nan\n", r"must be finite, got NaN at row 1, column 1 \(from 0\)"),
    "infinity": ("a,b\n1,2\n-1e999,3\n", "must be finite, got infinity at row 1, column 0"),
    "names only": ("a,b\n", r"has shape \(0, 2\)"),
    "no name": ("\n1,2\n", "the first line is empty"),
}


@pytest.mark.parametrize("bad", BAD_CSV)
def test_bad_csv_is_refused_with_the_place(tmp_path, bad):
    text, message = BAD_CSV[bad]
    path = tmp_path / "X.csv"
    path.write_text(text)
    with pytest.raises(FileError, match=message):
        read_features(path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["1,2,u", "3,x,u"], "'x' in the line '3,x,u' is no number"),
        (["1,2,u", "3,4"], "'3,4' has 2 fields, the first line 3"),
        (["1,2,u", "3,4,u,v"], "'3,4,u,v' has 4 fields, the first line 3"),
        (["nan,2,u"], "must be finite, got NaN at row 0, column 0"),
    ],
)
def test_bad_csv_beside_labels_is_refused(tmp_path, lines, message):
    path = tmp_path / "X.csv"
    path.write_text("\n".join(["a,b,label", *lines]))
    with pytest.raises(FileError, match=message):
        read_features(path, label_column="label")


def test_labels_alone_are_no_features(tmp_path):
    path = tmp_path / "X.csv"
    path.write_text("label\nu\nv\n")
    with pytest.raises(FileError, match=r"has shape \(2, 0\); wanted 2-D"):
        read_features(path, label_column="label")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["x", "y"], "column 'b' has type string; features have to be numbers"),
        ([1.0, None], "column 'b' has nulls"),
        ([1.0, np.nan], "must be finite, got NaN at row 1, column 1"),
    ],
)
def test_bad_parquet_columns_are_named(tmp_path, column, message):
    path = _save(tmp_path / "X.parquet", {"a": [1, 2], "b": column})
    with pytest.raises(FileError, match=message):
        read_features(path)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3), r"has shape \(3,\); wanted 2-D"),
        (np.zeros((0, 3)), r"has shape \(0, 3\)"),
        (np.zeros((3, 0)), r"has shape \(3, 0\)"),
        (np.array([["a"]]), "has dtype <U1; wanted integers or floats"),
        (np.array([[1.0, np.inf]]), "must be finite, got infinity at row 0, column 1"),
        (np.array([[None]]), "damaged or not a .np[yz] file"),
    ],
)
@pytest.mark.parametrize("extension", [".npy", ".npz"])
def test_bad_arrays_are_refused(tmp_path, array, message, extension):
    path = tmp_path / f"X{extension}"
    np.save(path, array) if extension == ".npy" else np.savez(path, X=array)
    with pytest.raises(FileError, match=message):
        read_features(path)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_missing_labels_columns_and_files_are_refused(tmp_path, extension):
    path = _save(tmp_path / f"X{extension}")
    wanted = {".parquet": "no column 'y'; it holds a, b, c, d", ".csv": "no column 'y'; it holds a"}
    message = wanted.get(extension, "files have no columns with names, 'y'")
    with pytest.raises(FileError, match=message):
        read_features(path, label_column="y")
    path.unlink()
    with pytest.raises(FileError, match="No such file"):
        read_features(path)
    path.touch()
    with pytest.raises(FileError, match="the file is empty"):
        read_features(path)
    path.write_text("this is a text of more than a few characters\n" * 5)
    with pytest.raises(FileError, match=f"damaged or not a {extension} file|no number|has shape"):
        read_features(path)


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
        ("y.txt", "1\n-2\n", "holds the label -2; wanted integers from 0 to"),
        ("y.txt", "1\n0.5\n", "holds the label 0.5; wanted integers from 0 to .* or strings"),
        ("y.txt", "1\n99999999999999999999\n", "holds the label 99999999999999999999"),
        ("y.txt", "1\n1e999\n", "holds the label inf"),
        ("y.npy", np.array([-2]), "holds the label -2"),
        ("y.npy", np.array([2**63], np.uint64), "holds the label 9223372036854775808"),
        ("y.csv", "a,b\n1,2\n", "has the columns a, b; wanted one alone, or one named label"),
        ("y.json", "[]", "unknown extension '.json'; wanted .npy, .csv or .txt"),
        ("y.npy", np.zeros((2, 2)), r"has shape \(2, 2\); wanted 1-D"),
        ("y.npy", np.array([True]), "holds the label True; wanted integers or strings"),
        ("y.npy", np.array([None]), "damaged or not a .npy file"),
        ("y.npy", np.array([1j]), r"holds the label 1j"),
        ("y.txt", "\xff\xfe", "damaged or not a .txt file"),
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
    with pytest.raises(FileError, match=r"unknown extension '\.npy'; wanted .csv, .parquet or"):
        check_output(tmp_path / "table.npy")


def test_writing_leaves_the_file_open():
    file = io.BytesIO()
    write_columns(_feature_files.Path("table.csv"), file, _columns("integers"))
    assert not file.closed
