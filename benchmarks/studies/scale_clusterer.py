"""ConsensusClusterer on a million samples of 64 features, from the array to labels.

The samples are of Gaussian clusters that overlap. Most of the work are searches for neighbours, of
the samples and of their averages, one or two for each of eight views: `bench_neighbors.py` has
their floor and peers. The bars are ten minutes on two cores, and 8 GiB at the peak of the process,
libraries and data included.
"""

from __future__ import annotations

import numpy as np
from _record import best_of, memory, parser, record

import labelquorum as lq

BAR_SECONDS, BAR_BYTES = 600, 8 * 2**30
SPREAD = 1.2  # of the centres, where that of a cluster is 1


def samples(n, n_features, n_clusters):
    rng = np.random.default_rng(0)
    centers = rng.normal(scale=SPREAD, size=(n_clusters, n_features)).astype(np.float32)
    classes = rng.integers(n_clusters, size=n)
    return centers[classes] + rng.standard_normal((n, n_features), dtype=np.float32), classes


def main():
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=10**6)
    options.add_argument("--features", type=int, default=64)
    options.add_argument("--clusters", type=int, default=100)
    args = options.parse_args()
    X, classes = samples(args.rows, args.features, args.clusters)
    model = lq.ConsensusClusterer(args.clusters, random_state=0, n_jobs=args.threads)
    seconds, _ = best_of(1, lambda: model.fit(X))
    found = {
        "seconds": seconds,
        "peak_bytes": memory("VmHWM"),
        "accuracy": lq.clustering_accuracy(classes, model.labels_),
    }
    print(
        f"{args.rows:,} x {args.features}, {args.clusters} clusters: {seconds:.1f} s (bar: "
        f"{BAR_SECONDS}), {found['peak_bytes'] / 2**30:.2f} GiB (bar: {BAR_BYTES / 2**30:g}), "
        f"accuracy {found['accuracy']:.3f}"
    )
    record(args, found)


if __name__ == "__main__":
    main()
