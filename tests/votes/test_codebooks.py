"""Labels equal those of the float64 oracle, and ids those of a table that counts the labels."""

from __future__ import annotations

import copy
import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import labelquorum as lq
import oracle
from labelquorum import _core
from strategies import SHAPES, THREADS, cuts, shaped, share

METRICS = ["euclidean", "cosine", "inner_product"]
FLOATS = [np.float16, np.float32, np.float64]


def assert_equals_oracle(X, codebooks, metric="euclidean", **options):
    """Labels are nearest centers, except at distances that rounding cannot separate."""
    labels = lq.assign_codebooks(X, codebooks, metric=metric, **options)
    assert labels.shape == (len(X), len(codebooks))
    assert labels.dtype == np.int16
    for label, centers in zip(labels.T, codebooks, strict=True):
        table = oracle.distances(centers, X, metric)
        found = np.take_along_axis(table, label[:, None].astype(np.int64), 1)[:, 0]
        nearest = table.min(axis=1)
        rounding = {"euclidean": 0, "cosine": 1e-15}.get(metric)
        if rounding is None:
            lengths = [np.sqrt((A.astype(np.float64) ** 2).sum(axis=1)) for A in (X, centers)]
            rounding = 1e-15 * X.shape[1] * lengths[0] * lengths[1].max()
        assert (found - nearest <= 1e-12 * np.abs(nearest) + rounding).all()
    return labels


def naive(X, codebooks):
    """Return the labels if all sums are exact: ties go to the lowest number."""
    tables = [oracle.distances(centers, X, "euclidean") for centers in codebooks]
    return np.stack([table.argmin(axis=1) for table in tables], axis=1)


def random_codebooks(rng, shape, X, n_codebooks):
    """Return centers like X, some of them rows of X or duplicates."""
    codebooks = []
    for _ in range(n_codebooks):
        k = int(rng.choice([1, 2, rng.integers(1, 40), rng.integers(1, 150)]))
        centers = shaped(rng, shape, k, X.shape[1]).astype(X.dtype)
        copied = rng.random(k) < 0.2
        centers[copied] = X[rng.integers(len(X), size=copied.sum())]
        codebooks.append(centers[rng.integers(k, size=k)] if rng.random() < 0.3 else centers)
    return codebooks


@given(
    shape=st.sampled_from(SHAPES),
    n=st.integers(1, 150),
    d=st.one_of(st.integers(1, 8), st.integers(1, 300)),
    n_codebooks=st.integers(1, 6),
    metric=st.sampled_from(METRICS),
    dtype=st.sampled_from([np.float32, np.float64]),
    n_jobs=st.sampled_from(THREADS),
    seed=st.integers(0, 2**32 - 1),
)
def test_labels_equal_the_oracle(shape, n, d, n_codebooks, metric, dtype, n_jobs, seed):
    rng = np.random.default_rng(seed)
    if shape == "huge":
        dtype = np.float64
    X = shaped(rng, shape, n, d).astype(dtype)
    codebooks = random_codebooks(rng, shape, X, n_codebooks)
    assert_equals_oracle(X, codebooks, metric, n_jobs=n_jobs)


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 300),
    d=st.integers(1, 20),
    width=st.integers(1, 300),
    dtype=st.sampled_from([*FLOATS, np.uint8, np.int64]),
    n_jobs=st.sampled_from(THREADS),
)
def test_ties_go_to_the_lowest_number(seed, n, d, width, dtype, n_jobs):
    rng = np.random.default_rng(seed)
    X = rng.integers(0, width, size=(n, d), endpoint=True).astype(dtype)  # sums are exact
    codebooks = [
        rng.integers(0, width, size=(int(rng.integers(1, 100)), d), endpoint=True).astype(dtype)
        for _ in range(3)
    ]
    labels = lq.assign_codebooks(X, codebooks, n_jobs=n_jobs)
    np.testing.assert_array_equal(labels, naive(X, codebooks))


@given(
    seed=st.integers(0, 2**32 - 1),
    of_rows=st.integers(-140, 140),
    of_centers=st.integers(-140, 140),
    d=st.integers(1, 12),
    metric=st.sampled_from(METRICS),
)
@share(0.5)
def test_any_scale_is_allowed(seed, of_rows, of_centers, d, metric):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(40, d)) * 10.0**of_rows
    codebooks = [rng.normal(size=(k, d)) * 10.0**of_centers for k in (1, 7, 50)]
    assert_equals_oracle(X, codebooks, metric)


