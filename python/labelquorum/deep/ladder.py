"""Estimators of one ladder network: a classifier for few labels, and a clusterer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClusterMixin

from labelquorum._shared.arguments import as_positive
from labelquorum._shared.estimators import SemiSupervisedClassifierMixin
from labelquorum._shared.labels import known_labels
from labelquorum.deep.estimator import LadderEstimator, Probabilities
from labelquorum.deep.training import Loss, predict


class LadderClassifier(SemiSupervisedClassifierMixin, LadderEstimator):
    """Classify with a ladder network, which learns from few labels and many unlabeled samples.

    Parameters
    ----------
    hidden : sequence of int, default=(1000, 500, 250, 250, 250)
        Widths of the hidden layers.
    noise : float, default=0.3
        Standard deviation of the noise on the features, which are scaled to a standard deviation
        of 0.3, and on the normalized units of each layer.
    denoising_costs : sequence of 4 floats, default=(1, 0.01, 0.0004, 0.01)
        Weights of the squared errors of denoising, per unit: of the features, the first hidden
        layer, the other hidden layers, and the classes.
    n_steps : int, default=5000
        Number of training steps.
    batch_size : int, default=100
        Samples per training step.
    labeled_batch_size : int, default=100
        Additional labeled samples per training step, on average the same number of each class.
    learning_rate : float, default=0.002
        Learning rate of Adam. In the last third of the steps it falls to 0.
    directory : path-like, optional
        Folder to save the state of the fit to, once a minute. A later fit with the same arguments
        resumes from it. Needs a `random_state` that is an int.
    compile : bool, default=False
        Compile the networks first (`torch.compile`). This takes a minute and, on a CPU, needs a C++
        compiler; steps then take about half the time. Results differ by rounding.
    device : str or torch.device, optional
        Device to compute on; None for a GPU if there is one, else the CPU.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the order of the samples and the noise.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        The classes, sorted.
    transduction_ : array of shape (n_samples,)
        The class of each training sample, as `predict` returns it.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    LadderIM : Cluster with the same network, without labels.

    Notes
    -----
    The method is that of Rasmus, Valpola, Honkala, Berglund and Raiko, "Semi-supervised learning
    with ladder networks" (NIPS 2015). A clean and a noisy encoder share their weights. A decoder
    reconstructs the clean units of each layer from the noisy ones. For labeled samples, the
    cross-entropy of the noisy predictions is added to the loss. Predictions normalize with
    statistics of the training samples (at most 10,000 of them), so the class of a sample does not
    depend on the samples it is predicted with.

    Matrix products are computed in bfloat16 if the device has instructions for it.

    Examples
    --------
    >>> import labelquorum as lq
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> y_train = y.copy()
    >>> y_train[300:] = -1
    >>> model = lq.deep.LadderClassifier(hidden=(100,), n_steps=300, learning_rate=0.005,
    ...                                  random_state=0).fit(X, y_train)
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
        """Learn from samples, some of which have labels.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features)
            The samples. A sparse matrix is converted to a dense array.
        y : array-like of shape (n_samples,)
            The classes: integers, with -1 for no label, or strings, with None for no label. See
            docs/inputs.md for all forms.

        Returns
        -------
        self : LadderClassifier

        Raises
        ------
        TypeError, ValueError
            If an argument or parameter has the wrong type, shape or range, or if y has no label.
        FloatingPointError
            If training diverges. The message says what to change.
        """
        self._check_parameters()
        as_positive(self.labeled_batch_size, "labeled_batch_size")
        rows = self._learn_features(X)
        known = known_labels(y, len(rows), type(self).__name__, shares=False)
        self.classes_ = known.classes
        labels = torch.full((1, len(rows)), -1, dtype=torch.int64)
        labels[0, torch.from_numpy(known.samples)] = torch.from_numpy(known.shares.argmax(axis=1))
        loss = Loss(clustering=None, mu=0.0)
        with self._training(rows, labels, len(self.classes_), 1, loss, self.n_steps) as training:
            training.train(labels, self._schedule(self.n_steps, self.labeled_batch_size))
        self._codes = predict(self._networks, rows)[0].argmax(dim=1).cpu().numpy()
        return self

    @property
    def transduction_(self) -> NDArray[Any]:
        """The class of each training sample, as `predict` returns it."""
        labels: NDArray[Any] = self.classes_[self._codes]
        return labels

    def predict_proba(self, X: Any) -> Probabilities:
        """Estimate the probabilities of the classes.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features)

        Returns
        -------
        float32 array of shape (n_new, n_classes)
            Columns in the order of `classes_`.
        """
        probabilities: Probabilities = self._probabilities(X)[0]
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class of each sample.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features)

        Returns
        -------
        array of shape (n_new,)
        """
        codes = self.predict_proba(X).argmax(axis=1)  # first, since it checks that fit was called
        labels: NDArray[Any] = self.classes_[codes]
        return labels


class LadderIM(ClusterMixin, LadderEstimator):
    """Cluster with a ladder network.

    The network is trained to make predictions that are certain and the same under noise, and
    clusters of equal size.

    Parameters
    ----------
    n_clusters : int, default=10
        Number of clusters.
    loss : {"information", "dot"}, default="information"
        The clustering loss: information maximization (Ladder-IM), or orthogonal predictions for
        different samples (Ladder-DOT).
    mu : float, default=4.0
        Weight of equal cluster sizes in the loss.
    n_partitions : int, default=32
        Number of base partitions of the features (`base_partitions`). The network starts by
        learning the consensus of a random half of them. With 0 it starts from random weights; use
        this if distances between samples say little, as between color images.
    hidden : sequence of int, default=(400, 400)
        Widths of the hidden layers.
    noise : float, default=0.3
        Standard deviation of the noise on the features, which are scaled to a standard deviation
        of 0.3, and on the normalized units of each layer.
    denoising_costs : sequence of 4 floats, default=(1, 0.01, 0.0004, 0.01)
        Weights of the squared errors of denoising, per unit: of the features, the first hidden
        layer, the other hidden layers, and the classes.
    n_steps : int, default=3000
        Number of training steps.
    batch_size : int, default=250
        Samples per training step.
    labeled_batch_size : int, default=125
        Additional samples per training step, to learn the consensus of the partitions from; on
        average the same number of each cluster.
    learning_rate : float, default=0.005
        Learning rate of Adam. In the last third of the steps it falls to 0.
    directory : path-like, optional
        Folder to save the state of the fit to, once a minute. A later fit with the same arguments
        resumes from it. Needs a `random_state` that is an int.
    compile : bool, default=False
        Compile the networks first (`torch.compile`). This takes a minute and, on a CPU, needs a C++
        compiler; steps then take about half the time. Results differ by rounding.
    device : str or torch.device, optional
        Device to compute on; None for a GPU if there is one, else the CPU.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the order of the samples and the noise.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    labels_ : int32 array of shape (n_samples,)
        The cluster of each sample.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    Kingdra : Train many such networks, which learn from their agreement.

    Notes
    -----
    The method is that of Gupta, Ramjee, Kwatra and Sivathanu, "Unsupervised clustering using
    pseudo-semi-supervised learning" (ICLR 2020). The loss has three parts: H(Y|X) - mu H(Y) of the
    clean predictions (Krause, Perona and Gomes, "Discriminative clustering by regularized
    information maximization", NIPS 2010) or their orthogonality, the divergence of the noisy
    predictions from the clean ones, and the denoising costs of the ladder.

    There is one difference. A network that starts from random weights often merges two categories
    and splits another within a thousand steps, and never recovers. So here it also learns, by
    cross-entropy, the consensus of the base partitions. On images the other costs lead from there
    to better clusters; on small tables they did not.

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
            The samples. A sparse matrix is converted to a dense array.
        y : ignored

        Returns
        -------
        self : LadderIM

        Raises
        ------
        TypeError, ValueError
            If an argument or parameter has the wrong type, shape or range.
        FloatingPointError
            If training diverges. The message says what to change.
        """
        self._check_parameters()
        rows = self._learn_features(X)
        self._check_clustering_parameters(len(rows))
        loss = Loss(self.loss, self.mu)
        labels = self._initial_labels(X, 1)
        with self._training(rows, labels, self.n_clusters, 1, loss, self.n_steps) as training:
            training.train(labels, self._schedule(self.n_steps, self.labeled_batch_size))
        probabilities = predict(self._networks, rows)[0]
        self.labels_ = probabilities.argmax(dim=1).cpu().numpy().astype(np.int32)
        return self

    def predict_proba(self, X: Any) -> Probabilities:
        """Estimate the probabilities of the clusters.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features)

        Returns
        -------
        float32 array of shape (n_new, n_clusters)
        """
        probabilities: Probabilities = self._probabilities(X)[0]
        return probabilities

    def predict(self, X: Any) -> NDArray[np.int32]:
        """Return the most probable cluster of each sample.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features)

        Returns
        -------
        int32 array of shape (n_new,)
        """
        labels: NDArray[np.int32] = self.predict_proba(X).argmax(axis=1).astype(np.int32)
        return labels
