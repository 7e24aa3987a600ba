"""Files of texts: what each format gives, and clear errors for the rest."""

from __future__ import annotations

import gzip
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelquorum._shared.files import FileError
from labelquorum.cli.files.texts import read_texts
from strategies import share


def _written(folder, name, content):
    path = folder / name
    content = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "texts"),
    [
        ("a.txt", "one\ntwo\n", ["one", "two"]),
        ("a.txt", "one\r\n\r\n two\r\n", ["one", "", " two"]),
        ("a.txt", "\ufeffone\ntwo", ["one", "two"]),
        (
            "a.txt",
            "one\x0b\x1c\x85\u2028end\rstill\ntwo",
            ["one\x0b\x1c\x85\u2028end\rstill", "two"],
        ),
        ("a.txt.gz", "one\ntwo\n", ["one", "two"]),
        ("a.csv", 'id,text\n1,"a, b\nc"\n2,\n', ["a, b\nc", ""]),
        ("a.csv", "title\none\n\ntwo\n", ["one", "", "two"]),
        ("a.csv", "text\n'=1+1\n'tis\n-5\n", ["=1+1", "'tis", "-5"]),
        ("a.jsonl", '{"text": "\'=1+1"}\n', ["'=1+1"]),
        ("a.csv", "id,text\n\n1,one\n", ["one"]),
        ("a.CSV", "\ufefftext,id\n" + "x" * 200_000 + ",1\n", ["x" * 200_000]),
        ("a.jsonl", '{"text": "one", "id": 1}\n\n{"id": 2, "text": null}\n', ["one", ""]),
        ("a.jsonl.gz", '{"q": "\\ud800 \\u001b"}\n', ["? \x1b"]),
    ],
)
def test_each_format_gives_its_texts(tmp_path, name, content, texts):
    assert read_texts(_written(tmp_path, name, content)) == (texts, 0)


def test_a_column_is_found_by_its_name(tmp_path):
    path = _written(tmp_path, "a.csv", "id,text,body\n1,two,three\n")
    assert read_texts(path, "body").items == ["three"]
    path = _written(tmp_path, "a.jsonl", '{"id": "1", "body": "three"}\n')
    assert read_texts(path, "body").items == ["three"]


def test_parquet_holds_texts_in_a_column_of_strings(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    path = tmp_path / "a.parquet"
    words = pa.array(["one", None, "three"])
    pq.write_table(pa.table({"n": [1, 2, 3], "text": words, "d": words.dictionary_encode()}), path)
    assert read_texts(path).items == ["one", "", "three"]
    assert read_texts(path, "d").items == ["one", "", "three"]
    with pytest.raises(FileError, match="column 'n' must hold strings, got int64"):
        read_texts(path, "n")


@share(0.5)
@given(lines=st.lists(st.binary(max_size=8), min_size=1))
def test_bytes_that_are_not_utf8_are_replaced_and_no_line_is_lost(one_folder, lines):
    lines = [line.replace(b"\n", b"").replace(b"\r", b"") for line in lines]
    lines[0] = b"." + lines[0]  # neither empty nor a byte-order mark
    path = one_folder / "a.txt"
    path.write_bytes(b"\n".join([*lines, b""]))
    items, n_damaged = read_texts(path)
    assert items == [line.decode(errors="replace") for line in lines]

    def is_damaged(line):
        try:
            line.decode()
        except UnicodeDecodeError:
            return True
        return False

    assert n_damaged == sum(map(is_damaged, lines))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", "the file is empty"),
        ("a.txt.gz", "", "the file is empty"),
        ("a.csv", "text\n", "the file has no text"),
        (
            "a.csv",
            "a,b\n1,2\n",
            "no column 'text'; the columns are a, b; name the column .*--text-column",
        ),
        ("a.csv", "a,text\n1,2\n3\n", "line 3, '3', has 1 field, but the first line has 2"),
        ("a.jsonl", "{}\n", "no column 'text'; the columns are none"),
        (
            "a.jsonl",
            '{"text": "a"}\n{"text": 7}\n',
            "line 2: 'text' is '7', a number; earlier lines hold a string",
        ),
        ("a.jsonl", '{"text": "a"}\n{"text"', "line 2 is not JSON"),
        ("a.jsonl", '["a"]\n', "line 1 must be a JSON object"),
        ("a.jsonl", "[" * 100_000, "line 1 is not JSON"),
        ("a.txt", "one\ntwo\n".encode("utf-16"), "the text must be UTF-8, got UTF-16"),
        ("a.parquet", "no", "damaged or not a .parquet file"),
        ("a.pdf", "no", "the extension must be .txt.*, got '.pdf'"),
        ("a.parquet.gz", "no", "the extension must be .*, got '.parquet.gz'"),
    ],
)
def test_errors_are_one_line_that_names_the_file(tmp_path, name, content, message):
    path = _written(tmp_path, name, content)
    with pytest.raises(FileError, match=message) as error:
        read_texts(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_damaged_archives_and_missing_files_are_named(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"one\n" * 1000)[:-20])
    with pytest.raises(FileError, match=re.escape(str(path)) + ": damaged"):
        read_texts(path)
    path.write_bytes(b"one")
    with pytest.raises(FileError, match=r"damaged or not a \.gz file"):
        read_texts(path)
    with pytest.raises(FileError, match="No such file"):
        read_texts(tmp_path / "b.txt")
    with pytest.raises(FileError, match="txt files have no named columns"):
        read_texts(_written(tmp_path, "c.txt", "one\n"), "text")


@share(0.5)
@given(texts=st.lists(st.text(), min_size=1))
def test_any_texts_come_back_from_jsonl(one_folder, texts):
    path = one_folder / "a.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    assert read_texts(path) == (texts, 0)
