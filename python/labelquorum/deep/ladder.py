"""Ladder networks: one that learns from few labels, and one that clusters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin, ClusterMixin

from labelquorum._shared.arguments import as_positive
from labelquorum._shared.labels import known_labels
from labelquorum.deep.estimator import DeepEstimator, Floats
from labelquorum.deep.training import Loss, predict


class LadderClassifier(ClassifierMixin, DeepEstimator):
    """A ladder network: a classifier that learns from few labels and many samples without.

    Parameters
    ----------
    hidden : sequence of int, default=(1000, 500, 250, 250, 250)
        Widths of the hidden layers.
    noise : float, default=0.3
        Standard deviation of the noise on the features, which are scaled to a standard deviation
        of 0.3, and on the normalised units of each layer.
    denoising_costs : four floats, default=(1, 0.01, 0.0004, 0.01)
        Weights of the squared errors of denoising: of each feature, of each unit of the first
        hidden layer, of each unit of the others, and of each class.
    n_steps : int, default=5000
        Training steps.
    batch_size : int, default=100
        Samples of a training step.
    labeled_batch_size : int, default=100
        Labeled samples beside them, as many of each class in the mean.
    learning_rate : float, default=0.002
        Of Adam; in the last third of the steps it falls to 0.
    directory : path-like, optional
        Where to keep the state, once a minute: a fit with the same arguments goes on from there.
        `random_state` then has to be an int.
    compile : bool, default=False
        Compile the networks first (`torch.compile`; a minute, and on a processor a C++ compiler has
        to be there). Steps then take about half of the time. Results differ by rounding.
    device : str or torch.device, optional
        None for a GPU where there is one, else the processor.
    random_state : int, RandomState instance or None, default=None
        Decides the weights at the start, the order of the samples and the noise.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        The classes.
    transduction_ : array of shape (n_samples,)
        The class of each training sample, as `predict` says it.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    LadderIM : the same network without labels.

    Notes
    -----
    Rasmus, Valpola, Honkala, Berglund and Raiko, "Semi-supervised learning with ladder networks"
    (NIPS 2015): a clean and a noisy encoder with the same weights; a decoder that, with the noisy
    units beside it, has to find the clean ones of each layer again; cross-entropy of the noisy
    predictions where there are labels. Predictions normalise by the statistics of the training
    samples (10,000 at most), so that a sample's class does not depend on the samples beside it.

    Products are made in bfloat16 where the device has instructions for it.

    Examples
    --------
    >>> import labelquorum as lq
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> few = y.copy()
    >>> few[300:] = -1
    >>> model = lq.deep.LadderClassifier(hidden=(100,), n_steps=300, learning_rate=0.005,
    ...                                  random_state=0).fit(X, few)
    >>> model.score(X[300:], y[300:]) > 0.8
    True
    """

    __module__ = "labelquorum.deep"

    _ARRAYS = ("_codes",)

    def __init__(
        self,
        *,
        hidden: Sequence[int] = (1000, 500, 250, 250, 250),
        noise: float = 0.3,
        denoising_costs: Sequence[float] = (1.0, 0.01, 0.0004, 0.01),
        n_steps: int = 5000,
        batch_size: int = 100,
        labeled_batch_size: int = 100,
        learning_rate: float = 0.002,
        directory: str | Path | None = None,
        compile: bool = False,
        device: Any = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.hidden = hidden
        self.noise = noise
        self.denoising_costs = denoising_costs
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.labeled_batch_size = labeled_batch_size
        self.learning_rate = learning_rate
        self.directory = directory
        self.compile = compile
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any) -> Self:
        """Learn from samples, of which some have labels.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features)
            The samples. Sparse ones are made dense.
        y : array-like of shape (n_samples,)
            Classes: integers, -1 where there is no label; or strings, None where there is none.

        Returns
        -------
        LadderClassifier
            Itself.

        Raises
        ------
        TypeError, ValueError
            If an argument or parameter is of the wrong type, shape or range; if y holds no label.
        FloatingPointError
            If training diverges; the message says what to change.
        """
        self._check_parameters()
        as_positive(self.labeled_batch_size, "labeled_batch_size")
        rows = self._learn_features(X)
        known = known_labels(y, len(rows), type(self).__name__, shares=False)
        self.classes_ = known.classes
        labels = torch.full((1, len(rows)), -1, dtype=torch.int64)
        labels[0, torch.from_numpy(known.samples)] = torch.from_numpy(known.shares.argmax(axis=1))
        loss = Loss(None, 0.0)
        with self._training(rows, len(self.classes_), 1, loss, self.n_steps) as training:
            training.train(labels, self._schedule(self.n_steps, self.labeled_batch_size))
        self._codes = predict(self._networks, rows)[0].argmax(dim=1).cpu().numpy()
        return self

    @property
    def transduction_(self) -> NDArray[Any]:
        """The class of each training sample."""
        labels: NDArray[Any] = self.classes_[self._codes]
        return labels

    def predict_proba(self, X: Any) -> Floats:
        """Estimate the probabilities of the classes.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features)

        Returns
        -------
        float32 array of shape (n_new, n_classes)
            One column for each of `classes_`.
        """
        shares: Floats = self._shares(X)[0]
        return shares

    def predict(self, X: Any) -> NDArray[Any]:
        """Say which class samples are in: that of the largest probability.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features)

        Returns
        -------
        array of shape (n_new,)
        """
        shares = self.predict_proba(X)
        labels: NDArray[Any] = self.classes_[shares.argmax(axis=1)]
        return labels


class LadderIM(ClusterMixin, DeepEstimator):
    """A network that clusters: sure predictions, the same with noise, clusters of equal size.

    Parameters
    ----------
    n_clusters : int, default=10
        Clusters.
    loss : {"information", "dot"}, default="information"
        What makes clusters: information maximisation (Ladder-IM), or orthogonal predictions of
        different samples (Ladder-DOT).
    mu : float, default=4.0
        Weight of equal sizes of clusters.
    n_partitions : int, default=32
        Clusterings of the features (`base_partitions`) that are made first; the network learns from
        the consensus of a random half of them. 0: from nothing, where distances between samples say
        nothing (as between images in colour).
    hidden : sequence of int, default=(400, 400)
        Widths of the hidden layers.
    noise : float, default=0.3
        Standard deviation of the noise on the features, which are scaled to a standard deviation
        of 0.3, and on the normalised units of each layer.
    denoising_costs : four floats, default=(1, 0.01, 0.0004, 0.01)
        Weights of the squared errors of denoising: of each feature, of each unit of the first
        hidden layer, of each unit of the others, and of each class.
    n_steps : int, default=3000
        Training steps.
    batch_size : int, default=250
        Samples of a training step.
    labeled_batch_size : int, default=125
        Samples of a training step from which it learns the consensus of the partitions, as many of
        each cluster in the mean.
    learning_rate : float, default=0.005
        Of Adam; in the last third of the steps it falls to 0.
    directory : path-like, optional
        Where to keep the state, once a minute: a fit with the same arguments goes on from there.
        `random_state` then has to be an int.
    compile : bool, default=False
        Compile the networks first (`torch.compile`; a minute, and on a processor a C++ compiler has
        to be there). Steps then take about half of the time. Results differ by rounding.
    device : str or torch.device, optional
        None for a GPU where there is one, else the processor.
    random_state : int, RandomState instance or None, default=None
        Decides the weights at the start, the order of the samples and the noise.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    labels_ : int32 array of shape (n_samples,)
        Cluster of each sample.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    Kingdra : many of them, which learn from their agreement.

    Notes
    -----
    The loss is H(Y|X) - mu H(Y) of the clean predictions (Krause, Perona and Gomes, "Discriminative
    clustering by regularized information maximization", NIPS 2010), or their orthogonality; the
    divergence from clean predictions to noisy ones; and the denoising costs of the ladder. From
    Gupta, Ramjee, Kwatra and Sivathanu, "Unsupervised clustering using pseudo-semi-supervised
    learning" (ICLR 2020).

    Other than there, a network does not start from nothing, since it then often joins two
    categories and cuts another in a thousand steps, and stays so: it also learns, by cross-entropy,
    what clusterings of the features agree on. On images the other costs lead from there to better
    clusters; on small tables they did not.

    Examples
    --------
    >>> import labelquorum as lq
    >>> from sklearn.datasets import make_blobs
    >>> X, y = make_blobs(300, centers=3, n_features=8, random_state=0)
    >>> model = lq.deep.LadderIM(3, hidden=(32,), n_steps=150, random_state=0).fit(X)
    >>> lq.clustering_accuracy(y, model.labels_) > 0.95
    True
    """

    __module__ = "labelquorum.deep"

    _ARRAYS = ("labels_",)

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        loss: str = "information",
        mu: float = 4.0,
        n_partitions: int = 32,
        hidden: Sequence[int] = (400, 400),
        noise: float = 0.3,
        denoising_costs: Sequence[float] = (1.0, 0.01, 0.0004, 0.01),
        n_steps: int = 3000,
        batch_size: int = 250,
        labeled_batch_size: int = 125,
        learning_rate: float = 0.005,
        directory: str | Path | None = None,
        compile: bool = False,
        device: Any = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.n_clusters = n_clusters
        self.loss = loss
        self.mu = mu
        self.n_partitions = n_partitions
        self.hidden = hidden
        self.noise = noise
        self.denoising_costs = denoising_costs
        self.n_steps = n_steps
        self.batch_size = batch_size
        self.labeled_batch_size = labeled_batch_size
        self.learning_rate = learning_rate
        self.directory = directory
        self.compile = compile
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        """Cluster the samples.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features)
            The samples. Sparse ones are made dense.
        y : ignored

        Returns
        -------
        LadderIM
            Itself.

        Raises
        ------
        TypeError, ValueError
            If an argument or parameter is of the wrong type, shape or range.
        FloatingPointError
            If training diverges; the message says what to change.
        """
        self._check_parameters()
        rows = self._learn_features(X)
        self._check_clusters(len(rows))
        loss = Loss(self.loss, self.mu)
        starts = self._starts(X, 1)
        with self._training(rows, self.n_clusters, 1, loss, self.n_steps) as training:
            training.train(starts, self._schedule(self.n_steps, self.labeled_batch_size))
        shares = predict(self._networks, rows)[0]
        self.labels_ = shares.argmax(dim=1).cpu().numpy().astype(np.int32)
        return self

    def predict_proba(self, X: Any) -> Floats:
        """Estimate the probabilities of the clusters.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features)

        Returns
        -------
        float32 array of shape (n_new, n_clusters)
        """
        shares: Floats = self._shares(X)[0]
        return shares

    def predict(self, X: Any) -> NDArray[np.int32]:
        """Say which cluster samples are in: that of the largest probability.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features)

        Returns
        -------
        int32 array of shape (n_new,)
        """
        labels: NDArray[np.int32] = self.predict_proba(X).argmax(axis=1).astype(np.int32)
        return labels
