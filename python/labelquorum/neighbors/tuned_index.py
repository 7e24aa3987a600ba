"""Choose an index, build it, and tune it until a measurement shows that it reaches the recall.

Some random samples, about a thousand, are held out of the index at first. Their true neighbors are
found by exact search. Then the index searches for them, with ever slower settings, until a lower
bound of its recall is high enough. At last the held-out samples join the index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from labelquorum import _core
from labelquorum._shared.progress import Show
from labelquorum._shared.samples import Points
from labelquorum.neighbors import faiss_index
from labelquorum.neighbors.dense_search import Distances, Indices
from labelquorum.neighbors.search import SearchQuality, kneighbors

_EXACT_BELOW = 10_000  # samples: exact search among fewer is too fast for an index to pay off
_MIN_HELD_OUT = 1_000
_FAILURES_IN_SAMPLE = 8  # missed neighbors to expect, at least, in a sample that judges a recall
_ERROR_SHARE = 0.7  # of the errors allowed: queries are seldom quite like the held-out samples
_QUANTILE = 2.33  # of the normal distribution: one lower bound in 100 is too high
_MEMORY_SHARE = 0.5  # of the available memory, for an index
_ALL_SAMPLES = 1 << 62

_Build: TypeAlias = tuple[type[faiss_index.Graph] | type[faiss_index.Lists], dict[str, int]]


@dataclass(frozen=True)
class TunedIndex:
    """An index with the setting that it searches with, and the recall measured for both."""

    index: faiss_index.Index
    setting: tuple[int, ...]
    quality: SearchQuality

    def search(
        self, points: Points, queries: Points, k: int, n_threads: int, show: Show
    ) -> tuple[Distances, Indices]:
        """Return the k nearest points that the index finds for each query, with true distances.

        Where it finds fewer than k, the rest has the index -1 and an infinite distance.
        """
        return _search(self.index, self.setting, points, queries, k, n_threads, show)


def pays_off(n_points: int, target: float, k: int) -> bool:
    """Return whether an index may be faster than exact search among this many points."""
    return n_points >= max(_EXACT_BELOW, 4 * sample_size(target), 100 * k)


def sample_size(target: float) -> int:
    """Return how many queries it takes to measure a recall; more if it is closer to 1."""
    if target == 1:
        return _ALL_SAMPLES  # exact search costs no more
    return max(_MIN_HELD_OUT, int(_FAILURES_IN_SAMPLE / (1 - target)))


def build_tuned_index(
    points: Points,
    metric: str,
    target: float,
    k: int,
    rng: np.random.RandomState,
    n_threads: int,
    show: Show,
) -> TunedIndex | None:
    """Build an index for k neighbors with the recall `target`; None if exact search is better.

    The recall may be lower if memory allows neither a better index nor exact search.
    """
    memory = int(_MEMORY_SHARE * _core.available_memory())
    frame = faiss_index.IndexFrame.fitted(points, metric)
    goal = 1 - _ERROR_SHARE * (1 - target)
    for kind, options in _affordable_builds(len(points), points.shape[1], memory):
        index, held_out = kind.build(
            points, frame, sample_size(target), rng, n_threads, show, **options
        )
        last_distances = _last_distances(points, held_out, k, metric, n_threads)
        for setting in index.settings(len(points), k):
            distances, _ = _search(index, setting, points, points[held_out], k, n_threads, None)
            quality = measured_quality(distances, last_distances, index.kind)
            if quality.lower_bound >= goal:
                break
        if quality.lower_bound >= goal:
            break
    else:
        if 4 * points.size <= memory:
            return None
    index.complete(points, held_out, n_threads)
    return TunedIndex(index, setting, quality)


def _affordable_builds(n: int, n_columns: int, memory: int) -> list[_Build]:
    """Return the indexes that fit the memory, the fastest first."""
    builds: list[_Build] = []
    if faiss_index.Graph.n_bytes(n, n_columns) <= memory:
        builds.append((faiss_index.Graph, {}))
    bits = 8 if faiss_index.Lists.n_bytes(n, n_columns, 8) <= memory else 4
    needed = faiss_index.Lists.n_bytes(n, n_columns, bits)
    if not builds and needed > memory:
        raise MemoryError(
            f"an index of {n} samples needs {needed} bytes, but it may use {memory} (half of the "
            "available memory): recall=None needs no index"
        )
    builds.append((faiss_index.Lists, {"bits": bits}))
    return builds


def _search(
    index: faiss_index.Index,
    setting: tuple[int, ...],
    points: Points,
    queries: Points,
    k: int,
    n_threads: int,
    show: Show,
) -> tuple[Distances, Indices]:
    n = len(queries)
    is_double = np.float64 in (points.dtype, queries.dtype)
    distances = np.empty((n, k), dtype=np.float64 if is_double else np.float32)
    indices = np.empty((n, k), dtype=np.int64)
    for batch in faiss_index.batches(n, queries.shape[1]):
        rows = index.frame.rows(queries[batch])
        candidates = index.candidates(rows, k, setting, n_threads)
        distances[batch], indices[batch] = _core.nearest_candidates(
            points, queries[batch], candidates, k, index.frame.metric, n_threads, None
        )
        if show is not None:
            show("search", batch.stop / n)
    return distances, indices


def measured_quality(distances: Distances, last_distances: Distances, method: str) -> SearchQuality:
    """Return the recall of a search, given the true distance of each query's last neighbor.

    A neighbor counts as true if it is no farther than that.
    """
    shares = (distances <= last_distances[:, None]).mean(axis=1)
    # Add a query that found nothing, so that the bound stays below 1 even if no query missed any.
    cautious = np.append(shares, 0.0)
    bound = cautious.mean() - _QUANTILE * cautious.std() / np.sqrt(len(cautious))
    return SearchQuality(float(shares.mean()), max(0.0, float(bound)), len(shares), method)


def _last_distances(
    points: Points, held_out: Indices, k: int, metric: Any, n_threads: int
) -> Distances:
    """Return the distance from each held-out point to its k-th neighbor that is not held out."""
    n = len(points)
    is_held_out = np.zeros(n, dtype=bool)
    is_held_out[held_out] = True
    last = np.empty(len(held_out), dtype=points.dtype if points.dtype == np.float64 else np.float32)
    remaining = np.arange(len(held_out))
    # Enough for nearly all: held-out points are among the neighbors, too.
    n_neighbors = k + 1 + 2 * k * len(held_out) // n + 8
    while len(remaining):
        n_neighbors = min(n_neighbors, n)
        distances, indices = kneighbors(
            points, n_neighbors, metric=metric, Y=points[held_out[remaining]], n_jobs=n_threads
        )
        ranks = (~is_held_out[indices]).cumsum(axis=1)
        is_enough = ranks[:, -1] >= k
        kth = (ranks >= k).argmax(axis=1)
        last[remaining[is_enough]] = distances[np.arange(len(remaining)), kth][is_enough]
        remaining = remaining[~is_enough]
        n_neighbors *= 4
    return last
