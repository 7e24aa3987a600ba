"""Ensembles of networks that train together.

`LadderEnsemble` holds the parameters of all its networks in common tensors, of shape (n_networks,
...), so that one batched matrix product computes a layer of all networks; so does `HeadEnsemble`
with clustering heads. `ModuleEnsemble` wraps networks of the user.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, normalize

from labelquorum.deep import losses

_EPSILON = 1e-5  # added to variances
_ROWS_PER_SETTLING_BLOCK = 1000
_MAX_SETTLING_ROWS = 10_000
_MOMENTUM = 0.98  # of a head's slow copy
_SIZE_SHARE = 0.1  # of the running mean of cluster sizes that a step replaces
_LEAST_SIZE = 1e-30  # its logarithm is finite
_LEAST_LENGTH = 1e-3  # of hidden units, far below the usual one; else their gradient could explode
# Initial values of a combinator's ten parameters: every estimate starts at 0.
_COMBINATOR = (0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


class Outputs(NamedTuple):
    """What a training step needs of the networks."""

    clean: Tensor  # (n_networks, n_clean, n_classes), logits without noise
    noisy: Tensor  # (n_networks, n_rows, n_classes), logits with noise
    cost: Tensor  # scalar, the sum of the networks' own costs


class Ensemble(nn.Module):
    """Networks side by side.

    Each has a random generator of its own, so a network becomes the same alone and in an ensemble.

    Attributes
    ----------
    seeds : list of int
    generators : list of torch.Generator
        One per network.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        super().__init__()
        self.seeds = list(seeds)
        self.generators = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __len__(self) -> int:
        return len(self.generators)

    def __getstate__(self) -> dict[str, Any]:
        states = [(generator.device, generator.get_state()) for generator in self.generators]
        return self.__dict__ | {"generators": states}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.generators = []
        for device, generator_state in state["generators"]:
            generator = torch.Generator(device)
            generator.set_state(generator_state)
            self.generators.append(generator)

    def noise(self, like: Tensor, scale: float) -> Tensor:
        """Draw Gaussian noise of the shape and type of `like`, (n_networks, ...)."""
        noise = torch.empty_like(like)
        for row, generator in zip(noise, self.generators, strict=True):
            row.normal_(0.0, scale, generator=generator)
        return noise

    def draw(self, x: Tensor) -> list[Tensor]:
        """Draw the noise of a training step on rows x.

        This is not part of `forward`, so that `forward` can be compiled.
        """
        raise NotImplementedError

    def forward(self, x: Tensor, noise: list[Tensor], n_clean: int) -> Outputs:
        """Compute the outputs of a training step.

        Parameters
        ----------
        x : Tensor of shape (n_networks, n_rows, n_features)
        noise : list of Tensor
            As `draw` returned it.
        n_clean : int
            The first rows, which get clean logits too. The rows after them are labeled, or they
            are neighbors of the first.
        """
        raise NotImplementedError

    def settle(self, X: Tensor) -> None:
        """Store the statistics of the training samples that predictions use."""

    def logits(self, x: Tensor) -> Tensor:
        """Return clean logits of rows (n_rows, n_features), each computed from its row alone."""
        raise NotImplementedError


