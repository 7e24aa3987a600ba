"""Functions and estimators take the same kinds of sparse samples and of graphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from sklearn.cluster import KMeans

import labelquorum as lq
from sample_takers import (
    N_FEATURES,
    NAME,
    NAMES,
    TAKES_DENSE,
    TAKES_SPARSE,
    N,
    X,
    Y,
    assert_same,
    consensus,
    crossed,
)
from strategies import share

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")

# Sparse samples


def _parts(matrix, data=None, indices=None, indptr=None):
    """The matrix, with other parts that SciPy's constructor would change."""
    copy = matrix.copy()
    copy.data = matrix.data if data is None else data
    copy.indices = matrix.indices if indices is None else indices
    copy.indptr = matrix.indptr if indptr is None else indptr
    return copy


def _parts_of_coo(matrix, dtype):
    copy = matrix.tocoo(copy=True)
    copy.data = copy.data.astype(dtype)
    return copy


CSR = scipy.sparse.csr_array(X)


def _unsorted():
    """Rows from the last column to the first."""
    backwards = CSR[:, ::-1]
    return _parts(CSR, backwards.data, N_FEATURES - 1 - backwards.indices)


def _repeated(dtype=np.float64):
    """Each value in two parts, in any order."""
    data = np.concatenate([CSR.data - 1, np.ones(CSR.nnz)]).astype(dtype)
    columns = np.concatenate([CSR.indices, CSR.indices])
    rows = np.tile(np.repeat(np.arange(N), np.diff(CSR.indptr)), 2)
    order = np.argsort(rows, kind="stable")
    indptr = 2 * CSR.indptr
    return scipy.sparse.csr_array((data[order], columns[order], indptr), shape=X.shape)


def _stored_zeros():
    rows, columns = np.indices(X.shape)
    return scipy.sparse.csr_array((X.ravel(), (rows.ravel(), columns.ravel())), shape=X.shape)


def _wide():
    return _parts(CSR, indices=CSR.indices.astype(np.int64), indptr=CSR.indptr.astype(np.int64))


def _surplus():
    """More room than the rows use."""
    return _parts(CSR, np.append(CSR.data, [7.0] * 3), np.append(CSR.indices, [99] * 3))


SPARSE = {
    "matrix": lambda: scipy.sparse.csr_matrix(X),
    "CSC": lambda: scipy.sparse.csc_array(X),
    "CSC matrix": lambda: scipy.sparse.csc_matrix(X),
    "COO": lambda: scipy.sparse.coo_array(X),
    "BSR": lambda: scipy.sparse.bsr_array(X, blocksize=(2, 3)),
    "LIL": lambda: scipy.sparse.lil_array(X),
    "DOK": lambda: scipy.sparse.dok_array(X),
    "DIA": lambda: scipy.sparse.dia_array(X),
    "int64 indices": _wide,
    "mixed indices": lambda: _parts(CSR, indptr=CSR.indptr.astype(np.int64)),
    "big-endian indices": lambda: _parts(CSR, indices=CSR.indices.astype(">i4")),
    "unsigned indices": lambda: _parts(CSR, indices=CSR.indices.astype(np.uint8)),
    "unsorted": _unsorted,
    "repeated": _repeated,
    "repeated int8": lambda: _repeated(np.int8),
    "stored zeros": _stored_zeros,
    "surplus room": _surplus,
    "float16": lambda: _parts(CSR, CSR.data.astype(np.float16)),
    "float16 CSC": lambda: _parts(CSR.T.tocsr().T, CSR.T.tocsr().data.astype(np.float16)),
    "big-endian": lambda: _parts(CSR, CSR.data.astype(">f8")),
    "big-endian COO": lambda: _parts_of_coo(CSR, ">f4"),
    "float32": lambda: CSR.astype(np.float32),
    "int8": lambda: CSR.astype(np.int8),
    "uint64": lambda: CSR.astype(np.uint64),
    "sparse frame": lambda: pytest.importorskip("pandas").DataFrame.sparse.from_spmatrix(
        scipy.sparse.csr_matrix(X), columns=NAMES
    ),
}
# Sparse samples are projected, and so results may differ from those of dense ones.
IS_EXACT = ("kneighbors", "affinity", "KNeighbors", "Neighbor", "Label", "Poisson", "KNN", "S3VM")


