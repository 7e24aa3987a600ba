"""Nearest neighbours of new samples among fixed ones, by an index that keeps a promised recall."""

from __future__ import annotations

import json
import os
import struct
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast, overload

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from labelquorum import _core
from labelquorum._shared.arguments import (
    METRICS,
    as_choice,
    as_fraction,
    as_n_threads,
    as_points,
    as_positive,
    check_finite,
    validated_points,
)
from labelquorum._shared.files import FileError, replacing
from labelquorum._shared.progress import progress
from labelquorum.neighbors import faiss_index as _faiss
from labelquorum.neighbors.search import SearchQuality, kneighbors

Distances = NDArray[np.floating[Any]]
Indices = NDArray[np.int64]

_EXACT_BELOW = 10_000  # points: searched so fast that an index is not worth its making
_SAMPLE = 1_000
_FAILURES_IN_SAMPLE = 8  # at least so many are to be expected in a sample that judges a recall
_ERROR_SHARE = 0.7  # of the errors allowed: queries are seldom quite like the samples
_QUANTILE = 2.33  # of the normal distribution: one lower bound of 100 is too high
_MEMORY_SHARE = 0.5  # of what is available, for an index

_FORMAT = "labelquorum.NeighborSearcher"
_FORMAT_VERSION = 1
_ALIGNMENT = 64
_PADDING_ID = 0xD935  # of an extra field in a zip archive: "alignment"
_READ_BYTES = 1 << 22
# What reading a damaged archive may raise; faiss's own is a RuntimeError.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    KeyError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)


_EXACT = SearchQuality(1.0, 1.0, 0, "exact")


