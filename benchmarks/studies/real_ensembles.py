"""Mini-clusters of published ensembles: coverage and precision of the pseudo-labels, and time.

Each set has 100 k-means partitions, and a draw takes 10 of them. Coverage is the share of samples
with a pseudo-label. Precision is the accuracy on these, with mini-clusters and classes matched one
to one.
"""

from __future__ import annotations

import numpy as np

import labelquorum as lq
from _data import missing, real_data
from _recorder import parser, record, timed


def draw(members, classes, min_agree, min_differ, rng):
    """Return coverage, precision (NaN without labels), number of mini-clusters, and seconds."""
    chosen = members[:, rng.choice(members.shape[1], 10, replace=False)]
    n_classes = len(np.unique(classes))
    seconds, labels = timed(
        lambda: lq.mini_clusters(chosen, n_classes, min_agree=min_agree, min_differ=min_differ)
    )
    covered = labels >= 0
    precision = np.nan
    if covered.any():
        precision = lq.clustering_accuracy(classes[covered], labels[covered])
    return covered.mean(), precision, labels.max() + 1, seconds


def main():
    options = parser(__doc__)
    options.add_argument("--draws", type=int, default=20, help="draws of 10 partitions")
    options.add_argument(
        "--min-agree",
        type=float,
        nargs="+",
        default=[0.7, 0.8, 0.9, 1.0],
        help="as in mini_clusters",
    )
    options.add_argument("--min-differ", type=float, default=0.9, help="as in mini_clusters")
    args = options.parse_args()
    files = sorted((real_data() / "ensembles").glob("*.npz"))
    if not files:
        print(missing("ensembles"))
        return
    print(
        f"{'set':10} {'n':>6} {'classes':>7} {'min_agree':>9} {'coverage':>9} {'precision':>9}",
        end="",
    )
    print(f" {'found':>6} {'ms':>8}")
    results = []
    for file in files:
        with np.load(file) as loaded:
            members, classes = loaded["members"], loaded["gt"].ravel()
        for min_agree in args.min_agree:
            rng = np.random.default_rng(0)  # the same draws for every threshold
            draws = [
                draw(members, classes, min_agree, args.min_differ, rng) for _ in range(args.draws)
            ]
            coverage, precision, n_found, seconds = np.nanmean(draws, axis=0)
            n_classes = len(np.unique(classes))
            print(
                f"{file.stem:10} {len(classes):6} {n_classes:7} {min_agree:9} {coverage:9.1%} "
                f"{precision:9.1%} {n_found:6.1f} {seconds * 1e3:8.2f}"
            )
            results.append(
                {"set": file.stem, "rows": len(classes), "n_classes": n_classes}
                | {"min_agree": min_agree, "min_differ": args.min_differ, "draws": args.draws}
                | {"coverage": coverage, "precision": precision}
                | {"n_found": n_found, "seconds": seconds}
            )
    record(args, results)


if __name__ == "__main__":
    main()
