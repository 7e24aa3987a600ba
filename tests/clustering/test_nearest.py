"""New rows by their nearest training rows: shares, distances and p-values."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from labelquorum.clustering.nearest import nearest_to, p_values, usual_distances
from strategies import share


@share(0.5)
@given(n=st.integers(1, 30), n_new=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_shares_and_distances_are_those_of_the_nearest_rows(n, n_new, seed):
    rng = np.random.default_rng(seed)
    training, new = rng.normal(size=(n, 3)), rng.normal(size=(n_new, 3))
    new[0] = training[-1]
    shares = rng.dirichlet(np.ones(4), size=n).astype(np.float32)
    found = nearest_to(new, training, lambda rows: shares[rows], n_threads=1)
    between = np.linalg.norm(new[:, None] - training, axis=2)
    order = np.argsort(between, axis=1)
    expected = shares[order[:, :10]].mean(axis=1)
    expected[0] = shares[-1]
    np.testing.assert_allclose(found.shares, expected, rtol=1e-5)
    np.testing.assert_allclose(found.distances, np.sort(between)[:, :5].mean(axis=1), atol=1e-9)
    within = np.linalg.norm(training[:, None] - training, axis=2)
    np.fill_diagonal(within, np.inf)
    usual = np.sort(np.sort(within)[:, : min(5, n - 1)].mean(axis=1)) if n > 1 else np.zeros(1)
    np.testing.assert_allclose(usual_distances(np.arange(n), training, 1), usual, atol=1e-9)


@given(usual=st.lists(st.integers(0, 9)), distances=st.lists(st.integers(0, 9), min_size=1))
def test_p_values_count_usual_distances_that_are_as_large(usual, distances):
    expected = [(1 + sum(u >= d for u in usual)) / (1 + len(usual)) for d in distances]
    found = p_values(np.array(distances, dtype=float), np.sort(np.array(usual, dtype=float)))
    np.testing.assert_allclose(found, expected)
