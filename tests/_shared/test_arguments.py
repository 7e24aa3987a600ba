"""Bad input is refused with the argument's name, what was found and what is wanted."""

from __future__ import annotations

import inspect

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
    "floats": (ROWS.astype(float), TypeError, r"holds floats \(float64\); wanted integers"),
    "NaN": (np.where(ROWS < 0, np.nan, ROWS), TypeError, "holds NaN; wanted integers, with -1"),
    "bools": (ROWS > 0, TypeError, "holds bools; wanted integers"),
    "complex": (ROWS * 1j, TypeError, "has dtype complex128; wanted integers"),
    "objects": (ROWS.astype(object), TypeError, "has dtype object; wanted integers"),
    "masked": (np.ma.array(ROWS), TypeError, r"is a masked array; wanted integers: .*filled\(-1\)"),
    "text": ("abc", TypeError, "has dtype <U3; wanted integers"),
    "None": (None, TypeError, "is a NoneType; wanted an array of integers"),
    "sparse": (sparse.csr_array(ROWS), TypeError, "is a csr_array; wanted an array of integers"),
    "scalar": (5, ValueError, r"has shape \(\); wanted 2-D"),
    "1-D": (ROWS[0], ValueError, r"has shape \(3,\); wanted 2-D"),
    "3-D": (ROWS[None], ValueError, r"has shape \(1, 4, 3\); wanted 2-D"),
    "no samples": (ROWS[:0], ValueError, "is empty: it holds no sample"),
    "no partitions": (ROWS[:, :0], ValueError, "is empty: it holds no partition"),
    "empty list": ([], ValueError, "is empty: it holds no partition"),
    "empty lists": ([[], [], []], ValueError, "is empty: it holds no sample"),
    "too many": (
        np.zeros((1, 65_536), dtype=np.int8),
        ValueError,
        "holds 65536 partitions; at most 65535",
    ),
    "ragged": ([[1, 2], [1, 2], [1]], ValueError, "is ragged: partitions of 1 to 2 samples"),
    "ragged deep": ([[1, [2]], [1, 2], [1, 2]], ValueError, r"\[0\] is ragged or no array"),
    "list of numbers": ([1, 2, 3], ValueError, r"\[0\] has shape \(\); wanted 1-D"),
    "list of 2-D": ([ROWS, ROWS, ROWS], ValueError, r"\[0\] has shape \(4, 3\); wanted 1-D"),
    "list with floats": ([[1, 2], [1.0, 2.0], [1, 2]], TypeError, r"\[1\] holds floats"),
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
        ({"a": [1, 2], "b": ["x", "y"]}, r"partitions\['b'\].* wanted .*integers"),
        ({"a": [1, None]}, r"partitions\['a'\] holds NaN; wanted integers"),
        ({"a": [True, False]}, r"partitions\['a'\] holds bools"),
        ({"a": [0.5, 1.5]}, r"partitions\['a'\] holds floats"),
    ],
)
def test_bad_columns_of_data_frames_are_refused_by_name(library, columns, message):
    frame = pytest.importorskip(library).DataFrame(columns)
    with pytest.raises(TypeError, match=message):
        lq.mini_clusters(frame)


