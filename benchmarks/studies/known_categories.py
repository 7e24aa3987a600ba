"""Some categories known, and the rest to be found: ours beside semi-supervised k-means.

A draw knows a share of the categories and 10 % of their samples by name; every other sample is
unlabeled, and the number of categories is given. Accuracy is over all unlabeled samples, clusters
and categories matched one to one once over all of them, and apart for samples of known and of new
categories (Vaze et al., "Generalized category discovery", CVPR 2022). "By name" counts a sample of
a known category as right only if it got that category's own number: what a classifier trained on
the same labels is judged by. Then ours alone with 10 % of the labels wrong.
Bars: in the mean 5 points above the best peer; by name not below the classifier; wrong labels cost
at most 3 points.
"""

from __future__ import annotations

import time
import warnings

import numpy as np
from _record import parser, record
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

import _data
import labelquorum as lq
from _peers import constrained_kmeans, seeded_kmeans

SETS = ("clinc150", "stackoverflow")
SHARE_LABELED = 0.1
BAR_ABOVE, BAR_WRONG = 0.05, 0.03


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
WITHOUT_NAMES = ("k-means",)  # nor labels: one run for each seed
WITHOUT_NEW = (CLASSIFIER,)


def draw(classes, share_known, share_wrong, seed):
    """Number the categories anew, the known ones first; return them, labels, and how many known.

    The same seed draws the same categories and samples whatever share of the labels is wrong.
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


def scores(classes, found, n_known):
    """Return accuracy over all, over known and over new categories, and over known ones by name.

    A label below 0 counts as wrong.
    """
    some = found >= 0
    counts = np.zeros((max(found.max(), 0) + 1, classes.max() + 1), dtype=np.int64)
    np.add.at(counts, (found[some], classes[some]), 1)
    matched = np.full(len(counts), -1)
    clusters, categories = linear_sum_assignment(counts, maximize=True)
    matched[clusters] = categories
    right = some & (matched[found] == classes)
    known = classes < n_known
    return {
        "all": float(right.mean()),
        "known": float(right[known].mean()),
        "new": float(right[~known].mean()) if not known.all() else None,
        "by_name": float((found == classes)[known].mean()),
    }


def measure(args, name, X, classes, share_known, share_wrong, without_labels):
    """Return one row of means for each method; those without labels are kept for the next call."""
    n_categories = int(classes.max()) + 1
    methods = [method for method in args.methods if not share_wrong or method == OURS]
    runs = {method: [] for method in methods}
    for seed in range(args.draws):
        drawn, y, n_known = draw(classes, share_known, share_wrong, seed)
        unlabeled = y < 0
        for method in methods:
            if (method, seed) in without_labels:
                found, seconds = without_labels[method, seed]
            else:
                started = time.perf_counter()
                found = METHODS[method](X, y, n_categories, seed)
                seconds = time.perf_counter() - started
            if method in WITHOUT_NAMES:
                without_labels[method, seed] = found, seconds
            of = scores(drawn[unlabeled], found[unlabeled], n_known) | {"seconds": seconds}
            if method in WITHOUT_NAMES:
                of["by_name"] = None
            if method in WITHOUT_NEW:
                of |= {"all": None, "known": None, "new": None}
            runs[method].append(of)
    print(
        f"{name}: {len(X):,} samples, {n_known} of {n_categories} categories known, "
        f"{SHARE_LABELED:.0%} of their samples labeled, {share_wrong:.0%} of the labels wrong"
    )
    print(f"  {'':20} {'all':>15} {'known':>6} {'new':>6} {'by name':>8} {'seconds':>8}")
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
        f"{share('new'):>6} {share('by_name'):>8} {row['seconds']:8.2f}",
        flush=True,
    )


def print_bars(rows):
    def mean(method, key, share_wrong):
        chosen = [r for r in rows if (r["method"], r["share_wrong"]) == (method, share_wrong)]
        values = [row[key] for row in chosen if row[key] is not None]
        return float(np.mean(values)) if values else None

    shares_wrong = sorted({row["share_wrong"] for row in rows})
    for share_wrong in shares_wrong:
        found = {method: mean(method, "all", share_wrong) for method in METHODS}
        found = {method: value for method, value in found.items() if value is not None}
        print(f"{share_wrong:.0%} of the labels wrong, mean of all settings: ", end="")
        print(", ".join(f"{method} {value:.3f}" for method, value in found.items()))
        peers = [value for method, value in found.items() if method != OURS]
        if OURS in found and peers:
            above = found[OURS] - max(peers)
            print(f"  above the best peer: {above:+.3f} (bar: {BAR_ABOVE:+.3f})")
        named = [mean(method, "by_name", share_wrong) for method in (OURS, CLASSIFIER)]
        if None not in named:
            print(f"  known categories by name: {named[0]:.3f}; the classifier: {named[1]:.3f}")
    costs = [mean(OURS, "all", share_wrong) for share_wrong in shares_wrong]
    if len(costs) > 1 and None not in costs:
        print(f"wrong labels cost {costs[0] - costs[-1]:.3f} (bar: {BAR_WRONG})")


def main():
    options = parser(__doc__)
    options.add_argument("--sets", nargs="+", choices=_data.SETS, default=list(SETS))
    options.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    options.add_argument("--draws", type=int, default=10)
    options.add_argument("--known", type=float, nargs="+", default=[0.25, 0.5, 0.75])
    options.add_argument("--wrong", type=float, nargs="+", default=[0.0, 0.1])
    options.add_argument("--rows", type=int, help="at random so many of each set")
    args = options.parse_args()
    warnings.simplefilter("ignore")  # of peers that have not converged
    rows = []
    for name in args.sets:
        try:
            X, classes = _data.SETS[name]()
        except FileNotFoundError as error:
            print(f"{name}: skipped, no {error.filename}; LABELQUORUM_DATA names the folder")
            continue
        if args.rows is not None and args.rows < len(X):
            chosen = np.random.default_rng(0).choice(len(X), args.rows, replace=False)
            X, classes = X[chosen], classes[chosen]
        X, classes = X.astype(np.float32), np.unique(classes, return_inverse=True)[1]
        without_labels = {}
        for share_wrong in args.wrong:
            for share_known in args.known:
                rows += measure(args, name, X, classes, share_known, share_wrong, without_labels)
                record(args, rows)
    if rows:
        print_bars(rows)


if __name__ == "__main__":
    main()
