"""Nearest neighbors of new samples among fixed ones, by an index that keeps a promised recall."""

from __future__ import annotations

import os
import warnings
from typing import Any, Literal, overload

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from labelquorum._shared.arguments import METRICS, as_choice, as_fraction, as_n_threads, as_positive
from labelquorum._shared.progress import Show, progress
from labelquorum._shared.samples import check_finite, in_form_of, validated_points
from labelquorum.neighbors.dense_search import Distances, Indices, dense_neighbors
from labelquorum.neighbors.search import EXACT, SearchQuality, kneighbors
from labelquorum.neighbors.searcher_file import SavedSearcher, read_searcher, write_searcher
from labelquorum.neighbors.sparse_search import sparse_neighbors
from labelquorum.neighbors.tuned_index import (
    TunedIndex,
    build_tuned_index,
    measured_quality,
    pays_off,
    sample_size,
)


class NeighborSearcher(BaseEstimator):
    """Search for the nearest neighbors of new samples among those of one data set.

    Parameters
    ----------
    metric : {"euclidean", "cosine", "inner_product"}, default="euclidean"
        As for `kneighbors`.
    recall : float in (0, 1], optional
        Share of the true neighbors that is enough; None or 1 for all. `fit` chooses the method and
        tunes it to reach this share on the data.
    n_neighbors : int, default=15
        Largest number of neighbors to search for. The recall is measured for it.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.
    random_state : int, RandomState instance or None, default=None
        Draws the samples that the recall is measured on, and the initial centers of lists.

    Attributes
    ----------
    quality_ : SearchQuality
        The recall measured by `fit`, its lower bound at 99 % confidence, the number of samples it
        was measured on, and the method: "exact", "graph" or "lists".
    n_samples_fit_ : int
        Number of samples in `fit`.
    n_features_in_ : int
        Number of features in `fit`.
    feature_names_in_ : array of shape (`n_features_in_`,)
        Names of the features, if X had names.

    See Also
    --------
    kneighbors : the neighbors of all samples of a data set, without an object to keep.
    KNeighborsTransformer : graphs of neighbors for scikit-learn's pipelines.

    Notes
    -----
    *Exact* search needs no preparation. It takes O(n_samples n_features) per query, as `kneighbors`
    does. If `recall` is below 1 and there are about 10,000 samples or more, `fit` builds an index
    with faiss (Douze et al., "The Faiss library", 2024): a *graph* of neighbors (HNSW; Malkov and
    Yashunin, IEEE TPAMI 42(4), 2020). If that needs more than half of the available memory or does
    not reach the recall, it builds inverted *lists* of rows compressed to 8 or 4 bits per value
    (Jegou et al., IEEE TPAMI 33(1), 2011). If neither reaches the recall, the search is exact.

    The recall is kept by measuring it. About a thousand random samples are held out of the index.
    Their neighbors are searched exactly and by the index, and the settings are raised until a lower
    bound of the recall (at 99 % confidence) uses up no more than 0.7 of the errors that `recall`
    allows. The recall then holds for queries that resemble the samples;
    ``query(..., return_quality=True)`` measures it for the queries at hand. Of neighbors at equal
    distances, any counts as true. Distances are computed in double precision from the rows as
    given, whichever method proposed the neighbors.

    A graph takes about 4 n_features + 270 bytes per sample, and 3 KB more per sample while it is
    built. Lists take n_features bytes per sample, or half of that. The samples are not copied, so
    do not change the array. In a process that was forked after faiss was loaded, faiss runs on one
    thread.

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

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X: Any, y: Any = None) -> NeighborSearcher:
        """Prepare to search among the samples of X.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features)
            The samples. float16, float32 and float64 are read without a copy, with any strides and
            from memory maps; integers are converted. The searcher keeps a reference to the array.
        y : ignored
            Present for scikit-learn's API.

        Returns
        -------
        NeighborSearcher
            The fitted searcher.

        Raises
        ------
        TypeError, ValueError
            If a parameter has the wrong type or range, or X holds NaN, infinity or values beyond
            1e150.
        MemoryError
            If too little memory is available.

        Warns
        -----
        UserWarning
            If no index that fits in memory reaches the recall.
        """
        as_choice(self.metric, "metric", METRICS)
        target = None if self.recall is None else as_fraction(self.recall, "recall")
        k = as_positive(self.n_neighbors, "n_neighbors")
        n_threads = as_n_threads(self.n_jobs)
        points = validated_points(self, X, "X", reset=True)
        check_finite(points, "X")
        self._points = points
        self._tuned: TunedIndex | None = None
        self.quality_ = EXACT
        self.n_samples_fit_ = n_samples = points.shape[0]
        is_sparse = not isinstance(points, np.ndarray)
        if target is None or is_sparse or not pays_off(n_samples, target, k):
            return self
        rng = check_random_state(self.random_state)
        with progress(self.verbose) as show:
            self._tuned = build_tuned_index(points, self.metric, target, k, rng, n_threads, show)
        if self._tuned is not None:
            self.quality_ = self._tuned.quality
        if self.quality_.lower_bound < target:
            warnings.warn(
                f"recall is {self.quality_.recall:.3f} (at least "
                f"{self.quality_.lower_bound:.3f}), below the requested {target}: too little "
                "memory is available for a better index; recall=None searches exactly",
                stacklevel=2,
            )
        return self

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
        """Find the nearest samples to each new sample.

        Parameters
        ----------
        Y : array-like or SciPy sparse matrix of shape (n_queries, n_features)
            The new samples, of the same form as X for `fit`.
        n_neighbors : int, optional
            Number of neighbors; None for the `n_neighbors` of the searcher. Unless the search is
            exact, it must not be larger than that.
        return_quality : bool, default=False
            Whether to measure the recall against exact search, on a random sample of Y (about a
            thousand, or more for a recall close to 1).

        Returns
        -------
        distances : float array of shape (n_queries, n_neighbors)
            Nearest first. float64 if X or Y is, otherwise float32.
        indices : int64 array of shape (n_queries, n_neighbors)
            Row numbers of X. Of samples at the same distance, the smaller index comes first.
        quality : SearchQuality
            Only with `return_quality`.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        TypeError, ValueError, MemoryError
            As for `fit`.

        Warns
        -----
        UserWarning
            If the recall measured with `return_quality` is below `recall`. This can happen if Y
            does not resemble X.
        """
        check_is_fitted(self, "quality_")
        n_threads = as_n_threads(self.n_jobs)
        queries = in_form_of(self._points, validated_points(self, Y, "Y", reset=False))
        k = as_positive(self.n_neighbors if n_neighbors is None else n_neighbors, "n_neighbors")
        self._check_n_neighbors(k)
        if self._tuned is not None or not isinstance(self._points, np.ndarray):
            check_finite(queries, "Y")
        with progress(self.verbose) as show:
            distances, indices = self._search(queries, k, n_threads, show)
        if not return_quality:
            return distances, indices
        return distances, indices, self._measured_quality(queries, distances, n_threads)

    def _check_n_neighbors(self, k: int) -> None:
        if k > self.n_samples_fit_:
            raise ValueError(
                f"n_neighbors must be at most {self.n_samples_fit_}, the number of samples of X "
                f"(n_samples_fit = {self.n_samples_fit_}), got {k}"
            )
        if self._tuned is not None and k > self.n_neighbors:
            raise ValueError(
                f"n_neighbors must be at most {self.n_neighbors}, for which the recall was "
                f"measured, got {k}: set a larger n_neighbors before fit"
            )

    def _search(
        self, queries: Any, k: int, n_threads: int, show: Show
    ) -> tuple[Distances, Indices]:
        if not isinstance(self._points, np.ndarray):
            return sparse_neighbors(self._points, queries, k, self.metric, show)
        if self._tuned is None:
            distances, indices, _ = dense_neighbors(
                self._points, queries, k, self.metric, None, n_threads, show
            )
            return distances, indices
        distances, indices = self._tuned.search(self._points, queries, k, n_threads, show)
        incomplete = np.flatnonzero(indices[:, -1] < 0)
        if len(incomplete):
            distances[incomplete], indices[incomplete] = kneighbors(
                self._points, k, metric=self.metric, Y=queries[incomplete], n_jobs=n_threads
            )
        return distances, indices

    def _measured_quality(
        self, queries: Any, distances: Distances, n_threads: int
    ) -> SearchQuality:
        if self._tuned is None or self.recall is None:
            return EXACT
        rng = check_random_state(self.random_state)
        n_sample = min(len(queries), sample_size(self.recall))
        sample = np.sort(rng.choice(len(queries), n_sample, replace=False))
        true_distances, _ = kneighbors(
            self._points,
            distances.shape[1],
            metric=self.metric,
            Y=queries[sample],
            n_jobs=n_threads,
        )
        quality = measured_quality(
            distances[sample], true_distances[:, -1], self._tuned.quality.method
        )
        if quality.recall < self.recall:
            warnings.warn(
                f"recall is {quality.recall:.3f} on {n_sample} of these queries, below the "
                f"requested {self.recall}: they may not resemble the samples of fit; recall=None "
                "searches exactly",
                stacklevel=3,
            )
        return quality

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted searcher to a file, including its samples.

        Parameters
        ----------
        path : path-like
            The file. If it exists, it is replaced once the new file is complete.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        TypeError
            If the samples are sparse.
        OSError
            If the file cannot be written.

        Notes
        -----
        An uncompressed zip archive: ``meta.json`` (format, version, parameters, tuning),
        ``points.npy`` and, unless the search is exact, ``index.faiss``. Nothing is pickled.
        `n_jobs`, `verbose` and a `random_state` that is not an int are not saved.
        """
        check_is_fitted(self, "quality_")
        if not isinstance(self._points, np.ndarray):
            raise TypeError(
                "a searcher must hold dense samples to be saved, got sparse ones: keep the sparse "
                "matrix, and fit anew, which takes no time"
            )
        seed = self.random_state
        names = getattr(self, "feature_names_in_", None)
        parameters = {
            "metric": self.metric,
            "recall": None if self.recall is None else float(self.recall),
            "n_neighbors": int(self.n_neighbors),
            "random_state": int(seed) if isinstance(seed, (int, np.integer)) else None,
        }
        saved = SavedSearcher(
            parameters,
            None if names is None else names.tolist(),
            self._points,
            self.quality_,
            self._tuned,
        )
        write_searcher(path, saved)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> NeighborSearcher:
        """Read a searcher that `save` wrote.

        Parameters
        ----------
        path : path-like
            The file. Do not change it while the searcher is in use: the samples are mapped into
            memory, not read.

        Returns
        -------
        NeighborSearcher
            A fitted searcher that gives the same answers as the saved one.

        Raises
        ------
        OSError
            If the file cannot be read.
        ValueError
            If the file is damaged, not a saved searcher, or has a format version that this package
            cannot read.

        Notes
        -----
        Checksums reveal damage. To compare them, the whole file is read once, at about 2 GB/s or as
        fast as the disk allows; the memory stays free. Load only files that you trust: faiss does
        not guard against files that are made to harm.
        """
        saved = read_searcher(path)
        searcher = cls(**saved.parameters)
        searcher._points, searcher._tuned = saved.points, saved.tuned
        searcher.quality_ = saved.quality
        searcher.n_samples_fit_, searcher.n_features_in_ = saved.points.shape
        if saved.feature_names is not None:
            searcher.feature_names_in_ = np.array(saved.feature_names, dtype=object)
        return searcher
