"""Exact nearest neighbors among sparse rows.

Blocks of queries are multiplied with all rows (SciPy's sparse product), in double precision. The
products rank the rows. The distances of the best 2 k + 32 of each query are then computed from
differences, since products cancel where rows are nearly equal, and sorted.

Rows of which more than half of the values are stored are searched as dense ones.

The time is that of the product, which SciPy computes on one thread, plus a few passes over
n_queries x n_samples values. Memory beyond a copy of the rows and their transpose is about 256 MiB,
whatever the number of columns.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labelquorum._shared.progress import Show
from labelquorum.neighbors.dense_search import POWERS, dense_neighbors, exponent_for_squares

_VALUES_PER_BLOCK = 1 << 22  # products that are held at once
_MAX_ROWS_PER_BLOCK = 1024
_EXTRA_CANDIDATES = 32
_DENSE_SHARE = 0.5  # of stored values: as a dense array, the rows take no more memory


def sparse_neighbors(
    points: sparse.csr_array,
    queries: sparse.csr_array | None,
    k: int,
    metric: str,
    show: Show = None,
) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64]]:
    """Return distances and indices of the k nearest points of each query, as `kneighbors` does.

    Parameters
    ----------
    points, queries : CSR arrays with the same number of columns
        Finite, with sorted rows that hold each column once. Without queries, the neighbors of each
        point among the others are found.
    """
    if points.nnz > _DENSE_SHARE * points.shape[0] * points.shape[1]:
        dense_queries = None if queries is None else queries.toarray()
        return dense_neighbors(points.toarray(), dense_queries, k, metric, None, 1, show)[:2]
    exponent = exponent_for_squares(points.data, points.data if queries is None else queries.data)
    if exponent:
        points = _scaled(points, exponent)
        queries = None if queries is None else _scaled(queries, exponent)
        distances, indices = sparse_neighbors(points, queries, k, metric, show)
        return np.ldexp(distances, -exponent * POWERS[metric]), indices
    is_double = np.float64 in (points.dtype, points.dtype if queries is None else queries.dtype)
    search = _Search(points, queries, k, metric)
    n_queries = search.queries.shape[0]
    distances = np.empty((n_queries, k), dtype=np.float64 if is_double else np.float32)
    indices = np.empty((n_queries, k), dtype=np.int64)
    n_rows = min(_MAX_ROWS_PER_BLOCK, max(1, _VALUES_PER_BLOCK // points.shape[0]))
    for begin in range(0, n_queries, n_rows):
        block = slice(begin, min(begin + n_rows, n_queries))
        distances[block], indices[block] = search.nearest(block)
        if show is not None:
            show("search", block.stop / n_queries)
    return distances, indices


def _scaled(rows: sparse.csr_array, exponent: int) -> sparse.csr_array:
    parts = (np.ldexp(rows.data, exponent), rows.indices, rows.indptr)
    return sparse.csr_array(parts, shape=rows.shape)


class _Search:
    """What all blocks of queries share."""

    def __init__(
        self, points: sparse.csr_array, queries: sparse.csr_array | None, k: int, metric: str
    ) -> None:
        self._points = _prepared(points, metric)
        self._transposed = self._points.T.tocsr()
        self._is_without_itself = queries is None
        self.queries = self._points if queries is None else _prepared(queries, metric)
        self._k, self._metric = k, metric
        n_others = points.shape[0] - self._is_without_itself
        self._n_candidates = min(n_others, 2 * k + _EXTRA_CANDIDATES)
        if metric == "euclidean":
            self._squares = self._points.power(2).sum(axis=1)
        if metric == "cosine":
            self._is_zero_point = np.diff(self._points.indptr) == 0

    def nearest(self, block: slice) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return distances and indices of the neighbors of a block of queries."""
        queries = self.queries[block]
        values = -(queries @ self._transposed).toarray()
        if self._metric == "euclidean":
            values *= 2
            values += self._squares  # of each query, its square is missing: that ranks no point
        n = len(values)
        if self._is_without_itself:
            values[np.arange(n), np.arange(block.start, block.start + n)] = np.inf
        candidates = _smallest(values, self._n_candidates)
        measured = self._measured(queries, values, candidates)
        by_value = np.argsort(measured, axis=1, kind="stable")[:, : self._k]
        measured = np.take_along_axis(measured, by_value, axis=1)
        distances = np.sqrt(measured) if self._metric == "euclidean" else measured
        return distances, np.take_along_axis(candidates, by_value, axis=1)

    def _measured(
        self,
        queries: sparse.csr_array,
        values: NDArray[np.float64],
        candidates: NDArray[np.int64],
    ) -> NDArray[np.float64]:
        """Return the distances of the candidates; squared ones if Euclidean."""
        if self._metric == "inner_product":
            products: NDArray[np.float64] = np.take_along_axis(values, candidates, axis=1)
            return products
        squared = self._squared_distances(queries, candidates)
        if self._metric == "euclidean":
            return squared
        is_zero_query = np.diff(queries.indptr) == 0
        return np.where(is_zero_query[:, None] | self._is_zero_point[candidates], 1.0, squared / 2)

    def _squared_distances(
        self, queries: sparse.csr_array, candidates: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        n_entries = candidates.shape[1] * np.diff(queries.indptr)
        n_entries += np.diff(self._points.indptr)[candidates].sum(axis=1)
        parts = np.cumsum(n_entries) // _VALUES_PER_BLOCK
        squared = np.empty(candidates.shape)
        for rows in np.split(np.arange(len(candidates)), np.flatnonzero(np.diff(parts)) + 1):
            repeated = queries[np.repeat(rows, candidates.shape[1])]
            differences = repeated - self._points[candidates[rows].ravel()]
            squared[rows] = differences.power(2).sum(axis=1).reshape(len(rows), -1)
        return squared


def _prepared(rows: sparse.csr_array, metric: str) -> sparse.csr_array:
    """Return the rows in double precision, without stored zeros; of length 1 for cosines."""
    rows = rows.astype(np.float64)  # a copy, even of float64
    rows.eliminate_zeros()
    if metric != "cosine":
        return rows
    sizes = np.diff(rows.indptr)
    largest = abs(rows).max(axis=1).toarray().ravel()
    # Divided by it first, because squares could overflow or vanish.
    rows.data /= np.repeat(largest, sizes)
    lengths = np.sqrt(rows.power(2).sum(axis=1))
    rows.data /= np.repeat(lengths, sizes)
    return rows


def _smallest(values: NDArray[np.float64], m: int) -> NDArray[np.int64]:
    """Return the columns of the m smallest values of each row, ascending; of ties the first."""
    n = len(values)
    last = np.partition(values, m - 1, axis=1)[:, m - 1, None]
    rows, columns = np.nonzero(values <= last)
    is_tie = values[rows, columns] == last[rows, 0]
    # Of the ties of each row, as many as there is room for.
    n_less = m - np.bincount(rows[~is_tie], minlength=n)
    n_ties = np.cumsum(is_tie)
    first_of_row = np.searchsorted(rows, np.arange(n))
    n_ties_before = n_ties[first_of_row] - is_tie[first_of_row]
    is_kept = ~is_tie | (n_ties - n_ties_before[rows] <= n_less[rows])
    smallest: NDArray[np.int64] = columns[is_kept].reshape(n, m)
    return smallest
