"""Features of pairs that see the whole set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import squareform

from labelquorum.sets.context import N_CONTEXT, pair_context


def matrices(features):
    """Return the symmetric matrix of each column of the context."""
    return np.array([squareform(column) for column in pair_context(features).T])


@given(
    n=st.integers(2, 12),
    n_distinct=st.integers(1, 12),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    seed=st.integers(0, 1000),
)
def test_another_order_gives_the_same_features_even_with_duplicates(n, n_distinct, scale, seed):
    rng = np.random.default_rng(seed)
    distinct = scale * rng.integers(-2, 3, size=(n_distinct, 4)).astype(np.float32)
    features = distinct[rng.integers(n_distinct, size=n)]
    order = rng.permutation(n)
    of_set, reordered = matrices(features), matrices(features[order])
    assert np.isfinite(of_set).all()
    atol = 1e-4 * max(1, scale)
    np.testing.assert_allclose(of_set[:, order][:, :, order], reordered, rtol=1e-4, atol=atol)


@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_sets_of_any_size_have_the_same_columns(n):
    features = np.random.default_rng(0).normal(size=(n, 3))
    context = pair_context(features)
    assert context.shape == (n * (n - 1) // 2, N_CONTEXT)
    assert context.dtype == np.float32
    assert np.isfinite(context).all()


@pytest.mark.parametrize("value", [0.0, 1.0, 1e18])
def test_equal_items_have_finite_features(value):
    assert np.isfinite(pair_context(np.full((6, 4), value))).all()


def test_ranks_count_the_nearer_items():
    features = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.5], [-3.0, -0.6]])
    smaller, larger = (np.expm1(squareform(column)) for column in pair_context(features).T[3:5])
    assert smaller[0, 1] == larger[0, 1] == 0  # each is the other's nearest
    assert larger[0, 3] == 2  # two others are nearer to the first one
