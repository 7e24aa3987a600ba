"""Consensus of published ensembles, beside LWEA, LWGP and EAC.

Each data set has 100 k-means partitions. A draw takes 10 of them, the same ones for every method.
All methods are told the number of classes. The score is normalized mutual information (NMI): mutual
information divided by the larger of the two entropies.
Bars: a mean NMI of 0.580 over the sets; above LWEA on six of the eight.
"""

from __future__ import annotations

import time

import numpy as np
from sklearn.metrics import normalized_mutual_info_score

import labelquorum as lq
from _data import missing, real_data
from _peers import eac, lwea, lwgp
from _recorder import add_choices, parser, record

N_DRAWN = 10
BAR_MEAN, BAR_SETS = 0.580, 6
# Huang, Wang, Lai 2018: means of 100 draws.
PUBLISHED = {
    "caltech20": {"LWEA": 0.452, "LWGP": 0.430, "EAC": 0.434},
    "is": {"LWEA": 0.621, "LWGP": 0.629, "EAC": 0.599},
    "ls": {"LWEA": 0.616, "LWGP": 0.644, "EAC": 0.559},
    "mf": {"LWEA": 0.659, "LWGP": 0.682, "EAC": 0.597},
    "mnist": {"LWEA": 0.646, "LWGP": 0.635, "EAC": 0.592},
    "pd": {"LWEA": 0.769, "LWGP": 0.774, "EAC": 0.697},
    "semeion": {"LWEA": 0.655, "LWGP": 0.642, "EAC": 0.616},
    "vs": {"LWEA": 0.133, "LWGP": 0.132, "EAC": 0.129},
}
METHODS = {
    "labelquorum": lambda partitions, n_clusters: lq.consensus(partitions, n_clusters),
    "LWEA": lwea,
    "LWGP": lwgp,
    "EAC": eac,
}


def measure(file, methods, n_draws):
    """Return facts about the set, and the NMI and seconds of each method in each draw."""
    with np.load(file) as loaded:
        members, classes = loaded["members"].astype(np.int32), loaded["gt"].ravel()
    n_classes = len(np.unique(classes))
    rng = np.random.default_rng(0)
    nmi = {method: [] for method in methods}
    seconds = {method: [] for method in methods}
    for _ in range(n_draws):
        drawn = members[:, rng.choice(members.shape[1], N_DRAWN, replace=False)]
        for method in methods:
            started = time.perf_counter()
            labels = METHODS[method](drawn, n_classes)
            seconds[method].append(time.perf_counter() - started)
            score = normalized_mutual_info_score(classes, labels, average_method="max")
            nmi[method].append(float(score))
    return {"set": file.stem, "rows": len(classes), "n_classes": n_classes}, nmi, seconds


def accuracy(args, files):
    print(f"NMI, mean of {args.draws} draws, and its standard error; published: of 100 draws")
    print(f"{'set':10} {'n':>6} {'classes':>7}  method           NMI        published     seconds")
    results = []
    for file in files:
        facts, nmi, seconds = measure(file, args.methods, args.draws)
        for method in args.methods:
            mean, error = np.mean(nmi[method]), np.std(nmi[method]) / np.sqrt(args.draws)
            published = PUBLISHED.get(file.stem, {}).get(method)
            beside = f"{published:.3f} ({mean - published:+.3f})" if published else " " * 14
            print(
                f"{file.stem:10} {facts['rows']:6} {facts['n_classes']:7}  {method:12} "
                f"{mean:.3f} +- {error:.3f} {beside} {np.mean(seconds[method]):9.4f}",
                flush=True,
            )
            results.append(
                {**facts, "method": method, "nmi": mean, "standard_error": error}
                | {"published": published, "seconds": np.mean(seconds[method])}
            )
    return results


def compare_means(results, methods):
    nmi = {(row["set"], row["method"]): row["nmi"] for row in results}
    sets = sorted({name for name, _ in nmi})
    for method in methods:
        mean = np.mean([nmi[name, method] for name in sets])
        known = [PUBLISHED[name][method] for name in sets if method in PUBLISHED.get(name, {})]
        published = f", published {np.mean(known):.3f}" if len(known) == len(sets) else ""
        print(f"mean over {len(sets)} sets: {method:12} {mean:.3f}{published}")
    if {"labelquorum", "LWEA"} <= set(methods):
        above = sum(nmi[name, "labelquorum"] > nmi[name, "LWEA"] for name in sets)
        above_published = sum(
            nmi[name, "labelquorum"] > PUBLISHED.get(name, {"LWEA": 0})["LWEA"] for name in sets
        )
        print(
            f"labelquorum (bar: mean {BAR_MEAN:.3f}): above LWEA on {above} sets, above its "
            f"published figure on {above_published} of {len(sets)} (bar: {BAR_SETS})"
        )


def main():
    options = parser(__doc__)
    options.add_argument("--sets", nargs="+", help="names of the files without .npz (default: all)")
    options.add_argument("--draws", type=int, default=50, help="draws of 10 partitions")
    add_choices(options, "--methods", METHODS, "methods to run")
    args = options.parse_args()
    files = sorted((real_data() / "ensembles").glob("*.npz"))
    if args.sets:
        files = [file for file in files if file.stem in args.sets]
    if not files:
        print(missing("ensembles"))
        return
    results = accuracy(args, files)
    compare_means(results, args.methods)
    record(args, {"ensembles": results})


if __name__ == "__main__":
    main()
