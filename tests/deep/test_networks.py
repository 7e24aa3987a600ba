"""Ladder networks against a naive version in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

pytest.importorskip("safetensors.torch")

import torch

from labelquorum.deep.networks import LadderEnsemble, combine, standardized

pytestmark = pytest.mark.deep

CPU = torch.device("cpu")


def test_gradients_agree_with_finite_differences():
    rng = np.random.default_rng(0)
    z, u = (torch.from_numpy(rng.normal(size=(2, 5, 3))).requires_grad_() for _ in range(2))
    parameters = torch.from_numpy(rng.normal(size=(2, 10, 3))).requires_grad_()
    check = torch.autograd.gradcheck
    assert check(lambda x: standardized(x, 5)[0], z)
    assert check(lambda x: standardized(x, 3)[0], z)
    assert check(combine, (z, u, parameters))


def naive_ladder(network, m, x, n):
    """Logits of all rows and the denoising cost of the first n, without noise, of network m."""

    def standard(z):
        mean, scale = z[:n].mean(axis=0), 1 / np.sqrt(z[:n].var(axis=0) + 1e-5)
        return (z - mean) * scale, mean, scale

    def values(parameter):
        return parameter.detach().numpy()[m].astype(np.float64)

    h, layers, norms = x.astype(np.float64), [x.astype(np.float64)], []
    for layer, weights in enumerate(network.up):
        z, *norm = standard(h @ values(weights))
        layers.append(z)
        norms.append(norm)
        h = z + values(network.shift[layer])
        h = np.maximum(h, 0) if layer < len(network.up) - 1 else h * values(network.scale)
    logits, cost, estimate = h, 0.0, softmax(h[:n], axis=1)
    if not any(network.costs):
        return logits, cost
    for layer in range(len(network.up), -1, -1):
        if layer < len(network.up):
            estimate = estimate @ values(network.down[layer])
        u = standard(estimate)[0]
        a = values(network.combinators[layer])
        mean = a[0] / (1 + np.exp(-(a[1] * u + a[2]))) + a[3] * u + a[4]
        trust = a[5] / (1 + np.exp(-(a[6] * u + a[7]))) + a[8] * u + a[9]
        estimate = (layers[layer][:n] - mean) * trust + mean
        normalized = estimate
        if layer:
            mean, scale = norms[layer - 1]
            normalized = (estimate - mean) * scale
        cost += network.costs[layer] * np.square(normalized - layers[layer][:n]).sum() / n
    return logits, cost


@pytest.mark.parametrize(
    "n, costs", [(20, (10, 1, 0.5, 0.1)), (14, (0, 1, 0, 0.1)), (14, (0, 0, 0, 0))]
)
def test_a_ladder_equals_the_naive_version(n, costs):
    rng = np.random.default_rng(2)
    network = LadderEnsemble((5, 7, 4, 3), [1, 2], CPU, noise=0.0, costs=costs)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.3 * torch.from_numpy(rng.normal(size=parameter.shape)).float()
    x = rng.normal(size=(2, 20, 5)).astype(np.float32)
    outputs = network(torch.from_numpy(x), [], n)
    total = 0.0
    for m in range(2):
        logits, cost = naive_ladder(network, m, x[m], n)
        np.testing.assert_allclose(outputs.clean[m].detach(), logits[:n], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(outputs.noisy[m].detach(), logits, rtol=1e-3, atol=1e-4)
        total += cost
    assert outputs.cost.item() == pytest.approx(total, rel=1e-4)


def test_predictions_normalize_with_the_statistics_of_all_samples(three_blobs, exact):
    X = torch.from_numpy(three_blobs[0])
    network = LadderEnsemble((8, 7, 3), [1, 2], CPU, noise=0.3, costs=[1, 1, 1])
    with torch.no_grad():
        network.settle(X)
    expected = network(X.expand(2, -1, -1), [], len(X)).clean
    torch.testing.assert_close(network.logits(X), expected, rtol=1e-3, atol=1e-4)


def test_each_network_has_noise_of_its_own():
    network = LadderEnsemble((3, 2), [5, 6], CPU, noise=0.3, costs=[1, 1])
    noise = network.noise(torch.zeros(2, 4000, 3), 0.3)
    assert float(noise.std()) == pytest.approx(0.3, rel=0.03)
    assert float((noise[0] * noise[1]).mean()) == pytest.approx(0, abs=0.005)
    alone = LadderEnsemble((3, 2), [6], CPU, noise=0.3, costs=[1, 1])
    torch.testing.assert_close(alone.noise(torch.zeros(1, 4000, 3), 0.3)[0], noise[1])