@pytest.fixture(scope="module")
def expected_of_sparse():
    return {name: function(CSR) for name, function in TAKES_SPARSE.items()}


@pytest.mark.parametrize("function", TAKES_SPARSE)
def test_sparse_rows_are_searched_as_dense_ones_are(function, expected_of_sparse):
    if function.startswith(IS_EXACT):
        assert_same(expected_of_sparse[function], TAKES_SPARSE[function](X))


@pytest.mark.parametrize(("function", "kind"), crossed(TAKES_SPARSE, SPARSE))
def test_every_kind_of_sparse_samples_gives_the_same(function, kind, expected_of_sparse):
    samples = SPARSE[kind]()
    assert_same(TAKES_SPARSE[function](samples), expected_of_sparse[function])


@pytest.mark.parametrize("function", sorted(TAKES_DENSE.keys() - TAKES_SPARSE.keys()))
def test_sparse_samples_are_refused_where_they_cannot_be_used(function):
    with pytest.raises((TypeError, ValueError), match=r"(?i)sparse"):
        TAKES_DENSE[function](CSR)


def _changed(matrix, part, place, value):
    array = getattr(matrix, part).copy()
    array[place] = value
    return _parts(matrix, **{part: array})


def _short(matrix, part):
    return _parts(matrix, **{part: getattr(matrix, part)[:-1]})


CSC = scipy.sparse.csc_array(X)
BSR = scipy.sparse.bsr_array(X, blocksize=(2, 3))


def _damaged_coordinates(value):
    matrix = scipy.sparse.coo_array(X)
    matrix.coords[1][5] = value
    return matrix


def _damaged_list(change):
    matrix = scipy.sparse.lil_array(X)
    change(matrix)
    return matrix


def _masked_data():
    return _parts(CSR, np.ma.masked_array(CSR.data, CSR.data > 30))


DAMAGED = {
    "column too large": lambda: _changed(CSR, "indices", 5, 2**20),
    "column just too large": lambda: _changed(CSR, "indices", 5, N_FEATURES),
    "negative column": lambda: _changed(CSR, "indices", 5, -1),
    "int64 column": lambda: _changed(_wide(), "indices", 5, 2**40),
    "rows that go back": lambda: _changed(CSR, "indptr", 3, 1),
    "rows beyond the end": lambda: _changed(CSR, "indptr", -1, 10_000),
    "a negative start": lambda: _changed(CSR, "indptr", 0, -4),
    "few indices": lambda: _short(CSR, "indices"),
    "few values": lambda: _short(CSR, "data"),
    "few rows": lambda: _short(CSR, "indptr"),
    "float indices": lambda: _parts(CSR, indices=CSR.indices + 0.5),
    "CSC row too large": lambda: _changed(CSC, "indices", 5, N),
    "CSC negative row": lambda: _changed(CSC, "indices", 5, -2),
    "CSC columns that go back": lambda: _changed(CSC, "indptr", 3, 1),
    "BSR block too large": lambda: _changed(BSR, "indices", 5, 2),
    "BSR rows beyond the end": lambda: _changed(BSR, "indptr", -1, 10_000),
    "COO column too large": lambda: _damaged_coordinates(N_FEATURES),
    "COO negative column": lambda: _damaged_coordinates(-1),
    "LIL column too large": lambda: _damaged_list(lambda m: m.rows[0].__setitem__(0, 2**20)),
    "LIL without a value": lambda: _damaged_list(lambda m: m.data[0].pop()),
    "NaN": lambda: _changed(CSR, "data", 5, np.nan),
    "infinity": lambda: _changed(CSR, "data", 5, np.inf),
    "masked": _masked_data,
    "complex": lambda: CSR.astype(complex),
    "objects": lambda: _parts(CSR, CSR.data.astype(object)),
    "long double": lambda: CSR.astype(np.longdouble),
}


