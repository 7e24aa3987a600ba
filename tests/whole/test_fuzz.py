"""Anything at all as an argument: an answer or a clear error, never a crash.

First the public functions, then the extension beneath them. The extension is called with right
arguments, damaged in a place or two. What it may write to lies between guards, so that writing
beyond an array shows even where it does not crash.
"""

from __future__ import annotations

import datetime
import warnings

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import labelquorum as lq
from labelquorum import _core
from strategies import planted

REFUSALS = (TypeError, ValueError, MemoryError, OverflowError, lq.WorkLimitError)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, -1, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64, -(2**63)])
    | st.floats()
    | st.complex_numbers()
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | st.sampled_from(
        [object(), Ellipsis, int, len, datetime.date(2020, 1, 1), np.float32(1), np.int8(3)]
    )
)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5)
INTEGERS = hnp.integer_dtypes(endianness="?") | hnp.unsigned_integer_dtypes(endianness="?")
ARRAYS = (
    hnp.arrays(hnp.scalar_dtypes() | hnp.array_dtypes(), SHAPES)
    | hnp.arrays(INTEGERS, SHAPES)
    | hnp.arrays(np.dtype(object), SHAPES, elements=SCALARS)
)
ANYTHING = st.recursive(
    SCALARS | ARRAYS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
        | st.sets(st.integers(), max_size=3)
    ),
    max_leaves=8,
)


def attempt(function, *args, **kwargs):
    """Calls the function: True where it answered, False where it refused."""
    with warnings.catch_warnings():
        # NumPy's about junk turned into arrays (casts, ragged lists) are not the point here.
        warnings.simplefilter("ignore")
        try:
            function(*args, **kwargs)
        except REFUSALS as error:
            assert str(error), "an error without a word"
            return False
    return True


# The public functions


ROWS = planted(np.random.default_rng(0), 30, 4, abstain=0.1)


def filled_table():
    table = lq.SignatureTable(4)
    table.update(ROWS)
    return table


POINTS = np.random.default_rng(1).normal(size=(30, 4))
PATTERN = scipy.sparse.csr_array(np.eye(30))
LABELS = np.where(np.arange(30) % 3 == 0, np.arange(30) % 2, -1)


def fitted(estimator):
    """A function that fits the estimator with its first two arguments."""
    return lambda X, y, **options: estimator(**options).fit(X, y)


# Each with arguments that work; the campaign replaces some of them by anything.
PUBLIC = {
    "SignatureTable": (lq.SignatureTable, (4,), {}),
    "update": (
        lambda *args, **kwargs: filled_table().update(*args, **kwargs),
        (ROWS,),
        {"out": None, "n_jobs": 1, "verbose": False},
    ),
    "merge": (lambda other, **kwargs: filled_table().merge(other, **kwargs), (4,), {"n_jobs": 1}),
    "from_counts": (lq.SignatureTable.from_counts, (ROWS, np.arange(1, 31)), {}),
    "lookup": (lambda *args, **kwargs: filled_table().lookup(*args, **kwargs), (ROWS,), {}),
    "agreement_degrees": (lq.agreement_degrees, (ROWS, 3), {"n_jobs": 1}),
    "agreement_graph": (
        lambda *args, **kwargs: lq.agreement_graph(filled_table(), *args, **kwargs),
        (3,),
        {"n_jobs": 1},
    ),
    "agreement_graph_of_anything": (lq.agreement_graph, (filled_table(), 3), {}),
    "coassociation": (lq.coassociation, (ROWS, np.array([[0, 1]])), {"n_jobs": 1}),
    "coassociation_of_a_pattern": (lq.coassociation, (ROWS, PATTERN), {"n_jobs": 1}),
    "mini_clusters": (
        lq.mini_clusters,
        (ROWS,),
        {
            "n_clusters": None,
            "min_agree": 3,
            "min_differ": 2,
            "min_size": 1,
            "eligible": None,
            "out": None,
            "n_jobs": 1,
        },
    ),
    "symmetrize_graph": (lq.symmetrize_graph, (PATTERN,), {"mode": "mutual", "combine": "sum"}),
    "normalize_graph": (lq.normalize_graph, (PATTERN,), {"normalization": "random_walk"}),
    "connected_components": (lq.connected_components, (PATTERN,), {"n_jobs": 1}),
    "LabelSpreading": (
        fitted(lq.LabelSpreading),
        (POINTS, LABELS),
        {"n_neighbors": 3, "alpha": 0.5, "graph": PATTERN, "max_iter": 9, "tol": 0.1},
    ),
    "LabelPropagation": (fitted(lq.LabelPropagation), (POINTS, LABELS), {"max_iter": 9}),
    "PoissonLearning": (fitted(lq.PoissonLearning), (POINTS, LABELS), {"graph": None}),
    "KNNLabelPropagation": (
        fitted(lq.KNNLabelPropagation),
        (POINTS, LABELS),
        {"n_neighbors": 3, "metric": "cosine", "weights": "uniform", "cv": 3}
        | {"min_confidence": 0.5, "random_state": 0},
    ),
    "clustering_accuracy": (lq.clustering_accuracy, ([0, 1, 1], [1, 0, 0]), {}),
    "kneighbors_graph": (lq.kneighbors_graph, (POINTS, 3), {"mode": "mutual", "recall": None}),
    "kneighbors": (
        lq.kneighbors,
        (POINTS, 3),
        {"metric": "cosine", "recall": None, "Y": POINTS[:5], "n_jobs": 1, "verbose": False},
    ),
    "assign_codebooks": (
        lq.assign_codebooks,
        (POINTS, [POINTS[:5], POINTS[:3, :2]]),
        {"columns": [None, [0, 3]], "metric": "cosine", "out": None, "table": None, "n_jobs": 1},
    ),
    "NeighborSearcher": (
        lambda X, n_neighbors, Y, **options: (
            lq.NeighborSearcher(n_neighbors=n_neighbors, **options).fit(X).query(Y)
        ),
        (POINTS, 3, POINTS[:5]),
        {"metric": "cosine", "recall": 0.9, "n_jobs": 1, "verbose": False, "random_state": 0},
    ),
    "KNeighborsTransformer": (
        lambda X, n_neighbors, **options: lq.KNeighborsTransformer(
            n_neighbors, **options
        ).fit_transform(X),
        (POINTS, 3),
        {"mode": "distance", "metric": "cosine", "recall": None, "n_jobs": 1, "verbose": False},
    ),
}


