"""Correlation clustering: clusters from weights that attract (above 0) or repel (below 0)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelquorum import _core
from labelquorum._shared.arguments import as_n_threads
from labelquorum._shared.labels import as_codes
from labelquorum._shared.progress import progress
from labelquorum._shared.samples import as_array, as_graph
from labelquorum.graphs.csr import symmetrize_graph

_ROWS_PER_BLOCK = 1024


def correlation_clustering(
    weights: Any,
    *,
    groups: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> Any:
    """Cluster nodes so that the sum of the weights within clusters is as large as possible.

    Parameters
    ----------
    weights : array of shape (n_nodes, n_nodes), SciPy sparse matrix or array, or list of arrays
        Symmetric. A weight above 0 says that two nodes belong together, one below 0 that they do
        not. A weight that is 0 or not stored says nothing. The diagonal is ignored. If p is the
        probability that two nodes are in the same cluster, the weight log(p / (1 - p)) gives the
        most probable clustering, were pairs independent. A list of arrays holds independent
        problems, which are solved together.
    groups : array-like of shape (n_nodes,), optional
        Nodes of different groups (numbers or names; -1 or None for no group) never share a
        cluster. For a list of problems, a list of such arrays.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it. Each thread
        works on parts that no positive weight connects.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    int32 array of shape (n_nodes,), or list of them
        The cluster of each node. Clusters are numbered from 0 in the order of their first nodes;
        their number follows from the weights.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or shape, or weights are not symmetric or not finite.
    MemoryError
        If too little memory is available.

    Notes
    -----
    Finding the best clustering is NP-hard; this function finds a good one:

    1. Greedy additive edge contraction (Keuper et al., "Efficient decomposition of image and mesh
       graphs by lifted multicuts", ICCV 2015).
    2. Move nodes, alone and in sequences between two clusters (as in Kernighan and Lin, Bell System
       Technical Journal 49, 1970), and join clusters, until no such step helps.
    3. Dissolve some clusters and repeat step 2: 50 times for up to 200 nodes, less often for more.

    For dense weights, the time is a few times O(n_nodes ** 2) and the weights are copied. For
    sparse weights, the time is nearly O(n_weights).

    Examples
    --------
    >>> import numpy as np
    >>> import labelquorum as lq
    >>> same = np.array([[0.5, 0.9, 0.2, 0.4], [0.9, 0.5, 0.6, 0.1],
    ...                  [0.2, 0.6, 0.5, 0.8], [0.4, 0.1, 0.8, 0.5]])
    >>> lq.correlation_clustering(np.log(same / (1 - same)))
    array([0, 0, 1, 1], dtype=int32)
    """
    n_threads = as_n_threads(n_jobs)
    if isinstance(weights, (list, tuple)) and any(np.ndim(matrix) == 2 for matrix in weights):
        return _solve_together(weights, groups, n_threads, verbose)
    from scipy import sparse

    if sparse.issparse(weights):
        graph = _symmetric_graph(weights, n_threads)
        codes = None if groups is None else _group_codes(groups, graph.shape[0], "groups")
        with progress(verbose) as show:
            return _core.correlation_clustering(
                graph.indptr, graph.indices, graph.data, codes, n_threads, show
            )
    matrix = _symmetric_matrix(weights, "weights")
    codes = None if groups is None else _group_codes(groups, len(matrix), "groups")
    with progress(verbose) as show:
        return _core.correlation_clustering(matrix, codes, n_threads, show)


def _solve_together(
    problems: Any, groups: Any, n_threads: int, verbose: bool
) -> list[NDArray[np.int32]]:
    """Solve the problems as one graph, in which they are not connected."""
    from scipy import sparse

    matrices = [_symmetric_matrix(matrix, f"weights[{i}]") for i, matrix in enumerate(problems)]
    codes = None if groups is None else _joined_group_codes(groups, list(map(len, matrices)))
    graph = sparse.csr_array(sparse.block_diag(matrices, format="csr"))
    with progress(verbose) as show:
        labels = _core.correlation_clustering(
            graph.indptr, graph.indices, graph.data, codes, n_threads, show
        )
    ends = np.cumsum([0, *(len(matrix) for matrix in matrices)])
    # Clusters are numbered by their first nodes: a problem's first node has its lowest number.
    return [labels[begin:end] - labels[begin] for begin, end in pairwise(ends)]


def _joined_group_codes(groups: Any, sizes: list[int]) -> NDArray[np.int32]:
    if len(groups) != len(sizes):
        raise ValueError(f"groups must hold {len(sizes)} items, as weights does, got {len(groups)}")
    return np.concatenate(
        [
            _group_codes(item, size, f"groups[{i}]")
            for i, (item, size) in enumerate(zip(groups, sizes, strict=True))
        ]
    )


def _group_codes(groups: Any, n: int, name: str) -> NDArray[np.int32]:
    codes = as_codes(groups, name)[1]
    if len(codes) != n:
        raise ValueError(f"{name} must have {n} values, one per node, got {len(codes)}")
    return codes


def _symmetric_matrix(weights: Any, name: str) -> NDArray[np.floating[Any]]:
    matrix = as_array(weights, name)
    if matrix.dtype.kind not in "iufb":
        raise TypeError(f"{name} must hold numbers, got dtype {matrix.dtype}")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name} must be square, (n_nodes, n_nodes), got shape {matrix.shape}")
    if matrix.dtype != np.float64:
        fits_float32 = matrix.dtype == np.float32 or matrix.dtype.itemsize <= 2
        matrix = matrix.astype(np.float32 if fits_float32 else np.float64)
    for begin in range(0, len(matrix), _ROWS_PER_BLOCK):
        block = slice(begin, begin + _ROWS_PER_BLOCK)
        rows, columns = matrix[block], matrix[:, block].T
        not_finite = np.argwhere(~np.isfinite(rows))
        if len(not_finite):
            i, j = not_finite[0]
            raise _not_finite(name, rows[i, j], begin + i, j)
        differing = np.argwhere(rows != columns)
        if len(differing):
            i, j = differing[0]
            raise _not_symmetric(name, rows[i, j], columns[i, j], begin + i, j)
    return np.ascontiguousarray(matrix)


def _symmetric_graph(weights: Any, n_threads: int) -> Any:
    graph = as_graph(weights, "weights")
    not_finite = np.flatnonzero(~np.isfinite(graph.data))
    if len(not_finite):
        edge = not_finite[0]
        row = int(np.searchsorted(graph.indptr, edge, side="right")) - 1
        raise _not_finite("weights", graph.data[edge], row, graph.indices[edge])
    graph = symmetrize_graph(graph, "directed", n_jobs=n_threads)
    differing = (graph != graph.T).tocoo()
    if differing.nnz:
        row, column = differing.coords[0][0], differing.coords[1][0]
        raise _not_symmetric("weights", graph[row, column], graph[column, row], row, column)
    return graph


def _not_finite(name: str, weight: Any, row: int, column: int) -> ValueError:
    return ValueError(f"{name} must be finite, got {weight} at row {row}, column {column}")


def _not_symmetric(name: str, weight: Any, back: Any, row: int, column: int) -> ValueError:
    return ValueError(
        f"{name} must be symmetric, got {weight:g} at row {row}, column {column}, but {back:g} at "
        f"row {column}, column {row}: if it is one triangle W, pass W + W.T"
    )
