"""The number of clusters that the samples themselves show.

Four views of the samples are each cut at rising resolutions. Each resolution has a score, twice the
geometric mean of two measures: how much the views agree (adjusted mutual information, mean of
pairs), and how well the clusters are separated (silhouette in diffusion coordinates, mean of
views). Agreement alone may favor a far too fine resolution, separation alone a far too coarse one;
where one of them errs, the other is low. Both are at most 1 and near 0 by chance, so nothing else
is weighed or scaled. The measures are smoothed over neighboring resolutions, and the highest score
gives the number. Two or three clusters must score 1.5, or .25 more than any other number, since
most samples can be split in two well. If noise scores as high as the samples, there are no clusters
(`structure`).

Scores are the means of three draws of 5,000 samples. If these show more than one cluster for each
50 samples, four times as many are drawn, and so on, so that there is no limit.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import entropy
from sklearn.utils import check_random_state

from labelquorum._shared.distinct import DistinctRows
from labelquorum._shared.frame import Framed, Rows
from labelquorum._shared.matching import mutual_information
from labelquorum.clustering.diffusion import center_silhouette, diffusion_coordinates
from labelquorum.clustering.structure import CERTAIN_SCORE, LEVEL, MAX_ROWS, has_structure
from labelquorum.clustering.views import (
    WIDE_RESOLUTIONS,
    Float64Array,
    Integers,
    Partitions,
    ResolutionScale,
    Space,
    View,
    ViewKind,
    graph_partitions,
)

_FEWEST_ROWS, _GROWTH = 5_000, 4
_N_DRAWS = 3
_ROWS_PER_CLUSTER = 50  # If there are fewer, more rows are looked at.
_LEAST_ROWS_PER_CLUSTER = 15
_MOST_CLUSTERS_PER_ROOT = 4.0  # of the number of rows, if that is more
_N_VIEWS = 4
_RATIO = 1.25  # of neighboring resolutions
_N_COORDINATES = 12
_FEW_COLUMNS = 3  # Directions alone tell too little of rows with so few columns.
_FEW_CLUSTERS, _SCORE_OF_FEW, _LEAD_OF_FEW = 3.5, 1.5, 0.25
_FEWEST_SAMPLES = 3  # of a cluster that counts
_SMOOTHING = (0.25, 0.5, 0.25)
_RATIO_OF_TEST = 1.6  # of neighboring resolutions, in the test of structure
# Resolutions tell nothing of so few rows. Rows that occur often are clusters.
_TOO_FEW_ROWS = 54


class NaturalNumber(NamedTuple):
    """What `natural_number` finds."""

    n_clusters: int | None
    """None where the samples show no more structure than noise."""
    score: float
    """Of `Curve.scores`, at most 2."""

    def or_one(self) -> int:
        """Return the number of clusters; 1, with a warning to the caller's caller, for None."""
        if self.n_clusters is not None:
            return self.n_clusters
        warnings.warn(
            "X shows no clusters: views of it agree, and clusters are separated, no more than in "
            f"noise of the same dimension (level {LEVEL:.0%}). Set n_clusters to look for that "
            "many anyway",
            stacklevel=3,
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
            f"n_clusters is {n_clusters}, but y and votes name {n_known} categories: all of them "
            "are kept",
            stacklevel=3,
        )


def warn_of_fewer(n_clusters: int | None, n_found: int, min_size: int) -> None:
    """Warn if the partitions tell fewer categories apart than are wanted."""
    if n_clusters is None or n_found >= n_clusters:
        return
    of_size = "" if min_size == 1 else f" of at least {min_size} samples"
    word = "category" if n_found == 1 else "categories"
    warnings.warn(
        f"n_clusters is {n_clusters}, but the partitions tell only {n_found} {word}{of_size} apart",
        stacklevel=3,
    )


def natural_number(
    framed: Framed,
    min_size: int,
    random_state: Any,
    n_threads: int,
    show: Callable[..., None] | None = None,
) -> NaturalNumber:
    """Find the number of clusters with the highest score; see the module's docstring.

    Clusters of fewer than `min_size` samples are not counted. `show` reports progress.
    """
    rows, counts = framed.rows, framed.distinct.counts
    if len(rows) <= _TOO_FEW_ROWS:
        is_frequent = counts >= min_size
        if 2 * counts[is_frequent].sum() >= counts.sum():
            return NaturalNumber(int(np.count_nonzero(is_frequent)), 2.0)
    rng = check_random_state(random_state)
    n_samples = counts.sum()
    n_rows, fewest = _FEWEST_ROWS, 2.0
    while True:
        curves = []
        for _ in range(_N_DRAWS):
            drawn = _drawn(len(rows), n_rows, rng)
            least_size = max(_FEWEST_SAMPLES, min_size * counts[drawn].sum() / n_samples)
            wanted_counts = _wanted_counts(len(drawn), fewest, _RATIO)
            curves.append(
                Curve.of(rows[drawn], counts[drawn], wanted_counts, least_size, rng, n_threads)
            )
            if show is not None:
                show("number of clusters", len(curves) / _N_DRAWS)
        curve = Curve.mean(curves)
        n_clusters = curve.best_number
        if n_rows >= len(rows) or n_clusters * _ROWS_PER_CLUSTER <= n_rows:
            break
        n_rows, fewest = n_rows * _GROWTH, max(fewest, n_clusters / _GROWTH)
    score = float(curve.scores.max())
    if score < CERTAIN_SCORE and not _has_structure(framed, rng, n_threads):
        return NaturalNumber(None, score)
    return NaturalNumber(max(1, n_clusters), score)


