"""Answers that may be wrong: given as `y`, as votes, or to `LabelSpreading`.

A share of the samples, drawn at random, has an answer, as from a language model. A share of the
answers is wrong: any other category, with equal probability. Accuracy is measured by name on all
samples, and apart on those with and without an answer. The number of categories is given. Columns
of noise are added to base partitions in the end: they must change nothing.
Bar: votes at most 2 points below the same answers as `y`; noise changes at most 0.3 points.
"""

from __future__ import annotations

import warnings

import numpy as np

import _data
import labelquorum as lq
from _recorder import add_choices, parser, record, timed

SETS = ("stackoverflow", "clinc150")
BAR_BELOW, BAR_NOISE = 0.02, 0.003
SIZES_OF_NOISE = (2, 5, 20, 150, 1000)


def as_y(X, answers, n_categories, seed):
    return lq.ConsensusClusterer(n_categories, random_state=seed).fit(X, answers).labels_


def as_votes(X, answers, n_categories, seed):
    return lq.ConsensusClusterer(n_categories, random_state=seed).fit(X, votes=answers).labels_


def spreading(X, answers, _n_categories, _seed):
    return lq.LabelSpreading().fit(X, answers).transduction_


METHODS = {"y": as_y, "votes": as_votes, "LabelSpreading": spreading}


def draw(classes, share, share_wrong, seed):
    """Return answers for a share of the samples, -1 elsewhere."""
    rng = np.random.default_rng(seed)
    n_categories = int(classes.max()) + 1
    answers = np.full(len(classes), -1)
    answered = rng.choice(len(classes), round(share * len(classes)), replace=False)
    answers[answered] = classes[answered]
    wrong = rng.choice(answered, round(share_wrong * len(answered)), replace=False)
    answers[wrong] += rng.integers(1, n_categories, size=len(wrong))
    return np.where(answers >= 0, answers % n_categories, -1)


def scores(classes, labels, answers):
    right, answered = labels == classes, answers >= 0
    return {
        "all": float(right.mean()),
        "answered": float(right[answered].mean()),
        "others": float(right[~answered].mean()) if not answered.all() else None,
    }


def measure(args, name, X, classes):
    n_categories = int(classes.max()) + 1
    print(f"{name}: {len(X):,} samples, {n_categories} categories")
    rows = []
    for share in args.shares:
        for share_wrong in args.wrong:
            shown = []
            for method in args.methods:
                runs = []
                for seed in range(args.draws):
                    answers = draw(classes, share, share_wrong, seed)
                    seconds, labels = timed(
                        lambda m=method, a=answers, s=seed: METHODS[m](X, a, n_categories, s)
                    )
                    runs.append(scores(classes, labels, answers) | {"seconds": seconds})
                row = {
                    key: None if value is None else float(np.mean([run[key] for run in runs]))
                    for key, value in runs[0].items()
                }
                rows.append(
                    {"set": name, "samples": len(X), "share": share, "wrong": share_wrong}
                    | {"method": method, "draws": args.draws, **row}
                )
                shown.append(f"{method} {row['all']:.3f}")
            print(
                f"  answers for {share:.0%}, {share_wrong:.0%} wrong: {', '.join(shown)}",
                flush=True,
            )
    return rows


def noise(name, X, classes):
    """Return the accuracy with and without columns of noise beside base partitions."""
    n_categories = int(classes.max()) + 1
    partitions = lq.base_partitions(X, n_categories, random_state=0)
    rng = np.random.default_rng(0)
    columns = [rng.integers(0, n, size=len(X)) for n in SIZES_OF_NOISE]
    names = np.array([f"name {i}" for i in range(n_categories)])
    votes = lq.combine_votes([partitions, *columns, names[rng.integers(n_categories, size=len(X))]])
    accuracies = [
        lq.clustering_accuracy(
            classes,
            lq.ConsensusClusterer(n_categories, random_state=0).fit(X, partitions=given).labels_,
        )
        for given in (partitions, votes)
    ]
    print(f"  noise changes {accuracies[1] - accuracies[0]:+.4f} (bar: {BAR_NOISE})", flush=True)
    return {"set": name, "without_noise": accuracies[0], "with_noise": accuracies[1]}


def print_bar(rows):
    by_method = {
        method: [row["all"] for row in rows if row["method"] == method] for method in ("y", "votes")
    }
    if by_method["y"] and by_method["votes"]:
        worst = float(np.min(np.subtract(by_method["votes"], by_method["y"])))
        print(f"votes against y, worst setting: {worst:+.3f} (bar: {-BAR_BELOW:+.3f})")


def main():
    options = parser(__doc__)
    add_choices(options, "--sets", _data.SETS, "data sets", default=SETS)
    add_choices(options, "--methods", METHODS, "ways to give answers")
    options.add_argument("--draws", type=int, default=1, help="draws of answers")
    options.add_argument(
        "--shares", type=float, nargs="+", default=[0.1, 0.3, 1.0], help="shares of samples"
    )
    options.add_argument(
        "--wrong", type=float, nargs="+", default=[0.05, 0.15, 0.3], help="shares of wrong answers"
    )
    options.add_argument("--rows", type=int, help="take at most this many random samples")
    args = options.parse_args()
    warnings.simplefilter("ignore")  # about votes that change nothing
    rows, of_noise = [], []
    for name, X, classes in _data.loaded(args.sets, args.rows):
        rows += measure(args, name, X, classes)
        of_noise.append(noise(name, X, classes))
        record(args, {"answers": rows, "noise": of_noise})
    print_bar(rows)


if __name__ == "__main__":
    main()
