"""Which answers are given: the bounds hold, and nothing leaks from a label to its own sample."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import labelquorum as lq
from labelquorum.clustering.rejection import Trial, expected_calibration_error
from strategies import share

ERROR = 0.05


def trial(scores, right, unseen_score=-np.inf):
    return Trial(1.0, scores, right, unseen_score, np.zeros(1), 0.0)


def least_score(of, level):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "predict rejects all samples", UserWarning)
        return of.least_score(level)


@share(0.5)
@given(
    n=st.integers(1, 400), seed=st.integers(0, 2**32 - 1), level=st.sampled_from([0.02, 0.1, 0.3])
)
def test_answers_have_an_upper_bound_on_the_wrong_ones_that_keeps_the_level(n, seed, level):
    rng = np.random.default_rng(seed)
    scores = rng.random(n).round(2)
    right = rng.random(n) < scores ** rng.choice([0.01, 0.1, 1])
    least = least_score(trial(scores, right), level)
    is_answer = scores >= least
    if is_answer.any():
        n_wrong = np.count_nonzero(is_answer & ~right)
        most_wrong = (
            stats.beta.ppf(1 - ERROR * 4 / 5, n_wrong + 1, n - n_wrong) if n_wrong < n else 1
        )
        assert most_wrong * n <= level * is_answer.sum() * (1 + 1e-9)
    unseen = float(rng.choice(scores))
    assert least_score(trial(scores, right, unseen), level) == max(least, np.nextafter(unseen, 2))


@pytest.mark.parametrize("level", [0.05, 0.1])
@pytest.mark.parametrize("n", [100, 3000])
def test_new_answers_keep_the_level_as_often_as_promised(n, level):
    rng = np.random.default_rng(0)
    new = rng.random(100_000)
    n_draws, n_misses, shares = 200, 0, []
    for _ in range(n_draws):
        scores = rng.random(n)
        least = least_score(trial(scores, rng.random(n) < np.sqrt(scores)), level)
        answered = new[new >= least]
        if len(answered):
            shares.append((1 - np.sqrt(answered)).mean())
            n_misses += shares[-1] > level
    assert n_misses <= stats.binom.isf(1e-4, n_draws, ERROR)
    if n == 3000:
        assert len(shares) > n_draws / 4
        assert level / 2 < np.mean(shares) < level


@pytest.mark.parametrize(("level", "n_needed"), [(0.05, 63), (0.1, 31)])
def test_too_few_labels_reject_all_with_a_warning(level, n_needed):
    right = np.ones(n_needed, dtype=bool)
    assert trial(np.ones(n_needed), right).least_score(level) == 1
    message = f"of {n_needed - 1} samples .*, {n_needed - 1} are .* takes {n_needed} such samples"
    with pytest.warns(UserWarning, match=message):
        assert trial(np.ones(n_needed - 1), right[1:]).least_score(level) == np.inf
    with pytest.warns(UserWarning, match="predict rejects all samples"):
        assert trial(np.ones(n_needed), ~right).least_score(level) == np.inf


@given(n=st.integers(1, 50), seed=st.integers(0, 2**32 - 1))
def test_the_calibration_error_weights_bins_by_their_answers(n, seed):
    rng = np.random.default_rng(seed)
    probabilities, right = rng.random(n), rng.random(n) < 0.5
    expected = 0.0
    for k in range(10):
        is_in = (probabilities >= k / 10) & (probabilities < (k + 1) / 10)
        if is_in.any():
            expected += is_in.sum() * abs(probabilities[is_in].mean() - right[is_in].mean()) / n
    assert expected_calibration_error(probabilities, right) == pytest.approx(expected)
    stated = np.append(probabilities, np.nan)
    assert expected_calibration_error(stated, np.append(right, False)) == pytest.approx(expected)
    assert np.isnan(expected_calibration_error(np.array([np.nan]), right[:1]))


@pytest.mark.parametrize("kind", ["all labeled", "some labeled", "copies", "groups"])
def test_labels_without_meaning_promise_nothing(kind):
    """Many columns of noise let any labels shape the rows, and neighbors share what is forced."""
    rng = np.random.default_rng(0)
    n = 300
    X, y, groups = rng.normal(size=(n, 60)), rng.integers(3, size=n), None
    if kind == "some labeled":
        y = np.where(rng.random(n) < 0.5, y, -1)
    if kind == "copies":
        X, y = np.repeat(X, 2, axis=0), np.repeat(y, 2)
    if kind == "groups":
        groups = np.repeat(np.arange(n), 2)
        X, y = np.repeat(X, 2, axis=0) + rng.normal(scale=0.01, size=(2 * n, 60)), np.repeat(y, 2)
    model = lq.ConsensusClusterer(3, n_partitions=4, random_state=0).fit(X, y, groups=groups)
    with pytest.warns(UserWarning, match="predict rejects all samples") as warned:
        assert set(model.predict(X[:50], reject_level=0.1)) == {-1}
    words = str(warned[0].message).split()
    n_judged, n_right = [int(word) for word in words if word.isdigit()][:2]
    assert n_right < 0.5 * n_judged
    assert model.predict_proba(rng.normal(size=(50, 60))).max(axis=1).mean() < 0.6


def test_probabilities_are_better_calibrated_than_shares(digits):
    X, classes = digits
    rng = np.random.default_rng(0)
    training = rng.random(len(X)) < 0.6
    y = np.where(rng.random(len(X)) < 0.3, classes, -1)[training]
    model = lq.ConsensusClusterer(10, n_partitions=8, random_state=0).fit(X[training], y)
    probabilities = model.predict_proba(X[~training])
    right = probabilities.argmax(axis=1) == classes[~training]
    error = expected_calibration_error(probabilities.max(axis=1), right)
    assert error < 0.04
    assert abs(error - model.calibration_error_) < 0.03
