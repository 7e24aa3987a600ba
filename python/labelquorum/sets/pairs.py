"""Pairs of the items of a set: their order, blocks of them, and random draws.

The pairs of n items are in the order of ``numpy.triu_indices(n, 1)``, which SciPy calls condensed.
A pair's position is its index in this order.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Codes = NDArray[np.int32]
Indices = NDArray[np.intp]


def n_pairs_of(n_items: int) -> int:
    """Return the number of pairs of n items."""
    return n_items * (n_items - 1) // 2


def pair_positions(first: Indices, second: Indices, n_items: int) -> Indices:
    """Return the positions of pairs among all pairs of n items; the first item comes first."""
    positions: Indices = first * (2 * n_items - first - 1) // 2 + second - first - 1
    return positions


def pair_blocks(n_items: int, block_size: int) -> Iterator[tuple[slice, Indices, Indices]]:
    """Yield all pairs in blocks of about `block_size`: their positions, first and second items.

    A block holds all pairs of one or more first items, so a block of one first item can be larger.
    """
    begin = row = 0
    while row < n_items - 1:
        end_row = row + 1
        size = n_items - 1 - row
        while end_row < n_items - 1 and size + n_items - 1 - end_row <= block_size:
            size += n_items - 1 - end_row
            end_row += 1
        lengths = np.arange(n_items - 1 - row, n_items - 1 - end_row, -1)
        first = np.repeat(np.arange(row, end_row), lengths)
        starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
        second = np.arange(size) - starts + first + 1
        yield slice(begin, begin + size), first, second
        begin, row = begin + size, end_row


class DrawnPairs(NamedTuple):
    """Pairs of a set to learn from."""

    first: Indices  # items; each comes before the second
    second: Indices
    is_same: NDArray[np.bool_]  # whether both are of one cluster
    weights: NDArray[np.float64]  # sum to 1; if there are both kinds, each kind sums to 1/2


def draw_pairs(clusters: Codes, n_pairs: int, rng: np.random.Generator) -> DrawnPairs:
    """Draw up to `n_pairs` pairs of items with known clusters, half of one cluster if possible."""
    known = np.flatnonzero(clusters >= 0)
    first, second = (known[items] for items in np.triu_indices(len(known), 1))
    is_same = clusters[first] == clusters[second]
    same, different = np.flatnonzero(is_same), np.flatnonzero(~is_same)
    n_same = min(len(same), max(n_pairs // 2, n_pairs - len(different)))
    n_different = min(len(different), n_pairs - n_same)
    chosen = np.concatenate(
        [
            rng.choice(same, n_same, replace=False),
            rng.choice(different, n_different, replace=False),
        ]
    )
    sizes = [n_same, n_different]
    n_kinds = max(1, sum(n > 0 for n in sizes))
    weights = np.concatenate([np.full(n, 1 / (n_kinds * max(1, n))) for n in sizes])
    return DrawnPairs(first[chosen], second[chosen], is_same[chosen], weights)
