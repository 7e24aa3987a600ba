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
from labelquorum.graphs.csr import connected_components, symmetrize_graph

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
        A weight above 0 says that two nodes belong together, one below 0 that they do not. A weight
        that is 0 or not stored says nothing. With -inf two nodes are never in one cluster, with inf
        always. The diagonal is ignored, whatever it holds. If p is the probability that two nodes
        are in the same cluster, the weight log(p / (1 - p)) gives the most probable clustering,
        were pairs independent. Weights must be symmetric; where the two of a pair differ by no more
        than rounding does, their mean counts. A list of arrays holds independent problems, which
        are solved together.
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
        If an argument has the wrong type or shape, a weight is NaN, weights are not symmetric, or
        nodes that are always in one cluster (inf) must never be (-inf, or another group).
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
    sparse weights, the time is nearly O(n_weights). Nodes that inf connects are solved as one node,
    and no step joins nodes with -inf between them, so that both hold exactly.

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
        weights = _symmetric_graph(weights, n_threads)
    else:
        weights = _symmetric_matrix(weights, "weights")
    codes = None if groups is None else _group_codes(groups, weights.shape[0], "groups")
    return _solve(weights, codes, n_threads, verbose)


def _solve_together(
    problems: Any, groups: Any, n_threads: int, verbose: bool
) -> list[NDArray[np.int32]]:
    """Solve the problems as one graph, in which they are not connected."""
    from scipy import sparse

    matrices = [_symmetric_matrix(matrix, f"weights[{i}]") for i, matrix in enumerate(problems)]
    codes = None if groups is None else _joined_group_codes(groups, list(map(len, matrices)))
    graph = sparse.csr_array(sparse.block_diag(matrices, format="csr"))
    labels = _solve(graph, codes, n_threads, verbose)
    ends = np.cumsum([0, *(len(matrix) for matrix in matrices)])
    # Clusters are numbered by their first nodes: a problem's first node has its lowest number.
    return [labels[begin:end] - labels[begin] for begin, end in pairwise(ends)]


def _solve(
    weights: Any, groups: NDArray[np.int32] | None, n_threads: int, verbose: bool
) -> NDArray[np.int32]:
    """Solve a symmetric matrix or graph; nodes that inf connects become one node before."""
    blocks = None
    n_on_diagonal = np.count_nonzero(weights.diagonal() == np.inf)
    if np.count_nonzero(_values(weights) == np.inf) > n_on_diagonal:
        weights, groups, blocks = _without_inf(weights, groups)
    with progress(verbose) as show:
        if isinstance(weights, np.ndarray):
            labels = _core.correlation_clustering(weights, groups, n_threads, show)
        else:
            labels = _core.correlation_clustering(
                weights.indptr, weights.indices, weights.data, groups, n_threads, show
            )
    # Blocks are numbered by their first nodes, as clusters are.
    return labels if blocks is None else labels[blocks]


def _values(weights: Any) -> NDArray[np.floating[Any]]:
    values: NDArray[np.floating[Any]] = weights if isinstance(weights, np.ndarray) else weights.data
    return values


def _without_inf(
    weights: Any, groups: NDArray[np.int32] | None
) -> tuple[Any, NDArray[np.int32] | None, NDArray[np.integer[Any]]]:
    """Return the weights and groups of blocks, which inf connects, and each node's block."""
    from scipy import sparse

    together = sparse.coo_array(weights == np.inf)
    n_blocks, blocks = connected_components(together, n_jobs=1)
    for i, j in zip(*sparse.coo_array(weights == -np.inf).coords, strict=True):
        if i != j and blocks[i] == blocks[j]:
            raise _never_and_always(i, j, "-inf keeps them apart")
    block_groups = None if groups is None else _groups_of_blocks(groups, blocks, n_blocks)
    ones = np.ones(len(blocks), dtype=_values(weights).dtype)
    has_node = sparse.csr_array((ones, (blocks, np.arange(len(blocks)))))
    sums = has_node @ weights @ has_node.T
    if isinstance(sums, np.ndarray):
        sums = np.ascontiguousarray(sums)
    return sums, block_groups, blocks


def _groups_of_blocks(
    groups: NDArray[np.int32], blocks: NDArray[np.integer[Any]], n_blocks: int
) -> NDArray[np.int32]:
    """Return the group of each block, -1 for none; refuse a block of several groups."""
    grouped = np.flatnonzero(groups >= 0)
    of_blocks = np.full(n_blocks, -1, dtype=np.int32)
    node_of_blocks = np.zeros(n_blocks, dtype=np.intp)
    of_blocks[blocks[grouped]] = groups[grouped]
    node_of_blocks[blocks[grouped]] = grouped
    differing = grouped[of_blocks[blocks[grouped]] != groups[grouped]]
    if len(differing):
        node = differing[0]
        raise _never_and_always(node, node_of_blocks[blocks[node]], "their groups differ")
    return of_blocks


