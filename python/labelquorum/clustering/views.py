"""Views: graphs of neighbors that differ, and the partitions that each of them gives.

A view looks at the samples in one of two spaces (Euclidean, or cosine), with a random number of
neighbors, either as they are or averaged over their neighbors. `View.partitions` cuts its graph
into communities and clusters its averaged rows by k-means. Everything random is decided by the
view's seed, so that views can be made in any order. Nearly linear in the number of rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import eigh
from scipy.sparse.csgraph import connected_components
from threadpoolctl import threadpool_limits

from labelquorum import _core
from labelquorum._shared.distinct import DistinctRows
from labelquorum._shared.frame import MAX_COLUMNS, VARIANCE_ROWS, Rows, unit_rows
from labelquorum.graphs.affinity import Search, affinity_of_rows
from labelquorum.graphs.csr import normalize_graph
from labelquorum.neighbors.kmeans import kmeans_centers, nearest_center
from labelquorum.neighbors.search import kneighbors

Partitions = NDArray[np.int32]
"""(n_samples, n_partitions), or (n_samples,) for one: clusters from 0, -1 for an abstention."""

Integers = NDArray[np.integer[Any]]
Float64Array = NDArray[np.float64]

RECALL = 0.95
"""Share of the nearest neighbors that searches have to find."""
PARTITIONS_PER_VIEW = 4  # one of them by k-means
_FEWEST_NEIGHBORS, _MOST_NEIGHBORS = 10, 30
_SMOOTHING_STEPS = 2
_ROWS_PER_CENTER = 50
_MIN_TRAINING_ROWS = 5_000
_KMEANS_ROUNDS = 15
_COMMUNITY_ROUNDS = 2
_PROBED_RESOLUTIONS = (0.3, 1.0, 3.0, 10.0, 30.0)
_COMPARED_ROWS, _COMPARED_NEIGHBORS = 2_000, 20
_FEWEST_SAMPLES_APART = 3
WIDE_RESOLUTIONS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
"""From so low ones on that a graph stays whole, if it is connected."""


class Space(NamedTuple):
    """The distinct rows in which neighbors are searched, and the same rows in fewer columns."""

    rows: Rows
    """(n_rows, n_columns); of length 1 where `is_cosine`."""
    narrow_rows: Rows
    """(n_rows, at most 64): the rows, or their projection on their main directions."""
    weights: Float64Array
    """(n_rows,): how many samples each row stands for, in units of the lowest number."""
    is_cosine: bool

    @classmethod
    def of(
        cls,
        rows: Rows,
        counts: Integers,
        is_cosine: bool,
        n_clusters: int,
        rng: np.random.RandomState,
    ) -> tuple[Space, DistinctRows]:
        """Make the space of rows that stand for `counts` samples each.

        Returns it with its distinct rows among the given ones: where `is_cosine`, those of one
        direction are equal. If there are fewer directions than `n_clusters` (rows of one column
        have two), the space is Euclidean all the same. `rng` draws the rows that the main
        directions are found in.
        """
        distinct = DistinctRows.of(unit_rows(rows) if is_cosine else rows)
        if is_cosine and len(distinct.samples) < n_clusters:
            return cls.of(rows, counts, False, n_clusters, rng)
        rows = distinct.rows_of(unit_rows(rows) if is_cosine else rows)
        weights = distinct.weights(counts)
        if rows.shape[1] <= MAX_COLUMNS:
            return cls(rows, rows, weights, is_cosine), distinct
        drawn = rng.choice(len(rows), min(len(rows), VARIANCE_ROWS), replace=False)
        centered = rows[np.sort(drawn)]
        centered = centered - centered.mean(axis=0)
        narrow_rows = rows @ _main_directions(centered)
        return cls(rows, narrow_rows, weights, is_cosine), distinct

    def subset(self, indices: NDArray[np.int64] | None) -> Space:
        """Keep only these rows; all of them if `indices` is None."""
        if indices is None:
            return self
        return self._replace(
            rows=self.rows[indices],
            narrow_rows=self.narrow_rows[indices],
            weights=self.weights[indices],
        )


def directions_keep_neighbors(rows: Rows) -> bool:
    """Say whether most neighbors of some rows are neighbors by their directions alone, too.

    In two columns, they are not.
    """
    rows = rows[:: -(-len(rows) // _COMPARED_ROWS)]
    n_neighbors = min(_COMPARED_NEIGHBORS, len(rows) - 1)
    if n_neighbors == 0:
        return True
    near = kneighbors(rows, n_neighbors)[1]
    near_by_direction = kneighbors(unit_rows(rows), n_neighbors)[1]
    is_kept = (near[:, :, None] == near_by_direction[:, None]).any(axis=2)
    return bool(is_kept.mean() > 0.5)


def groups_apart(space: Space, max_groups: int, n_threads: int) -> NDArray[np.int32] | None:
    """Return the group of each row, if groups of rows lie apart from all others.

    Groups are parts of the graph of mutual neighbors that are not connected. A small group has to
    look for neighbors outside, but no row out there looks back. Each row stays with its nearest
    one. A row that stands for more samples than it has neighbors looks at none. A group of two
    samples is no group: it counts as part of the largest one. Returns None if there is one group,
    or more than `max_groups`.
    """
    n = len(space.rows)
    if n == 1:
        return None
    n_neighbors = min(_MOST_NEIGHBORS, n - 1)
    near = kneighbors(space.rows, n_neighbors, recall=RECALL, n_jobs=n_threads)[1]
    ends = np.arange(0, n * n_neighbors + 1, n_neighbors)
    looks = sparse.csr_array((np.ones(near.size, np.float32), near.ravel(), ends), shape=(n, n))
    nearest = sparse.csr_array((np.ones(n, np.float32), near[:, 0], np.arange(n + 1)), shape=(n, n))
    looks_outside = sparse.diags_array((space.weights <= n_neighbors).astype(np.float32))
    looks, nearest = looks_outside @ looks, looks_outside @ nearest
    parts = connected_components(looks.multiply(looks.T) + nearest, directed=False)[1]
    sizes = np.bincount(parts, space.weights)
    is_group = sizes >= _FEWEST_SAMPLES_APART
    if not 1 < np.count_nonzero(is_group) <= max_groups:
        return None
    groups: NDArray[np.int32] = np.where(is_group, np.arange(len(sizes)), sizes.argmax())[parts]
    return groups.astype(np.int32)


def _main_directions(centered: Rows) -> Rows:
    """Return the directions of the largest variance: (n_columns, at most 64)."""
    n, n_columns = centered.shape
    # More threads save little, and wait for one another for long where others use the processor.
    with threadpool_limits(1, user_api="blas"):
        if n < n_columns:
            directions: Rows = np.linalg.svd(centered, full_matrices=False)[2][:MAX_COLUMNS].T
        else:
            largest = (n_columns - MAX_COLUMNS, n_columns - 1)
            directions = eigh(centered.T @ centered, subset_by_index=largest)[1][:, ::-1]
    return np.ascontiguousarray(directions)


def graph_partitions(
    graph: sparse.csr_array,
    resolutions: NDArray[np.float64],
    n_rounds: int,
    rng: np.random.RandomState,
    n_threads: int,
) -> list[Partitions]:
    """Cut a graph into communities, once at each resolution. Higher ones give more communities."""
    seeds = rng.randint(2**31, size=len(resolutions)).tolist()
    return _core.communities(
        graph.indptr,
        graph.indices,
        graph.data,
        resolutions.tolist(),
        seeds,
        n_rounds,
        n_threads,
        None,
    )


class ResolutionScale(NamedTuple):
    """How many communities some resolutions give on a graph."""

    log_resolutions: NDArray[np.float64]
    """Logarithms of the resolutions that were tried, ascending."""
    log_counts: NDArray[np.float64]
    """Logarithms of the numbers of communities, never descending."""

    @classmethod
    def of(
        cls,
        graph: sparse.csr_array,
        rng: np.random.RandomState,
        n_threads: int,
        resolutions: tuple[float, ...] = _PROBED_RESOLUTIONS,
    ) -> ResolutionScale:
        """Try some resolutions on a graph."""
        partitions = graph_partitions(graph, np.array(resolutions), 1, rng, n_threads)
        log_counts = np.log([partition.max() + 1.0 for partition in partitions])
        return cls(np.log(resolutions), np.maximum.accumulate(log_counts))

    def resolutions_for(self, n_communities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Estimate the resolutions that give these numbers of communities.

        They are interpolated between the resolutions that were tried. Outside their range, a
        resolution is proportional to the number.
        """
        wanted = np.log(n_communities)
        log_resolutions = np.interp(wanted, self.log_counts, self.log_resolutions)
        log_resolutions += np.maximum(0, wanted - self.log_counts[-1])
        log_resolutions -= np.maximum(0, self.log_counts[0] - wanted)
        return np.exp(log_resolutions)


