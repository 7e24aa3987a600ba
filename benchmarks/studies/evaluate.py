"""ConsensusClusterer and its peers on any data: accuracy, pseudo-labels, time and memory.

    python benchmarks/studies/evaluate.py --data X.npz                   # arrays X and y
    python benchmarks/studies/evaluate.py --data X.npy --labels texts.jsonl.gz --without oos
    python benchmarks/studies/evaluate.py --set digits mnist

Every method has one setting for all data. All are told the number of classes, except "number
unknown". UMAP runs with its defaults, and as its documentation advises for clustering: 30
neighbors, minimum distance 0, in 2 and in 10 dimensions. Its time counts for each method that uses
it. HDBSCAN runs in at most 50 principal components, with the smallest cluster that the same page
advises (500 on MNIST, a 14th of a class). Its noise gets the cluster of the nearest sample that has
one; the rest are its pseudo-labels.

Every method runs in a process of its own, first on a few synthetic samples, so that imports and
compilation are not timed. Memory is the peak of that process, including data and libraries.
"Precision" is the accuracy on the samples with a pseudo-label. "At ours" is the accuracy on each
method's most confident samples, as many as our pseudo-labels cover. The last line printed is JSON:
{method: {"acc": ..., "nmi": ..., "ari": ..., "seconds": ..., ...}}, averaged over seeds and, with
several sets, over sets ("sets" holds each one's).
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn.cluster import AgglomerativeClustering, KMeans, SpectralClustering
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KNeighborsClassifier

import _data
import labelquorum as lq
from _recorder import add_choices, memory, parser, record, timed

OURS, UNKNOWN = "labelquorum", "labelquorum (number unknown)"
PAIRWISE_MAX_ROWS = 12_000
BAR_ABOVE, BAR_BELOW, BAR_MNIST, BAR_NUMBER, BAR_LOSS = 0.05, 0.01, 0.97, 0.15, 0.03


def ours(X, n_clusters, seed):
    model = lq.ConsensusClusterer(n_clusters, random_state=seed).fit(X)
    return {
        "labels": model.labels_,
        "confidence": model.confidence_,
        "pseudo_labels": model.pseudo_labels_,
        "n_clusters": model.n_clusters_,
    }


def ours_number_unknown(X, _n_clusters, seed):
    return ours(X, None, seed)


def kmeans(X, n_clusters, seed):
    return {"labels": KMeans(n_clusters, n_init=10, random_state=seed).fit_predict(X)}


def mixture(X, n_clusters, seed):
    X = X.astype(np.float64)
    model = GaussianMixture(n_clusters, n_init=3, random_state=seed).fit(X)
    shares = model.predict_proba(X)
    return {"labels": shares.argmax(axis=1), "confidence": shares.max(axis=1)}


def hdbscan(X, n_clusters, _seed):
    if find_spec("hdbscan"):
        from hdbscan import HDBSCAN  # much faster with many samples
    else:
        from sklearn.cluster import HDBSCAN
    if X.shape[1] > 50:
        X = PCA(50, random_state=0).fit_transform(X)
    smallest = max(5, len(X) // (14 * n_clusters))
    model = HDBSCAN(min_cluster_size=smallest, min_samples=10).fit(X)
    labels, sure = model.labels_.copy(), model.labels_ >= 0
    if not sure.any():
        labels[:] = 0
    elif not sure.all():
        nearest = KNeighborsClassifier(1).fit(X[sure], labels[sure])
        labels[~sure] = nearest.predict(X[~sure])
    return {
        "labels": labels,
        "confidence": model.probabilities_,
        "pseudo_labels": model.labels_,
    }


def spectral(X, n_clusters, seed):
    model = SpectralClustering(
        n_clusters, affinity="nearest_neighbors", random_state=seed, n_jobs=-1
    )
    return {"labels": model.fit_predict(X)}


def ward(X, n_clusters, _seed):
    return {"labels": AgglomerativeClustering(n_clusters, linkage="ward").fit_predict(X)}


UMAPS = {
    "UMAP": {},
    "UMAP 30-0-2": {"n_neighbors": 30, "min_dist": 0.0, "n_components": 2},
    "UMAP 30-0-10": {"n_neighbors": 30, "min_dist": 0.0, "n_components": 10},
}
ON_UMAP = {"k-means": kmeans, "GMM": mixture, "HDBSCAN": hdbscan}
ON_FEATURES = {
    OURS: ours,
    UNKNOWN: ours_number_unknown,
    "k-means": kmeans,
    "HDBSCAN": hdbscan,
    "spectral": spectral,
    "Ward": ward,
}
METHODS = [*ON_FEATURES, *(f"{umap} + {name}" for umap in UMAPS for name in ON_UMAP)]
WITHOUT_SEED = ("HDBSCAN", "Ward")
PAIRWISE = ("spectral", "Ward")


# One method in a process of its own


def made_up(n, n_features):
    return make_blobs(n, n_features, centers=3, random_state=0)[0].astype(np.float32)


def embed(X, setting, seed):
    from umap import UMAP

    # With 4,096 samples or more it searches for neighbors by other compiled code.
    UMAP(**UMAPS[setting]).fit_transform(made_up(600 if len(X) < 4096 else 4200, 8))
    np.random.seed(seed)  # noqa: NPY002 (random_state= would keep UMAP to one core)
    return timed(lambda: UMAP(**UMAPS[setting]).fit_transform(X))


def child(folder, step, seed, n_clusters):
    warnings.simplefilter("ignore")
    X = np.load(folder / "X.npy")
    if step in UMAPS:
        seconds, embedding = embed(X, step, seed)
        np.save(folder / f"{step} {seed}.npy", embedding)
    else:
        umap, _, name = step.rpartition(" + ")
        if umap:
            X = np.load(folder / f"{umap} {seed}.npy")
        call = ON_UMAP[name] if umap else ON_FEATURES[name]
        call(made_up(600, X.shape[1]), 3, seed)
        seconds, result = timed(lambda: call(X, n_clusters, seed))
        np.savez(folder / f"{step} {seed}.npz", **result)
    print(json.dumps({"seconds": seconds, "peak_bytes": memory("VmHWM")}))


def in_process(args, folder, step, seed, n_clusters):
    """Run a step; return seconds and peak memory, or the error."""
    command = [sys.executable, __file__, "--child", folder, step, seed, n_clusters]
    cores = sorted(os.sched_getaffinity(0))[: args.threads]
    try:
        done = subprocess.run(
            [str(word) for word in command],
            capture_output=True,
            text=True,
            timeout=args.timeout,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
    except subprocess.TimeoutExpired:
        return {"error": f"over {args.timeout:g} s"}
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return {"error": lines[-1] if lines else f"exit status {done.returncode}"}
    return json.loads(done.stdout.splitlines()[-1])


# All methods on one set


def reason_to_skip(method, n_samples):
    if method.startswith("UMAP") and not find_spec("umap"):
        return "umap-learn is not installed"
    if method in PAIRWISE and n_samples > PAIRWISE_MAX_ROWS:
        return f"more than {PAIRWISE_MAX_ROWS:,} samples"
    return None


def precision_of(classes, labels):
    """Return the accuracy on the samples with a label; None if there are none."""
    sure = labels >= 0
    return lq.clustering_accuracy(classes[sure], labels[sure]) if sure.any() else None


def scores(classes, result, n_covered, seed):
    labels = result["labels"]
    of = {
        "acc": lq.clustering_accuracy(classes, labels),
        "nmi": float(normalized_mutual_info_score(classes, labels)),
        "ari": float(adjusted_rand_score(classes, labels)),
        "n_classes": int(classes.max()) + 1,
        "n_clusters": int(result.get("n_clusters", len(np.unique(labels[labels >= 0])))),
    }
    if "pseudo_labels" in result:
        pseudo_labels = result["pseudo_labels"]
        of["coverage"] = float((pseudo_labels >= 0).mean())
        of["precision"] = precision_of(classes, pseudo_labels)
    if "confidence" in result and n_covered:
        # Ties in random order: HDBSCAN is fully sure of many samples, and sets may be sorted.
        shuffled = np.random.default_rng(seed).random(len(labels))
        most = np.lexsort((shuffled, -result["confidence"]))[:n_covered]
        of["precision_at_ours"] = precision_of(classes[most], labels[most])
    return of


def run_once(args, folder, method, seed, n_classes, embeddings):
    """Return seconds and peak memory of a method, including those of its embedding."""
    umap = method.rpartition(" + ")[0]
    facts = {"seconds": 0.0, "peak_bytes": 0}
    if umap:
        if (umap, seed) not in embeddings:
            embeddings[umap, seed] = in_process(args, folder, umap, seed, n_classes)
        facts = embeddings[umap, seed]
        if "error" in facts:
            return facts
    own = in_process(args, folder, method, seed, n_classes)
    if "error" in own:
        return own
    return {
        "seconds": facts["seconds"] + own["seconds"],
        "peak_bytes": max(facts["peak_bytes"], own["peak_bytes"]),
    }


def evaluate(args, X, classes):
    """Return {method: mean scores over the seeds, or the error}."""
    classes = np.unique(classes, return_inverse=True)[1]
    n_classes = int(classes.max()) + 1
    print(f"  {len(X):,} x {X.shape[1]}, {n_classes} classes, {args.threads} threads")
    print(f"  {'':30} {'acc':>15} {'nmi':>6} {'ari':>6} {'covered':>8} {'precision':>9}", end="")
    print(f" {'at ours':>7} {'clusters':>8} {'seconds':>9} {'GiB':>6}", flush=True)
    results, embeddings, n_covered = {}, {}, {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        np.save(folder / "X.npy", X)
        for method in [m for m in METHODS if m in args.methods]:  # ours first, for its coverage
            reason = reason_to_skip(method, len(X))
            if reason:
                print(f"  {method:30} skipped: {reason}")
                continue
            runs = []
            for seed in range(1 if method in WITHOUT_SEED else args.seeds):
                facts = run_once(args, folder, method, seed, n_classes, embeddings)
                if "error" in facts:
                    results[method] = facts
                    print(f"  {method:30} {facts['error']}", flush=True)
                    break
                path = folder / f"{method} {seed}.npz"
                with np.load(path) as result:
                    if method == OURS:
                        n_covered[seed] = int((result["pseudo_labels"] >= 0).sum())
                    runs.append(facts | scores(classes, result, n_covered.get(seed), seed))
                path.unlink()
            else:
                results[method] = mean_scores(runs)
                print_row(method, results[method])
    return results


def mean_scores(runs):
    of = {}
    for name in runs[0]:
        values = [run[name] for run in runs if run.get(name) is not None]
        of[name] = float(np.mean(values)) if values else None
    return of | {"acc_sd": float(np.std([run["acc"] for run in runs])), "runs": len(runs)}


def print_row(method, of):
    def share(name):
        return "-" if of.get(name) is None else f"{of[name]:.3f}"

    print(
        f"  {method:30} {share('acc')} +- {share('acc_sd')} {share('nmi'):>7} {share('ari'):>6} "
        f"{share('coverage'):>8} {share('precision'):>9} {share('precision_at_ours'):>7} "
        f"{of['n_clusters']:8.1f} {of['seconds']:9.2f} {of['peak_bytes'] / 2**30:6.2f}",
        flush=True,
    )


# All sets


def by_method(results):
    """Turn {set: {method: scores}} into {method: {set: scores}}, without errors."""
    methods = dict.fromkeys(method for of in results.values() for method in of)
    return {
        method: {name: of[method] for name, of in results.items() if "acc" in of.get(method, {})}
        for method in methods
    }


def mean_acc(sets):
    return float(np.mean([of["acc"] for of in sets.values()]))


def means_over_sets(results):
    """Return {method: scores}; with several sets, means, and the scores of each under "sets"."""
    if len(results) == 1:
        return next(iter(results.values()))
    means = {}
    for method, sets in by_method(results).items():
        means[method] = {"sets": {name: of.get(method) for name, of in results.items()}}
        for key in ("acc", "nmi", "ari", "seconds", "peak_bytes"):
            means[method][key] = float(np.mean([of[key] for of in sets.values()])) if sets else None
    return means


def print_summary(results):
    names = list(results)
    print("accuracy " + " " * 23 + " ".join(f"{name:>13}" for name in [*names, "mean", "seconds"]))
    for method, sets in by_method(results).items():
        row = [f"{sets[name]['acc']:.3f}" if name in sets else "-" for name in names]
        row.append(f"{mean_acc(sets):.3f}" if len(sets) == len(names) else "-")
        row.append(f"{sum(of['seconds'] for of in sets.values()):.1f}")
        print(f"  {method:30} " + " ".join(f"{word:>13}" for word in row))


def print_bars(results):
    """Print the results beside the library's goals."""
    runs = by_method(results)
    mean = {method: mean_acc(sets) for method, sets in runs.items() if len(sets) == len(results)}
    if OURS not in mean:
        return
    peers = [method for method in runs if method not in (OURS, UNKNOWN)]
    complete = [peer for peer in peers if peer in mean]
    if complete:
        best = max(complete, key=mean.get)
        print(
            f"mean accuracy {mean[OURS]:.3f}; of the best peer, {best}, {mean[best]:.3f}: "
            f"{mean[OURS] - mean[best]:+.3f} (bar: {BAR_ABOVE:+.3f})"
        )
        gaps = {
            name: of["acc"] - max(runs[peer][name]["acc"] for peer in peers if name in runs[peer])
            for name, of in runs[OURS].items()
        }
        worst = min(gaps, key=gaps.get)
        print(f"beside each set's best peer: {gaps[worst]:+.3f} on {worst}", end="")
        print(f" at worst (bar: {-BAR_BELOW:+.3f})")
    if "mnist" in results:
        print(f"MNIST: {runs[OURS]['mnist']['acc']:.3f} (bar: {BAR_MNIST})")
    if UNKNOWN in mean:
        near = sum(
            abs(of["n_clusters"] / of["n_classes"] - 1) <= BAR_NUMBER
            for of in runs[UNKNOWN].values()
        )
        print(f"number unknown: within {BAR_NUMBER:.0%} on {near} of {len(results)} sets, ", end="")
        print(f"accuracy {mean[UNKNOWN] - mean[OURS]:+.3f} (bar: {-BAR_LOSS:+.3f})")


