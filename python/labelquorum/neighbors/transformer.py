"""Graphs of neighbours for scikit-learn's pipelines."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from labelquorum._shared.arguments import (
    as_choice,
    as_fraction,
    as_n_threads,
    as_positive,
    check_finite,
    validated_points,
)
from labelquorum.neighbors.search import kneighbors
from labelquorum.neighbors.searcher import Distances, Indices, NeighborSearcher

_METRICS = ("euclidean", "cosine")
_MODES = ("distance", "connectivity")


class KNeighborsTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Turn samples into the graph of their nearest neighbours among the samples of `fit`.

    To be exchanged with `sklearn.neighbors.KNeighborsTransformer`: the graph is what DBSCAN,
    Isomap, t-SNE, SpectralClustering and others take with ``metric="precomputed"``.

    Parameters
    ----------
    n_neighbors : int, default=5
        Neighbours of each sample. With mode "distance" there is one more, since a sample of `fit`
        is its own nearest neighbour.
    mode : {"distance", "connectivity"}, default="distance"
        What the graph holds: distances, or ones.
    metric : {"euclidean", "cosine"}, default="euclidean"
        As for `kneighbors`.
    recall : float in (0, 1], optional
        The share of true neighbours that is enough; None for all of them.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.
    random_state : int, RandomState instance or None, default=None
        As for `NeighborSearcher`.

    Attributes
    ----------
    n_samples_fit_ : int
        Samples of `fit`.
    n_features_in_ : int
        Features of each.
    feature_names_in_ : array of shape (`n_features_in_`,)
        Their names, where the data had names.

    See Also
    --------
    kneighbors_graph : a graph without a pipeline, symmetric if wanted.

    Notes
    -----
    `fit_transform` compares every pair of samples once, as `kneighbors` does; each sample comes
    first in its own row, at distance 0, before others that are equal. `transform` searches as
    `NeighborSearcher` does; with `recall` below 1 its index is made at the first call.

    Examples
    --------
    >>> import labelquorum as lq
    >>> from sklearn.cluster import DBSCAN
    >>> from sklearn.pipeline import make_pipeline
    >>> X = [[0.0], [1.0], [2.0], [10.0], [11.0], [12.0]]
    >>> graph = lq.KNeighborsTransformer(n_neighbors=2).fit_transform(X)
    >>> graph.nnz, graph[0].indices, graph[0].data
    (18, array([0, 1, 2], dtype=int32), array([0., 1., 2.]))
    >>> clusters = DBSCAN(eps=1.5, min_samples=2, metric="precomputed")
    >>> make_pipeline(lq.KNeighborsTransformer(n_neighbors=2), clusters).fit_predict(X)
    array([0, 0, 0, 1, 1, 1])
    """

    __module__ = "labelquorum"

    def __init__(
        self,
        n_neighbors: int = 5,
        *,
        mode: Literal["distance", "connectivity"] = "distance",
        metric: Literal["euclidean", "cosine"] = "euclidean",
        recall: float | None = None,
        n_jobs: int | None = None,
        verbose: bool = False,
        random_state: Any = None,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.mode = mode
        self.metric = metric
        self.recall = recall
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> KNeighborsTransformer:
        """Keep the samples to search among.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The samples, as for `NeighborSearcher.fit`.
        y : ignored
            For scikit-learn's sake.

        Returns
        -------
        KNeighborsTransformer
            Itself.

        Raises
        ------
        TypeError, ValueError
            If a parameter is of the wrong type or range, or X holds NaN, infinity or values beyond
            1e150.
        """
        as_choice(self.mode, "mode", _MODES)
        as_choice(self.metric, "metric", _METRICS)
        if self.recall is not None:
            as_fraction(self.recall, "recall")
        as_n_threads(self.n_jobs)
        k = as_positive(self.n_neighbors, "n_neighbors") + (self.mode == "distance")
        self._X = validated_points(self, X, "X", reset=True)
        check_finite(self._X, "X")
        self.n_samples_fit_ = len(self._X)
        self._n_features_out = self.n_samples_fit_
        self._searcher = NeighborSearcher(
            metric=self.metric,
            recall=self.recall,
            n_neighbors=k,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
            random_state=self.random_state,
        )
        return self

    def transform(self, X: Any) -> sparse.csr_matrix:
        """Find the nearest samples of `fit` to each of some samples.

        Parameters
        ----------
        X : array-like of shape (n_queries, n_features)
            The samples.

        Returns
        -------
        CSR matrix of shape (n_queries, `n_samples_fit_`)
            Each row nearest first; zero distances are stored. Of scikit-learn's type.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        TypeError, ValueError, MemoryError
            As for `fit`, and if there are fewer samples than neighbours wanted.
        """
        check_is_fitted(self, "n_samples_fit_")
        queries = validated_points(self, X, "X", reset=False)
        check_finite(queries, "X")
        k = self._n_wanted()
        if not hasattr(self._searcher, "quality_"):
            self._searcher.fit(self._X)
        return self._graph(*self._searcher.query(queries, k))

    def fit_transform(self, X: Any, y: Any = None) -> sparse.csr_matrix:
        """Keep the samples, and find the nearest to each among them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The samples, as for `fit`.
        y : ignored
            For scikit-learn's sake.

        Returns
        -------
        CSR matrix of shape (n_samples, n_samples)
            As from `transform`.

        Raises
        ------
        TypeError, ValueError, MemoryError
            As for `fit` and `transform`.
        """
        self.fit(X)
        n_others = self._n_wanted() - 1
        n = self.n_samples_fit_
        itself = np.arange(n)[:, None]
        if n_others == 0:
            nothing = np.zeros((n, 1), dtype=np.float64)
            return self._graph(nothing, itself)
        distances, indices = kneighbors(
            self._X,
            n_others,
            metric=self.metric,
            recall=self.recall,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )
        zero = np.zeros((n, 1), dtype=distances.dtype)
        return self._graph(np.hstack([zero, distances]), np.hstack([itself, indices]))

    def _n_wanted(self) -> int:
        k = int(self.n_neighbors) + (self.mode == "distance")
        if k > self.n_samples_fit_:
            raise ValueError(
                f"n_neighbors is {self.n_neighbors}; wanted at most "
                f"{self.n_samples_fit_ - (self.mode == 'distance')}: the samples of X, less itself "
                f"(n_samples_fit = {self.n_samples_fit_})"
            )
        return k

    def _graph(self, distances: Distances, indices: Indices) -> sparse.csr_matrix:
        n, k = indices.shape
        data = np.ones(n * k) if self.mode == "connectivity" else distances.ravel()
        return sparse.csr_matrix(
            (data, indices.ravel(), np.arange(0, n * k + 1, k)), shape=(n, self.n_samples_fit_)
        )
