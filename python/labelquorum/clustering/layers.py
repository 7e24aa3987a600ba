"""Layers: nested partitions of the samples around the chosen one, for a person to choose from.

The chosen partition is one of at most five. The others have the numbers of clusters that persist
longest in the tree of the consensus: one from a quarter to half as many as chosen, one from half to
four fifths, one from five fourths to twice, and one from twice to four times as many. Coarser
layers join whole clusters of the next finer one, finer layers split them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.sealed import check_stored
from labelquorum._shared.tables import named_table
from labelquorum.clustering.ballots import Float64Array, Integers
from labelquorum.clustering.consensus import ConsensusTree
from labelquorum.clustering.outcome import Categories

if TYPE_CHECKING:
    import pandas as pd

Int32Array = NDArray[np.int32]

_COARSER = (
    (0.25, 0.5),
    (0.5, 0.8),
)  # from the lower (excluded) to the upper one, per chosen number
_FINER = ((1.25, 2.0), (2.0, 4.0))  # from the lower to the upper one (excluded)


@dataclass(frozen=True, eq=False)
class Layers:
    """Nested partitions of the samples, finest first."""

    numbers: list[Int32Array]
    """(n_samples,) each: the category of each sample, known ones first, then by decreasing size; -1
    without votes."""
    persistence: Float64Array
    """(n_layers,): see `ConsensusTree.persistence`."""
    chosen: int
    """Which layer the fit chose."""

    def __check_saved__(self) -> None:
        """Raise ValueError unless all parts fit together."""
        n = len(self.numbers[0])
        for numbers in self.numbers:
            check_stored(numbers, "numbers", np.int32, (n,), (-1, n - 1))
        check_stored(self.persistence, "persistence", np.float64, (len(self.numbers),))
        check_stored(self.chosen, "chosen", np.int64, (), (0, len(self.numbers) - 1))

    def of_size(self, n_clusters: int) -> Int32Array | None:
        """Return the layer with this number of clusters, or None."""
        for numbers in self.numbers:
            if numbers.max(initial=-1) + 1 == n_clusters:
                return numbers
        return None

    def table(self) -> pd.DataFrame | NDArray[np.void]:
        """Make the table of the layers, with a row for each; see `layers_table_`."""
        sizes = [np.bincount(numbers[numbers >= 0], minlength=1) for numbers in self.numbers]
        columns = {
            "n_clusters": np.array([len(of_layer) for of_layer in sizes]),
            "persistence": self.persistence,
            "smallest": np.array([of_layer.min() for of_layer in sizes]),
            "median": np.array([np.median(of_layer) for of_layer in sizes]),
            "largest": np.array([of_layer.max() for of_layer in sizes]),
            "chosen": np.arange(len(sizes)) == self.chosen,
        }
        return named_table("layer", np.arange(len(sizes)), columns)


def layers_of(
    tree: ConsensusTree,
    chosen: Categories,
    cut: Callable[[int], Categories],
    n_known: int,
    min_size: int,
) -> Layers:
    """Make the layers around a partition.

    Parameters
    ----------
    tree : ConsensusTree
        Says which numbers of clusters persist.
    chosen : Categories
        The partition.
    cut : callable
        Returns the categories for a number of clusters, with rows like those of `chosen`.
    n_known : int
        Number of known categories, which all layers keep.
    min_size : int
        The smallest number of samples of a new category.
    """
    persistence = tree.persistence()
    n_chosen = chosen.n_categories
    layers = [chosen.numbers]
    for low, high in reversed(_COARSER):
        wanted = _most_persistent(persistence, int(low * n_chosen) + 1, int(high * n_chosen))
        if wanted is not None and wanted >= n_known:
            coarser = _joined(layers[-1], cut(wanted).numbers, n_known)
            layers.append(_renumbered(coarser, chosen.rows, n_known))
    for low, high in _FINER:
        fewest, most = int(np.ceil(low * n_chosen)), int(np.ceil(high * n_chosen)) - 1
        wanted = _most_persistent(persistence, max(n_chosen + 1, fewest), most)
        if n_chosen > 1 and wanted is not None:
            finer = _split(layers[0], cut(wanted), n_known, min_size)
            layers.insert(0, _renumbered(finer, chosen.rows, n_known))
    sizes = np.array([numbers.max(initial=-1) + 1 for numbers in layers])
    place = next(i for i, numbers in enumerate(layers) if numbers is chosen.numbers)
    # A layer that came out like the chosen one, or like the one before it, tells nothing new.
    kept = [
        i
        for i, size in enumerate(sizes)
        if i == place or (size != sizes[place] and (i == 0 or size != sizes[i - 1]))
    ]
    scores = persistence[np.minimum(sizes[kept], len(persistence) - 1)]
    return Layers([layers[i] for i in kept], scores, kept.index(place))


def _most_persistent(persistence: Float64Array, fewest: int, most: int) -> int | None:
    """The number of clusters that persists longest, in a range; None if there is none."""
    fewest = max(2, fewest)
    of_range = persistence[fewest : most + 1]
    return fewest + int(of_range.argmax()) if len(of_range) else None


def _parents(finer: Integers, coarser: Integers, n_known: int) -> NDArray[np.intp]:
    """The cluster of a coarser partition that most samples of each finer one are in."""
    voted = (finer >= 0) & (coarser >= 0)
    shape = (int(finer.max(initial=-1)) + 1, int(coarser.max(initial=-1)) + 1)
    pairs = finer[voted].astype(np.int64) * shape[1] + coarser[voted]
    shared = np.bincount(pairs, minlength=shape[0] * shape[1]).reshape(shape)
    parents: NDArray[np.intp] = shared.argmax(axis=1)
    parents[:n_known] = np.arange(n_known)
    return parents


def _joined(numbers: Int32Array, coarser: Integers, n_known: int) -> Int32Array:
    """Join whole clusters as far as a coarser partition has most of them together."""
    parents = _parents(numbers, coarser, n_known)
    return np.where(numbers >= 0, parents[numbers], -1).astype(np.int32)


def _split(numbers: Int32Array, finer: Categories, n_known: int, min_size: int) -> Int32Array:
    """Split clusters by a finer partition.

    A finer cluster belongs to the cluster that most of its samples are in. Its other samples go to
    the finer cluster of their own cluster that gets the largest of their shares.
    """
    n_rows, n_finer = finer.shares.shape
    own = np.full(n_rows, -1)
    own[finer.rows] = numbers
    wanted = np.full(n_rows, -1)
    wanted[finer.rows] = finer.numbers
    counts = np.bincount(finer.rows, minlength=n_rows)
    parents = _parents(finer.numbers, numbers, n_known)
    voted = np.flatnonzero(own >= 0)
    while True:
        split = own + n_finer  # of rows whose cluster has no finer ones
        stays = voted[(wanted[voted] >= 0) & (parents[wanted[voted]] == own[voted])]
        split[stays] = wanted[stays]
        has_parts = np.isin(own, parents) & (own >= 0)
        has_parts[stays] = False
        moved = np.flatnonzero(has_parts)
        is_own = parents == own[moved, None]
        split[moved] = np.where(is_own, finer.shares[moved], -1).argmax(axis=1)
        sizes = np.bincount(split[voted], counts[voted], minlength=n_finer)[:n_finer]
        small = np.flatnonzero(
            (sizes < min_size) & (parents >= 0) & (np.arange(n_finer) >= n_known)
        )
        if not len(small):
            return np.where(numbers >= 0, split[finer.rows], -1).astype(np.int32)
        order = np.argsort(sizes[small], kind="stable")
        parents[small[order[: (len(small) + 1) // 2]]] = -1


def _renumbered(numbers: Int32Array, rows: Integers, n_known: int) -> Int32Array:
    """Number new categories anew: by decreasing size, then by their first row."""
    voted = numbers >= 0
    names, codes = np.unique(numbers[voted], return_inverse=True)
    sizes = np.bincount(codes, minlength=len(names))
    first_rows = np.full(len(names), np.iinfo(np.int64).max)
    np.minimum.at(first_rows, codes, rows[voted])
    is_new = names >= n_known
    order = np.lexsort((first_rows, np.where(is_new, -sizes, names), is_new))
    places = np.empty(len(names), dtype=np.int32)
    # Known categories keep their numbers, even if one of them has no samples.
    n_kept = np.count_nonzero(~is_new)
    places[order[:n_kept]] = names[order[:n_kept]]
    places[order[n_kept:]] = n_known + np.arange(len(names) - n_kept)
    renumbered = np.full(len(numbers), -1, dtype=np.int32)
    renumbered[voted] = places[codes]
    return renumbered
