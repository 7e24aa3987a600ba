"""Partitions that agree with no other one beyond chance, against all permutations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from labelquorum.clustering.ballots import Ballots
from labelquorum.clustering.chance import _deviations, agrees_beyond_chance, counted_weights
from strategies import planted, share


def together(first, second, order):
    n = len(first)
    return sum(
        first[i] == first[j] and second[order[i]] == second[order[j]]
        for i in range(n)
        for j in range(n)
        if i != j
    )


@given(hnp.arrays(np.int32, (5, 2), elements=st.integers(0, 3)))
@share(0.3)
def test_deviations_equal_those_over_all_permutations(rows):
    first, second = rows.T.tolist()
    counts = [together(first, second, order) for order in itertools.permutations(range(5))]
    deviations = _deviations(Ballots.of(list(rows.T), 1), 2)
    if np.std(counts) > 1e-9:
        expected = (counts[0] - np.mean(counts)) / np.std(counts)
        np.testing.assert_allclose(deviations[0, 1], expected, atol=1e-6)


@pytest.mark.parametrize("abstain", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("n_ids", [2, 20, 200])
def test_noise_is_told_from_partitions(abstain, n_ids):
    rng = np.random.default_rng(0)
    good = planted(rng, 2000, 8)
    noise = rng.integers(n_ids, size=(2000, 3))
    noise[rng.random(noise.shape) < abstain] = -1
    columns = list(np.column_stack([good, noise]).T)
    assert agrees_beyond_chance(columns, 1).tolist() == [True] * 8 + [False] * 3
    order = rng.permutation(2000)
    moved = [column[order] for column in columns]
    assert agrees_beyond_chance(moved, 2).tolist() == [True] * 8 + [False] * 3


def test_too_few_samples_say_nothing():
    columns = [np.array(column) for column in ([0, 0, 1, 1], [0, 0, 1, 1], [0, 1, 0, 1])]
    assert agrees_beyond_chance(columns, 1).all()


def test_if_all_are_noise_all_count():
    rng = np.random.default_rng(0)
    assert agrees_beyond_chance(list(rng.integers(5, size=(6, 1000))), 1).all()


@pytest.mark.parametrize(
    "constant, reason",
    [
        (np.zeros(2000, dtype=int), "it puts all samples together"),
        (np.full(2000, 7), "it puts all samples together"),
        (np.full(2000, -1), "it never votes"),
        (-1 - np.arange(2000) % 2, "it never votes"),
    ],
)
@pytest.mark.parametrize("n_good", [1, 8])
def test_a_constant_column_is_reported_and_has_no_weight(constant, reason, n_good):
    good = planted(np.random.default_rng(0), 2000, n_good)
    columns = [constant, *good.T]
    with pytest.warns(UserWarning, match=rf"partitions\[:, 0\] changes nothing: {reason}"):
        weights = counted_weights(columns, np.full(n_good + 1, 2.0), 1)
    assert weights.tolist() == [0] + [2] * n_good


def test_a_rule_of_one_name_that_abstains_is_not_constant():
    good = planted(np.random.default_rng(0), 2000, 8)
    columns = [np.where(good[:, 0] == 0, 0, -1), *good.T]
    assert counted_weights(columns, np.ones(9), 1).tolist() == [1] * 9


def test_columns_of_weight_0_are_not_looked_at():
    good = planted(np.random.default_rng(0), 2000, 8)
    columns = [np.zeros(2000, dtype=int), *good.T]
    weights = np.array([0.0] + [1.0] * 8)
    np.testing.assert_array_equal(counted_weights(columns, weights, 1), weights)
