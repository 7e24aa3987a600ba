"""Functions of sparse graphs equal naive ones on dense matrices."""

from __future__ import annotations

import time

import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.csgraph
from hypothesis import given
from hypothesis import strategies as st

import labelquorum as lq
import oracle
from labelquorum import _core
from strategies import GRAPH_INDICES, THREADS, graphs, planted, share


def edges_of(graph):
    """Pattern and weights as dicts; the weights of an edge stored more than once are added."""
    edges = {}
    for i in range(graph.shape[0]):
        for e in range(graph.indptr[i], graph.indptr[i + 1]):
            edge = i, int(graph.indices[e])
            edges[edge] = edges.get(edge, 0) + graph.data[e]
    return edges


def naive_symmetrized(graph, mode, combine, self_loops):
    given_edges = edges_of(graph)
    both = {"max": max, "min": min, "sum": lambda a, b: a + b}[combine]
    result = {}
    for (i, j), weight in given_edges.items():
        if i == j:
            if self_loops:
                result[i, i] = weight
            continue
        back = given_edges.get((j, i))
        if mode == "directed":
            result[i, j] = weight
        elif back is not None:
            result[i, j] = both(weight, back)
        elif mode == "union":
            result[i, j] = result[j, i] = weight
    return result


@given(
    graph=graphs(non_negative=False),
    mode=st.sampled_from(["union", "mutual", "directed"]),
    combine=st.sampled_from(["max", "min", "sum"]),
    self_loops=st.booleans(),
    n_jobs=st.sampled_from(THREADS),
)
def test_a_symmetrized_graph_has_the_edges_of_the_naive_one(
    graph, mode, combine, self_loops, n_jobs
):
    before = graph.copy()
    result = lq.symmetrize_graph(graph, mode, combine=combine, self_loops=self_loops, n_jobs=n_jobs)
    result.check_format(full_check=True)
    assert edges_of(result) == naive_symmetrized(graph, mode, combine, self_loops)
    assert result.nnz == len(edges_of(result))
    assert all((np.diff(row) > 0).all() for row in np.split(result.indices, result.indptr[1:-1]))
    assert result.dtype == graph.dtype
    assert result.indices.dtype == result.indptr.dtype == graph.indices.dtype
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(graph, part), getattr(before, part))


def test_a_union_of_sums_is_the_graph_plus_its_transpose():
    graph = scipy.sparse.random_array((50, 50), density=0.1, rng=np.random.default_rng(0)).tocsr()
    graph.setdiag(0)
    expected = (graph + graph.T).toarray()
    np.testing.assert_array_equal(lq.symmetrize_graph(graph, combine="sum").toarray(), expected)


@given(
    graph=graphs(),
    normalization=st.sampled_from(["symmetric", "random_walk"]),
    self_loops=st.booleans(),
    n_jobs=st.sampled_from(THREADS),
)
def test_normalized_weights_equal_the_dense_ones(graph, normalization, self_loops, n_jobs):
    dense = graph.toarray().astype(np.float64)
    if not self_loops:
        np.fill_diagonal(dense, 0)
    if normalization == "symmetric":
        degrees = dense.sum(axis=0)
        roots = np.sqrt(np.where(degrees > 0, degrees, 1))
        expected = dense / roots[:, None] / roots
    else:
        degrees = dense.sum(axis=1, keepdims=True)
        expected = dense / np.where(degrees > 0, degrees, 1)
    result = lq.normalize_graph(graph, normalization, self_loops=self_loops, n_jobs=n_jobs)
    assert result.dtype == graph.dtype
    np.testing.assert_array_equal(result.indices, graph.indices)
    np.testing.assert_allclose(result.toarray(), expected, rtol=1e-6, atol=0)


@given(graph=graphs())
@share(0.5)
def test_symmetric_normalization_is_that_of_the_laplacian_of_scipy(graph):
    graph = graph.astype(np.float64)
    # Duplicates are added up here, since another test is about them.
    graph.sum_duplicates()
    laplacian = scipy.sparse.csgraph.laplacian(graph, normed=True).toarray()
    np.fill_diagonal(laplacian, 0)
    result = lq.normalize_graph(graph, self_loops=False).toarray()
    np.testing.assert_allclose(result, -laplacian, rtol=1e-12, atol=0)


@given(graph=graphs(), n_jobs=st.sampled_from(THREADS))
def test_components_are_those_of_scipy_numbered_by_their_smallest_nodes(graph, n_jobs):
    graph.data[:] = 1  # SciPy's may leave out stored zeros
    n_expected, expected = scipy.sparse.csgraph.connected_components(graph, directed=False)
    n_components, components = lq.connected_components(graph, n_jobs=n_jobs)
    assert n_components == n_expected
    assert components.dtype == graph.indices.dtype
    firsts = [int(np.flatnonzero(expected == c)[0]) for c in range(n_expected)]
    order = np.argsort(np.argsort(firsts))
    np.testing.assert_array_equal(components, order[expected])


