"""Graphs of neighbors for scikit-learn's pipelines."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from labelquorum._shared.arguments import as_choice, as_fraction, as_n_threads, as_positive
from labelquorum._shared.samples import check_finite, validated_points
from labelquorum._shared.saving import Saved
from labelquorum._shared.sealed import check_samples, check_stored
from labelquorum.neighbors.dense_search import Distances, Indices
from labelquorum.neighbors.search import kneighbors
from labelquorum.neighbors.searcher import NeighborSearcher

_METRICS = ("euclidean", "cosine")
_MODES = ("distance", "connectivity")


# The graph is sparse, whatever scikit-learn's `transform_output` says.
class KNeighborsTransformer(  # type: ignore[call-arg]  # scikit-learn has no types
    Saved,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    BaseEstimator,
    auto_wrap_output_keys=None,
):
    """Turn samples into the graph of their nearest neighbors among the samples of `fit`.

    A replacement for `sklearn.neighbors.KNeighborsTransformer`: DBSCAN, Isomap, t-SNE,
    SpectralClustering and others accept the graph with ``metric="precomputed"``.

    Parameters
    ----------
    n_neighbors : int, default=5
        Number of neighbors of each sample. In the mode "distance" there is one more, since a sample
        of `fit` is its own nearest neighbor.
    mode : {"distance", "connectivity"}, default="distance"
        Whether the graph holds distances or ones.
    metric : {"euclidean", "cosine"}, default="euclidean"
        As for `kneighbors`.
    recall : float in (0, 1], optional
        Share of the true neighbors that is enough; None for all.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.
    random_state : int, RandomState instance or None, default=None
        As for `NeighborSearcher`.

    Attributes
    ----------
    n_samples_fit_ : int
        Number of samples in `fit`.
    n_features_in_ : int
        Number of features in `fit`.
    feature_names_in_ : array of shape (`n_features_in_`,)
        Names of the features, if X had names.

    See Also
    --------
    kneighbors_graph : a graph outside of pipelines, symmetric or directed.

    Notes
    -----
    `fit_transform` compares each pair of samples once, as `kneighbors` does. Each sample comes
    first in its own row, at distance 0, before samples that are equal to it. `transform` searches
    as `NeighborSearcher` does. If `recall` is below 1, the first call builds the index.

    The graph stays a sparse matrix under ``sklearn.set_config(transform_output="pandas")``, because
    no data frame can hold it.

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

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X: Any, y: Any = None) -> KNeighborsTransformer:
        """Store the samples to search among.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features)
            The samples, as for `NeighborSearcher.fit`.
        y : ignored
            Present for scikit-learn's API.

        Returns
        -------
        KNeighborsTransformer
            The fitted transformer.

        Raises
        ------
        TypeError, ValueError
            If a parameter has the wrong type or range, or X holds NaN, infinity or values beyond
            1e150.
        """
        as_choice(self.mode, "mode", _MODES)
        as_choice(self.metric, "metric", _METRICS)
        if self.recall is not None:
            as_fraction(self.recall, "recall")
        as_n_threads(self.n_jobs)
        as_positive(self.n_neighbors, "n_neighbors")
        self._X = validated_points(self, X, "X", reset=True)
        check_finite(self._X, "X")
        self.n_samples_fit_ = self._X.shape[0]
        self._n_features_out = self.n_samples_fit_
        # `transform` adds the searcher, since it must not set attributes.
        self._searchers: list[NeighborSearcher] = []
        return self

    def __saved_state__(self) -> dict[str, dict[str, Any]]:
        """Return the parameters and what `fit` learned, without an index, which is built anew."""
        state = super().__saved_state__()
        state["learned"]["_searchers"] = []
        return state

    def __check_saved__(self) -> None:
        """Raise an error unless what was read fits together, as after `fit`."""
        super().__check_saved__()
        n = self.n_samples_fit_
        check_samples(self._X, "X", (None, self.n_features_in_))
        check_stored(n, "n_samples_fit_", np.int64, (), (self._X.shape[0],) * 2)
        if self._n_features_out != n or self._searchers != []:
            raise ValueError(f"the output must have {n} columns, got {self._n_features_out}")

    def transform(self, X: Any) -> sparse.csr_matrix:
        """Build the graph from samples to their nearest neighbors among those of `fit`.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_queries, n_features)
            The samples.

        Returns
        -------
        CSR matrix of shape (n_queries, `n_samples_fit_`)
            The neighbors of each row, nearest first. Zero distances are stored. It is a
            ``csr_matrix``, as in scikit-learn.

        Raises
        ------
        NotFittedError
            If `fit` has not been called.
        TypeError, ValueError, MemoryError
            As for `fit`, and if `n_neighbors` is larger than the number of samples.
        """
        check_is_fitted(self, "n_samples_fit_")
        queries = validated_points(self, X, "X", reset=False)
        check_finite(queries, "X")
        k = self._n_stored()
        if not self._searchers:
            # When it is complete, so that other threads never see it half fitted.
            self._searchers.append(self._fitted_searcher(k))
        return self._graph(*self._searchers[0].query(queries, k))

    def _fitted_searcher(self, k: int) -> NeighborSearcher:
        searcher = NeighborSearcher(
            metric=self.metric,
            recall=self.recall,
            n_neighbors=k,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
            random_state=self.random_state,
        )
        return searcher.fit(self._X)

    def set_output(self, *, transform: str | None = None) -> KNeighborsTransformer:
        """Leave the output as it is; present for scikit-learn's pipelines.

        Parameters
        ----------
        transform : {None, "default"}
            No data frame can hold the graph.

        Returns
        -------
        KNeighborsTransformer
            The transformer itself.

        Raises
        ------
        ValueError
            If `transform` is anything else.
        """
        if transform not in (None, "default"):
            raise ValueError(
                f"transform must be 'default', got {transform!r}: the graph is a sparse matrix, "
                "which no data frame can hold"
            )
        return self

    def fit_transform(self, X: Any, y: Any = None) -> sparse.csr_matrix:
        """Store the samples, and build the graph from each to its nearest neighbors.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features)
            The samples, as for `fit`.
        y : ignored
            Present for scikit-learn's API.

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
        n_others = self._n_stored() - 1
        n = self.n_samples_fit_
        itself = np.arange(n)[:, None]
        if n_others == 0:
            return self._graph(np.zeros((n, 1), dtype=np.float64), itself)
        distances, indices = kneighbors(
            self._X,
            n_others,
            metric=self.metric,
            recall=self.recall,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )
        zeros = np.zeros((n, 1), dtype=distances.dtype)
        return self._graph(np.hstack([zeros, distances]), np.hstack([itself, indices]))

    def _n_stored(self) -> int:
        k = int(self.n_neighbors) + (self.mode == "distance")
        if k > self.n_samples_fit_:
            most = self.n_samples_fit_ - (self.mode == "distance")
            raise ValueError(
                f"n_neighbors must be at most {most} in the mode {self.mode!r} "
                f"(n_samples_fit = {self.n_samples_fit_}), got {self.n_neighbors}"
            )
        return k

    def _graph(self, distances: Distances, indices: Indices) -> sparse.csr_matrix:
        n, k = indices.shape
        data = np.ones(n * k) if self.mode == "connectivity" else distances.ravel()
        return sparse.csr_matrix(
            (data, indices.ravel(), np.arange(0, n * k + 1, k)), shape=(n, self.n_samples_fit_)
        )
