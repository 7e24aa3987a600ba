"""Find the 15 nearest neighbors of every sample, beside faiss, pynndescent, hnswlib and others.

Every method starts from the bare rows: building an index is part of its time. With a wanted recall,
a peer runs at the cheapest of its settings that reaches it; settings are tried before they are
timed. Recall is measured in the same way for all, on 1,000 random samples against exact search.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import labelquorum as lq
from _data import SETS, blobs, missing

K = 15
N_MEASURED = 1000
EXACT_MAX_ROWS = 100_000  # beyond, exact search takes minutes
SKLEARN_MAX_ROWS = 25_000
DATA = {
    "blobs-5k": lambda: blobs(5000, 64, 100),
    "blobs-100k": lambda: blobs(100_000, 64, 100),
    "blobs-1m": lambda: blobs(1_000_000, 64, 1000),
} | {name: lambda load=load: load()[0].astype(np.float32) for name, load in SETS.items()}
SIZES = {
    "dataset": {
        "small": ["blobs-5k"],
        "full": ["mnist", "20news", "clinc150", "blobs-100k", "blobs-1m"],
    },
    "recall": {"small": [0.95], "full": [0.9, 0.95, 0.99]},
}


@cache
def prepared(dataset):
    """Load a set; return it, random samples of it, and the distances to their true neighbors."""
    try:
        X = np.ascontiguousarray(DATA[dataset]())
    except FileNotFoundError:
        pytest.skip(missing(dataset))
    chosen = np.sort(np.random.default_rng(1).choice(len(X), min(N_MEASURED, len(X)), False))
    distances, indices = lq.kneighbors(X, K + 1, Y=X[chosen])
    others = indices != chosen[:, None]
    others[others.all(axis=1), -1] = False
    return X, chosen, distances[others].reshape(-1, K)


def recall_of(indices, dataset):
    """Return the share of neighbors that are as near as the true ones, each counted once."""
    X, chosen, distances = prepared(dataset)
    shares = []
    for sample, radius in zip(chosen, distances[:, -1], strict=True):
        neighbors = indices[sample]
        neighbors = np.unique(neighbors[(neighbors >= 0) & (neighbors != sample)][:K])
        gaps = X[neighbors].astype(np.float64) - X[sample]
        shares.append((np.sqrt((gaps**2).sum(axis=1)) <= radius * (1 + 1e-6)).sum() / K)
    return float(np.mean(shares))


def test_exact_labelquorum(timed, dataset, products, threads):
    X, _, _ = prepared(dataset)
    if len(X) > EXACT_MAX_ROWS:
        pytest.skip(f"exact search is timed up to {EXACT_MAX_ROWS:,} samples")
    _, indices = timed(
        f"exact neighbors, {dataset}",
        lambda: lq.kneighbors(X, K, n_jobs=threads),
        samples=len(X),
        computes=lambda: products(X, X),
    )
    assert recall_of(indices, dataset) == 1


def faiss_flat(X, threads):
    faiss = faiss_module(threads)
    index = faiss.IndexFlatL2(X.shape[1])
    index.add(X)
    return index.search(X, K + 1)[1]


def sklearn_brute(X, threads):
    from sklearn.neighbors import NearestNeighbors

    if len(X) > SKLEARN_MAX_ROWS:
        pytest.skip(f"scikit-learn is timed up to {SKLEARN_MAX_ROWS:,} samples")
    model = NearestNeighbors(n_neighbors=K, algorithm="brute", n_jobs=threads).fit(X)
    return model.kneighbors(return_distance=False)


@pytest.mark.parametrize("exact_peer", [faiss_flat, sklearn_brute])
def test_exact_peer(timed, dataset, exact_peer, products, threads):
    X, _, _ = prepared(dataset)
    if len(X) > EXACT_MAX_ROWS:
        pytest.skip(f"exact search is timed up to {EXACT_MAX_ROWS:,} samples")
    indices = timed(
        f"exact neighbors, {dataset}",
        lambda: exact_peer(X, threads),
        samples=len(X),
        computes=lambda: products(X, X),
    )
    assert recall_of(indices, dataset) > 0.999  # they round to single precision


def test_recall_labelquorum(timed, benchmark, dataset, recall, products, threads):
    X, _, _ = prepared(dataset)
    _, indices = timed(
        f"neighbors at recall {recall}, {dataset}",
        lambda: lq.kneighbors(X, K, recall=recall, n_jobs=threads),
        samples=len(X),
        computes=lambda: products(X, X) if len(X) <= EXACT_MAX_ROWS else np.nan,
    )
    benchmark.extra_info["recall"] = reached = recall_of(indices, dataset)
    assert reached >= recall - 0.01


# Peers: functions of (X, setting, threads) that return indices, and their settings from the
# cheapest to the dearest.


def faiss_module(threads):
    faiss = pytest.importorskip("faiss")
    faiss.omp_set_num_threads(threads)
    return faiss


def faiss_ivf(X, n_probes, threads):
    faiss = faiss_module(threads)
    n_lists = int(min(2 * np.sqrt(len(X)), len(X) / 40))
    index = faiss.IndexIVFFlat(faiss.IndexFlatL2(X.shape[1]), X.shape[1], n_lists)
    index.train(X[np.random.default_rng(0).permutation(len(X))[: 50 * n_lists]])
    index.add(X)
    index.nprobe = n_probes
    return index.search(X, K + 1)[1]


def faiss_hnsw(X, setting, threads):
    faiss = faiss_module(threads)
    n_links, breadth, search = setting
    index = faiss.IndexHNSWFlat(X.shape[1], n_links)
    index.hnsw.efConstruction = breadth
    index.add(X)
    index.hnsw.efSearch = search
    return index.search(X, K + 1)[1]


def faiss_nndescent(X, n_iterations, threads):
    faiss = faiss_module(threads)
    index = faiss.IndexNNDescentFlat(X.shape[1], 24)
    index.nndescent.niter = n_iterations
    index.add(X)
    return faiss.vector_to_array(index.nndescent.final_graph).reshape(len(X), -1)


def pynndescent(X, options, threads):
    from_package = pytest.importorskip("pynndescent")
    model = from_package.NNDescent(
        X, n_neighbors=K + 1, n_jobs=threads, random_state=0, **dict(options)
    )
    return model.neighbor_graph[0]


def hnswlib(X, setting, threads):
    package = pytest.importorskip("hnswlib")
    n_links, breadth, search = setting
    index = package.Index(space="l2", dim=X.shape[1])
    index.init_index(max_elements=len(X), ef_construction=breadth, M=n_links)
    index.set_num_threads(threads)
    index.add_items(X)
    index.set_ef(search)
    return index.knn_query(X, k=K + 1)[0].astype(np.int64)


def usearch(X, setting, threads):
    package = pytest.importorskip("usearch.index")
    n_links, breadth, search = setting
    index = package.Index(
        ndim=X.shape[1],
        metric="l2sq",
        dtype="f32",
        connectivity=n_links,
        expansion_add=breadth,
        expansion_search=search,
    )
    index.add(np.arange(len(X)), X, threads=threads)
    return index.search(X, K + 1, threads=threads).keys.astype(np.int64)


HNSW_SETTINGS = ((12, 40, 20), (12, 40, 30), (12, 40, 50), (16, 60, 40), (16, 60, 80))
PEERS = {
    faiss_ivf: (1, 2, 4, 8, 16, 32),
    faiss_hnsw: HNSW_SETTINGS,
    faiss_nndescent: (3, 6),
    pynndescent: (
        (("n_trees", 8), ("n_iters", 1), ("max_candidates", 15)),
        (("n_trees", 8), ("n_iters", 2), ("max_candidates", 15)),
        (("n_trees", 4), ("n_iters", 3), ("max_candidates", 20)),
        (),  # its defaults
        (("n_iters", 8), ("max_candidates", 60)),
        (("n_trees", 20), ("n_iters", 8), ("max_candidates", 60), ("delta", 1e-4)),
    ),
    hnswlib: HNSW_SETTINGS,
    usearch: ((12, 40, 30), (16, 64, 60)),
}


@cache
def tried(peer, dataset, setting, threads):
    """Return the recall of a setting."""
    return recall_of(peer(prepared(dataset)[0], setting, threads), dataset)


# Of the others, one compiles for half a minute, and one takes seconds for a few samples.
SIZES["peer"] = {"small": [faiss_ivf, faiss_hnsw, hnswlib, usearch], "full": list(PEERS)}


@pytest.mark.filterwarnings("ignore")  # of the peers
def test_recall_peer(timed, benchmark, dataset, recall, peer, threads):
    X, _, _ = prepared(dataset)
    reaching = (s for s in PEERS[peer] if tried(peer, dataset, s, threads) >= recall)
    setting = next(reaching, None)
    if setting is None:
        best = max(tried(peer, dataset, s, threads) for s in PEERS[peer])
        pytest.skip(f"the recall of its settings is at most {best:.3f}")
    indices = timed(
        f"neighbors at recall {recall}, {dataset}",
        lambda: peer(X, setting, threads),
        samples=len(X),
    )
    benchmark.extra_info |= {"recall": recall_of(indices, dataset), "setting": str(setting)}
