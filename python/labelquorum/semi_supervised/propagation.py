"""Labels that spread over a graph of samples, from those that have one to those that have none."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted, validate_data

from labelquorum import _core
from labelquorum._shared.arguments import (
    as_choice,
    as_graph,
    as_n_threads,
    as_non_negative,
    as_positive,
)
from labelquorum._shared.labels import KnownLabels, known_labels, most_likely, to_labels
from labelquorum._shared.progress import progress
from labelquorum.graphs.affinity import METRICS, affinity_graph, heat_weights
from labelquorum.graphs.csr import connected_components, symmetrize_graph
from labelquorum.neighbors.search import kneighbors

FLOATS = (np.float64, np.float32, np.float16)


class _Limits(NamedTuple):
    """How long it may take, in how many threads, and who is told."""

    max_iter: int
    tol: float
    n_threads: int
    show: Callable[[str, float], None] | None


class _Spread(NamedTuple):
    """What the extension returns."""

    values: NDArray[np.floating[Any]]
    reached: NDArray[np.uint8]
    n_iter: int
    converged: bool
    spreading: bool


def _propagate(
    graph: sparse.csr_array,
    normalization: str,
    self_loops: bool,
    seeds: tuple[NDArray[np.int64], NDArray[np.float64]],
    rule: tuple[float, float, bool],
    limits: _Limits,
) -> _Spread:
    """Iterate with the normalised graph; `rule` is that of the extension."""
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


class _GraphClassifier(ClassifierMixin, BaseEstimator):
    """What the estimators of this module share: the graph, fit, predict."""

    n_neighbors: int
    graph: Any
    metric: Literal["euclidean", "cosine"]
    recall: float | None
    max_iter: int
    tol: float
    n_jobs: int | None
    verbose: bool

    def fit(self, X: Any, y: Any) -> Self:
        """Spread the labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or None
            The samples. With a `graph` it serves `predict` only and may be None.
        y : array-like of shape (n_samples,) or (n_samples, n_classes)
            Classes, with -1 (or None, among strings) for a sample without a label; or for each
            sample the shares of the classes, summing to 1, or all zero for no label.

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
            raise ValueError("X is None and there is no graph; wanted either")
        if X is not None:
            X = validate_data(self, X, dtype=FLOATS, ensure_min_samples=2)
        self._X = X
        if self.graph is None:
            graph = affinity_graph(
                X,
                min(n_neighbors, len(X) - 1),
                metric=self.metric,
                recall=self.recall,
                n_jobs=n_threads,
                verbose=self.verbose,
            )
        else:
            graph = as_graph(self.graph)
            if X is not None and len(X) != graph.shape[0]:
                raise ValueError(
                    f"graph has {graph.shape[0]} nodes, X {len(X)} samples; wanted as many"
                )
        known = known_labels(y, graph.shape[0], type(self).__name__)
        self.classes_ = known.classes
        with progress(self.verbose) as show:
            spread = self._spread(graph, known, _Limits(max_iter, tol, n_threads, show))
        self.n_iter_ = spread.n_iter
        self.label_distributions_ = spread.values
        codes = most_likely(self.label_distributions_)
        self.reached_ = codes >= 0
        self.transduction_ = to_labels(known.classes, codes)
        if not spread.converged or spread.spreading:
            found = (
                f"after {spread.n_iter} iterations the labels still changed by tol={tol:g} or more"
                if not spread.converged
                else f"the changes fell below tol={tol:g} after {spread.n_iter} iterations, "
                "before the labels had reached all samples that they can reach"
            )
            warnings.warn(
                f"{type(self).__name__}: {found}; raise max_iter or change tol",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def _spread(self, graph: sparse.csr_array, known: KnownLabels, limits: _Limits) -> _Spread:
        """Spread the known labels: the values are the shares of the classes in each sample."""
        raise NotImplementedError

    def predict_proba(self, X: Any) -> NDArray[np.floating[Any]]:
        """Compute the shares of the classes in new samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_classes)
            The mean of the distributions of the `n_neighbors` nearest samples of `fit`, weighted by
            ``exp(-4 d**2 / s**2)``, d their distance, s that of the last of them. All zero where no
            label reached any of them.
        """
        check_is_fitted(self)
        if self._X is None:
            raise ValueError(
                f"this {type(self).__name__} was fitted without X; wanted fit(X, y) to find the "
                "neighbours of new samples"
            )
        X = validate_data(self, X, dtype=FLOATS, reset=False)
        k = min(as_positive(self.n_neighbors, "n_neighbors"), len(self._X))
        distances, indices = kneighbors(
            self._X, k, metric=self.metric, Y=X, n_jobs=self.n_jobs, verbose=self.verbose
        )
        weights = heat_weights(distances, distances[:, -1:], self.metric)
        shares = np.zeros((len(X), len(self.classes_)), dtype=self.label_distributions_.dtype)
        for rank in range(k):
            shares += weights[:, rank, None] * self.label_distributions_[indices[:, rank]]
        return _scaled_rows(shares)

    def predict(self, X: Any) -> NDArray[Any]:
        """Label new samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,)
            The class with the largest share, as `predict_proba` gives it; -1 (None, where classes
            are no numbers) where there is none.
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
    shares: NDArray[np.floating[Any]], known: KnownLabels
) -> NDArray[np.floating[Any]]:
    """Give each class the mass among the unlabeled that it has among the labelled, in place."""
    unlabeled = np.ones(len(shares), dtype=bool)
    unlabeled[known.samples] = False
    masses = shares[unlabeled].sum(axis=0, dtype=np.float64)
    wanted = known.shares.mean(axis=0)
    factors = np.divide(wanted, masses, out=np.zeros_like(wanted), where=masses > 0)
    shares[unlabeled] = _scaled_rows(shares[unlabeled] * factors.astype(shares.dtype))
    return shares


class LabelSpreading(_GraphClassifier):
    """Spread labels over a graph of samples, letting given ones change a little.

    Parameters
    ----------
    n_neighbors : int, default=10
        Neighbours of each sample in the graph, and of a new one in `predict`; all others where
        there are fewer.
    alpha : float in (0, 1), default=0.99
        The share that a sample takes from its neighbours in every iteration; the rest is its own
        label's.
    graph : SciPy sparse matrix or array of shape (n_samples, n_samples), optional
        Affinities of the samples, at least 0, the larger the nearer (so not the distances that
        `kneighbors_graph` gives). Sample i takes from the
        columns of row i; the graph need not be symmetric. The diagonal does not count.
        None for `affinity_graph` of X.
    metric : {"euclidean", "cosine"}, default="euclidean"
        The distance between samples.
    recall : float in (0, 1], optional
        As for `kneighbors`; None for exact neighbours.
    max_iter : int, default=1000
        Iterations at most.
    tol : float, default=1e-3
        It ends when an iteration changes all values, their absolute changes added up, by less.
    class_mass_normalization : bool, default=False
        Scale the classes so that their masses among the unlabeled samples are as among the labelled
        ones.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        The classes of `y`; the numbers of its columns where it holds shares.
    transduction_ : array of shape (n_samples,)
        The class of each sample; -1 (None, where classes are no numbers) where no label came.
    label_distributions_ : float array of shape (n_samples, n_classes)
        The shares of the classes in each sample, all 0 where no label came.
        float32 where the graph is (that of samples of float32 or float16), else float64.
    reached_ : bool array of shape (n_samples,)
        Whether a label came to the sample. Where the graph does not connect it to a labelled one,
        none can.
    n_iter_ : int
        Iterations done.

    Warns
    -----
    ConvergenceWarning
        If labels still changed, or had not come everywhere they can, when it ended.

    Notes
    -----
    ``F = alpha * S @ F + (1 - alpha) * Y`` is iterated from F = Y, the labels; S is
    ``D**-0.5 @ graph @ D**-0.5``, D the sums of the columns. Given the same graph and parameters it
    does the same iterations as scikit-learn's class of this name, whose defaults differ (`alpha`
    0.2, `max_iter` 30, weights all 1). An iteration takes O(edges * n_classes); memory beyond
    the graph is some three times that of `label_distributions_`.

    From Zhou et al., "Learning with local and global consistency", NIPS 2004, and so is the default
    of `alpha`. Class masses
    as in Zhu, Ghahramani and Lafferty, "Semi-supervised learning using Gaussian fields and harmonic
    functions", ICML 2003.

    Examples
    --------
    Two groups with one label each, and a sample apart:

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

    def _spread(self, graph: sparse.csr_array, known: KnownLabels, limits: _Limits) -> _Spread:
        alpha = as_non_negative(self.alpha, "alpha")
        if not 0 < alpha < 1:
            raise ValueError(f"alpha is {alpha}; wanted a number between 0 and 1, neither of them")
        seeds = known.samples, known.shares
        rule = alpha, 1 - alpha, False
        spread = _propagate(graph, "symmetric", False, seeds, rule, limits)
        shares = _scaled_rows(spread.values)
        if self.class_mass_normalization:
            shares = _class_masses_normalized(shares, known)
        return spread._replace(values=shares)


