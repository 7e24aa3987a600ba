"""Coordinates of a random walk on a graph, and how well clusters are separated in them.

Clusters that lie apart become tight groups of points, whatever their shape in the samples. So a
simple measure of separation works there: the silhouette by centers.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from labelquorum.clustering.views import Float64Array, Partitions
from labelquorum.neighbors.search import kneighbors

_N_ROUNDS, _DEGREE = 6, 10
_EXTRA_COLUMNS = 12  # so that the last columns that are wanted converge as fast
_LARGEST_EIGENVALUE = 0.9999  # of a walk between parts of a graph that are not connected


def diffusion_coordinates(
    graph: sparse.csr_array, n_columns: int, rng: np.random.RandomState
) -> Float64Array:
    """Return the main coordinates of a random walk on a graph: (n_rows, `n_columns`).

    Column j is the eigenvector of the walk with the j-th largest eigenvalue e_j, divided by the
    root of 1 - e_j: squared distances then are mean times of a walk to a node and back (Fouss et
    al., IEEE Transactions on Knowledge and Data Engineering 19, 2007). The constant eigenvector is
    left out. Small graphs have fewer columns. Eigenvectors of equal values are found together, in a
    fixed number of rounds, so columns that converge slowly are approximate.
    """
    n = graph.shape[0]
    degrees = np.asarray(graph.sum(axis=1), dtype=np.float64).ravel()
    roots = np.sqrt(np.maximum(degrees, np.finfo(np.float64).tiny))
    scale = sparse.diags_array(1 / roots)
    walk = (scale @ graph.astype(np.float64) @ scale).tocsr()
    n_columns = min(n_columns, n - 1)
    constant = roots[:, None] / np.linalg.norm(roots)
    if n <= 5 * (n_columns + _EXTRA_COLUMNS):
        values, vectors = np.linalg.eigh(walk.toarray() - constant @ constant.T)
    else:
        start = rng.normal(size=(n, n_columns + _EXTRA_COLUMNS))
        # So narrow blocks gain nothing by more threads, which may wait for one another for long.
        with threadpool_limits(1, user_api="blas"):
            values, vectors = _largest_eigenvectors(walk, constant, start)
    order = np.argsort(-values, kind="stable")[:n_columns]
    values = values[order].clip(0, _LARGEST_EIGENVALUE)
    points: Float64Array = vectors[:, order] / roots[:, None]
    points *= np.sqrt(degrees.sum() / (1 - values))
    return points


def _largest_eigenvectors(
    walk: sparse.csr_array, constant: Float64Array, block: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Approximate the largest eigenvalues of a symmetric walk, without that of `constant`.

    Subspace iteration with Chebyshev polynomials, which grow fast above the lowest value of the
    block (Zhou, Saad, Tiago and Chelikowsky, Journal of Computational Physics 219, 2006).
    """
    values = np.zeros(block.shape[1])
    for _ in range(_N_ROUNDS):
        lowest = max(0.0, float(values.min()))  # Those between -1 and this one are damped.
        center, half = (lowest - 1) / 2, (lowest + 1) / 2
        before, block = block, (walk @ block - center * block) / half
        for _ in range(_DEGREE - 1):
            before, block = block, (walk @ block - center * block) * (2 / half) - before
        block -= constant @ (constant.T @ block)
        block = np.linalg.qr(block)[0]
        values, rotation = np.linalg.eigh(block.T @ (walk @ block))
        block = block @ rotation
    return values, block


def center_silhouette(
    points: Float64Array, clusters: Partitions, weights: Float64Array, n_threads: int
) -> float:
    """Return the weighted mean over points of (b - a) / max(a, b), between -1 and 1.

    Here a is the distance to the center of the own cluster, and b that to the nearest other center
    (the simplified silhouette of Hruschka et al., IEEE SMC 2004). 0 for a single cluster. Cost:
    O(n_points n_clusters n_columns).
    """
    n_clusters = int(clusters.max()) + 1
    if n_clusters < 2:
        return 0.0
    members = sparse.csr_array(
        (weights, (clusters, np.arange(len(points)))), shape=(n_clusters, len(points))
    )
    totals = np.asarray(members.sum(axis=1)).ravel()
    centers = (members @ points) / totals[:, None]
    own = np.linalg.norm(points - centers[clusters], axis=1)
    distances, nearest = kneighbors(centers, 2, Y=points, n_jobs=n_threads)
    other = np.where(nearest[:, 0] == clusters, distances[:, 1], distances[:, 0])
    scores = (other - own) / np.maximum(np.maximum(own, other), np.finfo(np.float64).tiny)
    return float(np.average(scores, weights=weights))
