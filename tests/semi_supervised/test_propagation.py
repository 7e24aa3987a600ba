"""Labels spread over a graph: against dense iterations, and scikit-learn on the same graph."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
import scipy.sparse
import sklearn.semi_supervised
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import KNeighborsTransformer as SklearnTransformer
from sklearn.neighbors import kneighbors_graph
from sklearn.utils.estimator_checks import check_classifiers_classes, parametrize_with_checks

import labelquorum as lq
from labelquorum import _core
from strategies import THREADS, share

ESTIMATORS = [lq.LabelSpreading, lq.LabelPropagation, lq.PoissonLearning]
# This check uses -1 as a class. scikit-learn skips it for its own semi-supervised estimators.
MINUS_ONE = {"check_classifiers_classes": "-1 means no label"}


@parametrize_with_checks(
    [estimator() for estimator in ESTIMATORS],
    expected_failed_checks=lambda estimator: (
        MINUS_ONE if isinstance(estimator, lq.PoissonLearning) else {}
    ),
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_check_of_classes_for_semi_supervised_estimators_passes():
    check_classifiers_classes("LabelSpreading", lq.PoissonLearning())


# The extension against the dense iterations


def dense_iterations(W, nodes, values, rule, max_iter, tol):
    from_neighbors, from_seeds, clamped = rule
    Y = np.zeros((len(W), values.shape[1]))
    Y[nodes] = values
    F, change, n_iter = Y, np.abs(Y).sum(), 0
    while n_iter < max_iter and not change < tol:
        after = W @ F
        if clamped:
            sums = after.sum(axis=1, keepdims=True)
            after /= np.where(sums == 0, 1, sums)
            after[nodes] = values
        else:
            after = from_neighbors * after + from_seeds * Y
        change = np.abs(after - F).sum()
        F, n_iter = after, n_iter + 1
    return F, n_iter, change < tol


def random_graph(rng, n, density, index, dtype):
    """A CSR graph with unsorted rows, repeated edges, self-loops and stored zeros."""
    n_edges = int(rng.poisson(density * n))
    rows = np.sort(rng.integers(n, size=n_edges))
    weights = rng.random(n_edges) * (rng.random(n_edges) < 0.9) / max(1, density)
    return (
        np.searchsorted(rows, np.arange(n + 1)).astype(index),
        rng.integers(n, size=n_edges).astype(index),
        weights.astype(dtype),
    )


def to_dense(indptr, indices, weights):
    n = len(indptr) - 1
    W = np.zeros((n, n))
    np.add.at(W, (np.repeat(np.arange(n), np.diff(indptr)), indices), weights)
    return W


def reaches(W, nodes, n_iter):
    """Return which nodes a path of at most n_iter edges connects to a seed."""
    reached = np.zeros(len(W), dtype=bool)
    reached[nodes] = True
    for _ in range(n_iter):
        reached |= (W > 0) @ reached
    return reached


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 120),
    density=st.sampled_from([0.3, 1.0, 2.0, 8.0]),
    n_classes=st.sampled_from([1, 2, 4, 5, 10, 12, 16, 17, 31, 40]),
    clamped=st.booleans(),
    index=st.sampled_from([np.int32, np.int64]),
    dtype=st.sampled_from([np.float32, np.float64]),
    n_jobs=st.sampled_from(THREADS),
    max_iter=st.integers(1, 30),
)
def test_the_kernel_equals_dense_iterations(
    seed, n, density, n_classes, clamped, index, dtype, n_jobs, max_iter
):
    rng = np.random.default_rng(seed)
    graph = random_graph(rng, n, density, index, dtype)
    W = to_dense(*graph)
    nodes = rng.permutation(n)[: rng.integers(1, n + 1)]
    values = rng.random((len(nodes), n_classes)).astype(dtype)
    rule = (0.7, 0.4, clamped)
    result = _core.propagate(*graph, nodes, values, *rule, max_iter, 1e-3, n_jobs, None)
    F, reached, n_iter, converged, spreading = result
    expected, expected_n_iter, expected_converged = dense_iterations(
        W, nodes, values, rule, max_iter, 1e-3
    )
    if dtype == np.float64:
        assert (n_iter, converged) == (expected_n_iter, expected_converged)
    else:
        expected = dense_iterations(W, nodes, values, rule, n_iter, 0)[0]
    np.testing.assert_allclose(F, expected, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=0)
    np.testing.assert_array_equal(reached, reaches(W, nodes, n_iter))
    assert spreading == (reaches(W, nodes, n_iter + 1) != reached).any()


SCRIPT = """
import sys
import numpy as np
import scipy.sparse
from labelquorum import _core
rng = np.random.default_rng(3)
for dtype in (np.float32, np.float64):
    for n_classes in (3, 7, 10, 16, 45):
        for n_threads in (1, 2, 8):
            graph = scipy.sparse.random_array((5000, 5000), density=0.002, rng=7).tocsr()
            weights = graph.data.astype(dtype) / 10
            nodes = np.arange(0, 5000, 50)
            values = np.random.default_rng(n_classes).random((100, n_classes)).astype(dtype)
            for clamped in (False, True):
                F = _core.propagate(graph.indptr, graph.indices, weights, nodes, values,
                                    0.9, 0.1, clamped, 20, 0.0, n_threads, None)[0]
                if n_threads == 1:
                    first = {} if not clamped else first
                    first[clamped] = F.tobytes()
                    sys.stdout.buffer.write(F.tobytes())
                assert F.tobytes() == first[clamped]
