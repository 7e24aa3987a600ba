"""TODO."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labelquorum import _core
from labelquorum._shared.frame import MAX_COLUMNS, VARIANCE_ROWS, Rows, unit_rows
from labelquorum.graphs.affinity import affinity_graph
from labelquorum.graphs.csr import normalize_graph
from labelquorum.neighbors.kmeans import kmeans_centers, nearest_center

Partitions = NDArray[np.int32]

RECALL = 0.95
_FEWEST_NEIGHBORS, _MOST_NEIGHBORS = 10, 30
PARTITIONS_PER_VIEW = 4  # of which one by k-means
_STEPS = 2  # of a random walk that smooths features
_ROWS_PER_CENTER = 50
_MIN_TRAINING_ROWS = 5_000
_ROUNDS = 15
_FIRST_RESOLUTIONS = (0.3, 1.0, 3.0, 10.0, 30.0)


class _Space(NamedTuple):
    """Rows to find neighbours in, and the same in few columns to be smoothed."""

    rows: Rows
    columns: Rows
    is_cosine: bool

    def part(self, chosen: NDArray[np.int64] | None) -> _Space:
        """Only these rows; None for all."""
        if chosen is None:
            return self
        return _Space(self.rows[chosen], self.columns[chosen], self.is_cosine)


def _space(rows: Rows, is_cosine: bool, rng: np.random.RandomState) -> _Space:
    rows = unit_rows(rows) if is_cosine else rows
    if rows.shape[1] <= MAX_COLUMNS:
        return _Space(rows, rows, is_cosine)
    some = rows[np.sort(rng.choice(len(rows), min(len(rows), VARIANCE_ROWS), replace=False))]
    some = some - some.mean(axis=0)
    directions = np.linalg.eigh(some.T @ some)[1][:, : -MAX_COLUMNS - 1 : -1]
    return _Space(rows, rows @ np.ascontiguousarray(directions), is_cosine)


def _communities(
    graph: sparse.csr_array,
    resolutions: NDArray[np.float64],
    n_rounds: int,
    rng: np.random.RandomState,
    n_threads: int,
) -> list[Partitions]:
    seeds = rng.randint(2**31, size=len(resolutions)).tolist()
    return _core.communities(
        graph.indptr,
        graph.indices,
        graph.data,
        resolutions.tolist(),
        seeds,
        n_rounds,
        n_threads,
        None,
    )


class Scale(NamedTuple):
    """How many communities resolutions give: the logarithms of both, ascending."""

    resolutions: NDArray[np.float64]
    numbers: NDArray[np.float64]

    @classmethod
    def of(cls, graph: sparse.csr_array, rng: np.random.RandomState, n_threads: int) -> Scale:
        found = _communities(graph, np.array(_FIRST_RESOLUTIONS), 1, rng, n_threads)
        numbers = np.log([partition.max() + 1.0 for partition in found])
        return cls(np.log(_FIRST_RESOLUTIONS), np.maximum.accumulate(numbers))

    def resolution(self, wanted: NDArray[np.float64]) -> NDArray[np.float64]:
        """Resolutions for about so many communities; beyond what is known, in proportion."""
        logs = np.log(wanted)
        chosen = np.interp(logs, self.numbers, self.resolutions)
        chosen += np.maximum(0, logs - self.numbers[-1]) - np.maximum(0, self.numbers[0] - logs)
        return np.exp(chosen)


class View(NamedTuple):
    """A graph of neighbours, and smoothed rows."""

    graph: sparse.csr_array
    smooth: Rows
    seed: int

    @classmethod
    def of(cls, space: _Space, is_smooth: bool, seed: int, n_threads: int) -> View:
        n = len(space.rows)
        most = min(_MOST_NEIGHBORS, n - 1)
        rng = np.random.RandomState(seed)
        n_neighbors = int(rng.randint(min(_FEWEST_NEIGHBORS, most), most + 1))
        graph = affinity_graph(space.rows, n_neighbors, recall=RECALL, n_jobs=n_threads)
        walk = normalize_graph(graph, "random_walk", n_jobs=n_threads)
        smooth = space.columns
        for _ in range(_STEPS if is_smooth else 1):
            smooth = walk @ smooth
        if space.is_cosine:
            smooth = unit_rows(smooth)
        if is_smooth:
            graph = affinity_graph(smooth, n_neighbors, recall=RECALL, n_jobs=n_threads)
        return cls(graph, smooth, seed)

    def scale(self, n_threads: int) -> Scale:
        return Scale.of(self.graph, np.random.RandomState(self.seed), n_threads)

    def partitions(self, limits: tuple[int, int], scale: Scale, n_threads: int) -> Partitions:
        rng = np.random.RandomState(self.seed)
        low, high = np.log(limits)
        wanted = np.exp(rng.uniform(low, high, size=PARTITIONS_PER_VIEW))
        resolutions = scale.resolution(wanted[1:])
        found = _communities(self.graph, resolutions, 2, rng, n_threads)
        n_centers = max(1, round(wanted[0]))
        n = len(self.smooth)
        n_training = min(n, max(_MIN_TRAINING_ROWS, _ROWS_PER_CENTER * n_centers))
        training = self.smooth[np.sort(rng.choice(n, n_training, replace=False))]
        centers = kmeans_centers(training, n_centers, _ROUNDS, rng, n_threads)
        found.append(nearest_center(self.smooth, centers, n_threads).astype(np.int32))
        return np.stack(found, axis=1)
