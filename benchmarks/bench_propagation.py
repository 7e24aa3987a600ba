"""LabelSpreading against scikit-learn's, and against the bare matrix product of its iterations.

MNIST with 100 labels: both classes are given the graph that scikit-learn's kernel="knn" makes, the
same parameters and tolerance (bar 50x, equal labels); then both make their graph themselves. Then
10^6 nodes x 15 neighbours x 10 classes: time per edge and iteration beside SciPy's product of a CSR
matrix with a dense one (bar: 3 times as long), and peak memory (bar: 2 GiB).
"""

from __future__ import annotations

import time
import warnings

import numpy as np
import scipy.sparse
import sklearn.semi_supervised
from sklearn.exceptions import ConvergenceWarning

import labelquorum as lq
from _data import mnist, real_data
from _record import PeakMemory, best_of, memory, parser, record

N_LABELED = 100
N_NEIGHBORS = 7  # scikit-learn's default, the sample itself being one of them


def partly_labeled(classes):
    labels = np.full(len(classes), -1)
    known = np.random.default_rng(0).choice(len(classes), N_LABELED, replace=False)
    labels[known] = classes[known]
    return labels


def connectivity(X, threads):
    """Make the graph of kernel="knn": each sample with itself and its nearest others, all 1."""
    _, indices = lq.kneighbors(X, N_NEIGHBORS - 1, n_jobs=threads)
    n = len(X)
    targets = np.column_stack([np.arange(n), indices]).astype(np.int32).ravel()
    ends = np.arange(0, targets.size + 1, N_NEIGHBORS, dtype=np.int32)
    return scipy.sparse.csr_matrix((np.ones(targets.size), targets, ends), shape=(n, n))


def compare(X, labels, graph, options, threads):
    """Time both on the same graph, which scikit-learn gets from a kernel that only returns it."""
    n = len(labels)
    theirs = sklearn.semi_supervised.LabelSpreading(kernel=lambda *_: graph, **options)
    unused = np.zeros((n, 1))
    their_seconds, _ = best_of(3, lambda: theirs.fit(unused, labels))
    result = {"options": options, "sklearn": their_seconds, "n_iter": theirs.n_iter_}
    shares = np.sort(theirs.label_distributions_, axis=1)
    reached = shares[:, -1] > 0
    for dtype in (np.float64, np.float32):
        ours = lq.LabelSpreading(graph=graph.astype(dtype), n_jobs=threads, **options)
        seconds, _ = best_of(5, lambda ours=ours: ours.fit(None, labels))
        differ = int((ours.transduction_ != theirs.transduction_)[reached].sum())
        gap = float(np.abs(ours.label_distributions_ - theirs.label_distributions_).max())
        name = np.dtype(dtype).name
        result[name] = {"seconds": seconds, "ratio": their_seconds / seconds}
        result[name] |= {"labels_differ": differ, "largest_difference": gap}
        assert ours.n_iter_ == theirs.n_iter_ or dtype == np.float32
        print(
            f"  alpha {options['alpha']}, {theirs.n_iter_} iterations, {name}: {seconds * 1e3:.1f} "
            f"ms, scikit-learn {their_seconds * 1e3:.1f} ms, {their_seconds / seconds:.1f}x; "
            f"{differ} labels differ, shares within {gap:.1e}"
        )
    result["unreached"] = int((~reached).sum())
    return result


def compare_with_search(X, labels, recall, threads):
    """Time both with their own search for neighbours."""
    started = time.perf_counter()
    ours = lq.LabelSpreading(
        N_NEIGHBORS - 1, alpha=0.2, max_iter=30, recall=recall, n_jobs=threads
    ).fit(X, labels)
    seconds = time.perf_counter() - started
    theirs = sklearn.semi_supervised.LabelSpreading(
        kernel="knn", n_neighbors=N_NEIGHBORS, alpha=0.2, max_iter=30, n_jobs=threads
    )
    started = time.perf_counter()
    theirs.fit(X, labels)
    their_seconds = time.perf_counter() - started
    agree = float((ours.transduction_ == theirs.transduction_).mean())
    print(
        f"  with the search (recall {recall}): {seconds:.2f} s, scikit-learn {their_seconds:.1f} "
        f"s, {their_seconds / seconds:.1f}x; weighted and unweighted graph agree in {agree:.1%}"
    )
    return {"recall": recall, "seconds": seconds, "sklearn": their_seconds, "agree": agree}


