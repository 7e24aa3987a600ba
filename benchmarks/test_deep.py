"""Train ladder networks together, beside a plain PyTorch loop over networks.

The plain network is what one would write: a module for one network in float32, its layers, batch
normalization and combinators in PyTorch's own operations, trained with Adam by the same costs. Ours
are `lq.deep.LadderIM` (one network) and `lq.deep.Kingdra` without rounds (several at once), both
from random weights. The compute floor is the matrix products of the steps alone, in float32;
processors with bfloat16 instructions can be faster.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from sklearn.datasets import make_blobs

import labelquorum as lq
from _recorder import timed as clocked

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from torch import nn  # noqa: E402
from torch.nn.functional import batch_norm, kl_div, log_softmax, mse_loss, softmax  # noqa: E402

SIZES = {
    "widths": {"small": ["64-64-64-10"], "full": ["784-1200-1200-10"]},  # features to clusters
    "n_networks": {"small": [1, 4], "full": [1, 10]},
    "costs": {"small": ["denoising"], "full": ["denoising", "no denoising"]},
}
COSTS = {"denoising": (1.0, 0.01, 0.0004, 0.01), "no denoising": (0.0, 0.0, 0.0, 0.0)}
N_SAMPLES, N_STEPS, BATCH = 2000, 10, 250
NOISE = 0.3


@pytest.fixture(scope="module")
def layers(widths):
    return tuple(int(width) for width in widths.split("-"))


@pytest.fixture(scope="module")
def samples(layers):
    features, _ = make_blobs(N_SAMPLES, layers[0], centers=layers[-1], random_state=0)
    return features.astype(np.float32)


@pytest.fixture(autouse=True)
def torch_threads(layers, threads):
    """Small products gain nothing from threads, which wait for each other on a busy machine."""
    torch.set_num_threads(threads if max(layers) > 500 else 1)


def model_of(n_networks, layers, costs):
    options = {"hidden": layers[1:-1], "denoising_costs": COSTS[costs], "batch_size": BATCH}
    options |= {"n_partitions": 0, "device": "cpu", "random_state": 0}
    if n_networks == 1:
        return lq.deep.LadderIM(layers[-1], n_steps=N_STEPS, **options)
    return lq.deep.Kingdra(
        layers[-1], n_networks=n_networks, n_rounds=0, n_first_steps=N_STEPS, **options
    )


def test_labelquorum(timed, samples, layers, n_networks, costs):
    model = model_of(n_networks, layers, costs)
    timed(
        f"train networks, {costs}",
        lambda: model.fit(samples),
        samples=n_networks * N_STEPS * BATCH,
        computes=lambda: n_networks * products_of_steps(layers, costs),
    )
    assert model.labels_.shape == (len(samples),)
    assert len(np.unique(model.labels_)) > 1


def test_plain_pytorch(timed, samples, layers, n_networks, costs):
    features = torch.from_numpy((samples - samples.mean(axis=0)) / samples.std(axis=0) * NOISE)
    losses = timed(
        f"train networks, {costs}",
        lambda: [trained(features, layers, COSTS[costs]) for _ in range(n_networks)],
        samples=n_networks * N_STEPS * BATCH,
        computes=lambda: n_networks * products_of_steps(layers, costs),
    )
    assert np.isfinite(losses).all()


def products_of_steps(layers, costs):
    """Time the matrix products of the steps of one network.

    Each layer multiplies for the clean pass, the noisy pass and, with denoising, the decoder; each
    of these takes two more products for its gradients.
    """
    factors = [(torch.randn(BATCH, a), torch.randn(a, b)) for a, b in pairwise(layers)]
    n_products = 9 if costs == "denoising" else 6

    def multiply():
        for x, weights in factors:
            for _ in range(n_products):
                x @ weights

    return N_STEPS * min(clocked(multiply)[0] for _ in range(5))


class Combinator(nn.Module):
    """The Gaussian combinator of a layer."""

    def __init__(self, width):
        super().__init__()
        start = torch.tensor([0.0, 1, 0, 0, 0, 0, 1, 0, 0, 1])
        self.a = nn.Parameter(start[:, None].repeat(1, width))

    def forward(self, z, u):  # noqa: D102
        a = self.a
        mean = a[0] * torch.sigmoid(a[1] * u + a[2]) + a[3] * u + a[4]
        trust = a[5] * torch.sigmoid(a[6] * u + a[7]) + a[8] * u + a[9]
        return (z - mean) * trust + mean


class PlainLadder(nn.Module):
    """One ladder network, as one would write it."""

    def __init__(self, widths, costs):
        super().__init__()
        self.costs = costs
        pairs = list(pairwise(widths))
        self.up = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairs)
        self.down = nn.ModuleList(nn.Linear(b, a, bias=False) for a, b in pairs)
        self.shift = nn.ParameterList(torch.zeros(b) for _, b in pairs)
        self.scale = nn.Parameter(torch.ones(widths[-1]))
        self.combinators = nn.ModuleList(Combinator(width) for width in widths)

    def encode(self, x, noise):  # noqa: D102
        h = x + noise * torch.randn_like(x)
        layers, statistics = [h], [None]
        for i, up in enumerate(self.up):
            z = up(h)
            statistics.append((z.mean(0).detach(), z.var(0, unbiased=False).detach()))
            z = batch_norm(z, None, None, training=True)
            z = z + noise * torch.randn_like(z) if noise else z
            layers.append(z)
            h = z + self.shift[i]
            h = torch.relu(h) if i < len(self.up) - 1 else h * self.scale
        return layers, statistics, h

    def forward(self, x):  # noqa: D102
        clean, statistics, logits = self.encode(x, 0.0)
        noisy, _, noisy_logits = self.encode(x, NOISE)
        cost, u = 0.0, softmax(noisy_logits, dim=1)
        for i in reversed(range(len(noisy) if any(self.costs) else 0)):
            u = self.down[i](u) if i < len(self.down) else u
            u = batch_norm(u, None, None, training=True)
            u = estimate = self.combinators[i](noisy[i], u)
            if i:
                mean, var = statistics[i]
                estimate = (estimate - mean) * torch.rsqrt(var + 1e-5)
            of_layer = self.costs[-1] if i == len(self.down) else self.costs[min(i, 2)]
            cost = cost + of_layer * clean[i].shape[1] * mse_loss(estimate, clean[i])
        p = softmax(logits, dim=1)
        overall = p.mean(dim=0)
        information = -(p * log_softmax(logits, dim=1)).sum(1).mean()
        information = information + 4 * (overall * overall.log()).sum()
        same = kl_div(
            log_softmax(noisy_logits, 1),
            log_softmax(logits, 1),
            reduction="batchmean",
            log_target=True,
        )
        return cost + information + same


def trained(X, layers, costs):
    """Train one network; return its last loss."""
    network = PlainLadder(layers, costs)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.002)
    for _ in range(N_STEPS):
        optimizer.zero_grad()
        loss = network(X[torch.randint(len(X), (BATCH,))])
        loss.backward()
        optimizer.step()
    return float(loss.detach())