class NeighborSearcher(BaseEstimator):
    """Search for the nearest neighbours of new samples among those of one data set.

    Parameters
    ----------
    metric : {"euclidean", "cosine", "inner_product"}, default="euclidean"
        As for `kneighbors`.
    recall : float in (0, 1], optional
        The share of true neighbours that is enough; None, or 1, for all of them. The method is
        chosen, and its settings are tuned, from the data and this.
    n_neighbors : int, default=15
        The most neighbours that will be wanted: what the recall is measured for.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.
    random_state : int, RandomState instance or None, default=None
        Draws the samples that the recall is measured on, and the first centres of lists.

    Attributes
    ----------
    quality_ : SearchQuality
        The recall measured by `fit`, its lower bound at 99 % confidence, the number of samples it
        was measured on, and the method: "exact", "graph" or "lists".
    n_samples_fit_ : int
        Samples searched.
    n_features_in_ : int
        Features of each.
    feature_names_in_ : array of shape (`n_features_in_`,)
        Their names, where the data had names.

    See Also
    --------
    kneighbors : the same for all samples of a data set, or exact, without an object to keep.
    KNeighborsTransformer : for scikit-learn's pipelines.

    Notes
    -----
    *Exact* search has nothing to prepare; it takes O(n_samples n_features) per query, as
    `kneighbors` does. Below a recall of 1, from some 10,000 samples on, `fit` makes an index with
    faiss (Douze et al., "The Faiss library", 2024): a graph of neighbours (HNSW; Malkov and
    Yashunin, IEEE TPAMI 42(4), 2020), or, where that would take more than half of the available
    memory or does not reach the recall, inverted lists of rows compressed to 8 or 4 bits per value
    (Jegou et al., IEEE TPAMI 33(1), 2011). Where neither reaches the recall, the search is exact.

    The promise is kept by measuring: some thousand random samples are held back from the index,
    searched for exactly and by the index, and the settings raised until a lower bound of the recall
    (at 99 % confidence) leaves out no more than 0.7 of what `recall` allows. It then holds for
    queries like the samples, and others not too unlike;
    ``query(..., return_quality=True)`` measures it for the queries at hand. Of neighbours at equal
    distances any count as true. Distances are measured in double precision on the rows as given,
    whatever proposed them.

    A graph takes about 4 n_features + 270 bytes per sample, and 3 KB more while it is made; lists
    n_features bytes or half of that. The samples themselves are not copied: leave the array as it
    is. In a process that was forked after faiss was loaded, faiss runs on one thread.

    Examples
    --------
    >>> import labelquorum as lq
    >>> searcher = lq.NeighborSearcher(n_neighbors=2).fit([[0.0], [1.0], [3.0], [7.0]])
    >>> distances, indices = searcher.query([[2.5], [9.0]])
    >>> indices
    array([[2, 1],
           [3, 2]])
    >>> distances
    array([[0.5, 1.5],
           [2. , 6. ]])
    >>> searcher.quality_.method
    'exact'
    """

    __module__ = "labelquorum"

    def __init__(
        self,
        *,
        metric: Literal["euclidean", "cosine", "inner_product"] = "euclidean",
        recall: float | None = None,
        n_neighbors: int = 15,
        n_jobs: int | None = None,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self.metric = metric
        self.recall = recall
        self.n_neighbors = n_neighbors
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> NeighborSearcher:
        """Prepare for the search among the samples of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The samples. float16, float32 and float64 are read as they are, whatever their strides,
            memory maps included; integers are converted. Kept, not copied.
        y : ignored
            For scikit-learn's sake.

        Returns
        -------
        NeighborSearcher
            Itself.

        Raises
        ------
        TypeError, ValueError
            If a parameter is of the wrong type or range, or X holds NaN, infinity or values beyond
            1e150.
        MemoryError
            If too little memory is available.

        Warns
        -----
        UserWarning
            If the recall cannot be reached with what fits in memory.
        """
        as_choice(self.metric, "metric", METRICS)
        target = None if self.recall is None else as_fraction(self.recall, "recall")
        k = as_positive(self.n_neighbors, "n_neighbors")
        n_threads = as_n_threads(self.n_jobs)
        points = validated_points(self, X, "X", reset=True)
        check_finite(points, "X")
        self._points = points
        self._index: _faiss.Index | None = None
        self._setting: tuple[int, ...] = ()
        self.quality_ = _EXACT
        self.n_samples_fit_ = len(points)
        # An index answers no more than this many, so more cannot be measured, either.
        n_sample = 0 if target is None else _sample_size(target)
        if target is None or len(points) < max(_EXACT_BELOW, 4 * n_sample, 100 * k):
            return self
        rng = check_random_state(self.random_state)
        with progress(self.verbose) as show:
            self._choose_index(target, k, n_sample, rng, n_threads, show)
        if self.quality_.lower_bound < target:
            warnings.warn(
                f"recall is {self.quality_.recall:.3f} (at least "
                f"{self.quality_.lower_bound:.3f}), {target} was wanted: too little memory is "
                "available for a better index; recall=None searches exactly",
                stacklevel=2,
            )
        return self

    def _choose_index(
        self,
        target: float,
        k: int,
        n_sample: int,
        rng: np.random.RandomState,
        n_threads: int,
        show: _faiss.Show,
    ) -> None:
        points = self._points
        n, n_columns = points.shape
        frame = _faiss.Frame.of(points, self.metric)
        goal = 1 - _ERROR_SHARE * (1 - target)
        memory = int(_MEMORY_SHARE * _core.available_memory())
        builds: list[tuple[type[_faiss.Graph] | type[_faiss.Lists], dict[str, int]]] = []
        if _faiss.Graph.n_bytes(n, n_columns) <= memory:
            builds.append((_faiss.Graph, {}))
        bits = 8 if _faiss.Lists.n_bytes(n, n_columns, 8) <= memory else 4
        needed = _faiss.Lists.n_bytes(n, n_columns, bits)
        if not builds and needed > memory:
            raise MemoryError(
                f"{needed} bytes are needed for an index of {n} samples, {memory} (half of what is "
                "available) may be used; recall=None needs none"
            )
        builds.append((_faiss.Lists, {"bits": bits}))
        for build, options in builds:
            index, held_out = build.build(points, frame, n_sample, rng, n_threads, show, **options)
            last_distances = _last_distances(points, held_out, k, self.metric, n_threads)
            self._index = index
            for setting in index.settings(n, k):
                self._setting = setting
                found, _ = self._by_index(points[held_out], k, n_threads, None)
                self.quality_ = _quality(found, last_distances, index.kind)
                if self.quality_.lower_bound >= goal:
                    break
            if self.quality_.lower_bound >= goal:
                break
        else:
            if 4 * points.size <= memory:
                self._index, self._setting, self.quality_ = None, (), _EXACT
                return
        index.complete(points, held_out, n_threads)

    @overload
    def query(
        self, Y: Any, n_neighbors: int | None = None, *, return_quality: Literal[False] = False
    ) -> tuple[Distances, Indices]: ...
    @overload
    def query(
        self, Y: Any, n_neighbors: int | None = None, *, return_quality: Literal[True]
    ) -> tuple[Distances, Indices, SearchQuality]: ...
    def query(
        self, Y: Any, n_neighbors: int | None = None, *, return_quality: bool = False
    ) -> tuple[Distances, Indices] | tuple[Distances, Indices, SearchQuality]:
        """Find the nearest samples to each of some new ones.

        Parameters
        ----------
        Y : array-like of shape (n_queries, n_features)
            The new samples, as X for `fit`.
        n_neighbors : int, optional
            Neighbours of each; None for the `n_neighbors` of the searcher, which is also the most
            where the search is not exact.
        return_quality : bool, default=False
            Measure the recall on a random sample of Y, up to some thousand, against exact search.

        Returns
        -------
        distances : float array of shape (n_queries, n_neighbors)
            Nearest first; float64 where X or Y is, else float32.
        indices : int64 array of shape (n_queries, n_neighbors)
            Rows of X. Of samples at the same distance, those of smaller index come first.
        quality : SearchQuality
            With `return_quality`.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        TypeError, ValueError, MemoryError
            As for `fit`.

        Warns
        -----
        UserWarning
            If the recall measured with `return_quality` is less than was wanted, as it can be where
            Y is unlike X.
        """
        check_is_fitted(self, "quality_")
        n_threads = as_n_threads(self.n_jobs)
        queries = validated_points(self, Y, "Y", reset=False)
        k = as_positive(self.n_neighbors if n_neighbors is None else n_neighbors, "n_neighbors")
        if k > self.n_samples_fit_:
            raise ValueError(
                f"n_neighbors is {k}; wanted at most {self.n_samples_fit_}: the samples of X "
                f"(n_samples_fit = {self.n_samples_fit_})"
            )
        if self._index is not None and k > self.n_neighbors:
            raise ValueError(
                f"n_neighbors is {k}; wanted at most {self.n_neighbors}, which the recall was "
                "measured for: give the searcher a larger n_neighbors before fit"
            )
        with progress(self.verbose) as show:
            if self._index is None:
                distances, indices, _ = _core.neighbors(
                    self._points, queries, k, self.metric, 1.0, n_threads, show
                )
            else:
                check_finite(queries, "Y")
                distances, indices = self._by_index(queries, k, n_threads, show)
                self._fill_missing(queries, k, distances, indices, n_threads)
        if not return_quality:
            return distances, indices
        quality = _EXACT if self._index is None else self._measured(queries, distances, n_threads)
        return distances, indices, quality

    def _measured(self, queries: Any, distances: Distances, n_threads: int) -> SearchQuality:
        assert self._index is not None
        target = cast(float, self.recall)
        rng = check_random_state(self.random_state)
        n_sample = min(len(queries), _sample_size(target))
        sample = np.sort(rng.choice(len(queries), n_sample, replace=False))
        k = distances.shape[1]
        exact, _ = kneighbors(
            self._points, k, metric=self.metric, Y=queries[sample], n_jobs=n_threads
        )
        quality = _quality(distances[sample], exact[:, -1], self._index.kind)
        if quality.recall < target:
            warnings.warn(
                f"recall is {quality.recall:.3f} on {n_sample} of these queries, {target} was "
                "wanted: they may be unlike the samples searched; recall=None searches exactly",
                stacklevel=3,
            )
        return quality

    def _by_index(
        self, queries: _faiss.Points, k: int, n_threads: int, show: _faiss.Show
    ) -> tuple[Distances, Indices]:
        """Search with the index; where it finds fewer, the rest is at infinity, with index -1."""
        index = cast(_faiss.Index, self._index)
        n = len(queries)
        wide = np.float64 in (self._points.dtype, queries.dtype)
        distances = np.empty((n, k), dtype=np.float64 if wide else np.float32)
        indices = np.empty((n, k), dtype=np.int64)
        for batch in _faiss.batches(n, queries.shape[1]):
            rows = index.frame.rows(queries[batch])
            candidates = index.candidates(rows, k, self._setting, n_threads)
            distances[batch], indices[batch] = _core.nearest_candidates(
                self._points, queries[batch], candidates, k, self.metric, n_threads, None
            )
            if show is not None:
                show("search", batch.stop / n)
        return distances, indices

    def _fill_missing(
        self,
        queries: _faiss.Points,
        k: int,
        distances: Distances,
        indices: Indices,
        n_threads: int,
    ) -> None:
        missing = np.flatnonzero(indices[:, -1] < 0)
        if len(missing):
            distances[missing], indices[missing] = kneighbors(
                self._points, k, metric=self.metric, Y=queries[missing], n_jobs=n_threads
            )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted searcher to a file, its samples included.

        Parameters
        ----------
        path : path-like
            Replaced, where it exists, once the new file is complete.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        OSError
            If the file cannot be written.

        Notes
        -----
        An uncompressed zip archive: ``meta.json`` (format, version, parameters, tuning),
        ``points.npy`` and, unless the search is exact, ``index.faiss``. Nothing is pickled.
        `n_jobs`, `verbose` and a `random_state` other than an int are not kept.
        """
        check_is_fitted(self, "quality_")
        seed = self.random_state
        names = getattr(self, "feature_names_in_", None)
        meta: dict[str, Any] = {
            "format": _FORMAT,
            "version": _FORMAT_VERSION,
            "metric": self.metric,
            "recall": None if self.recall is None else float(self.recall),
            "n_neighbors": int(self.n_neighbors),
            "random_state": int(seed) if isinstance(seed, (int, np.integer)) else None,
            "feature_names": None if names is None else names.tolist(),
            "quality": self.quality_._asdict(),
            "setting": list(self._setting),
        }
        if self._index is not None:
            frame = self._index.frame
            meta["shift"] = None if frame.shift is None else frame.shift.tolist()
            meta["scale"] = frame.scale
        try:
            with replacing(Path(path)) as file, zipfile.ZipFile(file, "w") as archive:
                archive.writestr("meta.json", json.dumps(meta))
                with _new_member(archive, file, "points.npy") as member:
                    _write_points(member, self._points)
                if self._index is not None:
                    with _new_member(archive, file, "index.faiss") as member:
                        _faiss.write(self._index, member)
        except FileError as error:
            raise OSError(str(error)) from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> NeighborSearcher:
        """Read a searcher that `save` wrote.

        Parameters
        ----------
        path : path-like
            Has to stay as it is while the searcher is used: its samples are mapped, not read.

        Returns
        -------
        NeighborSearcher
            Fitted; answers as the one that was saved.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If it is damaged, not a saved searcher, or of a version that is not known here.

        Notes
        -----
        Damage to what is read is found by checksums (the mapped samples are not read). Load only
        what you trust: faiss does not guard against files made to harm.
        """
        with open(path, "rb") as file:
            try:
                with zipfile.ZipFile(file) as archive:
                    meta = json.loads(archive.read("meta.json"))
                    if meta["format"] != _FORMAT:
                        raise ValueError(f"its format is {meta['format']!r}")
                    if meta["version"] == _FORMAT_VERSION:
                        return cls._from_archive(meta, archive, file, path)
            except _DAMAGE as error:
                message = " ".join(str(error).split())
                raise ValueError(
                    f"{os.fspath(path)} is damaged or not a saved searcher ({message})"
                ) from error
        raise ValueError(
            f"{os.fspath(path)} has version {meta['version']} of the format; wanted "
            f"{_FORMAT_VERSION}: a newer labelquorum may read it"
        )

    @classmethod
    def _from_archive(
        cls,
        meta: dict[str, Any],
        archive: zipfile.ZipFile,
        file: BinaryIO,
        path: str | os.PathLike[str],
    ) -> NeighborSearcher:
        searcher = cls(
            metric=meta["metric"],
            recall=meta["recall"],
            n_neighbors=meta["n_neighbors"],
            random_state=meta["random_state"],
        )
        as_choice(searcher.metric, "metric", METRICS)
        points = _map_points(archive, file, path)
        searcher._points = as_points(points, "points")
        searcher.n_samples_fit_, searcher.n_features_in_ = points.shape
        if meta["feature_names"] is not None:
            searcher.feature_names_in_ = np.array(meta["feature_names"], dtype=object)
        searcher.quality_ = SearchQuality(**meta["quality"])
        searcher._setting = tuple(meta["setting"])
        searcher._index = None
        if searcher.quality_.method != "exact":
            shift = None if meta["shift"] is None else np.array(meta["shift"])
            frame = _faiss.Frame(searcher.metric, shift, meta["scale"])
            _check_sum(archive, "index.faiss")
            with archive.open("index.faiss") as member:
                searcher._index = _faiss.read(
                    searcher.quality_.method, frame, cast(BinaryIO, member)
                )
            held = searcher._index.index
            if (held.ntotal, held.d) != points.shape:
                raise ValueError(f"an index of {held.ntotal} x {held.d} for {points.shape}")
        return searcher


def _sample_size(target: float) -> int:
    """Samples to measure a recall on: more the nearer to 1 it is."""
    if target == 1:
        return 1 << 62  # as many as there are: exact search is no dearer
    return max(_SAMPLE, int(_FAILURES_IN_SAMPLE / (1 - target)))


def _quality(found: Distances, last_distances: Distances, method: str) -> SearchQuality:
    """The recall of searches for k: the share found within the distance of the k-th neighbour."""
    shares = (found <= last_distances[:, None]).mean(axis=1)
    # One more query that found nothing: so the bound stays below 1 where none of the others did.
    careful = np.append(shares, 0.0)
    bound = careful.mean() - _QUANTILE * careful.std() / np.sqrt(len(careful))
    return SearchQuality(float(shares.mean()), max(0.0, float(bound)), len(shares), method)


def _last_distances(
    points: _faiss.Points, held_out: Indices, k: int, metric: Any, n_threads: int
) -> Distances:
    """The distance from each held-out point to its k-th neighbour among the others."""
    n = len(points)
    is_held_out = np.zeros(n, dtype=bool)
    is_held_out[held_out] = True
    last = np.empty(len(held_out), dtype=points.dtype if points.dtype == np.float64 else np.float32)
    left = np.arange(len(held_out))
    wanted = k + 1 + 2 * k * len(held_out) // n + 8
    while len(left):
        wanted = min(wanted, n)
        distances, indices = kneighbors(
            points,
            wanted,
            metric=metric,
            Y=points[held_out[left]],
            n_jobs=n_threads,
        )
        others = ~is_held_out[indices]
        enough = others.sum(axis=1) >= k
        kth = (others.cumsum(axis=1) >= k).argmax(axis=1)
        last[left[enough]] = distances[np.arange(len(left)), kth][enough]
        left = left[~enough]
        wanted *= 4
    return last


# Files


def _new_member(archive: zipfile.ZipFile, file: BinaryIO, name: str) -> Any:
    """Open a member for writing whose data begin at a multiple of the alignment."""
    info = zipfile.ZipInfo(name)
    # A header is 30 bytes, the name, 20 bytes for large files, and this field.
    begin = file.tell() + 30 + len(name) + 20 + 4
    padding = -begin % _ALIGNMENT
    info.extra = struct.pack("<HH", _PADDING_ID, padding) + bytes(padding)
    return archive.open(info, "w", force_zip64=True)


def _write_points(file: Any, points: _faiss.Points) -> None:
    little = points.dtype.newbyteorder("<")
    header = {"descr": little.str, "fortran_order": False, "shape": points.shape}
    np.lib.format.write_array_header_1_0(file, header)
    for batch in _faiss.batches(len(points), points.shape[1]):
        file.write(np.ascontiguousarray(points[batch], dtype=little).data)


def _map_points(
    archive: zipfile.ZipFile, file: BinaryIO, path: str | os.PathLike[str]
) -> _faiss.Points:
    info = archive.getinfo("points.npy")
    if info.compress_type != zipfile.ZIP_STORED:
        raise ValueError("points.npy is compressed")
    # The size of the extra field differs from that in the archive's directory.
    file.seek(info.header_offset + 26)
    name_size, extra_size = struct.unpack("<HH", file.read(4))
    file.seek(info.header_offset + 30 + name_size + extra_size)
    begin = file.tell()
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("points.npy is of another version")
    shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    n_bytes = file.tell() - begin + int(np.prod(shape)) * dtype.itemsize
    if len(shape) != 2 or n_bytes != info.file_size:
        raise ValueError(f"points.npy has shape {shape} and {info.file_size} bytes")
    return np.memmap(path, dtype=dtype, mode="r", offset=file.tell(), shape=shape)


def _check_sum(archive: zipfile.ZipFile, name: str) -> None:
    """Read a member to its end, where a wrong checksum raises BadZipFile."""
    with archive.open(name) as member:
        while member.read(_READ_BYTES):
            pass
