"""Assignment to many codebooks at once, beside a search with faiss or by ourselves for each.

16 clusterings of 50 to 400 centers, fitted on 20,000 samples by three steps of k-means, assign all
samples. The peers answer for one codebook after the other: IndexFlatL2 of faiss with k=1 (bar: ours
is twice as fast) and our own exact kneighbors. The floor is the time that the products of all
samples with all centers take as a matrix product (NumPy's BLAS, single precision); ours may be
below it where the processor multiplies bfloat16. Labels are asserted equal to those of kneighbors;
the share that faiss has, too, is recorded (it rounds to single precision).
"""

from __future__ import annotations

import numpy as np

import labelquorum as lq
from _data import real_data
from _record import best_of, parser, record

N_CODEBOOKS = 16
N_FITTED = 20_000
BAR = 2


def blobs(n, d, n_clusters):
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(n_clusters, d), scale=0.5)
    return (centers[rng.integers(n_clusters, size=n)] + rng.normal(size=(n, d))).astype(np.float32)


def mnist():
    with np.load(real_data() / "mnist" / "mnist.npz") as loaded:
        images = np.concatenate([loaded["x_train"], loaded["x_test"]])
    return images.reshape(len(images), -1).astype(np.float32) / 255


SETS = {
    "small": lambda: blobs(1000, 8, 10),
    "million": lambda: blobs(1_000_000, 64, 100),
    "wide": lambda: blobs(100_000, 384, 100),
    "clinc150": lambda: np.load(real_data() / "intents" / "clinc150_minilm.npy").astype(np.float32),
    "mnist": mnist,
}


def fit(X, k, rng):
    """Fit centers by a few steps of k-means."""
    centers = X[rng.choice(len(X), min(k, len(X)), replace=False)]
    for _ in range(3):
        labels = lq.assign_codebooks(X, [centers])[:, 0]
        order = np.argsort(labels, kind="stable")
        found, begins = np.unique(labels[order], return_index=True)
        sums = np.add.reduceat(X[order], begins, axis=0)
        centers[found] = sums / np.diff([*begins, len(X)])[:, None]
    return centers


def with_faiss(X, codebooks, threads):
    import faiss

    faiss.omp_set_num_threads(threads)
    labels = np.empty((len(X), len(codebooks)), dtype=np.int16)
    for i, centers in enumerate(codebooks):
        index = faiss.IndexFlatL2(X.shape[1])
        index.add(centers)
        labels[:, i] = index.search(X, 1)[1][:, 0]
    return labels


def with_kneighbors(X, codebooks, threads):
    labels = np.empty((len(X), len(codebooks)), dtype=np.int16)
    for i, centers in enumerate(codebooks):
        labels[:, i] = lq.kneighbors(centers, 1, Y=X, n_jobs=threads)[1][:, 0]
    return labels


def products(X, codebooks):
    """Multiply all samples with all centers, 4096 at a time."""
    centers = np.concatenate(codebooks)
    for begin in range(0, len(X), 4096):
        X[begin : begin + 4096] @ centers.T


def compare(name, X, threads, repeats):
    rng = np.random.default_rng(1)
    sample = X[rng.choice(len(X), min(N_FITTED, len(X)), replace=False)]
    codebooks = [
        fit(sample, int(k), rng) for k in np.linspace(50, 400, N_CODEBOOKS).round().astype(int)
    ]
    n_centers = sum(map(len, codebooks))
    print(
        f"{name}: {len(X):,} x {X.shape[1]}, {n_centers:,} centers, {threads} threads", flush=True
    )
    calls = {
        "labelquorum": lambda: lq.assign_codebooks(X, codebooks, n_jobs=threads),
        "to signatures": lambda: lq.assign_codebooks(
            X, codebooks, table=lq.SignatureTable(N_CODEBOOKS), n_jobs=threads
        ),
        "kneighbors": lambda: with_kneighbors(X, codebooks, threads),
        "faiss": lambda: with_faiss(X, codebooks, threads),
        "products": lambda: products(X, codebooks),
    }
    result = {"set": name, "shape": X.shape, "centers": n_centers, "seconds": {}}
    labels = {}
    for call in calls:
        seconds, labels[call] = best_of(repeats, calls[call])
        result["seconds"][call] = seconds
        print(f"  {call:16} {seconds:8.3f} s", flush=True)
    ours = labels["labelquorum"]
    np.testing.assert_array_equal(ours, labels["kneighbors"])
    table = lq.SignatureTable(N_CODEBOOKS)
    np.testing.assert_array_equal(labels["to signatures"], table.update(ours))
    result["signatures"] = len(table)
    result["faiss_agrees"] = float((ours == labels["faiss"]).mean())
    for peer in ("faiss", "kneighbors", "products"):
        result[f"ratio_to_{peer}"] = result["seconds"][peer] / result["seconds"]["labelquorum"]
    print(
        f"  faiss takes {result['ratio_to_faiss']:.1f} times as long (bar {BAR}), kneighbors "
        f"{result['ratio_to_kneighbors']:.1f}, the products {result['ratio_to_products']:.2f}; "
        f"faiss agrees in {result['faiss_agrees']:.4%}, {len(table):,} signatures"
    )
    return result


def main():
    options = parser(__doc__)
    options.add_argument("--sets", nargs="+", choices=SETS, default=[*SETS][1:])
    options.add_argument("--rows", type=int, help="the first so many of each set")
    options.add_argument("--repeats", type=int, default=2)
    args = options.parse_args()
    results = []
    for name in args.sets:
        try:
            X = np.ascontiguousarray(SETS[name]()[: args.rows])
        except FileNotFoundError:
            print(f"{name}: skipped, not in {real_data()}; LABELQUORUM_DATA names the folder")
            continue
        results.append(compare(name, X, args.threads, args.repeats))
        record(args, results)


if __name__ == "__main__":
    main()
