"""Files that are written: whole or not at all."""

from __future__ import annotations

import csv
import os
import stat

import pytest

from labelquorum._shared.files import (
    FileError,
    differing_settings,
    fields_of_any_length,
    replacing,
)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "labels.npy"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_result_is_as_readable_as_any_new_file(tmp_path):
    path, other = tmp_path / "labels.npy", tmp_path / "other"
    other.touch()
    with replacing(path):
        pass
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_unwritable_results_are_refused(tmp_path):
    (tmp_path / "folder.npy").mkdir()
    for name, message in [
        ("absent/labels.npy", "cannot be written: No such file"),
        ("folder.npy", "cannot be written: it is a folder"),
    ]:
        with pytest.raises(FileError, match=message), replacing(tmp_path / name):
            pass


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_folders_without_permission_are_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(FileError, match="Permission denied"), replacing(tmp_path / "labels.npy"):
        pass


def test_a_file_error_is_an_os_error():
    assert str(FileError("a.csv: no")) == "a.csv: no"
    assert issubclass(FileError, OSError)


def test_settings_are_stored_and_compared(tmp_path):
    path = tmp_path / "settings.json"
    assert differing_settings(path, {"a": 1, "b": "x"}) == []
    assert differing_settings(path, {"a": 1, "b": "x"}) == []
    assert differing_settings(path, {"a": 2, "b": "x"}) == ["a"]


def test_long_fields_are_read_and_the_limit_is_restored():
    limit = csv.field_size_limit()
    with fields_of_any_length():
        assert next(csv.reader(["x" * (limit + 1)])) == ["x" * (limit + 1)]
    assert csv.field_size_limit() == limit