@pytest.mark.parametrize("n_jobs", THREADS)
def test_components_of_a_large_graph_do_not_depend_on_threads(n_jobs):
    rng = np.random.default_rng(1)
    n = 200_000
    order = rng.permutation(n)  # ten paths, through nodes in any order
    ends = order[1:][np.arange(1, n) % (n // 10) != 0]
    starts = order[:-1][np.arange(1, n) % (n // 10) != 0]
    graph = scipy.sparse.csr_array((np.ones(len(ends)), (starts, ends)), shape=(n, n))
    n_components, components = lq.connected_components(graph, n_jobs=n_jobs)
    assert n_components == 10
    path = np.empty(n, dtype=int)
    path[order] = np.arange(n) // (n // 10)
    firsts = [np.flatnonzero(components == c)[0] for c in range(10)]
    assert firsts == sorted(firsts)
    np.testing.assert_array_equal(path[firsts][components], path)


def test_a_stored_zero_connects():
    graph = scipy.sparse.csr_array(([0.0], ([0], [1])), shape=(3, 3))
    assert lq.connected_components(graph)[1].tolist() == [0, 0, 1]


FUNCTIONS = [lq.symmetrize_graph, lq.normalize_graph, lq.connected_components]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("form", ["csc", "coo", "dok", "matrix", "bool", "int8"])
def test_any_sparse_form_is_read(function, form):
    graph = scipy.sparse.csr_array(np.array([[0.0, 2, 0], [1, 0, 0], [0, 0, 1]]))
    if form == "bool":
        graph.data[:] = 1
    expected = function(graph)
    if form == "matrix":
        same = scipy.sparse.csr_matrix(graph)
    else:
        same = graph.astype(form) if form in ("bool", "int8") else graph.asformat(form)
    result = function(same)
    if function is lq.connected_components:
        np.testing.assert_array_equal(result[1], expected[1])
    else:
        np.testing.assert_allclose(result.toarray(), expected.toarray(), rtol=1e-7)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("error", "message", "graph"),
    [
        (TypeError, "graph must be a SciPy sparse matrix or array, got ndarray", np.eye(3)),
        (TypeError, "graph must be a SciPy sparse matrix or array, got NoneType", None),
        (ValueError, r"graph must be.* got shape \(2, 3\)", scipy.sparse.csr_array((2, 3))),
        (ValueError, r"graph must be.* got shape \(0, 0\)", scipy.sparse.csr_array((0, 0))),
        (
            TypeError,
            "graph must hold.* got dtype complex128",
            scipy.sparse.eye_array(3, dtype=complex).tocsr(),
        ),
    ],
)
def test_anything_but_a_graph_is_refused(function, error, message, graph):
    with pytest.raises(error, match=message):
        function(graph)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("bad", [-1, 3, 2**31 - 1])
def test_edges_to_missing_nodes_are_refused(function, bad):
    graph = scipy.sparse.csr_array(np.ones((3, 3)))
    graph.indices[4] = bad
    with pytest.raises(ValueError, match=f"edge to node {bad}"):
        function(graph)


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_weights_that_cannot_be_normalized_are_refused(bad):
    graph = scipy.sparse.csr_array(np.ones((3, 3)))
    graph.data[4] = bad
    with pytest.raises(ValueError, match="edge of weight"):
        lq.normalize_graph(graph)


@pytest.mark.parametrize("function", [*FUNCTIONS, lq.communities])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_edge_of_weight_nan_is_named(function, dtype):
    graph = scipy.sparse.csr_array(np.ones((3, 3), dtype=dtype))
    graph.data[5] = np.nan
    with pytest.raises(
        ValueError, match=r"graph must have .* got an edge of weight NaN from node 1 to node 2"
    ):
        function(graph)


@pytest.mark.parametrize("function", [lq.symmetrize_graph, lq.normalize_graph])
def test_loops_that_do_not_count_may_hold_nan(function):
    graph = scipy.sparse.csr_array(np.ones((3, 3)))
    graph.data[4] = np.nan
    assert np.isfinite(function(graph, self_loops=False).data).all()


def test_bad_choices_are_named():
    graph = scipy.sparse.eye_array(3).tocsr()
    with pytest.raises(
        ValueError, match="mode must be 'union', 'mutual' or 'directed', got 'both'"
    ):
        lq.symmetrize_graph(graph, "both")
    with pytest.raises(ValueError, match="combine must be 'max', 'min' or 'sum', got 'mean'"):
        lq.symmetrize_graph(graph, combine="mean")
    with pytest.raises(ValueError, match="must be 'symmetric' or 'random_walk', got 'none'"):
        lq.normalize_graph(graph, "none")


# Agreement on the edges of a graph of neighbors: consensus for any number of samples


@pytest.mark.parametrize("index", GRAPH_INDICES)
@pytest.mark.parametrize("form", [scipy.sparse.csr_array, scipy.sparse.csr_matrix])
def test_agreement_on_the_edges_of_a_graph_of_neighbors(index, form):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(300, 4))
    rows = planted(rng, 300, 12, abstain=0.2)
    graph = lq.kneighbors_graph(X, 6)
    graph.indptr, graph.indices = graph.indptr.astype(index), graph.indices.astype(index)
    shares = lq.coassociation(rows, form(graph))
    np.testing.assert_array_equal(shares.indices, graph.indices)
    pairs = np.column_stack(shares.tocoo().coords)
    np.testing.assert_array_equal(shares.data, oracle.coassociation(rows, pairs))


@pytest.mark.slow
def test_consensus_on_a_graph_of_neighbors_is_linear_in_the_samples():
    rng = np.random.default_rng(3)

    def seconds(n):
        rows = rng.integers(10, size=(n, 20), dtype=np.int8)
        ring = (np.arange(n)[:, None] + np.arange(1, 11)) % n
        indptr, indices, _ = _core.neighbor_graph32(ring, np.ones((n, 10)), "union", 1, None)
        graph = scipy.sparse.csr_array((np.ones(len(indices)), indices, indptr), shape=(n, n))
        best = np.inf
        for _ in range(3):
            started = time.process_time()
            shares = lq.coassociation(rows, graph, n_jobs=1)
            lq.connected_components(lq.symmetrize_graph(shares, "mutual", n_jobs=1), n_jobs=1)
            best = min(best, time.process_time() - started)
        return best

    # Ten times the samples: far from the hundred times of all pairs.
    assert seconds(200_000) < 40 * seconds(20_000)