@pytest.mark.slow
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("n", "d"), [(3000, 1), (1500, 33), (120, 1200)])
def test_many_rows_columns_and_centers(metric, dtype, n, d):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)).astype(dtype)
    codebooks = [rng.normal(size=(k, d)).astype(dtype) for k in (2, 33, 300, 1500)]
    labels = assert_equals_oracle(X, codebooks, metric, n_jobs=2)
    for label, centers in zip(labels.T, codebooks, strict=True):
        indices = lq.kneighbors(centers, 1, metric=metric, Y=X)[1]
        np.testing.assert_array_equal(label, indices[:, 0])


@pytest.mark.parametrize("metric", METRICS)
def test_estimates_too_coarse_to_separate_centers_do_not_change_labels(metric):
    rng = np.random.default_rng(1)
    groups = 1e5 * rng.normal(size=(3, 40))
    X = groups[rng.integers(3, size=5000)] + rng.normal(size=(5000, 40))
    codebooks = [X[rng.choice(5000, k, replace=False)] for k in (20, 200)]
    assert_equals_oracle(X, codebooks, metric, n_jobs=2)


@given(
    seed=st.integers(0, 2**32 - 1), metric=st.sampled_from(METRICS), dtype=st.sampled_from(FLOATS)
)
@share(0.3)
def test_any_layout_and_chunks_give_the_same(seed, metric, dtype):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(1, 700)), int(rng.integers(1, 20))
    X = rng.normal(size=(n, d)).astype(dtype)
    codebooks = [rng.normal(size=(int(rng.integers(1, 60)), d)).astype(dtype) for _ in range(3)]
    strided = np.zeros((2 * n, 3 * d), dtype)[::-2, ::3]
    strided[:] = X
    misaligned = np.frombuffer(b"x" + X.tobytes(), np.uint8)[1:].view(dtype).reshape(n, d)
    read_only = X.copy()
    read_only.flags.writeable = False
    swapped = X.astype(X.dtype.newbyteorder())
    expected = lq.assign_codebooks(X, codebooks, metric=metric)
    others = [np.asfortranarray(codebooks[0]), codebooks[1][::-1][::-1], codebooks[2].tolist()]
    for same in (np.asfortranarray(X), strided, misaligned, read_only, swapped):
        for n_jobs in THREADS:
            labels = lq.assign_codebooks(same, others, metric=metric, n_jobs=n_jobs)
            np.testing.assert_array_equal(labels, expected)
    cut = int(rng.integers(n))
    halves = [
        lq.assign_codebooks(half, codebooks, metric=metric)
        for half in (X[:cut], X[cut:])
        if len(half)
    ]
    np.testing.assert_array_equal(np.concatenate(halves), expected)


def test_memory_maps_lists_and_integers_are_read(tmp_path):
    X = np.random.default_rng(1).integers(0, 256, size=(50, 6))
    codebooks = [X[:7], X[20:30]]
    expected = naive(X, codebooks)
    np.save(tmp_path / "x.npy", X.astype(np.float32))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    for same in (mapped, X.tolist(), X, X.astype(np.uint8)):
        np.testing.assert_array_equal(lq.assign_codebooks(same, codebooks), expected)
        np.testing.assert_array_equal(lq.assign_codebooks(same, tuple(codebooks)), expected)


def test_a_row_of_zeros_is_as_far_from_all_by_cosine():
    X = np.array([[0.0, 0.0], [1.0, 0.1], [-1.0, 0.0]])
    centers = [[0.0, -1.0], [0.0, 0.0], [5.0, 0.0]]
    labels = lq.assign_codebooks(X, [centers, centers[1:]], metric="cosine")
    assert labels.tolist() == [[0, 0], [2, 1], [0, 0]]


# Columns


@given(
    seed=st.integers(0, 2**32 - 1),
    metric=st.sampled_from(METRICS),
    n_jobs=st.sampled_from(THREADS),
)
@share(0.5)
def test_columns_are_those_of_the_selected_matrix(seed, metric, n_jobs):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(1, 400)), int(rng.integers(1, 30))
    X = rng.normal(size=(n, d)).astype(np.float32)
    choices = [None] + [rng.integers(d, size=int(rng.integers(1, d + 1))) for _ in range(3)]
    columns = [choices[i] for i in rng.integers(4, size=6)]
    selected = [X if chosen is None else X[:, chosen] for chosen in columns]
    codebooks = [rng.normal(size=(9, part.shape[1])) for part in selected]
    labels = lq.assign_codebooks(X, codebooks, columns=columns, metric=metric, n_jobs=n_jobs)
    for label, centers, part in zip(labels.T, codebooks, selected, strict=True):
        expected = lq.assign_codebooks(part, [centers], metric=metric)
        np.testing.assert_array_equal(label, expected[:, 0])


