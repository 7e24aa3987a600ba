"""Random data for Hypothesis: partitions, their layouts in memory, points and graphs."""

from __future__ import annotations

import importlib.util
import tempfile
from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

INTEGER_TYPES = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
MAX_ID = 2**31 - 1
THREADS = [1, 2, 8]
GRAPH_INDICES = [np.int32, np.int64]
GRAPH_WEIGHTS = [np.float32, np.float64]


def share(fraction):
    """Return settings with a share of the usual number of cases, for less important properties."""
    return settings(max_examples=max(5, int(settings().max_examples * fraction)))


def planted(
    rng, n, m, *, n_groups=5, n_ids=10, noise=0.1, abstain=0.0, n_distinct=None, max_id=None
):
    """Return int64 partitions: n_groups true groups, seen by m partitions of n_ids clusters each.

    `noise` and `abstain` are shares of the votes. With n_distinct, the rows are drawn from as many
    prototypes. With max_id, the cluster ids are spread over [0, max_id], both ends included.
    """
    u = n if n_distinct is None else n_distinct
    truth = rng.integers(n_groups, size=u)
    rows = rng.integers(n_ids, size=(n_groups, m))[truth]
    rows = np.where(rng.random((u, m)) < noise, rng.integers(n_ids, size=(u, m)), rows)
    if max_id is not None:
        values = rng.integers(max_id, size=n_ids, endpoint=True)
        values[-1] = max_id
        rows = values[rows]
    rows = np.where(rng.random((u, m)) < abstain, rng.integers(-128, 0, size=(u, m)), rows)
    return rows if n_distinct is None else rows[rng.integers(u, size=n)]


@st.composite
def ensembles(draw, max_rows=300, max_partitions=24, max_id=MAX_ID, abstentions=True):
    """Draw int64 partitions: tiny ones full of ties, value by value, or planted ones by a seed."""
    lowest = -2 if abstentions else 0
    if draw(st.booleans()):
        shape = (
            draw(st.integers(1, min(max_rows, 12))),
            draw(st.integers(1, min(max_partitions, 6))),
        )
        largest = draw(st.sampled_from([1, 2, 4, max_id]))
        return draw(hnp.arrays(np.int64, shape, elements=st.integers(lowest, min(largest, max_id))))
    n = draw(st.integers(1, max_rows))
    return planted(
        np.random.default_rng(draw(st.integers(0, 2**32 - 1))),
        n,
        draw(st.integers(1, max_partitions)),
        n_groups=draw(st.integers(1, 8)),
        n_ids=draw(st.sampled_from([1, 2, 3, 10, 100])),
        noise=draw(st.sampled_from([0.0, 0.05, 0.2, 0.5, 1.0])),
        abstain=draw(st.sampled_from([0.0, 0.0, 0.1, 0.6, 1.0])) if abstentions else 0.0,
        n_distinct=draw(st.none() | st.integers(1, n)),
        max_id=draw(st.sampled_from([None, max_id])),
    )


@st.composite
def cuts(draw, n, max_chunks=6):
    """Draw slices that cut n rows into chunks, none of them empty."""
    inner = draw(st.sets(st.integers(1, n - 1), max_size=max_chunks - 1)) if n > 1 else set()
    edges = [0, *sorted(inner), n]
    return [slice(a, b) for a, b in pairwise(edges)]


def _strided(rows):
    wide = np.full((2 * len(rows), 3 * rows.shape[1]), 99, dtype=rows.dtype)
    wide[::2, ::3] = rows
    return wide[::2, ::3]


def _reversed(rows):
    return np.ascontiguousarray(rows[::-1, ::-1])[::-1, ::-1]


def _read_only(rows):
    rows = rows.copy()
    rows.flags.writeable = False
    return rows


def _memory_map(rows):
    with tempfile.TemporaryFile() as file:
        mapped = np.memmap(file, dtype=rows.dtype, shape=rows.shape)
    mapped[:] = rows
    return mapped


