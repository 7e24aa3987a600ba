"""Nearest neighbours and graphs of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelquorum import _core
from labelquorum._progress import progress
from labelquorum._validation import as_choice, as_fraction, as_n_threads, as_points, as_positive

if TYPE_CHECKING:
    from scipy import sparse

METRICS = ("euclidean", "cosine", "inner_product")
MODES = ("union", "mutual", "directed")
_INT32_MAX = int(np.iinfo(np.int32).max)


def kneighbors(
    X: Any,
    n_neighbors: int,
    *,
    metric: Literal["euclidean", "cosine", "inner_product"] = "euclidean",
    recall: float | None = None,
    Y: Any = None,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64]]:
    """Find the nearest neighbours of every sample.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The samples to search. float16, float32 and float64 are read as they are, whatever their
        strides, memory maps included; integers are converted.
    n_neighbors : int
        Neighbours of each sample: at most n_samples, or n_samples - 1 without `Y`.
    metric : {"euclidean", "cosine", "inner_product"}, default="euclidean"
        "cosine" is 1 - cosine of the angle, and 1 where a sample is all zeros; "inner_product" is
        minus the inner product, so that smaller is nearer.
    recall : float in (0, 1], optional
        The share of true neighbours that is enough; None for all of them. At present the search is
        exact whatever is given.
    Y : array-like of shape (n_queries, n_features), optional
        The samples whose neighbours in X are wanted. None for those of X, each without itself.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    distances : float array of shape (n_samples or n_queries, n_neighbors)
        Nearest first; float64 where X or Y is, else float32.
    indices : int64 array of shape (n_samples or n_queries, n_neighbors)
        Rows of X. Of samples at the same distance, those of smaller index come first.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type, shape or range, or a value is NaN, infinite or beyond
        1e150.
    MemoryError
        If too little memory is available.

    Notes
    -----
    Exact: as if all pairs had been measured in double precision. In fact most are ruled out by
    dot products in low precision (bfloat16 where the processor multiplies matrices of it, else
    float32) and a bound on their error; what is left is measured in double precision. Time is
    O(n_queries n_samples n_features); memory beyond the result is at most some 64 MiB per thread.

    Values that differ little beside their distance from the mean, as in tight clusters far from
    each other, leave more to measure and take longer.

    Examples
    --------
    >>> import labelquorum as lq
    >>> distances, indices = lq.kneighbors([[0.0], [1.0], [3.0], [1.0]], 2)
    >>> indices
    array([[1, 3],
           [3, 0],
           [1, 3],
           [1, 0]])
    >>> distances
    array([[1., 1.],
           [0., 1.],
           [2., 2.],
           [0., 1.]])

    The sample nearest to each of two others, by direction:

    >>> distances, indices = lq.kneighbors(
    ...     [[1.0, 0.0], [0.0, 2.0]], 1, metric="cosine", Y=[[5.0, 1.0], [1.0, 3.0]]
    ... )
    >>> indices.ravel()
    array([0, 1])
    """
    points = as_points(X, "X")
    queries = None if Y is None else as_points(Y, "Y", n_features=points.shape[1])
    as_choice(metric, "metric", METRICS)
    if recall is not None:
        as_fraction(recall, "recall")
    k = as_positive(n_neighbors, "n_neighbors")
    most = len(points) - (queries is None)
    if k > most:
        others = "the samples of X" if queries is not None else "the samples of X, less itself"
        raise ValueError(f"n_neighbors is {k}; wanted at most {most}: {others}")
    n_threads = as_n_threads(n_jobs)
    with progress(verbose) as show:
        distances, indices, quality = _core.neighbors(
            points, queries, k, metric, 1.0 if recall is None else recall, n_threads, show
        )
    print(quality)
    return distances, indices


def kneighbors_graph(
    X: Any,
    n_neighbors: int,
    *,
    metric: Literal["euclidean", "cosine", "inner_product"] = "euclidean",
    recall: float | None = None,
    mode: Literal["union", "mutual", "directed"] = "union",
    n_jobs: int | None = None,
    verbose: bool = False,
) -> sparse.csr_array:
    """Connect every sample with its nearest neighbours.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The samples, as for `kneighbors`.
    n_neighbors : int
        Neighbours of each sample, itself not counted: at most n_samples - 1.
    metric : {"euclidean", "cosine", "inner_product"}, default="euclidean"
        As for `kneighbors`.
    recall : float in (0, 1], optional
        As for `kneighbors`.
    mode : {"union", "mutual", "directed"}, default="union"
        "union": an edge where one of two samples is a neighbour of the other; "mutual": where each
        is; both symmetric. "directed": from each sample to its neighbours.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    CSR array of shape (n_samples, n_samples)
        Distances; sorted indices, no self-loops. The distance 0 between identical samples is
        stored: do not call ``eliminate_zeros``.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As for `kneighbors`.

    Notes
    -----
    Time and memory beyond `kneighbors` are O(n_samples n_neighbors).

    Examples
    --------
    >>> import labelquorum as lq
    >>> X = [[0.0], [1.0], [3.0], [1.0]]
    >>> lq.kneighbors_graph(X, 1, mode="directed").indices
    array([1, 3, 1, 1], dtype=int32)
    >>> graph = lq.kneighbors_graph(X, 1)
    >>> graph.nnz, graph[[1]].indices, graph[[1]].data
    (6, array([0, 2, 3], dtype=int32), array([1., 2., 0.]))
    """
    from scipy import sparse

    as_choice(mode, "mode", MODES)
    distances, indices = kneighbors(
        X, n_neighbors, metric=metric, recall=recall, n_jobs=n_jobs, verbose=verbose
    )
    n = len(indices)
    edges = indices.size if mode == "directed" else 2 * indices.size
    build = _core.neighbor_graph32 if edges <= _INT32_MAX else _core.neighbor_graph64
    with progress(verbose) as show:
        indptr, targets, weights = build(indices, distances, mode, as_n_threads(n_jobs), show)
    graph = sparse.csr_array((weights, targets, indptr), shape=(n, n))
    graph.has_sorted_indices = graph.has_canonical_format = True
    return graph
