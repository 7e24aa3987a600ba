"""TODO."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labelquorum import _core
from labelquorum._shared.arguments import (
    INT32_MAX,
    as_choice,
    as_graph,
    as_n_threads,
)
from labelquorum._shared.progress import progress
from labelquorum.neighbors.search import kneighbors

METRICS = ("euclidean", "cosine")


def heat_weights(
    distances: NDArray[np.floating[Any]], last: NDArray[np.floating[Any]], metric: str
) -> NDArray[np.floating[Any]]:
    """exp(-4 d^2 / s^2), s the distance of the last neighbour: never 0, at any scale."""
    with np.errstate(invalid="ignore"):
        ratios = distances / last
    ratios = np.nan_to_num(ratios, copy=False, nan=0.0)  # all of a sample's neighbours equal it
    # The cosine distance is half the squared distance of unit vectors.
    squared = ratios if metric == "cosine" else ratios * ratios
    weights: NDArray[np.floating[Any]] = np.exp(-4 * squared)
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
    """Connect every sample with its nearest neighbours, with weights that fall with the distance.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features), or SciPy sparse graph of distances
        The samples, as for `kneighbors`. Or, of shape (n_samples, n_samples), the distance from
        each to its neighbours, as `kneighbors_graph` and `KNeighborsTransformer` (also that of
        scikit-learn) give it; the diagonal does not count.
    n_neighbors : int, default=10
        Neighbours of each sample, itself not counted: at most n_samples - 1. Not for a graph.
    metric : {"euclidean", "cosine"}, default="euclidean"
        The distance between samples.
    recall : float in (0, 1], optional
        As for `kneighbors`. Not for a graph.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    scipy.sparse.csr_array of shape (n_samples, n_samples)
        Symmetric, without self-loops. A sample gives each of its neighbours the weight
        ``exp(-4 d**2 / s**2)``, d their distance, s that of its last neighbour; where each of two
        is a neighbour of the other, both weights add up. float64 where X is, else float32.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As for `kneighbors`.

    Notes
    -----
    The weights of Calder, Cook, Thorpe and Slepcev, "Poisson learning: graph based semi-supervised
    learning at very low label rates", ICML 2020. They do not depend on the scale of the data, and
    every sample keeps its neighbours, duplicates or not. Time and memory beyond `kneighbors` are
    O(n_samples n_neighbors).

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
    if sparse.issparse(X):
        starts, targets, weights = _weights_of_graph(as_graph(X, "X"), metric)
        n = len(starts) - 1
    else:
        distances, indices = kneighbors(
            X, n_neighbors, metric=metric, recall=recall, n_jobs=n_jobs, verbose=verbose
        )
        weights = heat_weights(distances, distances[:, -1:], metric).ravel()
        n, k = indices.shape
        dtype = np.int32 if 2 * n * k <= INT32_MAX else np.int64
        targets = indices.ravel().astype(dtype)
        del distances, indices
        starts = np.arange(0, n * k + 1, k, dtype=dtype)
    with progress(verbose) as show:
        indptr, targets, weights = _core.symmetrized_graph(
            starts, targets, weights, "union", "sum", False, n_threads, show
        )
    graph = sparse.csr_array((weights, targets, indptr), shape=(n, n))
    graph.has_sorted_indices = graph.has_canonical_format = True
    return graph


def _weights_of_graph(
    graph: sparse.csr_array, metric: str
) -> tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]], NDArray[np.floating[Any]]]:
    """The parts of a graph of distances, these turned into weights."""
    if not (np.isfinite(graph.data).all() and (graph.data >= 0).all()):
        raise ValueError("X, a graph, holds NaN, infinity or a negative value; wanted distances")
    rows = np.repeat(np.arange(graph.shape[0]), np.diff(graph.indptr))
    last = np.zeros(graph.shape[0], dtype=graph.dtype)
    np.maximum.at(last, rows, graph.data)
    return graph.indptr, graph.indices, heat_weights(graph.data, last[rows], metric)