# Signatures


@given(seed=st.integers(0, 2**32 - 1), n_jobs=st.sampled_from(THREADS), data=st.data())
@share(0.5)
def test_ids_are_those_of_the_table_that_counts_the_labels(seed, n_jobs, data):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 2000))
    X = rng.normal(size=(n, 3))
    codebooks = [rng.normal(size=(k, 3)) for k in rng.integers(1, 12, size=4)]
    labels = lq.assign_codebooks(X, codebooks)
    table, expected = lq.SignatureTable(4), lq.SignatureTable(4)
    for chunk in data.draw(cuts(n, 3)):
        ids = lq.assign_codebooks(X[chunk], codebooks, table=table, n_jobs=n_jobs)
        assert ids.dtype == np.int32
        np.testing.assert_array_equal(ids, expected.update(labels[chunk]))
    np.testing.assert_array_equal(table.signatures, expected.signatures)
    np.testing.assert_array_equal(table.counts, expected.counts)


@pytest.mark.slow
def test_ids_of_more_labels_than_a_block_holds():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(9000, 2)).astype(np.float32)
    codebooks = [rng.normal(size=(2, 2))] * 2000  # 32 MiB are 4,194 rows of labels
    table, expected = lq.SignatureTable(2000), lq.SignatureTable(2000)
    ids = lq.assign_codebooks(X, codebooks, table=table, out=np.empty(9000, np.int64))
    assert ids.dtype == np.int64
    np.testing.assert_array_equal(ids, expected.update(lq.assign_codebooks(X, codebooks)))
    np.testing.assert_array_equal(table.counts, expected.counts)


def test_a_refused_chunk_leaves_the_table_as_it_was():
    X = np.random.default_rng(3).normal(size=(5000, 4))
    codebooks = [X[:5], X[5:50]]
    table = lq.SignatureTable(2)
    lq.assign_codebooks(X[:100], codebooks, table=table)
    before = copy.copy(table)
    X[4990, 2] = np.nan
    with pytest.raises(ValueError, match="X must be finite, got NaN at row 4990, column 2"):
        lq.assign_codebooks(X, codebooks, table=table)
    np.testing.assert_array_equal(table.signatures, before.signatures)
    np.testing.assert_array_equal(table.counts, before.counts)


# Output


def test_the_smallest_type_that_holds_the_labels():
    X = np.arange(40_000.0)[:, None]
    for k, dtype in [(32_767, np.int16), (32_768, np.int32)]:
        labels = lq.assign_codebooks(X[-100:], [X[:3], X[-k:]])
        assert labels.dtype == dtype
        np.testing.assert_array_equal(labels[:, 1], np.arange(k - 100, k))


@pytest.mark.parametrize("dtype", [np.int16, np.int32])
def test_labels_go_to_a_given_array(dtype, tmp_path):
    X = np.random.default_rng(4).normal(size=(30, 3))
    mapped = np.lib.format.open_memmap(tmp_path / "labels.npy", "w+", dtype, (30, 2))
    assert lq.assign_codebooks(X, [X[:3], X[:9]], out=mapped) is mapped
    np.testing.assert_array_equal(mapped, lq.assign_codebooks(X, [X[:3], X[:9]]))


SCRIPT = """
import sys
import numpy as np
import labelquorum as lq
for dtype in (np.float16, np.float32, np.float64):
    rng = np.random.default_rng(3)
    X = (rng.normal(size=(20, 50))[rng.integers(20, size=400)] + 0.1 * rng.normal(size=(400, 50)))
    codebooks = [X[i : i + 40].astype(dtype) for i in (0, 50)] + [X[::4], X[:1]]
    for metric in ("euclidean", "cosine", "inner_product"):
        labels = lq.assign_codebooks(X.astype(dtype), codebooks, metric=metric)
        sys.stdout.buffer.write(labels.tobytes())
"""


def test_every_instruction_set_gives_the_same_bytes():
    outputs = set()
    for name in _core.compiled_instruction_sets():
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "LABELQUORUM_INSTRUCTION_SET": name},
            capture_output=True,
        )
        if b"for this build on this machine, got" in done.stderr:
            continue
        assert done.returncode == 0, done.stderr.decode()
        outputs.add(done.stdout)
    assert len(outputs) == 1


