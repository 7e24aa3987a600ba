"""Pairs of items: their order, blocks and draws."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from labelquorum.sets.pairs import draw_pairs, pair_blocks, pair_positions
from strategies import share


@given(st.integers(1, 12), st.integers(1, 30))
@share(0.5)
def test_blocks_hold_all_pairs_in_order(n, block_size):
    blocks = list(pair_blocks(n, block_size))
    if n == 1:
        assert not blocks
        return
    first, second = np.triu_indices(n, 1)
    items = [np.concatenate(parts) for parts in zip(*(block[1:] for block in blocks), strict=True)]
    np.testing.assert_array_equal(items, [first, second])
    np.testing.assert_array_equal(pair_positions(first, second, n), np.arange(len(first)))
    positions = np.concatenate([np.arange(len(first))[block[0]] for block in blocks])
    np.testing.assert_array_equal(positions, np.arange(len(first)))
    assert all(len(block[1]) <= max(block_size, n - 1) for block in blocks)


@given(
    st.lists(st.integers(-1, 3), min_size=1, max_size=12),
    st.integers(2, 40),
    st.integers(0, 2**32 - 1),
)
@share(0.5)
def test_drawn_pairs_are_balanced(labels, n_pairs, seed):
    clusters = np.array(labels, dtype=np.int32)
    drawn = draw_pairs(clusters, n_pairs, np.random.default_rng(seed))
    assert (clusters[drawn.first] >= 0).all()
    assert (drawn.first < drawn.second).all()
    assert len(set(zip(drawn.first, drawn.second, strict=True))) == len(drawn.first)
    np.testing.assert_array_equal(clusters[drawn.first] == clusters[drawn.second], drawn.is_same)
    known = clusters[clusters >= 0]
    n_known = len(known) * (len(known) - 1) // 2
    n_same = sum(n * (n - 1) // 2 for n in np.bincount(known))
    assert len(drawn.is_same) == min(n_pairs, n_known)
    assert drawn.is_same.sum() >= min(n_same, n_pairs // 2)
    assert (~drawn.is_same).sum() >= min(n_known - n_same, n_pairs // 2)
    sums = [drawn.weights[drawn.is_same == kind].sum() for kind in np.unique(drawn.is_same)]
    np.testing.assert_allclose(sums, 1 / max(1, len(sums)))
