"""Kingdra: many networks cluster, their agreement becomes pseudo-labels, from which they learn."""

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
from labelquorum.deep.estimator import DeepEstimator, Floats
from labelquorum.deep.training import Loss, predict
from labelquorum.votes.mini_clusters import mini_clusters

_STRONG_NEGATIVE = 0.9  # of the networks

Codes = NDArray[np.int32]


class Kingdra(ClusterMixin, DeepEstimator):
    """Networks that cluster the samples, and learn from what they agree on.

    Parameters
    ----------
    n_clusters : int, default=10
        Clusters.
    n_networks : int, default=10
        Networks, each with a seed of its own; all are trained at once.
    n_rounds : int, default=5
        Times that the networks learn from pseudo-labels.
    n_steps : int, default=500
        Training steps of a round.
    n_first_steps : int, default=1000
        Training steps before the networks first vote.
    min_confidence : float, default=0.95
        Least mean probability, over the networks, of a sample with a pseudo-label. The surer half
        of each mini-cluster has one in any case, so that no cluster goes without.
    loss : {"information", "dot"}, default="information"
        What makes clusters: information maximisation (Ladder-IM), or orthogonal predictions of
        different samples (Ladder-DOT).
    mu : float, default=4.0
        Weight of equal sizes of clusters.
    n_partitions : int, default=32
        Clusterings of the features (`base_partitions`) that are made first; each network starts
        from the consensus of a random half of them. 0: at random, where distances between samples
        say nothing (as between images in colour).
    network : callable, optional
        Makes a `torch.nn.Module` that takes rows (n, n_features) to logits (n, n_clusters): used
        instead of ladder networks. `hidden` and `denoising_costs` then have no use.
    hidden : sequence of int, default=(400, 400)
        Widths of the hidden layers.
    noise : float, default=0.3
        Standard deviation of the noise on the features, which are scaled to a standard deviation
        of 0.3, and on the normalised units of each layer.
    denoising_costs : four floats, default=(1, 0.01, 0.0004, 0.01)
        Weights of the squared errors of denoising: of each feature, of each unit of the first
        hidden layer, of each unit of the others, and of each class.
    batch_size : int, default=250
        Samples of a training step.
    labeled_batch_size : int, default=125
        Samples with a pseudo-label of a training step, as many of each cluster in the mean.
    learning_rate : float, default=0.005
        Of Adam; in the last third of each round it falls to 0.
    directory : path-like, optional
        Where to keep the state, once a minute and after each round: a fit with the same arguments
        goes on from there. `random_state` then has to be an int.
    compile : bool, default=False
        Compile the networks first (`torch.compile`; a minute, and on a processor a C++ compiler has
        to be there). Steps then take about half of the time. Results differ by rounding.
    device : str or torch.device, optional
        None for a GPU where there is one, else the processor.
    random_state : int, RandomState instance or None, default=None
        Decides the seeds of the networks.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    labels_ : int32 array of shape (n_samples,)
        Cluster of each sample.
    pseudo_labels_ : int32 array of shape (n_samples,)
        The last mini-clusters, numbered as `labels_`; -1 where a sample is in none.
    history_ : list of dict
        For the first steps and each round: "coverage" (share of samples with a pseudo-label),
        "n_mini_clusters", "agreement" (mean share of the networks that a sample's vote gets),
        "is_complete" (whether there are as many mini-clusters as clusters).
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    LadderIM : one such network.
    labelquorum.mini_clusters : the agreement of any partitions.
    labelquorum.ConsensusClusterer : clusters of features without deep learning.

    Notes
    -----
    Gupta, Ramjee, Kwatra and Sivathanu, "Unsupervised clustering using pseudo-semi-supervised
    learning" (ICLR 2020). All networks first cluster; then, in rounds, samples on which all agree
    become mini-clusters (between which nine of ten networks differ), and each network learns from
    them, by cross-entropy, beside its clustering loss. Where there are fewer mini-clusters than
    clusters, the last complete ones serve; where there were none, networks go on as they began.

    Other than there, networks do not start from nothing (`n_partitions`): from random weights they
    often join two categories and cut another, in steps that nothing takes back, and a vote of them
    is little better. What clusterings of the features agree on, which differs from network to
    network, is learned in the first steps, beside the clustering loss.

    Other than in the published code, predictions are those of all networks (matched one to one and
    averaged), and by the statistics of training samples (10,000 at most), so that a sample's label
    does not depend on those beside it. Networks are those of `LadderIM`.

    Products are made in bfloat16 where the device has instructions for it. Memory: the features in
    float32, and some 16 bytes for each weight of each network.

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
            The samples. Sparse ones are made dense.
        y : ignored

        Returns
        -------
        Kingdra
            Itself.

        Raises
        ------
        TypeError, ValueError
            If an argument or parameter is of the wrong type, shape or range.
        FloatingPointError
            If training diverges; the message says what to change.
        """
        self._check_parameters()
        for name in ("n_networks", "n_first_steps"):
            as_positive(getattr(self, name), name)
        if self.n_rounds != 0:
            as_positive(self.n_rounds, "n_rounds")
        as_non_negative(self.min_confidence, "min_confidence")
        rows = self._learn_features(X)
        self._check_clusters(len(rows))
        n_steps = self.n_first_steps + self.n_rounds * self.n_steps
        loss = Loss(self.loss, self.mu)
        starts = self._starts(X, self.n_networks)
        with self._training(rows, self.n_clusters, self.n_networks, loss, n_steps) as training:
            while training.round <= self.n_rounds:
                is_first = training.round == 0
                training.train(
                    training.arrays.get("labels", starts),
                    self._schedule(
                        self.n_first_steps if is_first else self.n_steps, self.labeled_batch_size
                    ),
                )
                shares = predict(self._networks, rows).cpu().numpy()
                votes = shares.argmax(axis=2).astype(np.int32)
                found = self._agreed(shares, votes)
                is_complete = int(found.max()) + 1 == self.n_clusters
                if is_complete:
                    renamed = [_renamed(found, of, self.n_clusters) for of in votes]
                    training.arrays["labels"] = torch.from_numpy(np.stack(renamed).astype(np.int64))
                training.history.append(
                    {
                        "coverage": float((found >= 0).mean()),
                        "n_mini_clusters": int(found.max()) + 1,
                        "agreement": _agreement(votes, self.n_clusters),
                        "is_complete": is_complete,
                    }
                )
        self.history_ = training.history
        self._order = _aligned(votes, self.n_clusters)
        self.labels_ = self._averaged(shares).argmax(axis=1).astype(np.int32)
        self.pseudo_labels_ = _renamed(found, self.labels_, self.n_clusters)
        return self

    def _agreed(self, shares: Floats, votes: Codes) -> Codes:
        """The mini-clusters, without the samples of which the networks are not sure enough."""
        found: Codes = mini_clusters(list(votes), self.n_clusters, min_differ=_STRONG_NEGATIVE)
        confidence = shares.max(axis=2).mean(axis=0)
        for cluster in range(int(found.max()) + 1):
            inside = found == cluster
            # Some clusters are less sure than others as a whole; none may lose all its samples.
            enough = min(self.min_confidence, float(np.median(confidence[inside])))
            found[inside & (confidence < enough)] = -1
        return found

    def _averaged(self, shares: Floats) -> Floats:
        """The mean over the networks, each with its clusters in the same order."""
        columns = [of[:, order] for of, order in zip(shares, self._order, strict=True)]
        mean: Floats = np.mean(columns, axis=0)
        return mean

    def predict_proba(self, X: Any) -> Floats:
        """Estimate the probabilities of the clusters: the mean of all networks.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features)

        Returns
        -------
        float32 array of shape (n_new, n_clusters)
        """
        return self._averaged(self._shares(X))

    def predict(self, X: Any) -> Codes:
        """Say which cluster samples are in: that of the largest probability.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features)

        Returns
        -------
        int32 array of shape (n_new,)
        """
        labels: Codes = self.predict_proba(X).argmax(axis=1).astype(np.int32)
        return labels


