"""Kingdra: an ensemble of networks that clusters and learns from its own agreement.

The networks first cluster on their own. Then, in rounds, the samples on which they agree become
pseudo-labels, and every network learns from these too. Each network numbers its clusters in its own
way; the functions at the end match these numbers one to one, by the samples that clusters share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.base import ClusterMixin

from labelquorum._shared.arguments import as_non_negative, as_positive
from labelquorum.deep.estimator import LadderEstimator, Probabilities
from labelquorum.deep.training import Loss, Training, predict
from labelquorum.votes.mini_clusters import mini_clusters

_MIN_DIFFER = 0.9  # share of the networks that must separate two mini-clusters

Codes = NDArray[np.int32]


class Kingdra(ClusterMixin, LadderEstimator):
    """Cluster with an ensemble of networks that learns from its own agreement.

    Parameters
    ----------
    n_clusters : int, default=10
        Number of clusters.
    n_networks : int, default=10
        Number of networks. Each has a seed of its own, and all are trained at once.
    n_rounds : int, default=5
        Number of rounds in which the networks learn from pseudo-labels.
    n_steps : int, default=500
        Training steps per round.
    n_first_steps : int, default=1000
        Training steps before the networks first vote.
    min_confidence : float, default=0.95
        A sample gets a pseudo-label only if its highest probability, averaged over the networks, is
        at least this. The more certain half of each mini-cluster gets one in any case, so no
        cluster is left without.
    loss : {"information", "dot"}, default="information"
        The clustering loss: information maximization (Ladder-IM), or orthogonal predictions for
        different samples (Ladder-DOT).
    mu : float, default=4.0
        Weight of equal cluster sizes in the loss.
    n_partitions : int, default=32
        Number of base partitions of the features (`base_partitions`). Each network starts by
        learning the consensus of a random half of them. With 0 it starts from random weights; use
        this if distances between samples say little, as between color images.
    network : callable, optional
        Returns a `torch.nn.Module` that maps rows (n, n_features) to logits (n, n_clusters), used
        in place of a ladder network. `hidden` and `denoising_costs` then have no effect.
    hidden : sequence of int, default=(400, 400)
        Widths of the hidden layers.
    noise : float, default=0.3
        Standard deviation of the noise on the features, which are scaled to a standard deviation
        of 0.3, and on the normalized units of each layer.
    denoising_costs : sequence of 4 floats, default=(1, 0.01, 0.0004, 0.01)
        Weights of the squared errors of denoising, per unit: of the features, the first hidden
        layer, the other hidden layers, and the classes.
    batch_size : int, default=250
        Samples per training step.
    labeled_batch_size : int, default=125
        Additional samples with a pseudo-label per training step, on average the same number of each
        cluster.
    learning_rate : float, default=0.005
        Learning rate of Adam. In the last third of each round it falls to 0.
    directory : path-like, optional
        Folder to save the state of the fit to, once a minute and after each round. A later fit with
        the same arguments resumes from it. Needs a `random_state` that is an int.
    compile : bool, default=False
        Compile the networks first (`torch.compile`). This takes a minute and, on a CPU, needs a C++
        compiler; steps then take about half the time. Results differ by rounding.
    device : str or torch.device, optional
        Device to compute on; None for a GPU if there is one, else the CPU.
    random_state : int, RandomState instance or None, default=None
        Seed of the networks' own seeds.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    labels_ : int32 array of shape (n_samples,)
        The cluster of each sample.
    pseudo_labels_ : int32 array of shape (n_samples,)
        The last mini-clusters, numbered as in `labels_`; -1 for a sample that is in none.
    history_ : list of dict
        For the first steps and each round: "coverage" (share of samples with a pseudo-label),
        "n_mini_clusters", "agreement" (share of the networks that vote for a sample's most frequent
        cluster, averaged over the samples), "is_complete" (whether there are as many mini-clusters
        as clusters).
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    LadderIM : Train a single network of this kind.
    labelquorum.mini_clusters : Find where any partitions agree.
    labelquorum.ConsensusClusterer : Cluster features without deep learning.

    Notes
    -----
    The method is that of Gupta, Ramjee, Kwatra and Sivathanu, "Unsupervised clustering using
    pseudo-semi-supervised learning" (ICLR 2020). All networks first cluster. Then, in rounds,
    samples on which all networks agree form mini-clusters, and between two mini-clusters nine of
    ten networks differ. Each network learns from them by cross-entropy, beside its clustering loss.
    If there are fewer mini-clusters than clusters, the last complete ones are used again; until
    there are any, the networks learn from what they started with.

    Two things differ from the paper and its code:

    - Networks that start from random weights often merge two categories and split another, never
      recover, and vote little better together. So in the first steps each network also learns the
      consensus of a random half of the base partitions (`n_partitions`).
    - Predictions average all networks, after their clusters are matched one to one. They normalize
      with statistics of the training samples (at most 10,000 of them), so the label of a sample
      does not depend on the samples it is predicted with.

    Matrix products are computed in bfloat16 if the device has instructions for it. Memory: the
    features in float32, and about 16 bytes per weight of each network.

    Examples
    --------
    >>> import labelquorum as lq
    >>> from sklearn.datasets import make_blobs
    >>> X, y = make_blobs(300, centers=3, n_features=8, random_state=0)
    >>> model = lq.deep.Kingdra(3, n_networks=4, n_first_steps=150, n_rounds=1, n_steps=50,
    ...                         hidden=(32,), random_state=0).fit(X)
    >>> lq.clustering_accuracy(y, model.labels_) > 0.95
    True
    """

    __module__ = "labelquorum.deep"

    _ARRAYS = ("labels_", "pseudo_labels_", "_order")

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        n_networks: int = 10,
        n_rounds: int = 5,
        n_steps: int = 500,
        n_first_steps: int = 1000,
        min_confidence: float = 0.95,
        loss: str = "information",
        mu: float = 4.0,
        n_partitions: int = 32,
        network: Callable[[], torch.nn.Module] | None = None,
        hidden: Sequence[int] = (400, 400),
        noise: float = 0.3,
        denoising_costs: Sequence[float] = (1.0, 0.01, 0.0004, 0.01),
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
        self.n_networks = n_networks
        self.n_rounds = n_rounds
        self.n_steps = n_steps
        self.n_first_steps = n_first_steps
        self.min_confidence = min_confidence
        self.loss = loss
        self.mu = mu
        self.n_partitions = n_partitions
        self.network = network
        self.hidden = hidden
        self.noise = noise
        self.denoising_costs = denoising_costs
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
        self : Kingdra

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
        n_steps = self.n_first_steps + self.n_rounds * self.n_steps
        loss = Loss(self.loss, self.mu)
        initial_labels = self._initial_labels(X, self.n_networks)
        with self._training(
            rows, initial_labels, self.n_clusters, self.n_networks, loss, n_steps
        ) as training:
            while training.round <= self.n_rounds:
                self._train_round(training, initial_labels)
                probabilities = predict(self._networks, rows).cpu().numpy()
                votes = probabilities.argmax(axis=2).astype(np.int32)
                pseudo_labels = self._agreed(probabilities, votes)
                self._record_round(training, votes, pseudo_labels)
        self.history_ = training.history
        self._order = _aligned(votes, self.n_clusters)
        self.labels_ = self._averaged(probabilities).argmax(axis=1).astype(np.int32)
        self.pseudo_labels_ = _renumbered(pseudo_labels, self.labels_, self.n_clusters)
        return self

    def _check_parameters(self) -> None:
        super()._check_parameters()
        for name in ("n_networks", "n_first_steps"):
            as_positive(getattr(self, name), name)
        if self.n_rounds != 0:
            as_positive(self.n_rounds, "n_rounds")
        as_non_negative(self.min_confidence, "min_confidence")

    def _train_round(self, training: Training, initial_labels: torch.Tensor | None) -> None:
        """Train with the last complete pseudo-labels, else with the initial labels."""
        n_steps = self.n_first_steps if training.round == 0 else self.n_steps
        training.train(
            training.arrays.get("labels", initial_labels),
            self._schedule(n_steps, self.labeled_batch_size),
        )

    def _record_round(self, training: Training, votes: Codes, pseudo_labels: Codes) -> None:
        """Add to the history, and store the pseudo-labels to learn from if they are complete."""
        n_mini_clusters = int(pseudo_labels.max()) + 1
        is_complete = n_mini_clusters == self.n_clusters
        if is_complete:
            labels = [_renumbered(pseudo_labels, vote, self.n_clusters) for vote in votes]
            training.arrays["labels"] = torch.from_numpy(np.stack(labels).astype(np.int64))
        training.history.append(
            {
                "coverage": float((pseudo_labels >= 0).mean()),
                "n_mini_clusters": n_mini_clusters,
                "agreement": _agreement(votes, self.n_clusters),
                "is_complete": is_complete,
            }
        )

    def _agreed(self, probabilities: Probabilities, votes: Codes) -> Codes:
        """Return the mini-clusters, without the samples whose confidence is too low.

        `probabilities` have shape (n_networks, n_samples, n_clusters), `votes` (n_networks,
        n_samples).
        """
        labels: Codes = mini_clusters(list(votes), self.n_clusters, min_differ=_MIN_DIFFER)
        confidence = probabilities.max(axis=2).mean(axis=0)
        for cluster in range(int(labels.max()) + 1):
            is_member = labels == cluster
            # Some clusters have a lower confidence as a whole, but none may lose all its samples.
            threshold = min(self.min_confidence, float(np.median(confidence[is_member])))
            labels[is_member & (confidence < threshold)] = -1
        return labels

    def _averaged(self, probabilities: Probabilities) -> Probabilities:
        """Return the mean over the networks, after putting their clusters in the same order."""
        matched = [
            columns[:, order] for columns, order in zip(probabilities, self._order, strict=True)
        ]
        mean: Probabilities = np.mean(matched, axis=0)
        return mean

    def predict_proba(self, X: Any) -> Probabilities:
        """Estimate the probabilities of the clusters, as the mean over all networks.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features)

        Returns
        -------
        float32 array of shape (n_new, n_clusters)
        """
        return self._averaged(self._probabilities(X))

    def predict(self, X: Any) -> Codes:
        """Return the most probable cluster of each sample.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features)

        Returns
        -------
        int32 array of shape (n_new,)
        """
        labels: Codes = self.predict_proba(X).argmax(axis=1).astype(np.int32)
        return labels


def _matching(first: Codes, second: Codes, n_clusters: int) -> Codes:
    """Match clusters one to one, so that matched clusters share as many samples as possible.

    Returns the matching cluster of `second` for each cluster of `first`.
    """
    in_both = (first >= 0) & (second >= 0)
    pairs = first[in_both] * n_clusters + second[in_both]
    n_shared = np.bincount(pairs, minlength=n_clusters**2).reshape(n_clusters, n_clusters)
    matching: Codes = linear_sum_assignment(n_shared, maximize=True)[1].astype(np.int32)
    return matching


def _renumbered(labels: Codes, reference: Codes, n_clusters: int) -> Codes:
    """Give the clusters of `labels` the numbers of their matches in `reference`; -1 stays."""
    numbers = _matching(labels, reference, n_clusters)
    return np.where(labels >= 0, numbers[labels], np.int32(-1))


def _aligned(votes: Codes, n_clusters: int) -> Codes:
    """Return each network's clusters in a common order, shape (n_networks, n_clusters).

    The order is that of the network which agrees most with all others. If the others were matched
    with a network unlike them, clusters that do not belong together would be averaged.
    """
    matchings = np.stack(
        [[_matching(first, second, n_clusters) for second in votes] for first in votes]
    )
    agreements = [
        sum((numbers[first] == second).mean() for numbers, second in zip(row, votes, strict=True))
        for row, first in zip(matchings, votes, strict=True)
    ]
    order: Codes = matchings[int(np.argmax(agreements))]
    return order


def _agreement(votes: Codes, n_clusters: int) -> float:
    """Return the share of networks with a sample's most frequent vote, averaged over samples."""
    numbers = np.argsort(_aligned(votes, n_clusters), axis=1)
    counts = np.zeros((votes.shape[1], n_clusters), dtype=np.int32)
    samples = np.arange(votes.shape[1])
    for vote, numbers_of_network in zip(votes, numbers, strict=True):
        counts[samples, numbers_of_network[vote]] += 1
    return float(counts.max(axis=1).mean() / len(votes))
