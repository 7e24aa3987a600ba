"""The best one-to-one matching, against the Hungarian method on the whole table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from labelquorum._shared.matching import best_matching, shared_counts


def check(first, second, shape, weights=None):
    values = shared_counts(first, second, shape, weights)
    table = np.zeros(shape)
    np.add.at(table, (first, second), 1 if weights is None else weights)
    np.testing.assert_allclose(values.toarray(), table)
    rows, columns = best_matching(values)
    assert len(set(rows)) == len(rows)
    assert len(set(columns)) == len(columns)
    best = table[linear_sum_assignment(table, maximize=True)].sum()
    assert table[rows, columns].sum() == pytest.approx(best)
    assert (table[rows, columns] > 0).all()


@given(
    st.integers(0, 60),
    st.integers(1, 25),
    st.integers(1, 25),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_equals_the_matching_of_the_whole_table(n, n_rows, n_columns, weighted, seed):
    rng = np.random.default_rng(seed)
    weights = rng.uniform(0.1, 5, size=n) if weighted else None
    first, second = rng.integers(n_rows, size=n), rng.integers(n_columns, size=n)
    check(first, second, (n_rows, n_columns), weights)


@pytest.mark.parametrize("n", [150, 400, 1500])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_large_part_of_few_values_is_matched_without_a_table(n, weighted):
    rng = np.random.default_rng(n)
    weights = rng.uniform(1e-3, 1e3, size=2 * n) if weighted else None
    check(rng.integers(n, size=2 * n), rng.integers(n + 7, size=2 * n), (n, n + 7), weights)
    check(rng.integers(n + 7, size=2 * n), rng.integers(n, size=2 * n), (n + 7, n), weights)
