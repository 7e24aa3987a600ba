"""Fingerprints: the same for equal values, others for others, in any process."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from labelquorum._shared.fingerprint import fingerprint
from strategies import share

rng = np.random.default_rng(0)
DENSE = rng.normal(size=(5, 4))
COUNTS = rng.integers(0, 3, size=(6, 5))


def of(value):
    return fingerprint(value, "value")


def unsorted(matrix):
    """The same matrix with unsorted indices and entries that are to be added up."""
    rows, columns = matrix.nonzero()
    values = matrix[rows, columns].astype(float)
    order = np.random.default_rng(1).permutation(len(rows))
    bounds = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(matrix)))])
    csr = sparse.csr_array((values, columns, bounds), shape=matrix.shape)
    for begin, end in pairwise(bounds):
        csr.indices[begin:end] = csr.indices[begin:end][::-1]
        csr.data[begin:end] = csr.data[begin:end][::-1]
    twice = sparse.coo_array(
        (
            np.concatenate([values[order] / 4, values[order] * 0.75]),
            (np.tile(rows[order], 2), np.tile(columns[order], 2)),
        ),
        shape=matrix.shape,
    )
    return csr, twice


def scale(x, by=2):
    return x * by


def adder(n):
    return lambda x: x + n


@pytest.mark.parametrize(
    "left, right",
    [
        (DENSE, np.asfortranarray(DENSE)),
        (DENSE, np.repeat(DENSE, 2, axis=0)[::2]),
        (DENSE, DENSE.astype(">f8")),
        (DENSE[:1], np.asfortranarray(np.repeat(DENSE[:1], 3, axis=0))[::3]),
        (DENSE[0, :1], DENSE[0, ::7]),
        (np.array(["a", None, 2.5], object), np.array(["".join("a"), None, 5 / 2], object)),
        (np.array([["ab"] * 2], object), np.array([["ab", "".join("ab")]], object)),
        (sparse.csr_array(COUNTS.astype(float)), unsorted(COUNTS)[0]),
        (sparse.csr_array(COUNTS.astype(float)), unsorted(COUNTS)[1]),
        (sparse.csr_array(COUNTS), sparse.csc_matrix(COUNTS)),
        (np.int64(3), 3),
        ((16, 8), [16, 8]),
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}),
        (KMeans(3, init=DENSE[:3]), KMeans(3, init=np.asfortranarray(DENSE[:3]))),
        (KMeans(3), KMeans(3, n_init=1).fit(DENSE).set_params(n_init="auto")),
        (make_pipeline(PCA(2), KMeans(3)), make_pipeline(PCA(2), KMeans(3))),
        (adder(1), adder(1)),
        (functools.partial(scale, by=3), functools.partial(scale, by=3)),
    ],
)
def test_equal_values_have_the_same_fingerprint(left, right):
    assert of(left) == of(right)


LONG = rng.normal(size=(50, 40))
CHANGED = LONG.copy()
CHANGED[20, 20] += 1


@pytest.mark.parametrize(
    "left, right",
    [
        (LONG, CHANGED),
        (DENSE, DENSE.astype(np.float32)),
        (DENSE, DENSE.reshape(4, 5)),
        (DENSE, DENSE.T),
        (np.array(["a", None], object), np.array(["b", None], object)),
        (np.array(["ab", "c"], object), np.array(["a", "bc"], object)),
        (sparse.csr_array(COUNTS), sparse.csr_array(COUNTS[::-1])),
        (sparse.csr_array(np.eye(3)), sparse.csr_array(np.eye(3)[[1, 0, 2]])),
        (sparse.csr_array(np.eye(3)), sparse.csr_array(np.eye(3, 4))),
        (sparse.csr_array(np.eye(3)), sparse.csr_array(np.eye(3, dtype=np.float32))),
        (sparse.csr_array(np.eye(3)), np.eye(3)),
        (np.ma.masked_equal([1, 2], 1), np.ma.masked_equal([1, 2], 2)),
        (3, "3"),
        (None, "None"),
        ([1, [2]], [[1], 2]),
        ({"a": 1}, {"a": 2}),
        (KMeans(50, init=LONG), KMeans(50, init=CHANGED)),
        (KMeans(3), KMeans(4)),
        (make_pipeline(PCA(2), KMeans(3)), make_pipeline(PCA(3), KMeans(3))),
        (KMeans, PCA),
        (adder(1), adder(2)),
        (lambda x: x + 1, lambda x: x + 2),
        (lambda x: (y + 1 for y in x), lambda x: (y + 2 for y in x)),
        (functools.partial(scale, by=3), functools.partial(scale, by=4)),
        (np.random.RandomState(0), np.random.RandomState(1)),
    ],
)
def test_other_values_have_another_fingerprint(left, right):
    assert of(left) != of(right)


def frames():
    pandas, polars = pytest.importorskip("pandas"), pytest.importorskip("polars")
    pyarrow = pytest.importorskip("pyarrow")
    columns = {"a": [1.0, 2.5], "b": ["x", None]}
    other = {"a": [1.0, 2.5], "b": ["x", "y"]}
    for make in (pandas.DataFrame, polars.DataFrame, pyarrow.table):
        yield make(columns), make(columns), make(other), make({"c": [1.0, 2.5], "b": ["x", None]})
    nullable = {"a": pandas.array([1, None], dtype="Int64")}
    yield (
        *(pandas.DataFrame(nullable) for _ in range(2)),
        pandas.DataFrame({"a": pandas.array([1, 2], dtype="Int64")}),
        pandas.DataFrame({"a": pandas.array([1, None], dtype="Int32")}),
    )


def test_frames_are_compared_by_their_columns():
    for frame, same, *others in frames():
        assert of(frame) == of(same)
        for other in others:
            assert of(frame) != of(other)


def test_a_frame_may_be_built_from_parts_and_be_a_slice():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(DENSE, columns=list("abcd"))
    parts = pandas.concat([frame[[name]] for name in "abcd"], axis=1)
    assert of(frame) == of(parts) == of(pandas.concat([frame, frame])[:5])


@share(0.2)
@given(
    st.sampled_from([np.float64, np.int8, np.bool_, "U3", "datetime64[s]"]).flatmap(
        lambda dtype: arrays(dtype, array_shapes(min_dims=1, max_dims=3, min_side=0))
    )
)
def test_the_order_of_axes_in_memory_does_not_matter(array):
    scattered = np.empty([2 * n + 1 for n in array.shape], array.dtype)[
        tuple(slice(0, 2 * n, 2) for n in array.shape)
    ]
    scattered[...] = array
    assert of(array) == of(np.asfortranarray(array)) == of(scattered)


def test_another_process_finds_the_same_fingerprint(capsys):
    code = """