@pytest.mark.parametrize("name", PUBLIC)
@settings(max_examples=max(20, settings().max_examples // 10))
@given(data=st.data())
def test_a_public_function_answers_or_refuses_anything(name, data):
    function, args, kwargs = PUBLIC[name]
    args, kwargs = list(args), dict(kwargs)
    places = st.sets(st.sampled_from([*range(len(args)), *kwargs]), min_size=1, max_size=2)
    for place in sorted(data.draw(places, "places"), key=str):
        (args if isinstance(place, int) else kwargs)[place] = data.draw(ANYTHING, str(place))
    attempt(function, *args, **kwargs)


@settings(max_examples=max(20, settings().max_examples // 4))
@given(data=st.data())
def test_a_table_restored_from_any_state_answers_or_refuses(data):
    state = filled_table().__getstate__()
    for key in data.draw(st.sets(st.sampled_from(sorted(state)), min_size=1), "keys"):
        state[key] = data.draw(ANYTHING | st.integers(0, 10), key)
    restored = lq.SignatureTable.__new__(lq.SignatureTable)
    if attempt(restored.__setstate__, state):
        assert restored.counts.sum() == restored.n_samples
        assert restored.signatures.shape == (len(restored), restored.n_partitions)


# The extension, damaged arguments


GUARD = 64


class Guarded:
    """Arrays cut from the middle of larger ones, whose ends must stay as they were."""

    def __init__(self):
        self.buffers = []

    def array(self, n, dtype, value=0):
        buffer = np.full(n + 2 * GUARD, 85, dtype=dtype)
        buffer[GUARD : GUARD + n] = value
        self.buffers.append((buffer, n))
        return buffer[GUARD : GUARD + n]

    def check(self):
        for buffer, n in self.buffers:
            assert (buffer[:GUARD] == 85).all(), "written before the array"
            assert (buffer[GUARD + n :] == 85).all(), "written past the array"


def core_table(m=4, n=30):
    table = _core.SignatureTable(m)
    rows = planted(np.random.default_rng(1), n, m, abstain=0.1)
    table.update(list(rows.T), np.empty(n, dtype=np.int32), None, 1, None)
    return table


def core_arguments(guarded):
    """Every entry of the extension with arguments that work (functions of a table come bound)."""
    n, m = 30, 4
    columns = list(planted(np.random.default_rng(2), n, m, abstain=0.1).T)
    table = core_table()
    u = len(table)
    ids = guarded.array(n, np.int32)
    pairs = np.array([[0, 1], [29, 3]])
    indptr, indices = np.arange(n + 1), np.arange(n)
    eligible = np.ones(n, dtype=np.uint8)
    counts = np.ones(n, dtype=np.int64)
    values = np.arange(u, dtype=np.int32)
    known = table.lookup(list(table.signatures(1).T), 1, None)
    return {
        "SignatureTable": (_core.SignatureTable, [m]),
        "update": (table.update, [columns, ids, eligible, 1, None]),
        "update_counted": (table.update_counted, [columns, counts, ids, 1, None]),
        "merge": (table.merge, [core_table(n=50), 1, None]),
        "lookup": (table.lookup, [columns, 1, None]),
        "signatures": (table.signatures, [1]),
        "agreement_degrees": (_core.agreement_degrees, [table, 3, "automatic", 1, None]),
        "agreement_graph": (_core.agreement_graph, [table, 3, 1, None]),
        "coassociation_pairs": (_core.coassociation_pairs, [columns, pairs, 1, None]),
        "coassociation_csr": (_core.coassociation_csr, [columns, indptr, indices, 1, None]),
        "mini_clusters": (
            _core.mini_clusters,
            [table, 5, 3, 2, 1, np.ones(u, dtype=np.uint8), 1, None],
        ),
        "neighbor_graph32": (
            _core.neighbor_graph32,
            [(np.arange(60).reshape(30, 2) + 7) % 30, np.ones((30, 2)), "union", 1, None],
        ),
        "symmetrized_graph": (
            _core.symmetrized_graph,
            [indptr, indices, np.ones(n), "union", "max", False, 1, None],
        ),
        "normalized_weights": (
            _core.normalized_weights,
            [indptr, indices, np.ones(n), "symmetric", False, 1, None],
        ),
        "connected_components": (_core.connected_components, [indptr, indices, 1, None]),
        "propagate": (
            lambda *args: _core.propagate(*args, 4, 0.0, 1, None),  # any more could take for ever
            [
                indptr,
                indices,
                np.ones(n),
                np.array([3, 5]),
                np.ones((2, 3)),
                *[0.5, 0.5, False],
            ],
        ),
        "neighbors": (
            _core.neighbors,
            [POINTS.astype(np.float32), POINTS[:7], 3, "euclidean", 1.0, 1, None],
        ),
        "nearest_candidates": (
            _core.nearest_candidates,
            [
                POINTS.astype(np.float32),
                POINTS[:7],
                np.arange(35).reshape(7, 5) % 29,
                3,
                "euclidean",
                1,
                None,
            ],
        ),
        "assign_codebooks": (
            _core.assign_codebooks,
            [
                POINTS,
                [POINTS[:5].astype(np.float32), POINTS[:3, :2]],
                [np.arange(4), np.array([0, 3])],
                "cosine",
                guarded.array(60, np.int16),
                1,
                None,
            ],
        ),
        "assign_signatures": (
            _core.assign_signatures,
            [
                POINTS,
                [POINTS[:5]] * 4,
                [np.arange(4)] * 4,
                "euclidean",
                table,
                guarded.array(30, np.int64),
                1,
                None,
            ],
        ),
        "expand": (
            _core.expand,
            [known, values, -1, guarded.array(u, np.int32), 1, None],
        ),
    }


ENTRIES = list(core_arguments(Guarded()))

LIES = [0, 1, -1, 2, 3, 5, 29, 30, 31, 1000, 2**31 - 1, 2**31, 2**32, 2**62, -(2**31)]


@st.composite
def damaged_array(draw, array, guarded):
    """The array with other values, another length, type, stride, order or number of dimensions."""
    way = draw(st.sampled_from(["values", "length", "type", "stride", "dimensions", "read_only"]))
    if way == "values" and array.size:
        limits = (np.finfo if array.dtype.kind == "f" else np.iinfo)(array.dtype)
        damaged = guarded.array(array.size, array.dtype)
        damaged[:] = array.ravel()
        lie = draw(st.sampled_from(LIES))
        damaged[draw(st.integers(0, array.size - 1))] = min(max(lie, limits.min), limits.max)
        return damaged.reshape(array.shape)
    if way == "length":
        n = draw(st.sampled_from([0, 1, max(0, len(array) - 1), len(array) + 1, 3 * len(array)]))
        return guarded.array(n * array[:1].size, array.dtype).reshape(n, *array.shape[1:])
    if way == "type":
        return array.astype(draw(INTEGERS | hnp.floating_dtypes() | st.just(np.dtype(bool))))
    if way == "stride":
        wide = guarded.array(2 * array.size, array.dtype).reshape(2 * len(array), *array.shape[1:])
        wide[::2] = array
        return wide[:: draw(st.sampled_from([2, -2]))]
    if way == "dimensions":
        return draw(st.sampled_from([array[None], array[..., None], array[:0], np.array(7)]))
    array = array.copy()
    array.flags.writeable = False
    return array


@st.composite
def damaged(draw, value, guarded):
    if draw(st.integers(0, 4)) == 0:
        return draw(ANYTHING)
    if isinstance(value, np.ndarray):
        return draw(damaged_array(value, guarded))
    if isinstance(value, list) and value:
        value = list(value)
        i = draw(st.integers(0, len(value) - 1))
        how = draw(st.sampled_from(["drop", "repeat", "array", "anything", "empty"]))
        if how == "drop":
            del value[i]
        elif how == "repeat":
            value *= draw(st.sampled_from([2, 100]))
        elif how == "array":
            value[i] = draw(damaged_array(value[i], guarded))
        elif how == "anything":
            value[i] = draw(ANYTHING)
        return [] if how == "empty" else value
    if isinstance(value, int):
        return draw(st.sampled_from(LIES))
    if isinstance(value, str):
        return draw(st.sampled_from(["subsets", "pairs", "blocks", "", "automatic\0", "x" * 1000]))
    return draw(ANYTHING)


@pytest.mark.slow
@pytest.mark.parametrize("name", ENTRIES)
@settings(max_examples=max(50, settings().max_examples // 4))
@given(data=st.data())
def test_an_entry_of_the_extension_answers_or_refuses_damaged_arguments(name, data):
    guarded = Guarded()
    entry, args = core_arguments(guarded)[name]
    for place in data.draw(st.sets(st.integers(0, len(args) - 1), min_size=1, max_size=2)):
        args[place] = data.draw(damaged(args[place], guarded), f"argument {place}")
    attempt(entry, *args)
    guarded.check()


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_of_the_extension_answers_right_arguments(name):
    """Else the campaign would only ever see refusals."""
    guarded = Guarded()
    entry, args = core_arguments(guarded)[name]
    assert attempt(entry, *args)
    guarded.check()


@pytest.mark.parametrize("bad", [-2, 4, 2**31 - 1, -(2**31)])
def test_expand_never_reads_past_the_values(bad):
    guarded = Guarded()
    values = guarded.array(4, np.int32, 1)
    out = guarded.array(100, np.int32)
    ids = np.zeros(100, dtype=np.int32)
    ids[70] = bad
    if bad < 0:
        _core.expand(ids, values, -1, out, 1, None)
        assert out[70] == -1
    else:
        with pytest.raises(ValueError):
            _core.expand(ids, values, -1, out, 1, None)
    guarded.check()


@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize(
    "indptr, indices",
    [
        ([0, 1, 1], [3]),
        ([0, 1, 1], [-1]),
        ([0, 2, 1], [0, 1]),
        ([0, 1, 9], [0]),
        ([1, 1, 1], [0]),
        ([-5, 0, 1], [0]),
        ([0, 1, 0], [0]),
        ([0, 1], [0]),
        ([0, 0, 0, 1], [0]),
        ([0], []),
        ([], []),
    ],
)
def test_a_pattern_that_lies_is_refused(indptr, indices, index):
    columns = [np.array([1, 2])]
    with pytest.raises(ValueError):
        _core.coassociation_csr(
            columns, np.array(indptr, dtype=index), np.array(indices, dtype=index), 1, None
        )


@settings(max_examples=max(50, settings().max_examples // 4))
@given(stage=st.integers(0, 20), error=st.sampled_from([RuntimeError, KeyError, SystemExit]))
def test_an_error_of_the_progress_callback_comes_through_and_the_table_stays(stage, error):
    calls = 0

    def progress(name, fraction):
        nonlocal calls
        assert isinstance(name, str)
        assert 0.0 <= fraction <= 1.0
        calls += 1
        if calls > stage:
            raise error("stop")

    table = core_table()
    before = table.signatures(1), table.counts()
    rows = planted(np.random.default_rng(stage), 20_000, 4, noise=0.5)
    ids = np.empty(len(rows), dtype=np.int32)
    try:
        table.update(list(rows.T), ids, None, 2, progress)
        assert table.n_samples == before[1].sum() + len(rows)
    except error:
        np.testing.assert_array_equal(table.signatures(1), before[0])
        np.testing.assert_array_equal(table.counts(), before[1])
