"""Losses of an ensemble.

Each takes logits of shape (n_networks, n_rows, n_classes) and returns a scalar: the sum over the
networks of each network's mean over its rows.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy as _cross_entropy

CLUSTERING_LOSSES = ("information", "dot")


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
