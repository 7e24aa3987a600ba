"""Files of partitions and of labels: every format, every kind of damage."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from labelquorum._shared.files import FileError, replacing
from labelquorum.cli.files import delimited, parquet, partitions
from labelquorum.cli.files.partitions import read_partitions, write_labels

ROWS = np.random.default_rng(0).integers(-1, 5, size=(1000, 4))
NAMES = ["a", "b", "c", "d"]


def _rows(chunks):
    """The samples of all chunks, and the shares of the file read."""
    arrays, fractions = [], []
    for chunk, fraction in chunks:
        arrays.append(np.stack(chunk, axis=1) if isinstance(chunk, list) else chunk)
        fractions.append(fraction)
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    return np.concatenate(arrays)


def _save_parquet(path, columns, **options):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path, **options)


def _save(path, rows=ROWS):
    if path.suffix == ".npy":
        np.save(path, rows)
    elif path.suffix == ".npz":
        np.savez(path, rows)
    elif path.suffix == ".parquet":
        _save_parquet(path, dict(zip(NAMES, rows.T, strict=True)), row_group_size=300)
    else:
        np.savetxt(path, rows, fmt="%d", delimiter=",", header=",".join(NAMES), comments="")
    return path


EXTENSIONS = [".npy", ".npz", ".parquet", ".csv"]


@pytest.mark.parametrize("extension", EXTENSIONS)
@pytest.mark.parametrize("chunk", [None, 1, 7])
def test_every_format_and_chunk_gives_the_same_samples(tmp_path, monkeypatch, extension, chunk):
    if chunk is not None:
        monkeypatch.setattr(partitions, "_VALUES_PER_CHUNK", 40 * chunk)
        monkeypatch.setattr(parquet, "_VALUES_PER_BATCH", 40 * chunk)
        monkeypatch.setattr(delimited, "_BYTES_PER_BATCH", 90 * chunk)
    path = _save(tmp_path / f"partitions{extension}")
    np.testing.assert_array_equal(_rows(read_partitions(path)), ROWS)


def test_npy_is_memory_mapped(tmp_path):
    chunk, _ = next(read_partitions(_save(tmp_path / "partitions.npy")))
    assert isinstance(chunk, np.memmap)


@pytest.mark.parametrize("dtype", ["i1", ">i4", "u8"])
def test_npy_of_any_integer_dtype_and_order(tmp_path, dtype):
    path = tmp_path / "partitions.npy"
    np.save(path, np.asfortranarray(np.abs(ROWS)).astype(dtype))
    np.testing.assert_array_equal(_rows(read_partitions(path)), np.abs(ROWS))


def test_npz_of_one_array_per_partition(tmp_path):
    path = tmp_path / "partitions.npz"
    np.savez_compressed(path, **dict(zip(NAMES, ROWS.T, strict=True)))
    np.testing.assert_array_equal(_rows(read_partitions(path)), ROWS)


def test_npz_by_key(tmp_path):
    path = tmp_path / "partitions.npz"
    np.savez(path, wanted=ROWS, other=ROWS[:5])
    np.testing.assert_array_equal(_rows(read_partitions(path, key="wanted")), ROWS)
    with pytest.raises(FileError, match=r"one 2-D array or several 1-D arrays, .* --key"):
        list(read_partitions(path))
    with pytest.raises(FileError, match="no array 'absent'; the arrays are wanted, other"):
        list(read_partitions(path, key="absent"))


def test_row_names_of_pandas_are_not_a_partition(tmp_path):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    path = tmp_path / "partitions.parquet"
    pd.DataFrame(ROWS, columns=NAMES, index=np.arange(1000)[::-1]).to_parquet(path)
    np.testing.assert_array_equal(_rows(read_partitions(path)), ROWS)


@pytest.mark.parametrize(
    ("text", "header"),
    [
        ("a,b\n1,-1\n3,4\n", None),
        ("1,-1\n3,4\n", None),
        ("\ufeff1,-1\r\n3,4\r\n", None),
        ("\ufeffa,b\n1,-1\n3,4", None),
        ('"a","b"\n"1","-1"\n\n 3, 4\n\n', None),
        ("0,1\n1,-1\n3,4\n", True),
        ("1,-1\n3,4\n", False),
    ],
)
def test_csv_with_and_without_names(tmp_path, text, header):
    path = tmp_path / "partitions.csv"
    path.write_bytes(text.encode())
    np.testing.assert_array_equal(_rows(read_partitions(path, header=header)), [[1, -1], [3, 4]])


BAD_CSV = {
    "a float": (
        "1,2\n3,4.0\n",
        r"'4.0' in row 1 .*, column '1', is not an integer; .* convert floats",
    ),
    "NaN": (
        "1,2\n3,nan\n",
        "'nan' in row 1 .*, column '1', is not an integer; .* -1 where a model",
    ),
    "nothing": ("1,2\n3,\n", "'' in row 1 .*, column '1', is not an integer"),
    "text": ("a,b\n1,x\n", "'x' in row 0 .*, column 'b', is not an integer"),
    "half a header": ("a,2\n1,2\n", "first line, a,2..., may hold names or a sample: say which"),
    "a long number": ("1,2\n3,99999999999999999999\n", "'99999999999999999999' in row 1"),
    "a cut line": (
        "1,2,3\n3,4,5\n3,4\n",
        "line 3, '3,4', has 2 fields, but the first line has 3; .* cut off",
    ),
    "a narrow header": (
        "a\n1,2\n3,4\n",
        "line 2, '1,2', has 2 fields, but the first line has 1.* separated by commas",
    ),
    "numbers as names": ("0,1\n1,2\n", "names or a sample: say which with --header or --no-header"),
    "row numbers": (",a,b\n0,1,2\n", r"first column has no name, .* index=False"),
    "other separator": (
        "1;2\n3;4\n",
        "fields must be separated by commas, got semicolons in the first line, '1;2'",
    ),
    "an empty first line": ("\n1,2\n", "the first line is empty"),
    "bytes": ("1,2\n\x00\n", "the text must be UTF-8, got NUL bytes"),
}


@pytest.mark.parametrize("bad", BAD_CSV)
def test_bad_csv_is_refused_with_the_line(tmp_path, bad):
    text, message = BAD_CSV[bad]
    path = tmp_path / "partitions.csv"
    path.write_text(text)
    with pytest.raises(FileError, match=message):
        list(read_partitions(path))


def test_csv_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "partitions.csv"
    path.write_bytes("a,b\n1,2\n".encode("utf-16"))
    with pytest.raises(FileError, match=r"the text must be UTF-8, got UTF-16"):
        list(read_partitions(path))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([1.0, 2.0], "column 'b' has the type double; .* convert floats to integers"),
        ([1, None], "column 'b' has nulls, the first in row 1 .* Fill missing values with -1"),
        (["x", "y"], "column 'b' has the type string"),
        ([True, False], "column 'b' has the type bool"),
    ],
)
def test_bad_parquet_columns_are_refused_by_name(tmp_path, column, message):
    path = tmp_path / "partitions.parquet"
    _save_parquet(path, {"a": [1, 2], "b": column})
    with pytest.raises(FileError, match=message):
        list(read_partitions(path))


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_empty_files_are_refused(tmp_path, extension):
    if extension == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"partitions{extension}"
    path.touch()
    with pytest.raises(FileError, match="the file is empty"):
        list(read_partitions(path))


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_missing_files_are_refused(tmp_path, extension):
    if extension == ".parquet":
        pytest.importorskip("pyarrow")
    with pytest.raises(FileError, match=f"absent{extension}: No such file"):
        list(read_partitions(tmp_path / f"absent{extension}"))


@pytest.mark.parametrize("extension", [".npy", ".npz", ".parquet"])
@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.99])
def test_truncated_files_are_refused(tmp_path, extension, share):
    path = _save(tmp_path / f"partitions{extension}")
    content = path.read_bytes()
    path.write_bytes(content[: max(1, int(len(content) * share))])
    with pytest.raises(FileError, match=rf"damaged or not a {extension} file"):
        list(read_partitions(path))


@pytest.mark.parametrize("extension", [".npy", ".npz", ".parquet"])
def test_files_of_another_type_are_refused(tmp_path, extension):
    if extension == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"partitions{extension}"
    path.write_text("this is a text of more than a few characters\n" * 5)
    with pytest.raises(FileError, match=rf"damaged or not a {extension} file"):
        list(read_partitions(path))


@pytest.mark.parametrize("shape", [(), (5,), (2, 2, 2)])
def test_wrong_dimensions_are_refused(tmp_path, shape):
    path = tmp_path / "partitions.npy"
    np.save(path, np.zeros(shape, dtype=np.int32))
    with pytest.raises(
        FileError, match=r"the shape must be \(n_samples, n_partitions\), got \(.*\)"
    ):
        list(read_partitions(path))


def test_unknown_extensions_are_refused(tmp_path):
    with pytest.raises(FileError, match=r"the extension must be \.npy, \.npz.*, got '\.txt'"):
        list(read_partitions(tmp_path / "partitions.txt"))


def _read_labels(path):
    if path.suffix == ".npy":
        return np.load(path)
    if path.suffix == ".npz":
        return np.load(path)["labels"]
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return pq.read_table(path)["label"].to_numpy()
    header, *lines = path.read_text().splitlines()
    assert header == "label"
    return np.array(lines, dtype=np.int32)


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_labels_are_written_in_chunks(tmp_path, extension):
    if extension == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"labels{extension}"
    labels = np.arange(-1, 999, dtype=np.int32)
    with replacing(path) as file, warnings.catch_warnings():
        warnings.simplefilter("error")
        write_labels(path, file, np.array_split(labels, 7), len(labels))
    read = _read_labels(path)
    assert read.dtype == np.int32
    np.testing.assert_array_equal(read, labels)