"""


@pytest.mark.slow
def test_every_instruction_set_and_number_of_threads_gives_the_same_bytes():
    outputs = set()
    for name in _core.compiled_instruction_sets():
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "LABELQUORUM_INSTRUCTION_SET": name},
            capture_output=True,
        )
        if b"for this build on this machine, got" in done.stderr:
            continue
        assert done.returncode == 0, done.stderr.decode()
        outputs.add(done.stdout)
    assert len(outputs) == 1


@pytest.mark.parametrize("nodes", [[-1], [3], [1, 1], [2**40]])
def test_seeds_must_be_distinct_nodes(nodes):
    graph = scipy.sparse.csr_array(np.ones((3, 3)))
    with pytest.raises(ValueError, match="seeds"):
        _core.propagate(
            graph.indptr,
            graph.indices,
            graph.data,
            np.array(nodes),
            np.ones((len(nodes), 2)),
            *(0.5, 0.5, False, 3, 0.0, 1, None),
        )


# scikit-learn


def partly_labeled(rng, y, n_labeled):
    labels = np.full(len(y), -1)
    known = rng.choice(len(y), n_labeled, replace=False)
    labels[known] = y[known]
    return labels


def datasets():
    rng = np.random.default_rng(0)
    digits, y = load_digits(return_X_y=True)
    yield "digits", digits, partly_labeled(rng, y, 100)
    moons, y = make_moons(400, noise=0.1, random_state=0)
    yield "moons", moons, partly_labeled(rng, y, 10)
    grid = rng.integers(0, 6, size=(300, 2)).astype(float)  # ties and duplicates
    yield "grid", grid, partly_labeled(rng, (grid[:, 0] > 2).astype(int), 20)


DATASETS = list(datasets())


@pytest.mark.parametrize(("name", "X", "y"), DATASETS)
@pytest.mark.parametrize(
    ("estimator", "options"),
    [
        ("LabelSpreading", {"alpha": 0.2, "max_iter": 30}),
        ("LabelSpreading", {"alpha": 0.9, "max_iter": 500}),
        ("LabelSpreading", {"alpha": 0.99, "max_iter": 7}),
        ("LabelSpreading", {"alpha": 0.5, "tol": 1e-9, "max_iter": 1000}),
        ("LabelPropagation", {"max_iter": 1000}),
        ("LabelPropagation", {"max_iter": 5}),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scikit_learn_gives_the_same_on_its_own_graph(name, X, y, estimator, options):
    theirs = getattr(sklearn.semi_supervised, estimator)(kernel="knn", n_neighbors=7, **options)
    theirs.fit(X, y)
    graph = kneighbors_graph(X, 7, mode="connectivity", include_self=True)
    np.testing.assert_array_equal(theirs._get_kernel(theirs.X_).toarray(), graph.toarray())
    ours = getattr(lq, estimator)(graph=graph, **options).fit(X, y)
    assert ours.n_iter_ == theirs.n_iter_
    np.testing.assert_allclose(
        ours.label_distributions_, theirs.label_distributions_, rtol=0, atol=1e-6
    )
    reached = theirs.label_distributions_.any(axis=1)
    np.testing.assert_array_equal(ours.reached_, reached)
    # If two classes have the same share, rounding decides.
    shares = np.sort(theirs.label_distributions_, axis=1)
    clear = reached & (shares[:, -1] - shares[:, -2] > 1e-9)
    np.testing.assert_array_equal(ours.transduction_[clear], theirs.transduction_[clear])
    assert (ours.transduction_[~reached] == -1).all()
    single = getattr(lq, estimator)(graph=graph.astype(np.float32), **options).fit(X, y)
    assert single.label_distributions_.dtype == np.float32


# The graph of neighbors


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_affinities_are_those_of_the_formula(metric):
    X = np.random.default_rng(8).normal(size=(40, 5))
    distances, indices = lq.kneighbors(X, 6, metric=metric)
    squared = distances**2 if metric == "euclidean" else distances
    expected = np.zeros((40, 40))
    rows = np.arange(40)[:, None]
    expected[rows, indices] = np.exp(-4 * squared / squared[:, -1:])
    graph = lq.affinity_graph(X, 6, metric=metric)
    np.testing.assert_allclose(graph.toarray(), expected + expected.T, rtol=1e-12)
    y = np.where(np.arange(40) < 4, np.arange(40) % 2, -1)
    built = lq.LabelSpreading(6, metric=metric).fit(X, y)
    given_graph = lq.LabelSpreading(graph=graph).fit(X, y)
    np.testing.assert_array_equal(built.label_distributions_, given_graph.label_distributions_)


# Labels in, labels out


def two_chains():
    """0-1-2 and 3-4-5, and 6 alone."""
    edges = [(0, 1), (1, 2), (3, 4), (4, 5)]
    rows, columns = np.array(edges + [(b, a) for a, b in edges]).T
    return scipy.sparse.csr_array((np.ones(8), (rows, columns)), shape=(7, 7))


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([5, -1, -1, 3, -1, -1, -1], [5, 5, 5, 3, 3, 3, -1]),
        ([-1, -1, -1, 3, -1, -1, -1], [-1, -1, -1, 3, 3, 3, -1]),
        (["b", None, None, "a", None, None, None], ["b", "b", "b", "a", "a", "a", None]),
        (
            np.array(["b", -1, -1, "a", -1, -1, -1], dtype=object),
            ["b", "b", "b", "a", "a", "a", None],
        ),
        (
            np.array([2, -1, -1, 300, -1, -1, -1], dtype=object),
            [2, 2, 2, 300, 300, 300, -1],
        ),
        ([1.0, -1.0, -1.0, 0.0, -1.0, -1.0, -1.0], [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, -1.0]),
    ],
)
def test_samples_that_no_label_can_reach_get_none(estimator, y, expected):
    model = estimator(graph=two_chains()).fit(None, y)
    assert model.transduction_.tolist() == expected
    reached = [label not in (-1, None) for label in expected]
    assert model.reached_.tolist() == reached
    np.testing.assert_allclose(model.label_distributions_.sum(axis=1), reached)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_soft_labels_spread(estimator):
    y = np.zeros((7, 3))
    y[0], y[3] = [0.2, 0.8, 0], [0, 0, 1]
    model = estimator(graph=two_chains()).fit(None, y)
    assert model.classes_.tolist() == [0, 1, 2]
    assert model.transduction_.tolist() == [1, 1, 1, 2, 2, 2, -1]
    np.testing.assert_allclose(model.label_distributions_[1], [0.2, 0.8, 0], atol=1e-6)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_labels_as_shares_give_the_same_as_classes(estimator):
    _, X, y = DATASETS[1]
    shares = (y[:, None] == [0, 1]).astype(int)
    hard, soft = estimator().fit(X, y), estimator().fit(X, shares)
    np.testing.assert_array_equal(hard.label_distributions_, soft.label_distributions_)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_a_cluster_gets_the_label_of_its_labeled_samples(estimator, metric):
    rng = np.random.default_rng(5)
    centers = 10 * np.eye(4, 8)
    truth = np.repeat(np.arange(4), 60)
    X = centers[truth] + rng.normal(size=(240, 8))
    y = np.full(240, -1)
    y[::60] = truth[::60]
    model = estimator(metric=metric).fit(X, y)
    np.testing.assert_array_equal(model.transduction_, truth)
    X_new = centers[truth] + rng.normal(size=(240, 8))
    np.testing.assert_array_equal(model.predict(X_new), truth)
    proba = model.predict_proba(X_new)
    np.testing.assert_allclose(proba.sum(axis=1), 1)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("n_jobs", THREADS)
def test_results_do_not_depend_on_threads(estimator, n_jobs):
    _, X, y = DATASETS[0]
    expected = estimator(n_jobs=1).fit(X, y)
    model = estimator(n_jobs=n_jobs).fit(X, y)
    assert model.label_distributions_.tobytes() == expected.label_distributions_.tobytes()


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_dtype_is_that_of_the_samples(estimator):
    _, X, y = DATASETS[0]
    single = estimator().fit(X.astype(np.float32), y)
    double = estimator().fit(X, y)
    assert single.label_distributions_.dtype == np.float32
    assert double.label_distributions_.dtype == np.float64
    assert (single.transduction_ == double.transduction_).mean() > 0.99


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_duplicates_and_a_distant_new_sample_are_labeled(estimator):
    corners = np.array([[0.0, 0.0], [0.1, 0.0], [0.0, 0.1], [0.1, 0.1]])
    X = np.concatenate([np.repeat(corners + center, 3, axis=0) for center in (0, 1, 50)])
    y = np.full(36, -1)
    y[0], y[12] = 0, 1
    model = estimator(n_neighbors=3).fit(X, y)
    assert model.transduction_.tolist() == [0] * 12 + [1] * 12 + [-1] * 12
    assert model.predict([[0.1, 0.0], [50.0, 51.0], [-1e6, 3.0]]).tolist() == [0, -1, 0]
    assert np.isfinite(model.predict_proba([[50.0, 51.0]])).all()


@pytest.mark.parametrize("estimator", [lq.LabelSpreading, lq.LabelPropagation])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_class_masses_become_the_shares_of_the_labels(estimator):
    rng = np.random.default_rng(6)
    X = np.concatenate([rng.normal(0, 1, (150, 2)), rng.normal(1.5, 1, (150, 2))])
    y = np.full(300, -1)
    y[[0, 1, 2, 150]] = [0, 0, 0, 1]
    model = estimator(class_mass_normalization=True).fit(X, y)
    plain = estimator().fit(X, y)
    unlabeled = y == -1
    shares = plain.label_distributions_[unlabeled]
    expected = shares * (np.array([0.75, 0.25]) / shares.sum(axis=0))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.label_distributions_[unlabeled], expected)
    np.testing.assert_array_equal(
        model.label_distributions_[~unlabeled], plain.label_distributions_[~unlabeled]
    )


def test_poisson_learning_solves_the_poisson_equation():
    rng = np.random.default_rng(7)
    W = rng.random((30, 30)) * (rng.random((30, 30)) < 0.4)
    W = np.triu(W, 1) + np.triu(W, 1).T
    y = np.full(30, -1)
    y[:5] = [0, 1, 2, 2, 1]
    model = lq.PoissonLearning(graph=scipy.sparse.csr_array(W), tol=1e-10).fit(None, y)
    B = np.zeros((30, 3))
    B[:5] = np.eye(3)[y[:5]] - np.eye(3)[y[:5]].mean(axis=0)
    U = np.linalg.pinv(np.diag(W.sum(axis=1)) - W) @ B
    degrees = W.sum(axis=1)
    U -= degrees @ U / degrees.sum()
    np.testing.assert_array_equal(model.transduction_[5:], U.argmax(axis=1)[5:])
    scores = np.maximum(U, 0)
    scores /= scores.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.label_distributions_[5:], scores[5:], atol=1e-6)
    np.testing.assert_array_equal(model.transduction_[:5], y[:5])


# Warnings and errors


def chain(n):
    edges = scipy.sparse.diags_array([np.ones(n - 1), np.ones(n - 1)], offsets=[-1, 1])
    return edges.tocsr()


def test_stopping_before_convergence_warns():
    with pytest.warns(
        ConvergenceWarning, match="labels still changed by tol=0.001 or more after 3 iter"
    ):
        model = lq.LabelSpreading(graph=chain(30), max_iter=3).fit(None, [0] + [-1] * 29)
    assert model.n_iter_ == 3
    assert model.reached_.tolist() == [True] * 4 + [False] * 26
    assert model.transduction_.tolist() == [0] * 4 + [-1] * 26


def test_stopping_before_all_samples_are_reached_warns():
    with pytest.warns(ConvergenceWarning, match="before labels had reached all samples"):
        lq.LabelSpreading(graph=chain(30), alpha=0.2).fit(None, [0] + [-1] * 29)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lq.LabelSpreading(graph=chain(30), alpha=0.9).fit(None, [0] + [-1] * 29)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(
    ("error", "message", "options", "X", "y"),
    [
        (ValueError, "y must hold at least one label", {}, None, [-1] * 7),
        (ValueError, "y must hold at least one label", {}, None, np.zeros((7, 2))),
        (ValueError, "y must have 7 values, one per sample, got 6", {}, None, [-1] * 6),
        (ValueError, "the target y is None", {}, None, None),
        (ValueError, "got a sum of 0.5 in row 1", {}, None, [[0, 0], [0.5, 0]] + [[0, 0]] * 5),
        (ValueError, "negative share", {}, None, [[0, 0], [2, -1]] + [[0, 0]] * 5),
        (ValueError, "y contains NaN", {}, None, [[0, 0], [np.nan, 1]] + [[0, 0]] * 5),
        (ValueError, "y must have shape", {}, None, np.zeros((7, 2, 2))),
        (ValueError, "Unknown label type", {}, None, [0.5, -1, 1, 2, 3, 4, 5]),
        (TypeError, "mix", {}, None, np.array(["a", 1, None, None, None, None, None], object)),
        (
            ValueError,
            "graph must have 3 nodes, one per sample in X, got 7",
            {},
            np.zeros((3, 2)),
            [0, 1, -1],
        ),
        (
            ValueError,
            "X must be an array of samples if there is no graph",
            {"graph": None},
            None,
            [0] * 7,
        ),
        (ValueError, "n_neighbors must be .*, got 0", {"n_neighbors": 0}, None, [0] * 7),
        (ValueError, "max_iter must be .*, got 0", {"max_iter": 0}, None, [0] * 7),
        (ValueError, "tol must be .*, got -1", {"tol": -1}, None, [0] * 7),
        (TypeError, "tol must be .*, got None", {"tol": None}, None, [0] * 7),
        (
            ValueError,
            "metric must be .*, got 'inner_product'",
            {"metric": "inner_product"},
            None,
            [0] * 7,
        ),
        (TypeError, "graph must be .*, got ndarray", {"graph": np.eye(7)}, None, [0] * 7),
        (ValueError, "edge of weight -1", {"graph": -two_chains()}, None, [0, 1] + [-1] * 5),
    ],
)
def test_bad_arguments_are_refused_by_name(estimator, error, message, options, X, y):
    if estimator is lq.PoissonLearning and "edge of weight" in message:
        message = "edge of weight -2"
    with pytest.raises(error, match=message):
        estimator(**{"graph": two_chains(), **options}).fit(X, y)


@pytest.mark.parametrize("alpha", [0, 1, 1.5, np.nan])
def test_alpha_lies_between_zero_and_one(alpha):
    with pytest.raises(ValueError, match=r"alpha must be .*, got"):
        lq.LabelSpreading(graph=two_chains(), alpha=alpha).fit(None, [0] * 7)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_predict_needs_the_samples_of_fit(estimator):
    model = estimator(graph=two_chains()).fit(None, [5, -1, -1, 3, -1, -1, -1])
    with pytest.raises(ValueError, match="fitted without X"):
        model.predict([[0.0]])


@given(seed=st.integers(0, 2**32 - 1), n_jobs=st.sampled_from(THREADS))
@share(0.3)
def test_edges_that_are_stored_twice_add_up(seed, n_jobs):
    rng = np.random.default_rng(seed)
    indptr, indices, weights = random_graph(rng, 40, 4, np.int64, np.float64)
    graph = scipy.sparse.csr_array((weights, indices, indptr), shape=(40, 40))
    once = scipy.sparse.csr_array(graph.toarray())
    y = np.full(40, -1)
    y[:4] = [0, 1, 0, 1]
    for estimator in ESTIMATORS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            first, second = (
                estimator(graph=g, max_iter=20, n_jobs=n_jobs).fit(None, y) for g in (graph, once)
            )
        np.testing.assert_allclose(
            first.label_distributions_, second.label_distributions_, atol=1e-9
        )


@pytest.mark.parametrize("transformer", [lq.KNeighborsTransformer, SklearnTransformer])
@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_a_graph_of_distances_gives_the_same_affinities(transformer, metric):
    X = np.random.default_rng(11).normal(size=(80, 5))
    expected = lq.affinity_graph(X, 6, metric=metric)
    distances = transformer(n_neighbors=6, mode="distance", metric=metric).fit_transform(X)
    graph = lq.affinity_graph(distances, metric=metric)
    np.testing.assert_allclose(graph.toarray(), expected.toarray(), rtol=1e-6)
    labels = np.full(80, -1)
    labels[:4] = 0, 1, 0, 1
    from_graph = lq.LabelSpreading(graph=graph).fit(None, labels)
    from_samples = lq.LabelSpreading(6, metric=metric).fit(X, labels)
    np.testing.assert_array_equal(from_graph.transduction_, from_samples.transduction_)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_a_graph_that_does_not_hold_distances_is_refused(bad):
    graph = scipy.sparse.csr_array(([1.0, bad], ([0, 1], [1, 0])), shape=(2, 2))
    with pytest.raises(ValueError, match="X, a graph, must hold distances"):
        lq.affinity_graph(graph)
