"""NeighborSearcher against hnswlib, usearch and faiss set by hand: new queries of a fixed set.

The 15 nearest of the test samples among the training samples. The peers' indexes are built with
their usual settings, and the width of their search (ef, nprobe) is raised until the recall is
reached on these very queries: better than anybody could set them beforehand. Ours is not told.
"""

from __future__ import annotations

import time

import numpy as np

import labelquorum as lq
from _data import real_data
from _record import best_of, parser, record

K = 15
TARGETS = (0.95, 0.99)
WIDTHS = (16, 20, 24, 32, 40, 48, 64, 96, 128, 192, 256, 384, 512, 1024)
N_20NEWS_TRAIN = 11_314
LIBRARIES = ("faiss_hnsw", "faiss_ivf", "hnswlib", "usearch")


def mnist(rows):
    with np.load(real_data() / "mnist" / "mnist.npz") as loaded:
        X, Y = (
            loaded[name].reshape(len(loaded[name]), -1).astype(np.float32) / 255
            for name in ("x_train", "x_test")
        )
    return X[:rows], Y


def news(rows):
    all_rows = np.load(real_data() / "20news" / "20news_minilm.npy").astype(np.float32)
    return all_rows[:N_20NEWS_TRAIN][:rows], all_rows[N_20NEWS_TRAIN:]


def blobs(rows, d=64, n_clusters=1000):
    n = rows or 1_000_000
    rng = np.random.default_rng(0)
    centers = rng.uniform(-10, 10, size=(n_clusters, d))
    X = centers[rng.integers(n_clusters, size=n + 10_000)]
    X = (X + rng.normal(size=X.shape)).astype(np.float32)
    return X[:n], X[n:]


SETS = {"mnist": mnist, "20news": news, "blobs": blobs}


# Of each peer: a function that searches Y with a width.


def faiss_hnsw(X, threads):
    import faiss

    faiss.omp_set_num_threads(threads)
    index = faiss.IndexHNSWFlat(X.shape[1], 32)
    index.add(X)

    def search(Y, width):
        return index.search(Y, K, params=faiss.SearchParametersHNSW(efSearch=width))[1]

    return search


def faiss_ivf(X, threads):
    import faiss

    faiss.omp_set_num_threads(threads)
    n_lists = int(4 * np.sqrt(len(X)))
    index = faiss.index_factory(X.shape[1], f"IVF{n_lists},Flat")
    index.train(X[:: max(1, len(X) // (64 * n_lists))])
    index.add(X)

    def search(Y, width):
        return index.search(
            Y, K, params=faiss.SearchParametersIVF(nprobe=min(width // 8, n_lists))
        )[1]

    return search


def hnswlib(X, threads):
    import hnswlib as library

    index = library.Index("l2", X.shape[1])
    index.init_index(len(X), M=32, ef_construction=200, random_seed=0)
    index.set_num_threads(threads)
    index.add_items(X)

    def search(Y, width):
        index.set_ef(width)
        return index.knn_query(Y, K)[0].astype(np.int64)

    return search


def usearch(X, threads):
    from usearch.index import Index

    index = Index(ndim=X.shape[1], metric="l2sq", connectivity=32, dtype="f32")
    index.add(np.arange(len(X)), X, threads=threads)

    def search(Y, width):
        index.expansion_search = width
        return np.asarray(index.search(Y, K, threads=threads).keys, dtype=np.int64)

    return search


def recall_of(indices, true_indices):
    shared = (indices[:, :, None] == true_indices[:, None, :]).any(axis=2)
    return float(shared.mean())


def at_recall(search, Y, true_indices, target):
    """Time the narrowest search that reaches the recall; or else the widest."""
    for width in WIDTHS:
        recall = recall_of(search(Y, width), true_indices)
        if recall >= target:
            break
    seconds, _ = best_of(3, lambda: search(Y, width))
    return {"width": width, "recall": recall, "queries_per_second": len(Y) / seconds}


def show(name, target, result, fit_seconds):
    print(
        f"  {name:12} target {target:.2f}  recall {result['recall']:.4f}  "
        f"{result['queries_per_second']:10,.0f} queries/s  made in {fit_seconds:7.2f} s",
        flush=True,
    )


def timed(call):
    started = time.perf_counter()
    result = call()
    return time.perf_counter() - started, result


def main():
    options = parser(__doc__)
    options.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    options.add_argument("--rows", type=int, help="the first so many of each set")
    options.add_argument("--peers", nargs="*", choices=LIBRARIES, default=list(LIBRARIES))
    args = options.parse_args()
    results = []
    for name in args.sets:
        try:
            X, Y = SETS[name](args.rows)
        except FileNotFoundError:
            print(f"{name}: skipped, not in {real_data()}; LABELQUORUM_DATA names the folder")
            continue
        X = np.ascontiguousarray(X)
        Y = np.ascontiguousarray(Y if args.rows is None else Y[: max(1, args.rows // 5)])
        print(f"{name}: {len(X):,} x {X.shape[1]}, {len(Y):,} queries, {args.threads} threads")
        seconds, (_, true_indices) = best_of(
            2, lambda X=X, Y=Y: lq.kneighbors(X, K, Y=Y, n_jobs=args.threads)
        )
        exact = {"recall": 1.0, "queries_per_second": len(Y) / seconds}
        show("exact", 1, exact, 0)
        result = {"set": name, "shape": X.shape, "n_queries": len(Y), "exact": exact}
        result["labelquorum"] = []
        for target in TARGETS:
            fit_seconds, searcher = timed(
                lambda X=X, target=target: lq.NeighborSearcher(
                    recall=target, n_neighbors=K, n_jobs=args.threads, random_state=0
                ).fit(X)
            )
            seconds, (_, indices) = best_of(3, lambda s=searcher, Y=Y: s.query(Y))
            ours = {
                "target": target,
                "recall": recall_of(indices, true_indices),
                "queries_per_second": len(Y) / seconds,
                "fit_seconds": fit_seconds,
                "quality": searcher.quality_._asdict(),
            }
            result["labelquorum"].append(ours)
            show(searcher.quality_.method, target, ours, fit_seconds)
        for peer in args.peers:
            make = globals()[peer]
            try:
                fit_seconds, search = timed(lambda X=X, make=make: make(X, args.threads))
            except ImportError:
                print(f"  {peer}: not installed")
                continue
            result[peer] = []
            for target in TARGETS:
                theirs = at_recall(search, Y, true_indices, target)
                result[peer].append({"target": target, "fit_seconds": fit_seconds, **theirs})
                show(peer, target, theirs, fit_seconds)
        results.append(result)
    record(args, results)


if __name__ == "__main__":
    main()