@pytest.mark.parametrize("kind", DAMAGED)
@pytest.mark.parametrize("function", [*TAKES_SPARSE, "evaluate_clustering"])
def test_damaged_sparse_samples_are_refused_before_scipy_reads_them(function, kind):
    samples = DAMAGED[kind]()
    if function == "evaluate_clustering":
        if kind in ("NaN", "infinity"):
            pytest.skip("the clusterer decides")
        call = lambda X: lq.evaluate_clustering(KMeans(3), X)  # noqa: E731
    else:
        call = TAKES_SPARSE[function]
    with pytest.raises((TypeError, ValueError)) as caught:
        call(samples)
    assert NAME.get(function, "X") in str(caught.value)
    assert "incompatible function arguments" not in str(caught.value)


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_sparse_samples_are_refused_after_fit(kind, tmp_path):
    samples = DAMAGED[kind]()
    fitted = consensus().fit(X)
    calls = {
        "predict": fitted.predict,
        "novelty": fitted.novelty,
        "report": lambda X: fitted.report(tmp_path / "report.html", X=X),
        "sampler": lq.PreClusteringSampler(random_state=0).fit(X, Y).predict,
        "searcher": lq.NeighborSearcher(n_neighbors=2).fit(CSR).query,
        "dense searcher": lq.NeighborSearcher(n_neighbors=2).fit(X).query,
        "transformer": lq.KNeighborsTransformer(2).fit(CSR).transform,
        "spreading": lq.LabelSpreading(3).fit(CSR, Y).predict,
        "propagation": lq.KNNLabelPropagation().fit(CSR, Y).predict,
        "S3VM": lq.S3VM().fit(CSR, Y).predict,
    }
    for name, call in calls.items():
        with pytest.raises((TypeError, ValueError), match=r"\b[XY]\b"):
            call(samples)
        assert name


@st.composite
def sparse_samples(draw, n_columns=4):
    """Dense whole numbers, and CSR with unsorted, repeated and zero entries and empty rows."""
    n = draw(st.integers(2, 12))
    entry = st.tuples(st.integers(0, n_columns - 1), st.integers(-3, 3))
    rows = draw(st.lists(st.lists(entry, max_size=7), min_size=n, max_size=n))
    indices = np.array([column for row in rows for column, _ in row], dtype=np.int32)
    data = np.array([value for row in rows for _, value in row], dtype=np.float64)
    indptr = np.cumsum([0, *map(len, rows)])
    matrix = scipy.sparse.csr_array((data, indices, indptr), shape=(n, n_columns))
    return matrix, matrix.toarray()


@share(0.2)
@given(sparse_samples(), sparse_samples(), st.integers(1, 12), st.booleans())
def test_neighbors_of_sparse_rows_equal_those_of_dense_rows(samples, queries, k, has_queries):
    (matrix, dense), (new, new_dense) = samples, queries
    before = [part.copy() for part in (matrix.data, matrix.indices, matrix.indptr)]
    k = min(k, len(dense) - (not has_queries))
    for metric in ("euclidean", "inner_product", "cosine"):
        Y_sparse, Y_dense = (new, new_dense) if has_queries else (None, None)
        distances, indices = lq.kneighbors(matrix, k, metric=metric, Y=Y_sparse)
        expected, expected_indices = lq.kneighbors(dense, k, metric=metric, Y=Y_dense)
        np.testing.assert_allclose(distances, expected, rtol=1e-12, atol=1e-12)
        if metric != "cosine":  # its ties depend on the last digit
            np.testing.assert_array_equal(distances, expected)
            np.testing.assert_array_equal(indices, expected_indices)
    for part, kept in zip((matrix.data, matrix.indices, matrix.indptr), before, strict=True):
        np.testing.assert_array_equal(part, kept)


# Graphs

SQUARE = lq.affinity_graph(X, 4)
GRAPH_LABELS = Y


def _spread(kind):
    return lambda graph: kind(graph=graph).fit(None, GRAPH_LABELS).transduction_


TAKES_GRAPHS = {
    "affinity_graph": lambda graph: lq.affinity_graph(graph).toarray(),
    "communities": lambda graph: lq.communities(graph, random_state=0),
    "connected_components": lambda graph: lq.connected_components(graph)[1],
    "correlation_clustering": lq.correlation_clustering,
    "LabelPropagation": _spread(lq.LabelPropagation),
    "LabelSpreading": _spread(lq.LabelSpreading),
    "PoissonLearning": _spread(lq.PoissonLearning),
    "normalize_graph": lambda graph: lq.normalize_graph(graph).toarray(),
    "symmetrize_graph": lambda graph: lq.symmetrize_graph(graph).toarray(),
}
NAME_OF_GRAPH = {"affinity_graph": "X", "correlation_clustering": "weights"}


