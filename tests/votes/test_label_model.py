"""LabelModel against expectation maximization in plain Python, and what it must not depend on."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.base import clone

import labelquorum as lq
from strategies import share

METHODS = ["shrunken", "dawid-skene", "one-coin"]
STRENGTHS = {"shrunken": 20, "dawid-skene": 1, "one-coin": 1e9}


def naive_shares(rows, n_names, method, n_iter):
    """Expectation maximization, vote by vote."""
    n_voters, names = len(rows[0]), range(n_names)
    shares = []
    for row in rows:
        counts = [0.01 / n_names + sum(vote == k for vote in row) for k in names]
        shares.append([count / sum(counts) for count in counts])
    used = [{row[j] for row in rows} - {-1} for j in range(n_voters)]
    few = [method != "dawid-skene" and 0 < 2 * len(of_voter) <= n_names for of_voter in used]
    for _ in range(n_iter):
        sizes = [sum(of[k] for of in shares) for k in names]
        prior = [(size + 1) / (len(rows) + n_names) for size in sizes]
        voters, rates = [], []
        for j in range(n_voters):
            said = [
                [
                    sum(of[k] for of, row in zip(shares, rows, strict=True) if row[j] == v)
                    for v in names
                ]
                for k in names
            ]
            right = sum(said[k][k] for k in names)
            reliability = (right + 1.4) / (sum(map(sum, said)) + 2)
            wrong = [sum(said[k][v] for k in names if k != v) + 1 / n_names for v in names]
            matrix = []
            for k in names:
                others = sum(wrong[v] for v in names if v != k)
                simple = [
                    reliability if v == k else (1 - reliability) * wrong[v] / others for v in names
                ]
                if method == "dawid-skene":
                    simple = [1 / n_names] * n_names
                counts = [said[k][v] + STRENGTHS[method] * simple[v] for v in names]
                matrix.append([count / sum(counts) for count in counts])
            voters.append(matrix)
            voted = [row[j] >= 0 for row in rows]
            usual = 20 * sum(voted) / len(rows)
            rates.append(
                [
                    (sum(of[k] for of, v in zip(shares, voted, strict=True) if v) + usual)
                    / (sizes[k] + 20)
                    for k in names
                ]
            )
        shares = []
        for row in rows:
            logs = [math.log(prior[k]) for k in names]
            for j, vote in enumerate(row):
                for k in names:
                    if vote >= 0:
                        logs[k] += math.log(max(voters[j][k][vote], 1e-9))
                    if few[j]:
                        rate = min(max(rates[j][k], 1e-9), 1 - 1e-9)
                        logs[k] += math.log(rate if vote >= 0 else 1 - rate)
            weights = [math.exp(log - max(logs)) for log in logs]
            shares.append([weight / sum(weights) for weight in weights])
    return shares


@st.composite
def ballots(draw, max_rows=30):
    """Draw votes: integers, -1 for an abstention; each voter votes, and there are two names."""
    shape = (draw(st.integers(2, max_rows)), draw(st.integers(1, 4)))
    rows = draw(hnp.arrays(np.int64, shape, elements=st.integers(-1, draw(st.integers(1, 4)))))
    rows[0], rows[1, 0] = 0, 1
    return rows


@given(ballots(), st.sampled_from(METHODS), st.integers(1, 4))
@share(0.5)
def test_probabilities_equal_those_of_a_loop_over_votes(rows, method, n_iter):
    model = lq.LabelModel(method, max_iter=n_iter, tol=0).fit(rows)
    codes = np.unique(rows[rows >= 0], return_inverse=True)[1]
    numbered = rows.copy()
    numbered[rows >= 0] = codes
    expected = naive_shares(numbered.tolist(), len(model.classes_), method, model.n_iter_)
    np.testing.assert_allclose(model.probabilities_, expected, rtol=1e-6, atol=1e-9)


@given(ballots(), st.sampled_from(METHODS), st.randoms(use_true_random=False))
@share(0.3)
def test_neither_the_order_of_rows_nor_of_voters_matters(rows, method, random):
    samples, voters = list(range(len(rows))), list(range(rows.shape[1]))
    random.shuffle(samples)
    random.shuffle(voters)
    model = lq.LabelModel(method, max_iter=5).fit(rows)
    other = lq.LabelModel(method, max_iter=5).fit(rows[samples][:, voters])
    np.testing.assert_allclose(other.probabilities_, model.probabilities_[samples], atol=1e-7)
    np.testing.assert_allclose(other.reliability_, model.reliability_[voters], atol=1e-7)


@given(ballots())
@share(0.3)
def test_samples_without_votes_have_no_label(rows):
    rows[-1] = -1
    model = lq.LabelModel().fit(rows)
    assert ((model.labels_ < 0) == (rows < 0).all(axis=1)).all()
    np.testing.assert_allclose(model.probabilities_.sum(axis=1), 1)
    np.testing.assert_allclose(model.confusion_.sum(axis=2), 1)


def voters_of(truth, accuracies, n_names, rng):
    columns = []
    for accuracy in accuracies:
        wrong = (truth + rng.integers(1, n_names, size=len(truth))) % n_names
        columns.append(np.where(rng.random(len(truth)) < accuracy, truth, wrong))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("method", METHODS)
def test_reliability_is_found_and_used(method):
    rng = np.random.default_rng(0)
    accuracies = [0.9, 0.8, 0.5, 0.4, 0.3]
    truth = rng.integers(5, size=3000)
    rows = voters_of(truth, accuracies, 5, rng)
    model = lq.LabelModel(method).fit(rows)
    np.testing.assert_allclose(model.reliability_, accuracies, atol=0.03)
    majority = np.array([np.bincount(row, minlength=5).argmax() for row in rows])
    assert (model.labels_ == truth).mean() > (majority == truth).mean() + 0.05


def test_rules_of_one_name_also_vote_by_abstaining():
    rng = np.random.default_rng(0)
    truth = rng.integers(8, size=3000)
    columns = []
    for j in range(24):
        hits = np.where(truth == j % 8, rng.uniform(0.2, 0.6), rng.uniform(0, 0.05))
        columns.append(np.where(rng.random(3000) < hits, j % 8, -1))
    rows = np.stack(columns, axis=1)
    voted = (rows >= 0).any(axis=1)
    accuracy = {
        method: (lq.LabelModel(method).fit(rows).labels_ == truth)[voted].mean()
        for method in METHODS
    }
    assert accuracy["shrunken"] > 0.7 > accuracy["dawid-skene"]


def test_few_votes_for_each_voter_are_no_trouble():
    rng = np.random.default_rng(0)
    truth = rng.integers(10, size=2000)
    rows = voters_of(truth, rng.uniform(0.3, 0.95, size=30), 10, rng)
    rows[rng.random(rows.shape).argsort(axis=1).argsort(axis=1) >= 2] = -1
    accuracy = {
        method: (lq.LabelModel(method).fit_predict(rows) == truth).mean() for method in METHODS
    }
    assert accuracy["shrunken"] > accuracy["dawid-skene"] + 0.03


def test_names_survive_and_new_samples_are_predicted():
    votes = [["refund", "refund", None, "login"], ["refund", None, None, "login"]]
    model = lq.LabelModel().fit(votes)
    assert model.labels_.tolist() == ["refund", "refund", None, "login"]
    assert model.classes_.tolist() == ["login", "refund"]
    np.testing.assert_allclose(model.predict_proba(votes), model.probabilities_, atol=1e-3)
    assert model.predict([["login", "unheard"], ["login", None]]).tolist() == ["login", None]
    again = pickle.loads(pickle.dumps(model))
    assert again.predict(votes).tolist() == model.labels_.tolist()
    assert clone(model).get_params() == model.get_params()


def test_all_forms_of_votes_are_the_same():
    pd = pytest.importorskip("pandas")
    columns = {"a": ["x", "y", None, "x"], "b": ["x", None, "y", "y"]}
    expected = lq.LabelModel().fit(list(columns.values())).probabilities_
    for votes in (
        pd.DataFrame(columns),
        [pd.Series(column) for column in columns.values()],
        lq.combine_votes(list(columns.values())),
        np.array(list(columns.values()), dtype=object).T,
    ):
        np.testing.assert_array_equal(lq.LabelModel().fit(votes).probabilities_, expected)


def test_a_voter_that_never_votes_is_reported():
    with pytest.warns(UserWarning, match="voter 1 changes nothing: it never votes"):
        model = lq.LabelModel().fit([["a", "b"], [None, None]])
    assert np.isnan(model.reliability_).tolist() == [False, True]


@pytest.mark.parametrize(
    "parameters, votes, error, message",
    [
        ({"method": "snorkel"}, [["a"]], ValueError, "method must be"),
        ({"max_iter": 0}, [["a"]], ValueError, "max_iter must be"),
        ({"tol": -1.0}, [["a"]], ValueError, "tol must be"),
        ({}, [[None, None]], ValueError, "votes must hold at least one vote, got only abstentions"),
        ({}, [[0.5, 1.5]], TypeError, r"votes\[0\] must hold"),
    ],
)
def test_bad_input_is_refused(parameters, votes, error, message):
    with pytest.raises(error, match=message):
        lq.LabelModel(**parameters).fit(votes)


def test_other_samples_need_the_same_voters():
    model = lq.LabelModel().fit([["a", "b"], ["a", "b"]])
    with pytest.raises(ValueError, match="votes must have 2 voters, as in fit, got 1"):
        model.predict([["a", "b"]])
