"""CurriculumSelfTraining: which samples count, what it gains, contracts of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import check_classifiers_classes, parametrize_with_checks

import labelquorum as lq
from labelquorum.self_training import _most_certain

# scikit-learn exempts its own estimators, by name, from taking -1 for a class.
MINUS_ONE = {"check_classifiers_classes": "-1 is no class but the lack of a label"}


@parametrize_with_checks([lq.CurriculumSelfTraining()], expected_failed_checks=lambda _: MINUS_ONE)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_the_check_of_classes_passes_in_the_form_for_semi_supervised_estimators():
    check_classifiers_classes("LabelSpreading", lq.CurriculumSelfTraining())


def test_the_same_share_of_every_class_counts_the_most_certain_first():
    first = np.array([0.9, 0.8, 0.7, 0.6, 0.1, 0.4])
    shares = np.column_stack([first, 1 - first])
    assert _most_certain(shares, 0.5).tolist() == [0, 1, 4]
    assert _most_certain(shares, 0.6).tolist() == [0, 1, 2, 4, 5]
    assert _most_certain(shares, 1.0).tolist() == [0, 1, 2, 3, 4, 5]


def digits(per_class):
    X, classes = load_digits(return_X_y=True)
    X, classes = X[:1000] / 16, classes[:1000]
    y = np.full(len(X), -1)
    for c in range(10):
        y[np.flatnonzero(classes == c)[:per_class]] = c
    return X, classes, y


def test_it_beats_scikit_learns_and_the_labels_alone_on_digits():
    X, classes, y = digits(3)
    known = y >= 0
    base = LogisticRegression(max_iter=1000)
    ours = (lq.CurriculumSelfTraining(base).fit(X, y).transduction_ == classes).mean()
    peer = (SelfTrainingClassifier(base).fit(X, y).predict(X) == classes).mean()
    alone = (base.fit(X[known], y[known]).predict(X) == classes).mean()
    assert ours > max(peer, alone) + 0.02


def test_with_all_samples_labeled_it_is_the_estimator():
    X, classes, _ = digits(3)
    model = lq.CurriculumSelfTraining(n_rounds=3).fit(X, classes)
    alone = LogisticRegression(max_iter=1000).fit(X, classes)
    assert np.array_equal(model.predict_proba(X), alone.predict_proba(X))


def test_sparse_features_and_strings():
    X, classes, y = digits(3)
    names = np.where(y >= 0, np.array([f"digit {c}" for c in classes], dtype=object), None)
    dense = lq.CurriculumSelfTraining(n_rounds=2).fit(X, names)
    model = lq.CurriculumSelfTraining(n_rounds=2).fit(sparse.csr_array(X), names)
    assert (model.transduction_ == dense.transduction_).mean() > 0.99
    assert model.transduction_[0] == "digit 0"


def test_progress_is_shown(capsys):
    lq.CurriculumSelfTraining(verbose=True).fit([[0.0], [1.0], [0.5]], [0, 1, -1])
    assert "rounds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("model", "y", "error", "message"),
    [
        (lq.CurriculumSelfTraining(n_rounds=0), [0, 1, -1], ValueError, "n_rounds is 0"),
        (lq.CurriculumSelfTraining(LinearSVC()), [0, 1, -1], TypeError, "with predict_proba"),
        (lq.CurriculumSelfTraining(), [-1, -1, -1], ValueError, "y holds no label"),
        (lq.CurriculumSelfTraining(), [4, -1, 4], ValueError, "y holds one class only, 4"),
    ],
)
def test_bad_input_is_refused(model, y, error, message):
    with pytest.raises(error, match=message):
        model.fit([[0.0], [1.0], [2.0]], y)
