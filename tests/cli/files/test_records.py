"""Columns that results carry: of every kind of table, with their types; and advice on texts."""

from __future__ import annotations

import datetime
import gzip
import io
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelquorum._shared.files import FileError
from labelquorum.cli.files.records import advice_on_texts, read_records
from labelquorum.cli.files.results import write_columns
from strategies import share

ROWS = [
    {"id": "q0", "text": "Where is my parcel?", "n": 3, "y": "late"},
    {"id": "q1", "text": '=1+1, "quoted"\nline', "n": -5, "y": ""},
    {"id": "q2", "text": "", "n": 7, "y": "card"},
]


def _csv(rows, separator=","):
    import csv

    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]), delimiter=separator)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()


def _written(folder, extension, rows=ROWS):
    path = folder / f"table{extension}"
    if extension == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path
    if ".jsonl" in extension:
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    else:
        content = _csv(rows, "\t" if ".tsv" in extension else ",")
    path.write_bytes(gzip.compress(content) if extension.endswith(".gz") else content)
    return path


@pytest.mark.parametrize(
    "extension", [".csv", ".tsv", ".jsonl", ".parquet", ".csv.gz", ".jsonl.gz"]
)
def test_every_kind_of_table_gives_the_same_columns(tmp_path, extension):
    path = _written(tmp_path, extension)
    found = read_records(path, ["text", "id", "n"], label_column="y", id_column="id")
    assert list(found.columns) == ["text", "id", "n"]
    assert found.texts("text") == [row["text"] for row in ROWS]
    assert found.columns["id"].tolist() == ["q0", "q1", "q2"]
    assert [int(n) for n in found.columns["n"]] == [3, -5, 7]
    assert found.labels.tolist() == ["late", None, "card"]
    assert found.n_rows == 3


@pytest.mark.parametrize("kind", ["folder", "pattern", "url"])
def test_several_files_are_one_table(tmp_path, kind):
    for i, part in enumerate((ROWS[:2], ROWS[2:])):
        (tmp_path / f"part{i}.csv").write_bytes(_csv(part))
    location = {
        "folder": tmp_path,
        "pattern": tmp_path / "*.csv",
        "url": f"memory:/{tmp_path}",
    }[kind]
    if kind == "url":
        import fsspec

        fsspec.filesystem("memory").put(str(tmp_path) + "/", str(tmp_path), recursive=True)
    assert read_records(location, ["id"]).columns["id"].tolist() == ["q0", "q1", "q2"]


def test_types_of_parquet_are_kept_or_become_text(tmp_path):
    day = datetime.date(2026, 5, 1)
    table = pa.table(
        {
            "float": [0.5, 1.0, 2.0],
            "bool": [True, False, True],
            "gaps": [1, None, 3],
            "day": [day, None, day],
            "word": pa.array(["a", None, "b"]).dictionary_encode(),
            "large": pa.array(["a", "", "b"], pa.large_string()),
            "none": pa.nulls(3),
            "list": [[1], [2], [3]],
            "bytes": [b"a", b"b", b"c"],
        }
    )
    path = tmp_path / "table.parquet"
    pq.write_table(table, path)
    names = ["float", "bool", "gaps", "day", "word", "large", "none"]
    found = {k: v.tolist() for k, v in read_records(path, names).columns.items()}
    assert found == {
        "float": [0.5, 1.0, 2.0],
        "bool": [True, False, True],
        "gaps": ["1", None, "3"],
        "day": ["2026-05-01", None, "2026-05-01"],
        "word": ["a", None, "b"],
        "large": ["a", "", "b"],
        "none": [None] * 3,
    }
    for name in ("list", "bytes"):
        message = f"table.parquet: column '{name}' must hold texts, numbers or dates, got"
        with pytest.raises(FileError, match=message):
            read_records(path, [name])


