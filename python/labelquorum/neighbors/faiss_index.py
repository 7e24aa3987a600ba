"""The two kinds of index, and all contact with faiss, which is imported when it is first needed.

faiss sees float32 rows in a coordinate frame of their own (`IndexFrame`). It only proposes
candidates: true distances are computed elsewhere, from the rows as given. faiss is called in
batches, so that signals and progress are handled in between, and with a limit on its threads that
ends with the call.

Nothing here depends on the number of threads. Steps that faiss would do in an order of its own
(inserting into a graph), or by matrix products that round depending on their size (choosing lists),
are done by this package's kernels.

A new index leaves out some samples (`held_out`), which can serve as queries that it has never seen.
`complete` adds them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.progress import Show
from labelquorum._shared.samples import Points
from labelquorum.neighbors.dense_search import Distances, Indices
from labelquorum.neighbors.kmeans import kmeans_centers
from labelquorum.neighbors.search import kneighbors

Float32Rows: TypeAlias = NDArray[np.float32]

_ROWS_PER_BATCH = 1024
_BYTES_PER_BATCH = 1 << 25
_ROWS_FOR_FRAME = 10_000
_SAFE_MAGNITUDE = 1e15  # Sums of squares of such values still fit in float32.

# A forked process has the OpenMP runtime, but not the threads that the runtime would wait for.
_forked_with_faiss = False


def _after_fork() -> None:
    global _forked_with_faiss
    _forked_with_faiss = _forked_with_faiss or "faiss" in sys.modules


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def limited(n_threads: int) -> Iterator[Any]:
    """Yield the faiss module; calls from this thread use at most `n_threads` threads meanwhile."""
    try:
        import faiss
    except ImportError as error:
        raise ImportError(
            "recall below 1 needs the faiss package (pip install faiss-cpu); recall=None does not"
        ) from error
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1 if _forked_with_faiss else n_threads)
    try:
        yield faiss
    finally:
        faiss.omp_set_num_threads(before)


def batches(n: int, n_columns: int) -> list[slice]:
    """Cut n rows into slices of bounded size, which do not depend on the number of threads."""
    step = max(1, min(_ROWS_PER_BATCH, _BYTES_PER_BATCH // (8 * n_columns)))
    return [slice(begin, min(n, begin + step)) for begin in range(0, n, step)]


class IndexFrame(NamedTuple):
    """How rows become the float32 rows of an index: of unit length, or (row - shift) * scale."""

    metric: str
    shift: NDArray[np.float64] | None  # (n_features,)
    scale: float  # a power of two

    @classmethod
    def fitted(cls, points: Points, metric: str) -> IndexFrame:
        """Return the frame in which float32 can tell the points apart, from a sample of them."""
        if metric == "cosine":
            return cls(metric, None, 1.0)
        sample = points[:: max(1, len(points) // _ROWS_FOR_FRAME)].astype(np.float64)
        shift = None
        if metric == "euclidean":
            mean = sample.mean(axis=0)
            spread = np.abs(sample - mean).max()
            if np.abs(mean).max() > 10 * spread:
                shift, sample = mean, sample - mean
        largest = float(np.abs(sample).max())
        is_ordinary = largest == 0 or 1 / _SAFE_MAGNITUDE < largest < _SAFE_MAGNITUDE
        return cls(metric, shift, 1.0 if is_ordinary else 2.0 ** -int(np.log2(largest)))

    @property
    def is_similarity(self) -> bool:
        """Whether larger values mean nearer in the index."""
        return self.metric != "euclidean"

    def rows(self, points: Points) -> Float32Rows:
        """Return the rows for the index; float32 rows that need no change are not copied."""
        if self.metric == "cosine":
            rows = points.astype(np.float64)
            largest = np.abs(rows).max(axis=1, keepdims=True)
            rows /= np.where(largest == 0, 1, largest)
            norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
            rows /= np.where(norms == 0, 1, norms)
        elif self.shift is None and self.scale == 1:
            return np.ascontiguousarray(points, dtype=np.float32)
        else:
            shift = 0 if self.shift is None else self.shift
            rows = (points.astype(np.float64) - shift) * self.scale
        with np.errstate(over="ignore"):
            return rows.astype(np.float32)

    def index_distances(self, distances: Distances) -> Float32Rows:
        """Convert distances between points to what the index computes."""
        if self.metric == "euclidean":
            return ((distances * self.scale) ** 2).astype(np.float32)
        if self.metric == "cosine":
            return (distances - 1).astype(np.float32)
        return (distances * self.scale**2).astype(np.float32)

    def faiss_metric(self, faiss: Any) -> int:
        """Return faiss's number for the metric."""
        return int(faiss.METRIC_INNER_PRODUCT if self.is_similarity else faiss.METRIC_L2)