class LabelPropagation(_GraphClassifier):
    """Spread labels over a graph of samples, given ones staying as they are.

    Parameters
    ----------
    n_neighbors : int, default=10
        Neighbours of each sample in the graph, and of a new one in `predict`; all others where
        there are fewer.
    graph : SciPy sparse matrix or array of shape (n_samples, n_samples), optional
        Affinities of the samples, at least 0, the larger the nearer (so not the distances that
        `kneighbors_graph` gives). Sample i takes from the
        columns of row i, itself included; the graph need not be symmetric.
        None for `affinity_graph` of X.
    metric : {"euclidean", "cosine"}, default="euclidean"
        The distance between samples.
    recall : float in (0, 1], optional
        As for `kneighbors`; None for exact neighbours.
    max_iter : int, default=1000
        Iterations at most.
    tol : float, default=1e-3
        It ends when an iteration changes all values, their absolute changes added up, by less.
    class_mass_normalization : bool, default=False
        Scale the classes so that their masses among the unlabeled samples are as among the labelled
        ones.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        The classes of `y`; the numbers of its columns where it holds shares.
    transduction_ : array of shape (n_samples,)
        The class of each sample; -1 (None, where classes are no numbers) where no label came.
    label_distributions_ : float array of shape (n_samples, n_classes)
        The shares of the classes in each sample, all 0 where no label came.
        float32 where the graph is (that of samples of float32 or float16), else float64.
    reached_ : bool array of shape (n_samples,)
        Whether a label came to the sample. Where the graph does not connect it to a labelled one,
        none can.
    n_iter_ : int
        Iterations done.

    Warns
    -----
    ConvergenceWarning
        If labels still changed, or had not come everywhere they can, when it ended.

    Notes
    -----
    ``F = D**-1 @ graph @ F`` is iterated from the labels, D the sums of the rows; after each
    iteration the rows of F are scaled to sum 1, and those of labelled samples set back. Given the
    same graph and parameters it does the same iterations as scikit-learn's class of this name. Time
    and memory are those of `LabelSpreading`.

    From Zhu and Ghahramani, "Learning from labeled and unlabeled data with label propagation",
    CMU-CALD-02-107, 2002. Class
    masses as in Zhu, Ghahramani and Lafferty, "Semi-supervised learning using Gaussian fields
    and harmonic functions", ICML 2003.

    Examples
    --------
    Two groups with one label each, and a sample apart:

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

    def _spread(self, graph: sparse.csr_array, known: KnownLabels, limits: _Limits) -> _Spread:
        seeds = known.samples, known.shares
        spread = _propagate(graph, "random_walk", True, seeds, (1.0, 0.0, True), limits)
        shares = _scaled_rows(spread.values)
        if self.class_mass_normalization:
            shares = _class_masses_normalized(shares, known)
        return spread._replace(values=shares)


class PoissonLearning(_GraphClassifier):
    """Spread very few labels over a graph of samples: about one to five per class.

    With so few, the values of the other methods are nearly constant away from the labels; here
    labels are sources and sinks of a flow, which keeps its direction far from them.

    Parameters
    ----------
    n_neighbors : int, default=10
        Neighbours of each sample in the graph, and of a new one in `predict`; all others where
        there are fewer.
    graph : SciPy sparse matrix or array of shape (n_samples, n_samples), optional
        Affinities of the samples, at least 0, the larger the nearer (so not the distances that
        `kneighbors_graph` gives). Made symmetric by adding
        its transpose; the diagonal does not count.
        None for `affinity_graph` of X.
    metric : {"euclidean", "cosine"}, default="euclidean"
        The distance between samples.
    recall : float in (0, 1], optional
        As for `kneighbors`; None for exact neighbours.
    max_iter : int, default=1000
        Iterations at most.
    tol : float, default=1e-2
        It ends when an iteration moves less than this in all: a label is 1.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        The classes of `y`; the numbers of its columns where it holds shares.
    transduction_ : array of shape (n_samples,)
        The class of each sample; -1 (None, where classes are no numbers) where no label came.
    label_distributions_ : float array of shape (n_samples, n_classes)
        A score: the positive parts of the potentials, scaled to sum 1; 0 where no label came.
        float32 where the graph is (that of samples of float32 or float16), else float64.
    reached_ : bool array of shape (n_samples,)
        Whether a label came to the sample. Where the graph does not connect it to a labelled one,
        none can.
    n_iter_ : int
        Iterations done.

    Warns
    -----
    ConvergenceWarning
        If labels had not come everywhere they can when it ended. Potentials that still change are
        no reason: where parts of the graph hang together loosely, they do for long, and as in the
        paper `max_iter` ends it.

    Notes
    -----
    With W the graph, D its degrees, and B the labels less their mean (in each connected component,
    0 at unlabeled samples), ``U = D**-1 @ (W @ U + B)`` is iterated from 0 towards the solution
    of the Poisson equation ``(D - W) @ U = B``. A sample gets the class of its largest potential;
    in a component with labels of one class only, that class; labelled samples keep their own. Time
    and memory are those of `LabelSpreading`.

    From Calder, Cook, Thorpe and Slepcev, "Poisson learning: graph based semi-supervised learning
    at very low label rates", ICML 2020.

    Examples
    --------
    Two groups with one label each, and a sample apart:

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

    def _spread(self, graph: sparse.csr_array, known: KnownLabels, limits: _Limits) -> _Spread:
        graph = symmetrize_graph(graph, combine="sum", n_jobs=limits.n_threads)
        graph.eliminate_zeros()
        n_components, components = connected_components(graph, n_jobs=limits.n_threads)
        of_seed = components[known.samples]
        n_seeds = np.bincount(of_seed, minlength=n_components)
        means = np.zeros((n_components, len(known.classes)))
        np.add.at(means, of_seed, known.shares)
        means /= np.maximum(n_seeds, 1)[:, None]

        degrees = graph.sum(axis=1)
        flows = known.shares - means[of_seed]
        # In units of the mean degree, so that `tol` does not depend on the scale of the weights.
        scales = degrees.mean() / np.where(degrees > 0, degrees, 1)
        seeds = known.samples, flows * scales[known.samples, None]
        spread = _propagate(graph, "random_walk", True, seeds, (1.0, 1.0, False), limits)

        shares = _scaled_rows(np.maximum(spread.values, 0))
        flowing = np.bincount(of_seed, np.abs(flows).sum(axis=1), n_components) > 1e-9
        still = ~flowing[components]
        shares[still] = means[components[still]]
        shares[known.samples] = known.shares
        waiting = (n_seeds[components] > 0) & ~shares.any(axis=1)
        return spread._replace(values=shares, converged=True, spreading=bool(waiting.any()))