import numpy as np
from scipy import sparse
from sklearn.cluster import KMeans
from labelquorum._shared.fingerprint import fingerprint
values = [KMeans(3, init=np.eye(3)), sparse.eye(3, format="csr"), {"b": {"y", "x", "z"}, "a": "é"}]
values += [np.array(["a", None, "bc", 1], object), {"x": lambda y: y in {"a", "b", "c"}}]
print(*[fingerprint(value, "value") for value in values])
"""
    exec(compile(code, "<string>", "exec"), {"__name__": "__main__"})
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        text=True,
        env={
            **os.environ,
            "PYTHONHASHSEED": "1" if os.environ.get("PYTHONHASHSEED") == "0" else "0",
        },
    ).stdout
    assert found == capsys.readouterr().out


def nested():
    values = []
    values.append(values)
    return values


@pytest.mark.parametrize("value", [threading.Lock(), [iter([1])][:0] or (x for x in ()), nested()])
def test_what_has_no_value_is_refused(value):
    with pytest.raises(TypeError, match=r"clusterers must hold values that can be pickled .*leave"):
        fingerprint([KMeans(3, init=value)], "clusterers")


def test_the_caller_keeps_unsorted_indices():
    matrix, _ = unsorted(COUNTS)
    before = matrix.indices.copy()
    of(matrix)
    np.testing.assert_array_equal(matrix.indices, before)


def test_classes_of_scripts_count_by_their_code():
    def clusterer(code):
        names = {"BaseEstimator": BaseEstimator, "__name__": "__main__"}
        exec(f"class Mine(BaseEstimator):\n    def fit(self, X): return {code}", names)
        return names["Mine"]()

    assert fingerprint(clusterer("X > 1"), "m") == fingerprint(clusterer("X > 1"), "m")
    assert fingerprint(clusterer("X > 1"), "m") != fingerprint(clusterer("X > 2"), "m")
