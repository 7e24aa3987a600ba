"""Files that carry a digest: what was written is read, anything else is one error."""

from __future__ import annotations

import errno
import io
import json
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, scalar_dtypes
from scipy.sparse import csr_array
from sklearn.linear_model import LinearRegression

from labelquorum._shared.sealed import (
    FormatError,
    array_of,
    check_features,
    check_kinds,
    check_length,
    check_samples,
    check_stored,
    check_stored_order,
    read_arrays,
    reading,
    sealed_array,
    sealed_json,
    values_of_json,
)
from strategies import share

KEY, OTHER_KEY = b"call 1", b"call 2"


@share(0.2)
@given(scalar_dtypes().flatmap(lambda dtype: arrays(dtype, array_shapes(min_dims=0, min_side=0))))
def test_arrays_are_read_as_written(array):
    for stored in (array, np.asfortranarray(array)):
        content = sealed_array(stored, KEY)
        found = array_of(content, KEY)
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)
        np.testing.assert_array_equal(np.load(io.BytesIO(content)), array)  # as NumPy reads it
        file = io.BytesIO()
        np.savez(file, a=stored)
        np.testing.assert_array_equal(read_arrays(file)["a"], array)


def test_an_array_of_another_key_is_refused():
    with pytest.raises(ValueError, match="digest"):
        array_of(sealed_array(np.arange(3), KEY), OTHER_KEY)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=10,
)


@share(0.1)
@given(st.dictionaries(st.text().filter(lambda name: name != "digest"), json_values), st.data())
def test_values_are_read_as_written_and_changes_are_noticed(values, data):
    content = bytearray(sealed_json(values))
    assert values_of_json(bytes(content)) == values
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with suppress(ValueError):
        assert values_of_json(bytes(content)) == values  # white space


def header(text):
    return b"\x93NUMPY\x01\x00v\x00" + text.encode().ljust(117) + b"\n"


@pytest.mark.parametrize(
    "content",
    [
        header("{'descr': '<i4', 'fortran_order': False, 'shape': (1099511627776,), }"),
        header("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 2), }") + bytes(15),
        header("{'descr': '<i4', 'fortran_order': False, 'shape': (-1,), }"),
        header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }") + bytes(8),
        header("{'descr': ("),
        header("(" * 100),
        b"\x93NUMPY\x09\x00v\x00" + bytes(118),
        b"",
    ],
)
def test_an_array_that_is_not_as_large_as_it_says_is_refused_before_memory_is_taken(content):
    with pytest.raises(ValueError, match="x is damaged"), reading("x", "an array", "save it again"):
        array_of(content, KEY)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", content)
    with pytest.raises(ValueError, match="x is damaged"), reading("x", "arrays", "save it again"):
        read_arrays(file)


def test_compressed_members_are_refused():
    file = io.BytesIO()
    np.savez_compressed(file, a=np.zeros(1000))
    with pytest.raises(ValueError, match=r"a\.npy is compressed"):
        read_arrays(file)


@pytest.mark.parametrize(
    "error, expected",
    [
        (EOFError("no"), ValueError),
        (RecursionError("no"), ValueError),
        (UnicodeDecodeError("utf-8", b"", 0, 1, "no"), ValueError),
        (OSError(errno.EINVAL, "no"), ValueError),
        (OSError(errno.EIO, "no"), OSError),
        (FormatError("no"), FormatError),
        (MemoryError("no"), MemoryError),
        (KeyboardInterrupt("no"), KeyboardInterrupt),
    ],
)
def test_damage_is_one_error_and_what_is_no_damage_passes(error, expected):
    with pytest.raises(expected) as found, reading("name", "a file", "save it again"):
        raise error
    assert type(found.value) is expected
    if expected is ValueError:
        assert str(found.value).startswith("name is damaged or not a file (")
        assert str(found.value).endswith("no): save it again") or "codec" in str(found.value)


def test_long_messages_are_shortened():
    with pytest.raises(ValueError) as found, reading("name", "a file", "save it again"):
        raise KeyError("x" * 10_000)
    assert len(str(found.value)) < 400


@pytest.mark.parametrize(
    "array, dtypes, shape, limits, message",
    [
        (np.zeros(3), np.float32, (3,), None, "a must have dtype float32, got float64"),
        (np.zeros(3), (np.int32, np.int64), (3,), None, "dtype int32 or int64, got float64"),
        (np.zeros(3), np.float64, (4,), None, r"a must have shape \(4\), got \(3,\)"),
        (np.zeros(3), np.float64, (None, 2), None, r"a must have shape \(any, 2\), got \(3,\)"),
        (np.array([np.nan]), np.float64, (1,), None, "a must be finite"),
        (np.array([-3, 9]), np.int64, (2,), (-2, 8), "a must be from -2 to 8, got -3 to 9"),
    ],
)
def test_stored_arrays_are_checked(array, dtypes, shape, limits, message):
    with pytest.raises(ValueError, match=message):
        check_stored(array, "a", dtypes, shape, limits)
    check_stored(np.arange(6).reshape(2, 3), "a", (np.int32, np.int64), (2, None), (0, 5))


def test_parts_of_saved_models_are_checked():
    class Owner:
        part = 3

    check_kinds(Owner(), part=int)
    with pytest.raises(TypeError, match="part must be a str"):
        check_kinds(Owner(), part=str)
    check_length(np.array(["a", None], dtype=object), "a", 2)
    for array, error in (([1, 2], TypeError), (np.arange(3), ValueError), (np.eye(2), ValueError)):
        with pytest.raises(error, match="a must"):
            check_length(array, "a", 2)
    with pytest.raises(TypeError, match="a must be an array, got dict"):
        check_stored({}, "a", np.float64, (1,))
    with pytest.raises(ValueError, match="a model for 2 features is wanted"):
        check_features(LinearRegression().fit(np.eye(3), [1, 2, 3]), 2)


@pytest.mark.parametrize("kind", [np.array, csr_array])
def test_samples_of_saved_models_are_checked(kind):
    X = kind(np.eye(3))
    check_samples(X, "X", (None, 3))
    check_samples(X.astype(np.float32), "X", (3, 3))
    infinite = kind(np.full((3, 3), np.inf))
    for wrong, shape in ((X, (2, 3)), (X, (None, 2)), (X.astype(int), (3, 3)), (infinite, (3, 3))):
        with pytest.raises(ValueError, match="X must"):
            check_samples(wrong, "X", shape)


def test_bools_and_characters_are_what_numpy_counts_on():
    for array, value in ((np.array([True]), 2), (np.array(["a"]), 0x110000)):
        file = io.BytesIO()
        np.savez(file, a=array)
        with zipfile.ZipFile(file) as archive:
            content = archive.read("a.npy")
        size = array.itemsize
        with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
            archive.writestr("a.npy", content[:-size] + value.to_bytes(size, "little"))
        with pytest.raises(ValueError, match=r"an array of (bools|strings) holds"):
            read_arrays(file)


@pytest.mark.parametrize("order", [[0, 0, 1], [0, 1, 3], [0, 1]])
def test_a_stored_order_holds_each_number_once(order):
    with pytest.raises(ValueError, match="order must"):
        check_stored_order(np.array(order, np.int32), "order", np.int32, 3)
    check_stored_order(np.array([2, 0, 1], np.int32), "order", np.int32, 3)


def test_the_digest_is_an_entry_of_the_json_object():
    assert json.loads(sealed_json({"a": 1})).keys() == {"a", "digest"}
