"""Exact kneighbors against faiss's Flat index and scikit-learn's brute force, on real data.

All find the 15 nearest of every sample, itself left out. The floor is the time that the dot
products of all pairs take as one matrix product (NumPy's BLAS, single precision).
"""

from __future__ import annotations

import time

import numpy as np

import labelquorum as lq
from _data import real_data
from _record import best_of, parser, record

K = 15
SKLEARN_MAX_ROWS = 20_000


def mnist():
    with np.load(real_data() / "mnist" / "mnist.npz") as loaded:
        images = np.concatenate([loaded["x_train"], loaded["x_test"]])
    return images.reshape(len(images), -1).astype(np.float32) / 255


def embeddings(*path):
    return np.load(real_data().joinpath(*path)).astype(np.float32)


def blobs(n, d, n_clusters):
    rng = np.random.default_rng(0)
    centers = rng.uniform(-10, 10, size=(n_clusters, d))
    return (centers[rng.integers(n_clusters, size=n)] + rng.normal(size=(n, d))).astype(np.float32)


SETS = {
    "mnist": mnist,
    "20news": lambda: embeddings("20news", "20news_minilm.npy"),
    "clinc150": lambda: embeddings("intents", "clinc150_minilm.npy"),
    "blobs": lambda: blobs(100_000, 64, 100),
}


def without_itself(distances, indices):
    """Drop each sample from its own neighbours, wherever it stands among duplicates."""
    keep = indices != np.arange(len(indices))[:, None]
    keep[keep.all(axis=1), -1] = False
    return distances[keep].reshape(-1, K), indices[keep].reshape(-1, K)


def faiss_flat(X, threads):
    import faiss

    faiss.omp_set_num_threads(threads)
    index = faiss.IndexFlatL2(X.shape[1])
    index.add(X)
    squared, indices = index.search(X, K + 1)
    return without_itself(np.sqrt(np.maximum(squared, 0)), indices)


def sklearn_brute(X, threads):
    from sklearn.neighbors import NearestNeighbors

    model = NearestNeighbors(n_neighbors=K, algorithm="brute", n_jobs=threads).fit(X)
    return model.kneighbors()


def products(X):
    """Multiply all rows with all, 4096 at a time."""
    for begin in range(0, len(X), 4096):
        X[begin : begin + 4096] @ X.T


def main():
    options = parser(__doc__)
    options.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    options.add_argument("--rows", type=int, help="the first so many of each set")
    args = options.parse_args()
    results = []
    for name in args.sets:
        try:
            X = np.ascontiguousarray(SETS[name]()[: args.rows])
        except FileNotFoundError:
            print(f"{name}: skipped, not in {real_data()}; LABELQUORUM_DATA names the folder")
            continue
        print(f"{name}: {len(X):,} x {X.shape[1]}, {args.threads} threads")
        seconds, (distances, indices) = best_of(
            2, lambda X=X: lq.kneighbors(X, K, n_jobs=args.threads)
        )
        result = {"set": name, "shape": X.shape, "labelquorum": seconds}
        peers = {"faiss_flat": faiss_flat}
        if len(X) <= SKLEARN_MAX_ROWS:
            peers["sklearn_brute"] = sklearn_brute
        print(f"  {'labelquorum, exact':20} {seconds:8.3f} s")
        for peer, search in peers.items():
            taken, (theirs, _) = best_of(1, lambda X=X, s=search: s(X, args.threads))
            # Theirs are of single precision, so neighbours may differ, but hardly their distances.
            gap = float(np.abs(theirs - distances).max())
            result[peer] = {"seconds": taken, "largest_difference": gap}
            print(
                f"  {peer:20} {taken:8.3f} s  {taken / seconds:6.2f}x  distances within {gap:.1e}"
            )
        started = time.perf_counter()
        products(X)
        result["products"] = time.perf_counter() - started
        print(f"  {'products alone':20} {result['products']:8.3f} s")
        assert (np.sort(indices, axis=1)[:, 1:] != np.sort(indices, axis=1)[:, :-1]).all()
        results.append(result)
    record(args, results)


if __name__ == "__main__":
    main()
