"""Losses against their definitions, and their gradients against finite differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

pytest.importorskip("safetensors.torch")

import torch

from labelquorum.deep import losses

pytestmark = pytest.mark.deep


def test_gradients_agree_with_finite_differences():
    rng = np.random.default_rng(0)
    clean, noisy = (torch.from_numpy(rng.normal(size=(2, 5, 3))).requires_grad_() for _ in range(2))
    targets = torch.from_numpy(rng.integers(3, size=(2, 5)))
    check = torch.autograd.gradcheck
    assert check(lambda x: losses.information(x, 4.0), clean)
    assert check(lambda x, y: losses.dot(x, y, 4.0), (clean, noisy))
    assert check(losses.consistency, (clean, noisy))
    assert check(lambda x: losses.cross_entropy(x, targets), clean)
    pairs = torch.from_numpy(rng.normal(size=(2, 2, 5, 3))).requires_grad_()
    log_targets = torch.from_numpy(log_softmax(rng.normal(size=(2, 2, 5, 3)), axis=3))
    log_sizes = torch.from_numpy(log_softmax(rng.normal(size=(2, 3)), axis=1))
    assert check(lambda x: losses.of_neighbors(x.log_softmax(3), log_targets, log_sizes), pairs)


def test_losses_are_sums_over_networks_of_means_over_samples():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(2, 3, 6, 4)) * 2
    targets = rng.integers(4, size=(3, 6))
    p, q = softmax(a, axis=2), softmax(b, axis=2)
    information = dot = consistency = cross_entropy = 0.0
    for m in range(3):
        mean = p[m].mean(axis=0)
        information += 4 * (mean * np.log(mean)).sum()
        products = [p[m, i] @ p[m, j] for i in range(6) for j in range(6) if i != j]
        dot += 2 * 4 * np.mean(products)
        for i in range(6):
            information -= (p[m, i] * np.log(p[m, i])).sum() / 6
            dot -= p[m, i] @ q[m, i] / 6
            consistency += (p[m, i] * np.log(p[m, i] / q[m, i])).sum() / 6
            cross_entropy -= log_softmax(a[m, i])[targets[m, i]] / 6
    clean, noisy = torch.from_numpy(a), torch.from_numpy(b)
    assert losses.information(clean, 4.0).item() == pytest.approx(information)
    assert losses.dot(clean, noisy, 2.0).item() == pytest.approx(dot)
    assert losses.consistency(clean, noisy).item() == pytest.approx(consistency)
    assert losses.cross_entropy(clean, torch.from_numpy(targets)).item() == pytest.approx(
        cross_entropy
    )
