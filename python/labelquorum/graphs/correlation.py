"""Correlation clustering: clusters from weights that say what belongs together, or does not."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelquorum import _core
from labelquorum._shared.arguments import as_codes, as_graph, as_n_threads
from labelquorum._shared.progress import progress
from labelquorum.graphs.csr import symmetrize_graph

_ROWS_PER_BLOCK = 1024


def correlation_clustering(
    weights: Any,
    *,
    groups: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> Any:
    """Cluster nodes such that the weights within clusters sum to much.

    Parameters
    ----------
    weights : array of shape (n_nodes, n_nodes), SciPy sparse matrix or array, or list of arrays
        Symmetric. Above 0: the two nodes rather belong together; below 0: rather not; 0, or not in
        a sparse matrix: nothing is known. The diagonal does not count. For probabilities p of "the
        same cluster", log(p / (1 - p)) makes the clustering the most probable one, were pairs
        independent. A list of arrays holds problems of their own, solved at once.
    groups : array-like of shape (n_nodes,), optional
        Nodes of different groups (numbers or names; -1 or None: no group) are never in one
        cluster. For a list of problems, a list of these.
    n_jobs : int, optional
        Number of threads, which take parts that no positive weights connect; -1 for all cores
        available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    int32 array of shape (n_nodes,), or list of them
        The cluster of each node, numbered from 0 in the order of their first nodes. The number of
        clusters is found.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type or shape, or weights are not symmetric or not finite.
    MemoryError
        If too little memory is available.

    Notes
    -----
    To find the best clustering is NP-hard; this is a good one. Greedy additive edge contraction
    (Keuper et al., "Efficient decomposition of image and mesh graphs by lifted multicuts", ICCV
    2015), then nodes move, alone and in sequences between two clusters (as in Kernighan and Lin,
    Bell System Technical Journal 49, 1970), and clusters are joined, until none of these helps;
    with up to 200 nodes, 50 times from a result of which some clusters were dissolved, with more
    nodes less often.

    Dense: a few times O(n_nodes ** 2) time, and a copy of the weights. Sparse: nearly
    O(n_weights).

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
        return _of_problems(weights, groups, n_threads, verbose)
    with progress(verbose) as show:
        from scipy import sparse

        if sparse.issparse(weights):
            graph = _symmetric_graph(weights, n_threads)
            codes = None if groups is None else _group_codes(groups, graph.shape[0], "groups")
            return _core.correlation_clustering(
                graph.indptr, graph.indices, graph.data, codes, n_threads, show
            )
        matrix = _symmetric_matrix(weights, "weights")
        codes = None if groups is None else _group_codes(groups, len(matrix), "groups")
        return _core.correlation_clustering(matrix, codes, n_threads, show)


def _of_problems(
    weights: Any, groups: Any, n_threads: int, verbose: bool
) -> list[NDArray[np.int32]]:
    """Problems as one graph whose parts are theirs."""
    from scipy import sparse

    matrices = [_symmetric_matrix(matrix, f"weights[{i}]") for i, matrix in enumerate(weights)]
    if groups is not None and len(groups) != len(matrices):
        raise ValueError(
            f"groups holds {len(groups)} items, weights {len(matrices)}; wanted as many"
        )
    codes = None
    if groups is not None:
        codes = np.concatenate(
            [
                _group_codes(of, len(matrix), f"groups[{i}]")
                for i, (of, matrix) in enumerate(zip(groups, matrices, strict=True))
            ]
        )
    graph = sparse.csr_array(sparse.block_diag(matrices, format="csr"))
    with progress(verbose) as show:
        labels = _core.correlation_clustering(
            graph.indptr, graph.indices, graph.data, codes, n_threads, show
        )
    ends = np.cumsum([0, *(len(matrix) for matrix in matrices)])
    # Numbers rise with the first nodes, so a problem's first node has its least one.
    return [labels[begin:end] - labels[begin] for begin, end in pairwise(ends)]


def _symmetric_matrix(weights: Any, name: str) -> NDArray[np.floating[Any]]:
    matrix = np.asarray(weights)
    if matrix.dtype.kind not in "iufb":
        raise TypeError(f"{name} has dtype {matrix.dtype}; wanted numbers")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"{name} has shape {matrix.shape}; wanted (n_nodes, n_nodes)")
    if matrix.dtype != np.float64:
        is_small = matrix.dtype == np.float32 or matrix.dtype.itemsize <= 2
        matrix = matrix.astype(np.float32 if is_small else np.float64)
    for begin in range(0, len(matrix), _ROWS_PER_BLOCK):
        block = slice(begin, begin + _ROWS_PER_BLOCK)
        rows, columns = matrix[block], matrix[:, block].T
        wrong = np.argwhere(~np.isfinite(rows))
        if len(wrong):
            i, j = wrong[0]
            raise ValueError(f"{name} holds {rows[i, j]} at row {begin + i}, column {j}")
        wrong = np.argwhere(rows != columns)
        if len(wrong):
            i, j = wrong[0]
            raise ValueError(
                f"{name} is not symmetric: {rows[i, j]:g} at row {begin + i}, column {j}, but "
                f"{columns[i, j]:g} the other way; wanted the same"
            )
    return np.ascontiguousarray(matrix)


def _symmetric_graph(weights: Any, n_threads: int) -> Any:
    graph = as_graph(weights, "weights")
    wrong = np.flatnonzero(~np.isfinite(graph.data))
    if len(wrong):
        row = int(np.searchsorted(graph.indptr, wrong[0], side="right")) - 1
        raise ValueError(
            f"weights holds {graph.data[wrong[0]]} at row {row}, column {graph.indices[wrong[0]]}"
        )
    graph = symmetrize_graph(graph, "directed", n_jobs=n_threads)
    differing = (graph != graph.T).tocoo()
    if differing.nnz:
        row, column = differing.coords[0][0], differing.coords[1][0]
        raise ValueError(
            f"weights is not symmetric: {graph[row, column]:g} at row {row}, column {column}, but "
            f"{graph[column, row]:g} the other way; wanted the same (for one triangle: W + W.T)"
        )
    return graph


def _group_codes(groups: Any, n: int, name: str) -> NDArray[np.int32]:
    codes = as_codes(groups, name)[1]
    if len(codes) != n:
        raise ValueError(f"{name} holds {len(codes)} nodes, weights {n}; wanted as many")
    return codes
