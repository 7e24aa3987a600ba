"""ConsensusClusterer on a million samples of 64 features, from the array to the labels.

The samples come from overlapping Gaussian clusters. Most of the work is searches for neighbors, of
the samples and of their averages, one or two for each of eight views:
`benchmarks/test_neighbors.py` has their floor and peers.
Bars: ten minutes on two cores, and 8 GiB at the peak of the process, including libraries and data.
"""

from __future__ import annotations

import numpy as np

import labelquorum as lq
from _recorder import memory, parser, record, timed

BAR_SECONDS, BAR_BYTES = 600, 8 * 2**30
SPREAD = 1.2  # standard deviation of the centers; that of a cluster is 1


def samples(n, n_features, n_clusters):
    rng = np.random.default_rng(0)
    centers = rng.normal(scale=SPREAD, size=(n_clusters, n_features)).astype(np.float32)
    classes = rng.integers(n_clusters, size=n)
    return centers[classes] + rng.standard_normal((n, n_features), dtype=np.float32), classes


def main():
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=10**6, help="number of samples")
    options.add_argument("--features", type=int, default=64, help="number of features")
    options.add_argument("--clusters", type=int, default=100, help="number of clusters")
    args = options.parse_args()
    X, classes = samples(args.rows, args.features, args.clusters)
    model = lq.ConsensusClusterer(args.clusters, random_state=0, n_jobs=args.threads)
    seconds, _ = timed(lambda: model.fit(X))
    results = {
        "seconds": seconds,
        "peak_bytes": memory("VmHWM"),
        "accuracy": lq.clustering_accuracy(classes, model.labels_),
    }
    print(
        f"{args.rows:,} x {args.features}, {args.clusters} clusters: {seconds:.1f} s (bar: "
        f"{BAR_SECONDS}), {results['peak_bytes'] / 2**30:.2f} GiB (bar: {BAR_BYTES / 2**30:g}), "
        f"accuracy {results['accuracy']:.3f}"
    )
    record(args, results)


if __name__ == "__main__":
    main()
