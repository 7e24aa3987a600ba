"""First lines that may be names, and tables of other dialects: read, or named with what to do."""

from __future__ import annotations

import codecs
import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labelquorum._shared.files import FileError
from labelquorum.cli.files.features import read_features
from labelquorum.cli.files.labels import read_labels
from labelquorum.cli.files.partitions import read_partitions
from labelquorum.cli.files.texts import read_texts
from labelquorum.cli.main import main
from strategies import share

FLOATS = ["0.5,1.25,3.5", "0.1,7.5,2.5", "4.5,2.5,1.5"] * 4
INTEGERS = ["5,5,5", "0,2,1", "9,7,3"] * 4
ASKED = [
    ("1,2,3", FLOATS),
    ("1,2,3", INTEGERS),
    ("3,2,1", INTEGERS),
    ("0,1,2", INTEGERS),
    ("2019,2020,2021", FLOATS),
    ("2021,2015,2018", INTEGERS),
    ("10,30,77", FLOATS),
    ('"1","2","3"', FLOATS),
    ('"8","4","1"', INTEGERS),
    ("id,2019,2020", FLOATS),
    ("400.5,402.5,404.5,406.5", ["0.1,0.7,0.2,0.9"] * 5),
    ("10,20,30,40", ["1,7,2,9"] * 5),
    ("2019,2020", ["0.1,0.2"] * 5),
    ("2019,2020", ["5,2"] * 5),
    ("7", ["0.5", "0.25", "0.75"]),
]
SAMPLES = [
    ("1,2", ["7,3"] * 5),
    ("5,2,3", INTEGERS),
    ("5,5,5", FLOATS),
    ("0.5,0.25,3.5", FLOATS),
    ("1.0,2.5,4.0", FLOATS),
    ("1,2,3", ["4,5,6"] * 5),
    ("-1,0,-1", INTEGERS),
    ("2019,2020", ["2021,2022"] * 5),
]


def _written(tmp_path, head, rows, name="X.csv"):
    path = tmp_path / name
    path.write_text("\n".join([head, *rows]) + "\n")
    return path


@pytest.mark.parametrize(("head", "rows"), ASKED)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_first_line_of_numbers_that_may_be_names_is_asked_about(tmp_path, head, rows, end):
    path = tmp_path / "X.csv"
    path.write_bytes(end.join([head, *rows, "", ""]).encode())
    with pytest.raises(FileError, match="names or a sample: say which with --header or --no-head"):
        read_features(path)
    assert len(read_features(path, header=True).X) == len(rows)
    if "id" not in head:
        assert len(read_features(path, header=False).X) == len(rows) + 1


@pytest.mark.parametrize(("head", "rows"), SAMPLES)
def test_other_first_lines_of_numbers_are_samples(tmp_path, head, rows):
    assert len(read_features(_written(tmp_path, head, rows)).X) == len(rows) + 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", "FILE"],
        ["report", "FILE"],
        ["consensus", "FILE"],
        ["mini-clusters", "FILE"],
        ["label", "TEXTS", "--features", "FILE"],
    ],
)
def test_every_command_asks_and_has_the_option_that_it_names(tmp_path, capsys, arguments):
    path = _written(tmp_path, "1,2,3", INTEGERS)
    texts = _written(tmp_path, "text", ["one", "two", "three"] * 4, "texts.csv")
    out = tmp_path / ("o.html" if arguments[0] == "report" else "o.csv")
    paths = {"FILE": str(path), "TEXTS": str(texts)}
    call = [paths.get(argument, argument) for argument in arguments] + ["--out", str(out)]
    assert main(call) == 1
    assert "say which with --header or --no-header" in capsys.readouterr().err
    if arguments[0] != "label":
        options = [] if arguments[0] == "mini-clusters" else ["--n-clusters", "2"]
        assert main([*call, *options, "--header", "--quiet"]) == 0
    if arguments[0] in ("fit", "consensus", "mini-clusters"):
        assert len(out.read_text().splitlines()) == 13


def test_the_option_about_features_needs_features(tmp_path, capsys):
    texts = _written(tmp_path, "text", ["one", "two", "three"], "texts.csv")
    assert main(["label", str(texts), "--header"]) == 2
    assert "--features, which is not given" in capsys.readouterr().err


