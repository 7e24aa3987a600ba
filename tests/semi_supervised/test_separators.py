"""Separators of two classes: objectives against plain sums, shares to try, plausible separators."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.optimize import check_grad

from labelquorum.semi_supervised.separators import (
    Attempt,
    Problem,
    Separator,
    best_separator,
    clearly_helps,
    random_start,
    samples_of,
    semi_supervised_objective,
    shares_to_try,
    supervised_objective,
    supervised_separator,
)
from strategies import share


@st.composite
def problems(draw):
    """Draw features, dense or sparse, labels of some samples, weights, balance and costs."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, d = draw(st.integers(2, 20)), draw(st.integers(1, 6))
    features = rng.normal(size=(n, d)) * (rng.random((n, d)) < 0.7)
    n_labeled = draw(st.integers(1, n))
    labeled = np.sort(rng.choice(n, n_labeled, replace=False))
    signs = rng.choice([-1.0, 1.0], n_labeled)
    w = rng.normal(size=d)
    form = sparse.csr_array if draw(st.booleans()) else np.asarray
    return form(features), labeled, signs, w, rng.uniform(-1, 1), rng.uniform(0.1, 9, 2)


@share(0.5)
@given(problems())
def test_the_supervised_objective_is_its_sum_and_has_its_gradient(problem):
    features, labeled, signs, w, b, (C, _) = problem
    rows = features[labeled]
    value, _ = supervised_objective(np.append(w, b), rows, signs, C)
    dense = rows.toarray() if sparse.issparse(rows) else rows
    plain = (w @ w + b * b) / 2
    for x, sign in zip(dense, signs, strict=True):
        plain += C * max(0, 1 - sign * (x @ w + b)) ** 2
    assert value == pytest.approx(plain)
    at = np.append(w, b)
    scale = 1 + np.abs(supervised_objective(at, rows, signs, C)[1]).max()
    assert gradient_error(supervised_objective, at, rows, signs, C) < 1e-5 * scale


@share(0.5)
@given(problems())
def test_the_semi_supervised_objective_is_its_sum_and_has_its_gradient(problem):
    features, labeled, signs, w, balance, (C, C_unlabeled) = problem
    samples = samples_of(features, labeled)
    args = samples, signs, balance, C, C_unlabeled
    value, gradient = semi_supervised_objective(w, *args)
    dense = features.toarray() if sparse.issparse(features) else features
    sign_of = dict(zip(labeled.tolist(), signs, strict=True))
    rest = [x for i, x in enumerate(dense) if i not in sign_of]
    mean = sum(rest) / len(rest) if rest else np.zeros(len(w))
    plain = w @ w / 2
    for i, x in enumerate(dense):
        f = (x - mean) @ w + balance
        if i in sign_of:
            plain += C * max(0, 1 - sign_of[i] * f) ** 2
        else:
            plain += C_unlabeled * np.exp(-3 * f**2)
    assert value == pytest.approx(plain)
    scale = 1 + np.abs(gradient).max()
    assert gradient_error(semi_supervised_objective, w, *args) < 1e-5 * scale


def gradient_error(objective, at, *args):
    return check_grad(lambda p: objective(p, *args)[0], lambda p: objective(p, *args)[1], at)


def test_shares_to_try_are_wilson_bounds_that_differ():
    assert shares_to_try(0.5, 10, 2) == pytest.approx([0.5, 0.349, 0.651, 0.232, 0.768], abs=1e-3)
    assert shares_to_try(0.3, 10_000, 2) == [0.3]
    assert all(0 < s < 1 for s in shares_to_try(0.01, 100, 2))


def test_only_plausible_separators_count_against_the_best():
    samples = samples_of(np.linspace(-1, 1, 101)[:, None], np.array([0]))

    def cut(position, relative_cost):
        return Separator(np.array([1.0]), -position, relative_cost)

    best, supervised = cut(0.0, 1.0), cut(0.5, 0.0)
    assert clearly_helps(best, [best, cut(0.2, 1.2), cut(0.5, 1.3)], supervised, samples)
    assert not clearly_helps(best, [best, cut(0.3, 1.2)], supervised, samples)
    assert clearly_helps(supervised, [supervised, best], supervised, samples)  # no difference


def two_groups():
    """100 samples around -3 and around 3, one label each."""
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(-3, 0.5, 50), rng.normal(3, 0.5, 50)])[:, None]
    signs = np.array([-1.0, 1.0])
    supervised = supervised_separator(features[[0, 99]], signs, 1.0)
    attempts = [Attempt(0.5, supervised.weights, is_gradual=True)]
    return Problem(samples_of(features, np.array([0, 99])), signs, supervised, attempts)


@pytest.mark.parametrize("seed", [None, 0])
def test_the_best_separator_lies_between_the_groups(seed):
    problem = two_groups()
    separator, used_unlabeled = best_separator(problem, 1.0, 1.0, seed)
    assert used_unlabeled
    values = problem.samples.features @ separator.weights + separator.intercept
    assert (values[:50] < -1).all()
    assert (values[50:] > 1).all()


def test_without_attempts_the_supervised_separator_stays():
    problem = two_groups()._replace(attempts=[])
    assert best_separator(problem, 1.0, 1.0, None) == (problem.supervised, False)


def test_random_starts_have_values_of_variance_1():
    samples = two_groups().samples
    for seed in range(5):
        start = random_start(samples, np.random.RandomState(seed))
        assert (samples.features @ start).std() == pytest.approx(1)
    same = samples_of(np.ones((4, 2)), np.array([0]))
    assert np.isfinite(random_start(same, np.random.RandomState(0))).all()
