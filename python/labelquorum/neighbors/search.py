"""The nearest neighbors of every sample, exact or with a promised recall, and graphs of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, overload

import numpy as np

from labelquorum import _core
from labelquorum._shared.arguments import (
    INT32_MAX,
    METRICS,
    as_choice,
    as_fraction,
    as_metric,
    as_n_threads,
    as_positive,
)
from labelquorum._shared.progress import progress
from labelquorum._shared.samples import as_samples, check_finite, in_form_of
from labelquorum.neighbors.dense_search import Distances, Indices, dense_neighbors

if TYPE_CHECKING:
    from scipy import sparse

MODES = ("union", "mutual", "directed")

Metric: TypeAlias = str | Callable[..., float]


class SearchQuality(NamedTuple):
    """The recall of a search, measured against exact search."""

    recall: float
    """Share of the returned neighbors that are no farther than the last true neighbor."""
    lower_bound: float
    """Lower bound of the recall on all samples like those measured, at 95 % confidence (99 % if a
    `NeighborSearcher` measured it)."""
    n_queries: int
    """Number of samples it was measured on; 0 if the search is exact."""
    method: str
    """The method: "exact", "cells" (`kneighbors`), "graph" (HNSW) or "lists" (inverted lists of
    compressed rows; both `NeighborSearcher`)."""


EXACT = SearchQuality(1.0, 1.0, 0, "exact")


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
) -> tuple[Distances, Indices]: ...
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
) -> tuple[Distances, Indices, SearchQuality]: ...
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
) -> tuple[Distances, Indices] | tuple[Distances, Indices, SearchQuality]:
    """Find the nearest neighbors of every sample.

    Parameters
    ----------
    X : array-like or SciPy sparse matrix of shape (n_samples, n_features)
        The samples to search: an array, a data frame, a tensor or a sparse matrix. float16, float32
        and float64 are read without a copy, with any strides and from memory maps; integers are
        converted.
    n_neighbors : int
        Number of neighbors of each sample: at most n_samples, or n_samples - 1 without `Y`.
    metric : {"euclidean", "cosine", "inner_product"} or C function, default="euclidean"
        "cosine" is 1 minus the cosine of the angle, or 1 if a sample is all zeros. "inner_product"
        is minus the inner product, so that smaller is nearer. A C function is Numba's ``cfunc`` or
        a ctypes function pointer ``double (const double *a, const double *b, int64_t
        n_features)``. It is called once per pair, from several threads at once.
    recall : float in (0, 1], optional
        Share of the true neighbors that is enough; None for all. The search is tuned on the data
        to reach it. It is exact if no other search reaches the recall or is faster, if the metric
        is a C function, for sparse X, and for up to about 10,000 samples.
    Y : array-like or SciPy sparse matrix of shape (n_queries, n_features), optional
        The samples whose neighbors in X to find. None for the samples of X, each without itself.
    return_quality : bool, default=False
        Whether to return the measured recall as well.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    distances : float array of shape (n_samples or n_queries, n_neighbors)
        Nearest first. float64 if X or Y is, otherwise float32. Exact for the neighbors found.
    indices : int64 array of shape (n_samples or n_queries, n_neighbors)
        Row numbers of X. Of samples at the same distance, the smaller index comes first.
    quality : SearchQuality
        Only with `return_quality`: the recall, measured against exact search on 200 random queries.
        The search is tuned on 200 others, or on all 400 if these turn out to be too few.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, if a value is NaN, infinite or beyond
        1e150, or if a C function returns NaN.
    MemoryError
        If too little memory is available.

    Notes
    -----
    Without `recall`, the result is as if all distances had been computed in double precision. In
    fact, dot products in low precision (bfloat16 if the processor has instructions for it,
    otherwise float32) and a bound on their error rule out most pairs; only the rest is computed in
    double precision. The time is O(n_queries n_samples n_features). Memory beyond the result is at
    most 1 GiB and about 64 MiB per thread. Data in tight clusters far from each other take longer:
    low precision then rules out fewer pairs.

    Sparse rows are compared by SciPy's sparse product, on one thread, and with a copy of X and of
    its transpose. 20,000 rows with 90 of 30,000 columns each take about 25 seconds and 0.3 GiB.
    Distances are those of the dense rows, but for the last digits. If only Y is sparse, it is made
    dense, and the other way round.

    With `recall`, samples are projected to the directions in which they vary most and divided into
    about ``2 * sqrt(n_samples)`` k-means cells. A query is compared with the samples of its own
    cell and of cells whose centers are nearly as close. True distances are computed for the best
    candidates. This is an inverted file (Jegou, Douze and Schmid, IEEE TPAMI 33(1), 2011) whose
    lists are searched by blocks of queries. The numbers of cells and candidates are tuned on 200
    random queries whose true neighbors are known, with a margin for chance; 200 others measure the
    outcome. The time is about O((n_queries + n_samples) sqrt(n_samples) n_features) if the samples
    lie in clusters or near a surface of few dimensions. Memory beyond the result is 8 bytes per
    sample and compared coordinate (n_features, or up to 256 if these keep 85 % of the variance).

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

    The nearest sample to each of two others, by direction:

    >>> distances, indices = lq.kneighbors(
    ...     [[1.0, 0.0], [0.0, 2.0]], 1, metric="cosine", Y=[[5.0, 1.0], [1.0, 3.0]]
    ... )
    >>> indices.ravel()
    array([0, 1])

    Nine of ten neighbors are enough:

    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(15_000, 2))
    >>> distances, indices, quality = lq.kneighbors(X, 10, recall=0.9, return_quality=True)
    >>> quality.recall >= 0.9
    True

    Your own distance (``pip install "labelquorum[numba]"``):

    >>> from numba import carray, cfunc
    >>> @cfunc("float64(CPointer(float64), CPointer(float64), int64)")
    ... def chebyshev(a, b, n):
    ...     return np.abs(carray(a, n) - carray(b, n)).max()
    >>> lq.kneighbors([[0.0, 0.0], [3.0, 3.0], [0.0, 4.0]], 1, metric=chebyshev)[0].ravel()
    array([3., 3., 3.])
    """
    points = as_samples(X, "X")
    queries = None
    if Y is not None:
        queries = in_form_of(points, as_samples(Y, "Y", n_features=points.shape[1]))
    name_or_address = as_metric(metric)
    if recall is not None:
        as_fraction(recall, "recall")
    k = as_positive(n_neighbors, "n_neighbors")
    most = points.shape[0] - (queries is None)
    if k > most:
        limit = "the number of samples of X" + (
            ", less the sample itself" if queries is None else ""
        )
        raise ValueError(f"n_neighbors must be at most {most}, {limit}, got {k}")
    n_threads = as_n_threads(n_jobs)
    if not isinstance(points, np.ndarray):
        distances, indices = _sparse_neighbors(points, queries, k, name_or_address, verbose)
        return (distances, indices, EXACT) if return_quality else (distances, indices)
    with progress(verbose) as show:
        if isinstance(name_or_address, int):
            distances, indices, quality = _core.custom_neighbors(
                points, queries, k, name_or_address, n_threads, show
            )
        else:
            distances, indices, quality = dense_neighbors(
                points, queries, k, name_or_address, recall, n_threads, show
            )
    if return_quality:
        method = "cells" if quality[2] > 0 else "exact"
        return distances, indices, SearchQuality(*quality, method)
    return distances, indices


def _sparse_neighbors(
    points: sparse.csr_array,
    queries: Any,
    k: int,
    metric: str | int,
    verbose: bool,
) -> tuple[Distances, Indices]:
    from labelquorum.neighbors.sparse_search import sparse_neighbors

    if isinstance(metric, int):
        raise TypeError(
            f"metric must be one of {', '.join(map(repr, METRICS))} for sparse X, got a C "
            "function: use X.toarray()"
        )
    check_finite(points, "X")
    if queries is not None:
        check_finite(queries, "Y")
    with progress(verbose) as show:
        return sparse_neighbors(points, queries, k, metric, show)


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
    """Connect each sample with its nearest neighbors.

    Parameters
    ----------
    X : array-like or SciPy sparse matrix of shape (n_samples, n_features)
        The samples, as for `kneighbors`.
    n_neighbors : int
        Number of neighbors of each sample, itself not counted: at most n_samples - 1.
    metric : {"euclidean", "cosine", "inner_product"} or C function, default="euclidean"
        As for `kneighbors`.
    recall : float in (0, 1], optional
        As for `kneighbors`.
    mode : {"union", "mutual", "directed"}, default="union"
        "union": join two samples if one is a neighbor of the other. "mutual": join them if each is
        a neighbor of the other. Both are symmetric. "directed": edges from each sample to its
        neighbors.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    CSR array of shape (n_samples, n_samples)
        The distances, with sorted indices and without self-loops. The distance 0 between identical
        samples is stored, so do not call ``eliminate_zeros``.

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
