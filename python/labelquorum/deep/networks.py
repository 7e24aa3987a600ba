"""Ensembles of networks that train together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

_EPSILON = 1e-5
_SETTLING_ROWS = 1000
_MOST_SETTLING_ROWS = 10_000
_COMBINATOR = (0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


class Outputs(NamedTuple):
    """Logits of shape (n_networks, rows, n_classes), and the sum of the networks' own costs."""

    clean: Tensor
    noisy: Tensor
    cost: Tensor


class Ensemble(nn.Module):
    """Networks side by side.

    Each has a random generator of its own, so that it becomes the same network alone as among
    others.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        super().__init__()
        self.seeds = list(seeds)
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __len__(self) -> int:
        return len(self.generators)

    def __getstate__(self) -> dict[str, Any]:
        generators = [(g.device, g.get_state()) for g in self.generators]
        return self.__dict__ | {"generators": generators}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        made = []
        for device, of in state["generators"]:
            made.append(torch.Generator(device))
            made[-1].set_state(of)
        self.generators = made

    def noise(self, like: Tensor, scale: float) -> Tensor:
        """Gaussian noise of the shape of `like`, (n_networks, ...)."""
        found = torch.empty_like(like)
        for row, generator in zip(found, self.generators, strict=True):
            row.normal_(0.0, scale, generator=generator)
        return found

    def draw(self, x: Tensor) -> list[Tensor]:
        """The noise of a training step on rows x; apart, so that `forward` can be compiled."""
        raise NotImplementedError

    def forward(self, x: Tensor, noise: list[Tensor], n_any: int) -> Outputs:
        """What a training step needs, of rows (n_networks, batch, n_features).

        The first `n_any` rows are any samples, the others labeled ones, of which only noisy logits
        are wanted.
        """
        raise NotImplementedError

    def settle(self, X: Tensor) -> None:
        """Fix what predictions of single samples need to know of all of them."""

    def logits(self, x: Tensor) -> Tensor:
        """Clean logits of rows (batch, n_features), each from its row alone."""
        raise NotImplementedError


class LadderEnsemble(Ensemble):
    """Ladder networks, their parameters side by side: a product of all of them is one.

    After Rasmus et al., "Semi-supervised learning with ladder networks" (NIPS 2015): a clean and a
    noisy encoder with the same weights, batch normalisation, Gaussian lateral combinators, and the
    denoising cost of each layer.
    """

    def __init__(
        self,
        widths: Sequence[int],
        seeds: Sequence[int],
        device: torch.device,
        *,
        noise: float,
        costs: Sequence[float],
    ) -> None:
        super().__init__(seeds, device)
        self.noise_scale = noise
        self.costs = tuple(costs)
        n = len(seeds)

        def weights(fan_in: int, fan_out: int) -> nn.Parameter:
            drawn = torch.empty(n, fan_in, fan_out, device=device)
            return nn.Parameter(drawn.copy_(self.noise(drawn, 1 / math.sqrt(fan_in))))

        def units(value: float, width: int) -> nn.Parameter:
            return nn.Parameter(torch.full((n, 1, width), value, device=device))

        pairs = list(pairwise(widths))
        self.up = nn.ParameterList(weights(below, above) for below, above in pairs)
        self.shift = nn.ParameterList(units(0.0, width) for width in widths[1:])
        self.scale = units(1.0, widths[-1])
        # Only denoising goes down again.
        self.down = nn.ParameterList(
            weights(above, below) for below, above in (pairs if any(costs) else ())
        )
        self.combinators = nn.ParameterList(
            nn.Parameter(torch.cat([units(value, width).detach() for value in _COMBINATOR], dim=1))
            for width in (widths if any(costs) else ())
        )
        for layer, width in enumerate(widths[1:]):
            self.register_buffer(f"mean{layer}", torch.zeros(n, 1, width, device=device))
            self.register_buffer(f"var{layer}", torch.ones(n, 1, width, device=device))

    def _statistics(self, layer: int) -> tuple[Tensor, Tensor]:
        return getattr(self, f"mean{layer}"), getattr(self, f"var{layer}")

    def draw(self, x: Tensor) -> list[Tensor]:
        if not self.noise_scale:
            return []
        dtype = _dtype(x)
        widths = [*(weights.shape[1] for weights in self.up), self.up[-1].shape[2]]
        like = [x.new_empty(*x.shape[:2], width, dtype=dtype) for width in widths]
        return [self.noise(layer, self.noise_scale) for layer in like]

    def _encode(self, x: Tensor, noise: list[Tensor], statistics: list[Norm] | int) -> Encoded:
        """Go up, with the noise of each layer if any. Statistics: given, or of so many rows."""
        x = x.to(_dtype(x))
        h = x + noise[0] if noise else x
        found = Encoded([h], [], h)
        for layer, (weights, shift) in enumerate(zip(self.up, self.shift, strict=True)):
            z = torch.bmm(h, weights)
            if isinstance(statistics, int):
                z, norm = standardized(z, statistics)
            else:
                norm = statistics[layer]
                z = norm(z)
            if noise:
                z = z + noise[layer + 1]
            found.layers.append(z)
            found.norms.append(norm)
            h = z + shift.to(z.dtype)
            h = torch.relu(h) if layer < len(self.up) - 1 else h * self.scale
        return found._replace(logits=h.float())

    def _denoising_cost(self, clean: Encoded, noisy: Encoded) -> Tensor:
        n = clean.logits.shape[1]
        above = torch.softmax(noisy.logits[:, :n], dim=2)
        total = torch.zeros((), device=above.device)
        top = len(self.up)
        lowest = next((layer for layer, cost in enumerate(self.costs) if cost), top + 1)
        for layer in range(top, lowest - 1, -1):
            if layer < top:
                above = torch.bmm(above, self.down[layer])
            above, _ = standardized(above, n)
            estimate = combine(noisy.layers[layer][:, :n], above, self.combinators[layer])
            above = estimate
            if self.costs[layer]:
                wanted = clean.layers[layer]
                found = clean.norms[layer - 1](estimate) if layer else estimate
                squares = (found - wanted).float().square()
                total = total + self.costs[layer] / n * squares.sum()
        return total

    def forward(self, x: Tensor, noise: list[Tensor], n_any: int) -> Outputs:
        clean = self._encode(x[:, :n_any], [], n_any)
        noisy = self._encode(x, noise, n_any)
        return Outputs(clean.logits, noisy.logits, self._denoising_cost(clean, noisy))

    def settle(self, X: Tensor) -> None:
        # Averages over the last training steps would be those of weights that are no more.
        order = torch.randperm(len(X), generator=torch.Generator().manual_seed(0))
        chosen = X[order[:_MOST_SETTLING_ROWS].to(X.device)]
        for layer in range(len(self.up)):
            for statistics in self._statistics(layer):
                statistics.zero_()
        for begin in range(0, len(chosen), _SETTLING_ROWS):
            rows = chosen[begin : begin + _SETTLING_ROWS]
            share = len(rows) / len(chosen)
            encoded = self._encode(rows.expand(len(self), -1, -1), [], len(rows))
            for layer, norm in enumerate(encoded.norms):
                mean, var = self._statistics(layer)
                mean += share * norm.mean
                var += share * norm.scale.pow(-2)

    def logits(self, x: Tensor) -> Tensor:
        norms = []
        for layer in range(len(self.up)):
            mean, var = self._statistics(layer)
            norms.append(Norm(mean, var.rsqrt()))
        return self._encode(x.expand(len(self), *x.shape), [], norms).logits


def _dtype(x: Tensor) -> torch.dtype:
    """In which products with x are made."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


