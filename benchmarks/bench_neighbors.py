"""Neighbours of all samples: exactly, and with a recall, beside the peers on real data.

All find the 15 nearest of every sample, itself left out, from the bare rows: building an index is
in a peer's time. Recall is measured on 1,000 random samples against exact search, in the same way
for all. Each peer runs at several settings; what it needs for the recall of ours is read off the
line between those on either side. The floor is the time that the dot products of all pairs take as
one matrix product (NumPy's BLAS, single precision).
"""

from __future__ import annotations

import subprocess
import sys
import time
import warnings

import numpy as np

import labelquorum as lq
from _data import mnist, real_data
from _record import best_of, parser, record

K = 15
SKLEARN_MAX_ROWS = 20_000


def embeddings(*path):
    return np.load(real_data().joinpath(*path)).astype(np.float32)


def blobs(n, d, n_clusters):
    rng = np.random.default_rng(0)
    centers = rng.uniform(-10, 10, size=(n_clusters, d))
    return (centers[rng.integers(n_clusters, size=n)] + rng.normal(size=(n, d))).astype(np.float32)


SETS = {
    "mnist": lambda: mnist()[0],
    "20news": lambda: embeddings("20news", "20news_minilm.npy"),
    "clinc150": lambda: embeddings("intents", "clinc150_minilm.npy"),
    "blobs": lambda: blobs(100_000, 64, 100),
    "million": lambda: blobs(1_000_000, 64, 1000),
}
N_MEASURED = 1000
SKLEARN_MAX_ROWS = 25_000
FLAT_MAX_ROWS = 100_000


def truth(X):
    """Return random samples and the distances to their true neighbours."""
    chosen = np.sort(np.random.default_rng(1).choice(len(X), min(N_MEASURED, len(X)), False))
    distances, indices = lq.kneighbors(X, K + 1, Y=X[chosen])
    others = indices != chosen[:, None]
    others[others.all(axis=1), -1] = False
    return chosen, distances[others].reshape(-1, K)


def recall_of(X, indices, chosen, distances):
    """Measure the share of neighbours that are as near as the true ones, each counted once."""
    shares = []
    for sample, last in zip(chosen, distances[:, -1], strict=True):
        found = indices[sample]
        found = np.unique(found[(found >= 0) & (found != sample)][:K])
        gaps = X[found].astype(np.float64) - X[sample]
        shares.append((np.sqrt((gaps**2).sum(axis=1)) <= last * (1 + 1e-6)).sum() / K)
    return float(np.mean(shares))


# Peers: each yields its settings and the indices it finds; what is common to settings is built once
# and counted for each.


def faiss_module(threads):
    import faiss

    faiss.omp_set_num_threads(threads)
    return faiss


def faiss_flat(X, threads):
    if len(X) > FLAT_MAX_ROWS:
        return
    faiss = faiss_module(threads)
    started = time.perf_counter()
    index = faiss.IndexFlatL2(X.shape[1])
    index.add(X)
    found = index.search(X, K + 1)[1]
    yield "", time.perf_counter() - started, found


def faiss_ivf(X, threads):
    faiss = faiss_module(threads)
    n_lists = int(min(2 * np.sqrt(len(X)), len(X) / 40))
    started = time.perf_counter()
    quantizer = faiss.IndexFlatL2(X.shape[1])
    index = faiss.IndexIVFFlat(quantizer, X.shape[1], n_lists)
    rows = np.random.default_rng(0).permutation(len(X))[: 50 * n_lists]
    index.train(X[rows])
    index.add(X)
    built = time.perf_counter() - started
    for index.nprobe in (1, 2, 4, 8, 16, 32):
        started = time.perf_counter()
        found = index.search(X, K + 1)[1]
        yield f"nprobe {index.nprobe}", built + time.perf_counter() - started, found
        if built + time.perf_counter() - started > PATIENCE:
            return


