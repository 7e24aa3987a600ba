"""All contact with the faiss package, which is imported when first needed.

faiss sees float32 rows in a frame of their own (`Frame`) and only proposes candidates: distances
are measured elsewhere, on the rows as given. It is called in batches, so that signals and progress
get their turn, and with a limit on its threads that ends with the call. Nothing here depends on the
number of threads: what faiss would do in an order of its own (inserting into a graph), or by
matrix products that round by their size (choosing lists), is done by this package's own kernels.

An index holds some samples back at first (`held_out`), so that these can serve as queries it has
never seen; `complete` lets them in.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from labelquorum.neighbors.kmeans import kmeans_centers
from labelquorum.neighbors.search import kneighbors

Points: TypeAlias = NDArray[np.floating[Any]]
Rows: TypeAlias = NDArray[np.float32]
Show: TypeAlias = Callable[[str, float], None] | None

_BATCH_ROWS = 1024
_BATCH_BYTES = 1 << 25
_FRAME_ROWS = 10_000
_SAFE_LARGEST = 1e15  # squares of this many sum up within float32

# A child of fork has the OpenMP runtime, but not the threads that it would wait for.
_forked_with_faiss = False


def _after_fork() -> None:
    global _forked_with_faiss
    _forked_with_faiss = _forked_with_faiss or "faiss" in sys.modules


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def limited(n_threads: int) -> Iterator[Any]:
    """The faiss module, with so many threads (of the calling thread's teams) for the block."""
    try:
        import faiss
    except ImportError as error:
        raise ImportError(
            "recall below 1 needs the faiss package: pip install faiss-cpu; recall=None does not"
        ) from error
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1 if _forked_with_faiss else n_threads)
    try:
        yield faiss
    finally:
        faiss.omp_set_num_threads(before)


