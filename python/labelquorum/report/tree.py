"""The merge tree: which categories join first, and where the layers with fewer categories lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_WIDTH, _ROW_HEIGHT = 1000, 10  # units of the picture
_MARGIN = 0.12  # of the room between two layers


class LayerLine(NamedTuple):
    """Where a layer cuts the tree."""

    n_categories: int
    percent: float
    """From the left, of the width of the picture."""


class MergeTree(NamedTuple):
    """A tree of categories: leaves on the right, one per row, the root on the left."""

    order: list[int]
    """The category of each row."""
    path: str
    """The lines, as an SVG path."""
    width: int
    height: int
    layers: list[LayerLine]


def merge_tree(
    agreement: NDArray[np.float64], coarser: Sequence[NDArray[np.intp]], n_of_layer: Sequence[int]
) -> MergeTree:
    """Link categories by how often the partitions put them together, layer by layer.

    Parameters
    ----------
    agreement : array of shape (n_categories, n_categories)
        The share of votes that put samples of two categories together. NaN for no votes.
    coarser : sequence of int arrays of shape (n_categories,)
        The group of each category in layers with fewer categories, the finest first. What a layer
        has together joins before anything else does.
    n_of_layer : sequence of int
        The number of categories of each of these layers.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    n, n_bands = len(agreement), len(coarser) + 1
    together = np.nan_to_num(agreement)
    bands = np.full((n, n), n_bands - 1)
    for band, group in reversed([*enumerate(coarser)]):
        bands[group[:, None] == group] = band
    distances = bands + 0.999 * (1 - together)
    np.fill_diagonal(distances, 0)
    links = linkage(squareform(distances, checks=False), "average", optimal_ordering=True)
    order = leaves_list(links)
    heights = _spread(links[:, 2], n_bands)

    x = np.concatenate([np.full(n, _WIDTH), _WIDTH * (1 - heights / n_bands)])
    y = np.empty(2 * n - 1)
    y[order] = _ROW_HEIGHT * (np.arange(n) + 0.5)
    parts = []
    for i, (a, b) in enumerate(links[:, :2].astype(int).tolist()):
        y[n + i] = (y[a] + y[b]) / 2
        parts.append(f"M{x[a]:.0f} {y[a]:.1f}H{x[n + i]:.0f}V{y[b]:.1f}H{x[b]:.0f}")
    lines = [
        LayerLine(n_categories, 100 * (1 - (band + 1) / n_bands))
        for band, n_categories in enumerate(n_of_layer)
    ]
    return MergeTree(order.tolist(), "".join(parts), _WIDTH, _ROW_HEIGHT * n, lines)


def _spread(heights: NDArray[np.float64], n_bands: int) -> NDArray[np.float64]:
    """Use the whole room between two layers for the links in it."""
    result = heights.copy()
    bands = np.minimum(heights.astype(int), n_bands - 1)
    for band in np.unique(bands):
        of_band = heights[bands == band]
        low, high = of_band.min(), of_band.max()
        share = (of_band - low) / (high - low) if high > low else np.full(len(of_band), 0.5)
        result[bands == band] = band + _MARGIN + (1 - 2 * _MARGIN) * share
    return result
