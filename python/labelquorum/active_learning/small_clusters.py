"""The small clusters of `PreClusteringSampler`, and the graph that joins them.

A classifier of at most 10,000 clusters is cheap to update after each answer, whatever the number of
samples. The clusters come from k-means on a sample of the rows; where there are no more rows than
clusters, each row is a cluster. O(n_samples m n_features) for m clusters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labelquorum._shared.arguments import as_positive
from labelquorum._shared.frame import Frame, Rows, unit_rows
from labelquorum._shared.sealed import check_stored, check_stored_order
from labelquorum.active_learning.walks import Float64Array
from labelquorum.graphs.affinity import affinity_graph, heat_weights
from labelquorum.neighbors.kmeans import (
    cluster_means,
    distances_to_means,
    kmeans_centers,
    nearest_center,
)
from labelquorum.neighbors.search import kneighbors

_DEFAULT_N_CLUSTERS, _MAX_CLUSTERS = 2_000, 10_000  # m x m matrices are kept in memory
_N_ROUNDS, _ROWS_PER_CLUSTER, _MIN_TRAINING_ROWS = 10, 50, 5_000  # of k-means
_N_NEIGHBORS = 10  # of each cluster in the graph, and of a new sample


def as_n_clusters(n_clusters: Any) -> int:
    """Return the number of clusters to make; None stands for 2,000."""
    if n_clusters is None:
        return _DEFAULT_N_CLUSTERS
    number = as_positive(n_clusters, "n_clusters")
    if number > _MAX_CLUSTERS:
        raise ValueError(f"n_clusters must be at most {_MAX_CLUSTERS}, got {number}")
    return number


class SmallClusters(NamedTuple):
    """Small clusters of the training samples, and which of them are neighbors."""

    frame: Frame
    """Turns samples into rows."""
    metric: str
    """"euclidean" or "cosine"."""
    cluster_of_sample: NDArray[np.int32]
    """(n_samples,): the cluster of each training sample, from 0."""
    centers: Rows
    """(n_clusters, n_columns): the mean row of each cluster."""
    order: NDArray[np.int32]
    """(n_samples,): the samples by cluster, the most central of each cluster first."""
    graph: sparse.csr_array
    """(n_clusters, n_clusters): float32 affinities of neighboring clusters, symmetric."""

    @classmethod
    def fit(
        cls,
        X: Any,
        n_clusters: int,
        metric: str,
        rng: np.random.RandomState,
        n_threads: int,
        show: Callable[..., None] | None,
    ) -> SmallClusters:
        """Cluster the samples."""
        frame, rows, distinct, _ = Frame.fit(X, rng)
        rows = _scaled(rows, metric)
        clusters = _assigned_clusters(rows, distinct.weights(), n_clusters, rng, n_threads, show)
        centers = cluster_means(rows, clusters)
        distances = distinct.expand(distances_to_means(rows, centers, clusters))
        cluster_of_sample = distinct.expand(clusters)
        # Equal samples come last: one answer is enough for them.
        is_copy = np.ones(len(cluster_of_sample), dtype=bool)
        is_copy[distinct.samples] = False
        order = np.lexsort((distances, is_copy, cluster_of_sample)).astype(np.int32)
        graph = _graph_of_centers(centers, n_threads)
        return cls(frame, metric, cluster_of_sample, centers, order, graph)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that `of_state` needs, by their names in a file."""
        return {
            "clusters": self.cluster_of_sample,
            "centers": self.centers,
            "order": self.order,
            "graph_data": self.graph.data,
            "graph_indices": self.graph.indices,
            "graph_indptr": self.graph.indptr,
            **{f"frame_{name}": array for name, array in self.frame.state().items()},
        }

    @classmethod
    def of_state(cls, arrays: Mapping[str, NDArray[Any]], metric: str) -> SmallClusters:
        """Make the clusters that `state` described; raise ValueError if they are out of range."""
        frame_state = {
            name.removeprefix("frame_"): array
            for name, array in arrays.items()
            if name.startswith("frame_")
        }
        clusters, centers, order = arrays["clusters"], arrays["centers"], arrays["order"]
        n, n_clusters = len(clusters), len(centers)
        if not 1 <= n_clusters <= min(n, _MAX_CLUSTERS):
            raise ValueError(f"centers must be from 1 to {min(n, _MAX_CLUSTERS)}, got {n_clusters}")
        check_stored(centers, "centers", np.float32, (n_clusters, None))
        check_stored(clusters, "clusters", np.int32, (n,), (0, n_clusters - 1))
        check_stored_order(order, "order", np.int32, n)
        if (np.diff(clusters[order]) < 0).any():
            raise ValueError("order must be that of the clusters")
        return cls(
            Frame.of_state(frame_state), metric, clusters, centers, order, _graph_of_state(arrays)
        )

    def members(self, sample: int) -> NDArray[np.int64]:
        """Return the samples of this sample's cluster, the most central first."""
        is_member = self.cluster_of_sample[self.order] == self.cluster_of_sample[sample]
        members: NDArray[np.int64] = self.order[is_member].astype(np.int64)
        return members

    def interpolate(self, values: Float64Array, X: Any, n_threads: int) -> Float64Array:
        """Average the values of the clusters nearest to each new sample, the nearer the heavier.

        Parameters
        ----------
        values : float64 array of shape (n_clusters, n_values)
        X : array or CSR matrix of shape (n_new, n_features)
        n_threads : int

        Returns
        -------
        float64 array of shape (n_new, n_values)
        """
        rows = _scaled(self.frame.rows(X), self.metric)
        k = min(_N_NEIGHBORS, len(self.centers))
        distances, nearest = kneighbors(self.centers, k, Y=rows, n_jobs=n_threads)
        weights = heat_weights(distances, distances[:, -1:], "euclidean").astype(np.float64)
        weights /= weights.sum(axis=1, keepdims=True)
        averages = np.zeros((len(rows), values.shape[1]))
        for rank in range(k):
            averages += weights[:, rank, None] * values[nearest[:, rank]]
        return averages