class LadderEnsemble(Ensemble):
    """Ladder networks.

    After Rasmus et al., "Semi-supervised learning with ladder networks" (NIPS 2015). A clean and a
    noisy encoder share their weights and use batch normalization. A decoder reconstructs each clean
    layer from the noisy one and from the layer above, with Gaussian combinators; its squared errors
    are the denoising cost.

    Parameters
    ----------
    widths : sequence of int
        Of all layers, from the features to the logits.
    seeds : sequence of int
        One per network.
    device : torch.device
    noise : float
        Standard deviation of the noise on each layer.
    costs : sequence of float
        Weight of each layer's denoising cost. If all are 0, there is no decoder.
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
            empty = torch.empty(n, fan_in, fan_out, device=device)
            return nn.Parameter(empty.copy_(self.noise(empty, 1 / math.sqrt(fan_in))))

        def units(value: float, width: int) -> nn.Parameter:
            return nn.Parameter(torch.full((n, 1, width), value, device=device))

        pairs = list(pairwise(widths))
        self.up = nn.ParameterList(weights(below, above) for below, above in pairs)
        self.shift = nn.ParameterList(units(0.0, width) for width in widths[1:])
        self.scale = units(1.0, widths[-1])
        has_decoder = any(costs)
        self.down = nn.ParameterList(
            weights(above, below) for below, above in (pairs if has_decoder else ())
        )
        self.combinators = nn.ParameterList(
            nn.Parameter(torch.cat([units(value, width).detach() for value in _COMBINATOR], dim=1))
            for width in (widths if has_decoder else ())
        )
        for layer, width in enumerate(widths[1:]):
            self.register_buffer(f"mean{layer}", torch.zeros(n, 1, width, device=device))
            self.register_buffer(f"var{layer}", torch.ones(n, 1, width, device=device))

    def _statistics(self, layer: int) -> tuple[Tensor, Tensor]:
        return getattr(self, f"mean{layer}"), getattr(self, f"var{layer}")

    def draw(self, x: Tensor) -> list[Tensor]:
        """Draw the noise of each layer."""
        if not self.noise_scale:
            return []
        dtype = _product_dtype(x)
        widths = [*(weights.shape[1] for weights in self.up), self.up[-1].shape[2]]
        layers = [x.new_empty(*x.shape[:2], width, dtype=dtype) for width in widths]
        return [self.noise(layer, self.noise_scale) for layer in layers]

    def _encode(self, x: Tensor, noise: list[Tensor], normalization: list[Norm] | int) -> Encoded:
        """Run the encoder.

        Parameters
        ----------
        noise : list of Tensor
            Of each layer; empty for a clean run.
        normalization : list of Norm, or int
            The statistics to normalize with, per layer; or the number of first rows whose
            statistics to use.
        """
        x = x.to(_product_dtype(x))
        h = x + noise[0] if noise else x
        layers, norms = [h], []
        for layer, (weights, shift) in enumerate(zip(self.up, self.shift, strict=True)):
            z = torch.bmm(h, weights)
            if isinstance(normalization, int):
                z, norm = standardized(z, normalization)
            else:
                norm = normalization[layer]
                z = norm(z)
            if noise:
                z = z + noise[layer + 1]
            layers.append(z)
            norms.append(norm)
            h = z + shift.to(z.dtype)
            h = torch.relu(h) if layer < len(self.up) - 1 else h * self.scale
        return Encoded(layers, norms, h.float())

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
            above = combine(noisy.layers[layer][:, :n], above, self.combinators[layer])
            if self.costs[layer]:
                estimate = clean.norms[layer - 1](above) if layer else above
                squares = (estimate - clean.layers[layer]).float().square()
                total = total + self.costs[layer] / n * squares.sum()
        return total

    def forward(self, x: Tensor, noise: list[Tensor], n_clean: int) -> Outputs:
        """Run both encoders and the decoder."""
        clean = self._encode(x[:, :n_clean], [], n_clean)
        noisy = self._encode(x, noise, n_clean)
        return Outputs(clean.logits, noisy.logits, self._denoising_cost(clean, noisy))

    def settle(self, X: Tensor) -> None:
        """Store the mean and variance of each unit over the samples, or 10,000 of them."""
        # Averages over the last training steps would belong to weights that have changed since.
        order = torch.randperm(len(X), generator=torch.Generator().manual_seed(0))
        sample = X[order[:_MAX_SETTLING_ROWS].to(X.device)]
        for layer in range(len(self.up)):
            for statistics in self._statistics(layer):
                statistics.zero_()
        for begin in range(0, len(sample), _ROWS_PER_SETTLING_BLOCK):
            rows = sample[begin : begin + _ROWS_PER_SETTLING_BLOCK]
            weight = len(rows) / len(sample)
            encoded = self._encode(rows.expand(len(self), -1, -1), [], len(rows))
            for layer, norm in enumerate(encoded.norms):
                mean, var = self._statistics(layer)
                mean += weight * norm.mean
                var += weight * norm.scale.pow(-2)

    def logits(self, x: Tensor) -> Tensor:
        """Return clean logits, normalized with the statistics that `settle` stored."""
        norms = []
        for layer in range(len(self.up)):
            mean, var = self._statistics(layer)
            norms.append(Norm(mean, var.rsqrt()))
        return self._encode(x.expand(len(self), *x.shape), [], norms).logits


def _product_dtype(x: Tensor) -> torch.dtype:
    """Return the type in which matrix products with x are computed."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


