"""Graphs in compressed sparse rows (CSR): symmetric forms, normalized weights, components."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelquorum import _core
from labelquorum._shared.arguments import INT32_MAX, as_choice, as_n_threads
from labelquorum._shared.progress import progress
from labelquorum._shared.samples import as_graph

if TYPE_CHECKING:
    from scipy import sparse

_LEAST_WEIGHT = 1e-15  # The largest weight of a graph is scaled if it is lower, or above 1e15.


def symmetrize_graph(
    graph: Any,
    mode: Literal["union", "mutual", "directed"] = "union",
    *,
    combine: Literal["max", "min", "sum"] = "max",
    self_loops: bool = False,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> sparse.csr_array:
    """Make a graph symmetric, with sorted rows and each edge stored once.

    Parameters
    ----------
    graph : SciPy sparse matrix or array of shape (n_nodes, n_nodes)
        Row i holds the edges from node i. Rows may be unsorted. As in SciPy, the weights of an edge
        that is stored more than once are added up. A stored 0 is an edge.
    mode : {"union", "mutual", "directed"}, default="union"
        "union": keep an edge if it exists in either direction. "mutual": keep it if it exists in
        both. "directed": keep the edges as they are, without making them symmetric.
    combine : {"max", "min", "sum"}, default="max"
        The weight of two nodes with edges in both directions: the larger weight (for affinities),
        the smaller (for distances), or the sum, with which "union" gives ``graph + graph.T``.
    self_loops : bool, default=False
        Whether to keep edges from a node to itself, with their weight.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    scipy.sparse.csr_array of shape (n_nodes, n_nodes)
        Weights are float32 if those of `graph` are float32, bools or integers of up to 16 bits;
        otherwise float64. Indices keep their type, or become int64 if there are too many edges for
        int32.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or a weight is NaN.
    MemoryError
        If too little memory is available.

    Notes
    -----
    Time and memory are O(n_nodes + edges), apart from sorting each row.

    Examples
    --------
    >>> import labelquorum as lq
    >>> from scipy import sparse
    >>> graph = sparse.csr_array([[5.0, 3.0, 0.0], [1.0, 0.0, 2.0], [0.0, 0.0, 0.0]])
    >>> lq.symmetrize_graph(graph).toarray()
    array([[0., 3., 0.],
           [3., 0., 2.],
           [0., 2., 0.]])
    >>> lq.symmetrize_graph(graph, "mutual", combine="min").toarray()
    array([[0., 1., 0.],
           [1., 0., 0.],
           [0., 0., 0.]])
    """
    from scipy import sparse

    csr = as_graph(graph)
    as_choice(mode, "mode", ("union", "mutual", "directed"))
    as_choice(combine, "combine", ("max", "min", "sum"))
    indptr, indices = csr.indptr, csr.indices
    if mode == "union" and indices.dtype == np.int32 and 2 * csr.nnz > INT32_MAX:
        indptr, indices = indptr.astype(np.int64), indices.astype(np.int64)
    with progress(verbose) as show:
        indptr, indices, weights = _core.symmetrized_graph(
            indptr, indices, csr.data, mode, combine, bool(self_loops), as_n_threads(n_jobs), show
        )
    result = sparse.csr_array((weights, indices, indptr), shape=csr.shape)
    result.has_sorted_indices = result.has_canonical_format = True
    return result


def normalize_graph(
    graph: Any,
    normalization: Literal["symmetric", "random_walk"] = "symmetric",
    *,
    self_loops: bool = True,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> sparse.csr_array:
    """Divide the weights of a graph by the degrees of its nodes.

    Parameters
    ----------
    graph : SciPy sparse matrix or array of shape (n_nodes, n_nodes)
        Affinities W of at least 0: larger is nearer.
    normalization : {"symmetric", "random_walk"}, default="symmetric"
        "symmetric": ``D**-0.5 @ W @ D**-0.5``, where D holds the sums of the columns (those of
        the rows, in a symmetric graph). "random_walk": ``D**-1 @ W``, where D holds the sums of the
        rows, so that each row with an edge sums to 1.
    self_loops : bool, default=True
        Whether edges from a node to itself count. If not, their weight becomes 0.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    scipy.sparse.csr_array of shape (n_nodes, n_nodes)
        The same edges. Weights are float32 if those of `graph` are float32, bools or integers of up
        to 16 bits; otherwise float64. A degree of 0 counts as 1, so the row of an isolated node
        stays zero.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or a weight is negative or not finite.

    Notes
    -----
    O(n_nodes + edges).

    Examples
    --------
    >>> import labelquorum as lq
    >>> from scipy import sparse
    >>> graph = sparse.csr_array([[0.0, 4.0, 0.0], [4.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    >>> lq.normalize_graph(graph).toarray()
    array([[0., 1., 0.],
           [1., 0., 0.],
           [0., 0., 0.]])
    """
    from scipy import sparse

    csr = with_usual_weights(as_graph(graph))
    as_choice(normalization, "normalization", ("symmetric", "random_walk"))
    with progress(verbose) as show:
        weights = _core.normalized_weights(
            csr.indptr,
            csr.indices,
            csr.data,
            normalization,
            bool(self_loops),
            as_n_threads(n_jobs),
            show,
        )
    return sparse.csr_array((weights, csr.indices.copy(), csr.indptr.copy()), shape=csr.shape)


def with_usual_weights(graph: sparse.csr_array) -> sparse.csr_array:
    """Divide weights whose sums would overflow or underflow by a power of two; keep all others."""
    largest = float(graph.data.max(initial=0))
    if largest == 0 or not np.isfinite(largest) or _LEAST_WEIGHT < largest < 1 / _LEAST_WEIGHT:
        return graph
    from scipy import sparse

    weights = np.ldexp(graph.data.astype(np.float64), -math.frexp(largest)[1])
    return sparse.csr_array((weights, graph.indices, graph.indptr), shape=graph.shape)


def connected_components(
    graph: Any, *, n_jobs: int | None = None, verbose: bool = False
) -> tuple[int, NDArray[np.integer[Any]]]:
    """Find the connected components of a graph.

    Parameters
    ----------
    graph : SciPy sparse matrix or array of shape (n_nodes, n_nodes)
        Each stored edge connects its nodes, whatever its direction and weight; so does a stored 0.
        NaN is no weight.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    n_components : int
    components : integer array of shape (n_nodes,)
        The component of each node. Components are numbered from 0 in the order of their smallest
        nodes. The type is that of the graph's indices.

    Raises
    ------
    TypeError, ValueError
        If the graph has the wrong type or shape, or a weight is NaN.

    Notes
    -----
    Nearly O(n_nodes + edges): a union-find over the edges, whose roots are the smallest nodes.

    `scipy.sparse.csgraph.connected_components` returns the same numbers. This function takes a
    fraction of the time (a fifth for 10^6 nodes and 10^7 edges), copies neither weights nor edges,
    and stops on Ctrl-C.

    Examples
    --------
    >>> import labelquorum as lq
    >>> from scipy import sparse
    >>> graph = sparse.csr_array(([1.0, 1.0], ([0, 3], [2, 1])), shape=(5, 5))
    >>> n_components, components = lq.connected_components(graph)
    >>> n_components, components.tolist()
    (3, [0, 1, 0, 1, 2])
    """
    csr = as_graph(graph)
    if np.isnan(csr.data.min(initial=0)):  # NaN if any weight is
        edge = int(np.flatnonzero(np.isnan(csr.data))[0])
        node = int(np.searchsorted(csr.indptr, edge, side="right")) - 1
        raise ValueError(
            "graph must have weights that are numbers, got an edge of weight NaN from node "
            f"{node} to node {csr.indices[edge]}"
        )
    with progress(verbose) as show:
        components = _core.connected_components(csr.indptr, csr.indices, as_n_threads(n_jobs), show)
    return int(components.max()) + 1, components
