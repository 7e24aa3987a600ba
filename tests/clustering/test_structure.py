"""Noise has no structure, clusters have one, and the local dimension is estimated."""

from __future__ import annotations

import numpy as np
import pytest

from labelquorum.clustering.structure import has_structure, local_dimension


@pytest.mark.parametrize("n_dimensions", [1, 2, 5])
@pytest.mark.parametrize("n_columns", [8, 40])
def test_the_local_dimension_does_not_depend_on_columns(n_dimensions, n_columns):
    rng = np.random.default_rng(0)
    X = (
        rng.random((1000, n_dimensions))
        @ np.linalg.qr(rng.normal(size=(n_columns, n_dimensions)))[0].T
    )
    assert local_dimension(X, 1) == pytest.approx(n_dimensions, rel=0.25)


def test_few_rows_have_a_dimension():
    assert local_dimension(np.array([[0.0], [1.0], [3.0]]), 1) >= 0


def largest_gap(rows):
    """A score: the largest gap between neighboring values, in standard deviations."""
    values = np.sort(rows[:, 0])
    return float(np.diff(values).max() / values.std())


def test_rows_have_structure_if_they_score_higher_than_noise():
    rng = np.random.default_rng(0)
    noise = rng.random((500, 1))
    assert not has_structure(noise, largest_gap, np.random.RandomState(0), 1)
    apart = noise + 2 * (noise > 0.5)
    assert has_structure(apart, largest_gap, np.random.RandomState(0), 1)


def test_noise_is_rarely_said_to_have_structure():
    rng = np.random.default_rng(0)
    found = [
        has_structure(rng.random((200, 1)), largest_gap, np.random.RandomState(i), 1)
        for i in range(100)
    ]
    assert np.mean(found) <= 0.05
