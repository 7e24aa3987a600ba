"""Graphs of nearest neighbors with weights that fall with the distance."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labelquorum import _core
from labelquorum._shared.arguments import INT32_MAX, as_choice, as_n_threads
from labelquorum._shared.progress import progress
from labelquorum._shared.samples import as_graph
from labelquorum.neighbors.search import kneighbors

METRICS = ("euclidean", "cosine")


Floats: TypeAlias = NDArray[np.floating[Any]]
Integers: TypeAlias = NDArray[np.integer[Any]]


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
        Neighbors of each sample, itself not counted: at most n_samples - 1. Unused for a graph.
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
        If two samples are neighbors of each other, both weights are added. float64 if X is,
        otherwise float32.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As for `kneighbors`.

    Notes
    -----
    The weights are those of Calder, Cook, Thorpe and Slepcev, "Poisson learning: graph based
    semi-supervised learning at very low label rates", ICML 2020. They do not depend on the scale of
    the data, and each sample keeps all its neighbors, even if it has duplicates. Time and memory
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
        edges = _weighted_graph(as_graph(X, "X"), metric)
        return _both_ways(*edges, n_threads, verbose)
    return affinities_of_samples(
        X, n_neighbors, metric=metric, recall=recall, n_threads=n_threads, verbose=verbose
    )


def affinities_of_samples(
    X: Any,
    n_neighbors: int,
    *,
    metric: str,
    recall: float | None = None,
    n_threads: int,
    verbose: bool = False,
) -> sparse.csr_array:
    """Return what `affinity_graph` does, of samples even if they are a square sparse matrix."""
    distances, indices = kneighbors(
        X, n_neighbors, metric=metric, recall=recall, n_jobs=n_threads, verbose=verbose
    )
    weights = heat_weights(distances, distances[:, -1:], metric).ravel()
    index_dtype = np.int32 if 2 * indices.size <= INT32_MAX else np.int64
    targets: Integers = indices.ravel().astype(index_dtype)
    indptr: Integers = np.arange(0, indices.size + 1, indices.shape[1], dtype=index_dtype)
    del distances, indices
    return _both_ways(indptr, targets, weights, n_threads, verbose)


def _both_ways(
    indptr: Integers, targets: Integers, weights: Floats, n_threads: int, verbose: bool
) -> sparse.csr_array:
    """Return the symmetric graph, with the sum of the weights of both directions."""
    n = len(indptr) - 1
    with progress(verbose) as show:
        indptr, targets, weights = _core.symmetrized_graph(
            indptr, targets, weights, "union", "sum", False, n_threads, show
        )
    graph = sparse.csr_array((weights, targets, indptr), shape=(n, n))
    graph.has_sorted_indices = graph.has_canonical_format = True
    return graph


def _weighted_graph(graph: sparse.csr_array, metric: str) -> tuple[Integers, Integers, Floats]:
    """Return the parts of a graph of distances, with weights in place of the distances."""
    is_distance = np.isfinite(graph.data) & (graph.data >= 0)
    if not is_distance.all():
        raise ValueError(
            "X, a graph, must hold distances (finite and at least 0), got "
            f"{graph.data[~is_distance][0]}"
        )
    rows = np.repeat(np.arange(graph.shape[0]), np.diff(graph.indptr))
    last_distances = np.zeros(graph.shape[0], dtype=graph.dtype)
    np.maximum.at(last_distances, rows, graph.data)
    return graph.indptr, graph.indices, heat_weights(graph.data, last_distances[rows], metric)
