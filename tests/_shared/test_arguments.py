"""Bad input is refused with the argument's name, what is wanted and what was found."""

from __future__ import annotations

import inspect
import time

import numpy as np
import pytest
from scipy import sparse

import labelquorum as lq

ROWS = np.array([[0, 1, 2], [0, 1, -1], [3, 1, 2], [0, 0, 2]])


def _update(partitions, **options):
    return lq.SignatureTable(3).update(partitions, **options)


def _table():
    table = lq.SignatureTable(3)
    table.update(ROWS)
    return table


TAKES_PARTITIONS = {
    "update": _update,
    "lookup": lambda partitions: lq.SignatureTable(3).lookup(partitions),
    "from_counts": lambda partitions: lq.SignatureTable.from_counts(partitions, [1] * 4),
    "agreement_degrees": lambda partitions: lq.agreement_degrees(partitions, 1),
    "coassociation": lambda partitions: lq.coassociation(partitions, [(0, 0)]),
    "mini_clusters": lq.mini_clusters,
}

BAD_PARTITIONS = {
    "floats": (ROWS.astype(float), TypeError, r"must hold integers, got floats \(float64\): fill"),
    "NaN": (np.where(ROWS < 0, np.nan, ROWS), TypeError, "must hold integers, got NaN: fill .* -1"),
    "bools": (ROWS > 0, TypeError, "must hold integers, got bools: convert"),
    "complex": (ROWS * 1j, TypeError, "must hold integers, got dtype complex128"),
    "objects": (ROWS.astype(object), TypeError, "must hold integers, got dtype object"),
    "masked": (
        np.ma.array(ROWS),
        TypeError,
        r"must be a plain integer array, got a masked array: .*filled\(-1\)",
    ),
    "text": ("abc", TypeError, "must hold integers, got dtype <U3"),
    "None": (None, TypeError, "must be an array of integers, got NoneType"),
    "sparse": (sparse.csr_array(ROWS), TypeError, "must be an array of integers, got csr_array"),
    "scalar": (5, ValueError, r"must be 2-D, \(n_samples, n_partitions\), .*got shape \(\)"),
    "1-D": (ROWS[0], ValueError, r"must be 2-D, .*got shape \(3,\)"),
    "3-D": (ROWS[None], ValueError, r"must be 2-D, .*got shape \(1, 4, 3\)"),
    "no samples": (ROWS[:0], ValueError, "must hold at least one sample, got none"),
    "no partitions": (ROWS[:, :0], ValueError, "must hold at least one partition, got none"),
    "empty list": ([], ValueError, "must hold at least one partition, got none"),
    "empty lists": ([[], [], []], ValueError, "must hold at least one sample, got none"),
    "too many": (
        np.zeros((1, 65_536), dtype=np.int8),
        ValueError,
        "must hold at most 65535 partitions, got 65536",
    ),
    "ragged": (
        [[1, 2], [1, 2], [1]],
        ValueError,
        "must hold partitions of equal length, got lengths from 1 to 2",
    ),
    "ragged deep": (
        [[1, [2]], [1, 2], [1, 2]],
        ValueError,
        r"\[0\] must be an array or rectangular nested lists, got ragged data",
    ),
    "list of numbers": ([1, 2, 3], ValueError, r"\[0\] must be 1-D, .*got shape \(\)"),
    "list of 2-D": ([ROWS, ROWS, ROWS], ValueError, r"\[0\] must be 1-D, .*got shape \(4, 3\)"),
    "list with floats": (
        [[1, 2], [1.0, 2.0], [1, 2]],
        TypeError,
        r"\[1\] must hold integers, got floats",
    ),
    "ids over the range": (ROWS.astype(np.int64) + 2**31, ValueError, "2147483647"),
}


@pytest.mark.parametrize("bad", BAD_PARTITIONS)
@pytest.mark.parametrize("function", TAKES_PARTITIONS)
def test_bad_partitions_are_refused_by_name(function, bad):
    value, error, message = BAD_PARTITIONS[bad]
    with pytest.raises(error, match=rf"(partitions|partitions_chunk|signatures)\b.*{message}"):
        TAKES_PARTITIONS[function](value)


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": [1, 2], "b": ["x", "y"]}, r"partitions\['b'\] must hold .*integers, got .*dtype"),
        ({"a": [1, None]}, r"partitions\['a'\] must hold integers, got NaN"),
        ({"a": [True, False]}, r"partitions\['a'\] must hold integers, got bools"),
        ({"a": [0.5, 1.5]}, r"partitions\['a'\] must hold integers, got floats"),
    ],
)
def test_bad_columns_of_data_frames_are_refused_by_name(library, columns, message):
    frame = pytest.importorskip(library).DataFrame(columns)
    with pytest.raises(TypeError, match=message):
        lq.mini_clusters(frame)


