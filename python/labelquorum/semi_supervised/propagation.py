"""Labels spread over a graph of samples, from labeled to unlabeled ones.

The three estimators share `_GraphClassifier`: it builds the graph, reads the labels and predicts
new samples. Each estimator only says which iteration to run; the extension runs it.
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
from labelquorum.graphs.affinity import METRICS, Search, affinity_of_rows, heat_weights
from labelquorum.graphs.csr import connected_components, symmetrize_graph
from labelquorum.neighbors.search import kneighbors

FLOATS = (np.float64, np.float32, np.float16)


class _Limits(NamedTuple):
    """When to stop, how many threads to use, and what shows the progress."""

    max_iter: int
    tol: float
    n_threads: int
    show: Callable[[str, float], None] | None


class _Spread(NamedTuple):
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


def _propagate(
    graph: sparse.csr_array,
    normalization: str,
    self_loops: bool,
    seeds: tuple[NDArray[np.int64], NDArray[np.float64]],
    rule: tuple[float, float, bool],
    limits: _Limits,
) -> _Spread:
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
    return _Spread(
        *_core.propagate(
            indptr, indices, weights, nodes, values, *rule, max_iter, tol, n_threads, show
        )
    )


class _GraphClassifier(SemiSupervisedClassifierMixin, BaseEstimator):
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
            limits = _Limits(max_iter, tol, n_threads, show)
            spread = self._spread(graph, known.of_rows(distinct), distinct.counts, limits)
        self.n_iter_ = spread.n_iter
        self._distributions_of_rows = spread.values
        self.label_distributions_ = distinct.expand(spread.values)
        if self._keeps_labels and distinct.has_copies:
            self.label_distributions_[known.samples] = _scaled_rows(known.shares.copy())
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
        self, graph: sparse.csr_array, known: KnownLabels, counts: Integers, limits: _Limits
    ) -> _Spread:
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
        k = min(as_positive(self.n_neighbors, "n_neighbors"), self._rows.shape[0])
        distances, indices = kneighbors(
            self._rows, k, metric=self.metric, Y=X, n_jobs=self.n_jobs, verbose=self.verbose
        )
        weights = heat_weights(distances, distances[:, -1:], self.metric)
        known = self._distributions_of_rows
        shares = np.zeros((X.shape[0], len(self.classes_)), dtype=known.dtype)
        for rank in range(k):
            shares += weights[:, rank, None] * known[indices[:, rank]]
        return _scaled_rows(shares)

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


def _scaled_rows(values: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    """Divide each row by its sum, in place; rows of zeros stay."""
    sums = values.sum(axis=1, keepdims=True)
    sums[sums == 0] = 1
    values /= sums
    return values


def _class_masses_normalized(
    shares: NDArray[np.floating[Any]], known: KnownLabels, counts: Integers
) -> NDArray[np.floating[Any]]:
    """Give each class the share among unlabeled samples that it has among the labels, in place."""
    is_unlabeled = np.ones(len(shares), dtype=bool)
    is_unlabeled[known.samples] = False
    masses = counts[is_unlabeled].astype(np.float64) @ shares[is_unlabeled]
    labeled_shares = known.shares.mean(axis=0)
    factors = np.divide(labeled_shares, masses, out=np.zeros_like(masses), where=masses > 0)
    shares[is_unlabeled] = _scaled_rows(shares[is_unlabeled] * factors.astype(shares.dtype))
    return shares


class LabelSpreading(_GraphClassifier):
    """Spread labels over a graph of samples; labels in `y` may change a little.

    Parameters
    ----------
    n_neighbors : int, default=10
        Number of neighbors of each sample in the graph, and of a new sample in `predict`; fewer if
        there are fewer samples.
    alpha : float in (0, 1), default=0.99
        The share that a sample takes from its neighbors in every iteration; the rest comes from its
        own label.
    graph : SciPy sparse matrix or array of shape (n_samples, n_samples), optional
        Affinities of the samples: at least 0, larger for nearer samples (so not the distances from
        `kneighbors_graph`). Sample i takes labels from the columns of row i. The graph need not be
        symmetric; its diagonal is ignored. None for `affinity_graph` of X.
    metric : {"euclidean", "cosine"}, default="euclidean"
        The distance between samples.
    recall : float in (0, 1], optional
        As for `kneighbors`; None for exact neighbors.
    max_iter : int, default=1000
        Maximum number of iterations.
    tol : float, default=1e-3
        Stop when the absolute changes of all values in an iteration sum to less than this.
    class_mass_normalization : bool, default=False
        Scale the classes so that their shares among unlabeled samples are as among the labels.
    n_jobs : int, optional
        Number of threads; -1 for all available cores. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        The classes in `y`, sorted; the column numbers of `y` if it holds shares.
    transduction_ : array of shape (n_samples,)
        The class of each sample; -1 (None, if classes are strings) if no label reached it.
    label_distributions_ : float array of shape (n_samples, n_classes)
        The shares of the classes in each sample; rows sum to 1, or to 0 if no label reached the
        sample. float32 if the graph is (the graph of float32 or float16 samples), else float64.
    reached_ : bool array of shape (n_samples,)
        Whether a label reached the sample. None can if the graph does not connect the sample to a
        labeled one.
    n_iter_ : int
        Number of iterations.

    Warns
    -----
    ConvergenceWarning
        If labels still changed at the end, or had not reached all samples that they can reach.

    Notes
    -----
    The iteration is ``F = alpha * S @ F + (1 - alpha) * Y``, starting from the labels, F = Y. S is
    ``D**-0.5 @ graph @ D**-0.5``, where D holds the sums of the columns. With the same graph and
    parameters, the iterations are those of scikit-learn's class of this name, whose defaults differ
    (`alpha` 0.2, `max_iter` 30, all weights 1). An iteration takes O(edges * n_classes). Memory
    beyond the graph is about three times that of `label_distributions_`.

    The method and the default of `alpha` are from Zhou et al., "Learning with local and global
    consistency", NIPS 2004. Class masses are scaled as in Zhu, Ghahramani and Lafferty,
    "Semi-supervised learning using Gaussian fields and harmonic functions", ICML 2003.

    Examples
    --------
    Two groups with one label each, and an unconnected sample:

    >>> import labelquorum as lq
    >>> from scipy import sparse
    >>> edges = ([0, 1, 1, 2, 3, 4], [1, 0, 2, 1, 4, 3])
    >>> graph = sparse.csr_array(([1.0] * 6, edges), shape=(6, 6))
    >>> model = lq.LabelSpreading(graph=graph).fit(None, [7, -1, -1, 8, -1, -1])
    >>> model.transduction_
    array([ 7,  7,  7,  8,  8, -1])
    >>> model.reached_
    array([ True,  True,  True,  True,  True, False])
    """

    __module__ = "labelquorum"
    _keeps_labels = False

    def __init__(
        self,
        n_neighbors: int = 10,
        *,
        alpha: float = 0.99,
        graph: Any = None,
        metric: Literal["euclidean", "cosine"] = "euclidean",
        recall: float | None = None,
        max_iter: int = 1000,
        tol: float = 1e-3,
        class_mass_normalization: bool = False,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.alpha = alpha
        self.graph = graph
        self.metric = metric
        self.recall = recall
        self.max_iter = max_iter
        self.tol = tol
        self.class_mass_normalization = class_mass_normalization
        self.n_jobs = n_jobs
        self.verbose = verbose

    def _spread(
        self, graph: sparse.csr_array, known: KnownLabels, counts: Integers, limits: _Limits
    ) -> _Spread:
        alpha = as_non_negative(self.alpha, "alpha")
        if not 0 < alpha < 1:
            raise ValueError(f"alpha must be above 0 and below 1, got {alpha}")
        seeds = known.samples, known.shares
        rule = alpha, 1 - alpha, False
        spread = _propagate(graph, "symmetric", False, seeds, rule, limits)
        shares = _scaled_rows(spread.values)
        if self.class_mass_normalization:
            shares = _class_masses_normalized(shares, known, counts)
        return spread._replace(values=shares)


class LabelPropagation(_GraphClassifier):
    """Spread labels over a graph of samples; labels in `y` stay.

    Parameters
    ----------
    n_neighbors : int, default=10
        Number of neighbors of each sample in the graph, and of a new sample in `predict`; fewer if
        there are fewer samples.
    graph : SciPy sparse matrix or array of shape (n_samples, n_samples), optional
        Affinities of the samples: at least 0, larger for nearer samples (so not the distances from
        `kneighbors_graph`). Sample i takes labels from the columns of row i, itself included. The
        graph need not be symmetric. None for `affinity_graph` of X.
    metric : {"euclidean", "cosine"}, default="euclidean"
        The distance between samples.
    recall : float in (0, 1], optional
        As for `kneighbors`; None for exact neighbors.
    max_iter : int, default=1000
        Maximum number of iterations.
    tol : float, default=1e-3
        Stop when the absolute changes of all values in an iteration sum to less than this.
    class_mass_normalization : bool, default=False
        Scale the classes so that their shares among unlabeled samples are as among the labels.
    n_jobs : int, optional
        Number of threads; -1 for all available cores. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        The classes in `y`, sorted; the column numbers of `y` if it holds shares.
    transduction_ : array of shape (n_samples,)
        The class of each sample; -1 (None, if classes are strings) if no label reached it.
    label_distributions_ : float array of shape (n_samples, n_classes)
        The shares of the classes in each sample; rows sum to 1, or to 0 if no label reached the
        sample. float32 if the graph is (the graph of float32 or float16 samples), else float64.
    reached_ : bool array of shape (n_samples,)
        Whether a label reached the sample. None can if the graph does not connect the sample to a
        labeled one.
    n_iter_ : int
        Number of iterations.

    Warns
    -----
    ConvergenceWarning
        If labels still changed at the end, or had not reached all samples that they can reach.

    Notes
    -----
    The iteration is ``F = D**-1 @ graph @ F``, starting from the labels, where D holds the sums of
    the rows. After each iteration, the rows of F are scaled to sum to 1, and those of labeled
    samples are reset. With the same graph and parameters, the iterations are those of
    scikit-learn's class of this name. Time and memory are those of `LabelSpreading`.

    The method is from Zhu and Ghahramani, "Learning from labeled and unlabeled data with label
    propagation", CMU-CALD-02-107, 2002. Class masses are scaled as in Zhu, Ghahramani and Lafferty,
    "Semi-supervised learning using Gaussian fields and harmonic functions", ICML 2003.

    Examples
    --------
    Two groups with one label each, and an unconnected sample:

    >>> import labelquorum as lq
    >>> from scipy import sparse
    >>> edges = ([0, 1, 1, 2, 3, 4], [1, 0, 2, 1, 4, 3])
    >>> graph = sparse.csr_array(([1.0] * 6, edges), shape=(6, 6))
    >>> model = lq.LabelPropagation(graph=graph).fit(None, [7, -1, -1, 8, -1, -1])
    >>> model.transduction_
    array([ 7,  7,  7,  8,  8, -1])
    >>> model.reached_
    array([ True,  True,  True,  True,  True, False])
    """

    __module__ = "labelquorum"
    _keeps_labels = True

    def __init__(
        self,
        n_neighbors: int = 10,
        *,
        graph: Any = None,
        metric: Literal["euclidean", "cosine"] = "euclidean",
        recall: float | None = None,
        max_iter: int = 1000,
        tol: float = 1e-3,
        class_mass_normalization: bool = False,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.graph = graph
        self.metric = metric
        self.recall = recall
        self.max_iter = max_iter
        self.tol = tol
        self.class_mass_normalization = class_mass_normalization
        self.n_jobs = n_jobs
        self.verbose = verbose

    def _spread(
        self, graph: sparse.csr_array, known: KnownLabels, counts: Integers, limits: _Limits
    ) -> _Spread:
        seeds = known.samples, known.shares
        spread = _propagate(graph, "random_walk", True, seeds, (1.0, 0.0, True), limits)
        shares = _scaled_rows(spread.values)
        if self.class_mass_normalization:
            shares = _class_masses_normalized(shares, known, counts)
        return spread._replace(values=shares)


class PoissonLearning(_GraphClassifier):
    """Spread very few labels over a graph of samples, about one to five per class.

    With so few labels, the values of the other methods are nearly constant away from the labels.
    Here, labels are sources and sinks of a flow, which has a clear direction even far from them.

    Parameters
    ----------
    n_neighbors : int, default=10
        Number of neighbors of each sample in the graph, and of a new sample in `predict`; fewer if
        there are fewer samples.
    graph : SciPy sparse matrix or array of shape (n_samples, n_samples), optional
        Affinities of the samples: at least 0, larger for nearer samples (so not the distances from
        `kneighbors_graph`). Its transpose is added to make it symmetric; its diagonal is ignored.
        None for `affinity_graph` of X.
    metric : {"euclidean", "cosine"}, default="euclidean"
        The distance between samples.
    recall : float in (0, 1], optional
        As for `kneighbors`; None for exact neighbors.
    max_iter : int, default=1000
        Maximum number of iterations.
    tol : float, default=1e-2
        Stop when an iteration moves less than this in total, in units of one label.
    n_jobs : int, optional
        Number of threads; -1 for all available cores. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        The classes in `y`, sorted; the column numbers of `y` if it holds shares.
    transduction_ : array of shape (n_samples,)
        The class of each sample; -1 (None, if classes are strings) if no label reached it.
    label_distributions_ : float array of shape (n_samples, n_classes)
        Scores: the positive parts of the potentials, scaled to sum to 1; 0 if no label reached the
        sample. float32 if the graph is (the graph of float32 or float16 samples), else float64.
    reached_ : bool array of shape (n_samples,)
        Whether a label reached the sample. None can if the graph does not connect the sample to a
        labeled one.
    n_iter_ : int
        Number of iterations.

    Warns
    -----
    ConvergenceWarning
        If labels had not reached all samples that they can reach at the end. Potentials that still
        change cause no warning: between loosely connected parts of the graph they change for a long
        time. As in the paper, `max_iter` then ends the iteration.

    Notes
    -----
    Let W be the graph, D its degrees, and B the labels minus their mean in each connected component
    (0 at unlabeled samples). The iteration ``U = D**-1 @ (W @ U + B)`` goes from 0 towards the
    solution of the Poisson equation ``(D - W) @ U = B``. A sample gets the class of its largest
    potential. In a component with labels of one class, all samples get that class. Labeled samples
    keep their own. Time and memory are those of `LabelSpreading`.

    From Calder, Cook, Thorpe and Slepcev, "Poisson learning: graph based semi-supervised learning
    at very low label rates", ICML 2020.

    Examples
    --------
    Two groups with one label each, and an unconnected sample:

    >>> import labelquorum as lq
    >>> from scipy import sparse
    >>> edges = ([0, 1, 1, 2, 3, 4], [1, 0, 2, 1, 4, 3])
    >>> graph = sparse.csr_array(([1.0] * 6, edges), shape=(6, 6))
    >>> model = lq.PoissonLearning(graph=graph).fit(None, [7, -1, -1, 8, -1, -1])
    >>> model.transduction_
    array([ 7,  7,  7,  8,  8, -1])
    >>> model.reached_
    array([ True,  True,  True,  True,  True, False])
    """

    __module__ = "labelquorum"
    _keeps_labels = True

    def __init__(
        self,
        n_neighbors: int = 10,
        *,
        graph: Any = None,
        metric: Literal["euclidean", "cosine"] = "euclidean",
        recall: float | None = None,
        max_iter: int = 1000,
        tol: float = 1e-2,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.graph = graph
        self.metric = metric
        self.recall = recall
        self.max_iter = max_iter
        self.tol = tol
        self.n_jobs = n_jobs
        self.verbose = verbose

    def _spread(
        self, graph: sparse.csr_array, known: KnownLabels, counts: Integers, limits: _Limits
    ) -> _Spread:
        graph = symmetrize_graph(graph, combine="sum", n_jobs=limits.n_threads)
        graph.eliminate_zeros()
        n_components, components = connected_components(graph, n_jobs=limits.n_threads)
        seed_components = components[known.samples]
        n_seeds = np.bincount(seed_components, minlength=n_components)
        means = np.zeros((n_components, len(known.classes)))
        np.add.at(means, seed_components, known.shares)
        means /= np.maximum(n_seeds, 1)[:, None]

        degrees = graph.sum(axis=1)
        flows = known.shares - means[seed_components]
        # In units of the mean degree, so that `tol` does not depend on the scale of the weights.
        scales = degrees.mean() / np.where(degrees > 0, degrees, 1)
        seeds = known.samples, flows * scales[known.samples, None]
        spread = _propagate(graph, "random_walk", True, seeds, (1.0, 1.0, False), limits)

        shares = _scaled_rows(np.maximum(spread.values, 0))
        total_flows = np.bincount(seed_components, np.abs(flows).sum(axis=1), n_components)
        # Without a flow, all labels of the component are the same, or there are none.
        is_still = ~(total_flows > 1e-9)[components]
        shares[is_still] = means[components[is_still]]
        shares[known.samples] = known.shares
        is_waiting = (n_seeds[components] > 0) & ~shares.any(axis=1)
        return spread._replace(values=shares, converged=True, spreading=bool(is_waiting.any()))