def _unaligned(rows):
    buffer = np.zeros(rows.nbytes + 1, dtype=np.uint8)
    view = buffer[1:].view(rows.dtype).reshape(rows.shape)
    view[:] = rows
    return view


def _mixed_columns(rows):
    """Return one array per model, of varying types that hold every value."""
    fitting = [
        np.dtype(name)
        for name in INTEGER_TYPES
        if np.iinfo(name).min <= rows.min() and rows.max() <= np.iinfo(name).max
    ]
    return [column.astype(fitting[p % len(fitting)]) for p, column in enumerate(rows.T)]


def _frame(package):
    def build(rows):
        library = pytest.importorskip(package)
        return library.DataFrame({f"model_{p}": column for p, column in enumerate(rows.T)})

    return build


LAYOUTS = {
    "c_order": np.ascontiguousarray,
    "fortran_order": np.asfortranarray,
    "strided": _strided,
    "negative_strides": _reversed,
    "read_only": _read_only,
    "memory_map": _memory_map,
    "unaligned": _unaligned,
    "other_byte_order": lambda rows: rows.astype(rows.dtype.newbyteorder(">")),
    "list_of_mixed_types": _mixed_columns,
    "tuple_of_columns": lambda rows: tuple(rows.T),
    "pandas": _frame("pandas"),
    "polars": _frame("polars"),
}
# Random cases draw from these: a DataFrame of a missing package would skip the whole test.
INSTALLED_LAYOUTS = [
    name
    for name in LAYOUTS
    if name not in ("pandas", "polars") or importlib.util.find_spec(name) is not None
]


def shaped(rng, shape, n, d):
    """Return n points of one of the SHAPES."""
    if shape == "normal":
        return rng.normal(size=(n, d))
    if shape == "grid":
        return rng.integers(-2, 3, size=(n, d)).astype(float)
    if shape == "duplicates":
        return rng.normal(size=(max(1, n // 5), d))[rng.integers(max(1, n // 5), size=n)]
    if shape == "all equal":
        return np.tile(rng.normal(size=(1, d)), (n, 1))
    if shape == "constant columns":
        X = rng.normal(size=(n, d))
        X[:, rng.random(d) < 0.5] = 7.0
        return X
    if shape == "far from zero":
        return 1e6 + rng.normal(size=(n, d))
    if shape == "tight clusters far apart":
        return 1e5 * rng.normal(size=(3, d))[rng.integers(3, size=n)] + rng.normal(size=(n, d))
    if shape == "scales":
        return rng.normal(size=(n, d)) * 10.0 ** rng.integers(-12, 12, size=(n, 1))
    if shape == "zero rows":
        return rng.normal(size=(n, d)) * (rng.random((n, 1)) < 0.7)
    assert shape == "huge"
    return rng.normal(size=(n, d)) * 1e100


SHAPES = [
    "normal",
    "grid",
    "duplicates",
    "all equal",
    "constant columns",
    "far from zero",
    "tight clusters far apart",
    "scales",
    "zero rows",
    "huge",
]


@st.composite
def graphs(draw, max_nodes=40, non_negative=True):
    """Draw a CSR graph with unsorted rows, repeated edges, self-loops and stored zeros.

    Weights are small integers, so that sums are exact.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, max_nodes))
    density = draw(st.sampled_from([0.0, 0.5, 3.0, n]))
    n_edges = int(rng.poisson(density * n))
    rows = np.sort(rng.integers(n, size=n_edges))
    index = draw(st.sampled_from(GRAPH_INDICES))
    graph = scipy.sparse.csr_array((n, n), dtype=draw(st.sampled_from(GRAPH_WEIGHTS)))
    graph.indptr = np.searchsorted(rows, np.arange(n + 1)).astype(index)
    graph.indices = rng.integers(n, size=n_edges).astype(index)
    graph.data = rng.integers(0 if non_negative else -3, 5, size=n_edges).astype(graph.dtype)
    return graph