def _graph_of_state(arrays: Mapping[str, NDArray[Any]]) -> sparse.csr_array:
    n_clusters = len(arrays["centers"])
    weights, targets, bounds = (arrays[f"graph_{part}"] for part in ("data", "indices", "indptr"))
    check_stored(weights, "graph_data", np.float32, (None,))
    check_stored(targets, "graph_indices", (np.int32, np.int64), weights.shape, (0, n_clusters - 1))
    check_stored(bounds, "graph_indptr", (np.int32, np.int64), (n_clusters + 1,), (0, len(weights)))
    if weights.min(initial=0) < 0:
        raise ValueError("graph_data must be at least 0")
    graph = sparse.csr_array((weights, targets, bounds), shape=(n_clusters, n_clusters))
    graph.check_format(full_check=True)
    return graph


def _scaled(rows: Rows, metric: str) -> Rows:
    return unit_rows(rows) if metric == "cosine" else rows


def _assigned_clusters(
    rows: Rows,
    weights: Float64Array,
    n_clusters: int,
    rng: np.random.RandomState,
    n_threads: int,
    show: Callable[..., None] | None,
) -> NDArray[np.int32]:
    """Return the cluster of each distinct row: of its own if there are few, else by k-means."""
    n = len(rows)
    if n <= n_clusters:
        return np.arange(n, dtype=np.int32)
    n_training = min(n, max(_MIN_TRAINING_ROWS, _ROWS_PER_CLUSTER * n_clusters))
    drawn = np.sort(rng.choice(n, n_training, replace=False))
    centers = kmeans_centers(
        rows[drawn], n_clusters, _N_ROUNDS, rng, n_threads, show, weights[drawn]
    )
    nearest = nearest_center(rows, centers, n_threads)
    # Without the centers that are nearest to no row.
    clusters: NDArray[np.int32] = np.unique(nearest, return_inverse=True)[1].astype(np.int32)
    return clusters


def _graph_of_centers(centers: Rows, n_threads: int) -> sparse.csr_array:
    n_neighbors = min(_N_NEIGHBORS, len(centers) - 1)
    if n_neighbors == 0:
        return sparse.csr_array((1, 1), dtype=np.float32)
    return affinity_graph(centers, n_neighbors, n_jobs=n_threads)