def _whole(graph):
    """Whole numbers, which every type holds."""
    graph = graph.copy()
    graph.data = np.ceil(graph.data * 20)
    return graph


GRAPH = _whole(SQUARE)
GRAPHS = {
    "float16": lambda: _parts(GRAPH, GRAPH.data.astype(np.float16)),
    "big-endian": lambda: _parts(GRAPH, GRAPH.data.astype(">f8")),
    "big-endian float32": lambda: _parts(GRAPH, GRAPH.data.astype(">f4")),
    "big-endian float16": lambda: _parts(GRAPH, GRAPH.data.astype(">f2")),
    "big-endian indices": lambda: _parts(
        GRAPH, indices=GRAPH.indices.astype(">i4"), indptr=GRAPH.indptr.astype(">i4")
    ),
    "unsigned indices": lambda: _parts(GRAPH, indices=GRAPH.indices.astype(np.uint32)),
    "int64 starts": lambda: _parts(GRAPH, indptr=GRAPH.indptr.astype(np.int64)),
    "float16 CSC": lambda: _parts(GRAPH.tocsc(), GRAPH.tocsc().data.astype(np.float16)),
    "big-endian COO": lambda: _parts_of_coo(GRAPH, ">f8"),
    "float16 LIL": lambda: GRAPH.tolil().astype(np.float32),
    "DOK": lambda: scipy.sparse.dok_array(GRAPH),
    "DIA": lambda: scipy.sparse.dia_array(GRAPH),
    "BSR": lambda: scipy.sparse.bsr_array(GRAPH, blocksize=(2, 2)),
    "matrix": lambda: scipy.sparse.csr_matrix(GRAPH),
    "int8": lambda: GRAPH.astype(np.int8),
    "uint64": lambda: GRAPH.astype(np.uint64),
    "strided values": lambda: _parts(GRAPH, np.repeat(GRAPH.data, 2)[::2]),
}


@pytest.mark.parametrize("kind", GRAPHS)
@pytest.mark.parametrize("function", TAKES_GRAPHS)
def test_every_kind_of_graph_gives_the_same(function, kind):
    if kind == "BSR" and function in ("connected_components", "affinity_graph"):
        pytest.skip("blocks store zeros, which are edges")
    call = TAKES_GRAPHS[function]
    assert_same(call(GRAPHS[kind]()), call(GRAPH))


BAD_GRAPHS = {
    "column too large": lambda: _changed(GRAPH, "indices", 5, 2**20),
    "negative column": lambda: _changed(GRAPH, "indices", 5, -1),
    "rows that go back": lambda: _changed(GRAPH, "indptr", 3, 1),
    "rows beyond the end": lambda: _changed(GRAPH, "indptr", -1, 10_000),
    "few values": lambda: _short(GRAPH, "data"),
    "CSC row too large": lambda: _changed(GRAPH.tocsc(), "indices", 5, N),
    "COO column too large": lambda: _coo_graph(N),
    "COO negative column": lambda: _coo_graph(-1),
    "masked": lambda: _parts(GRAPH, np.ma.masked_array(GRAPH.data)),
    "complex": lambda: GRAPH.astype(complex),
    "long double": lambda: GRAPH.astype(np.longdouble),
    "objects": lambda: _parts(GRAPH, GRAPH.data.astype(object)),
}


def _coo_graph(value):
    graph = GRAPH.tocoo(copy=True)
    graph.coords[1][5] = value
    return graph


@pytest.mark.parametrize("kind", BAD_GRAPHS)
@pytest.mark.parametrize("function", TAKES_GRAPHS)
def test_damaged_graphs_are_refused_by_name(function, kind):
    graph = BAD_GRAPHS[kind]()
    with pytest.raises((TypeError, ValueError)) as caught:
        TAKES_GRAPHS[function](graph)
    assert NAME_OF_GRAPH.get(function, "graph") in str(caught.value)
    assert "incompatible function arguments" not in str(caught.value)


def test_the_documentation_names_all_that_takes_graphs():
    text = (Path(__file__).parents[2] / "docs" / "inputs.md").read_text(encoding="utf-8")
    graphs = text.partition("## Graphs")[2].partition("## Labels")[0]
    for function in TAKES_GRAPHS:
        assert f"`{function.split()[0]}`" in graphs, function