DIALECTS = {
    "semicolons": ("f1;f2\n" + "1.5;2\n" * 9, "separated by commas, got semicolons.* save it with"),
    "decimal commas": ("f1;f2\n" + "0,5;1,5\n" * 9, "separated by commas, got semicolons.* points"),
    "no header": ("0,5;1,5\n" * 9, "fields must be separated by commas"),
    "one column": ("f1\n" + "0,5\n" * 9, "separated by commas, decimals written with points"),
    "tabs": ("f1\tf2\n" + "1.5\t2\n" * 9, "separated by commas, got tabs.* rename it to .tsv"),
    "bars": ("f1|f2\n" + "1.5|2\n" * 9, "separated by commas, got vertical bars"),
    "spaces": ("f1 f2\n" + "1.5 2\n" * 9, "fields must be separated by commas"),
    "sep": ("sep=;\nf1;f2\n" + "1;2\n" * 9, "which only Excel reads: delete it"),
    "SEP": ("SEP=,\nf1,f2\n" + "1,2\n" * 9, "which only Excel reads: delete it"),
    "quoted sep": ('"sep=,"\nf1,f2\n' + "1,2\n" * 9, "which only Excel reads: delete it"),
    "comment": ("# by tool\nf1,f2\n" + "1,2\n" * 9, "is a comment: delete it"),
    "comment, commas": ("#by, a tool, v2\nf1,f2\n" + "1,2\n" * 9, "is a comment: delete it"),
    "comment below": ("f1,f2\n" + "1.5,2\n# note\n" * 9, "line 3, '# note', has 1 field"),
    "title": ("My table\nf1,f2\n" + "1,2\n" * 9, "only one line of names may come first"),
    "ragged": ("f1,f2\n1.5,2\n1,2,3\n" + "1,2\n" * 9, "line 3, '1,2,3', has 3 fields"),
    "cut": ("f1,f2\n1.5,2\n3", "line 3, '3', has 1 field.* cut off"),
    "Latin-1": (
        "größe,b\n1.5,2\n".encode("latin-1"),
        "UTF-8, got other bytes in .*save it as UTF-8",
    ),
    "UTF-16": ("f1,f2\n1.5,2\n".encode("utf-16"), "must be UTF-8, got UTF-16: save it as UTF-8"),
    "UTF-16 without a mark": (
        "f1,f2\n1.5,2\n".encode("utf-16-le"),
        "got NUL bytes.* save it as UTF-8",
    ),
    "NUL": ("f1,f2\n1.5,2\n\0\0,3\n", "got NUL bytes in"),
    "empty line first": ("\nf1,f2\n1.5,2\n", "the first line is empty: delete it"),
    "open quote": ('f1,f2\n"1.5,2\n' + "1,2\n" * 9, "X.csv: "),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("extension", [".csv", ".csv.gz"])
def test_other_dialects_are_named_with_what_to_do(tmp_path, dialect, extension):
    content, message = DIALECTS[dialect]
    content = content if isinstance(content, bytes) else content.encode()
    path = tmp_path / f"X{extension}"
    path.write_bytes(gzip.compress(content) if extension == ".csv.gz" else content)
    message = message.replace("X.csv", "X.csv(.gz)?").replace(".* cut off", "")
    for read in (read_features, lambda path: list(read_partitions(path))):
        with pytest.raises(FileError, match=message) as error:
            read(path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", ["id;label\n1;a\n2;b\n", "id\tlabel\n1\ta\n2\tb\n"])
def test_labels_and_texts_in_other_dialects_are_named(tmp_path, content):
    path = tmp_path / "y.csv"
    path.write_text(content)
    for read in (read_labels, read_texts):
        with pytest.raises(FileError, match="fields must be separated by commas, got"):
            read(path)


def test_one_column_with_separators_is_read_if_quoted(tmp_path):
    path = tmp_path / "y.csv"
    path.write_text('"text;more"\n"a;b"\n"c;d"\n')
    assert read_texts(path).items == ["a;b", "c;d"]
    path.write_text("text\na; b\nc; d\n")
    assert read_texts(path).items == ["a; b", "c; d"]


def test_tables_of_tabs_with_commas_are_named(tmp_path):
    path = _written(tmp_path, "a,b", ["1,2"] * 5, "X.tsv")
    with pytest.raises(FileError, match=r"separated by tabs, got commas .* rename it to \.csv"):
        read_features(path)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("quoted", [True, False])
@pytest.mark.parametrize("tail", [0, 1, 3])
def test_line_ends_marks_quotes_and_empty_lines_are_read(tmp_path, end, mark, quoted, tail):
    head = '"f1","käse"' if quoted else "f1,käse"
    text = end.join([head, "1.5,2.5", "3.5,4.5", *[""] * tail])
    path = tmp_path / "X.csv"
    path.write_bytes(mark + text.encode())
    np.testing.assert_array_equal(read_features(path).X, [[1.5, 2.5], [3.5, 4.5]])
    assert read_features(path, columns=["käse"]).X.shape == (2, 1)


def test_old_line_ends_separate_texts(tmp_path):
    path = tmp_path / "t.txt"
    path.write_bytes(b"one\rtwo\rthree\r")
    assert read_texts(path).items == ["one", "two", "three"]


@share(0.3)
@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(
            st.lists(st.integers(-9, 9), min_size=width, max_size=width), min_size=1, max_size=5
        )
    )
)
def test_with_an_option_no_row_of_numbers_is_lost(one_folder, rows):
    path = one_folder / "X.csv"
    path.write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    np.testing.assert_array_equal(read_features(path, header=False).X, rows)
    try:
        n_read = len(read_features(path).X)
    except FileError as error:
        assert "--no-header" in str(error)
    else:
        assert n_read == len(rows)
