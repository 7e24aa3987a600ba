"""The training of an ensemble: batches, loss, learning rate, precision, checkpoints.

A fit consists of rounds, and a round of steps. A step takes a batch from a random pass over all
samples and, if there are labels, a second batch that holds every class equally often; if there are
neighbors, the second batch holds one of each sample's. All networks take the step together, each
with batches and noise of its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor

from labelquorum.deep import losses
from labelquorum.deep.checkpoints import Checkpoint, State
from labelquorum.deep.networks import Ensemble, Outputs

_CONSTANT_SHARE = 2 / 3  # of a round's steps; after them, the learning rate falls to 0
_STEPS_PER_REPORT = 50
_SECONDS_PER_CHECKPOINT = 60.0
_ROWS_PER_BLOCK = 256


class Loss(NamedTuple):
    """What training minimizes, beside the networks' own costs and the cross-entropy of labels."""

    clustering: str | None  # one of CLUSTERING_LOSSES
    mu: float  # weight of equal cluster sizes in it

    def __call__(self, outputs: Outputs, targets: Tensor | None) -> Tensor:
        """Return the sum of all losses.

        `targets`, of shape (n_networks, n_labeled), are the labels of the last rows, those without
        clean logits.
        """
        n_clean = outputs.clean.shape[1]
        clean, noisy = outputs.clean, outputs.noisy[:, :n_clean]
        total = outputs.cost
        if self.clustering == "information":
            total = total + losses.information(clean, self.mu)
        elif self.clustering == "dot":
            total = total + losses.dot(clean, noisy, self.mu)
        if self.clustering is not None:
            total = total + losses.consistency(clean, noisy)
        if targets is not None:
            total = total + losses.cross_entropy(outputs.noisy[:, n_clean:], targets)
        return total


class _SamplesByClass(NamedTuple):
    """The labeled samples of one network, sorted by class."""

    samples: Tensor  # (n_labeled,)
    classes: Tensor  # (n_present,), the classes that have samples
    begins: Tensor  # (n_present,), where each class begins in `samples`
    sizes: Tensor  # (n_present,)


class Targets:
    """Labels to draw batches from.

    Parameters
    ----------
    labels : int64 Tensor of shape (n_networks, n_samples)
        -1 for no label.
    """

    def __init__(self, labels: Tensor) -> None:
        self._of_networks = [_sort_by_class(row) for row in labels]

    def draw(self, n: int, generators: list[torch.Generator]) -> tuple[Tensor, Tensor]:
        """Draw samples with replacement, each class equally often on average.

        Returns the samples and their labels, both of shape (n_networks, n).
        """
        samples, labels = [], []
        for labeled, generator in zip(self._of_networks, generators, strict=True):
            device = labeled.samples.device
            classes = torch.randint(len(labeled.classes), (n,), generator=generator, device=device)
            fractions = torch.rand(n, generator=generator, device=device)
            positions = labeled.begins[classes] + (fractions * labeled.sizes[classes]).long()
            samples.append(labeled.samples[positions])
            labels.append(labeled.classes[classes])
        return torch.stack(samples), torch.stack(labels)


def _sort_by_class(labels: Tensor) -> _SamplesByClass:
    order = torch.argsort(labels, stable=True)
    sorted_labels = labels[order]
    is_labeled = sorted_labels >= 0
    classes, sizes = torch.unique_consecutive(sorted_labels[is_labeled], return_counts=True)
    return _SamplesByClass(order[is_labeled], classes, torch.cumsum(sizes, 0) - sizes, sizes)


class Schedule(NamedTuple):
    """The steps of one round."""

    n_steps: int
    batch_size: int
    labeled_batch_size: int
    learning_rate: float

    def rate(self, step: int) -> float:
        """Return the learning rate of a step: constant at first, then linear down to 0."""
        remaining = (self.n_steps - step) / self.n_steps
        return self.learning_rate * min(1.0, remaining / (1 - _CONSTANT_SHARE))


