"""Published methods that no package offers, implemented here as peers.

Consensus of partitions, shape (n_samples, n_partitions), without abstentions:

- `eac`: evidence accumulation clustering (Fred, Jain, "Combining multiple clusterings using
  evidence accumulation", IEEE TPAMI 27(6), 2005), with average linkage;
- `lwea`, `lwgp`: locally weighted evidence accumulation and graph partitioning (Huang, Wang, Lai,
  "Locally weighted ensemble clustering", IEEE T. Cybernetics 48(5), 2018; arXiv 1605.05011).

Clustering of partly labeled samples. y is at least 0 if a label is known; clusters are numbered
from 0, known categories first:

- `seeded_kmeans`: Basu, Banerjee, Mooney, "Semi-supervised clustering by seeding", ICML 2002;
- `constrained_kmeans`: the semi-supervised k-means of Vaze, Han, Vedaldi, Zisserman, "Generalized
  category discovery", CVPR 2022.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse
from scipy.cluster.hierarchy import linkage
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import KMeans

import labelquorum as lq

THETA = 0.4  # of the locally weighted methods, as their authors set it


def membership(partitions):
    """Return a CSR matrix of samples by clusters of all partitions: 1 if the sample is in it."""
    n, m = partitions.shape
    clusters = np.empty((n, m), dtype=np.int64)
    n_clusters = 0
    for j in range(m):
        names, clusters[:, j] = np.unique(partitions[:, j], return_inverse=True)
        clusters[:, j] += n_clusters
        n_clusters += len(names)
    ends = np.arange(0, n * m + 1, m)
    return scipy.sparse.csr_array((np.ones(n * m), clusters.ravel(), ends), shape=(n, n_clusters))


def reliability(member, n_partitions):
    """Compute the ensemble-driven cluster index of each cluster: 1 if no partition divides it.

    It is exp(-H / (THETA * n_partitions)), where H is the entropy of the cluster in bits under
    each partition, summed over the partitions.
    """
    shared = (member.T @ member).tocoo()
    shares = shared.data / member.sum(axis=0)[shared.row]
    entropies = np.bincount(shared.row, -shares * np.log2(shares), member.shape[1])
    return np.exp(-entropies / (THETA * n_partitions))


def distances(partitions, weights):
    """Return 1 - co-association of all pairs (i < j, in SciPy's order), with weighted votes.

    weights[i, j] is the weight of sample i's cluster in partition j.
    """
    n, m = partitions.shape
    # Columns: comparing and adding then run along contiguous memory.
    columns = [np.ascontiguousarray(column) for column in partitions.T]
    apart = np.ones(n * (n - 1) // 2)
    begin = 0
    for i in range(n - 1):
        end = begin + n - 1 - i
        for j, column in enumerate(columns):
            apart[begin:end] -= (column[i + 1 :] == column[i]) * (weights[i, j] / m)
        begin = end
    return apart


def average_linkage(apart, n_clusters):
    """Merge until n_clusters are left. SciPy's cut_tree would take longer than the tree."""
    tree = linkage(apart, "average")
    n = len(tree) + 1
    merged = tree[: n - n_clusters, :2].astype(np.int64).ravel()
    into = n + np.arange(len(merged)) // 2
    graph = scipy.sparse.csr_array((np.ones(len(merged)), (into, merged)), (2 * n, 2 * n))
    labels = connected_components(graph, directed=False)[1][:n]
    return np.unique(labels, return_inverse=True)[1]


def eac(partitions, n_clusters):
    return average_linkage(distances(partitions, np.ones(partitions.shape)), n_clusters)


def lwea(partitions, n_clusters):
    member = membership(partitions)
    weights = reliability(member, partitions.shape[1])[member.indices].reshape(partitions.shape)
    return average_linkage(distances(partitions, weights), n_clusters)


def lwgp(partitions, n_clusters, seed=0):
    """Cut the graph of samples and clusters, with edges weighted by the clusters' reliability.

    The normalized cut is found on the graph of clusters alone and transferred to the samples:
    transfer cuts (Li, Wu, Chang, "Segmentation using superpixels", CVPR 2012).
    """
    member = membership(partitions)
    B = member.multiply(reliability(member, partitions.shape[1])).tocsr()
    steps = scipy.sparse.diags_array(1 / B.sum(axis=1)) @ B
    W = (B.T @ steps).toarray()
    roots = np.sqrt(W.sum(axis=1))
    _, vectors = np.linalg.eigh(W / roots / roots[:, None])
    spectral = steps @ (vectors[:, -n_clusters:] / roots[:, None])
    spectral /= np.linalg.norm(spectral, axis=1, keepdims=True) + 1e-10
    return KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(spectral)


def initial_centers(X, y, n_clusters, rng):
    """Return the means of the known categories, then unlabeled samples chosen by k-means++.

    It is the greedy variant, as in scikit-learn: of a few candidates it takes the one that leaves
    the least inertia. The papers draw one candidate, which leads to worse clusters.
    """
    known = np.array([X[y == c].mean(axis=0) for c in range(y.max() + 1)])
    unlabeled = X[y < 0]
    centers = [*known]
    nearest = squared_distances(unlabeled, known).min(axis=1)
    for _ in range(len(known), n_clusters):
        drawn = rng.choice(
            len(unlabeled), 2 + int(np.log(n_clusters)), p=nearest / nearest.sum(dtype=np.float64)
        )
        left = np.minimum(nearest[:, None], squared_distances(unlabeled, unlabeled[drawn]))
        best = left.sum(axis=0).argmin()
        centers.append(unlabeled[drawn[best]])
        nearest = left[:, best]
    return np.array(centers)


def squared_distances(X, centers):
    products = X @ centers.T
    squares = np.einsum("ij,ij->i", X, X)[:, None] + np.einsum("ij,ij->i", centers, centers)
    return np.maximum(squares - 2 * products, 0)


def lloyd(X, y, centers, held, max_iter=100):
    """Iterate k-means; samples of `held` stay in their category. Return labels and inertia."""
    n, k = len(X), len(centers)
    labels = None
    for _ in range(max_iter):
        squares = squared_distances(X, centers)
        before, labels = labels, squares.argmin(axis=1)
        labels[held] = y[held]
        inertia = squares[np.arange(n), labels].sum(dtype=np.float64)
        if before is not None and (labels == before).all():
            break
        counts = np.bincount(labels, minlength=k)
        member = scipy.sparse.csr_array((np.ones(n, X.dtype), labels, np.arange(n + 1)), (n, k))
        filled = counts > 0  # an empty cluster keeps its center
        centers = np.where(
            filled[:, None], member.T @ X / np.maximum(counts, 1)[:, None], centers
        ).astype(X.dtype)
    return labels, inertia


def partly_labeled_kmeans(X, y, n_clusters, held, n_init, seed):
    rng = np.random.default_rng(seed)
    runs = [
        lloyd(X, y, initial_centers(X, y, n_clusters, rng), held)
        for _ in range(n_init if n_clusters > y.max() + 1 else 1)  # otherwise nothing is drawn
    ]
    return min(runs, key=lambda run: run[1])[0]


def seeded_kmeans(X, y, n_clusters, *, n_init=10, seed=0):
    """Start from the means of the known categories; labels are not used after that."""
    return partly_labeled_kmeans(X, y, n_clusters, np.zeros(len(y), dtype=bool), n_init, seed)


def constrained_kmeans(X, y, n_clusters, *, n_init=10, seed=0):
    """Start from the means of the known categories; labeled samples stay in their category."""
    return partly_labeled_kmeans(X, y, n_clusters, y >= 0, n_init, seed)


def sklearn_knn_graph(X, n_jobs, n_neighbors=7):
    """Make the graph of scikit-learn's kernel="knn": each sample, itself first, with its nearest.

    All weights are 1. `n_neighbors` counts the sample itself, as scikit-learn does.
    """
    _, indices = lq.kneighbors(X, n_neighbors - 1, n_jobs=n_jobs)
    n = len(X)
    targets = np.column_stack([np.arange(n), indices]).astype(np.int32).ravel()
    ends = np.arange(0, targets.size + 1, n_neighbors, dtype=np.int32)
    return scipy.sparse.csr_matrix((np.ones(targets.size), targets, ends), shape=(n, n))
