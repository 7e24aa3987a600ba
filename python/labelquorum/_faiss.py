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

from labelquorum.neighbors import kneighbors

Points: TypeAlias = NDArray[np.floating[Any]]
Rows: TypeAlias = NDArray[np.float32]
Show: TypeAlias = Callable[[str, float], None] | None

_BATCH_ROWS = 256
_BATCH_BYTES = 1 << 24
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
    """Hierarchical navigable small worlds (Malkov and Yashunin, IEEE TPAMI 42(4), 2020).

    The lowest layer is not grown by insertion: the candidates for the links of a sample are its
    nearest neighbours and those that it is one of, found by `kneighbors`.
    """

    kind = "graph"
    _N_LINKS = 32  # of a sample in an upper layer; twice that in the lowest
    _BUILD_RECALL = 0.95
    # Per sample while the graph is made: neighbours, the same transposed, and both as candidates.
    _BUILD_BYTES = _N_LINKS * (12 + 16 + 12 + 24 + 24)

    def __init__(self, index: Any, frame: Frame) -> None:
        self.index = index
        self.frame = frame
        self._complete: tuple[Rows, NDArray[np.int64]] | None = None

    @classmethod
    def n_bytes(cls, n: int, n_columns: int) -> int:
        """The most memory that building takes."""
        return n * (4 * n_columns + 4 * (2 * cls._N_LINKS + 4) + cls._BUILD_BYTES)

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
        # One thread: the layers above the lowest depend on the order of insertion.
        with limited(1) as faiss:
            index = faiss.IndexHNSWFlat(n_columns, cls._N_LINKS, frame.metric_type(faiss))
            index.init_level0 = False
            for batch in batches(n, n_columns):
                index.add(frame.rows(points[batch]))
            levels = faiss.vector_to_array(index.hnsw.levels)
        lowest = np.flatnonzero(levels == 1)
        held_out = np.sort(rng.choice(lowest, min(n_held_out, len(lowest) // 2), replace=False))
        distances, neighbors = kneighbors(
            points,
            min(cls._N_LINKS, n - 1),
            metric=frame.metric,  # type: ignore[arg-type]
            recall=cls._BUILD_RECALL,
            n_jobs=n_threads,
        )
        graph = cls(index, frame)
        gaps, links = _both_ways(frame.gaps(distances), neighbors)
        del distances, neighbors
        is_held_out = np.zeros(n, dtype=bool)
        is_held_out[held_out] = True
        itself = np.arange(n)[:, None]  # which faiss skips
        graph._link(
            gaps, np.where(is_held_out[links] | is_held_out[:, None], itself, links), n_threads
        )
        graph._complete = gaps, links
        return graph, held_out

    def _link(self, gaps: Rows, links: NDArray[np.int64], n_threads: int) -> None:
        with limited(n_threads) as faiss:
            self.index.init_level_0_from_knngraph(
                links.shape[1], faiss.swig_ptr(gaps), faiss.swig_ptr(links)
            )

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
        with limited(n_threads) as faiss:
            parameters = faiss.SearchParametersHNSW(efSearch=max(setting[0], k))
            found: NDArray[np.int64] = self.index.search(rows, k, params=parameters)[1]
        return found


def _both_ways(gaps: Rows, neighbors: NDArray[np.int64]) -> tuple[Rows, NDArray[np.int64]]:
    """Beside the k neighbours of each sample, k of those that it is a neighbour of.

    Where there are fewer, the sample itself stands.
    """
    from scipy import sparse

    n, k = neighbors.shape
    directed = sparse.csr_array(
        (gaps.ravel(), neighbors.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n)
    )
    reverse = directed.tocsc()
    del directed
    counts = np.diff(reverse.indptr)
    rank = np.arange(n * k) - np.repeat(reverse.indptr[:-1], counts)
    kept = rank < k
    place = (np.repeat(np.arange(n), counts)[kept], k + rank[kept])
    links = np.repeat(np.arange(n)[:, None], 2 * k, axis=1)
    all_gaps = np.zeros((n, 2 * k), dtype=np.float32)
    links[:, :k] = neighbors
    all_gaps[:, :k] = gaps
    links[place] = reverse.indices[kept]
    all_gaps[place] = reverse.data[kept]
    return all_gaps, links


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
        centers = _centers(train, n_lists, cls._TRAIN_ROUNDS, rng, n_threads, show)
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
        metric = "inner_product" if self.frame.is_similarity else "euclidean"
        gaps, nearest = kneighbors(
            self.centers,
            n_probes,
            Y=rows,
            metric=metric,  # type: ignore[arg-type]
            n_jobs=n_threads,
        )
        with limited(n_threads):
            self.index.nprobe = n_probes  # the wrapper takes it from here alone
            found: NDArray[np.int64] = self.index.search_preassigned(
                rows, k * factor, nearest, -gaps if self.frame.is_similarity else gaps**2
            )[1]
        return found


def _centers(
    rows: Rows,
    n_centers: int,
    n_rounds: int,
    rng: np.random.RandomState,
    n_threads: int,
    show: Show,
) -> Rows:
    """Lloyd's algorithm from random rows; the same for any number of threads."""
    from scipy import sparse

    n = len(rows)
    centers = rows[np.sort(rng.choice(n, min(n, n_centers), replace=False))].copy()
    ones = np.ones(n, dtype=np.float32)
    for i in range(n_rounds):
        nearest = kneighbors(centers, 1, Y=rows, n_jobs=n_threads)[1].ravel()
        members = sparse.csr_array((ones, (nearest, np.arange(n))), shape=(len(centers), n))
        counts = np.bincount(nearest, minlength=len(centers))
        filled = counts > 0
        centers[filled] = (members @ rows)[filled] / counts[filled, None]
        if show is not None:
            show("centres", (i + 1) / n_rounds)
    return centers


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