@pytest.mark.parametrize("dtype", ["Int64", "int64[pyarrow]"])
def test_missing_values_of_nullable_columns_are_refused_with_a_hint(dtype):
    frame = pytest.importorskip("pandas").DataFrame({"a": [1, None]}, dtype=dtype)
    with pytest.raises(
        TypeError, match=r"partitions\['a'\] must hold .*, got NaN: fill missing values with -1"
    ):
        lq.mini_clusters(frame)


GOOD_PARTITIONS = {
    "big-endian": ROWS.astype(">i2"),
    "Fortran order": np.asfortranarray(ROWS),
    "reversed": ROWS[::-1][::-1],
    "strided": np.repeat(ROWS, 2, axis=1)[:, ::2],
    "longlong": ROWS.astype(np.longlong),
    "columns": list(ROWS.T),
    "tuple of lists": tuple(ROWS.T.tolist()),
    "columns of several dtypes": [ROWS[:, 0].astype("i1"), ROWS[:, 1].astype(">u8"), ROWS[:, 2]],
}


@pytest.mark.parametrize("good", GOOD_PARTITIONS)
def test_every_layout_means_the_same(good):
    ids = lq.SignatureTable(3).update(GOOD_PARTITIONS[good])
    np.testing.assert_array_equal(ids, [0, 1, 2, 3])


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames_are_taken_by_column(library):
    names = [0, 0, 1] if library == "pandas" else ["a", "b", "c"]
    frame = pytest.importorskip(library).DataFrame(ROWS)
    frame.columns = names
    table = lq.SignatureTable(3)
    table.update(frame)
    np.testing.assert_array_equal(table.signatures, ROWS)


def _read_only(array):
    array.setflags(write=False)
    return array


def _out(**options):
    return lambda: lq.mini_clusters(ROWS, **options)


