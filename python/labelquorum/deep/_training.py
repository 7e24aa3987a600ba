"""The training of an ensemble: batches, losses, learning rate, precision."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor

from labelquorum.deep import _losses
from labelquorum.deep._checkpoints import Checkpoint, State
from labelquorum.deep._networks import Ensemble, Outputs

_CONSTANT_SHARE = 2 / 3  # of the epochs, before the learning rate falls to 0
_ROWS_PER_BLOCK = 1024


class Loss(NamedTuple):
    """What is minimised: a clustering loss of all rows ("information", "dot" or none) and more."""

    clustering: str | None
    mu: float

    def __call__(self, outputs: Outputs, n_rows: int, targets: Tensor | None) -> Tensor:
        """Of a batch whose first `n_rows` rows are any, and whose others have targets."""
        clean, noisy = outputs.clean[:, :n_rows], outputs.noisy[:, :n_rows]
        total = outputs.cost
        if self.clustering == "information":
            total = total + _losses.information(clean, self.mu)
        elif self.clustering == "dot":
            total = total + _losses.dot(clean, noisy)
        if self.clustering is not None:
            total = total + _losses.consistency(clean, noisy)
        if targets is not None:
            total = total + _losses.cross_entropy(outputs.noisy[:, n_rows:], targets)
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

    n_epochs: int
    batch_size: int
    labeled_batch_size: int
    learning_rate: float

    def rate(self, progress: float) -> float:
        """The learning rate after a share of all epochs: constant, then linearly to 0."""
        return self.learning_rate * min(1.0, (1 - progress) / (1 - _CONSTANT_SHARE))


def precision(device: torch.device) -> AbstractContextManager[object]:
    """Products in bfloat16 where that is faster, of weights kept in float32."""
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported()
    else:
        fast = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(device.type, dtype=torch.bfloat16) if fast else nullcontext()


def _batches(
    ensemble: Ensemble, n_samples: int, batch_size: int, device: torch.device
) -> Iterator[Tensor]:
    orders = torch.stack(
        [torch.randperm(n_samples, generator=g, device=device) for g in ensemble.generators]
    )
    for begin in range(0, n_samples - batch_size + 1, batch_size):
        yield orders[:, begin : begin + batch_size]


class Training:
    """One fit: rounds of epochs, kept after each epoch where there is a folder for that.

    `round`, `history` and `arrays` are where it stands: at the start, or where it was left.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        X: Tensor,
        loss: Loss,
        *,
        n_epochs: int,
        checkpoint: Checkpoint | None = None,
        show: Callable[..., None] | None = None,
    ) -> None:
        self._ensemble, self._X, self._loss = ensemble, X, loss
        self._n_epochs = n_epochs  # of all rounds
        self._n_done = 0
        self._checkpoint, self._show = checkpoint, show
        state = None if checkpoint is None else checkpoint.load(ensemble)
        self._state = state
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
            first = self._state.epoch
            optimizer.load_state_dict(optimizer.state_dict() | {"state": self._state.optimizer})
            self._state = None
        self._n_done += first
        ensemble.train()
        for epoch in range(first, schedule.n_epochs):
            mean = self._epoch(epoch, targets, schedule, optimizer)
            if not math.isfinite(mean):
                raise FloatingPointError(
                    f"the loss is {mean} in epoch {epoch + 1}; lower learning_rate (it is "
                    f"{schedule.learning_rate:g}) or denoising_costs"
                )
            self._n_done += 1
            if self._checkpoint is not None:
                values = optimizer.state_dict()["state"]
                state = State(self.round, epoch + 1, self.history, self.arrays, values)
                self._checkpoint.save(ensemble, state)
            if self._show is not None:
                self._show("training", self._n_done / self._n_epochs, f", loss {mean:.3f}")
        ensemble.settle(self._X)
        self.round += 1

    def _epoch(
        self,
        epoch: int,
        targets: Targets | None,
        schedule: Schedule,
        optimizer: torch.optim.Optimizer,
    ) -> float:
        """The mean loss of a network."""
        X, ensemble = self._X, self._ensemble
        batch_size = min(schedule.batch_size, len(X))
        n_batches = len(X) // batch_size
        total = torch.zeros((), device=X.device)
        for step, rows in enumerate(_batches(ensemble, len(X), batch_size, X.device)):
            done = (epoch + step / n_batches) / schedule.n_epochs
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate(done)
            chosen, wanted = rows, None
            if targets is not None:
                more, wanted = targets.draw(schedule.labeled_batch_size, ensemble.generators)
                chosen = torch.cat([rows, more], dim=1)
            with precision(X.device):
                outputs = ensemble(X[chosen])
            value = self._loss(outputs, batch_size, wanted)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(value)
            optimizer.step()
            total += value.detach()
        return float(total) / n_batches / len(ensemble)


@torch.no_grad()
def predict(ensemble: Ensemble, X: Tensor) -> Tensor:
    """Probabilities, (n_networks, n_samples, n_classes), each row's from that row alone."""
    ensemble.eval()
    found = []
    for begin in range(0, len(X), _ROWS_PER_BLOCK):
        block = X[begin : begin + _ROWS_PER_BLOCK]
        # Always as many rows, since sums may be rounded in another way for more or fewer.
        padded = block.new_zeros(_ROWS_PER_BLOCK, *block.shape[1:])
        padded[: len(block)] = block
        found.append(torch.softmax(ensemble.logits(padded)[:, : len(block)], dim=2))
    return torch.cat(found, dim=1)
