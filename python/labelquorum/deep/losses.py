"""Losses of an ensemble: sums over the networks of each network's mean over its batch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy as _cross_entropy

CLUSTERING = ("information", "dot")


def information(logits: Tensor, mu: float) -> Tensor:
    """How far clusters are from sure and of equal size: H(Y|X) - mu H(Y).

    Mutual information, turned round, with a weight (Krause, Perona and Gomes, "Discriminative
    clustering by regularized information maximization", NIPS 2010).
    """
    logs = torch.log_softmax(logits, dim=2)
    shares = logs.exp()
    overall = shares.mean(dim=1)
    of_sample = -(shares * logs).sum(dim=2).mean(dim=1)
    of_all: Tensor = -torch.special.xlogy(overall, overall).sum(dim=1)
    return (of_sample - mu * of_all).sum()


def dot(clean: Tensor, noisy: Tensor, mu: float) -> Tensor:
    """How alike the predictions of two samples are, less how alike those of a sample with noise.

    The mean dot product over all pairs of samples of a batch, weighed by mu and the number of
    classes (unweighed, clusters merge), minus that of each clean prediction with its noisy one.
    """
    p, q = torch.softmax(clean, dim=2), torch.softmax(noisy, dim=2)
    n, n_classes = p.shape[1:]
    pairs = p.sum(dim=1).square().sum(dim=1) - p.square().sum(dim=(1, 2))
    weight = mu * n_classes / max(1, n * (n - 1))
    return (weight * pairs - (p * q).sum(dim=2).mean(dim=1)).sum()


def consistency(clean: Tensor, noisy: Tensor) -> Tensor:
    """The Kullback-Leibler divergence from clean predictions to noisy ones."""
    logs = torch.log_softmax(clean, dim=2)
    gap = logs - torch.log_softmax(noisy, dim=2)
    return (logs.exp() * gap).sum(dim=2).mean(dim=1).sum()


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy with targets (n_networks, n_labeled)."""
    total = _cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="sum")
    return total / targets.shape[1]