GOOD = {
    "X": [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]],
    "codebooks": [[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0]]],
}
TABLE = lq.SignatureTable(3)


@pytest.mark.parametrize(
    ("error", "message", "arguments"),
    [
        (ValueError, "X must be 2-D, (n_samples, n_features)", {"X": [1.0, 2.0, 3.0]}),
        (ValueError, "X must have at least one row and one column", {"X": np.empty((0, 2))}),
        (ValueError, "X must be finite, got NaN at row 1, column 0", {"X": [[0, 1], [np.nan, 4]]}),
        (
            ValueError,
            "X must be finite, got infinity at row 0, column 1",
            {"X": [[1, -np.inf], [3, 4]]},
        ),
        (ValueError, "X must be at most 1e150 in magnitude", {"X": [[1e200, 1], [3, 4]]}),
        (TypeError, "X must hold floats of at most 64 bits", {"X": np.zeros((3, 2), complex)}),
        (TypeError, "X must be a dense array", {"X": scipy.sparse.eye(2).tocsr()}),
        (
            TypeError,
            "codebooks must be a list of arrays of centers",
            {"codebooks": np.zeros((3, 2))},
        ),
        (TypeError, "codebooks must be a list of arrays of centers", {"codebooks": None}),
        (ValueError, "codebooks must hold at least one item, got none", {"codebooks": []}),
        (
            ValueError,
            "codebooks[1] must have 2 columns, as X has, got 3",
            {"codebooks": [[[1, 2]], [[1, 2, 3]]]},
        ),
        (ValueError, "codebooks[0] must be 2-D, (n_samples, n_features)", {"codebooks": [[1, 2]]}),
        (
            ValueError,
            "codebooks[1] must have at least one row",
            {"codebooks": [[[1, 2]], np.empty((0, 2))]},
        ),
        (
            ValueError,
            "codebooks[1] must be finite, got NaN at row 0, column 1",
            {"codebooks": [[[1, 2]], [[1, np.nan]]]},
        ),
        (
            ValueError,
            "codebooks[0] must be finite, got infinity at row 1",
            {"codebooks": [[[1, 2], [np.inf, 2]]]},
        ),
        (TypeError, "codebooks[0] must hold floats of at most", {"codebooks": [[["a", "b"]]]}),
        (
            ValueError,
            "metric must be 'euclidean', 'cosine' or 'inner_product'",
            {"metric": "manhattan"},
        ),
        (ValueError, "columns must hold 2 items, as codebooks does, got 1", {"columns": [None]}),
        (TypeError, "columns must be a list of arrays of column numbers", {"columns": 1}),
        (
            ValueError,
            "columns[1] must hold column numbers of X, 0 to 1",
            {"columns": [None, [0, 2]]},
        ),
        (
            ValueError,
            "columns[0] must hold column numbers of X, 0 to 1",
            {"columns": [[-1, 0], None]},
        ),
        (ValueError, "columns[1] must be 1-D with at least one", {"columns": [None, []]}),
        (TypeError, "columns[1] must hold integers", {"columns": [None, [0.5, 1.0]]}),
        (
            ValueError,
            "codebooks[1] must have 1 columns, as columns[1] names, got 2",
            {"columns": [None, [1]]},
        ),
        (TypeError, "table must be a SignatureTable, got int", {"table": 3}),
        (ValueError, "table must have 2 partitions, one per codebook, got 3", {"table": TABLE}),
        (TypeError, "out must have dtype int16 or int32", {"out": np.empty((3, 2), np.int8)}),
        (ValueError, "out must have shape (3, 2), got (3,)", {"out": np.empty(3, np.int16)}),
        (ValueError, "out must be C-contiguous", {"out": np.empty((2, 3), np.int16).T}),
        (TypeError, "n_jobs must be None, -1 (all available cores) or an", {"n_jobs": 1.5}),
    ],
)
def test_bad_arguments_are_named(error, message, arguments):
    with pytest.raises(error) as caught:
        lq.assign_codebooks(**{**GOOD, **arguments})
    assert message in str(caught.value)


def test_out_must_not_share_memory_with_what_is_read():
    X = np.zeros((3, 2), dtype=np.float32)
    with pytest.raises(ValueError, match="out must not share memory with X or the codebooks"):
        lq.assign_codebooks(X, GOOD["codebooks"], out=X.view(np.int32))