def clustered_neighbors(n, k, rng):
    """Draw k neighbours of every node among those that follow it in a hidden order."""
    order = rng.permutation(n).astype(np.int32)
    place = np.empty(n, dtype=np.int32)
    place[order] = np.arange(n, dtype=np.int32)
    steps = rng.integers(1, min(n, 10_000), size=(n, k), dtype=np.int32)
    return order[(place[:, None] + steps) % n]


def scale(n, k, n_classes, n_iter, threads):
    rng = np.random.default_rng(0)
    targets = clustered_neighbors(n, k, rng).ravel()
    graph = scipy.sparse.csr_array(
        (np.ones(n * k, dtype=np.float32), targets, np.arange(0, n * k + 1, k, dtype=np.int32)),
        shape=(n, n),
    )
    graph = lq.symmetrize_graph(graph, n_jobs=threads)
    labels = np.full(n, -1)
    known = rng.choice(n, min(n, 100 * n_classes), replace=False)
    labels[known] = np.arange(len(known)) % n_classes
    model = lq.LabelSpreading(graph=graph, alpha=0.99, tol=0.0, n_jobs=threads)

    def seconds_of(iterations):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.set_params(max_iter=iterations)
            return best_of(2, lambda: model.fit(None, labels))[0]

    short = seconds_of(5)
    with PeakMemory() as peak:
        long = seconds_of(5 + n_iter)
    per_iteration = (long - short) / n_iter
    results = []
    dense = rng.random((n, n_classes), dtype=np.float32)
    for dtype in (np.float32, np.float64):
        left, right = graph.astype(dtype), dense.astype(dtype)
        product = best_of(5, lambda left=left, right=right: left @ right)[0]
        results.append({"dtype": np.dtype(dtype).name, "product": product})
        print(
            f"  an iteration {per_iteration * 1e3:.1f} ms ({per_iteration / graph.nnz * 1e9:.2f} "
            f"ns per edge); one thread of SciPy, {left.dtype}, {product * 1e3:.1f} "
            f"ms: {per_iteration / product:.2f} times its product (bar 3)"
        )
    gib = peak.peak / 2**30
    print(
        f"  the whole of {5 + n_iter} iterations {long:.2f} s; peak memory {gib:.2f} GiB (bar 2), "
        f"{(peak.peak - peak.before) / 2**30:.2f} of it by fit"
    )
    return {
        "nodes": n,
        "edges": graph.nnz,
        "classes": n_classes,
        "seconds_per_iteration": per_iteration,
        "products": results,
        "peak_bytes": peak.peak,
        "resident_before": peak.before,
        "resident_now": memory("RssAnon"),
    }


def main():
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=70_000, help="the first so many of MNIST")
    options.add_argument("--nodes", type=int, default=1_000_000)
    options.add_argument("--iterations", type=int, default=20)
    options.add_argument("--recall", type=float, help="of our own search; default: exact")
    args = options.parse_args()
    results = []
    # First, so that its peak memory is its own.
    print(f"{args.nodes:,} nodes x 15 neighbours x 10 classes, {args.threads} threads")
    results.append(scale(args.nodes, 15, 10, args.iterations, args.threads))
    try:
        X, classes = (part[: args.rows] for part in mnist())
    except FileNotFoundError:
        print(f"mnist: skipped, not in {real_data()}; LABELQUORUM_DATA names the folder")
    else:
        labels = partly_labeled(classes)
        graph = connectivity(X, args.threads)
        print(f"MNIST: {len(X):,} samples, {N_LABELED} labels, {args.threads} threads")
        warnings.simplefilter("ignore", ConvergenceWarning)  # of the labels that stop on their way
        results += [
            compare(X, labels, graph, {"alpha": alpha, "max_iter": max_iter}, args.threads)
            for alpha, max_iter in ((0.2, 30), (0.9, 1000), (0.99, 2000))
        ]
        results.append(compare_with_search(X, labels, args.recall, args.threads))
    record(args, results)


if __name__ == "__main__":
    main()