def device_of(device: Any) -> torch.device:
    """Return the device that the parameter `device` names; for None a GPU if there is one."""
    if device is not None:
        return torch.device(device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision(device: torch.device) -> AbstractContextManager[object]:
    """Compute products in bfloat16 if the device has instructions for it; weights stay float32."""
    if device.type == "cuda":
        is_fast = torch.cuda.is_bf16_supported()
    else:
        # A private function, since PyTorch has no public one for this: is_autocast_available is
        # true on every CPU, and torch.backends.cpu.get_cpu_capability does not know of bfloat16.
        is_fast = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast(device.type, dtype=torch.bfloat16) if is_fast else nullcontext()


class Training:
    """One fit of an ensemble.

    `round`, `history` and `arrays` say how far it has come. They are those of the checkpoint if
    there is one. The caller extends `history` and `arrays` after each round.

    Parameters
    ----------
    ensemble : Ensemble
    X : Tensor of shape (n_samples, n_features)
    loss : Loss
    n_steps : int
        Steps of all rounds, for the progress bar.
    neighbors : int64 Tensor of shape (n_samples, n_neighbors), optional
        If given, each batch is followed by as many rows, a random neighbor of each of its samples.
    compile : bool
        Compile the ensemble first.
    checkpoint : Checkpoint, optional
        Where to keep the state, once a minute and at the end of each round.
    show : callable, optional
        Reports progress.
    """

    def __init__(
        self,
        ensemble: Ensemble,
        X: Tensor,
        loss: Loss,
        *,
        n_steps: int,
        neighbors: Tensor | None = None,
        compile: bool = False,
        checkpoint: Checkpoint | None = None,
        show: Callable[..., None] | None = None,
    ) -> None:
        self._ensemble, self._X, self._loss = ensemble, X, loss
        self._forward = torch.compile(ensemble, dynamic=False) if compile else ensemble
        self._n_steps, self._neighbors = n_steps, neighbors
        self._order = torch.empty(0)
        self._checkpoint, self._show = checkpoint, show
        state = None if checkpoint is None else checkpoint.load(ensemble)
        self._state_to_resume = state
        self._n_done = 0 if state is None else state.n_done
        self.round = 0 if state is None else state.round
        self.history = [] if state is None else state.history
        self.arrays = {} if state is None else state.arrays

    def train(self, labels: Tensor | None, schedule: Schedule) -> None:
        """Train all networks together for one round.

        `labels`, of shape (n_networks, n_samples), are -1 where there is no label.
        """
        ensemble, device = self._ensemble, self._X.device
        targets = None if labels is None else Targets(labels.to(device))
        optimizer = torch.optim.Adam(ensemble.parameters(), lr=schedule.learning_rate, fused=True)
        first = self._resume(optimizer)
        ensemble.train()
        saved_at = time.monotonic()
        for begin in range(first, schedule.n_steps, _STEPS_PER_REPORT):
            end = min(begin + _STEPS_PER_REPORT, schedule.n_steps)
            loss = self._take_steps(begin, end, targets, schedule, optimizer)
            is_due = time.monotonic() - saved_at >= _SECONDS_PER_CHECKPOINT
            if self._checkpoint is not None and (is_due or end == schedule.n_steps):
                self._save(self._checkpoint, end, optimizer)
                saved_at = time.monotonic()
            if self._show is not None:
                self._show("training", self._n_done / self._n_steps, f", loss {loss:.3f}")
        with torch.no_grad(), precision(device):
            ensemble.settle(self._X)
        self.round += 1

    def _resume(self, optimizer: torch.optim.Optimizer) -> int:
        """Restore the optimizer if a round was interrupted; return the round's first step to do."""
        state, self._state_to_resume = self._state_to_resume, None
        if state is None:
            return 0
        self._order = state.order.to(self._X.device)
        optimizer.load_state_dict(optimizer.state_dict() | {"state": state.optimizer})
        return state.step

    def _save(self, checkpoint: Checkpoint, step: int, optimizer: torch.optim.Optimizer) -> None:
        moments = optimizer.state_dict()["state"]
        state = State(
            self.round, step, self._n_done, self.history, self.arrays, moments, self._order
        )
        checkpoint.save(self._ensemble, state)

    def _take_steps(
        self,
        begin: int,
        end: int,
        targets: Targets | None,
        schedule: Schedule,
        optimizer: torch.optim.Optimizer,
    ) -> float:
        """Take the steps and return the mean loss of a network; refuse to go on if it diverges."""
        total = torch.zeros((), device=self._X.device)
        for step in range(begin, end):
            for group in optimizer.param_groups:
                group["lr"] = schedule.rate(step)
            total += self._step(step, targets, schedule, optimizer)
        loss = float(total) / (end - begin) / len(self._ensemble)
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"training diverged: the loss is {loss} after {end} steps; lower learning_rate "
                f"(now {schedule.learning_rate:g}), or denoising_costs if there are any"
            )
        self._n_done += end - begin
        return loss

    def _step(
        self,
        step: int,
        targets: Targets | None,
        schedule: Schedule,
        optimizer: torch.optim.Optimizer,
    ) -> Tensor:
        """Take one step and return the sum of the networks' losses."""
        X, ensemble = self._X, self._ensemble
        n = min(schedule.batch_size, len(X))
        batch = step % (len(X) // n)
        if batch == 0:
            self._order = torch.stack(
                [
                    torch.randperm(len(X), generator=generator, device=X.device)
                    for generator in ensemble.generators
                ]
            )
        samples, target_labels = self._order[:, batch * n : (batch + 1) * n], None
        if self._neighbors is not None:
            samples = torch.cat([samples, self._drawn_neighbors(samples, self._neighbors)], dim=1)
        if targets is not None:
            labeled, target_labels = targets.draw(schedule.labeled_batch_size, ensemble.generators)
            samples = torch.cat([samples, labeled], dim=1)
        with precision(X.device):
            x = X[samples]
            outputs = self._forward(x, ensemble.draw(x), n)
        loss = self._loss(outputs, target_labels)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimizer.step()
        return loss.detach()

    def _drawn_neighbors(self, samples: Tensor, neighbors: Tensor) -> Tensor:
        """Return a random neighbor of each sample, (n_networks, n)."""
        slots = [
            torch.randint(neighbors.shape[1], row.shape, generator=generator, device=row.device)
            for row, generator in zip(samples, self._ensemble.generators, strict=True)
        ]
        return neighbors[samples, torch.stack(slots)]


def predict(ensemble: Ensemble, X: Tensor) -> Tensor:
    """Return probabilities (n_networks, n_samples, n_classes), each computed from its row alone."""
    ensemble.eval()
    probabilities = []
    for begin in range(0, len(X), _ROWS_PER_BLOCK):
        block = X[begin : begin + _ROWS_PER_BLOCK]
        # Every block has the same number of rows: with another number, sums may round differently.
        padded = block.new_zeros(_ROWS_PER_BLOCK, *block.shape[1:])
        padded[: len(block)] = block
        with torch.no_grad(), precision(X.device):
            logits = ensemble.logits(padded)[:, : len(block)]
            probabilities.append(torch.softmax(logits, dim=2))
    return torch.cat(probabilities, dim=1)