BAD_ARGUMENTS = {
    "n_partitions 0": (
        lambda: lq.SignatureTable(0),
        ValueError,
        "n_partitions must be an integer of at least 1, got 0",
    ),
    "n_partitions bool": (
        lambda: lq.SignatureTable(True),
        TypeError,
        r"n_partitions must be .*, got True \(bool\)",
    ),
    "n_partitions large": (
        lambda: lq.SignatureTable(65_536),
        ValueError,
        "n_partitions must be from 1 to 65535, got 65536",
    ),
    "chunk width": (
        lambda: _update(ROWS[:, :2]),
        ValueError,
        "partitions_chunk must hold 3 partitions, as this table does, got 2",
    ),
    "merge type": (
        lambda: _table().merge(ROWS),
        TypeError,
        "other must be a SignatureTable, got ndarray",
    ),
    "merge width": (
        lambda: _table().merge(lq.SignatureTable(2)),
        ValueError,
        "other must have 3 partitions, as this table has, got 2",
    ),
    "counts float": (
        lambda: lq.SignatureTable.from_counts(ROWS, [1.0] * 4),
        TypeError,
        "counts must hold integers, got dtype float64",
    ),
    "counts shape": (
        lambda: lq.SignatureTable.from_counts(ROWS, [1]),
        ValueError,
        r"counts must have shape \(4,\), one per signature, got \(1,\)",
    ),
    "counts zero": (
        lambda: lq.SignatureTable.from_counts(ROWS, [1, 0, 1, 1]),
        ValueError,
        "counts must be at least 1, got 0",
    ),
    "counts large": (
        lambda: lq.SignatureTable.from_counts(ROWS, np.full(4, 2**63, dtype=np.uint64)),
        ValueError,
        r"counts must be at most 2\^63 - 1, got 9223372036854775808",
    ),
    "min_agree 0": (
        lambda: lq.agreement_degrees(ROWS, 0),
        ValueError,
        "min_agree must be .* got 0",
    ),
    "min_agree 0.0": (
        lambda: lq.agreement_degrees(ROWS, 0.0),
        ValueError,
        r"min_agree must be .* got 0\.0",
    ),
    "min_agree 4": (
        lambda: lq.agreement_degrees(ROWS, 4),
        ValueError,
        r"or 1 to 3 votes \(an int\), got 4",
    ),
    "min_agree 1.5": (
        lambda: lq.agreement_degrees(ROWS, 1.5),
        ValueError,
        r"min_agree must be .* got 1\.5",
    ),
    "min_agree NaN": (
        lambda: lq.agreement_degrees(ROWS, np.nan),
        ValueError,
        "min_agree must be .* got nan",
    ),
    "min_agree bool": (
        lambda: lq.agreement_degrees(ROWS, True),
        TypeError,
        "min_agree must be .* got True",
    ),
    "min_agree text": (
        lambda: lq.agreement_degrees(ROWS, "1"),
        TypeError,
        "min_agree must be .* got '1'",
    ),
    "graph of rows": (
        lambda: lq.agreement_graph(ROWS, 1),
        TypeError,
        "table must be a SignatureTable, got nd",
    ),
    "graph min_agree": (
        lambda: lq.agreement_graph(_table(), 9),
        ValueError,
        "min_agree must be .* got 9",
    ),
    "min_differ -1": (_out(min_differ=-1), ValueError, "min_differ must be .* got -1"),
    "min_differ 4": (_out(min_differ=4), ValueError, "min_differ must be .* got 4"),
    "min_differ bool": (_out(min_differ=False), TypeError, "min_differ must be .* got False"),
    "min_size 0": (
        _out(min_size=0),
        ValueError,
        "min_size must be an integer of at least 1, got 0",
    ),
    "min_size float": (_out(min_size=2.0), TypeError, r"min_size must be .* got 2\.0 \(float\)"),
    "n_clusters 0": (_out(n_clusters=0), ValueError, "n_clusters must be .* at least 1, got 0"),
    "n_clusters bool": (_out(n_clusters=True), TypeError, "n_clusters must be .* got True"),
    "n_jobs 0": (_out(n_jobs=0), ValueError, "n_jobs must be None, -1 .* got 0"),
    "n_jobs -2": (_out(n_jobs=-2), ValueError, "n_jobs must be None, -1 .* got -2"),
    "n_jobs huge": (_out(n_jobs=10**30), ValueError, "n_jobs must be None, -1 .* got 10{30}"),
    "n_jobs float": (_out(n_jobs=2.0), TypeError, r"n_jobs must be None, -1 .* got 2\.0"),
    "eligible ints": (
        _out(eligible=[0, 1, 1, 1]),
        TypeError,
        "eligible must have dtype bool, got int64",
    ),
    "eligible shape": (
        _out(eligible=[True]),
        ValueError,
        r"eligible must have shape \(4,\), got \(1,\)",
    ),
    "out list": (_out(out=[0] * 4), TypeError, "out must be a NumPy array, got list"),
    "out dtype": (_out(out=np.zeros(4)), TypeError, "out must have dtype int32, got float64"),
    "out byte order": (
        _out(out=np.zeros(4, ">i4")),
        TypeError,
        "out must have dtype int32, got >i4",
    ),
    "out shape": (
        _out(out=np.zeros(3, "i4")),
        ValueError,
        r"out must have shape \(4,\), got \(3,\)",
    ),
    "out strided": (
        _out(out=np.zeros(8, "i4")[::2]),
        ValueError,
        r"out must be C-contiguous, got strides \(8,\)",
    ),
    "out read-only": (
        _out(out=_read_only(np.zeros(4, "i4"))),
        ValueError,
        "out must be writable, got a read-only",
    ),
    "pairs float": (
        lambda: lq.coassociation(ROWS, [(0.0, 1.0)]),
        TypeError,
        r"pairs must hold integers \(row numbers\), got dtype float64",
    ),
    "pairs shape": (
        lambda: lq.coassociation(ROWS, [(0, 1, 2)]),
        ValueError,
        r"pairs must have shape \(m, 2\), got \(1, 3\)",
    ),
    "pairs range": (
        lambda: lq.coassociation(ROWS, [(0, 4)]),
        ValueError,
        "row numbers from 0 to 3, got 4",
    ),
    "pairs negative": (
        lambda: lq.coassociation(ROWS, [(0, -1)]),
        ValueError,
        "row numbers from 0 to 3, got -1",
    ),
    "pattern format": (
        lambda: lq.coassociation(ROWS, sparse.coo_array((4, 4))),
        TypeError,
        r"pairs must have the sparse format 'csr', got 'coo': use \.tocsr\(\)",
    ),
    "pattern shape": (
        lambda: lq.coassociation(ROWS, sparse.csr_array((3, 4))),
        ValueError,
        r"pairs must have shape \(4, 4\), got \(3, 4\)",
    ),
    "accuracy lengths": (
        lambda: lq.clustering_accuracy([0, 1], [0]),
        ValueError,
        "y_true has 2 values, but y_pred has 1: they must have the same length",
    ),
    "accuracy floats": (
        lambda: lq.clustering_accuracy([0, 1], [0.5, 1.0]),
        TypeError,
        r"y_pred must hold integers, got floats \(float64\), 0.5 at position 0",
    ),
    "accuracy 2-D": (
        lambda: lq.clustering_accuracy([[0, 1]], [0, 1]),
        ValueError,
        r"y_true must be 1-D, \(n_samples,\), got shape \(1, 2\)",
    ),
    "accuracy mixed": (
        lambda: lq.clustering_accuracy(np.array(["a", 1], dtype=object), [0, 1]),
        TypeError,
        "y_true must hold labels of one kind, strings or integers, got mixed types",
    ),
    "accuracy empty": (
        lambda: lq.clustering_accuracy(np.empty(0, int), np.empty(0, int)),
        ValueError,
        "y_true must hold at least one sample, got none",
    ),
}


