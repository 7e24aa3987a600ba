"""Labels spread over a graph of samples, from labeled to unlabeled ones, in three ways."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from scipy import sparse

from labelquorum._shared.arguments import as_non_negative
from labelquorum._shared.distinct import Integers
from labelquorum._shared.labels import KnownLabels
from labelquorum.graphs.csr import connected_components, symmetrize_graph
from labelquorum.semi_supervised.graph_classifier import (
    GraphClassifier,
    Limits,
    Spread,
    class_masses_normalized,
    propagate,
    scaled_rows,
)


class LabelSpreading(GraphClassifier):
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
        self, graph: sparse.csr_array, known: KnownLabels, counts: Integers, limits: Limits
    ) -> Spread:
        alpha = as_non_negative(self.alpha, "alpha")
        if not 0 < alpha < 1:
            raise ValueError(f"alpha must be above 0 and below 1, got {alpha}")
        seeds = known.samples, known.shares
        rule = alpha, 1 - alpha, False
        spread = propagate(graph, "symmetric", False, seeds, rule, limits)
        shares = scaled_rows(spread.values)
        if self.class_mass_normalization:
            shares = class_masses_normalized(shares, known, counts)
        return spread._replace(values=shares)


class LabelPropagation(GraphClassifier):
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
        self, graph: sparse.csr_array, known: KnownLabels, counts: Integers, limits: Limits
    ) -> Spread:
        seeds = known.samples, known.shares
        spread = propagate(graph, "random_walk", True, seeds, (1.0, 0.0, True), limits)
        shares = scaled_rows(spread.values)
        if self.class_mass_normalization:
            shares = class_masses_normalized(shares, known, counts)
        return spread._replace(values=shares)


class PoissonLearning(GraphClassifier):
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
        self, graph: sparse.csr_array, known: KnownLabels, counts: Integers, limits: Limits
    ) -> Spread:
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
        spread = propagate(graph, "random_walk", True, seeds, (1.0, 1.0, False), limits)

        shares = scaled_rows(np.maximum(spread.values, 0))
        total_flows = np.bincount(seed_components, np.abs(flows).sum(axis=1), n_components)
        # Without a flow, all labels of the component are the same, or there are none.
        is_still = ~(total_flows > 1e-9)[components]
        shares[is_still] = means[components[is_still]]
        shares[known.samples] = known.shares
        is_waiting = (n_seeds[components] > 0) & ~shares.any(axis=1)
        return spread._replace(values=shares, converged=True, spreading=bool(is_waiting.any()))
