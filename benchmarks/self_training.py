"""Self-training around a logistic regression: ours beside scikit-learn's, and no self-training.

Half of the samples are held out: accuracy is on these. Of the others 5, 10 or 50 of each class are
labeled, and the rest is seen without labels. Every method wraps the same logistic regression;
scikit-learn's takes answers above its default threshold, or so many of the most certain as come to
all samples in the same number of rounds as ours.
"""

from __future__ import annotations

import time
import warnings

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.semi_supervised import SelfTrainingClassifier

import _data
import labelquorum as lq
from _record import parser, record
from propagation_accuracy import draw

OURS = "CurriculumSelfTraining"


def models(n_unlabeled):
    base = LogisticRegression(max_iter=1000)
    ours = lq.CurriculumSelfTraining(base)
    k_best = max(1, n_unlabeled // ours.n_rounds)
    return {
        OURS: ours,
        "sklearn, threshold": SelfTrainingClassifier(base),
        "sklearn, k best": SelfTrainingClassifier(base, criterion="k_best", k_best=k_best),
        "none": base,
    }


def main():
    options = parser(__doc__)
    options.add_argument("--sets", nargs="+", choices=_data.SETS, default=list(_data.SETS))
    options.add_argument("--per-class", type=int, nargs="+", default=[5, 10, 50])
    options.add_argument("--draws", type=int, default=10)
    options.add_argument("--rows", type=int, default=8000, help="at random so many of each set")
    args = options.parse_args()
    warnings.simplefilter("ignore")  # self-training that ends early
    results = []
    for name in args.sets:
        try:
            X, classes = _data.SETS[name]()
        except FileNotFoundError:
            print(f"{name}: skipped, not in {_data.real_data()}")
            continue
        classes = np.unique(classes, return_inverse=True)[1]
        for per_class in args.per_class:
            print(f"{name}: {per_class} labels of each of {classes.max() + 1}")
            accuracies, seconds = {}, {}
            for seed in range(args.draws):
                rng = np.random.default_rng(seed)
                rows = rng.permutation(len(X))[: args.rows]
                train, test = train_test_split(
                    rows, test_size=0.5, stratify=classes[rows], random_state=seed
                )
                y = draw(classes[train], per_class, rng)
                for method, model in models(int((y < 0).sum())).items():
                    seen = y >= 0 if method == "none" else slice(None)
                    started = time.perf_counter()
                    model.fit(X[train][seen], y[seen])
                    seconds.setdefault(method, []).append(time.perf_counter() - started)
                    found = model.predict(X[test])
                    accuracies.setdefault(method, []).append((found == classes[test]).mean())
            for method, of in accuracies.items():
                row = {"set": name, "per_class": per_class, "method": method, "draws": len(of)}
                row |= {"accuracy": float(np.mean(of)), "deviation": float(np.std(of))}
                results.append(row | {"seconds": float(np.mean(seconds[method]))})
                print(
                    f"  {method:24} {row['accuracy']:.3f} +- {row['deviation']:.3f}, "
                    f"{np.mean(seconds[method]):.1f} s",
                    flush=True,
                )
            record(args, results)
    for method in models(1):
        mean = np.mean([row["accuracy"] for row in results if row["method"] == method])
        print(f"{method:24} {mean:.3f} in the mean")


if __name__ == "__main__":
    main()