def batches(n: int, n_columns: int) -> list[slice]:
    """Slices of n rows, for a copy of bounded size each. The same for any number of threads."""
    step = max(1, min(_BATCH_ROWS, _BATCH_BYTES // (8 * n_columns)))
    return [slice(begin, min(n, begin + step)) for begin in range(0, n, step)]


class Frame(NamedTuple):
    """How rows become the float32 rows of an index: unit length, or (row - shift) * scale."""

    metric: str
    shift: NDArray[np.float64] | None
    scale: float  # a power of two

    @classmethod
    def of(cls, points: Points, metric: str) -> Frame:
        """The one in which float32 tells the points apart, judged by some rows of them."""
        if metric == "cosine":
            return cls(metric, None, 1.0)
        some = points[:: max(1, len(points) // _FRAME_ROWS)].astype(np.float64)
        shift = None
        if metric == "euclidean":
            mean = some.mean(axis=0)
            spread = np.abs(some - mean).max()
            if np.abs(mean).max() > 10 * spread:
                shift, some = mean, some - mean
        largest = float(np.abs(some).max())
        ordinary = largest == 0 or 1 / _SAFE_LARGEST < largest < _SAFE_LARGEST
        return cls(metric, shift, 1.0 if ordinary else 2.0 ** -int(np.log2(largest)))

    @property
    def is_similarity(self) -> bool:
        """Whether larger is nearer in the index."""
        return self.metric != "euclidean"

    def rows(self, values: Points) -> Rows:
        """The rows for the index: no copy where they are right as they are."""
        if self.metric == "cosine":
            wide = values.astype(np.float64)
            largest = np.abs(wide).max(axis=1, keepdims=True)
            wide /= np.where(largest == 0, 1, largest)
            norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))[:, None]
            wide /= np.where(norms == 0, 1, norms)
        elif self.shift is None and self.scale == 1:
            return np.ascontiguousarray(values, dtype=np.float32)
        else:
            wide = (values.astype(np.float64) - (0 if self.shift is None else self.shift)) * (
                self.scale
            )
        with np.errstate(over="ignore"):
            return wide.astype(np.float32)

    def gaps(self, distances: NDArray[np.floating[Any]]) -> Rows:
        """Distances of the points as the index measures them."""
        if self.metric == "euclidean":
            return ((distances * self.scale) ** 2).astype(np.float32)
        if self.metric == "cosine":
            return (distances - 1).astype(np.float32)
        return (distances * self.scale**2).astype(np.float32)

    def metric_type(self, faiss: Any) -> int:
        """The number of the metric in faiss."""
        return int(faiss.METRIC_INNER_PRODUCT if self.is_similarity else faiss.METRIC_L2)


class Graph:
    """Each sample linked with near ones in many directions; a search goes along the links.

    The lowest layer of hierarchical navigable small worlds (Malkov and Yashunin, IEEE TPAMI 42(4),
    2020), but not grown by insertion: the links of a sample go to those of its nearest neighbours
    that are nearer to it than to each other, and back from there. In place of the upper layers, a
    search starts from the nearest of some random samples. `kneighbors` finds both.
    """

    kind = "graph"
    _N_LINKS = 32  # of a sample to its neighbours, at most; with those back, twice that
    _BUILD_RECALL = 0.95
    # Per sample while the graph is made: neighbours, twice, their distances, and pairs to sort.
    _BUILD_BYTES = _N_LINKS * (12 + 12 + 8 + 40)
    _SAMPLES_PER_START = 16
    _START_VALUES = 1 << 20  # of all starts, at most
    _STARTS_USED = 4

    def __init__(self, index: Any, frame: Frame) -> None:
        self.index = index
        self.frame = frame
        self._starts = self._starts_of(index.ntotal, index.d)
        self._start_rows: Rows = index.reconstruct_batch(self._starts)
        self._complete: tuple[Rows, NDArray[np.int64]] | None = None

    @classmethod
    def n_bytes(cls, n: int, n_columns: int) -> int:
        """The most memory that building takes."""
        return n * (4 * n_columns + 4 * (2 * cls._N_LINKS + 4) + cls._BUILD_BYTES)

    @classmethod
    def _starts_of(cls, n: int, n_columns: int) -> NDArray[np.int64]:
        most = max(256, cls._START_VALUES // n_columns)
        n_starts = min(most, max(cls._STARTS_USED, n // cls._SAMPLES_PER_START))
        # Not from random_state: a loaded graph has to have the same.
        return np.sort(np.random.RandomState(0).choice(n, n_starts, replace=False))

    @classmethod
    def build(
        cls,
        points: Points,
        frame: Frame,
        n_held_out: int,
        rng: np.random.RandomState,
        n_threads: int,
        show: Show,
    ) -> tuple[Graph, NDArray[np.int64]]:
        """The index of all but some points, and which these are."""
        n, n_columns = points.shape
        with limited(n_threads) as faiss:
            index = faiss.IndexHNSWFlat(n_columns, cls._N_LINKS, frame.metric_type(faiss))
            index.init_level0 = False
            # No sample gets into an upper layer.
            index.hnsw.assign_probas.clear()
            index.hnsw.cum_nneighbor_per_level.clear()
            index.hnsw.set_default_probas(cls._N_LINKS, 0.01)
            for batch in batches(n, n_columns):
                index.add(frame.rows(points[batch]))
        if show is not None:
            show("graph", 0.05)
        graph = cls(index, frame)
        others = np.setdiff1d(np.arange(n), graph._starts, assume_unique=True)
        held_out = np.sort(rng.choice(others, min(n_held_out, len(others) // 2), replace=False))
        distances, neighbors = kneighbors(
            points,
            min(cls._N_LINKS, n - 1),
            metric=frame.metric,
            recall=cls._BUILD_RECALL,
            n_jobs=n_threads,
        )
        if show is not None:
            show("graph", 0.9)
        gaps = frame.gaps(distances)
        del distances
        is_held_out = np.zeros(n, dtype=bool)
        is_held_out[held_out] = True
        itself = np.arange(n)[:, None]  # which faiss skips
        hidden = is_held_out[neighbors] | is_held_out[:, None]
        graph._link(gaps, np.where(hidden, itself, neighbors), n_threads)
        graph._complete = gaps, neighbors
        if show is not None:
            show("graph", 1.0)
        return graph, held_out

    def _link(self, gaps: Rows, neighbors: NDArray[np.int64], n_threads: int) -> None:
        n = len(neighbors)
        with limited(n_threads) as faiss:
            self.index.init_level_0_from_knngraph(
                neighbors.shape[1], faiss.swig_ptr(gaps), faiss.swig_ptr(neighbors)
            )
            links = faiss.vector_to_array(self.index.hnsw.neighbors).reshape(n, -1)
            _link_back(links)
            faiss.copy_array_to_vector(links.ravel(), self.index.hnsw.neighbors)

    def complete(self, points: Points, held_out: NDArray[np.int64], n_threads: int) -> None:
        """Let the points in that were held out."""
        assert self._complete is not None
        self._link(*self._complete, n_threads)
        self._complete = None

    def settings(self, n: int, k: int) -> Sequence[tuple[int, ...]]:
        """The ways to search, fast ones first; where exact search is no slower, they end."""
        widths = [max(8, k)]
        while widths[-1] * 1.25 < n / 50:
            widths.append(int(widths[-1] * 1.25) + 1)
        return [(width,) for width in widths]

    def candidates(
        self, rows: Rows, k: int, setting: tuple[int, ...], n_threads: int
    ) -> NDArray[np.int64]:
        """Some k points near each row, or -1."""
        gaps, nearest = nearest_rows(
            self._start_rows, rows, self._STARTS_USED, self.frame, n_threads
        )
        starts = self._starts[nearest].astype(np.int32)
        found = np.empty((len(rows), k), dtype=np.int64)
        unused = np.empty((len(rows), k), dtype=np.float32)
        with limited(n_threads) as faiss:
            self.index.hnsw.efSearch = max(setting[0], k)
            self.index.search_level_0(
                len(rows),
                faiss.swig_ptr(rows),
                k,
                faiss.swig_ptr(starts),
                faiss.swig_ptr(gaps),
                faiss.swig_ptr(unused),
                faiss.swig_ptr(found),
                self._STARTS_USED,
                2,  # one search from all starts
            )
        # Versions of faiss differ in the sign of similarities that starts are given with; by the
        # wrong one it would drop them.
        return np.hstack([found, starts]) if self.frame.is_similarity else found


def nearest_rows(
    centers: Rows, rows: Rows, k: int, frame: Frame, n_threads: int
) -> tuple[Rows, NDArray[np.int64]]:
    """The nearest of some centres to each row, and their squared distances or similarities."""
    distances, nearest = kneighbors(
        centers,
        k,
        Y=rows,
        metric="inner_product" if frame.is_similarity else "euclidean",
        n_jobs=n_threads,
    )
    return -distances if frame.is_similarity else distances**2, nearest


def _link_back(links: NDArray[np.int32]) -> None:
    """Add the links from where links lead, as far as there is room: from the nearest first.

    A row holds the links of a sample, nearest first, then -1.
    """
    n, width = links.shape
    counts = (links >= 0).sum(axis=1)
    by_rank = links[:, : counts.max()].T
    ranks, sources = np.nonzero(by_rank >= 0)
    targets = by_rank[ranks, sources]
    order = np.argsort(targets, kind="stable")
    targets, sources = targets[order], sources[order]
    firsts = np.searchsorted(targets, np.arange(n))
    places = counts[targets] + np.arange(len(targets)) - firsts[targets]
    kept = places < width
    links[targets[kept], places[kept]] = sources[kept]


class Lists:
    """Inverted lists of compressed rows: the points by their nearest of some centres.

    Each point is kept as its difference from the centre, in 8 or 4 bits per value. A search looks
    through the lists of the nearest centres and proposes more candidates than are wanted.
    """

    kind = "lists"
    _TRAIN_ROWS_PER_LIST = 32
    _TRAIN_BYTES = 1 << 28
    _TRAIN_ROUNDS = 8
    _RANGE_ROWS = 16_384

    def __init__(self, index: Any, frame: Frame, centers: Rows) -> None:
        self.index = index
        self.frame = frame
        self.centers = centers

    @classmethod
    def n_bytes(cls, n: int, n_columns: int, bits: int) -> int:
        """The most memory that building takes: lists grow by doubling."""
        return 2 * n * (n_columns * bits // 8 + 9) + 3 * cls._TRAIN_BYTES

    @classmethod
    def build(
        cls,
        points: Points,
        frame: Frame,
        n_held_out: int,
        rng: np.random.RandomState,
        n_threads: int,
        show: Show,
        bits: int = 8,
    ) -> tuple[Lists, NDArray[np.int64]]:
        """The index of all but some points, and which these are."""
        n, n_columns = points.shape
        held_out = np.sort(rng.choice(n, min(n_held_out, n // 2), replace=False))
        n_lists = int(4 * np.sqrt(n))
        n_train = min(
            n, n_lists * cls._TRAIN_ROWS_PER_LIST, cls._TRAIN_BYTES // (4 * n_columns) + n_lists
        )
        chosen = rng.permutation(n)[:n_train]
        train = frame.rows(points[np.sort(chosen)])
        centers = kmeans_centers(train, n_lists, cls._TRAIN_ROUNDS, rng, n_threads, show)
        # One thread: it multiplies matrices here.
        with limited(1) as faiss:
            metric = frame.metric_type(faiss)
            quantizer = faiss.IndexFlat(n_columns, metric)
            quantizer.add(centers)
            index = faiss.IndexIVFScalarQuantizer(
                quantizer,
                n_columns,
                len(centers),
                faiss.ScalarQuantizer.QT_8bit if bits == 8 else faiss.ScalarQuantizer.QT_4bit,
                metric,
            )
            index.train(train[:: max(1, n_train // cls._RANGE_ROWS)])
        lists = cls(index, frame, centers)
        is_held_out = np.zeros(n, dtype=bool)
        is_held_out[held_out] = True
        for batch in batches(n, n_columns):
            ids = np.arange(batch.start, batch.stop)
            lists._add(points[batch], ids, ~is_held_out[batch], n_threads)
            if show is not None:
                show("index", batch.stop / n)
        return lists, held_out

    def _add(
        self, values: Points, ids: NDArray[np.int64], chosen: NDArray[np.bool_], n_threads: int
    ) -> None:
        rows, ids = np.ascontiguousarray(self.frame.rows(values)[chosen]), ids[chosen]
        if not len(rows):
            return
        nearest = kneighbors(self.centers, 1, Y=rows, n_jobs=n_threads)[1]
        with limited(n_threads) as faiss:
            self.index.add_core(
                len(rows), faiss.swig_ptr(rows), faiss.swig_ptr(ids), faiss.swig_ptr(nearest)
            )

    def complete(self, points: Points, held_out: NDArray[np.int64], n_threads: int) -> None:
        """Let the points in that were held out."""
        for batch in batches(len(held_out), points.shape[1]):
            ids = held_out[batch]
            self._add(points[ids], ids, np.ones(len(ids), dtype=bool), n_threads)

    def settings(self, n: int, k: int) -> Sequence[tuple[int, ...]]:
        """The ways to search, fast ones first: lists to look through, candidates for each wanted.

        They end where exact search is no slower.
        """
        most = max(1, len(self.centers) // 4)
        probes = sorted({min(most, int(1.5**i)) for i in range(1, 40)})
        return [(probe, factor) for probe in probes for factor in (2, 8)]

    def candidates(
        self, rows: Rows, k: int, setting: tuple[int, ...], n_threads: int
    ) -> NDArray[np.int64]:
        """Some points near each row, or -1: more than k."""
        n_probes, factor = setting
        gaps, nearest = nearest_rows(self.centers, rows, n_probes, self.frame, n_threads)
        with limited(n_threads):
            self.index.nprobe = n_probes  # the wrapper takes it from here alone
            found: NDArray[np.int64] = self.index.search_preassigned(
                rows, k * factor, nearest, gaps
            )[1]
        return found


Index: TypeAlias = Graph | Lists


def write(index: Index, file: BinaryIO) -> None:
    """Write the index to an open file, in faiss's format."""
    with limited(1) as faiss:
        faiss.write_index(index.index, faiss.PyCallbackIOWriter(file.write))


def read(kind: str, frame: Frame, file: BinaryIO) -> Index:
    """Read what `write` wrote. Only for files known to be whole: faiss does not check."""
    with limited(1) as faiss:
        index = faiss.read_index(faiss.PyCallbackIOReader(file.read))
        if kind == Graph.kind:
            return Graph(index, frame)
        return Lists(index, frame, index.quantizer.reconstruct_n(0, index.nlist))