class ViewKind(NamedTuple):
    """One of four kinds of views."""

    is_cosine: bool
    is_smooth: bool

    @classmethod
    def of(cls, v: int) -> ViewKind:
        """Return the kind of view number v: the four kinds take turns."""
        return cls(v % 2 == 1, v // 2 % 2 == 1)


class View(NamedTuple):
    """A graph of neighbors, and the rows averaged over neighbors."""

    graph: sparse.csr_array
    """(n_rows, n_rows): similarities of neighbors."""
    smooth_rows: Rows
    """(n_rows, at most 64)."""
    weights: Float64Array
    """(n_rows,): those of the space."""
    seed: int
    """Decides the number of neighbors, and all random choices of the partitions."""

    @classmethod
    def of(cls, space: Space, is_smooth: bool, seed: int, n_threads: int) -> View:
        """Make a view of a space.

        The rows are averaged over neighbors by steps of a random walk on the graph: one step, or
        two where `is_smooth`. There the graph is built again from the averaged rows.
        """
        n = len(space.rows)
        most = min(_MOST_NEIGHBORS, n - 1)
        rng = np.random.RandomState(seed)
        n_neighbors = int(rng.randint(min(_FEWEST_NEIGHBORS, most), most + 1))
        search = Search("euclidean", RECALL, n_threads)
        graph = affinity_of_rows(space.rows, space.weights, n_neighbors, search)
        walk = normalize_graph(graph, "random_walk", n_jobs=n_threads)
        smooth_rows = space.narrow_rows
        for _ in range(_SMOOTHING_STEPS if is_smooth else 1):
            smooth_rows = walk @ smooth_rows
        if space.is_cosine:
            smooth_rows = unit_rows(smooth_rows)
        if is_smooth:
            graph = affinity_of_rows(smooth_rows, space.weights, n_neighbors, search)
        return cls(graph, smooth_rows, space.weights, seed)

    def resolution_scale(self, n_threads: int) -> ResolutionScale:
        """Try resolutions on the view's graph."""
        return ResolutionScale.of(self.graph, np.random.RandomState(self.seed), n_threads)

    def partitions(
        self, limits: tuple[int, int], scale: ResolutionScale, n_threads: int
    ) -> Partitions:
        """Make three partitions from the graph and one by k-means: (n_rows, 4).

        Each has a random number of clusters between `limits`, its logarithm drawn uniformly.
        """
        rng = np.random.RandomState(self.seed)
        low, high = np.log(limits)
        n_clusters = np.exp(rng.uniform(low, high, size=PARTITIONS_PER_VIEW))
        resolutions = scale.resolutions_for(n_clusters[1:])
        partitions = graph_partitions(self.graph, resolutions, _COMMUNITY_ROUNDS, rng, n_threads)
        n_centers = max(1, round(n_clusters[0]))
        partitions.append(self._kmeans_partition(n_centers, rng, n_threads))
        return np.stack(partitions, axis=1)

    def _kmeans_partition(
        self, n_centers: int, rng: np.random.RandomState, n_threads: int
    ) -> Partitions:
        n = len(self.smooth_rows)
        n_training = min(n, max(_MIN_TRAINING_ROWS, _ROWS_PER_CENTER * n_centers))
        drawn = np.sort(rng.choice(n, n_training, replace=False))
        centers = kmeans_centers(
            self.smooth_rows[drawn],
            n_centers,
            _KMEANS_ROUNDS,
            rng,
            n_threads,
            weights=self.weights[drawn],
        )
        return nearest_center(self.smooth_rows, centers, n_threads).astype(np.int32)
