"""What the estimators that spread labels over a graph of samples have in common.

`GraphClassifier` builds the graph, reads the labels and predicts new samples. Each estimator only
says which iteration to run; the extension runs it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from labelquorum import _core
from labelquorum._shared.arguments import as_choice, as_n_threads, as_non_negative, as_positive
from labelquorum._shared.distinct import DistinctRows, Integers
from labelquorum._shared.estimators import SemiSupervisedClassifierMixin, forget
from labelquorum._shared.labels import KnownLabels, known_labels, most_likely, to_labels
from labelquorum._shared.progress import progress
from labelquorum._shared.samples import as_graph, check_finite, validated_samples
from labelquorum._shared.saving import Saved
from labelquorum._shared.sealed import check_length, check_samples, check_stored
from labelquorum.graphs.affinity import METRICS, Search, affinity_of_rows, heat_weights
from labelquorum.neighbors.search import kneighbors

FLOATS = (np.float64, np.float32, np.float16)


class Limits(NamedTuple):
    """When to stop, how many threads to use, and what shows the progress."""

    max_iter: int
    tol: float
    n_threads: int
    show: Callable[[str, float], None] | None


class Spread(NamedTuple):
    """The result of an iteration, as the extension returns it."""

    values: NDArray[np.floating[Any]]
    """(n_nodes, n_classes)."""
    reached: NDArray[np.uint8]
    """(n_nodes,): 1 where a label reached the node."""
    n_iter: int
    converged: bool
    """Whether the changes fell below `tol`."""
    spreading: bool
    """Whether another iteration would reach more nodes."""


def propagate(
    graph: sparse.csr_array,
    normalization: str,
    self_loops: bool,
    seeds: tuple[NDArray[np.int64], NDArray[np.float64]],
    rule: tuple[float, float, bool],
    limits: Limits,
) -> Spread:
    """Iterate with the normalized graph.

    `seeds` are nodes and their values. `rule` holds the factor of the neighbors' values, the factor
    of the seeds' values, and whether seeds are reset (and rows scaled) after each iteration.
    """
    max_iter, tol, n_threads, show = limits
    indptr, indices = graph.indptr, graph.indices
    weights = _core.normalized_weights(
        indptr, indices, graph.data, normalization, self_loops, n_threads, show
    )
    nodes, values = seeds
    values = values.astype(weights.dtype)
    return Spread(
        *_core.propagate(
            indptr, indices, weights, nodes, values, *rule, max_iter, tol, n_threads, show
        )
    )


class GraphClassifier(Saved, SemiSupervisedClassifierMixin, BaseEstimator):
    """The base of the estimators in this module."""

    n_neighbors: int
    graph: Any
    metric: Literal["euclidean", "cosine"]
    recall: float | None
    max_iter: int
    tol: float
    n_jobs: int | None
    verbose: bool

    _keeps_labels: ClassVar[bool]
    """Whether samples with a label keep it, even if equal samples have other labels."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __check_saved__(self) -> None:
        """Raise an error unless what was read fits together, as after `fit`."""
        super().__check_saved__()
        n_classes = len(self.classes_)
        check_length(self.classes_, "classes_", n_classes)
        check_stored(self._distributions_of_rows, "distributions", FLOATS, (None, n_classes))
        n_rows = len(self._distributions_of_rows)
        if self._rows is not None:
            check_samples(self._rows, "rows", (n_rows, self.n_features_in_))
        check_stored(self.label_distributions_, "label_distributions_", FLOATS, (None, n_classes))
        n = len(self.label_distributions_)
        check_stored(self.reached_, "reached_", np.bool_, (n,))
        check_length(self.transduction_, "transduction_", n)

    def fit(self, X: Any, y: Any) -> Self:
        """Spread the labels.

        Equal samples are one node of the graph. Its label is the mean of theirs.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features), or None
            The samples. With a `graph`, only `predict` needs them, so they may be None.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Classes; -1 (None, among strings) for a sample without a label. Or the share of each
            class in each sample: rows sum to 1, or are all zero for a sample without a label. See
            docs/inputs.md for all forms of classes.

        Returns
        -------
        self
        """
        as_choice(self.metric, "metric", METRICS)
        n_neighbors = as_positive(self.n_neighbors, "n_neighbors")
        max_iter = as_positive(self.max_iter, "max_iter")
        tol = as_non_negative(self.tol, "tol")
        n_threads = as_n_threads(self.n_jobs)
        if X is None and self.graph is None:
            raise ValueError("X must be an array of samples if there is no graph, got None")
        if X is None:
            forget(self, "n_features_in_", "feature_names_in_")
        else:
            X = validated_samples(self, X, reset=True, dtype=FLOATS, ensure_min_samples=2)
        if self.graph is None:
            check_finite(X, "X")
            distinct = DistinctRows.of(X)
            self._rows = distinct.rows_of(X)
            search = Search(self.metric, self.recall, n_threads, self.verbose)
            graph = affinity_of_rows(self._rows, distinct.weights(), n_neighbors, search)
        else:
            graph = as_graph(self.graph)
            if X is not None and X.shape[0] != graph.shape[0]:
                raise ValueError(
                    f"graph must have {X.shape[0]} nodes, one per sample in X, got {graph.shape[0]}"
                )
            distinct = DistinctRows.all_of(graph.shape[0])
            self._rows = X
        known = known_labels(y, len(distinct.numbers), type(self).__name__)
        self.classes_ = known.classes
        with progress(self.verbose) as show:
            limits = Limits(max_iter, tol, n_threads, show)
            spread = self._spread(graph, known.of_rows(distinct), distinct.counts, limits)
        self.n_iter_ = spread.n_iter
        self._distributions_of_rows = spread.values
        self.label_distributions_ = distinct.expand(spread.values)
        if self._keeps_labels and distinct.has_copies:
            self.label_distributions_[known.samples] = scaled_rows(known.shares.copy())
        codes = most_likely(self.label_distributions_)
        self.reached_ = codes >= 0
        self.transduction_ = to_labels(known.classes, codes)
        if not spread.converged:
            self._warn(
                f"labels still changed by tol={tol:g} or more after {spread.n_iter} iterations"
            )
        elif spread.spreading:
            self._warn(
                f"changes fell below tol={tol:g} after {spread.n_iter} iterations, before labels "
                "had reached all samples that they can reach"
            )
        return self

    def _warn(self, problem: str) -> None:
        warnings.warn(
            f"{type(self).__name__}: {problem}; raise max_iter or change tol",
            ConvergenceWarning,
            stacklevel=3,
        )

    def _spread(
        self, graph: sparse.csr_array, known: KnownLabels, counts: Integers, limits: Limits
    ) -> Spread:
        """Spread the known labels; the values are the share of each class in each node.

        `counts` says how many samples each node stands for.
        """
        raise NotImplementedError

    def predict_proba(self, X: Any) -> NDArray[np.floating[Any]]:
        """Compute the share of each class in new samples.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        array of shape (n_samples, n_classes)
            The mean of the distributions of the `n_neighbors` nearest distinct samples, weighted by
            ``exp(-4 d**2 / s**2)``, where d is their distance and s the largest of these distances.
            All zero if no label reached any of them.
        """
        check_is_fitted(self)
        if self._rows is None:
            raise ValueError(
                f"this {type(self).__name__} was fitted without X, so it cannot find the neighbors "
                "of new samples: use fit(X, y)"
            )
        X = validated_samples(self, X, reset=False, dtype=FLOATS)
        check_finite(X, "X")
        k = min(as_positive(self.n_neighbors, "n_neighbors"), self._rows.shape[0])
        distances, indices = kneighbors(
            self._rows, k, metric=self.metric, Y=X, n_jobs=self.n_jobs, verbose=self.verbose
        )
        weights = heat_weights(distances, distances[:, -1:], self.metric)
        known = self._distributions_of_rows
        shares = np.zeros((X.shape[0], len(self.classes_)), dtype=known.dtype)
        for rank in range(k):
            shares += weights[:, rank, None] * known[indices[:, rank]]
        return scaled_rows(shares)

    def predict(self, X: Any) -> NDArray[Any]:
        """Label new samples.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        array of shape (n_samples,)
            The class with the largest share in `predict_proba`; -1 (None, if classes are
            strings) if all shares are zero.
        """
        codes = most_likely(self.predict_proba(X))
        return to_labels(self.classes_, codes)


def scaled_rows(values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Divide each row by its sum, in place; rows of zeros stay."""
    sums = values.sum(axis=1, keepdims=True)
    sums[sums == 0] = 1
    values /= sums
    return values


def class_masses_normalized(
    shares: NDArray[np.floating[Any]], known: KnownLabels, counts: Integers
) -> NDArray[np.floating[Any]]:
    """Give each class the share among unlabeled samples that it has among the labels, in place."""
    is_unlabeled = np.ones(len(shares), dtype=bool)
    is_unlabeled[known.samples] = False
    masses = counts[is_unlabeled].astype(np.float64) @ shares[is_unlabeled]
    labeled_shares = known.shares.mean(axis=0)
    factors = np.divide(labeled_shares, masses, out=np.zeros_like(masses), where=masses > 0)
    shares[is_unlabeled] = scaled_rows(shares[is_unlabeled] * factors.astype(shares.dtype))
    return shares
