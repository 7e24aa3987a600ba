"""The one reader of tables: every kind, in one or several files, in any batches."""

from __future__ import annotations

import gzip
import json

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelquorum._shared.files import FileError
from labelquorum.cli.files import delimited, json_lines, parquet
from labelquorum.cli.files.columns import Table
from strategies import share

ROWS = [(str(i), f"text, {i}") for i in range(50)]


def _content(extension, rows):
    if extension == ".jsonl":
        return "".join(json.dumps({"a": a, "b": b}) + "\n" for a, b in rows).encode()
    if extension == ".tsv":
        return ("a\tb\n" + "".join(f"{a}\t{b}\n" for a, b in rows)).encode()
    return ("a,b\n" + "".join(f'{a},"{b}"\n' for a, b in rows)).encode()


def _write(path, rows):
    if path.suffix == ".parquet":
        first, second = zip(*rows, strict=True)
        pq.write_table(pa.table({"a": first, "b": second}), path, row_group_size=7)
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(_content(path.with_suffix("").suffix, rows)))
    else:
        path.write_bytes(_content(path.suffix, rows))


def _rows(table, places=None):
    batches = list(table.batches(places))
    shares = [batch.share for batch in batches]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    parts = [
        zip(*(column.to_pylist() for column in batch.columns), strict=True) for batch in batches
    ]
    return [row for part in parts for row in part]


