"""Graphs of nearest neighbors with weights that fall with the distance."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labelquorum import _core
from labelquorum._shared.arguments import INT32_MAX, as_choice, as_n_threads, as_positive
from labelquorum._shared.distinct import DistinctRows
from labelquorum._shared.progress import progress
from labelquorum._shared.samples import as_graph, as_samples, check_finite
from labelquorum.neighbors.search import kneighbors

METRICS = ("euclidean", "cosine")


Floats: TypeAlias = NDArray[np.floating[Any]]
Integers: TypeAlias = NDArray[np.integer[Any]]


class _Graph(NamedTuple):
    """The arrays of a graph in CSR format."""

    indptr: Integers
    indices: Integers
    weights: Floats


def heat_weights(distances: Floats, last_distances: Floats, metric: str) -> Floats:
    """Return exp(-4 d^2 / s^2) for distance d, s being the distance to the last neighbor.

    The weight lies between exp(-4) and 1, so no neighbor is lost, whatever the scale of the data.
    """
    with np.errstate(invalid="ignore"):
        ratios = distances / last_distances
    # 0 / 0 is NaN: all neighbors of the sample equal it.
    ratios = np.nan_to_num(ratios, copy=False, nan=0.0)
    # The cosine distance is half the squared distance of the unit vectors.
    squared_ratios = ratios if metric == "cosine" else ratios * ratios
    weights: Floats = np.exp(-4 * squared_ratios)
    return weights


def affinity_graph(
    X: Any,
    n_neighbors: int = 10,
    *,
    metric: Literal["euclidean", "cosine"] = "euclidean",
    recall: float | None = None,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> sparse.csr_array:
    """Connect each sample with its nearest neighbors, with weights that fall with the distance.

    Parameters
    ----------
    X : array-like or SciPy sparse matrix of shape (n_samples, n_features), or sparse graph
        The samples, as for `kneighbors`. A sparse matrix that is square is always a graph: it holds
        the distance from each sample to its neighbors, as returned by `kneighbors_graph` and by
        `KNeighborsTransformer` (also scikit-learn's), and its diagonal is ignored. For sparse
        samples with as many features as samples, pass
        ``kneighbors_graph(X, n_neighbors, mode="directed")``.
    n_neighbors : int, default=10
        Neighbors of each sample, which differ from it and from each other: at most n_samples - 1,
        and fewer if fewer rows differ. Unused for a graph.
    metric : {"euclidean", "cosine"}, default="euclidean"
        The distance between samples.
    recall : float in (0, 1], optional
        As for `kneighbors`. Unused for a graph.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    scipy.sparse.csr_array of shape (n_samples, n_samples)
        Symmetric, without self-loops. A sample gives each of its neighbors the weight
        ``exp(-4 d**2 / s**2)``, where d is their distance and s the distance to its last neighbor.
        If two samples are neighbors of each other, both weights are added. Of equal samples, the
        first one is the neighbor of the others, with weight 1, and of the samples nearby. float64
        if X is, otherwise float32.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As for `kneighbors`.

    Notes
    -----
    The weights are those of Calder, Cook, Thorpe and Slepcev, "Poisson learning: graph based
    semi-supervised learning at very low label rates", ICML 2020. They do not depend on the scale of
    the data. Neighbors are searched among the samples that differ, so that a sample that occurs
    often keeps its neighbors. Time and memory
    beyond `kneighbors` are O(n_samples n_neighbors).

    Examples
    --------
    >>> import labelquorum as lq
    >>> lq.affinity_graph([[0.0], [1.0], [3.0]], 1).toarray().round(3)
    array([[0.   , 0.037, 0.   ],
           [0.037, 0.   , 0.018],
           [0.   , 0.018, 0.   ]])
    """
    as_choice(metric, "metric", METRICS)
    n_threads = as_n_threads(n_jobs)
    if sparse.issparse(X) and X.ndim == 2 and X.shape[0] == X.shape[1]:
        graph = _of_distances(as_graph(X, "X"), metric)
    else:
        samples = as_samples(X, "X")
        check_finite(samples, "X")
        distinct = DistinctRows.of(samples)
        rows = distinct.rows_of(samples)
        k = as_positive(n_neighbors, "n_neighbors")
        most = samples.shape[0] - 1
        if k > most:
            raise ValueError(
                f"n_neighbors must be at most {most}, the number of samples of X, less the sample "
                f"itself, got {k}"
            )
        search = Search(metric, recall, n_threads, verbose)
        targets, weights = _neighbors(rows, min(k, rows.shape[0] - 1), search)
        graph = _of_all_samples(targets, weights, distinct)
    return _in_both_directions(graph, n_threads, verbose)


class Search(NamedTuple):
    """How neighbors are searched; see the parameters of `affinity_graph`."""

    metric: str
    recall: float | None
    n_threads: int
    verbose: bool = False


def affinity_of_rows(
    rows: Any, weights: NDArray[np.float64], n_neighbors: int, search: Search
) -> sparse.csr_array:
    """Make an `affinity_graph` of distinct rows that stand for several samples each.

    `weights` are those of `DistinctRows`: what a row gives to its neighbors is multiplied by them.
    A row has fewer neighbors if there are fewer other rows, and a single row has none.
    """
    targets, affinities = _neighbors(rows, min(n_neighbors, rows.shape[0] - 1), search)
    affinities *= weights.astype(affinities.dtype)[:, None]
    return _in_both_directions(_of_lists(targets, affinities), search.n_threads, search.verbose)


def _neighbors(rows: Any, n_neighbors: int, search: Search) -> tuple[Integers, Floats]:
    """Return the neighbors of distinct rows and their affinities: (n_rows, n_neighbors)."""
    if n_neighbors == 0:  # There is only one row.
        return np.empty((1, 0), dtype=np.int64), np.empty((1, 0), dtype=rows.dtype)
    distances, indices = kneighbors(
        rows,
        n_neighbors,
        metric=search.metric,
        recall=search.recall,
        n_jobs=search.n_threads,
        verbose=search.verbose,
    )
    return indices, heat_weights(distances, distances[:, -1:], search.metric)


def _of_lists(targets: Integers, weights: Floats) -> _Graph:
    """Make a graph in which each node has equally many neighbors."""
    index_dtype = np.int32 if 2 * targets.size <= INT32_MAX else np.int64
    n, k = targets.shape
    indptr = k * np.arange(n + 1, dtype=index_dtype)
    return _Graph(indptr, targets.ravel().astype(index_dtype), weights.ravel())


def _of_all_samples(targets: Integers, weights: Floats, distinct: DistinctRows) -> _Graph:
    """Give all samples the neighbors of their rows.

    The first sample with each row stands for it: the others point to that one, too, with weight 1.
    """
    if not distinct.has_copies:
        return _of_lists(targets, weights)
    firsts = distinct.samples
    # An edge from a node to itself is dropped later.
    targets = np.column_stack([firsts[targets], firsts])
    weights = np.column_stack([weights, np.ones(len(weights), weights.dtype)])
    return _of_lists(targets[distinct.numbers], weights[distinct.numbers])


def _in_both_directions(graph: _Graph, n_threads: int, verbose: bool) -> sparse.csr_array:
    """Add the weights of both directions."""
    with progress(verbose) as show:
        indptr, targets, weights = _core.symmetrized_graph(
            *graph, "union", "sum", False, n_threads, show
        )
    n = len(indptr) - 1
    both_ways = sparse.csr_array((weights, targets, indptr), shape=(n, n))
    both_ways.has_sorted_indices = both_ways.has_canonical_format = True
    return both_ways


def _of_distances(graph: sparse.csr_array, metric: str) -> _Graph:
    """Replace the distances of a graph by weights."""
    is_distance = np.isfinite(graph.data) & (graph.data >= 0)
    if not is_distance.all():
        raise ValueError(
            "X, a graph, must hold distances (finite and at least 0), got "
            f"{graph.data[~is_distance][0]}"
        )
    rows = np.repeat(np.arange(graph.shape[0]), np.diff(graph.indptr))
    last_distances = np.zeros(graph.shape[0], dtype=graph.dtype)
    np.maximum.at(last_distances, rows, graph.data)
    weights = heat_weights(graph.data, last_distances[rows], metric)
    return _Graph(graph.indptr, graph.indices, weights)
