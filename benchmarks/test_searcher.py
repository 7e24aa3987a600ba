"""Search for the 15 nearest neighbors of new queries, beside indexes of faiss, hnswlib and usearch.

The peers' indexes have their usual settings, and the width of their search is raised until these
very queries reach the recall: better than anybody could set it beforehand. NeighborSearcher finds
its own setting from the training samples. Building is timed in groups of its own.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import labelquorum as lq
from _data import blobs, missing, news, real_data

K = 15
WIDTHS = (16, 20, 24, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512, 1024)
N_20NEWS_TRAIN = 11_314
SIZES = {
    "dataset": {"small": ["blobs-5k"], "full": ["mnist", "20news", "blobs-1m"]},
    "recall": {"small": [0.95], "full": [0.95, 0.99]},
}


def mnist_parts():
    with np.load(real_data() / "mnist" / "mnist.npz") as loaded:
        X, Y = (loaded[name].astype(np.float32) / 255 for name in ("x_train", "x_test"))
    return X.reshape(len(X), -1), Y.reshape(len(Y), -1)


def blobs_parts(n, n_queries, n_clusters):
    X = blobs(n + n_queries, 64, n_clusters)
    return X[:n], X[n:]


PARTS = {
    "mnist": mnist_parts,
    "20news": lambda: np.split(news()[0], [N_20NEWS_TRAIN]),
    "blobs-1m": lambda: blobs_parts(1_000_000, 10_000, 1000),
    "blobs-5k": lambda: blobs_parts(5000, 1000, 100),
}


@cache
def prepared(dataset):
    """Load training samples and queries; return both and the true neighbors of the queries."""
    try:
        X, Y = (np.ascontiguousarray(part) for part in PARTS[dataset]())
    except FileNotFoundError:
        pytest.skip(missing(dataset))
    return X, Y, lq.kneighbors(X, K, Y=Y)[1]


def recall_of(indices, dataset):
    true_indices = prepared(dataset)[2]
    return float((indices[:, :, None] == true_indices[:, None, :]).any(axis=2).mean())


def test_build_labelquorum(timed, dataset, recall, threads):
    X, _, _ = prepared(dataset)
    searcher = lq.NeighborSearcher(recall=recall, n_neighbors=K, n_jobs=threads, random_state=0)
    fitted = timed(f"build an index, {dataset}", lambda: searcher.fit(X), samples=len(X), reads=[X])
    assert fitted.quality_.recall >= recall or fitted.quality_.method == "exact"


def test_query_labelquorum(timed, benchmark, dataset, recall, products, threads):
    X, Y, _ = prepared(dataset)
    searcher = lq.NeighborSearcher(recall=recall, n_neighbors=K, n_jobs=threads, random_state=0)
    searcher.fit(X)
    _, indices = timed(
        f"queries at recall {recall}, {dataset}",
        lambda: searcher.query(Y),
        queries=len(Y),
        computes=lambda: products(Y, X),
    )
    benchmark.extra_info["recall"] = reached = recall_of(indices, dataset)
    assert reached >= recall - 0.01


def test_query_exactly(timed, dataset, recall, products, threads):
    X, Y, true_indices = prepared(dataset)
    _, indices = timed(
        f"queries at recall {recall}, {dataset}",
        lambda: lq.kneighbors(X, K, Y=Y, n_jobs=threads),
        queries=len(Y),
        computes=lambda: products(Y, X),
    )
    np.testing.assert_array_equal(indices, true_indices)


# Peers: each builds an index and returns a function that searches with a width.


def faiss_hnsw(X, threads):
    faiss = pytest.importorskip("faiss")
    faiss.omp_set_num_threads(threads)
    index = faiss.IndexHNSWFlat(X.shape[1], 32)
    index.add(X)

    def search(Y, width):
        return index.search(Y, K, params=faiss.SearchParametersHNSW(efSearch=width))[1]

    return search


def faiss_ivf(X, threads):
    faiss = pytest.importorskip("faiss")
    faiss.omp_set_num_threads(threads)
    n_lists = int(min(4 * np.sqrt(len(X)), len(X) / 40))
    index = faiss.index_factory(X.shape[1], f"IVF{n_lists},Flat")
    index.train(X[:: max(1, len(X) // (64 * n_lists))])
    index.add(X)

    def search(Y, width):
        n_probes = min(width // 8, n_lists)
        return index.search(Y, K, params=faiss.SearchParametersIVF(nprobe=n_probes))[1]

    return search


def hnswlib(X, threads):
    package = pytest.importorskip("hnswlib")
    index = package.Index("l2", X.shape[1])
    index.init_index(len(X), M=32, ef_construction=200, random_seed=0)
    index.set_num_threads(threads)
    index.add_items(X)

    def search(Y, width):
        index.set_ef(width)
        return index.knn_query(Y, K)[0].astype(np.int64)

    return search


def usearch(X, threads):
    package = pytest.importorskip("usearch.index")
    index = package.Index(ndim=X.shape[1], metric="l2sq", connectivity=32, dtype="f32")
    index.add(np.arange(len(X)), X, threads=threads)

    def search(Y, width):
        index.expansion_search = width
        return np.asarray(index.search(Y, K, threads=threads).keys, dtype=np.int64)

    return search


PEERS = (faiss_hnsw, faiss_ivf, hnswlib, usearch)


@pytest.mark.parametrize("peer", PEERS)
def test_build_peer(timed, dataset, peer, threads):
    X, _, _ = prepared(dataset)
    timed(f"build an index, {dataset}", lambda: peer(X, threads), samples=len(X), reads=[X])


@pytest.mark.parametrize("peer", PEERS)
def test_query_peer(timed, benchmark, dataset, recall, peer, products, threads):
    X, Y, _ = prepared(dataset)
    search = peer(X, threads)
    for width in WIDTHS:
        reached = recall_of(search(Y, width), dataset)
        if reached >= recall:
            break
    else:
        pytest.skip(f"the recall is {reached:.3f} with the widest search")
    timed(
        f"queries at recall {recall}, {dataset}",
        lambda: search(Y, width),
        queries=len(Y),
        computes=lambda: products(Y, X),
    )
    benchmark.extra_info |= {"recall": reached, "width": width}