def _has_structure(framed: Framed, rng: np.random.RandomState, n_threads: int) -> bool:
    """Test whether some of the samples score higher than noise does."""
    drawn = _drawn(len(framed.rows), MAX_ROWS, rng)
    counts = framed.distinct.counts[drawn]
    seed = rng.randint(2**31)

    def score_of(rows: Rows) -> float:
        rng = np.random.RandomState(seed)
        wanted_counts = _wanted_counts(len(rows), 2.0, _RATIO_OF_TEST)
        curve = Curve.of(rows, counts, wanted_counts, _FEWEST_SAMPLES, rng, n_threads)
        return float(curve.scores.max())

    return has_structure(framed.rows[drawn], score_of, rng, n_threads)


def _drawn(n: int, n_drawn: int, rng: np.random.RandomState) -> NDArray[np.int64]:
    if n <= n_drawn:
        return np.arange(n)
    return np.sort(rng.choice(n, n_drawn, replace=False))


class Curve(NamedTuple):
    """What rising resolutions give: three arrays of shape (n_resolutions,)."""

    n_clusters: Float64Array
    """Number of clusters that count, mean of the views."""
    agreement: Float64Array
    """Of the views, smoothed."""
    separation: Float64Array
    """Of the clusters, smoothed."""

    @property
    def scores(self) -> Float64Array:
        """Twice the geometric mean of agreement and separation, at most 2."""
        scores: Float64Array = 2 * np.sqrt(self.agreement.clip(0) * self.separation.clip(0))
        return scores

    @property
    def best_number(self) -> int:
        """The number of clusters with the highest score; few ones must be clearly better."""
        is_doubtful = (self.n_clusters < _FEW_CLUSTERS) & (self.scores < _SCORE_OF_FEW)
        best = int((self.scores - _LEAD_OF_FEW * is_doubtful).argmax())
        return round(float(self.n_clusters[best]))

    @classmethod
    def mean(cls, curves: list[Curve]) -> Curve:
        """Average curves of the same resolutions."""
        return cls(*np.mean(curves, axis=0))

    @classmethod
    def of(
        cls,
        rows: Rows,
        counts: Integers,
        wanted_counts: Float64Array,
        least_size: float,
        rng: np.random.RandomState,
        n_threads: int,
    ) -> Curve:
        """Measure resolutions for these numbers of clusters; count clusters of `least_size`."""
        has_directions = rows.shape[1] > _FEW_COLUMNS
        most = int(wanted_counts[-1])
        spaces = {
            is_cosine: Space.of(rows, counts, is_cosine and has_directions, most, rng)
            for is_cosine in (False, True)
        }
        views = [
            _cut_view(*spaces[kind.is_cosine], kind.is_smooth, seed, wanted_counts, n_threads)
            for kind, seed in zip(
                map(ViewKind.of, range(_N_VIEWS)), rng.randint(2**31, size=_N_VIEWS), strict=True
            )
        ]
        n_clusters = [
            np.mean([np.count_nonzero(np.bincount(cut, counts) >= least_size) for cut in cuts])
            for cuts in zip(*(view.partitions for view in views), strict=True)
        ]
        agreement = [
            np.mean([_adjusted_agreement(a, b, rng) for a, b in combinations(cuts, 2)])
            for cuts in zip(*(view.partitions for view in views), strict=True)
        ]
        separation = np.mean([view.separation for view in views], axis=0)
        return cls(np.array(n_clusters), _smoothed(agreement), _smoothed(separation))


def _wanted_counts(n_rows: int, fewest: float, ratio: float) -> Float64Array:
    """The numbers of clusters that are tried, ascending: (n_resolutions,)."""
    most = max(_MOST_CLUSTERS_PER_ROOT * np.sqrt(n_rows), n_rows / _LEAST_ROWS_PER_CLUSTER)
    most = max(fewest + 1, min(most, n_rows / _FEWEST_SAMPLES))
    return np.geomspace(fewest, most, 1 + int(np.ceil(np.log(most / fewest) / np.log(ratio))))


class _CutView(NamedTuple):
    """A view at all resolutions."""

    partitions: list[Partitions]
    """One for each resolution, of all rows."""
    separation: Float64Array
    """(n_resolutions,): how well the clusters are separated."""


def _cut_view(
    space: Space,
    distinct: DistinctRows,
    is_smooth: bool,
    seed: int,
    wanted_counts: Float64Array,
    n_threads: int,
) -> _CutView:
    """Cut a view of a space at resolutions for these numbers of clusters."""
    rng = np.random.RandomState(seed)
    view = View.of(space, is_smooth, seed, n_threads)
    scale = ResolutionScale.of(view.graph, rng, n_threads, WIDE_RESOLUTIONS)
    resolutions = scale.resolutions_for(wanted_counts)
    partitions = graph_partitions(view.graph, resolutions, 1, rng, n_threads)
    points = diffusion_coordinates(view.graph, _N_COORDINATES, rng)
    separation = [center_silhouette(points, cut, view.weights, n_threads) for cut in partitions]
    return _CutView([distinct.expand(cut) for cut in partitions], np.array(separation))


def _adjusted_agreement(first: Partitions, second: Partitions, rng: np.random.RandomState) -> float:
    """Adjusted mutual information; 0 if a partition has only one cluster and so tells nothing.

    Chance is what is left when one partition is shuffled: its exact mean costs far more for many
    clusters, and differs little.
    """
    if not first.any() or not second.any():
        return 0.0
    by_chance = mutual_information(first, rng.permutation(second))
    mean_entropy = (entropy(np.bincount(first)) + entropy(np.bincount(second))) / 2
    shared = mutual_information(first, second)
    return float((shared - by_chance) / max(mean_entropy - by_chance, 1e-12))


def _smoothed(values: Any) -> Float64Array:
    """Average over neighboring resolutions."""
    return np.convolve(np.pad(values, 1, mode="edge"), _SMOOTHING, "valid")
