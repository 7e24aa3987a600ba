"""Lloyd's algorithm, the same for any number of threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelquorum.neighbors.search import kneighbors

Rows = NDArray[np.float32]
Integers = NDArray[np.integer[Any]]

_ROWS_PER_BLOCK = 65_536


def kmeans_centers(
    rows: Rows,
    n_centers: int,
    n_rounds: int,
    rng: np.random.RandomState,
    n_threads: int,
    show: Callable[[str, float], None] | None = None,
) -> Rows:
    """Centres of the rows, from random rows on; fewer than n_centers where there are fewer rows."""
    n = len(rows)
    first = np.sort(rng.choice(n, min(n, n_centers), replace=False))
    return moved_centers(rows, rows[first], n_rounds, n_threads, show)


def moved_centers(
    rows: Rows,
    centers: Rows,
    n_rounds: int,
    n_threads: int,
    show: Callable[[str, float], None] | None = None,
) -> Rows:
    """The centres after some rounds, or as soon as none moves; those without rows stay."""
    from scipy import sparse

    n = len(rows)
    centers = centers.copy()
    ones = np.ones(n, dtype=np.float32)
    last = None
    for i in range(n_rounds):
        nearest = nearest_center(rows, centers, n_threads)
        if last is not None and np.array_equal(nearest, last):
            break
        last = nearest
        members = sparse.csr_array((ones, (nearest, np.arange(n))), shape=(len(centers), n))
        counts = np.bincount(nearest, minlength=len(centers))
        filled = counts > 0
        centers[filled] = (members @ rows)[filled] / counts[filled, None]
        if show is not None:
            show("centres", (i + 1) / n_rounds)
    return centers


def spread_rows(rows: Rows, n_wanted: int, rng: np.random.RandomState) -> NDArray[np.int64]:
    """So many distinct rows, far from each other; fewer where fewer differ.

    k-means++ (Arthur and Vassilvitskii, "k-means++: the advantages of careful seeding", SODA
    2007), the best of some draws each
    time.
    """
    n_draws = 2 + int(np.log(n_wanted))
    chosen = [int(rng.randint(len(rows)))]
    least = _squared_distances(rows, chosen[0])
    while len(chosen) < n_wanted:
        sums = np.cumsum(least, dtype=np.float64)
        if not sums[-1] > 0:
            break
        places = np.searchsorted(sums, rng.random_sample(n_draws) * sums[-1], side="right")
        drawn = np.unique(np.minimum(places, len(rows) - 1)).tolist()
        left = [np.minimum(least, _squared_distances(rows, row)) for row in drawn]
        best = int(np.argmin([values.sum(dtype=np.float64) for values in left]))
        chosen.append(drawn[best])
        least = left[best]
    return np.array(chosen)


def _squared_distances(rows: Rows, row: int) -> Rows:
    differences = rows - rows[row]
    found: Rows = np.einsum("ij,ij->i", differences, differences)
    return found


def nearest_center(rows: Rows, centers: Rows, n_threads: int) -> NDArray[np.int64]:
    """The nearest centre of each row."""
    return kneighbors(centers, 1, Y=rows, n_jobs=n_threads)[1].ravel()


def cluster_means(rows: Rows, clusters: Integers) -> Rows:
    """The mean of the rows of each cluster; rows of cluster -1 are in none."""
    from scipy import sparse

    members = np.flatnonzero(clusters >= 0)
    sums = np.zeros((int(clusters.max()) + 1, rows.shape[1]))
    for begin in range(0, len(members), _ROWS_PER_BLOCK):
        block = members[begin : begin + _ROWS_PER_BLOCK]
        places = (clusters[block], np.arange(len(block)))
        shape = (len(sums), len(block))
        sums += sparse.csr_array((np.ones(len(block)), places), shape=shape) @ rows[block]
    means: Rows = (sums / np.bincount(clusters[members])[:, None]).astype(np.float32)
    return means


def distances_to_means(rows: Rows, means: Rows, clusters: Integers) -> Rows:
    """Of each row from the mean of its cluster; NaN without one."""
    found = np.full(len(rows), np.nan, dtype=np.float32)
    members = np.flatnonzero(clusters >= 0)
    for begin in range(0, len(members), _ROWS_PER_BLOCK):
        block = members[begin : begin + _ROWS_PER_BLOCK]
        differences = rows[block] - means[clusters[block]]
        found[block] = np.sqrt(np.einsum("ij,ij->i", differences, differences))
    return found
