"""Accuracy on unlabeled samples with 1, 5, 10 and 50 labels per class, beside scikit-learn.

Our estimators have their defaults, the same on all sets. So do scikit-learn's label spreading and
nearest neighbors; its self-training wraps nearest neighbors. CLINC150 is measured without its
out-of-scope queries.
"""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.neighbors import KNeighborsClassifier
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

import _data
import labelquorum as lq
from _peers import sklearn_knn_graph
from _recorder import add_choices, parser, record, timed

SETS = ("digits", "pendigits", "clinc150", "mnist")
SLOW = ("sklearn SelfTraining",)


def spread_by_sklearn(graph, y):
    # The kernel only returns the graph of kernel="knn", which all draws share.
    unused = np.zeros((len(y), 1))
    return LabelSpreading(kernel=lambda *_: graph).fit(unused, y).transduction_


def self_trained(X, y, threads):
    voters = KNeighborsClassifier(min(5, int((y >= 0).sum())), n_jobs=threads)
    return SelfTrainingClassifier(voters).fit(X, y).predict(X)


def voted(X, y, threads):
    known = y >= 0
    voters = KNeighborsClassifier(min(5, int(known.sum())), n_jobs=threads)
    labels = y.copy()
    labels[~known] = voters.fit(X[known], y[known]).predict(X[~known])
    return labels


def methods(X, graph, threads):
    """Return functions that label all samples; those that spread labels share their graphs."""
    ours = {"n_jobs": threads, "graph": graph}
    estimators = {
        "LabelSpreading": lq.LabelSpreading(**ours),
        "LabelSpreading, class masses": lq.LabelSpreading(class_mass_normalization=True, **ours),
        "LabelPropagation": lq.LabelPropagation(**ours),
        "PoissonLearning": lq.PoissonLearning(**ours),
        "KNNLabelPropagation": lq.KNNLabelPropagation(random_state=0, n_jobs=threads),
    }
    their_graph = sklearn_knn_graph(X, threads)
    peers = {
        "sklearn LabelSpreading knn": lambda _X, y, _threads: spread_by_sklearn(their_graph, y),
        "sklearn SelfTraining": self_trained,
        "sklearn KNeighbors": voted,
    }
    return {
        name: lambda X, y, model=model: model.fit(X, y).transduction_
        for name, model in estimators.items()
    } | {name: lambda X, y, peer=peer: peer(X, y, threads) for name, peer in peers.items()}


def draw(classes, per_class, rng):
    labels = np.full(len(classes), -1)
    for c in range(classes.max() + 1):
        of_class = np.flatnonzero(classes == c)
        chosen = rng.choice(of_class, min(per_class, len(of_class) - 1), replace=False)
        labels[chosen] = c
    return labels


def main():
    options = parser(__doc__)
    add_choices(options, "--sets", SETS, "data sets")
    options.add_argument(
        "--per-class", type=int, nargs="+", default=[1, 5, 10, 50], help="labels per class"
    )
    options.add_argument("--draws", type=int, default=20, help="draws of labels")
    options.add_argument("--rows", type=int, help="take at most this many random samples")
    options.add_argument(
        "--peer-rows",
        type=int,
        default=12_000,
        help="with more samples, scikit-learn's self-training gets one draw",
    )
    args = options.parse_args()
    # From label spreading that has not converged, and classes with one label.
    warnings.simplefilter("ignore")
    results = []
    for name, X, classes in _data.loaded(args.sets, args.rows):
        # All draws share the graph that LabelSpreading() would make; its time is not in theirs.
        seconds, graph = timed(lambda X=X: lq.affinity_graph(X, n_jobs=args.threads))
        print(f"{name}: graph of neighbors in {seconds:.2f} s")
        named = methods(X, graph, args.threads)
        for per_class in args.per_class:
            print(f"{name}: {len(X):,} samples, {per_class} labels of each of {classes.max() + 1}")
            for method, label in named.items():
                slow = len(X) > args.peer_rows and method in SLOW
                accuracies, seconds = [], 0.0
                for seed in range(1 if slow else args.draws):
                    labels = draw(classes, per_class, np.random.default_rng(seed))
                    fit_seconds, spread = timed(lambda f=label, X=X, y=labels: f(X, y))
                    seconds += fit_seconds
                    unlabeled = labels < 0
                    accuracies.append(float((spread == classes)[unlabeled].mean()))
                mean, deviation = np.mean(accuracies), np.std(accuracies)
                seconds /= len(accuracies)
                print(f"  {method:30} {mean:7.2%} +- {deviation:6.2%}  {seconds:8.3f} s")
                results.append(
                    {"set": name, "per_class": per_class, "method": method}
                    | {"draws": len(accuracies), "mean": mean, "deviation": deviation}
                    | {"seconds": seconds}
                )
        record(args, results)


if __name__ == "__main__":
    main()
