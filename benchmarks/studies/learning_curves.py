"""Which samples to label: accuracy by number of labels, beside published strategies.

Of each set, a pool and a test part are drawn at random. Features are reduced to the pool's 64
principal components, the same for all strategies. Labels are asked for in batches that end at each
budget; entropy and margin ask for at most 10 at a time, the first 10 at random; ours asks for one
after the other. After each budget, a logistic regression is fitted to the labels so far and
measured on the test part. The area under the curve is over the logarithm of the budget, scaled to 0
to 1. MaxHerding scales all samples to the same length, as its authors do. Ours takes the cosine if
samples are embeddings. "+ labels" means the same queries, but the classifier learns from the
sampler's labels of the whole pool.

- TypiClust: Hacohen, Dekel and Weinshall, "Active learning on a budget: opposite strategies suit
  high and low budgets", ICML 2022; implemented here.
- MaxHerding (Bae et al., "Generalized coverage for more robust low-budget active learning", ECCV
  2024), ProbCover and CoreSet are scikit-activeml's, for few labels.
Ours was developed on other draws of the same sets: its chances to stop, and, after a first run of
this study in which the Euclidean distance lost to MaxHerding on 20news, the cosine for embeddings.
Bar: of the strategies that differ only in their queries, ours has the highest mean area.
"""

from __future__ import annotations

import time
import warnings
from importlib.util import find_spec

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

import _data
import labelquorum as lq
from _recorder import add_choices, parser, record

BUDGETS = (10, 20, 50, 100, 200)
N_COMPONENTS = 64
BATCH = 10  # of entropy and margin
MAX_CLUSTERS, MIN_SIZE, TYPICAL_OF = 500, 5, 20  # of TypiClust, as its authors set them
EMBEDDINGS = ("stackoverflow", "clinc150", "20news")  # for which the metric is the cosine
OURS, WITH_LABELS = "labelquorum", "labelquorum + labels"


def classifier(X, y):
    if len(np.unique(y)) == 1:
        return None
    return LogisticRegression(max_iter=200, tol=1e-3).fit(X, y)


def accuracy(X, y, X_test, y_test):
    model = classifier(X, y)
    labels = np.full(len(X_test), y[0]) if model is None else model.predict(X_test)
    return float((labels == y_test).mean())


def at_random(X, y, budgets, seed):
    chosen = np.random.default_rng(seed).permutation(len(X))
    for budget in budgets:
        yield chosen[:budget]


def by_uncertainty(uncertainty):
    def choose(X, y, budgets, seed):
        rng = np.random.default_rng(seed)
        chosen = rng.permutation(len(X))[:BATCH].tolist()
        for budget in budgets:
            while len(chosen) < budget:
                model = classifier(X[chosen], y[chosen])
                scores = rng.random(len(X))
                if model is not None:
                    scores = uncertainty(model.predict_proba(X))
                scores[chosen] = -np.inf
                n = min(BATCH, budget - len(chosen))
                chosen += np.argsort(-scores, kind="stable")[:n].tolist()
            yield chosen[:budget]

    return choose


def entropy(shares):
    return -(shares * np.log(np.maximum(shares, 1e-30))).sum(axis=1)


def margin(shares):
    best = np.sort(shares, axis=1)
    return best[:, -2] - best[:, -1]


