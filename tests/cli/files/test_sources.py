"""Finding files: paths, folders, patterns, URLs, gzip."""

from __future__ import annotations

import gzip
from pathlib import Path

import fsspec
import pytest

from labelquorum._shared.files import FileError
from labelquorum.cli.files.sources import extension_of, find_file, find_files, is_pattern

EXTENSIONS = (".csv", ".csv.gz", ".parquet")


@pytest.fixture
def folder(tmp_path):
    for name in ("b.csv", "a.csv.gz", "_SUCCESS", ".hidden.csv", "notes.md"):
        (tmp_path / name).write_text("x")
    (tmp_path / "sub.csv").mkdir()
    return tmp_path


def _names(files):
    return [Path(file.path).name for file in files]


def test_a_folder_is_its_files_of_known_kinds_by_name(folder):
    files = find_files(folder, EXTENSIONS)
    assert _names(files) == ["a.csv.gz", "b.csv"]
    assert [file.name for file in files] == [f"{folder}/a.csv.gz", f"{folder}/b.csv"]
    assert [file.extension for file in files] == [".csv", ".csv"]
    assert [file.is_compressed for file in files] == [True, False]


def test_a_pattern_is_the_files_that_match(folder):
    assert _names(find_files(folder / "*.csv", EXTENSIONS)) == ["b.csv"]
    assert _names(find_files(folder / "[ab].csv*", EXTENSIONS)) == ["a.csv.gz", "b.csv"]
    assert is_pattern(folder / "*.csv")
    (folder / "odd[1].csv").write_text("x")
    assert not is_pattern(folder / "odd[1].csv")
    assert _names(find_files(folder / "odd[1].csv", EXTENSIONS)) == ["odd[1].csv"]


def test_a_url_is_opened_by_fsspec():
    with fsspec.open("memory://sources/a.csv.gz", "wb") as file:
        file.write(gzip.compress(b"1,2\n"))
    for location in ("memory://sources/a.csv.gz", "memory://sources", "memory://sources/*.gz"):
        (file,) = find_files(location, EXTENSIONS)
        assert file.name.startswith("memory://")
        with file.open() as (content, share):
            assert content.read() == b"1,2\n"
            assert share() == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.csv", "absent.csv: No such file"),
        ("absent.txt", "the extension must be .csv or .parquet .text also with .gz., got '.txt'"),
        ("notes.md", "the extension must be .csv"),
        ("*.parquet", "no file matches this pattern"),
        ("*.md", "the pattern matches no file with extension .csv or .parquet"),
        ("empty", "empty: the folder has no file with extension .csv or .parquet"),
        ("zero.csv", "zero.csv: the file is empty"),
        ("mixed", "must be of one kind, got .csv, .parquet; .* such as '.*.csv'"),
    ],
)
def test_what_cannot_be_found_is_named(folder, name, message):
    (folder / "empty").mkdir()
    (folder / "zero.csv").touch()
    (folder / "mixed").mkdir()
    for other in ("a.csv", "b.parquet"):
        (folder / "mixed" / other).write_text("x")
    with pytest.raises(FileError, match=message) as error:
        find_files(folder / name, EXTENSIONS)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("url", ["nosuch://bucket/a.csv", "memory://nothing/a.csv"])
def test_urls_that_cannot_be_opened_are_named(url):
    with pytest.raises(FileError, match=url):
        find_files(url, EXTENSIONS)


def test_a_missing_plug_in_is_named(monkeypatch):
    def missing(url):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(FileError, match=r"s3://bucket/a.csv: .* Install s3fs"):
        find_files("s3://bucket/a.csv", EXTENSIONS)


@pytest.mark.parametrize(
    ("location", "extension"),
    [
        (Path("a.CSV"), ".csv"),
        (Path("a.b.csv.GZ"), ".csv.gz"),
        (Path("a"), ""),
        ("s3://b.c/x.parquet", ".parquet"),
        ("s3://bucket.csv/x", ""),
    ],
)
def test_extensions(location, extension):
    assert extension_of(location) == extension


def test_one_file_is_wanted_where_several_cannot_be_read(folder):
    assert find_file(folder / "b.*", EXTENSIONS).extension == ".csv"
    with pytest.raises(FileError, match=r"only one .csv file can be read, got 2"):
        find_file(folder / "*.csv*", EXTENSIONS)


@pytest.mark.parametrize(
    ("names", "pattern", "found"),
    [
        (["a.csv", "a-labels.csv", "b.csv"], "*.csv", ["a.csv", "b.csv"]),
        (["a.csv", "a-labels.csv"], "*-labels.csv", ["a-labels.csv"]),
        (["b.csv", "a-labels.csv"], "*.csv", ["a-labels.csv", "b.csv"]),
        (["a.csv.gz", "a-labels.csv"], "", ["a.csv.gz"]),
    ],
)
def test_a_result_beside_its_source_is_not_read_with_it(tmp_path, names, pattern, found):
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    files = find_files(tmp_path / pattern, (".csv", ".csv.gz"))
    assert [file.name.rpartition("/")[2] for file in files] == found
