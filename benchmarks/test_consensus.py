"""Find a consensus of partitions and communities of a graph.

`consensus` stands beside average linkage on the co-association matrix (evidence accumulation, see
studies/_peers.py), `communities` beside the Louvain method of NetworkX. Answers are compared by
their agreement with the classes, and by modularity.
"""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import normalized_mutual_info_score

import labelquorum as lq
from _data import blobs
from _peers import eac

N_CLASSES, N_PARTITIONS = 10, 10
SIZES = {
    "n_rows": {"small": [2000], "full": [20_000]},
    "many_rows": {"small": [100_000], "full": [1_000_000]},
    "n_nodes": {"small": [2000], "full": [50_000]},
}


def kmeans_partitions(n):
    """Make k-means partitions, 2 to 100 clusters each, of ten classes of three modes each."""
    rng = np.random.default_rng(0)
    centers = rng.normal(scale=2.0, size=(3 * N_CLASSES, 16))
    modes = rng.integers(len(centers), size=n)
    X = (centers[modes] + rng.normal(size=(n, 16))).astype(np.float32)
    partitions = np.empty((n, N_PARTITIONS), dtype=np.int32)
    for j in range(N_PARTITIONS):
        rows = rng.choice(n, min(n, 5000), replace=False)
        n_clusters = int(rng.integers(2, 101))
        model = KMeans(n_clusters, n_init=1, max_iter=20, random_state=j).fit(X[rows])
        partitions[:, j] = model.predict(X)
    return partitions, modes


@pytest.fixture(scope="module")
def partitions(n_rows):
    return kmeans_partitions(n_rows)


@pytest.fixture(scope="module")
def many_partitions(many_rows):
    return kmeans_partitions(many_rows)[0]


def test_consensus_labelquorum(timed, benchmark, partitions, threads):
    rows, modes = partitions
    labels = timed(
        f"consensus of {len(rows):,} x {N_PARTITIONS}",
        lambda: lq.consensus(rows, N_CLASSES, n_jobs=threads),
        rows=len(rows),
        reads=[rows],
    )
    benchmark.extra_info["nmi"] = ours = float(normalized_mutual_info_score(modes, labels))
    assert ours > normalized_mutual_info_score(modes, eac(rows, N_CLASSES)) - 0.05


def test_consensus_average_linkage(timed, benchmark, partitions):
    rows, modes = partitions
    labels = timed(
        f"consensus of {len(rows):,} x {N_PARTITIONS}",
        lambda: eac(rows, N_CLASSES),
        rows=len(rows),
        reads=[rows],
    )
    benchmark.extra_info["nmi"] = float(normalized_mutual_info_score(modes, labels))


def test_consensus_of_many(timed, many_partitions, threads):
    labels = timed(
        f"consensus of {len(many_partitions):,} x {N_PARTITIONS}",
        lambda: lq.consensus(many_partitions, N_CLASSES, n_jobs=threads),
        rows=len(many_partitions),
        reads=[many_partitions],
    )
    assert labels.max() == N_CLASSES - 1


@pytest.fixture(scope="module")
def graph(n_nodes):
    return lq.symmetrize_graph(lq.affinity_graph(blobs(n_nodes, 16, 30, overlap=True)))


def modularity(graph, labels):
    degrees = graph.sum(axis=0)
    total = degrees.sum()
    rows = np.repeat(np.arange(len(labels)), np.diff(graph.indptr))
    within = graph.data[labels[rows] == labels[graph.indices]].sum() / total
    return float(within - (np.bincount(labels, degrees) ** 2).sum() / total**2)


def test_communities_labelquorum(timed, benchmark, graph, threads):
    labels = timed(
        f"communities of {graph.shape[0]:,} nodes",
        lambda: lq.communities(graph, random_state=0, n_jobs=threads),
        edges=graph.nnz,
        reads=[graph.data, graph.indices],
    )
    benchmark.extra_info["modularity"] = reached = modularity(graph, labels)
    assert reached > 0.3


def test_communities_networkx(timed, benchmark, graph):
    networkx = pytest.importorskip("networkx")
    theirs = networkx.from_scipy_sparse_array(graph)
    groups = timed(
        f"communities of {graph.shape[0]:,} nodes",
        lambda: networkx.community.louvain_communities(theirs, seed=0),
        edges=graph.nnz,
        reads=[graph.data, graph.indices],
    )
    labels = np.empty(graph.shape[0], dtype=np.int64)
    for label, members in enumerate(groups):
        labels[list(members)] = label
    benchmark.extra_info["modularity"] = reached = modularity(graph, labels)
    ours = modularity(graph, lq.communities(graph, random_state=0))
    assert ours > reached - 0.01
