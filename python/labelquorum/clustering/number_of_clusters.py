"""The number of clusters that the samples themselves show.

Four views of the samples are each cut at rising resolutions. Two views agree most where neither
has to cut a cluster or to join two. Agreement is the mean adjusted mutual information of pairs of
views, smoothed over neighboring resolutions. The number of clusters is that of the resolution with
the highest agreement, unless views of noise agree as much.

At most 6,000 samples are looked at, so that the cost does not grow with their number. The limit is
about 2.5 times the root of that: 190 clusters.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_mutual_info_score
from sklearn.utils import check_random_state

from labelquorum._shared.frame import Framed, Rows
from labelquorum.clustering.views import (
    Integers,
    Partitions,
    Space,
    View,
    ViewKind,
    graph_partitions,
)

_MAX_ROWS, _N_VIEWS, _N_RESOLUTIONS = 6_000, 4, 20
_MOST_CLUSTERS_PER_ROOT = 2.5  # of the number of rows
_FEWEST_SAMPLES = 3  # of a cluster that counts
_SMOOTHING = (0.25, 0.5, 0.25)
# Views of noise (uniform or one Gaussian, 1 to 100 columns; shuffled columns) agree by at most 0.75
# with 3,000 rows, 0.78 with 1,500, 0.81 with 700 and 0.86 with 200.
_NOISE_AGREEMENT, _NOISE_AGREEMENT_OF_FEW = 0.73, 2.0
# Views of so few rows never agree more than views of noise. Rows that occur often are clusters.
_TOO_FEW_ROWS = int((_NOISE_AGREEMENT_OF_FEW / (1 - _NOISE_AGREEMENT)) ** 2)


class NaturalNumber(NamedTuple):
    """What `natural_number` finds."""

    n_clusters: int | None
    """None where the views agree no more than views of noise do."""
    agreement: float
    """Mean adjusted mutual information of two views, at most 1."""

    def or_one(self) -> int:
        """Return the number of clusters; 1, with a warning to the caller's caller, for None."""
        if self.n_clusters is not None:
            return self.n_clusters
        warnings.warn(
            f"X shows no clusters: views of it agree by {self.agreement:.2f}, no more than views "
            "of noise do. Set n_clusters to look for that many anyway",
            stacklevel=4,
        )
        return 1


def check_number(n_clusters: int | None, n_samples: int, n_known: int) -> None:
    """Refuse more clusters than samples; warn of fewer clusters than known categories."""
    if n_clusters is None:
        return
    if n_clusters > n_samples:
        raise ValueError(
            f"n_clusters must be at most {n_samples}, the number of samples, got {n_clusters}"
        )
    if n_clusters < n_known:
        warnings.warn(
            f"n_clusters is {n_clusters}, but y has {n_known} categories: all of them are kept",
            stacklevel=3,
        )


def natural_number(
    framed: Framed,
    min_size: int,
    random_state: Any,
    n_threads: int,
    show: Callable[..., None] | None = None,
) -> NaturalNumber:
    """Find the number of clusters on which views of the samples agree most.

    Clusters of fewer than `min_size` samples are not counted. `show` reports progress.
    """
    rows, counts = framed.rows, framed.distinct.counts
    if len(rows) <= _TOO_FEW_ROWS:
        is_frequent = counts >= min_size
        if 2 * counts[is_frequent].sum() >= counts.sum():
            return NaturalNumber(int(np.count_nonzero(is_frequent)), 1.0)
    rng = check_random_state(random_state)
    n_samples = counts.sum()
    if len(rows) > _MAX_ROWS:
        drawn = np.sort(rng.choice(len(rows), _MAX_ROWS, replace=False))
        rows, counts = rows[drawn], counts[drawn]
    highest = max(3.0, _MOST_CLUSTERS_PER_ROOT * np.sqrt(len(rows)))
    wanted_counts = np.geomspace(2, highest, _N_RESOLUTIONS)
    least_size = max(_FEWEST_SAMPLES, min_size * counts.sum() / n_samples)
    partitions_by_view = []
    n_clusters = np.empty((_N_VIEWS, _N_RESOLUTIONS))
    for v, seed in enumerate(rng.randint(2**31, size=_N_VIEWS)):
        partitions = _partitions_of_view(rows, counts, v, seed, wanted_counts, n_threads)
        partitions_by_view.append(partitions)
        sizes = [np.bincount(partition, counts) for partition in partitions]
        n_clusters[v] = [np.count_nonzero(of_clusters >= least_size) for of_clusters in sizes]
        if show is not None:
            show("number of clusters", (v + 1) / _N_VIEWS)
    agreement = [
        np.mean([_adjusted_agreement(a, b) for a, b in combinations(partitions, 2)])
        for partitions in zip(*partitions_by_view, strict=True)
    ]
    smoothed = np.convolve(np.pad(agreement, 1, mode="edge"), _SMOOTHING, "valid")
    best = int(smoothed.argmax())
    best_agreement = float(smoothed[best])
    if best_agreement < _NOISE_AGREEMENT + _NOISE_AGREEMENT_OF_FEW / np.sqrt(len(rows)):
        return NaturalNumber(None, best_agreement)
    return NaturalNumber(max(1, round(n_clusters[:, best].mean())), best_agreement)


def _partitions_of_view(
    rows: Rows,
    counts: Integers,
    v: int,
    seed: int,
    wanted_counts: NDArray[np.float64],
    n_threads: int,
) -> list[Partitions]:
    """Cut view number v at resolutions for these numbers of clusters."""
    is_cosine, is_smooth = ViewKind.of(v)
    rng = np.random.RandomState(seed)
    space, distinct = Space.of(rows, counts, is_cosine, int(wanted_counts[-1]), rng)
    view = View.of(space, is_smooth, seed, n_threads)
    resolutions = view.resolution_scale(n_threads).resolutions_for(wanted_counts)
    partitions = graph_partitions(view.graph, resolutions, 1, rng, n_threads)
    return [distinct.expand(partition) for partition in partitions]


def _adjusted_agreement(first: Partitions, second: Partitions) -> float:
    """Adjusted mutual information; 0 if a partition has only one cluster and so tells nothing."""
    if not first.any() or not second.any():
        return 0.0
    return float(adjusted_mutual_info_score(first, second))