class Norm(NamedTuple):
    """Of each unit the mean and one over the standard deviation, (n_networks, 1, width)."""

    mean: Tensor
    scale: Tensor

    def __call__(self, z: Tensor) -> Tensor:
        return torch.addcmul((-self.mean * self.scale).to(z.dtype), z, self.scale.to(z.dtype))


def standardized(z: Tensor, n: int) -> tuple[Tensor, Norm]:
    """Units of mean 0 and variance 1 over the first n rows, and their statistics, as constants."""
    apply: Callable[[Tensor, int], tuple[Tensor, Tensor, Tensor]] = _Standardized.apply
    found, mean, scale = apply(z, n)
    return found, Norm(mean, scale)


class _Standardized(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
        accurate = z.float() if z.dtype == torch.bfloat16 else z
        mean = accurate[:, :n].mean(dim=1, keepdim=True)
        centred = accurate - mean
        scale = torch.rsqrt(centred[:, :n].square().mean(dim=1, keepdim=True) + _EPSILON)
        found = (centred * scale).to(z.dtype)
        ctx.save_for_backward(found, scale)
        ctx.n = n
        ctx.mark_non_differentiable(mean, scale)
        return found, mean, scale

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        found, scale = ctx.saved_tensors
        gradient, n = gradients[0], ctx.n
        overall = gradient.sum(dim=1, keepdim=True) / n
        along = (gradient * found).sum(dim=1, keepdim=True) / n
        of_z = gradient.clone()
        of_z[:, :n] -= torch.addcmul(overall, found[:, :n], along)
        return of_z * scale.to(found.dtype), None


class Encoded(NamedTuple):
    """What goes up: the input and each layer's normalised units, and the logits."""

    layers: list[Tensor]
    norms: list[Norm]
    logits: Tensor


def combine(z: Tensor, u: Tensor, parameters: Tensor) -> Tensor:
    """The denoised z, given what comes from above: Gaussian with mean and variance made of u."""
    a = [value.unsqueeze(1) for value in parameters.to(z.dtype).unbind(1)]
    mean = a[0] * torch.sigmoid(a[1] * u + a[2]) + a[3] * u + a[4]
    trust = a[5] * torch.sigmoid(a[6] * u + a[7]) + a[8] * u + a[9]
    return (z - mean) * trust + mean


class ModuleEnsemble(Ensemble):
    """Networks of the user, each made by a call of their factory; no ladder cost.

    Noise is added to the features; what else a module draws (dropout) comes from torch's own
    generator.
    """

    def __init__(
        self,
        factory: Callable[[], nn.Module],
        seeds: Sequence[int],
        device: torch.device,
        *,
        noise: float,
    ) -> None:
        super().__init__(seeds, device)
        self.noise_scale = noise
        made = []
        for seed in seeds:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                made.append(factory().to(device))
        self.networks = nn.ModuleList(made)

    def draw(self, x: Tensor) -> list[Tensor]:
        return [self.noise(x, self.noise_scale)]

    def forward(self, x: Tensor, noise: list[Tensor], n_any: int) -> Outputs:
        noisy = x + noise[0]
        logits = torch.stack(
            [
                network(torch.cat([clean, other])).float()
                for network, clean, other in zip(self.networks, x[:, :n_any], noisy, strict=True)
            ]
        )
        return Outputs(logits[:, :n_any], logits[:, n_any:], logits.new_zeros(()))

    def logits(self, x: Tensor) -> Tensor:
        return torch.stack([network(x).float() for network in self.networks])
