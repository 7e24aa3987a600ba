"""Nearest neighbours and graphs of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from labelquorum import _core
from labelquorum._shared.arguments import (
    INT32_MAX,
    as_choice,
    as_fraction,
    as_metric,
    as_n_threads,
    as_points,
    as_positive,
)
from labelquorum._shared.progress import progress

if TYPE_CHECKING:
    from scipy import sparse

MODES = ("union", "mutual", "directed")

Metric: TypeAlias = str | Callable[..., float]
Found: TypeAlias = tuple[NDArray[np.floating[Any]], NDArray[np.int64]]


class SearchQuality(NamedTuple):
    """How much of what was wanted a search found, measured against exact search."""

    recall: float
    """Share of the neighbours returned that are no farther than the last true one."""
    lower_bound: float
    """Of the recall on all samples like those measured, at 95 % confidence (99 % where a
    `NeighborSearcher` measured it)."""
    n_queries: int
    """Samples it was measured on; 0 where the search is exact."""
    method: str
    """What searched: "exact"; "cells" (`kneighbors`); "graph" (HNSW) or "lists" (inverted lists of
    compressed rows) of a `NeighborSearcher`."""


@overload
def kneighbors(
    X: Any,
    n_neighbors: int,
    *,
    metric: Metric = ...,
    recall: float | None = ...,
    Y: Any = ...,
    return_quality: Literal[False] = ...,
    n_jobs: int | None = ...,
    verbose: bool = ...,
) -> Found: ...
@overload
def kneighbors(
    X: Any,
    n_neighbors: int,
    *,
    metric: Metric = ...,
    recall: float | None = ...,
    Y: Any = ...,
    return_quality: Literal[True],
    n_jobs: int | None = ...,
    verbose: bool = ...,
) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64], SearchQuality]: ...
def kneighbors(
    X: Any,
    n_neighbors: int,
    *,
    metric: Metric = "euclidean",
    recall: float | None = None,
    Y: Any = None,
    return_quality: bool = False,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> Found | tuple[NDArray[np.floating[Any]], NDArray[np.int64], SearchQuality]:
    """Find the nearest neighbours of every sample.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The samples to search. float16, float32 and float64 are read as they are, whatever their
        strides, memory maps included; integers are converted.
    n_neighbors : int
        Neighbours of each sample: at most n_samples, or n_samples - 1 without `Y`.
    metric : {"euclidean", "cosine", "inner_product"} or C function, default="euclidean"
        "cosine" is 1 - cosine of the angle, and 1 where a sample is all zeros; "inner_product" is
        minus the inner product, so that smaller is nearer. A C function is given as Numba's
        ``cfunc`` or as a ctypes function pointer ``double (const double *a, const double *b,
        int64_t n_features)``. It is called from several threads at once, once for each pair.
    recall : float in (0, 1], optional
        The share of true neighbours that is enough; None for all of them. How the search gets
        there is chosen from the data. Where nothing but exact search does, or none is faster, it
        is exact; so it is with a metric of your own, and among some 10,000 samples or fewer.
    Y : array-like of shape (n_queries, n_features), optional
        The samples whose neighbours in X are wanted. None for those of X, each without itself.
    return_quality : bool, default=False
        Return the measured recall, too.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    distances : float array of shape (n_samples or n_queries, n_neighbors)
        Nearest first; float64 where X or Y is, else float32. Exact for the neighbours found.
    indices : int64 array of shape (n_samples or n_queries, n_neighbors)
        Rows of X. Of samples at the same distance, those of smaller index come first.
    quality : SearchQuality
        With `return_quality`: the recall as measured against exact search on 200 random queries.
        The search is tuned on 200 others; only where that turns out to be too little, on both.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type, shape or range, a value is NaN, infinite or beyond
        1e150, or a metric of your own returns NaN.
    MemoryError
        If too little memory is available.

    Notes
    -----
    Without `recall`: as if all pairs had been measured in double precision. In fact most are
    ruled out by dot products in low precision (bfloat16 where the processor has instructions for
    it, else float32) and a bound on their error; what is left is measured in double precision.
    Time is O(n_queries n_samples n_features); memory beyond the result is at most 1 GiB and some
    64 MiB per thread. Values that differ little beside their distance from the mean, as in tight
    clusters far from each other, leave more to measure and take longer.

    With `recall`: samples are projected to the directions in which they vary most and put into
    about ``2 * sqrt(n_samples)`` k-means cells. A query is compared with the samples of its own
    cell and of those whose centres are nearly as close, and the best by projected distance are
    measured in full: an inverted file (Jegou, Douze and Schmid, IEEE TPAMI 33(1), 2011) whose
    lists are searched by blocks of queries. How many cells and how many samples is read off 200
    random queries whose true neighbours are known, with room for the chance in that; 200 others
    measure the outcome. Time is about O((n_queries + n_samples) sqrt(n_samples) n_features) where
    samples lie in clusters or near a surface of few dimensions; memory beyond the result is 8
    bytes for each sample and coordinate compared (n_features, or at most 256 where these keep 85 %
    of the variance).

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

    Nine of ten neighbours are enough:

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(15_000, 2))
    >>> distances, indices, quality = lq.kneighbors(X, 10, recall=0.9, return_quality=True)
    >>> quality.recall >= 0.9
    True

    A distance of your own (``pip install "labelquorum[numba]"``):

    >>> from numba import carray, cfunc
    >>> @cfunc("float64(CPointer(float64), CPointer(float64), int64)")
    ... def chebyshev(a, b, n):
    ...     return np.abs(carray(a, n) - carray(b, n)).max()
    >>> lq.kneighbors([[0.0, 0.0], [3.0, 3.0], [0.0, 4.0]], 1, metric=chebyshev)[0].ravel()
    array([3., 3., 3.])
    """
    points = as_points(X, "X")
    queries = None if Y is None else as_points(Y, "Y", n_features=points.shape[1])
    name_or_address = as_metric(metric)
    if recall is not None:
        as_fraction(recall, "recall")
    k = as_positive(n_neighbors, "n_neighbors")
    most = len(points) - (queries is None)
    if k > most:
        others = "the samples of X" if queries is not None else "the samples of X, less itself"
        raise ValueError(f"n_neighbors is {k}; wanted at most {most}: {others}")
    n_threads = as_n_threads(n_jobs)
    with progress(verbose) as show:
        if isinstance(name_or_address, int):
            found = _core.custom_neighbors(points, queries, k, name_or_address, n_threads, show)
        else:
            share = 1.0 if recall is None else recall
            found = _core.neighbors(points, queries, k, name_or_address, share, n_threads, show)
    distances, indices, quality = found
    if return_quality:
        method = "cells" if quality[2] > 0 else "exact"
        return distances, indices, SearchQuality(*quality, method)
    return distances, indices


def kneighbors_graph(
    X: Any,
    n_neighbors: int,
    *,
    metric: Metric = "euclidean",
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
    metric : {"euclidean", "cosine", "inner_product"} or C function, default="euclidean"
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
    build = _core.neighbor_graph32 if edges <= INT32_MAX else _core.neighbor_graph64
    with progress(verbose) as show:
        indptr, targets, weights = build(indices, distances, mode, as_n_threads(n_jobs), show)
    graph = sparse.csr_array((weights, targets, indptr), shape=(n, n))
    graph.has_sorted_indices = graph.has_canonical_format = True
    return graph
