"""Clustering with some known categories, beside semi-supervised k-means and a classifier.

A draw makes a share of the categories known, and labels 10 % of their samples. All other samples
are unlabeled. The number of categories is given. Accuracy is measured on all unlabeled samples,
with one matching of clusters and categories, and also apart for samples of known and of new
categories (Vaze et al., "Generalized category discovery", CVPR 2022). "By name" counts a sample of
a known category as right only if it got the number of that category, which is how a classifier
trained on the same labels is judged. "Purity" is the share of samples in known categories that
belong there. Then ours alone runs with 10 % of the labels wrong.
Bars: on average 9 points above the best peer; by name no worse than the classifier for any share of
known categories; known categories 90 % pure; wrong labels cost at most 1.5 points.
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

import _data
import labelquorum as lq
from _peers import constrained_kmeans, seeded_kmeans
from _recorder import add_choices, parser, record, timed

SETS = ("clinc150", "stackoverflow")
SHARE_LABELED = 0.1
BAR_ABOVE, BAR_PURITY, BAR_WRONG = 0.09, 0.9, 0.015


def ours(X, y, n_categories, seed):
    return lq.ConsensusClusterer(n_categories, random_state=seed).fit(X, y).labels_


def kmeans(X, _y, n_categories, seed):
    return KMeans(n_categories, n_init=10, random_state=seed).fit_predict(X)


def seeded(X, y, n_categories, seed):
    return seeded_kmeans(X, y, n_categories, seed=seed)


def constrained(X, y, n_categories, seed):
    return constrained_kmeans(X, y, n_categories, seed=seed)


def classifier(X, y, _n_categories, _seed):
    known = y >= 0
    model = GridSearchCV(LogisticRegression(max_iter=1000), {"C": [1, 10, 100]}, cv=3)
    return model.fit(X[known], y[known]).predict(X)


OURS, CLASSIFIER = "labelquorum", "logistic regression"
METHODS = {
    OURS: ours,
    "k-means": kmeans,
    "seeded k-means": seeded,
    "GCD k-means": constrained,
    CLASSIFIER: classifier,
}
WITHOUT_NAMES = ("k-means",)  # uses no labels: one run for each seed
WITHOUT_NEW = (CLASSIFIER,)


def draw(classes, share_known, share_wrong, seed):
    """Renumber the categories, known ones first; return them, the labels, and the number known.

    The same seed draws the same categories and samples, whatever share of the labels is wrong.
    """
    rng = np.random.default_rng(seed)
    n_classes = classes.max() + 1
    n_known = max(1, round(share_known * n_classes))
    classes = rng.permutation(n_classes)[classes]
    y = np.full(len(classes), -1)
    for c in range(n_known):
        of_class = np.flatnonzero(classes == c)
        y[rng.choice(of_class, max(1, round(SHARE_LABELED * len(of_class))), replace=False)] = c
    labeled = np.flatnonzero(y >= 0)
    wrong = rng.choice(labeled, round(share_wrong * len(labeled)), replace=False)
    if n_known > 1:
        y[wrong] = (y[wrong] + rng.integers(1, n_known, size=len(wrong))) % n_known
    return classes, y, n_known


def scores(classes, labels, n_known):
    """Return the accuracy on all samples, on known and new categories, and by name; and purity.

    A label below 0 counts as wrong.
    """
    has_label = labels >= 0
    counts = np.zeros((max(labels.max(), 0) + 1, classes.max() + 1), dtype=np.int64)
    np.add.at(counts, (labels[has_label], classes[has_label]), 1)
    matched = np.full(len(counts), -1)
    clusters, categories = linear_sum_assignment(counts, maximize=True)
    matched[clusters] = categories
    right = has_label & (matched[labels] == classes)
    known = classes < n_known
    in_known = has_label & (labels < n_known)
    return {
        "all": float(right.mean()),
        "known": float(right[known].mean()),
        "new": float(right[~known].mean()) if not known.all() else None,
        "by_name": float((labels == classes)[known].mean()),
        "purity": float((labels == classes)[in_known].mean()) if in_known.any() else None,
    }


def measure(args, name, X, classes, share_known, share_wrong, without_labels):
    """Return a row of means for each method.

    `without_labels` keeps the runs that do not depend on the labels, for the next call.
    """
    n_categories = int(classes.max()) + 1
    methods = [method for method in args.methods if not share_wrong or method == OURS]
    runs = {method: [] for method in methods}
    for seed in range(args.draws):
        drawn, y, n_known = draw(classes, share_known, share_wrong, seed)
        unlabeled = y < 0
        for method in methods:
            if (method, seed) in without_labels:
                seconds, labels = without_labels[method, seed]
            else:
                run = METHODS[method]
                seconds, labels = timed(lambda run=run, y=y, s=seed: run(X, y, n_categories, s))
            if method in WITHOUT_NAMES:
                without_labels[method, seed] = seconds, labels
            of = scores(drawn[unlabeled], labels[unlabeled], n_known) | {"seconds": seconds}
            if method in WITHOUT_NAMES:
                of |= {"by_name": None, "purity": None}
            if method in WITHOUT_NEW:
                of |= {"all": None, "known": None, "new": None, "purity": None}
            runs[method].append(of)
    print(
        f"{name}: {len(X):,} samples, {n_known} of {n_categories} categories known, "
        f"{SHARE_LABELED:.0%} of their samples labeled, {share_wrong:.0%} of the labels wrong"
    )
    print(
        f"  {'':20} {'all':>15} {'known':>6} {'new':>6} {'by name':>8} {'purity':>7} {'seconds':>8}"
    )
    rows = []
    for method, of_method in runs.items():
        row = {
            key: None if value is None else float(np.mean([of[key] for of in of_method]))
            for key, value in of_method[0].items()
        }
        if row["all"] is not None:
            row["deviation"] = float(np.std([of["all"] for of in of_method]))
        print_row(method, row)
        rows.append(
            {"set": name, "share_known": share_known, "share_wrong": share_wrong}
            | {"method": method, "draws": args.draws, **row}
        )
    return rows


def print_row(method, row):
    def share(key):
        return "-" if row.get(key) is None else f"{row[key]:.3f}"

    print(
        f"  {method:20} {share('all')} +- {share('deviation')} {share('known'):>6} "
        f"{share('new'):>6} {share('by_name'):>8} {share('purity'):>7} {row['seconds']:8.2f}",
        flush=True,
    )


def print_bars(rows):
    def mean(method, key, share_wrong, shares_known=None):
        chosen = [r for r in rows if (r["method"], r["share_wrong"]) == (method, share_wrong)]
        chosen = [r for r in chosen if shares_known is None or r["share_known"] in shares_known]
        values = [row[key] for row in chosen if row[key] is not None]
        return float(np.mean(values)) if values else None

    shares_wrong = sorted({row["share_wrong"] for row in rows})
    for share_wrong in shares_wrong:
        means = {method: mean(method, "all", share_wrong) for method in METHODS}
        means = {method: value for method, value in means.items() if value is not None}
        print(f"{share_wrong:.0%} of the labels wrong, mean of all settings: ", end="")
        print(", ".join(f"{method} {value:.3f}" for method, value in means.items()))
        peers = [value for method, value in means.items() if method != OURS]
        if OURS in means and peers:
            above = means[OURS] - max(peers)
            print(f"  above the best peer: {above:+.3f} (bar: {BAR_ABOVE:+.3f})")
        for share_known in sorted({row["share_known"] for row in rows}):
            by_name = [
                mean(method, "by_name", share_wrong, [share_known]) for method in (OURS, CLASSIFIER)
            ]
            if None not in by_name:
                print(
                    f"  known categories by name, {share_known:.0%} known: {by_name[0]:.3f}; "
                    f"the classifier: {by_name[1]:.3f}"
                )
        purity = mean(OURS, "purity", share_wrong)
        if purity is not None:
            print(f"  purity of known categories: {purity:.3f} (bar: {BAR_PURITY})")
    costs = [mean(OURS, "all", share_wrong) for share_wrong in shares_wrong]
    if len(costs) > 1 and None not in costs:
        print(f"wrong labels cost {costs[0] - costs[-1]:.3f} (bar: {BAR_WRONG})")


def main():
    options = parser(__doc__)
    add_choices(options, "--sets", _data.SETS, "data sets", default=SETS)
    add_choices(options, "--methods", METHODS, "methods to run")
    options.add_argument("--draws", type=int, default=10, help="draws of categories and labels")
    options.add_argument(
        "--known",
        type=float,
        nargs="+",
        default=[0.25, 0.5, 0.75],
        help="shares of known categories",
    )
    options.add_argument(
        "--wrong", type=float, nargs="+", default=[0.0, 0.1], help="shares of wrong labels"
    )
    options.add_argument("--rows", type=int, help="take at most this many random samples")
    args = options.parse_args()
    warnings.simplefilter("ignore")  # from peers that have not converged
    rows = []
    for name, X, classes in _data.loaded(args.sets, args.rows):
        X, without_labels = X.astype(np.float32), {}
        for share_wrong in args.wrong:
            for share_known in args.known:
                rows += measure(args, name, X, classes, share_known, share_wrong, without_labels)
                record(args, rows)
    if rows:
        print_bars(rows)


if __name__ == "__main__":
    main()
