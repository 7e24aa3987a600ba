"""S3VM: what it finds, what does not change the result, and what it refuses."""

from __future__ import annotations

import pickle
import tracemalloc
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import load_digits, make_blobs, make_moons
from sklearn.kernel_approximation import Nystroem
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import check_classifiers_classes, parametrize_with_checks

import labelquorum as lq
from labelquorum.semi_supervised.s3vm import votes
from strategies import THREADS, share

# This check uses -1 as a class. scikit-learn skips it for its own semi-supervised estimators.
MINUS_ONE = {"check_classifiers_classes": "-1 means no label"}


@parametrize_with_checks(
    [lq.S3VM(), lq.S3VM("rbf"), lq.S3VM(safe=True)], expected_failed_checks=lambda _: MINUS_ONE
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_the_check_of_classes_for_semi_supervised_estimators_passes(kernel):
    check_classifiers_classes("LabelSpreading", lq.S3VM(kernel))


# What it finds


def separate_blobs(seed=0, n=200, n_classes=2, n_labeled=2):
    """Return features, classes, and labels of a few samples of each class."""
    centers = 8 * np.eye(n_classes, 5)
    X, classes = make_blobs(n, centers=centers, random_state=seed)
    y = np.full(n, -1)
    for c in range(n_classes):
        y[np.flatnonzero(classes == c)[:n_labeled]] = c
    return X, classes, y


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
@pytest.mark.parametrize("safe", [False, True])
@pytest.mark.parametrize("n_classes", [2, 4])
def test_one_label_for_each_group_is_enough(kernel, safe, n_classes):
    X, classes, y = separate_blobs(n_classes=n_classes, n_labeled=1)
    model = lq.S3VM(kernel, safe=safe, random_state=0).fit(X, y)
    assert (model.transduction_ == classes).mean() > 0.98
    assert (model.predict(X) == classes).mean() > 0.98
    n_separators = n_classes * (n_classes - 1) // 2
    assert model.used_unlabeled_.shape == (n_separators,)
    shape = (len(X),) if n_classes == 2 else (len(X), n_classes)
    assert model.decision_function(X).shape == shape
    if kernel == "linear":
        assert model.coef_.shape == (n_separators, X.shape[1])
        assert model.intercept_.shape == (n_separators,)
        values = X @ model.coef_.T + model.intercept_
        if n_classes == 2:
            assert np.allclose(values[:, 0], model.decision_function(X))
    else:
        assert not hasattr(model, "coef_")


def test_five_labels_separate_two_moons():
    X, classes = make_moons(500, noise=0.05, random_state=0)
    y = np.where(np.arange(500) < 5, classes, -1)
    assert 0 < classes[:5].sum() < 5
    wrong = lq.S3VM("rbf").fit(X, y).transduction_ != classes
    assert wrong.mean() < 0.01
    supervised = lq.S3VM("rbf").fit(X[:5], y[:5])
    assert (supervised.predict(X) != classes).mean() > 0.1


def test_labels_may_misrepresent_the_shares_of_classes():
    X, classes, _ = separate_blobs(n=300)
    y = np.full(300, -1)
    y[np.flatnonzero(classes == 0)[:8]] = 0
    y[np.flatnonzero(classes == 1)[:2]] = 1
    assert (lq.S3VM().fit(X, y).transduction_ == classes).all()


@pytest.mark.parametrize("positive", [0.2, 0.5, 0.7])
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_given_shares_balance_the_unlabeled_samples(kernel, positive):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))  # no groups, so that nothing else decides
    y = np.full(200, -1)
    y[:2] = 0, 1
    model = lq.S3VM(kernel, class_shares=[1 - positive, positive]).fit(X, y)
    assert model.decision_function(X[2:]).mean() == pytest.approx(2 * positive - 1, abs=1e-6)


@given(st.integers(0, 1000))
@share(0.1)
def test_without_unlabeled_samples_it_is_the_supervised_machine(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(60, 4)) + rng.normal(size=4)
    y = (X[:, 0] + rng.normal(size=60) > 0) + 1 * (rng.random(60) < 0.2)
    y[:3] = 0, 1, 2
    model = lq.S3VM(C=0.7).fit(X, y)
    for place, pair in enumerate(combinations(range(3), 2)):
        is_member = np.isin(y, pair)
        peer = LinearSVC(C=0.7, tol=1e-10, dual=False, max_iter=10_000).fit(
            X[is_member], y[is_member]
        )
        values = X @ model.coef_[place] + model.intercept_[place]
        assert np.allclose(values, peer.decision_function(X), atol=5e-3)
    assert (model.transduction_ == y).all()
    assert not model.used_unlabeled_.any()


