"""Clustering heads: many small networks on embeddings, learned from pairs of near neighbors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import ClusterMixin
from torch.nn.functional import normalize

from labelquorum._shared.arguments import as_positive
from labelquorum._shared.sealed import check_stored
from labelquorum.clustering.consensus import consensus
from labelquorum.deep import losses
from labelquorum.deep.estimator import DeepEstimator, Floats, Probabilities
from labelquorum.deep.networks import Ensemble, HeadEnsemble
from labelquorum.deep.training import Loss, device_of, predict
from labelquorum.neighbors.search import kneighbors

_N_NEIGHBORS, _RECALL = 25, 0.95
_ROWS_PER_BLOCK = 256
_LEAST_PROBABILITY = 1e-30  # its logarithm is finite


class ClusteringHeads(ClusterMixin, DeepEstimator):
    """Cluster embeddings with many small networks, the heads, and take their consensus.

    A head learns to put a sample and its near neighbors into the same cluster with certainty, and
    to use all clusters. Heads that start from different random weights err in different places, so
    their consensus is better than each of them.

    Parameters
    ----------
    n_clusters : int, default=10
        Number of clusters.
    hidden : sequence of int, default=(128,)
        Widths of the hidden layers. () for linear heads; they do well with a `temperature` of 0.05.
    n_heads : int, default=16
        Number of heads.
    temperature : float, default=0.1
        By which cosines are divided before the softmax. Lower means more certain predictions.
    n_steps : int, default=1200
        Number of training steps.
    batch_size : int, default=1024
        Samples per training step, each with one of its neighbors.
    learning_rate : float, default=0.02
        Learning rate of Adam. In the last third of the steps it falls to 0.
    directory : path-like, optional
        Folder to save the state of the fit to, once a minute. A later fit with the same arguments
        resumes from it. Needs a `random_state` that is an int.
    compile : bool, default=False
        Compile the networks first (`torch.compile`). This takes a minute and, on a CPU, needs a C++
        compiler. Results differ by rounding.
    device : str or torch.device, optional
        Device to compute on; None for a GPU if there is one, else the CPU.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial weights, the order of the samples and the neighbors drawn.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    labels_ : int32 array of shape (n_samples,)
        The cluster of each sample: the consensus of the heads. There are fewer than `n_clusters`
        clusters if the heads tell fewer groups apart.
    partitions_ : int32 array of shape (n_samples, n_heads)
        The cluster of each sample by each head, for `consensus` or
        ``ConsensusClusterer.fit(partitions=)``.
    losses_ : float32 array of shape (n_heads,)
        The mean loss of each head over all pairs of near neighbors. Of two heads, the one with the
        lower loss is usually the better one. At best it is -log(`n_clusters`): neighbors are always
        together, with certainty, and clusters equal in size.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    See Also
    --------
    labelquorum.ConsensusClusterer : The default for embeddings; linear heads are among its voters.

    Notes
    -----
    Samples are centered and scaled to length 1. Pairs are of a sample and one of its 25 nearest
    neighbors by cosine. The objective is TEMI's (Adaloglou, Michels, Kalisch and Kollmann,
    "Exploring the limits of deep image clustering using pretrained models", BMVC 2023). The hidden
    units are GELUs; those of the last hidden layer are scaled to length 1.

    Cosines must mean something: on raw pixels, heads are poor.

    Matrix products are computed in bfloat16 if the device has instructions for it. Memory is about
    8 bytes for each sample, head and cluster, and 20 for each weight.

    Examples
    --------
    >>> import labelquorum as lq
    >>> from sklearn.datasets import make_blobs
    >>> X, y = make_blobs(300, centers=3, n_features=8, random_state=0)
    >>> model = lq.deep.ClusteringHeads(3, hidden=(16,), n_steps=100, random_state=0).fit(X)
    >>> lq.clustering_accuracy(y, model.labels_) > 0.95
    True
    >>> model.partitions_.shape
    (300, 16)
    """

    __module__ = "labelquorum.deep"

    _ARRAYS = ("labels_", "partitions_")

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        hidden: Sequence[int] = (128,),
        n_heads: int = 16,
        temperature: float = 0.1,
        n_steps: int = 1200,
        batch_size: int = 1024,
        learning_rate: float = 0.02,
        directory: str | Path | None = None,
        compile: bool = False,
        device: Any = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.n_clusters = n_clusters
        self.hidden = hidden
        self.n_heads = n_heads
        self.temperature = temperature
        self.n_steps = n_steps
        self.batch_size = batch_size
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
        self : ClusteringHeads

        Raises
        ------
        TypeError, ValueError
            If an argument or parameter has the wrong type, shape or range.
        FloatingPointError
            If training diverges. The message says what to change.
        """
        self._check_parameters()
        rows = self._learn_features(X)
        self._check_n_clusters(len(rows))
        neighbors = self._neighbors(rows)
        loss = Loss(clustering=None, mu=0.0)
        with self._training(
            rows, None, self.n_clusters, self.n_heads, loss, self.n_steps, neighbors
        ) as training:
            training.train(None, self._schedule(self.n_steps))
        probabilities = predict(self._networks, rows)
        self.losses_ = _losses(probabilities, neighbors).cpu().numpy()
        partitions = probabilities.argmax(dim=2).T.cpu().numpy()
        self.partitions_ = np.ascontiguousarray(partitions, dtype=np.int32)
        n_groups = len(np.unique(self.partitions_, axis=0))
        self.labels_ = consensus(self.partitions_, min(self.n_clusters, n_groups))
        return self

    def _check_parameters(self) -> None:
        super()._check_parameters()
        as_positive(self.n_heads, "n_heads")
        self._check_above_zero("temperature")

    def _as_tensor(self, rows: Floats) -> torch.Tensor:
        return normalize(super()._as_tensor(rows), dim=1)

    def _build(self, n_outputs: int, seeds: list[int]) -> Ensemble:
        widths = [self.n_features_in_, *self.hidden, n_outputs]
        return HeadEnsemble(widths, seeds, device_of(self.device), temperature=self.temperature)

    @classmethod
    def _restored(cls, *arguments: Any) -> Self:
        model = super()._restored(*arguments)
        shape = len(model.labels_), model.n_heads
        check_stored(model.partitions_, "partitions_", np.int32, shape, (0, model._n_outputs - 1))
        check_stored(model.labels_, "labels_", np.int32, shape[:1], (0, model._n_outputs - 1))
        check_stored(model.losses_, "losses_", np.float32, shape[1:])
        return model

    def _neighbors(self, rows: torch.Tensor) -> torch.Tensor:
        _, neighbors = kneighbors(
            rows.cpu().numpy(),
            min(_N_NEIGHBORS, len(rows) - 1),
            metric="cosine",
            recall=_RECALL,
            n_jobs=torch.get_num_threads(),
            verbose=self.verbose,
        )
        return torch.from_numpy(neighbors).to(rows.device)

    def predict_proba(self, X: Any) -> Probabilities:
        """Estimate the probabilities of the clusters.

        Each head votes: for a cluster of `labels_` as often as its own clusters lie in that one.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features)

        Returns
        -------
        float32 array of shape (n_new, n_clusters)
        """
        by_heads = self._probabilities(X)  # first, since it checks that fit was called
        votes = np.zeros(by_heads.shape[1:], dtype=np.float32)
        for head, probabilities in enumerate(by_heads):
            votes += probabilities @ self._shares(head)
        proba: Probabilities = votes / votes.sum(axis=1, keepdims=True)
        return proba

    def _shares(self, head: int) -> Probabilities:
        """Return the share of each cluster of `labels_` in each cluster of a head.

        An empty cluster of the head has no shares.
        """
        n = self._n_outputs
        pairs = self.partitions_[:, head].astype(np.int64) * n + self.labels_
        counts = np.bincount(pairs, minlength=n**2).reshape(n, n)
        shares: Probabilities = counts.astype(np.float32)
        shares /= shares.sum(axis=1, keepdims=True).clip(1)
        return shares

    def predict(self, X: Any) -> NDArray[np.int32]:
        """Return the most probable cluster of each sample.

        A sample of `fit` may get another one than in `labels_` if the heads disagree about it.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_new, n_features)

        Returns
        -------
        int32 array of shape (n_new,)
        """
        labels: NDArray[np.int32] = self.predict_proba(X).argmax(axis=1).astype(np.int32)
        return labels


def _losses(probabilities: torch.Tensor, neighbors: torch.Tensor) -> torch.Tensor:
    """Return the mean loss of each head over the pairs of all samples and all their neighbors.

    `probabilities` have shape (n_heads, n_samples, n_clusters).
    """
    log_sizes = probabilities.mean(dim=1).clamp_min(_LEAST_PROBABILITY).log()
    total = torch.zeros(len(probabilities), device=probabilities.device)
    n_samples, n_neighbors = neighbors.shape
    for begin in range(0, n_samples, _ROWS_PER_BLOCK):
        block = neighbors[begin : begin + _ROWS_PER_BLOCK]
        own = probabilities[:, begin : begin + len(block)].repeat_interleave(n_neighbors, dim=1)
        pairs = torch.stack([own, probabilities[:, block.flatten()]], dim=1)
        logs = pairs.clamp_min(_LEAST_PROBABILITY).log()
        total += len(block) / n_samples * losses.of_neighbors(logs, logs, log_sizes)
    return total
