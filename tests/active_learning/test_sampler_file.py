"""Files of saved samplers: complete ones are read, all others are refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from labelquorum.active_learning.sampler_file import read_sampler, write_sampler

VALUES, ARRAYS = {"a": 1, "names": ["ü", None]}, {"x": np.arange(3), "y": np.eye(2)}


@pytest.fixture
def path(tmp_path):
    write_sampler(tmp_path / "state.npz", VALUES, ARRAYS)
    return tmp_path / "state.npz"


def read(path):
    return read_sampler(path, lambda values, arrays: (values, arrays))


def change(path, **values):
    with np.load(path) as file:
        arrays = dict(file)
    meta = json.loads(str(arrays["meta"])) | values
    np.savez(path, **(arrays | {"meta": np.array(json.dumps(meta))}))


def test_what_was_written_is_read(path):
    values, arrays = read(path)
    assert VALUES.items() <= values.items()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_written_or_found_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match="cannot be written"):
        write_sampler(tmp_path / "no folder" / "state.npz", VALUES, ARRAYS)
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "state.npz")


@pytest.mark.parametrize("content", [b"not a zip archive", b""])
def test_another_file_is_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"state.npz is damaged or not a saved sampler \("):
        read(path)


def test_an_archive_of_other_arrays_is_refused(path):
    np.savez(path, a=np.arange(3))
    with pytest.raises(ValueError, match=r"damaged or not a saved sampler .*meta"):
        read(path)
    write_sampler(path, VALUES, ARRAYS)
    change(path, format="another")
    with pytest.raises(ValueError, match=r"its format must be 'labelquorum.*, got 'another'"):
        read(path)


def test_half_a_file_is_refused(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match="damaged or not a saved sampler"):
        read(path)


def test_a_file_that_lacks_something_is_refused(path):
    with pytest.raises(ValueError, match=r"damaged or not a saved sampler .*missing"):
        read_sampler(path, lambda values, arrays: values["missing"])


def test_a_newer_version_is_refused_by_name(path):
    change(path, version=99)
    with pytest.raises(ValueError, match="must have version 1 of the file format, got 99: a newer"):
        read(path)
