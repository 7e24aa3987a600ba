"""Draws with given chances and a fixed size."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from labelquorum.quality.pivotal import pivotal_draw, spread_draw


@given(data=st.data())
def test_the_number_of_items_drawn_is_the_sum_of_the_chances(data):
    whole = data.draw(st.integers(1, 50))
    chances = data.draw(st.lists(st.integers(0, whole), min_size=1, max_size=20))
    chances.append(-sum(chances) % whole)
    random = np.random.RandomState(data.draw(st.integers(0, 1000)))
    drawn = pivotal_draw(chances, whole, random)
    assert drawn.sum() * whole == sum(chances)
    assert not drawn[np.array(chances) == 0].any()
    assert drawn[np.array(chances) == whole].all()


def test_each_item_is_drawn_as_often_as_its_chance_says():
    chances, whole, n_draws = [1, 3, 2, 4, 0, 5, 3], 6, 6000
    random = np.random.RandomState(0)
    counts = sum(pivotal_draw(chances, whole, random).astype(int) for _ in range(n_draws))
    expected = np.array(chances) / whole
    deviation = np.sqrt(n_draws * expected * (1 - expected))
    assert (abs(counts - n_draws * expected) <= 4.5 * deviation).all()


@given(n=st.integers(1, 60), data=st.data())
def test_a_spread_draw_has_at_most_one_sample_of_each_block(n, data):
    n_drawn = data.draw(st.integers(1, n))
    random = np.random.RandomState(data.draw(st.integers(0, 1000)))
    samples = np.arange(100, 100 + n)
    spread = spread_draw(samples, n_drawn, random)
    assert len(spread) == n_drawn
    blocks = (spread - 100) // (n // n_drawn)
    assert (np.diff(blocks) > 0).all()