def test_without_unlabeled_samples_the_kernel_machine_is_linear_on_kernel_features():
    X, classes = make_moons(80, noise=0.2, random_state=0)
    model = lq.S3VM("rbf", C=2.0, gamma=1.5, random_state=0).fit(X, classes)
    features = Nystroem(gamma=1.5, n_components=80, random_state=0).fit_transform(X)
    peer = LinearSVC(C=2.0, tol=1e-10, dual=False, max_iter=10_000).fit(features, classes)
    assert np.allclose(model.decision_function(X), peer.decision_function(features), atol=5e-3)


def test_unlabeled_samples_of_weight_0_are_ignored():
    X, _, y = separate_blobs()
    model = lq.S3VM(unlabeled_weight=0, C=1.0).fit(X, y)
    supervised = lq.S3VM(C=1.0).fit(X[y >= 0], y[y >= 0])
    assert np.allclose(model.coef_, supervised.coef_)


def test_safe_falls_back_to_the_supervised_machine():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(200, 20))  # no groups, so any cut is as good as another
    y = np.full(200, -1)
    y[:10] = X[:10, 0] > 0
    safe, plain = lq.S3VM(safe=True, random_state=0).fit(X, y), lq.S3VM().fit(X, y)
    supervised = lq.S3VM(C=safe.C_).fit(X[:10], y[:10])
    assert not safe.used_unlabeled_.any()
    assert plain.used_unlabeled_.all()
    assert np.allclose(safe.coef_, supervised.coef_)
    assert not np.allclose(safe.coef_, plain.coef_)


def test_a_class_gets_a_vote_for_each_pair_that_it_wins():
    values = np.array([[1.0, 1.0, 1.0], [-2.0, -1.0, 3.0], [-1.0, 0.5, -0.2]])
    totals = votes(values, 3)
    assert totals.argmax(axis=1).tolist() == [2, 0, 0]
    assert totals.round().tolist() == [[0, 1, 2], [2, 0, 1], [1, 1, 1]]  # the last is a tie
    assert totals[2, 0] > max(totals[2, 1:])  # -(-1) - 0.5 is the largest sum


@pytest.mark.slow
def test_unlabeled_samples_help_with_several_classes():
    X, classes = load_digits(return_X_y=True)
    X, classes = X[:600], classes[:600]
    y = np.where(np.arange(600) < 60, classes, -1)
    supervised = lq.S3VM(unlabeled_weight=0).fit(X, y).transduction_
    for safe in (False, True):
        model = lq.S3VM(safe=safe, random_state=0).fit(X, y)
        gain = (model.transduction_ == classes).mean() - (supervised == classes).mean()
        assert gain > 0.02


# What does not change the result


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_order_scale_copies_and_constant_columns_do_not_change_the_classes(kernel):
    X, classes, y = separate_blobs(3, n_classes=3)
    order = np.random.default_rng(0).permutation(len(X))
    with_constant = np.column_stack([X, np.full(len(X), 7.0)])
    for other, labels, truth in (
        (X[order], y[order], classes[order]),
        (1e6 * X, y, classes),
        (1e-6 * X, y, classes),
        (np.repeat(X, 2, axis=0), np.repeat(y, 2), np.repeat(classes, 2)),
        (with_constant, y, classes),
    ):
        model = lq.S3VM(kernel).fit(other, labels)
        assert (model.transduction_ == truth).all()


def test_order_does_not_change_the_function():
    X, _, y = separate_blobs(4)
    order = np.random.default_rng(0).permutation(len(X))
    here, there = lq.S3VM().fit(X, y), lq.S3VM().fit(X[order], y[order])
    assert np.allclose(here.decision_function(X), there.decision_function(X), atol=0.01)


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_the_same_for_any_number_of_threads(kernel):
    X, _, y = separate_blobs(n_classes=3)
    models = [lq.S3VM(kernel, random_state=0, n_jobs=n).fit(X, y) for n in THREADS]
    for model in models[1:]:
        assert np.array_equal(model.decision_function(X), models[0].decision_function(X))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int16])
@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_the_same_for_all_dtypes(kernel, dtype):
    X, _, y = separate_blobs()
    X = X.round()
    model = lq.S3VM(kernel, random_state=0).fit(X.astype(dtype), y)
    wide = lq.S3VM(kernel, random_state=0).fit(X, y)
    assert np.array_equal(model.decision_function(X), wide.decision_function(X))


@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_matrix, sparse.coo_array])
def test_sparse_and_dense_samples_give_the_same(form):
    X, _, y = separate_blobs(n_classes=3)
    X[np.abs(X) < 1] = 0
    dense, model = lq.S3VM().fit(X, y), lq.S3VM().fit(form(X), y)
    assert np.allclose(model.decision_function(form(X)), dense.decision_function(X), atol=0.01)
    assert np.array_equal(model.transduction_, dense.transduction_)