def test_nullable_columns_are_refused_with_a_hint():
    frame = pytest.importorskip("pandas").DataFrame({"a": [1, 2]}, dtype="Int64")
    with pytest.raises(TypeError, match=r"extension dtype Int64; .* fill what is missing with -1"):
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
    "n_partitions 0": (lambda: lq.SignatureTable(0), ValueError, "n_partitions is 0; wanted"),
    "n_partitions bool": (lambda: lq.SignatureTable(True), TypeError, r"n_partitions is True \(b"),
    "n_partitions large": (lambda: lq.SignatureTable(65_536), ValueError, "n_partitions is 65536"),
    "chunk width": (
        lambda: _update(ROWS[:, :2]),
        ValueError,
        "partitions_chunk holds 2 partitions; this table has 3",
    ),
    "merge type": (lambda: _table().merge(ROWS), TypeError, "other is a ndarray; wanted"),
    "merge width": (
        lambda: _table().merge(lq.SignatureTable(2)),
        ValueError,
        "other has 2 partitions; this table has 3",
    ),
    "counts float": (
        lambda: lq.SignatureTable.from_counts(ROWS, [1.0] * 4),
        TypeError,
        "counts has dtype float64; wanted integers",
    ),
    "counts shape": (
        lambda: lq.SignatureTable.from_counts(ROWS, [1]),
        ValueError,
        r"counts has shape \(1,\); wanted \(4,\)",
    ),
    "counts zero": (
        lambda: lq.SignatureTable.from_counts(ROWS, [1, 0, 1, 1]),
        ValueError,
        "counts holds 0; wanted at least 1",
    ),
    "counts large": (
        lambda: lq.SignatureTable.from_counts(ROWS, np.full(4, 2**63, dtype=np.uint64)),
        ValueError,
        "counts holds 9223372036854775808; wanted at most",
    ),
    "min_agree 0": (lambda: lq.agreement_degrees(ROWS, 0), ValueError, "min_agree is 0; wanted"),
    "min_agree 0.0": (lambda: lq.agreement_degrees(ROWS, 0.0), ValueError, "min_agree is 0.0"),
    "min_agree 4": (lambda: lq.agreement_degrees(ROWS, 4), ValueError, "or 1 to 3 votes"),
    "min_agree 1.5": (lambda: lq.agreement_degrees(ROWS, 1.5), ValueError, "min_agree is 1.5"),
    "min_agree NaN": (lambda: lq.agreement_degrees(ROWS, np.nan), ValueError, "min_agree is nan"),
    "min_agree bool": (lambda: lq.agreement_degrees(ROWS, True), TypeError, "min_agree is True"),
    "min_agree text": (lambda: lq.agreement_degrees(ROWS, "1"), TypeError, "min_agree is '1'"),
    "graph of rows": (lambda: lq.agreement_graph(ROWS, 1), TypeError, "table is a ndarray; wanted"),
    "graph min_agree": (lambda: lq.agreement_graph(_table(), 9), ValueError, "min_agree is 9"),
    "min_differ -1": (_out(min_differ=-1), ValueError, "min_differ is -1; wanted"),
    "min_differ 4": (_out(min_differ=4), ValueError, "min_differ is 4; wanted"),
    "min_differ bool": (_out(min_differ=False), TypeError, "min_differ is False"),
    "min_size 0": (_out(min_size=0), ValueError, "min_size is 0; wanted"),
    "min_size float": (_out(min_size=2.0), TypeError, r"min_size is 2.0 \(float\); wanted"),
    "n_clusters 0": (_out(n_clusters=0), ValueError, "n_clusters is 0; wanted"),
    "n_clusters bool": (_out(n_clusters=True), TypeError, "n_clusters is True"),
    "n_jobs 0": (_out(n_jobs=0), ValueError, "n_jobs is 0; wanted None, -1"),
    "n_jobs -2": (_out(n_jobs=-2), ValueError, "n_jobs is -2; wanted None, -1"),
    "n_jobs huge": (_out(n_jobs=10**30), ValueError, "n_jobs is 10{30}; wanted None, -1"),
    "n_jobs float": (_out(n_jobs=2.0), TypeError, "n_jobs is 2.0"),
    "eligible ints": (_out(eligible=[0, 1, 1, 1]), TypeError, "eligible has dtype int64; wanted"),
    "eligible shape": (_out(eligible=[True]), ValueError, r"eligible has shape \(1,\); wanted"),
    "out list": (_out(out=[0] * 4), TypeError, "out is a list; wanted a NumPy array"),
    "out dtype": (_out(out=np.zeros(4)), TypeError, "out has dtype float64; wanted int32"),
    "out byte order": (_out(out=np.zeros(4, ">i4")), TypeError, "out has dtype >i4; wanted int32"),
    "out shape": (_out(out=np.zeros(3, "i4")), ValueError, r"out has shape \(3,\); wanted \(4,\)"),
    "out strided": (_out(out=np.zeros(8, "i4")[::2]), ValueError, "out is not contiguous"),
    "out read-only": (_out(out=_read_only(np.zeros(4, "i4"))), ValueError, "out is read-only"),
    "pairs float": (
        lambda: lq.coassociation(ROWS, [(0.0, 1.0)]),
        TypeError,
        "pairs has dtype float64; wanted integers",
    ),
    "pairs shape": (
        lambda: lq.coassociation(ROWS, [(0, 1, 2)]),
        ValueError,
        r"pairs has shape \(1, 3\); wanted \(m, 2\)",
    ),
    "pairs range": (lambda: lq.coassociation(ROWS, [(0, 4)]), ValueError, "pairs holds row 4"),
    "pairs negative": (lambda: lq.coassociation(ROWS, [(0, -1)]), ValueError, "holds row -1"),
    "pattern format": (
        lambda: lq.coassociation(ROWS, sparse.coo_array((4, 4))),
        TypeError,
        r"pairs has sparse format 'coo'; wanted 'csr': use \.tocsr\(\)",
    ),
    "pattern shape": (
        lambda: lq.coassociation(ROWS, sparse.csr_array((3, 4))),
        ValueError,
        r"pairs has shape \(3, 4\); wanted \(4, 4\)",
    ),
    "accuracy lengths": (
        lambda: lq.clustering_accuracy([0, 1], [0]),
        ValueError,
        "y_true has 2 samples, y_pred has 1",
    ),
    "accuracy floats": (
        lambda: lq.clustering_accuracy([0, 1], [0.0, np.nan]),
        TypeError,
        "y_pred has dtype float64; wanted integers, bools or strings",
    ),
    "accuracy 2-D": (
        lambda: lq.clustering_accuracy([[0, 1]], [0, 1]),
        ValueError,
        r"y_true has shape \(1, 2\); wanted 1-D",
    ),
    "accuracy mixed": (
        lambda: lq.clustering_accuracy(np.array(["a", 1], dtype=object), [0, 1]),
        TypeError,
        "y_true has dtype object",
    ),
    "accuracy empty": (
        lambda: lq.clustering_accuracy(np.empty(0, int), np.empty(0, int)),
        ValueError,
        "y_true is empty",
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
    with pytest.raises(ValueError, match="pairs is no valid CSR pattern"):
        lq.coassociation(ROWS, pattern)


def test_out_must_not_share_memory_with_the_partitions():
    columns = np.zeros((3, 4), dtype=np.int32)
    with pytest.raises(ValueError, match="out shares memory with the partitions"):
        lq.mini_clusters(columns.T, out=columns[1])
    with pytest.raises(ValueError, match="out shares memory with the partitions"):
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
