"""Which voters make the best consensus: each kind alone, all, and those that are chosen.

All are told the number of classes. "communities" and "smoothed k-means" are the two kinds of
partitions of the package's views, "views" both; "heads" are clustering heads; "k-means" and
"spherical k-means" are scikit-learn's, of rows as they are and of centered rows of length 1; "all"
has equal parts of views, heads and both k-means; "chosen" is `base_partitions` with its defaults.
Each consensus is of 32 partitions, of 24 for the kinds of views, but of 8 for those by k-means,
which differ little.
"""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans

import labelquorum as lq
from _data import SETS, loaded
from _recorder import add_choices, parser, record
from labelquorum.clustering.heads import best_heads

N_PARTITIONS, N_KMEANS = 32, 8


def directions(X):
    centered = X - X.mean(axis=0)
    return centered / np.maximum(np.linalg.norm(centered, axis=1, keepdims=True), 1e-12)


def by_kmeans(X, n_clusters, seed):
    models = [KMeans(n_clusters, n_init=1, random_state=seed + i) for i in range(N_KMEANS)]
    return np.stack([model.fit_predict(X) for model in models], axis=1)


def partitions_of(X, n_clusters, seed, n_threads):
    """Return {kind: partitions}."""
    own = {"random_state": seed, "n_jobs": n_threads}
    # A pair of numbers leaves heads out. Every fourth partition of a view is by k-means.
    views = lq.base_partitions(X, (n_clusters, 4 * n_clusters), n_partitions=N_PARTITIONS, **own)
    is_kmeans = np.arange(N_PARTITIONS) % 4 == 3
    X = X.astype(np.float32)
    unit = directions(X)
    heads = best_heads(unit, n_clusters, N_PARTITIONS, seed, n_threads)
    plain, spherical = by_kmeans(X, n_clusters, seed), by_kmeans(unit, n_clusters, seed)
    parts = [views[:, :N_KMEANS], heads[:, :N_KMEANS], plain, spherical]
    return {
        "communities": views[:, ~is_kmeans],
        "smoothed k-means": views[:, is_kmeans],
        "views": views,
        "heads": heads,
        "k-means": plain,
        "spherical k-means": spherical,
        "all": np.concatenate(parts, axis=1),
        "chosen": lq.base_partitions(X, n_clusters, n_partitions=N_PARTITIONS, **own),
    }


def main():
    options = parser(__doc__)
    add_choices(options, "--set", SETS, "data sets")
    options.add_argument("--seeds", type=int, default=1, help="runs of each set")
    options.add_argument("--rows", type=int, default=20_000, help="take at most this many samples")
    args = options.parse_args()
    results = {}
    for name, X, classes in loaded(args.set, args.rows):
        n_clusters = int(classes.max()) + 1
        accuracy = {}
        for seed in range(args.seeds):
            of_kinds = partitions_of(X, n_clusters, seed, args.threads)
            for kind, partitions in of_kinds.items():
                labels = lq.consensus(partitions, n_clusters, n_jobs=args.threads)
                accuracy.setdefault(kind, []).append(lq.clustering_accuracy(classes, labels))
        results[name] = {
            kind: {"acc": float(np.mean(values)), "acc_sd": float(np.std(values))}
            for kind, values in accuracy.items()
        }
        row = "  ".join(f"{kind} {of['acc']:.3f}" for kind, of in results[name].items())
        print(f"{name:16} {row}", flush=True)
        record(args, results)
    for kind in next(iter(results.values()), {}):
        print(f"mean  {kind:18} {np.mean([of[kind]['acc'] for of in results.values()]):.3f}")


if __name__ == "__main__":
    main()
