"""Archives hold any array as it was, aligned, and NumPy reads them, too."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from labelquorum._shared import archive

DTYPES = st.one_of(
    arrays_of.boolean_dtypes(),
    arrays_of.integer_dtypes(),
    arrays_of.unsigned_integer_dtypes(),
    arrays_of.floating_dtypes(sizes=(16, 32, 64)),
    arrays_of.unicode_string_dtypes(max_len=3),
)
ARRAYS = arrays_of.arrays(DTYPES, arrays_of.array_shapes(min_dims=0, min_side=0, max_side=5))


def as_stored(array, order):
    """The same values, stored by rows, by columns, or with gaps."""
    if order == "gaps":
        wide = np.zeros((*array.shape, 2), array.dtype)
        wide[..., 0] = array
        return wide[..., 0]
    return np.array(array, order=order)


@given(st.lists(st.tuples(ARRAYS, st.sampled_from(["C", "F", "gaps"])), max_size=4))
def test_arrays_are_read_as_written(one_folder, given_arrays):
    path = one_folder / "arrays.lq"
    arrays = [as_stored(array, order) for array, order in given_arrays]
    archive.write_archive(path, {"format": "x", "n": len(arrays)}, arrays)
    with archive.opened_archive(path) as reader:
        assert reader.meta() == {"format": "x", "n": len(arrays)}
        for i, array in enumerate(arrays):
            found = reader.array(i)
            np.testing.assert_array_equal(found, array)
            assert found.dtype == array.dtype.newbyteorder("=")
            assert found.flags.writeable
            assert found.flags.aligned
            if array.flags.f_contiguous and not array.flags.c_contiguous:
                assert found.flags.f_contiguous
    with np.load(path) as whole:
        for i, array in enumerate(arrays):
            np.testing.assert_array_equal(whole[str(i)], array)


def test_values_begin_at_a_cache_line(tmp_path):
    path = tmp_path / "arrays.lq"
    arrays = [np.frombuffer(b"begin%011d" % i, np.uint8) for i in range(20)]
    archive.write_archive(path, {}, arrays)
    content = path.read_bytes()
    assert all(content.index(b"begin%011d" % i) % 64 == 0 for i in range(20))


def test_large_arrays_are_written_and_read_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "_BYTES_PER_BLOCK", 64)
    array = np.arange(1000.0).reshape(50, 20)
    for given_array in (array, array.T, array[:, ::2]):
        archive.write_archive(tmp_path / "arrays.lq", {}, [given_array])
        with archive.opened_archive(tmp_path / "arrays.lq") as reader:
            np.testing.assert_array_equal(reader.array(0), given_array)


def npy(header, values=b""):
    text = (header.ljust(117) + "\n").encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + values


def of(dtype, shape):
    return f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (npy(of("|b1", "(2,)"), b"\x01\x02"), "an array of bools holds other values"),
        (npy(of("<U1", "(1,)"), b"\x00\x00\x11\x00"), "what is no character"),
        (npy(of(">U1", "(1,)"), b"\x00\x11\x00\x00"), "what is no character"),
        (npy(of("<U0", "(5,)")), "has shape"),
        (npy(of("<f8", "(2,)"), bytes(8)), "has shape"),
        (npy(of("<f8", "(1,)"), bytes(16)), "has shape"),
        (npy(of("<f8", "(-1,)")), "shape"),
        (npy(of("|O", "(1,)"), bytes(8)), "Python objects"),
    ],
)
def test_what_is_no_array_is_refused(content, message, tmp_path):
    path = tmp_path / "arrays.lq"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("meta.json", "{}")
        file.writestr("0.npy", content)
    with (
        archive.opened_archive(path) as reader,
        pytest.raises(ValueError, match=message),
    ):
        reader.array(0)


def test_numbers_of_the_other_byte_order_are_read(tmp_path):
    path = tmp_path / "arrays.lq"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("meta.json", json.dumps([1]))
        content = io.BytesIO()
        np.save(content, np.array([[1, 2], [3, 4]], ">i4"))
        file.writestr("0.npy", content.getvalue())
    with archive.opened_archive(path) as reader:
        found = reader.array(0)
        assert found.dtype == np.dtype("i4")
        assert found.tolist() == [[1, 2], [3, 4]]
        with pytest.raises(TypeError, match="holds no object"):
            reader.meta()
        with pytest.raises(KeyError):
            reader.array(1)