class Graph:
    """A graph that links each sample to near ones in many directions; searches follow the links.

    This is the lowest layer of a hierarchical navigable small world (Malkov and Yashunin, IEEE
    TPAMI 42(4), 2020), but it is not grown by insertion. A sample is linked to those of its nearest
    neighbors that are nearer to it than to each other, and these are linked back to it. In place of
    the upper layers, a search starts from the nearest of some random samples. `kneighbors` finds
    both.
    """

    kind = "graph"
    _N_LINKS = 32  # from a sample to its neighbors, at most; twice that with the links back
    _BUILD_RECALL = 0.95
    # Per sample while the graph is built: two copies of its neighbors, their distances, and pairs
    # to sort.
    _BUILD_BYTES = _N_LINKS * (12 + 12 + 8 + 40)
    _SAMPLES_PER_START = 16
    _MAX_START_VALUES = 1 << 20  # of all rows to start from
    _STARTS_PER_SEARCH = 4
    _JOINT_SEARCH = 2  # faiss's code for one search from all starts

    def __init__(self, index: Any, frame: IndexFrame) -> None:
        self.index = index
        self.frame = frame
        self._starts = self._chosen_starts(index.ntotal, index.d)
        self._start_rows: Float32Rows = index.reconstruct_batch(self._starts)
        # Distances and neighbors of all samples, kept until `complete`.
        self._all_neighbors: tuple[Float32Rows, Indices] | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Number of samples and of features."""
        return self.index.ntotal, self.index.d

    @classmethod
    def n_bytes(cls, n: int, n_columns: int) -> int:
        """Return the most memory that building takes."""
        return n * (4 * n_columns + 4 * (2 * cls._N_LINKS + 4) + cls._BUILD_BYTES)

    @classmethod
    def _chosen_starts(cls, n: int, n_columns: int) -> Indices:
        most = max(256, cls._MAX_START_VALUES // n_columns)
        n_starts = min(most, max(cls._STARTS_PER_SEARCH, n // cls._SAMPLES_PER_START))
        # A fixed seed: a loaded graph must have the same starts.
        return np.sort(np.random.RandomState(0).choice(n, n_starts, replace=False))

    @classmethod
    def build(
        cls,
        points: Points,
        frame: IndexFrame,
        n_held_out: int,
        rng: np.random.RandomState,
        n_threads: int,
        show: Show,
    ) -> tuple[Graph, Indices]:
        """Build the index without some points; return it and the indices of those."""
        graph = cls._without_links(points, frame, n_threads)
        if show is not None:
            show("graph", 0.05)
        n = len(points)
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
        index_distances = frame.index_distances(distances)
        del distances
        is_held_out = np.zeros(n, dtype=bool)
        is_held_out[held_out] = True
        is_hidden = is_held_out[neighbors] | is_held_out[:, None]
        itself = np.arange(n)[:, None]  # faiss skips links to the sample itself
        graph._link(index_distances, np.where(is_hidden, itself, neighbors), n_threads)
        graph._all_neighbors = index_distances, neighbors
        if show is not None:
            show("graph", 1.0)
        return graph, held_out

    @classmethod
    def _without_links(cls, points: Points, frame: IndexFrame, n_threads: int) -> Graph:
        n, n_columns = points.shape
        with limited(n_threads) as faiss:
            index = faiss.IndexHNSWFlat(n_columns, cls._N_LINKS, frame.faiss_metric(faiss))
            index.init_level0 = False
            # These probabilities put no sample into an upper layer.
            index.hnsw.assign_probas.clear()
            index.hnsw.cum_nneighbor_per_level.clear()
            index.hnsw.set_default_probas(cls._N_LINKS, 0.01)
            for batch in batches(n, n_columns):
                index.add(frame.rows(points[batch]))
        return cls(index, frame)

    def _link(self, index_distances: Float32Rows, neighbors: Indices, n_threads: int) -> None:
        n = len(neighbors)
        with limited(n_threads) as faiss:
            self.index.init_level_0_from_knngraph(
                neighbors.shape[1], faiss.swig_ptr(index_distances), faiss.swig_ptr(neighbors)
            )
            links = faiss.vector_to_array(self.index.hnsw.neighbors).reshape(n, -1)
            _link_back(links)
            faiss.copy_array_to_vector(links.ravel(), self.index.hnsw.neighbors)

    def complete(self, points: Points, held_out: Indices, n_threads: int) -> None:
        """Add the held-out points."""
        assert self._all_neighbors is not None
        self._link(*self._all_neighbors, n_threads)
        self._all_neighbors = None

    def settings(self, n: int, k: int) -> Sequence[tuple[int, ...]]:
        """Return settings to try, the fastest first, up to the speed of exact search.

        A setting is the number of candidates that a search keeps.
        """
        widths = [max(8, k)]
        while widths[-1] * 1.25 < n / 50:
            widths.append(int(widths[-1] * 1.25) + 1)
        return [(width,) for width in widths]

    def candidates(
        self, rows: Float32Rows, k: int, setting: tuple[int, ...], n_threads: int
    ) -> Indices:
        """Return k or more points near each row, or -1 in their place."""
        index_distances, nearest = _nearest_rows(
            self._start_rows, rows, self._STARTS_PER_SEARCH, self.frame, n_threads
        )
        starts = self._starts[nearest].astype(np.int32)
        candidates = np.empty((len(rows), k), dtype=np.int64)
        unused_distances = np.empty((len(rows), k), dtype=np.float32)
        with limited(n_threads) as faiss:
            self.index.hnsw.efSearch = max(setting[0], k)
            self.index.search_level_0(
                len(rows),
                faiss.swig_ptr(rows),
                k,
                faiss.swig_ptr(starts),
                faiss.swig_ptr(index_distances),
                faiss.swig_ptr(unused_distances),
                faiss.swig_ptr(candidates),
                self._STARTS_PER_SEARCH,
                self._JOINT_SEARCH,
            )
        # Versions of faiss expect different signs for the similarities of the starts. With the
        # wrong sign faiss drops the starts, so they are added here.
        return np.hstack([candidates, starts]) if self.frame.is_similarity else candidates


def _nearest_rows(
    centers: Float32Rows, rows: Float32Rows, k: int, frame: IndexFrame, n_threads: int
) -> tuple[Float32Rows, Indices]:
    """Return the squared distances or similarities of the k nearest centers, and the centers."""
    distances, nearest = kneighbors(
        centers,
        k,
        Y=rows,
        metric="inner_product" if frame.is_similarity else "euclidean",
        n_jobs=n_threads,
    )
    return -distances if frame.is_similarity else distances**2, nearest


def _link_back(links: NDArray[np.int32]) -> None:
    """Add the reverse of each link where the target has room, links from near samples first.

    A row holds the links of a sample, nearest first, filled up with -1.
    """
    n, width = links.shape
    counts = (links >= 0).sum(axis=1)
    links_by_rank = links[:, : counts.max()].T
    ranks, sources = np.nonzero(links_by_rank >= 0)
    targets = links_by_rank[ranks, sources]
    order = np.argsort(targets, kind="stable")
    targets, sources = targets[order], sources[order]
    firsts = np.searchsorted(targets, np.arange(n))
    positions = counts[targets] + np.arange(len(targets)) - firsts[targets]
    has_room = positions < width
    links[targets[has_room], positions[has_room]] = sources[has_room]


class Lists:
    """Inverted lists of compressed rows: each point is in the list of its nearest center.

    A point is stored as its difference from the center, in 8 or 4 bits per value. A search looks
    through the lists of the nearest centers and proposes more candidates than are asked for.
    """

    kind = "lists"
    _TRAINING_ROWS_PER_LIST = 32
    _TRAINING_BYTES = 1 << 28
    _TRAINING_ROUNDS = 8
    _ROWS_FOR_RANGES = 16_384

    def __init__(self, index: Any, frame: IndexFrame, centers: Float32Rows) -> None:
        self.index = index
        self.frame = frame
        self.centers = centers

    @property
    def shape(self) -> tuple[int, int]:
        """Number of samples and of features."""
        return self.index.ntotal, self.index.d

    @classmethod
    def n_bytes(cls, n: int, n_columns: int, bits: int) -> int:
        """Return the most memory that building takes: lists grow by doubling."""
        return 2 * n * (n_columns * bits // 8 + 9) + 3 * cls._TRAINING_BYTES

    @classmethod
    def build(
        cls,
        points: Points,
        frame: IndexFrame,
        n_held_out: int,
        rng: np.random.RandomState,
        n_threads: int,
        show: Show,
        bits: int = 8,
    ) -> tuple[Lists, Indices]:
        """Build the index without some points; return it and the indices of those."""
        n, n_columns = points.shape
        held_out = np.sort(rng.choice(n, min(n_held_out, n // 2), replace=False))
        n_lists = int(4 * np.sqrt(n))
        n_training = min(
            n,
            n_lists * cls._TRAINING_ROWS_PER_LIST,
            cls._TRAINING_BYTES // (4 * n_columns) + n_lists,
        )
        chosen = rng.permutation(n)[:n_training]
        training = frame.rows(points[np.sort(chosen)])
        centers = kmeans_centers(training, n_lists, cls._TRAINING_ROUNDS, rng, n_threads, show)
        lists = cls._empty(training, frame, centers, bits)
        is_held_out = np.zeros(n, dtype=bool)
        is_held_out[held_out] = True
        for batch in batches(n, n_columns):
            ids = np.arange(batch.start, batch.stop)
            is_chosen = ~is_held_out[batch]
            lists._add(points[batch][is_chosen], ids[is_chosen], n_threads)
            if show is not None:
                show("index", batch.stop / n)
        return lists, held_out

    @classmethod
    def _empty(
        cls, training: Float32Rows, frame: IndexFrame, centers: Float32Rows, bits: int
    ) -> Lists:
        # One thread, since faiss multiplies matrices here.
        with limited(1) as faiss:
            metric = frame.faiss_metric(faiss)
            quantizer = faiss.IndexFlat(centers.shape[1], metric)
            quantizer.add(centers)
            index = faiss.IndexIVFScalarQuantizer(
                quantizer,
                centers.shape[1],
                len(centers),
                faiss.ScalarQuantizer.QT_8bit if bits == 8 else faiss.ScalarQuantizer.QT_4bit,
                metric,
            )
            index.train(training[:: max(1, len(training) // cls._ROWS_FOR_RANGES)])
        return cls(index, frame, centers)

    def _add(self, points: Points, ids: Indices, n_threads: int) -> None:
        if not len(ids):
            return
        rows = np.ascontiguousarray(self.frame.rows(points))
        nearest = kneighbors(self.centers, 1, Y=rows, n_jobs=n_threads)[1]
        with limited(n_threads) as faiss:
            self.index.add_core(
                len(rows), faiss.swig_ptr(rows), faiss.swig_ptr(ids), faiss.swig_ptr(nearest)
            )

    def complete(self, points: Points, held_out: Indices, n_threads: int) -> None:
        """Add the held-out points."""
        for batch in batches(len(held_out), points.shape[1]):
            self._add(points[held_out[batch]], held_out[batch], n_threads)

    def settings(self, n: int, k: int) -> Sequence[tuple[int, ...]]:
        """Return settings to try, the fastest first, up to the speed of exact search.

        A setting is the number of lists to look through, and of candidates per neighbor.
        """
        most = max(1, len(self.centers) // 4)
        probes = sorted({min(most, int(1.5**i)) for i in range(1, 40)})
        return [(probe, factor) for probe in probes for factor in (2, 8)]

    def candidates(
        self, rows: Float32Rows, k: int, setting: tuple[int, ...], n_threads: int
    ) -> Indices:
        """Return k or more points near each row, or -1 in their place."""
        n_probes, factor = setting
        index_distances, nearest = _nearest_rows(
            self.centers, rows, n_probes, self.frame, n_threads
        )
        with limited(n_threads):
            # faiss's wrapper reads the number of lists from here only.
            self.index.nprobe = n_probes
            candidates: Indices = self.index.search_preassigned(
                rows, k * factor, nearest, index_distances
            )[1]
        return candidates


Index: TypeAlias = Graph | Lists


def write(index: Index, file: BinaryIO) -> None:
    """Write the index to an open file, in faiss's format."""
    with limited(1) as faiss:
        faiss.write_index(index.index, faiss.PyCallbackIOWriter(file.write))