def faiss_hnsw(X, threads):
    faiss = faiss_module(threads)
    for links, breadth, searches in ((12, 40, (20, 30, 50)), (16, 60, (40, 80))):
        started = time.perf_counter()
        index = faiss.IndexHNSWFlat(X.shape[1], links)
        index.hnsw.efConstruction = breadth
        index.add(X)
        built = time.perf_counter() - started
        for index.hnsw.efSearch in searches:
            started = time.perf_counter()
            found = index.search(X, K + 1)[1]
            setting = f"M {links}, ef {breadth}, {index.hnsw.efSearch}"
            yield setting, built + time.perf_counter() - started, found
        if built > PATIENCE:
            return


def faiss_nndescent(X, threads):
    faiss = faiss_module(threads)
    for n_iterations in (3, 6):
        started = time.perf_counter()
        index = faiss.IndexNNDescentFlat(X.shape[1], 24)
        index.nndescent.niter = n_iterations
        index.add(X)
        seconds = time.perf_counter() - started
        graph = faiss.vector_to_array(index.nndescent.final_graph).reshape(len(X), -1)
        yield f"K 24, {n_iterations} iterations", seconds, graph
        if seconds > PATIENCE:
            return


def pynndescent(X, threads):
    from pynndescent import NNDescent

    NNDescent(X[:3000], n_neighbors=K + 1, n_jobs=threads)  # compiles
    for options in (
        {"n_trees": 8, "n_iters": 1, "max_candidates": 15},
        {"n_trees": 8, "n_iters": 2, "max_candidates": 15},
        {"n_trees": 4, "n_iters": 3, "max_candidates": 20},
        {},
        {"n_iters": 8, "max_candidates": 60},
        {"n_trees": 20, "n_iters": 8, "max_candidates": 60, "delta": 1e-4},
    ):
        started = time.perf_counter()
        model = NNDescent(X, n_neighbors=K + 1, n_jobs=threads, random_state=0, **options)
        found = model.neighbor_graph[0]
        seconds = time.perf_counter() - started
        yield str(options) if options else "default", seconds, found
        if seconds > PATIENCE:
            return


def hnswlib(X, threads):
    import hnswlib

    for links, breadth, searches in ((12, 40, (20, 30, 50)), (16, 60, (40, 80))):
        started = time.perf_counter()
        index = hnswlib.Index(space="l2", dim=X.shape[1])
        index.init_index(max_elements=len(X), ef_construction=breadth, M=links)
        index.set_num_threads(threads)
        index.add_items(X)
        built = time.perf_counter() - started
        for search in searches:
            index.set_ef(search)
            started = time.perf_counter()
            found = index.knn_query(X, k=K + 1)[0].astype(np.int64)
            setting = f"M {links}, ef {breadth}, {search}"
            yield setting, built + time.perf_counter() - started, found
        if built > PATIENCE:
            return


def usearch(X, threads):
    from usearch.index import Index

    for links, breadth, search in ((12, 40, 30), (16, 64, 60)):
        started = time.perf_counter()
        index = Index(
            ndim=X.shape[1],
            metric="l2sq",
            dtype="f32",
            connectivity=links,
            expansion_add=breadth,
            expansion_search=search,
        )
        index.add(np.arange(len(X)), X, threads=threads)
        found = index.search(X, K + 1, threads=threads).keys.astype(np.int64)
        seconds = time.perf_counter() - started
        yield f"M {links}, ef {breadth}, {search}", seconds, found
        if seconds > PATIENCE:
            return


def sklearn_brute(X, threads):
    from sklearn.neighbors import NearestNeighbors

    if len(X) > SKLEARN_MAX_ROWS:
        return
    started = time.perf_counter()
    model = NearestNeighbors(n_neighbors=K, algorithm="brute", n_jobs=threads).fit(X)
    found = model.kneighbors(return_distance=False)
    yield "", time.perf_counter() - started, found


PEERS = {
    "faiss Flat": faiss_flat,
    "faiss IVF": faiss_ivf,
    "faiss HNSW": faiss_hnsw,
    "faiss NNDescent": faiss_nndescent,
    "pynndescent": pynndescent,
    "hnswlib": hnswlib,
    "usearch": usearch,
    "sklearn brute": sklearn_brute,
}
PATIENCE = 40.0  # seconds; beyond, a peer's dearer settings are left out