def typiclust(X, y, budgets, seed):
    chosen = []
    for budget in budgets:
        n = budget - len(chosen)
        n_clusters = min(budget, MAX_CLUSTERS)
        clusters = KMeans(n_clusters, n_init=1, random_state=seed).fit_predict(X)
        sizes = np.bincount(clusters, minlength=n_clusters)
        n_labeled = np.bincount(clusters[chosen], minlength=n_clusters)
        order = np.lexsort((-sizes, n_labeled))
        if sizes.max() > MIN_SIZE:
            order = order[sizes[order] > MIN_SIZE]
        for k in order[np.arange(n) % len(order)]:
            members = np.setdiff1d(np.flatnonzero(clusters == k), chosen)
            if not len(members):
                members = np.setdiff1d(np.arange(len(X)), chosen)
            n_neighbors = min(TYPICAL_OF, len(members) // 2)
            best = 0
            if n_neighbors:
                distances = lq.kneighbors(X[members], n_neighbors, n_jobs=1)[0]
                best = int(distances.mean(axis=1).argmin())
            chosen.append(int(members[best]))
        yield list(chosen)


def of_activeml(name):
    def choose(X, y, budgets, seed):
        from skactiveml import pool

        strategy = getattr(pool, name)(random_state=seed)
        known = np.full(len(X), np.nan)
        chosen = []
        for budget in budgets:
            queried = strategy.query(X=X, y=known, batch_size=budget - len(chosen))
            chosen += np.asarray(queried).tolist()
            known[chosen] = y[chosen]
            yield list(chosen)

    return choose


OF_ACTIVEML = ("MaxHerding", "ProbCover", "CoreSet")
STRATEGIES = {
    "random": at_random,
    "entropy": by_uncertainty(entropy),
    "margin": by_uncertainty(margin),
    "TypiClust": typiclust,
    **{name: of_activeml(name) for name in OF_ACTIVEML},
}


def ours(X, y, budgets, seed, metric):
    """Yield the labeled samples and the labels of the whole pool after each budget."""
    sampler = lq.PreClusteringSampler(metric=metric, random_state=seed, n_jobs=1).fit(X)
    for budget in budgets:
        while len(sampler.labeled_indices_) < budget:
            queried = sampler.query()
            sampler.teach(queried, y[queried])
        yield sampler.labeled_indices_, sampler.predict()


def curves(strategies, metric, X, y, X_test, y_test, budgets, seed):
    for name in strategies:
        started = time.perf_counter()
        samples = list(STRATEGIES[name](X, y, budgets, seed))
        seconds = time.perf_counter() - started
        yield name, [accuracy(X[s], y[s], X_test, y_test) for s in samples], seconds
    started = time.perf_counter()
    steps = list(ours(X, y, budgets, seed, metric))
    seconds = time.perf_counter() - started
    yield OURS, [accuracy(X[s], y[s], X_test, y_test) for s, _ in steps], seconds
    yield WITH_LABELS, [accuracy(X, labels, X_test, y_test) for _, labels in steps], seconds


def parts(X, y, n_pool, n_test, seed):
    """Draw a pool and a test part, reduced to the principal components of the pool."""
    order = np.random.default_rng(seed).permutation(len(X))
    n_test = min(n_test, len(X) // 4)
    test, pool = order[:n_test], order[n_test : n_test + n_pool]
    reducer = PCA(min(N_COMPONENTS, X.shape[1]), random_state=0).fit(X[pool])
    rows, rows_test = reducer.transform(X[pool]), reducer.transform(X[test])
    # One scale for all components, so that each keeps its share of the variance.
    scale = np.sqrt(np.square(rows).sum(axis=1).mean() / X.shape[1])
    return rows / scale, y[pool], rows_test / scale, y[test]


def area(accuracies, budgets):
    logs = np.log(budgets)
    return float(np.trapezoid(accuracies, logs) / (logs[-1] - logs[0]))


def means_by_strategy(rows):
    areas = {}
    for row in rows:
        areas.setdefault(row["strategy"], {})[row["set"]] = row["area"]
    sets = {row["set"] for row in rows}
    return {name: np.mean(list(v.values())) for name, v in areas.items() if v.keys() == sets}


def draw_picture(rows, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    sets = list(dict.fromkeys(row["set"] for row in rows))
    figure, axes = plt.subplots(
        -(-len(sets) // 3), min(3, len(sets)), figsize=(12, 7), squeeze=False, layout="constrained"
    )
    for axis, name in zip(axes.flat, sets, strict=False):
        for row in rows:
            if row["set"] == name:
                is_ours = row["strategy"].startswith(OURS)
                axis.plot(
                    row["budgets"],
                    row["means"],
                    label=row["strategy"],
                    color={OURS: "black", WITH_LABELS: "black"}.get(row["strategy"]),
                    linestyle="--" if row["strategy"] == WITH_LABELS else "-",
                    linewidth=2.0 if is_ours else 1.2,
                )
        axis.set_xscale("log")
        axis.set_xticks(row["budgets"], [str(b) for b in row["budgets"]])
        axis.minorticks_off()
        axis.set_title(name)
        axis.grid(alpha=0.3)
    axes[-1, 0].set_xlabel("labels")
    axes[-1, 0].set_ylabel("accuracy on the test part")
    axes[0, 0].legend(fontsize=7)
    figure.savefig(path, dpi=110)


def main():
    options = parser(__doc__)
    add_choices(options, "--sets", _data.SETS, "data sets")
    add_choices(options, "--strategies", STRATEGIES, "strategies beside ours", nargs="*")
    options.add_argument("--pool", type=int, default=1000, help="samples that may be labeled")
    options.add_argument("--test", type=int, default=2000, help="samples to measure on")
    options.add_argument("--seeds", type=int, default=3, help="draws of a pool and a test part")
    options.add_argument("--picture", help="draw the curves into this file")
    args = options.parse_args()
    if find_spec("skactiveml") is None:
        print(f"scikit-activeml is not installed: {', '.join(OF_ACTIVEML)} are skipped")
        args.strategies = [name for name in args.strategies if name not in OF_ACTIVEML]
    warnings.simplefilter("ignore")  # from classifiers that have not converged
    rows = []
    started = time.perf_counter()
    for name, X, y in _data.loaded(args.sets):
        curves_of, seconds = {}, {}
        for seed in range(args.seeds):
            drawn = parts(X.astype(np.float32), y, args.pool, args.test, seed)
            budgets = [b for b in BUDGETS if b <= len(drawn[0])]
            metric = "cosine" if name in EMBEDDINGS else "euclidean"
            for strategy, curve, duration in curves(args.strategies, metric, *drawn, budgets, seed):
                curves_of.setdefault(strategy, []).append(curve)
                seconds.setdefault(strategy, []).append(duration)
        for strategy, of_seeds in curves_of.items():
            areas = [area(curve, budgets) for curve in of_seeds]
            rows.append(
                {
                    "set": name,
                    "strategy": strategy,
                    "seeds": args.seeds,
                    "budgets": budgets,
                    "means": np.mean(of_seeds, axis=0).tolist(),
                    "deviations": np.std(of_seeds, axis=0).tolist(),
                    "area": float(np.mean(areas)),
                    "area deviation": float(np.std(areas)),
                    "seconds": float(np.mean(seconds[strategy])),
                }
            )
            print(
                f"{name:14} {strategy:22}"
                + " ".join(f"{mean:6.3f}" for mean in rows[-1]["means"])
                + f"  area {rows[-1]['area']:.3f} +- {rows[-1]['area deviation']:.3f}"
                + f"  {rows[-1]['seconds']:6.1f} s",
                flush=True,
            )
        record(args, rows)
    if not rows:
        return
    if args.picture:
        draw_picture(rows, args.picture)
    print(f"in {time.perf_counter() - started:.0f} s; mean area over the sets:")
    for strategy, mean in sorted(means_by_strategy(rows).items(), key=lambda item: -item[1]):
        print(f"  {strategy:22} {mean:.4f}")


if __name__ == "__main__":
    main()
