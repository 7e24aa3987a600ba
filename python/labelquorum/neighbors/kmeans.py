"""k-means by Lloyd's algorithm, with the same result for any number of threads."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.progress import Show
from labelquorum.neighbors.search import kneighbors

Rows: TypeAlias = NDArray[np.floating[Any]]
Weights: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.integer[Any]]

_ROWS_PER_BLOCK = 65_536


def kmeans_centers(
    rows: Rows,
    n_centers: int,
    n_rounds: int,
    rng: np.random.RandomState,
    n_threads: int,
    show: Show = None,
    weights: Weights | None = None,
) -> Rows:
    """Return centers of the rows, starting from random rows; fewer if there are fewer rows."""
    n = len(rows)
    first = np.sort(rng.choice(n, min(n, n_centers), replace=False))
    return moved_centers(rows, rows[first], n_rounds, n_threads, show, weights)


def moved_centers(
    rows: Rows,
    centers: Rows,
    n_rounds: int,
    n_threads: int,
    show: Show = None,
    weights: Weights | None = None,
) -> Rows:
    """Move the centers to the means of their rows until none moves, at most `n_rounds` times.

    Centers without rows stay where they are. In the means, rows count by their weights if there are
    any.
    """
    from scipy import sparse

    n = len(rows)
    centers = centers.copy()
    counted = np.ones(n, rows.dtype) if weights is None else weights.astype(rows.dtype)
    previous = None
    for i in range(n_rounds):
        nearest = nearest_center(rows, centers, n_threads)
        if previous is not None and np.array_equal(nearest, previous):
            break
        previous = nearest
        members = sparse.csr_array((counted, (nearest, np.arange(n))), shape=(len(centers), n))
        totals = np.bincount(nearest, counted, minlength=len(centers))
        has_rows = totals > 0
        centers[has_rows] = (members @ rows)[has_rows] / totals[has_rows, None]
        if show is not None:
            show("centers", (i + 1) / n_rounds)
    return centers


def spread_rows(rows: Rows, n_wanted: int, rng: np.random.RandomState) -> NDArray[np.int64]:
    """Choose distinct rows far from each other; fewer if fewer rows are distinct.

    k-means++ (Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007),
    taking the best of several draws in each step. Returns row numbers.
    """
    n_draws = 2 + int(np.log(n_wanted))
    chosen = [int(rng.randint(len(rows)))]
    to_nearest = _squared_distances(rows, chosen[0])
    while len(chosen) < n_wanted:
        sums = np.cumsum(to_nearest, dtype=np.float64)
        if not sums[-1] > 0:
            break
        drawn = np.searchsorted(sums, rng.random_sample(n_draws) * sums[-1], side="right")
        candidates = np.unique(np.minimum(drawn, len(rows) - 1)).tolist()
        with_candidate = [np.minimum(to_nearest, _squared_distances(rows, i)) for i in candidates]
        best = int(np.argmin([values.sum(dtype=np.float64) for values in with_candidate]))
        chosen.append(candidates[best])
        to_nearest = with_candidate[best]
    return np.array(chosen)


def _squared_distances(rows: Rows, i: int) -> Rows:
    differences = rows - rows[i]
    squared: Rows = np.einsum("ij,ij->i", differences, differences)
    return squared


def nearest_center(rows: Rows, centers: Rows, n_threads: int) -> NDArray[np.int64]:
    """Return the index of each row's nearest center."""
    return kneighbors(centers, 1, Y=rows, n_jobs=n_threads)[1].ravel()


def cluster_means(rows: Rows, clusters: Integers) -> Rows:
    """Return the mean of the rows of each cluster; rows with -1 are in no cluster."""
    from scipy import sparse

    members = np.flatnonzero(clusters >= 0)
    sums = np.zeros((int(clusters.max()) + 1, rows.shape[1]))
    for begin in range(0, len(members), _ROWS_PER_BLOCK):
        block = members[begin : begin + _ROWS_PER_BLOCK]
        entries = (clusters[block], np.arange(len(block)))
        shape = (len(sums), len(block))
        sums += sparse.csr_array((np.ones(len(block)), entries), shape=shape) @ rows[block]
    means: Rows = (sums / np.bincount(clusters[members])[:, None]).astype(rows.dtype)
    return means


def distances_to_means(rows: Rows, means: Rows, clusters: Integers) -> Rows:
    """Return each row's distance from the mean of its cluster; NaN for rows in no cluster."""
    distances = np.full(len(rows), np.nan, dtype=rows.dtype)
    members = np.flatnonzero(clusters >= 0)
    for begin in range(0, len(members), _ROWS_PER_BLOCK):
        block = members[begin : begin + _ROWS_PER_BLOCK]
        differences = rows[block] - means[clusters[block]]
        distances[block] = np.sqrt(np.einsum("ij,ij->i", differences, differences))
    return distances
