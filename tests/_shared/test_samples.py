"""The reader of samples: what is copied, what is converted, and how errors read."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse

from labelquorum._shared.samples import as_array, as_graph, as_points, as_samples

X = np.arange(12.0).reshape(4, 3)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_dense_floats_are_not_copied(dtype):
    array = X.astype(dtype)[::-1, ::2]
    assert np.shares_memory(as_points(array, "X"), array)
    assert as_points(array, "X").dtype == dtype


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("?", "f4"), ("i1", "f4"), ("u2", "f4"), ("i4", "f8"), ("u8", "f8"), (">f2", "f2")],
)
def test_numbers_become_floats_that_hold_them(dtype, expected):
    assert as_points(X.astype(dtype), "X").dtype == np.dtype(expected)
    sparse_dtype = "f4" if expected == "f2" else expected
    if dtype != ">f2":
        assert as_samples(scipy.sparse.csr_array(X.astype(dtype)), "X").dtype == sparse_dtype


def test_sparse_rows_in_order_are_not_copied_and_others_leave_the_original_alone():
    matrix = scipy.sparse.csr_matrix(X)
    assert np.shares_memory(as_samples(matrix, "X").data, matrix.data)
    indices = np.array([2, 0, 2, 1], dtype=np.int32)
    unsorted = scipy.sparse.csr_array((np.ones(4), indices, [0, 3, 4]), shape=(2, 3))
    read = as_samples(unsorted, "X")
    assert read.has_canonical_format
    assert read.toarray().tolist() == [[1, 0, 2], [0, 1, 0]]
    assert unsorted.indices.tolist() == [2, 0, 2, 1]


def test_graphs_of_csr_are_not_copied():
    graph = scipy.sparse.csr_array(np.eye(3))
    assert np.shares_memory(as_graph(graph).data, graph.data)
    assert np.shares_memory(as_graph(graph).indices, graph.indices)


def test_repeated_small_integers_do_not_wrap():
    matrix = scipy.sparse.csr_array(
        (np.array([100, 100], dtype=np.int8), [0, 0], [0, 2]), shape=(1, 1)
    )
    assert as_samples(matrix, "X").toarray() == 200


def test_a_huge_integer_is_refused():
    with pytest.raises(ValueError, match="X must be at most 1e\\+150 in magnitude, got a larger"):
        as_points([[10**400, 1]], "X")


def test_lists_of_unequal_length_in_a_column_are_refused():
    column = np.array([None, [1.0, 2.0], [3.0]], dtype=object)[1:]
    with pytest.raises(ValueError, match=r"X must be .* got ragged data"):
        as_points(column, "X")


@pytest.mark.parametrize("item", [np.array(1), np.array([1.0]), [1.0], np.array([None])])
def test_arrays_among_other_objects_are_refused(item):
    with pytest.raises((TypeError, ValueError), match="X must "):
        as_points([item, None], "X")
    with pytest.raises((TypeError, ValueError), match="X must "):
        as_points([item, {}], "X")


def test_arrays_of_any_type_are_read():
    assert as_array(["a", "b"], "labels").dtype.kind == "U"
    with pytest.raises(TypeError, match=r"rows\[1\] must be a plain array .* got a masked array"):
        as_array([[1, 2], np.ma.array([1, 2])], "rows")


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_one_column_alone_has_one_dimension(library):
    module = pytest.importorskip(library)
    column = module.array([1.0, 2.0]) if library == "pyarrow" else module.Series([1.0, 2.0])
    with pytest.raises(ValueError, match=r"X must be 2-D, .* got shape \(2,\)"):
        as_points(column, "X")


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="NumPy 2 has this type")
def test_strings_of_variable_width_are_refused():
    with pytest.raises(TypeError, match=r"X must hold floats .* got dtype StringDType"):
        as_points(np.array([["1"]], dtype=np.dtypes.StringDType()), "X")


def test_neither_narwhals_nor_frames_are_imported_for_arrays():
    code = (
        "import sys, numpy as np, labelquorum as lq\n"
        "lq.kneighbors(np.eye(4), 2); lq.mini_clusters([[0, 1], [0, 1]])\n"
        "print([name for name in ('narwhals', 'sklearn', 'scipy.sparse') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