@pytest.mark.parametrize(
    "extension", [".csv", ".tsv", ".jsonl", ".parquet", ".csv.gz", ".tsv.gz", ".jsonl.gz"]
)
@pytest.mark.parametrize("size", [None, 100])
def test_every_kind_gives_the_same_rows(tmp_path, monkeypatch, extension, size):
    if size:
        monkeypatch.setattr(delimited, "_BYTES_PER_BATCH", size)
        monkeypatch.setattr(parquet, "_VALUES_PER_BATCH", size)
        monkeypatch.setattr(json_lines, "_LINES_PER_BATCH", size // 10)
    path = tmp_path / f"table{extension}"
    _write(path, ROWS)
    table = Table(path)
    assert table.names == ["a", "b"]
    assert _rows(table) == ROWS
    assert _rows(table, [table.place("b")]) == [(b,) for _, b in ROWS]
    assert [len(batch.columns[0]) for batch in table.batches([0], max_rows=1)] == [1] * 50
    assert table.n_rows == (50 if extension == ".parquet" else None)


@pytest.mark.parametrize("extension", [".csv", ".jsonl", ".parquet", ".csv.gz"])
def test_files_of_a_folder_and_of_a_pattern_are_one_table(tmp_path, extension):
    for i in range(3):
        _write(tmp_path / f"part-{i}{extension}", ROWS[i * 10 : i * 10 + 10])
    for location in (tmp_path, tmp_path / f"part-*{extension}"):
        assert _rows(Table(location)) == ROWS[:30]
    firsts = [
        (batch.file[-len(extension) - 1 :][:1], batch.first_row)
        for batch in Table(tmp_path).batches()
    ]
    assert firsts == [("0", 0), ("1", 0), ("2", 0)]


@pytest.mark.parametrize("extension", [".csv", ".jsonl", ".csv.gz", ".parquet"])
def test_object_stores_are_read(tmp_path, extension):
    _write(tmp_path / f"x{extension}", ROWS)
    content = (tmp_path / f"x{extension}").read_bytes()
    for i in range(2):
        with fsspec.open(f"memory://columns{extension}/{i}{extension}", "wb") as file:
            file.write(content)
    assert _rows(Table(f"memory://columns{extension}/0{extension}")) == ROWS
    assert _rows(Table(f"memory://columns{extension}")) == ROWS + ROWS


def test_files_with_other_columns_are_refused(tmp_path):
    (tmp_path / "0.csv").write_text("a,b\n1,2\n")
    (tmp_path / "1.csv").write_text("a,c\n1,2\n")
    with pytest.raises(
        FileError, match=r"1.csv: the columns must be a, b, as in .*0.csv, got a, c"
    ):
        list(Table(tmp_path).batches())


def test_fields_may_hold_separators_quotes_and_line_breaks(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('\ufeff"a\n1",b\r\n"x, ""y""\n","z"\r\n\r\n  \r\n,\r\n', newline="")
    table = Table(path)
    assert table.names == ["a\n1", "b"]
    assert _rows(table) == [('x, "y"\n', "z"), ("", "")]


@share(0.5)
@given(st.lists(st.tuples(st.text('ab, "\n\u00e9\u2028', max_size=5), st.just("x")), min_size=1))
def test_what_the_csv_module_writes_is_read(one_folder, rows):
    import csv

    path = one_folder / "x.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("a", "b"), *rows])
    assert _rows(Table(path)) == rows


@pytest.mark.parametrize(
    ("first", "second", "is_header"),
    [
        ("a,b,c", "1,2,3", True),
        ("5,2,3", "1,2,3", False),
        ("0,1,2", "0.5,1,2", None),
        ("1,2,3", "5,5,5", None),
        ("2019,2020,2021", "0.1,0.2,0.3", None),
        ("1,2,3", "4,5,6", False),
        ("1,2", "7,3", False),
    ],
)
def test_a_header_is_recognized_by_its_fields(tmp_path, first, second, is_header):
    path = tmp_path / "x.csv"
    path.write_text(f"{first}\n{second}\n")
    if is_header is None:
        with pytest.raises(FileError, match="names or a sample: say which with --header"):
            Table(path)
    else:
        assert len(_rows(Table(path))) == 2 - is_header
    assert len(_rows(Table(path, header=True))) == 1
    assert len(_rows(Table(path, header=False))) == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", b"a,b\n1\n2,3\n", "line 2, '1', has 1 field, but the first line has 2$"),
        ("x.csv", b"a,b\n1,2\n3\n", "line 3, '3', has 1 field, .*; the file may be cut off"),
        ("x.csv", b"a,b\n\xff\n", "the text must be UTF-8, got other bytes"),
        ("x.csv", b"a,b\n1,\xe9\n", "the text must be UTF-8, got other bytes"),
        ("x.csv", b"sep=;\na;b\n", "the first line is 'sep=;', which only Excel reads"),
        ("x.csv", b"\n", "the first line is empty"),
        ("x.csv.gz", b"no", "damaged or not a .gz file"),
        ("x.csv.gz", gzip.compress(b"a,b\n" * 99)[:-9], "damaged or not a .gz file"),
        ("x.jsonl", b"1\n", "line 1 must be a JSON object, got '1'"),
        ("x.jsonl", b'{"a": 1}\n{"b": 1}\n', "line 2: no column 'a'; the columns are b"),
        ("x.jsonl", b'{"a": 1}\n{"a": "x"}\n', "line 2: 'a' is 'x', a string; earlier lines"),
        ("x.jsonl", b'{"a": 123456789012345678901}\n', "x.jsonl: column 'a': "),
        ("x.parquet", b"PAR1 and more, but no footer", "damaged or not a .parquet file"),
    ],
)
def test_damage_is_one_line_that_names_the_file(tmp_path, capfd, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(FileError, match=message) as error:
        list(Table(path).batches())
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


@share(0.3)
@given(st.binary(min_size=1, max_size=200))
def test_any_bytes_give_rows_or_a_file_error(one_folder, content):
    for name in ("x.csv", "x.tsv", "x.jsonl", "x.parquet", "x.csv.gz", "x.jsonl.gz"):
        path = one_folder / name
        path.write_bytes(content)
        for keep_damaged in (False, True):
            try:
                list(Table(path, keep_damaged=keep_damaged).batches())
            except FileError as error:
                assert "\n" not in str(error)


def test_a_row_may_be_longer_than_a_batch(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "_BYTES_PER_BATCH", 64)
    path = tmp_path / "x.csv"
    path.write_text("a,b\n" + f"{'x' * 900},y\n" * 3)
    assert _rows(Table(path)) == [("x" * 900, "y")] * 3


def test_files_may_have_columns_of_their_own_beside_those_that_are_read(tmp_path):
    (tmp_path / "0.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    (tmp_path / "1.csv").write_text("c,b,a\n5,4,3\n", encoding="utf-8")
    table = Table(tmp_path, header=True, may_have_others=True)
    columns = [batch.columns[0].to_pylist() for batch in table.batches([table.place("a")])]
    assert columns == [["1"], ["3"]]
    (tmp_path / "1.csv").write_text("c,b\n5,4\n", encoding="utf-8")
    with pytest.raises(FileError, match=r"1.csv: the columns must be a, as in .*0.csv, got c, b"):
        list(table.batches([table.place("a")]))
