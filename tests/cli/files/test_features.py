"""Files of features: every format, every kind of damage."""

from __future__ import annotations

import numpy as np
import pytest

from labelquorum._shared.files import FileError
from labelquorum.cli.files import delimited, parquet
from labelquorum.cli.files.features import read_features

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
    monkeypatch.setattr(delimited, "_BYTES_PER_BATCH", 500)
    monkeypatch.setattr(parquet, "_VALUES_PER_BATCH", 400)
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
    with pytest.raises(FileError, match="must hold one array, or one named X, got features, y"):
        read_features(tmp_path / "two.npz")


@pytest.mark.parametrize("extension", [".parquet", ".csv"])
def test_the_label_column_is_not_a_feature(tmp_path, extension):
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
    "text": (
        "a,b\n1,2\n3,x\n",
        "'x' in row 1 .from 0., column 'b', is not a number; features must be numbers",
    ),
    "nothing": ("a,b\n1,2\n3,\n", "'' in row 1 .from 0., column 'b', is not a number"),
    "a missing field": (
        "a,b,c\n1,2,3\n1,2\n",
        "line 3, '1,2', has 2 fields, but the first line has 3",
    ),
    "one field more": (
        "a,b\n1,2\n1,2,3\n",
        "line 3, '1,2,3', has 3 fields, but the first line has 2",
    ),
    "more in all": ("a,b\n1,2,3\n", "line 2, '1,2,3', has 3 fields, but the first line has 2"),
    "row numbers": (",a,b\n0,1,2\n", "first column has no name, .* index=False"),
    "NaN": ("a,b\n1,2\n3,nan\n", r"must be finite, got NaN at row 1, column 1.* from 0\)"),
    "infinity": ("a,b\n1,2\n-1e999,3\n", "infinity at row 1, column 0"),
    "names only": ("a,b\n", r"the shape must be \(n_samples, n_features\) .*, got \(0, 2\)"),
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
        (["1,2,u", "3,x,u"], "'x' in row 1 .from 0., column 'b', is not a number"),
        (["1,2,u", "3,4"], "line 3, '3,4', has 2 fields, but the first line has 3; .* cut off"),
        (["1,2,u", "3,4,u,v"], "line 3, '3,4,u,v', has 4 fields, but the first line has 3"),
        (["nan,2,u"], "must be finite, got NaN at row 0, column 0"),
    ],
)
def test_bad_csv_beside_labels_is_refused(tmp_path, lines, message):
    path = tmp_path / "X.csv"
    path.write_text("\n".join(["a,b,label", *lines]))
    with pytest.raises(FileError, match=message):
        read_features(path, label_column="label")


def test_a_table_of_labels_only_has_no_features(tmp_path):
    path = tmp_path / "X.csv"
    path.write_text("label\nu\nv\n")
    with pytest.raises(FileError, match="no column is left for the features"):
        read_features(path, label_column="label")


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["x", "y"], "column 'b' has the type string; features must be numbers"),
        ([1.0, None], "column 'b' has nulls, the first in row 1"),
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
        (np.zeros(3), r"the shape must be \(n_samples, n_features\) .*, got \(3,\)"),
        (np.zeros((0, 3)), r"the shape must be .*, got \(0, 3\)"),
        (np.zeros((3, 0)), r"the shape must be .*, got \(3, 0\)"),
        (np.array([["a"]]), "the values must be integers or floats, got <U1"),
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
    wanted = {
        ".parquet": "no column 'y'; the columns are a, b, c, d",
        ".csv": "no column 'y'; the columns are a",
    }
    message = wanted.get(extension, "files have no named columns: 'y'")
    with pytest.raises(FileError, match=message):
        read_features(path, label_column="y")
    path.unlink()
    with pytest.raises(FileError, match="No such file"):
        read_features(path)
    path.touch()
    with pytest.raises(FileError, match="the file is empty"):
        read_features(path)
    path.write_text("this is a text of more than a few characters\n" * 5)
    with pytest.raises(
        FileError, match=f"damaged or not a {extension} file|not a number|the shape must be"
    ):
        read_features(path)
