"""Losses of an ensemble.

Each but `of_neighbors` takes logits of shape (n_networks, n_rows, n_classes) and returns a scalar:
the sum over the networks of each network's mean over its rows.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy as _cross_entropy

CLUSTERING_LOSSES = ("information", "dot")
_SHARING = 0.6  # the power of probabilities in `of_neighbors`: at 1, fewer clusters are used


def information(logits: Tensor, mu: float) -> Tensor:
    """Return H(Y|X) - mu H(Y): low if predictions are certain and clusters equal in size.

    With mu = 1 this is the negative mutual information of samples and clusters (Krause, Perona and
    Gomes, "Discriminative clustering by regularized information maximization", NIPS 2010).
    """
    log_probabilities = torch.log_softmax(logits, dim=2)
    probabilities = log_probabilities.exp()
    cluster_sizes = probabilities.mean(dim=1)
    conditional_entropy = -(probabilities * log_probabilities).sum(dim=2).mean(dim=1)
    entropy: Tensor = -torch.special.xlogy(cluster_sizes, cluster_sizes).sum(dim=1)
    return (conditional_entropy - mu * entropy).sum()


def dot(clean: Tensor, noisy: Tensor, mu: float) -> Tensor:
    """Return how similar predictions of two samples are, minus how stable each is under noise.

    The first term is the mean dot product over all pairs of samples in the batch, times mu and the
    number of classes (without these weights, clusters merge). The second is the mean dot product of
    each sample's clean and noisy predictions.
    """
    p, q = torch.softmax(clean, dim=2), torch.softmax(noisy, dim=2)
    n_rows, n_classes = p.shape[1:]
    products = p.sum(dim=1).square().sum(dim=1) - p.square().sum(dim=(1, 2))
    weight = mu * n_classes / max(1, n_rows * (n_rows - 1))
    return (weight * products - (p * q).sum(dim=2).mean(dim=1)).sum()


def consistency(clean: Tensor, noisy: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of noisy predictions from clean ones."""
    log_clean = torch.log_softmax(clean, dim=2)
    log_ratios = log_clean - torch.log_softmax(noisy, dim=2)
    return (log_clean.exp() * log_ratios).sum(dim=2).mean(dim=1).sum()


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the cross-entropy with targets of shape (n_networks, n_rows)."""
    total = _cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
    return total / targets.shape[1]


def of_neighbors(log_probabilities: Tensor, log_targets: Tensor, log_sizes: Tensor) -> Tensor:
    """Return how unlike the predictions for near neighbors are, and how unequal the clusters.

    Of two neighbors x and x', the loss is -w log sum_c (p_c(x) q_c(x'))^0.6 / m_c, averaged with
    the same of x' and x. q are the targets, m the mean sizes of clusters, and w = sum_c q_c(x)
    q_c(x') is how much the targets believe that the neighbors are of one cluster. It is TEMI's
    (Adaloglou, Michels, Kalisch and Kollmann, "Exploring the limits of deep image clustering using
    pretrained models", BMVC 2023).

    Parameters
    ----------
    log_probabilities, log_targets : Tensor of shape (n_networks, 2, n_pairs, n_clusters)
    log_sizes : Tensor of shape (n_networks, n_clusters)

    Returns
    -------
    Tensor of shape (n_networks,)
        The mean over the pairs.
    """
    weights = log_targets.sum(dim=1).exp().sum(dim=2)
    shared = _SHARING * (log_probabilities + log_targets.flip(1)) - log_sizes[:, None, None]
    return -(weights * torch.logsumexp(shared, dim=3).mean(dim=1)).mean(dim=1)