def labels_of(path):
    if path.suffix == ".npy":
        return np.load(path)
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as lines:
        return np.array([json.loads(line)["label"] for line in lines])


def load(data, labels):
    """Read features, float32 or float64, and classes from the files of a user."""
    loaded = np.load(data)
    if labels is None and data.suffix != ".npz":
        raise SystemExit(f"--labels must name the file with the classes of {data}.")
    X = loaded["X"] if data.suffix == ".npz" else loaded
    classes = loaded["y"] if labels is None else labels_of(labels)
    X = X.reshape(len(X), -1)
    if X.dtype != np.float64:
        X = X.astype(np.float32)
    classes = classes.ravel()
    if len(X) != len(classes):
        raise SystemExit(f"{len(X)} samples have {len(classes)} labels: the numbers must be equal.")
    return X, classes


def restrict(X, classes, without, rows):
    kept = np.flatnonzero(~np.isin(classes.astype(str), without))
    if rows is not None and rows < len(kept):
        kept = np.random.default_rng(0).choice(kept, rows, replace=False)
    return X[kept], classes[kept]


def main():
    options = parser(__doc__)
    options.add_argument("--data", type=Path, help="X.npy, or X.npz with X and y")
    options.add_argument("--labels", type=Path, help=".npy, or .jsonl[.gz] with the field label")
    add_choices(options, "--set", _data.SETS, "named sets")
    options.add_argument("--without", nargs="+", default=[], help="labels to leave out")
    add_choices(options, "--methods", METHODS, "methods to run")
    options.add_argument("--seeds", type=int, default=3, help="runs of each method")
    options.add_argument("--rows", type=int, help="take at most this many random samples")
    options.add_argument("--timeout", type=float, default=3600, help="seconds that a fit may take")
    options.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.child:
        folder, step, seed, n_clusters = args.child
        child(Path(folder), step, int(seed), int(n_clusters))
        return
    results = {}
    for name in [args.data.stem] if args.data else args.set:
        try:
            X, classes = load(args.data, args.labels) if args.data else _data.SETS[name]()
        except FileNotFoundError:
            if args.data:
                raise
            print(_data.missing(name))
            continue
        print(name)
        results[name] = evaluate(args, *restrict(X, classes, args.without, args.rows))
        record(args, results)
    if len(results) > 1:
        print_summary(results)
    if results:
        print_bars(results)
        print(json.dumps(means_over_sets(results)))


if __name__ == "__main__":
    main()