def read(kind: str, frame: IndexFrame, file: BinaryIO, n_bytes: int | None = None) -> Index:
    """Read what `write` wrote, from a file of `n_bytes`, None if it is not known.

    The file must be known to be undamaged: faiss checks little. Raises ValueError or RuntimeError
    if it holds another kind of index, or links to samples that there are not.
    """
    with limited(1) as faiss, _limited_vectors(faiss, n_bytes):
        index = faiss.read_index(faiss.PyCallbackIOReader(file.read))
        wanted = faiss.IndexHNSWFlat if kind == Graph.kind else faiss.IndexIVFScalarQuantizer
        if type(index) is not wanted:
            raise ValueError(f"the index must be a {wanted.__name__}, got a {type(index).__name__}")
        if kind == Graph.kind:
            links = faiss.vector_to_array(index.hnsw.neighbors)
            n_links, rest = divmod(links.size, max(1, index.ntotal))
            if rest or not n_links or links.min() < -1 or links.max() >= index.ntotal:
                raise ValueError("the index must hold links between its samples")
            return Graph(index, frame)
        return Lists(index, frame, index.quantizer.reconstruct_n(0, index.nlist))


@contextmanager
def _limited_vectors(faiss: Any, n_bytes: int | None) -> Iterator[None]:
    """Let faiss read no vector larger than this, where its version can be told so."""
    if n_bytes is None or not hasattr(faiss, "set_deserialization_vector_byte_limit"):
        yield
        return
    before = faiss.get_deserialization_vector_byte_limit()
    faiss.set_deserialization_vector_byte_limit(n_bytes)
    try:
        yield
    finally:
        faiss.set_deserialization_vector_byte_limit(before)
