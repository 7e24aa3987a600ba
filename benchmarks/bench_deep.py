"""Time of a model-epoch of Ladder-IM: networks trained together, beside one after the other.

A model-epoch is all samples seen once by one network: 70,000 samples of 784 features (as MNIST),
784-1200-1200-10, batches of 250, measured over a few steps. "plain" is what one would write: a
module for one network in float32, its layers, batch normalisation and combinators in PyTorch's own
operations, Adam, in a loop over networks. "together" is the library's ensemble in its own precision
(bfloat16 where the device has instructions for it), compiled, and in float32. All with the
denoising of the ladder and without it. Compiling itself, a minute, is not in the times.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import batch_norm, kl_div, log_softmax, mse_loss, softmax

from _record import parser, record
from labelquorum.deep import training as _training
from labelquorum.deep.networks import LadderEnsemble

N_SAMPLES = 70_000
WIDTHS = (784, 1200, 1200, 10)
COSTS = {"denoising": (1.0, 0.01, 0.0004), "no denoising": (0.0, 0.0, 0.0)}
BATCH = 250
NOISE = 0.3


class Combinator(nn.Module):
    """The Gaussian one of a layer."""

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
            cost = cost + self.costs[min(i, 2)] * clean[i].shape[1] * mse_loss(estimate, clean[i])
        p = softmax(logits, dim=1)
        overall = p.mean(dim=0)
        information = -(p * log_softmax(logits, dim=1)).sum(1).mean()
        information = information + 4 * (overall * overall.log()).sum()
        same = kl_div(
            log_softmax(noisy_logits, 1), log_softmax(logits, 1), reduction="batchmean",
            log_target=True,
        )  # fmt: skip
        return cost + information + same


def synchronize(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def per_epoch(step, n_networks, n_steps, device):
    """Seconds of a model-epoch, the least of two series of steps."""
    step()
    best = float("inf")
    for _ in range(2):
        synchronize(device)
        started = time.perf_counter()
        for _ in range(n_steps):
            step()
        synchronize(device)
        best = min(best, time.perf_counter() - started)
    return best / n_steps / n_networks * N_SAMPLES / BATCH


def plain(X, widths, costs, n_steps, device):
    network = PlainLadder(widths, costs).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.002)

    def step():
        rows = torch.randint(len(X), (BATCH,), device=device)
        optimizer.zero_grad()
        network(X[rows]).backward()
        optimizer.step()

    return per_epoch(step, 1, n_steps, device)


def together(X, widths, costs, n_networks, n_steps, device, **options):
    of_layers = [costs[min(i, 2)] for i in range(len(widths))]
    network = LadderEnsemble(widths, range(n_networks), device, noise=NOISE, costs=of_layers)
    loss = _training.Loss("information", 4.0)
    training = _training.Training(network, X, loss, n_steps=n_steps, **options)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.002, fused=True)
    schedule = _training.Schedule(10**9, BATCH, 0, 0.002)
    done = iter(range(10**9))
    return per_epoch(
        lambda: training._step(next(done), None, schedule, optimizer), n_networks, n_steps, device
    )


def main():
    options = parser(__doc__)
    options.add_argument("--networks", type=int, nargs="+", default=[1, 10])
    options.add_argument("--steps", type=int, default=10)
    options.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    options.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = options.parse_args()
    torch.set_num_threads(args.threads)
    device = torch.device(args.device)
    X = torch.randn(5000, args.widths[0], device=device) * 0.3
    precision = _training.precision
    results = {"torch": torch.__version__, "device": args.device, "widths": args.widths}
    for kind, costs in COSTS.items():
        times = {"plain, float32": plain(X, args.widths, costs, args.steps, device)}
        for n in args.networks:
            of_all = (X, args.widths, costs, n, args.steps, device)
            times[f"together, {n}"] = together(*of_all)
            times[f"together, {n}, compiled"] = together(*of_all, compile=True)
            _training.precision = lambda _: nullcontext()
            times[f"together, {n}, float32"] = together(*of_all)
            _training.precision = precision
        faster = {name: times["plain, float32"] / seconds for name, seconds in times.items()}
        results[kind] = {"model_epoch_seconds": times, "times_faster": faster}
        for name, seconds in times.items():
            print(f"{kind}: {name:26} {seconds:7.2f} s, {faster[name]:.2f}x")
    record(args, results)


if __name__ == "__main__":
    main()