COLD = """
import sys, time, numpy as np
X = np.random.default_rng(0).normal(size=(2000, 20)).astype(np.float32)
started = time.perf_counter()
from pynndescent import NNDescent
NNDescent(X, n_neighbors=16).neighbor_graph
print(time.perf_counter() - started)
"""


def seconds_at(points, recall):
    """What a peer takes for a recall, between its settings; None where it does not get there."""
    # Of settings, those that no other beats in both.
    best = []
    for seconds, reached in sorted(points):
        if not best or reached > best[-1][1]:
            best.append((seconds, reached))
    if not best or best[-1][1] < recall:
        return None
    if best[0][1] >= recall:
        return best[0][0]
    seconds, reached = zip(*best, strict=True)
    # Recalls near 1 are told apart by what is missed.
    missed = -np.log(1 + 1e-4 - np.array(reached))
    return float(np.interp(-np.log(1 + 1e-4 - recall), missed, seconds))


def products(X):
    """Multiply all rows with all, 4096 at a time."""
    for begin in range(0, len(X), 4096):
        X[begin : begin + 4096] @ X.T


def main():
    warnings.simplefilter("ignore")  # of peers
    options = parser(__doc__)
    options.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    options.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    options.add_argument("--recalls", nargs="*", type=float, default=[0.9, 0.95, 0.99])
    options.add_argument("--rows", type=int, help="the first so many of each set")
    args = options.parse_args()
    results = []
    if "pynndescent" in args.peers:
        done = subprocess.run([sys.executable, "-c", COLD], capture_output=True, text=True)
        results.append({"pynndescent_cold_start": float(done.stdout or "nan")})
        print(f"pynndescent: first call of a process {done.stdout.strip()} s")
    for name in args.sets:
        try:
            X = np.ascontiguousarray(SETS[name]()[: args.rows])
        except FileNotFoundError:
            print(f"{name}: skipped, not in {real_data()}; LABELQUORUM_DATA names the folder")
            continue
        print(f"{name}: {len(X):,} x {X.shape[1]}, {args.threads} threads", flush=True)
        result = {"set": name, "shape": X.shape, "labelquorum": [], "peers": {}}
        results.append(result)
        chosen, distances = truth(X)
        wanted = args.recalls if len(X) > FLAT_MAX_ROWS else [None, *args.recalls]
        for recall in wanted:
            seconds, (_, indices) = best_of(
                2, lambda X=X, r=recall: lq.kneighbors(X, K, recall=r, n_jobs=args.threads)
            )
            reached = recall_of(X, indices, chosen, distances)
            result["labelquorum"].append({"wanted": recall, "recall": reached, "seconds": seconds})
            print(f"  labelquorum      {seconds:8.3f} s  recall {reached:.4f}  wanted {recall}")
        for peer in args.peers:
            points = []
            for setting, seconds, indices in PEERS[peer](X, args.threads):
                reached = recall_of(X, indices, chosen, distances)
                points.append((seconds, reached))
                print(f"  {peer:16} {seconds:8.3f} s  recall {reached:.4f}  {setting}", flush=True)
            result["peers"][peer] = points
        for ours in result["labelquorum"]:
            times = {
                peer: seconds
                for peer, points in result["peers"].items()
                if (seconds := seconds_at(points, ours["recall"])) is not None
            }
            if times:
                best = min(times, key=times.get)
                ours["best_peer"], ours["ratio"] = best, times[best] / ours["seconds"]
                print(
                    f"  at recall {ours['recall']:.4f}: {ours['seconds']:.3f} s, {best} "
                    f"{times[best]:.3f} s, {ours['ratio']:.2f}x"
                )
        if len(X) <= FLAT_MAX_ROWS:
            started = time.perf_counter()
            products(X)
            result["products"] = time.perf_counter() - started
            print(f"  products alone   {result['products']:8.3f} s")
        record(args, results)


if __name__ == "__main__":
    main()
