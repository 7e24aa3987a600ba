"""How often what checks by hand guarantee holds, on real data.

Labels are spread from 10 of each class; then, again and again, some are checked against the truth.
In at least 95 % of the repetitions the lower bound must be no more than the precision, and the
labels above the threshold must have the wanted precision.
"""

from __future__ import annotations

import time

import numpy as np
from _record import parser, record

import labelquorum as lq
from _data import SETS as LOADERS
from _data import real_data
from propagation_accuracy import SETS, draw


def spread(X, classes, threads):
    """Labels and confidences, -1 for those that were given."""
    given = draw(classes, 10, np.random.default_rng(0))
    model = lq.LabelSpreading(n_jobs=threads).fit(X, given)
    labels = np.where(given < 0, model.transduction_, -1)
    return labels, model.label_distributions_.max(axis=1)


def measure(labels, confidence, classes, n_checks, wanted, draws):
    """Repeat the checks; say what held."""
    right = labels == classes
    precision = right[labels >= 0].mean()
    bounds, kept, guaranteed, seconds = [], [], [], 0.0
    for seed in range(draws):
        started = time.perf_counter()
        checked = lq.samples_to_check(labels, confidence, n_checks, random_state=seed)
        oracle = np.full(len(labels), -1)
        oracle[checked] = classes[checked]
        found = lq.label_quality(labels, oracle, confidence, wanted_precision=wanted)
        seconds += time.perf_counter() - started
        bounds.append(found.lower_bound)
        above = (labels >= 0) & (confidence >= found.threshold)
        kept.append(above.sum() / found.n_labels)
        guaranteed.append(not above.any() or right[above].mean() >= wanted)
    return {
        "checks": n_checks,
        "wanted": wanted,
        "draws": draws,
        "precision": float(precision),
        "mean_bound": float(np.mean(bounds)),
        "bound_held": float(np.mean(np.array(bounds) <= precision)),
        "kept": float(np.mean(kept)),
        "guarantee_held": float(np.mean(guaranteed)),
        "seconds": seconds / draws,
    }


def main():
    options = parser(__doc__)
    options.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    options.add_argument("--draws", type=int, default=200)
    options.add_argument("--rows", type=int, help="at random so many of each set")
    args = options.parse_args()
    results = []
    for name in args.sets:
        try:
            X, classes = LOADERS[name]()
        except FileNotFoundError:
            print(f"{name}: skipped, not in {real_data()}; LABELQUORUM_DATA names the folder")
            continue
        if args.rows is not None and args.rows < len(X):
            rows = np.random.default_rng(0).choice(len(X), args.rows, replace=False)
            X, classes = X[rows], classes[rows]
        classes = np.unique(classes, return_inverse=True)[1]
        labels, confidence = spread(X, classes, args.threads)
        for n_checks in (60, 300):
            for wanted in (0.9, 0.95):
                row = measure(labels, confidence, classes, n_checks, wanted, args.draws)
                results.append({"set": name} | row)
                print(
                    f"{name:10} {n_checks:3} checks: precision {row['precision']:.3f}, bound "
                    f"{row['mean_bound']:.3f} held in {row['bound_held']:.1%}; {wanted} guaranteed "
                    f"for {row['kept']:.1%} of labels, held in {row['guarantee_held']:.1%}"
                )
        record(args, results)


if __name__ == "__main__":
    main()