def test_wide_sparse_features_stay_sparse():
    rng = np.random.default_rng(0)
    n, d = 1_000, 100_000  # 800 MB if they were dense
    classes = np.arange(n) % 2
    columns = rng.integers(d // 2, size=(n, 5)) + d // 2
    columns[:, 0] = 10 * classes + rng.integers(10, size=n)
    X = sparse.csr_array((np.ones(5 * n), columns.ravel(), np.arange(0, 5 * n + 1, 5)), (n, d))
    y = np.where(np.arange(n) < 60, classes, -1)
    tracemalloc.start()
    model = lq.S3VM().fit(X, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (model.transduction_ == classes).mean() > 0.9
    assert peak < 100e6


def test_the_kernel_is_approximated_with_fewer_components_than_samples():
    X, classes, y = separate_blobs(n=300)
    model = lq.S3VM("rbf", n_components=20, random_state=0).fit(X, y)
    assert model._weights.shape == (1, 20)
    assert (model.transduction_ == classes).all()


def test_labels_may_be_strings_and_stay_as_they_are():
    X, classes, y = separate_blobs()
    names = np.array(["left", "right"], dtype=object)[classes]
    labels = np.where(y >= 0, names, None)
    first = np.flatnonzero(y == 0)[0]
    labels[first] = "right"  # wrong, but it must stay
    model = lq.S3VM().fit(X, labels)
    assert model.classes_.tolist() == ["left", "right"]
    assert model.transduction_[first] == "right"
    assert model.predict(X[:5]).tolist() == names[:5].tolist()


@pytest.mark.parametrize("kernel", ["linear", "rbf"])
def test_clones_and_pickles_give_the_same(kernel):
    X, _, y = separate_blobs(n_classes=3)
    model = lq.S3VM(kernel, random_state=0).fit(X, y)
    for other in (pickle.loads(pickle.dumps(model)), clone(model).fit(X, y)):
        assert np.array_equal(other.decision_function(X), model.decision_function(X))


def test_progress_is_shown(capsys):
    X, _, y = separate_blobs()
    lq.S3VM(verbose=True).fit(X, y)
    assert "pairs of classes" in capsys.readouterr().err


def test_equal_samples_are_no_error():
    X, y = np.ones((6, 2)), [0, 1, -1, -1, -1, -1]
    for kernel in ("linear", "rbf"):
        assert np.isfinite(lq.S3VM(kernel).fit(X, y).decision_function(X)).all()


# Bad arguments


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"kernel": "poly"}, ValueError, "kernel must be 'linear' or 'rbf', got 'poly'"),
        ({"C": 0}, ValueError, "C must be a number above 0 or 'scale', got 0"),
        ({"C": -1.0}, ValueError, "C must be a number of at least 0, got -1.0"),
        ({"C": "auto"}, ValueError, "C must be 'scale', got 'auto'"),
        ({"kernel": "rbf", "gamma": "auto"}, ValueError, "gamma must be 'scale', got 'auto'"),
        ({"kernel": "rbf", "gamma": None}, TypeError, "gamma must be .*, got None"),
        ({"unlabeled_weight": -1}, ValueError, "unlabeled_weight must be .*, got -1"),
        ({"n_components": 0}, ValueError, "n_components must be .*, got 0"),
        ({"n_jobs": 0}, ValueError, "n_jobs must be .*, got 0"),
        (
            {"class_shares": [0.5, 0.2, 0.3]},
            ValueError,
            r"class_shares must be 2 numbers .*, got shape \(3,\)",
        ),
        (
            {"class_shares": [0.5, 0.6]},
            ValueError,
            r"class_shares must be 2 numbers .*, got \[0.5, 0.6\]",
        ),
        (
            {"class_shares": [0.0, 1.0]},
            ValueError,
            r"class_shares must be 2 numbers .*, got \[0.0, 1.0\]",
        ),
        (
            {"class_shares": [np.nan, 0.5]},
            ValueError,
            r"class_shares must be 2 numbers .*, got \[nan, 0.5\]",
        ),
        (
            {"class_shares": ["a", "b"]},
            TypeError,
            "class_shares must be 2 numbers .*, got dtype <U1",
        ),
    ],
)
def test_bad_parameters_are_refused_by_name(parameters, error, message):
    X, _, y = separate_blobs()
    with pytest.raises(error, match=message):
        lq.S3VM(**parameters).fit(X, y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([-1] * 4, "y must hold at least one label, got -1 or None"),
        ([None] * 4, "y must hold at least one label, got -1 or None"),
        ([3, -1, 3, -1], "y must hold labels of two or more classes, got one class, 3"),
        (["a", None, None, "a"], "y must hold labels of two or more classes, got one class, 'a'"),
        ([0, 1, -1], "y must have 4 values, one per sample, got 3"),
    ],
)
def test_bad_labels_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        lq.S3VM().fit(np.eye(4), y)


def test_sparse_features_are_refused_with_rbf():
    with pytest.raises(TypeError, match="Sparse data was passed"):
        lq.S3VM("rbf").fit(sparse.eye_array(4, format="csr"), [0, 1, -1, -1])