def test_numbers_with_texts_among_them_are_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n{"a": "x"}\n')
    with pytest.raises(FileError, match="line 2: 'a' is 'x', a string"):
        read_records(path, ["a"])
    for i, value in enumerate(("1", '"x"')):
        (tmp_path / f"b{i}.jsonl").write_text(f'{{"a": {value}}}\n')
    with pytest.raises(FileError, match="column 'a' must hold values of one kind"):
        read_records(tmp_path / "b*.jsonl", ["a"])


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["a", "b", "a"], "must hold a different id in each row, got 'a' in rows 0 and 2"),
        (["a", "", "b"], "must hold an id in each row, got none in row 1"),
        (["a", None, "b"], "must hold an id in each row, got none in row 1"),
        ([1, 2, 1], "must hold a different id in each row, got 1 in rows 0 and 2"),
        ([1.0, float("nan"), 2.0], "must hold an id in each row, got none in row 1"),
    ],
)
def test_ids_are_there_and_different(tmp_path, ids, message):
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"id": ids}), path)
    with pytest.raises(FileError, match=f"column 'id' {message}.*use --keep"):
        read_records(path, ["id"], id_column="id")
    assert len(read_records(path, ["id"]).columns["id"]) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("id,text\n", "table.csv: "),
        ("", "the file is empty"),
        ("id,body\n1,a\n", "no column 'text'; the columns are id, body"),
        ("id,text\n1,caf\xe9\n", "must be UTF-8, got other bytes"),
        ("id;text\n1;a\n2;b\n", "fields must be separated by commas, got semicolons"),
        ("id,text\n1,a,b\n", "has 3 fields, but"),
    ],
)
def test_wrong_tables_are_named(tmp_path, content, message):
    path = tmp_path / "table.csv"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(FileError, match=message):
        read_records(path, ["id", "text"])


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10)


@given(texts=st.lists(CELLS, min_size=1, max_size=6))
@share(0.5)
def test_what_was_written_is_read_again(texts, one_folder):
    column = np.empty(len(texts), dtype=object)
    column[:] = texts
    for extension in (".csv", ".parquet"):
        path = Path(one_folder / f"again{extension}")
        with open(path, "wb") as file:
            write_columns(path, file, {"n": np.arange(len(texts)), "text": column})
        assert read_records(path, ["text"]).texts("text") == texts


LONG = ["Where is my parcel now?", "I cannot pay with my card", "How do I reset it?", "Late again!"]


@pytest.mark.parametrize(
    ("columns", "label_column", "said"),
    [
        ({"text": LONG}, None, "column 'text' holds texts, not numbers: add --text-column text"),
        (
            {"id": ["q0", "q1", "q2", "q3"], "text": LONG},
            None,
            "add --text-column text --id-column id",
        ),
        (
            {
                "key": list("abcd"),
                "my text": LONG,
                "y": ["a", "a", "b", "b"],
                "z": ["c", "", "", "c"],
            },
            None,
            "add --text-column 'my text' --id-column key, and --label-column z if that",
        ),
        ({"text": LONG, "y": ["a", "a", "b", "b"]}, "y", "add --text-column text"),
        (
            {
                "short": list("abcd"),
                "title": [f"{t} x" for t in LONG],
                "body": [t * 9 for t in LONG],
            },
            None,
            "--text-column body",
        ),
        (
            {"text": ["".join(map(chr, range(0x4E00 + i, 0x4E28 + i))) for i in range(4)]},
            None,
            "--text-column text",
        ),
        ({"id": ["q0", "q1", "q2", "q3"], "a": list("1234")}, None, ""),
        ({"a": list("1234"), "b": ["1.5", "2", "3", "x"]}, None, ""),
    ],
)
@pytest.mark.parametrize("extension", [".csv", ".parquet", ".jsonl"])
def test_columns_that_look_like_texts_are_named(tmp_path, extension, columns, label_column, said):
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    path = _written(tmp_path, extension, rows)
    found = advice_on_texts(path, label_column, None)
    assert (said in found) if said else found == ""
    assert re.match(re.escape(str(path)), found) or not said


def test_there_is_no_advice_on_what_cannot_be_read(tmp_path):
    assert advice_on_texts(tmp_path / "missing.csv", None, None) == ""
    (tmp_path / "empty.csv").write_text("")
    assert advice_on_texts(tmp_path / "empty.csv", None, None) == ""
