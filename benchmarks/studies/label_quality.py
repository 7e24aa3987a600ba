"""How often the guarantees of checks by hand hold on real data.

Labels are spread from 10 samples of each class. Then, again and again, some are checked against the
classes. In at least 95 % of the repetitions, the lower bound must not exceed the precision, and the
labels above the threshold must have the wanted precision.
"""

from __future__ import annotations

import time

import numpy as np

import labelquorum as lq
from _data import loaded
from _recorder import add_choices, parser, record
from propagation_accuracy import SETS, draw


def spread(X, classes, threads):
    """Return spread labels, -1 for the samples that had one before, and confidences."""
    known = draw(classes, 10, np.random.default_rng(0))
    model = lq.LabelSpreading(n_jobs=threads).fit(X, known)
    labels = np.where(known < 0, model.transduction_, -1)
    return labels, model.label_distributions_.max(axis=1)


def measure(labels, confidence, classes, n_checks, wanted, draws):
    """Repeat the checks; return how often the bound and the guarantee held."""
    right = labels == classes
    precision = right[labels >= 0].mean()
    bounds, kept, guaranteed, seconds = [], [], [], 0.0
    for seed in range(draws):
        started = time.perf_counter()
        checked = lq.samples_to_check(labels, confidence, n_checks, random_state=seed)
        oracle = np.full(len(labels), -1)
        oracle[checked] = classes[checked]
        quality = lq.label_quality(labels, oracle, confidence, wanted_precision=wanted)
        seconds += time.perf_counter() - started
        bounds.append(quality.lower_bound)
        above = (labels >= 0) & (confidence >= quality.threshold)
        kept.append(above.sum() / quality.n_labels)
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
    add_choices(options, "--sets", SETS, "data sets")
    options.add_argument("--draws", type=int, default=200, help="repetitions of the checks")
    options.add_argument("--rows", type=int, help="take at most this many random samples")
    args = options.parse_args()
    results = []
    for name, X, classes in loaded(args.sets, args.rows):
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