@pytest.mark.parametrize("bad", BAD_ARGUMENTS)
def test_bad_arguments_are_refused_by_name(bad):
    call, error, message = BAD_ARGUMENTS[bad]
    with pytest.raises(error, match=message):
        call()


def test_damaged_csr_patterns_are_refused():
    pattern = sparse.csr_array(np.eye(4))
    pattern.indices[0] = 9
    with pytest.raises(ValueError, match="pairs must be a valid CSR matrix, got"):
        lq.coassociation(ROWS, pattern)


def test_out_must_not_share_memory_with_the_partitions():
    columns = np.zeros((3, 4), dtype=np.int32)
    with pytest.raises(ValueError, match="out must not share memory with the partitions"):
        lq.mini_clusters(columns.T, out=columns[1])
    with pytest.raises(ValueError, match="out must not share memory with the partitions"):
        _update(columns.T, out=columns[2])


def test_a_refused_chunk_leaves_the_table_as_it_was():
    table = _table()
    for value, error, _ in BAD_PARTITIONS.values():
        with pytest.raises(error):
            table.update(value)
    assert len(table) == 4
    assert table.n_samples == 4


def test_fractions_are_rounded_up_to_votes():
    rows = np.zeros((1, 10), dtype=np.int8)
    rows[0, 7:] = -1  # 7 votes
    assert lq.agreement_degrees(rows, 0.7) == 1
    assert lq.agreement_degrees(rows, 0.71) == 0


def test_numpy_scalars_are_numbers():
    labels = lq.mini_clusters(
        ROWS, np.int8(1), min_agree=np.float32(1.0), min_differ=np.int64(1), min_size=np.uint8(1)
    )
    assert labels.max() == 0


@pytest.mark.parametrize("name", lq.__all__)
def test_everything_public_is_there_and_documented(name):
    value = getattr(lq, name)
    assert name in dir(lq)
    if callable(value):
        assert inspect.getdoc(value)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="'labelquorum' has no attribute 'nothing'"):
        lq.nothing  # noqa: B018


def _nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "call",
    [
        lambda value: lq.kneighbors(np.eye(3), value),
        lambda value: lq.review.label_studio_config(value),
        lambda value: lq.review.label_studio_tasks(value, [0]),
        lambda value: lq.n_checks_needed(value),
        lambda value: lq.mini_clusters(value),
        lambda value: lq.evaluate_sets(value, value),
        lambda value: lq.clustering_accuracy(value, value),
    ],
)
def test_lists_nested_too_deeply_are_refused(call):
    for value in (_nested(10**4), [_nested(10**4)], [1, _nested(10**4)]):
        with pytest.raises((TypeError, ValueError)):
            call(value)


# Limits


@pytest.mark.parametrize("n_partitions", [65_536, 2**31, 2**80])
def test_more_partitions_than_a_table_holds_are_refused_before_any_is_made(n_partitions):
    X = np.random.default_rng(0).normal(size=(200, 4))
    calls = {
        "base_partitions": lambda: lq.base_partitions(X, 3, n_partitions=n_partitions),
        "ConsensusClusterer": lambda: lq.ConsensusClusterer(3, n_partitions=n_partitions).fit(X),
        "SignatureTable": lambda: lq.SignatureTable(n_partitions),
    }
    for call in calls.values():
        with pytest.raises(ValueError, match="n_partitions must be from 1 to 65535, got"):
            call()


@pytest.mark.parametrize("is_nan", [False, True])
def test_a_large_array_of_floats_is_refused_at_once(is_nan):
    one = np.full((1, 1), np.nan if is_nan else 1.0)
    rows = np.broadcast_to(one, (2**31, 8))  # takes no memory, and would take long to read
    started = time.perf_counter()
    with pytest.raises(TypeError, match="got NaN" if is_nan else "got floats"):
        lq.mini_clusters(rows)
    assert time.perf_counter() - started < 5
