"""Numbers from columns: text, integers, floats and lists."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelquorum._shared.files import FileError
from labelquorum.cli.files.columns import Table
from labelquorum.cli.files.features import read_features
from labelquorum.cli.files.numeric import partition_columns
from strategies import share


def _matrix(path, **options):
    return read_features(path, **options).X


@share(0.5)
@given(st.lists(st.floats(-1e100, 1e100), min_size=1))
def test_any_float_is_read_exactly(one_folder, values):
    path = one_folder / "x.csv"
    path.write_text("a\n" + "".join(f"{value!r}\n" for value in values))
    np.testing.assert_array_equal(_matrix(path)[:, 0], values)


def test_numbers_in_other_forms_are_read(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('a,b\n 1, +2\n"3",-4.5e0\n1.,.5\n')
    np.testing.assert_array_equal(_matrix(path), [[1, 2], [3, -4.5], [1, 0.5]])
    path.write_text("a,b\n 1, +2\n-3,4\n")
    (batch,) = Table(path).batches()
    np.testing.assert_array_equal(partition_columns(batch, ["a", "b"]), [[1, -3], [2, 4]])


@pytest.mark.parametrize("kind", ["list", "large list", "fixed size list", "jsonl"])
def test_a_list_column_becomes_one_feature_per_item(tmp_path, kind):
    X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    path = tmp_path / ("x.jsonl" if kind == "jsonl" else "x.parquet")
    if kind == "jsonl":
        path.write_text("".join(json.dumps({"e": row, "n": 7}) + "\n" for row in X.tolist()))
    else:
        item = pa.float32()
        types = {"list": pa.list_(item), "large list": pa.large_list(item)}
        column = pa.array(X.tolist(), types.get(kind, pa.list_(item, 3)))
        pq.write_table(pa.table({"e": column, "n": [7] * 40}), path, row_group_size=7)
        assert _matrix(path, columns=["e"]).dtype == np.float32
    np.testing.assert_array_equal(_matrix(path, columns=["e"]), X)
    both = _matrix(path)
    np.testing.assert_array_equal(both[:, :3], X)
    np.testing.assert_array_equal(both[:, 3], 7)


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ([[1.0, 2.0], [1.0]], "column 'e' has 1 numbers in row 1 .*, but 2 in the first row"),
        ([[1.0, 2.0], None], "column 'e' has nulls, the first in row 1"),
        ([[1.0, 2.0], [1.0, None]], "column 'e' has a null in the list of row 1"),
        ([["x"], ["y"]], "column 'e' has the type list<"),
        ([[], []], "column 'e' has the type list<"),
    ],
)
def test_bad_lists_are_named_with_their_row(tmp_path, lists, message):
    pq.write_table(pa.table({"e": lists}), tmp_path / "x.parquet")
    with pytest.raises(FileError, match=message):
        _matrix(tmp_path / "x.parquet")


def test_lists_of_another_length_in_another_file_are_refused(tmp_path):
    for i in range(2):
        pq.write_table(pa.table({"e": [[1.0] * (i + 1)] * 3}), tmp_path / f"{i}.parquet")
    with pytest.raises(FileError, match=r"1.parquet: column 'e' has 2 numbers in row 0"):
        _matrix(tmp_path)


def test_text_in_parquet_is_not_parsed(tmp_path):
    pq.write_table(pa.table({"a": ["1", "2"]}), tmp_path / "x.parquet")
    with pytest.raises(FileError, match="column 'a' has the type string; features must be numbers"):
        _matrix(tmp_path / "x.parquet")