def _matching(first: Codes, second: Codes, n: int) -> Codes:
    """For each cluster of `first` the one of `second` it shares samples with, one to one."""
    both = (first >= 0) & (second >= 0)
    shared = np.bincount(first[both] * n + second[both], minlength=n * n).reshape(n, n)
    matched: Codes = linear_sum_assignment(shared, maximize=True)[1].astype(np.int32)
    return matched


def _renamed(found: Codes, words: Codes, n: int) -> Codes:
    """The clusters under the names that `words` has for them; -1 stays."""
    return np.where(found >= 0, _matching(found, words, n)[found], np.int32(-1))


def _aligned(votes: Codes, n: int) -> Codes:
    """For each network its clusters in the order of those of the one that is most like all.

    Of the first one, say, the others may be unlike: the average is then of clusters that do not
    belong together.
    """
    matched = np.stack([[_matching(first, of, n) for of in votes] for first in votes])
    shared = [
        sum((names[first] == of).mean() for names, of in zip(row, votes, strict=True))
        for row, first in zip(matched, votes, strict=True)
    ]
    found: Codes = matched[int(np.argmax(shared))]
    return found


def _agreement(votes: Codes, n: int) -> float:
    """The mean share of the networks that have the most frequent vote of a sample."""
    names = np.argsort(_aligned(votes, n), axis=1)
    counts = np.zeros((votes.shape[1], n), dtype=np.int32)
    samples = np.arange(votes.shape[1])
    for of, name in zip(votes, names, strict=True):
        counts[samples, name[of]] += 1
    return float(counts.max(axis=1).mean() / len(votes))