class Norm(NamedTuple):
    """Statistics of a layer's units, each of shape (n_networks, 1, width); a call applies them."""

    mean: Tensor
    scale: Tensor  # one over the standard deviation

    def __call__(self, z: Tensor) -> Tensor:
        """Return the normalized units."""
        return torch.addcmul((-self.mean * self.scale).to(z.dtype), z, self.scale.to(z.dtype))


def standardized(z: Tensor, n: int) -> tuple[Tensor, Norm]:
    """Scale units to mean 0 and variance 1 over the first n rows; also return the statistics.

    No gradient flows through the statistics that are returned.
    """
    apply: Callable[[Tensor, int], tuple[Tensor, Tensor, Tensor]] = _Standardized.apply
    standard, mean, scale = apply(z, n)
    return standard, Norm(mean, scale)


class _Standardized(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
        accurate = z.float() if z.dtype == torch.bfloat16 else z
        mean = accurate[:, :n].mean(dim=1, keepdim=True)
        centered = accurate - mean
        scale = torch.rsqrt(centered[:, :n].square().mean(dim=1, keepdim=True) + _EPSILON)
        standard = (centered * scale).to(z.dtype)
        ctx.save_for_backward(standard, scale)
        ctx.n = n
        ctx.mark_non_differentiable(mean, scale)
        return standard, mean, scale

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        standard, scale = ctx.saved_tensors
        gradient, n = gradients[0], ctx.n
        from_mean = gradient.sum(dim=1, keepdim=True) / n
        from_scale = (gradient * standard).sum(dim=1, keepdim=True) / n
        z_gradient = gradient.clone()
        z_gradient[:, :n] -= torch.addcmul(from_mean, standard[:, :n], from_scale)
        return z_gradient * scale.to(standard.dtype), None


class Encoded(NamedTuple):
    """What an encoder computed."""

    layers: list[Tensor]  # the input, then each layer's normalized units
    norms: list[Norm]  # of each layer but the input
    logits: Tensor


def combine(z: Tensor, u: Tensor, parameters: Tensor) -> Tensor:
    """Denoise z, given the signal u from the layer above.

    The estimate is that of a Gaussian whose mean and variance are functions of u, with ten
    `parameters` per unit, of shape (n_networks, 10, width).
    """
    a = [value.unsqueeze(1) for value in parameters.to(z.dtype).unbind(1)]
    mean = a[0] * torch.sigmoid(a[1] * u + a[2]) + a[3] * u + a[4]
    trust = a[5] * torch.sigmoid(a[6] * u + a[7]) + a[8] * u + a[9]
    return (z - mean) * trust + mean


class HeadEnsemble(Ensemble):
    """Clustering heads: classifiers that learn from pairs of near neighbors.

    They minimize `losses.of_neighbors`. The targets are the predictions of a slow copy of each
    head, the running mean of its weights. The slow copy also makes the predictions after training.
    The last hidden units are scaled to length 1, as the features are, and so are the weights of
    each cluster; the logits are their cosines, divided by the temperature.

    Parameters
    ----------
    widths : sequence of int
        Of all layers, from the features to the logits.
    seeds : sequence of int
        One per head.
    device : torch.device
    temperature : float
    """

    sizes: Tensor  # (n_networks, n_clusters), the running mean of the targets

    def __init__(
        self,
        widths: Sequence[int],
        seeds: Sequence[int],
        device: torch.device,
        *,
        temperature: float,
    ) -> None:
        super().__init__(seeds, device)
        self.temperature = temperature
        n = len(seeds)
        tensors = []
        for below, above in pairwise(widths[:-1]):
            empty = torch.empty(n, below, above, device=device)
            tensors.append(self.noise(empty, 1 / math.sqrt(below)))
            tensors.append(torch.zeros(n, 1, above, device=device))
        tensors.append(self.noise(torch.empty(n, *widths[-2:], device=device), 1.0))
        # Of each hidden layer the weights and the shifts, then the weights of the clusters.
        self.layers = nn.ParameterList(tensors)
        self.slow_layers = nn.ParameterList(
            nn.Parameter(tensor.clone(), requires_grad=False) for tensor in tensors
        )
        self.register_buffer("sizes", torch.full((n, widths[-1]), 1 / widths[-1], device=device))

    def draw(self, x: Tensor) -> list[Tensor]:
        """Draw nothing: heads learn without noise."""
        return []

    def _log_probabilities(self, x: Tensor, layers: nn.ParameterList) -> Tensor:
        return torch.log_softmax(self._logits(x, layers), dim=2)

    def _logits(self, x: Tensor, layers: nn.ParameterList) -> Tensor:
        *hidden, clusters = layers
        h = x
        for weights, shift in zip(hidden[::2], hidden[1::2], strict=True):
            h = gelu(torch.bmm(h, weights) + shift.to(h.dtype))
        if hidden:
            h = normalize(h.float(), dim=2, eps=_LEAST_LENGTH)
        return torch.bmm(h, normalize(clusters, dim=1)).float() / self.temperature

    def forward(self, x: Tensor, noise: list[Tensor], n_clean: int) -> Outputs:
        """Compute the loss of pairs: of each of the first `n_clean` rows and one of the others."""
        self._follow()
        x = x.to(_product_dtype(x))
        pairs = (len(self), 2, n_clean, -1)
        log_probabilities = self._log_probabilities(x, self.layers)
        with torch.no_grad():
            log_targets = self._log_probabilities(x, self.slow_layers)
            log_sizes = self.sizes.clamp_min(_LEAST_SIZE).log()
            self.sizes.lerp_(log_targets.exp().mean(dim=1), _SIZE_SHARE)
        cost = losses.of_neighbors(
            log_probabilities.view(pairs), log_targets.view(pairs), log_sizes
        )
        return Outputs(log_targets[:, :n_clean], log_probabilities, cost.sum())

    def _follow(self) -> None:
        """Move the slow copies towards the heads."""
        with torch.no_grad():
            for slow, layer in zip(self.slow_layers, self.layers, strict=True):
                slow.lerp_(layer, 1 - _MOMENTUM)

    def settle(self, X: Tensor) -> None:
        """Let the slow copies follow the last step."""
        self._follow()

    def logits(self, x: Tensor) -> Tensor:
        """Return the logits by the slow copies."""
        x = x.to(_product_dtype(x))
        return self._logits(x.expand(len(self), *x.shape), self.slow_layers)


class ModuleEnsemble(Ensemble):
    """Networks of the user, without a denoising cost.

    Noise is added to the features. What else a module draws, for dropout for example, comes from
    PyTorch's global generator.

    Parameters
    ----------
    factory : callable
        Called once per network, each time with another seed.
    seeds : sequence of int
    device : torch.device
    noise : float
        Standard deviation of the noise on the features.
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
        networks = []
        for seed in seeds:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                networks.append(factory().to(device))
        self.networks = nn.ModuleList(networks)

    def draw(self, x: Tensor) -> list[Tensor]:
        """Draw the noise of the features."""
        return [self.noise(x, self.noise_scale)]

    def forward(self, x: Tensor, noise: list[Tensor], n_clean: int) -> Outputs:
        """Run each module once, on its clean and noisy rows together."""
        noisy_x = x + noise[0]
        logits = torch.stack(
            [
                network(torch.cat([clean, noisy])).float()
                for network, clean, noisy in zip(
                    self.networks, x[:, :n_clean], noisy_x, strict=True
                )
            ]
        )
        return Outputs(logits[:, :n_clean], logits[:, n_clean:], logits.new_zeros(()))

    def logits(self, x: Tensor) -> Tensor:
        """Return clean logits. Each depends on its row alone if the modules compute them so."""
        return torch.stack([network(x).float() for network in self.networks])
