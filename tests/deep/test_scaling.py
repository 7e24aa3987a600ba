"""Features have the wanted spread at any scale, and one huge value changes no others."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")
scaling = pytest.importorskip("labelquorum.deep.scaling")

ROWS = np.random.default_rng(0).normal(3, [1, 2, 3], size=(200, 3))


@pytest.mark.parametrize("scale", [1e-310, 1e-200, 1e-30, 1.0, 1e30, 1e149])
def test_features_have_the_same_spread_at_any_scale(scale):
    features = scaling.Scaling.of(ROWS * scale).features(ROWS * scale)
    assert features.dtype == np.float32
    assert features.flags.c_contiguous
    expected = (ROWS - ROWS.mean(axis=0)) * 0.3 / np.sqrt(ROWS.var(axis=0).mean())
    np.testing.assert_allclose(features, expected, atol=1e-5 if scale > 1e-300 else 1e-2)


def test_one_huge_value_changes_no_other_feature():
    huge = ROWS.copy()
    huge[7, 1] = 1e10
    features = scaling.Scaling.of(huge).features(huge)
    plain = scaling.Scaling.of(ROWS).features(ROWS)
    is_same = np.ones(ROWS.shape, dtype=bool)
    is_same[7, 1] = False
    np.testing.assert_allclose(features[is_same], plain[is_same], atol=0.2)
    assert 1 < features[7, 1] < 10


def test_new_samples_far_away_stay_finite():
    made = scaling.Scaling.of(ROWS)
    assert np.abs(made.features(np.full((1, 3), 1e150))).max() < 10


def test_equal_rows_become_zeros():
    made = scaling.Scaling.of(np.full((4, 2), 7.0))
    np.testing.assert_array_equal(made.features(np.full((2, 2), 7.0)), 0)


def test_a_scaling_is_made_again_from_its_facts():
    made = scaling.Scaling.of(ROWS)
    again = scaling.Scaling.of_facts(made.facts(), made.mean)
    np.testing.assert_array_equal(again.features(ROWS), made.features(ROWS))
    with pytest.raises(ValueError, match="factor must be"):
        scaling.Scaling.of_facts(made.facts() | {"factor": -1.0}, made.mean)
