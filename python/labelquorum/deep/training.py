"""The training of an ensemble: batches, losses, learning rate, precision."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from labelquorum.deep import losses as _losses
from labelquorum.deep.checkpoints import Checkpoint, State
from labelquorum.deep.networks import Ensemble, Outputs

_CONSTANT_SHARE = 2 / 3  # of the steps, before the learning rate falls to 0
_STEPS_PER_REPORT = 50
_SECONDS_PER_CHECKPOINT = 60.0
_ROWS_PER_BLOCK = 256


class Loss(NamedTuple):
    """What is minimised: a clustering loss of all rows ("information", "dot" or none) and more."""

    clustering: str | None
    mu: float

    def __call__(self, outputs: Outputs, targets: Tensor | None) -> Tensor:
        """Of a batch whose rows beyond those with clean logits have targets."""
        n_any = outputs.clean.shape[1]
        clean, noisy = outputs.clean, outputs.noisy[:, :n_any]
        total = outputs.cost
        if self.clustering == "information":
            total = total + _losses.information(clean, self.mu)
        elif self.clustering == "dot":
            total = total + _losses.dot(clean, noisy, self.mu)
        if self.clustering is not None:
            total = total + _losses.consistency(clean, noisy)
        if targets is not None:
            total = total + _losses.cross_entropy(outputs.noisy[:, n_any:], targets)
        return total


class Targets:
    """Labels of each network, (n_networks, n_samples), -1 where there is none; by class."""

    def __init__(self, labels: Tensor) -> None:
        self._order, self._begins, self._sizes = [], [], []
        for row in labels:
            order = torch.argsort(row, stable=True)
            found = row[order]
            present, sizes = torch.unique_consecutive(found[found >= 0], return_counts=True)
            self._order.append(order[found >= 0])
            self._begins.append((present, torch.cumsum(sizes, 0) - sizes))
            self._sizes.append(sizes)

    def draw(self, n: int, generators: list[torch.Generator]) -> tuple[Tensor, Tensor]:
        """Samples and their labels, (n_networks, n) each: every class as often as the others."""
        samples, labels = [], []
        for order, (present, begins), sizes, generator in zip(
            self._order, self._begins, self._sizes, generators, strict=True
        ):
            device = order.device
            which = torch.randint(len(present), (n,), generator=generator, device=device)
            part = torch.rand(n, generator=generator, device=device)
            samples.append(order[begins[which] + (part * sizes[which]).long()])
            labels.append(present[which])
        return torch.stack(samples), torch.stack(labels)


class Schedule(NamedTuple):
    """How long, in which steps."""

    n_steps: int
    batch_size: int
    labeled_batch_size: int
    learning_rate: float

    def rate(self, step: int) -> float:
        """The learning rate: constant, then linearly to 0."""
        left = (self.n_steps - step) / self.n_steps
        return self.learning_rate * min(1.0, left / (1 - _CONSTANT_SHARE))


def precision(device: torch.device) -> AbstractContextManager[object]:
    """Products in bfloat16 where that is faster, of weights kept in float32."""
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported()
    else:
        fast = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(device.type, dtype=torch.bfloat16) if fast else nullcontext()


class Training:
    """One fit: rounds of steps, kept now and then where there is a folder for that.

    `round`, `history` and `arrays` are where it stands: at the start, or where it was left.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        X: Tensor,
        loss: Loss,
        *,
        n_steps: int,
        compile: bool = False,
        checkpoint: Checkpoint | None = None,
        show: Callable[..., None] | None = None,
    ) -> None:
        self._ensemble, self._X, self._loss = ensemble, X, loss
        self._forward = torch.compile(ensemble, dynamic=False) if compile else ensemble
        self._n_steps = n_steps  # of all rounds
        self._order = torch.empty(0)
        self._checkpoint, self._show = checkpoint, show
        state = None if checkpoint is None else checkpoint.load(ensemble)
        self._state = state
        self._n_done = 0 if state is None else state.n_done
        self.round = 0 if state is None else state.round
        self.history = [] if state is None else state.history
        self.arrays = {} if state is None else state.arrays

    def train(self, labels: Tensor | None, schedule: Schedule) -> None:
        """Train all networks together for a round; labels are (n_networks, n_samples)."""
        ensemble, device = self._ensemble, self._X.device
        targets = None if labels is None else Targets(labels.to(device))
        optimizer = torch.optim.Adam(ensemble.parameters(), lr=schedule.learning_rate, fused=True)
        first = 0
        if self._state is not None:
            first, self._order = self._state.step, self._state.order.to(device)
            optimizer.load_state_dict(optimizer.state_dict() | {"state": self._state.optimizer})
            self._state = None
        ensemble.train()
        kept = time.monotonic()
        for begin in range(first, schedule.n_steps, _STEPS_PER_REPORT):
            end = min(begin + _STEPS_PER_REPORT, schedule.n_steps)
            total = torch.zeros((), device=device)
            for step in range(begin, end):
                for group in optimizer.param_groups:
                    group["lr"] = schedule.rate(step)
                total += self._step(step, targets, schedule, optimizer)
            mean = float(total) / (end - begin) / len(ensemble)
            if not math.isfinite(mean):
                raise FloatingPointError(
                    f"the loss is {mean} after {end} steps; lower learning_rate (it is "
                    f"{schedule.learning_rate:g}) or denoising_costs"
                )
            self._n_done += end - begin
            is_time = time.monotonic() - kept >= _SECONDS_PER_CHECKPOINT
            if self._checkpoint is not None and (is_time or end == schedule.n_steps):
                values = optimizer.state_dict()["state"]
                state = State(
                    self.round, end, self._n_done, self.history, self.arrays, values, self._order
                )
                self._checkpoint.save(ensemble, state)
                kept = time.monotonic()
            if self._show is not None:
                self._show("training", self._n_done / self._n_steps, f", loss {mean:.3f}")
        with torch.no_grad(), precision(device):
            ensemble.settle(self._X)
        self.round += 1

    def _step(
        self, step: int, targets: Targets | None, schedule: Schedule, optimizer: torch.optim.Adam
    ) -> Tensor:
        """The sum of the networks' losses."""
        X, ensemble = self._X, self._ensemble
        n = min(schedule.batch_size, len(X))
        batch = step % (len(X) // n)
        if not batch:
            orders = [
                torch.randperm(len(X), generator=g, device=X.device) for g in ensemble.generators
            ]
            self._order = torch.stack(orders)
        rows, wanted = self._order[:, batch * n : (batch + 1) * n], None
        if targets is not None:
            more, wanted = targets.draw(schedule.labeled_batch_size, ensemble.generators)
            rows = torch.cat([rows, more], dim=1)
        with precision(X.device):
            x = X[rows]
            outputs = self._forward(x, ensemble.draw(x), n)
        value = self._loss(outputs, wanted)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(value)
        optimizer.step()
        return value.detach()


def predict(ensemble: Ensemble, X: Tensor) -> Tensor:
    """Probabilities, (n_networks, n_samples, n_classes), each row's from that row alone."""
    ensemble.eval()
    found = []
    for begin in range(0, len(X), _ROWS_PER_BLOCK):
        block = X[begin : begin + _ROWS_PER_BLOCK]
        # Always as many rows, since sums may be rounded in another way for more or fewer.
        padded = block.new_zeros(_ROWS_PER_BLOCK, *block.shape[1:])
        padded[: len(block)] = block
        with torch.no_grad(), precision(X.device):
            found.append(torch.softmax(ensemble.logits(padded)[:, : len(block)], dim=2))
    return torch.cat(found, dim=1)
