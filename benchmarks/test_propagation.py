"""Spread labels over a graph, beside scikit-learn and the bare sparse products of SciPy.

On one graph, the one that scikit-learn's kernel="knn" makes, both give the same labels. With the
search for neighbors, each makes its own graph. The last group compares an iteration over a large
graph with SciPy's product of a matrix of the same size, by one thread.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import scipy.sparse
from sklearn import semi_supervised

import labelquorum as lq
from _data import SETS, missing
from _peers import sklearn_knn_graph

N_LABELED = 100
N_NEIGHBORS = 7  # scikit-learn's default, which counts the sample itself
N_CLASSES = 10
N_ITERATIONS = 20
SIZES = {
    "dataset": {"small": ["digits"], "full": ["mnist"]},
    "alpha": {"small": [0.2], "full": [0.2, 0.9, 0.99]},
    "n_nodes": {"small": [20_000], "full": [1_000_000]},
}
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@cache
def prepared(dataset):
    """Load a set; return it, its classes, its labels with -1 for unknown, and the graph."""
    try:
        X, classes = SETS[dataset]()
    except FileNotFoundError:
        pytest.skip(missing(dataset))
    labels = np.full(len(classes), -1)
    known = np.random.default_rng(0).choice(len(classes), N_LABELED, replace=False)
    labels[known] = classes[known]
    return X, classes, labels, sklearn_knn_graph(X, None)


def by_sklearn(graph, labels, alpha):
    """Fit scikit-learn's class on a given graph, by a kernel that only returns it."""
    model = semi_supervised.LabelSpreading(kernel=lambda *_: graph, alpha=alpha, max_iter=2000)
    return model.fit(np.zeros((len(labels), 1)), labels)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_one_graph_labelquorum(timed, dataset, alpha, dtype, threads):
    _, _, labels, graph = prepared(dataset)
    given = graph.astype(dtype)
    model = lq.LabelSpreading(graph=given, alpha=alpha, max_iter=2000, n_jobs=threads)
    timed(
        f"LabelSpreading on one graph, {dataset}, alpha {alpha}",
        lambda: model.fit(None, labels),
        samples=len(labels),
        reads=[given.data, given.indices],
    )
    expected = by_sklearn(graph, labels, alpha)
    assert model.n_iter_ == expected.n_iter_ or dtype == np.float32
    reached = expected.label_distributions_.max(axis=1) > 0
    differ = (model.transduction_ != expected.transduction_)[reached]
    assert differ.mean() < 1e-3  # ties, which rounding decides


def test_one_graph_sklearn(timed, dataset, alpha):
    _, classes, labels, graph = prepared(dataset)
    model = timed(
        f"LabelSpreading on one graph, {dataset}, alpha {alpha}",
        lambda: by_sklearn(graph, labels, alpha),
        samples=len(labels),
        reads=[graph.data, graph.indices],
    )
    assert (model.transduction_ == classes).mean() > 0.6


@pytest.mark.parametrize("recall", [None, 0.95], ids=["exact", "recall 0.95"])
def test_with_search_labelquorum(timed, benchmark, dataset, recall, threads):
    X, classes, labels, _ = prepared(dataset)
    model = lq.LabelSpreading(
        N_NEIGHBORS - 1, alpha=0.2, max_iter=30, recall=recall, n_jobs=threads
    )
    timed(
        f"LabelSpreading with the search, {dataset}",
        lambda: model.fit(X, labels),
        samples=len(X),
        reads=[X],
    )
    benchmark.extra_info["accuracy"] = accuracy = float((model.transduction_ == classes).mean())
    assert accuracy > 0.7


def test_with_search_sklearn(timed, benchmark, dataset, threads):
    X, classes, labels, _ = prepared(dataset)
    model = semi_supervised.LabelSpreading(
        "knn", n_neighbors=N_NEIGHBORS, alpha=0.2, max_iter=30, n_jobs=threads
    )
    timed(
        f"LabelSpreading with the search, {dataset}",
        lambda: model.fit(X, labels),
        once=len(X) > 10_000,
        samples=len(X),
        reads=[X],
    )
    benchmark.extra_info["accuracy"] = float((model.transduction_ == classes).mean())


@pytest.fixture(scope="module")
def large(n_nodes):
    """A symmetric graph with hidden order, about 30 edges per node, and labels of a few nodes."""
    rng = np.random.default_rng(0)
    order = rng.permutation(n_nodes).astype(np.int32)
    place = np.empty(n_nodes, dtype=np.int32)
    place[order] = np.arange(n_nodes, dtype=np.int32)
    steps = rng.integers(1, min(n_nodes, 10_000), size=(n_nodes, 15), dtype=np.int32)
    targets = order[(place[:, None] + steps) % n_nodes].ravel()
    ends = np.arange(0, targets.size + 1, 15, dtype=np.int32)
    weights = np.ones(targets.size, dtype=np.float32)
    graph = scipy.sparse.csr_array((weights, targets, ends), shape=(n_nodes, n_nodes))
    labels = np.full(n_nodes, -1)
    known = rng.choice(n_nodes, 100 * N_CLASSES, replace=False)
    labels[known] = np.arange(len(known)) % N_CLASSES
    return lq.symmetrize_graph(graph), labels


def test_iterations_labelquorum(timed, large, threads):
    graph, labels = large
    model = lq.LabelSpreading(
        graph=graph, alpha=0.99, tol=0.0, max_iter=N_ITERATIONS, n_jobs=threads
    )
    timed(
        f"{N_ITERATIONS} iterations over {len(labels):,} nodes",
        lambda: model.fit(None, labels),
        edges=N_ITERATIONS * graph.nnz,
        reads=N_ITERATIONS * [graph.data, graph.indices],
    )
    expected = spread(lq.normalize_graph(graph), labels)
    shares = expected / np.maximum(expected.sum(axis=1, keepdims=True), 1e-30)
    np.testing.assert_allclose(model.label_distributions_, shares, atol=1e-4)


def test_iterations_scipy(timed, large):
    graph, labels = large
    normalized = lq.normalize_graph(graph)
    shares = timed(
        f"{N_ITERATIONS} iterations over {len(labels):,} nodes",
        lambda: spread(normalized, labels),
        edges=N_ITERATIONS * graph.nnz,
        reads=N_ITERATIONS * [graph.data, graph.indices],
    )
    assert np.isfinite(shares).all()


def spread(normalized, labels):
    """Spread labels with SciPy's sparse products."""
    start = np.zeros((len(labels), N_CLASSES), dtype=np.float32)
    start[labels >= 0, labels[labels >= 0]] = 1
    shares = start
    for _ in range(N_ITERATIONS):
        shares = np.float32(0.99) * (normalized @ shares) + np.float32(0.01) * start
    return shares