def _never_and_always(first: int, second: int, reason: str) -> ValueError:
    return ValueError(
        f"weights must not say both always and never, got inf, which puts nodes {first} and "
        f"{second} into one cluster, but {reason}: use large finite weights where either may give"
    )


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
    tolerance = _tolerance(matrix.dtype)
    if matrix.dtype != np.float64:
        fits_float32 = matrix.dtype == np.float32 or matrix.dtype.itemsize <= 2
        matrix = matrix.astype(np.float32 if fits_float32 else np.float64)
    differs = False
    for begin in range(0, len(matrix), _ROWS_PER_BLOCK):
        block = slice(begin, begin + _ROWS_PER_BLOCK)
        rows, columns = matrix[block], matrix[:, block].T
        is_wrong = rows != columns
        is_wrong[np.arange(len(rows)), np.arange(begin, begin + len(rows))] = False
        if not is_wrong.any():
            continue
        differs = True
        places = np.nonzero(is_wrong)
        ends = (places[0] + begin, places[1])
        _check_pairs(rows[places], columns[places], ends, name, tolerance, matrix)
    if differs:
        matrix = matrix / 2 + matrix.T / 2
    return np.ascontiguousarray(matrix)


def _symmetric_graph(weights: Any, n_threads: int) -> Any:
    from scipy import sparse

    given = as_graph(weights, "weights")
    missing = np.flatnonzero(np.isnan(given.data))
    rows = np.searchsorted(given.indptr, missing, side="right") - 1
    _refuse_nan(given.data[missing], rows, given.indices[missing], "weights")
    graph = symmetrize_graph(given, "directed", n_jobs=n_threads)
    back = graph.T.tocsr()
    is_same = (
        np.array_equal(graph.indptr, back.indptr)
        and np.array_equal(graph.indices, back.indices)
        and np.array_equal(graph.data, back.data)
    )
    if is_same:
        return graph
    # The weights of both directions of each pair, 0 where one is not stored.
    both = symmetrize_graph(graph, combine="sum", n_jobs=n_threads)
    ends = np.repeat(np.arange(both.shape[0]), np.diff(both.indptr)), both.indices
    here, there = (np.asarray(of[ends]).ravel() for of in (graph, back))
    differs = here != there
    ends_of_differing = ends[0][differs], ends[1][differs]
    tolerance = _tolerance(weights.dtype)
    _check_pairs(here[differs], there[differs], ends_of_differing, "weights", tolerance, graph)
    return sparse.csr_array((here / 2 + there / 2, both.indices, both.indptr), shape=both.shape)


def _tolerance(dtype: np.dtype[Any]) -> float:
    """How much the two weights of a pair may differ, as a share of them."""
    return 1e-2 if dtype == np.float16 else 1e-5


def _check_pairs(
    here: NDArray[Any],
    there: NDArray[Any],
    ends: tuple[NDArray[Any], NDArray[Any]],
    name: str,
    tolerance: float,
    weights: Any,
) -> None:
    """Refuse NaN, and two weights of a pair that differ by more than rounding does.

    What is lost where two numbers nearly cancel out, such as a similarity and a threshold, is a
    share of a typical weight, not of the small difference.
    """
    _refuse_nan(here, *ends, name)
    _refuse_nan(there, *ends[::-1], name)
    with np.errstate(invalid="ignore", over="ignore"):
        gaps = np.abs(here - there)
        limits = tolerance * np.maximum(np.abs(here), np.abs(there))
    is_wrong = (gaps > limits) | np.isinf(gaps)
    if not is_wrong.any():
        return
    is_wrong &= (gaps > limits + tolerance * _typical_size(weights)) | np.isinf(gaps)
    for i in np.flatnonzero(is_wrong):
        raise _not_symmetric(name, here[i], there[i], ends[0][i], ends[1][i])


def _refuse_nan(values: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any], name: str) -> None:
    for i in np.flatnonzero(np.isnan(values) & (rows != columns)):
        raise ValueError(
            f"{name} must hold numbers, got NaN at row {rows[i]}, column {columns[i]}: use 0 where "
            "nothing is known"
        )


def _typical_size(weights: Any) -> float:
    """The median of the absolute weights that are neither 0 nor infinite, of a million at most."""
    values = _values(weights).ravel()
    values = values[:: 1 + values.size // 10**6]
    values = np.abs(values[np.isfinite(values) & (values != 0)])
    return float(np.median(values)) if values.size else 0.0


def _not_symmetric(name: str, weight: Any, back: Any, row: int, column: int) -> ValueError:
    return ValueError(
        f"{name} must be symmetric, got {weight:g} at row {row}, column {column}, but {back:g} at "
        f"row {column}, column {row}: if it is one triangle W, pass W + W.T"
    )
