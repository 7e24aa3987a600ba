"""ConsensusClusterer and its peers on any data: accuracy, pseudo-labels, time and memory.

    python benchmarks/studies/evaluate.py --data X.npz                   # arrays X and y
    python benchmarks/studies/evaluate.py --data X.npy --labels texts.jsonl.gz --without oos
    python benchmarks/studies/evaluate.py --set digits mnist

Every method has one setting for all data. All are told the number of classes, except "number
unknown", EVoC, PLSCAN and BERTopic, which run with their defaults. UMAP runs with its defaults, and
as its documentation advises for clustering: 30 neighbors, minimum distance 0, in 2 and in 10
dimensions. Its time counts for each method that uses it. HDBSCAN runs in at most 50 principal
components, with the smallest cluster that the same page advises (500 on MNIST, a 14th of a class).
Its noise gets the cluster of the nearest sample that has one; the rest are its pseudo-labels. The
noise of EVoC, PLSCAN and BERTopic is wrong in "acc", and one more cluster in "nmi" and "ari".

Every method runs in a process of its own, first on a few synthetic samples, so that imports and
compilation are not timed. Memory is the peak of that process, including data and libraries.
"Covered" is the share of samples with a pseudo-label (those that are not noise), "precision" the
accuracy on them. "At ours" is the accuracy on each method's most confident samples, as many as our
pseudo-labels cover. "Layer" is the accuracy of the best of a method's layers. The last line printed
is JSON: {method: {"acc": ..., "nmi": ..., "ari": ..., "seconds": ..., ...}}, averaged over seeds
and, with several sets, over sets ("sets" holds each one's).
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
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

import _data
import labelquorum as lq
from _bars import means_over_sets, print_bars, print_summary
from _methods import (
    METHODS,
    NEEDS,
    ON_FEATURES,
    ON_UMAP,
    OURS,
    PAIRWISE,
    UMAPS,
    WITHOUT_SEED,
    embed,
)
from _recorder import add_choices, memory, parser, record, timed

PAIRWISE_MAX_ROWS = 12_000


# One method in a process of its own


def made_up(n, n_features):
    return make_blobs(n, n_features, centers=3, random_state=0)[0].astype(np.float32)


def timed_when_warm(method, X, n_clusters, seed):
    """Return the seconds and the result of a method that has run on made-up samples before."""
    # With 4,096 samples or more, UMAP searches for neighbors by other compiled code.
    method(made_up(600 if len(X) < 4096 else 4200, X.shape[1]), 3, seed)
    np.random.seed(seed)  # noqa: NPY002 (random_state= would keep UMAP and EVoC to one core)
    return timed(lambda: method(X, n_clusters, seed))


def child(folder, step, seed, n_clusters):
    warnings.simplefilter("ignore")
    X = np.load(folder / "X.npy")
    if step in UMAPS:
        seconds, embedding = timed_when_warm(partial(embed, UMAPS[step]), X, n_clusters, seed)
        np.save(folder / f"{step} {seed}.npy", embedding)
    else:
        umap, _, name = step.rpartition(" + ")
        if umap:
            X = np.load(folder / f"{umap} {seed}.npy")
        method = ON_UMAP[name] if umap else ON_FEATURES[name]
        seconds, result = timed_when_warm(method, X, n_clusters, seed)
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
    for name, modules in NEEDS.items():
        for module in modules:
            if name in method and not find_spec(module):
                return f"{module} is not installed"
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
        of["precision_at_ours"] = lq.clustering_accuracy(classes[most], labels[most])
    if "layers" in result:
        of["n_layers"] = len(result["layers"])
        of["best_layer"] = max(lq.clustering_accuracy(classes, layer) for layer in result["layers"])
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
    print(f" {'at ours':>7} {'layer':>6} {'clusters':>8} {'seconds':>9} {'GiB':>6}", flush=True)
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
        f"{share('best_layer'):>6} {of['n_clusters']:8.1f} {of['seconds']:9.2f} "
        f"{of['peak_bytes'] / 2**30:6.2f}",
        flush=True,
    )


# Files


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
    sets = _data.SETS | _data.LARGE_SETS
    add_choices(options, "--set", sets, "named sets", default=_data.SETS)
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
            X, classes = load(args.data, args.labels) if args.data else sets[name]()
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
