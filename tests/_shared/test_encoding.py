"""A closed set of values survives; nothing else is written, and nothing else is read."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.cluster import KMeans

from labelquorum._shared.encoding import Decoder, Encoder, set_attributes


class Pair(NamedTuple):
    first: Any
    second: Any

    def __check_saved__(self):
        if self.first is None:
            raise ValueError("first must be there")


@dataclass(frozen=True)
class Point:
    x: Any
    y: Any = None

    def __check_saved__(self):
        pass


class Plain:
    """A class with attributes and a method."""

    def __init__(self, value):
        self.value = value

    def method(self):
        """Stay a method."""
        return self.value

    def __check_saved__(self):
        pass


PARTS = (Pair, Point, Plain)


def again(value):
    encoder = Encoder(PARTS)
    tree = json.loads(json.dumps(encoder.encode(value, "value")))
    return Decoder(PARTS, encoder.arrays.__getitem__).decode(tree)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(st.characters()),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), inner, max_size=3),
    ),
    max_leaves=12,
)


def assert_same(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    elif isinstance(expected, dict):
        assert [*found] == [*expected]
        for key in expected:
            assert_same(found[key], expected[key])
    else:
        assert found == expected
        if isinstance(expected, float):
            assert math.copysign(1, found) == math.copysign(1, expected)


@given(VALUES)
def test_plain_values_are_the_same_again(value):
    assert_same(again(value), value)


@given(st.lists(st.one_of(st.none(), st.text(), st.booleans(), st.integers(), st.floats(0, 1))))
def test_arrays_of_objects_are_the_same_again(items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    found = again(array)
    assert found.dtype == object
    assert_same(found.tolist(), items)


def test_other_values_are_the_same_again():
    assert math.isnan(again(float("nan")))
    assert type(again(np.float32(0.1))) is np.float32
    assert again(np.float32(0.1)) == np.float32(0.1)
    assert again(np.bool_(True)) is np.True_
    assert again(Path("a/b")) == Path("a/b")
    assert again(re.compile("a.b", re.IGNORECASE)) == re.compile("a.b", re.IGNORECASE)
    assert again([Pair(1, (2,)), Point(3)]) == [Pair(1, (2,)), Point(3)]
    assert again(Plain(Pair(1, 2))).method() == Pair(1, 2)
    random_state = np.random.RandomState(5)
    random_state.normal()
    np.testing.assert_array_equal(again(random_state).normal(size=9), random_state.normal(size=9))
    assert again([KMeans(3, n_init=2)])[0].get_params() == KMeans(3, n_init=2).get_params()


@pytest.mark.parametrize("kind", ["array", "matrix"])
@pytest.mark.parametrize("form", ["bsr", "coo", "csc", "csr", "dia", "dok", "lil"])
def test_sparse_matrices_of_any_form_are_the_same_again(form, kind):
    matrix = getattr(sparse, f"{form}_{kind}")(np.array([[0.0, 2.0, 0.0], [1.0, 0.0, 3.0]]))
    found = again(matrix)
    assert type(found) is type(matrix)
    np.testing.assert_array_equal(found.toarray(), matrix.toarray())


def test_entries_of_rows_stay_as_they_are():
    rows = sparse.csr_array((np.array([1.0, 2.0, 0.0]), [2, 0, 1], [0, 2, 3]), shape=(2, 3))
    found = again(rows)
    assert found.indices.tolist() == [2, 0, 1]
    assert found.data.tolist() == [1.0, 2.0, 0.0]


def test_one_array_stays_one():
    array = np.arange(3)
    first, second = again([array, (array,)])
    assert second[0] is first


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        b"bytes",
        1j,
        len,
        object(),
        np.array([1j]),
        np.zeros(2, "S3"),
        np.array([{}], dtype=object),
        np.ma.masked_array([1, 2]),
        np.random.default_rng(),
        type("Pair", (tuple,), {})(),
        re.compile(b"a"),
    ],
    ids=repr,
)
def test_anything_else_is_refused_by_name(value):
    with pytest.raises(TypeError, match=r"^weights must hold .* to be saved, got .*pickled$"):
        Encoder(PARTS).encode([value], "weights")


BAD = [
    {"unknown": 1},
    {},
    {"array": 0, "tuple": []},
    {"array": 7},
    {"array": "0"},
    {"array": True},
    {"tuple": "ab"},
    {"dict": [[1]]},
    {"dict": [[[], 1]]},
    {"names": [0, ["a"]]},
    {"names": [1, [["a"]]]},
    {"path": 3},
    {"regex": ["(", 0]},
    {"regex": [3, 0]},
    {"random_state": ["MT19937", {"array": 2}, 625, 0, 0.0]},
    {"random_state": ["MT19937", {"array": 2}, -1, 0, 0.0]},
    {"random_state": ["PCG64", {"array": 2}, 0, 0, 0.0]},
    {"part": ["Encoder", {}]},
    {"part": ["Pair", {"first": 1}]},
    {"part": ["Pair", {"first": None, "second": 1}]},
    {"part": ["Point", {"x": 1, "z": 2}]},
    {"part": ["Plain", {"method": 1}]},
    {"part": ["Plain", {"__class__": 1}]},
    {"part": ["Plain", {"a b": 1}]},
    {"scikit-learn": ["SVC", {}, {}]},
    {"scikit-learn": ["KMeans", {"unknown": 1}, {}]},
    {"scikit-learn": ["KMeans", {}, {"predict": 1}]},
]
SPARSE = {"shape": {"tuple": [2, 3]}, "data": {"array": 3}}
SPARSE |= {"indices": {"array": 4}, "indptr": {"array": 5}}
BAD_SPARSE = [
    ["csr_array", {"shape": {"tuple": [2, 2]}}],  # a column that there is not
    ["csr_array", {"indptr": {"array": 4}}],
    ["csr_array", {"indptr": {"array": 3}}],
    ["csr_array", {"data": {"array": 5}}],
    ["csr_array", {"shape": {"tuple": [3, 3]}}],
    ["csr_array", {"shape": {"tuple": [2, 3, 4]}}],
    ["eye_array", {}],
]
ARRAYS = [
    np.array([0, 1, 7], np.int32),
    np.array([0], np.int32),
    np.zeros(624, np.uint32),
    np.array([1.0, 2.0]),
    np.array([2, 0], np.int32),
    np.array([0, 1, 2], np.int32),
]


@pytest.mark.parametrize(
    "tree",
    [*BAD, *({"sparse": [kind, SPARSE | parts]} for kind, parts in BAD_SPARSE)],
    ids=lambda tree: str(tree)[:60],
)
def test_what_was_not_encoded_is_refused(tree):
    with pytest.raises((ValueError, TypeError, LookupError, re.error)):
        Decoder(PARTS, ARRAYS.__getitem__).decode(tree)


def test_attributes_take_no_place_of_the_class():
    value = Plain(1)
    with pytest.raises(ValueError, match="no attribute 'method' to store"):
        set_attributes(value, {"method": 2})
    set_attributes(value, {"value": 3})
    assert value.method() == 3
