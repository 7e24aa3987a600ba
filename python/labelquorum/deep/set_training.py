"""The training of a set network: batches of sets, the pairs drawn from them, the loss.

The loss of a set is the cross-entropy of "same cluster" over pairs drawn from it, plus that of the
categories over its items. All sets have the same weight. Within a set, the pairs of one cluster
have the same total weight as the pairs of different clusters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from labelquorum.deep.set_networks import Batch, Encoding, SetNetwork, batch_of
from labelquorum.sets.examples import Examples
from labelquorum.sets.pairs import Codes, Indices, draw_pairs, n_pairs_of, pair_positions

_PAIRS_PER_SET = 4096  # drawn in a step, at most
_SQUARES_PER_CHUNK = 1 << 20  # sum of the squared sizes of sets that are computed at once
_MAX_GRADIENT_NORM = 1.0


def train_epoch(
    network: SetNetwork,
    examples: Examples,
    sets: Indices,
    optimizer: torch.optim.Optimizer,
    *,
    batch_size: int,
    rate: Callable[[float], float],
    rng: np.random.Generator,
) -> float:
    """Train on each set once, in random order, and return the mean loss of a set.

    Parameters
    ----------
    network : SetNetwork
    examples : Examples
    sets : array of indices
        The sets to train on.
    optimizer : Optimizer
    batch_size : int
        A batch ends with the set that fills it up to this number of items.
    rate : callable
        The learning rate, given the share of the epoch that is done.
    rng : Generator
        Draws the order and the pairs.
    """
    sizes = np.array([len(features) for features in examples.items.features])
    order = rng.permutation(sets)
    total, n_done = 0.0, 0
    ends = np.flatnonzero(np.diff(np.cumsum(sizes[order]) // batch_size) > 0) + 1
    for batch in np.split(order, ends):
        for group in optimizer.param_groups:
            group["lr"] = rate(n_done / len(order))
        optimizer.zero_grad(set_to_none=True)
        for chunk in chunks_of(batch, sizes, _SQUARES_PER_CHUNK):
            loss = _loss(network, examples, chunk, rng)
            if loss.requires_grad:
                torch.autograd.backward(loss / len(batch))
            total += float(loss.detach())
        for part in network.parts():
            torch.nn.utils.clip_grad_norm_(part, _MAX_GRADIENT_NORM)
        optimizer.step()
        n_done += len(batch)
    return total / len(order)


def chunks_of(sets: Indices, sizes: NDArray[np.integer], max_squares: int) -> list[list[int]]:
    """Sort the sets by size and divide them into chunks that fit into memory.

    The squared sizes of a chunk sum to at most `max_squares`, unless it is a single set.
    """
    chunks: list[list[int]] = []
    total = 0
    for i in sets[np.argsort(sizes[sets], kind="stable")].tolist():
        total += int(sizes[i]) ** 2
        if not chunks or total > max_squares:
            chunks.append([])
            total = int(sizes[i]) ** 2
        chunks[-1].append(i)
    return chunks


class _BatchPairs(NamedTuple):
    """Pairs drawn from the sets of a batch, all sets one after the other."""

    first: Tensor  # (n,), rows of their first items among the items of the batch
    second: Tensor  # (n,), rows of their second items
    positions: Tensor  # (n,), where they are among all pairs of the batch
    is_same: Tensor  # (n,), float32, 1 if both items are of one cluster
    weights: Tensor  # (n,), float32; those of a set sum to 1


def _loss(
    network: SetNetwork, examples: Examples, sets: list[int], rng: np.random.Generator
) -> Tensor:
    """Return the sum of the losses of the sets."""
    device = network.item_mean.device
    batch = batch_of([network.scaled(*examples.items.of_set(i)) for i in sets])
    encoding = network.encode(batch)
    pairs = _draw_batch_pairs(batch, [examples.clusters[i] for i in sets], rng)
    total = torch.zeros((), device=device)
    if encoding.category_logits is not None and examples.categories is not None:
        categories = [examples.categories[i] for i in sets]
        total = _category_loss(encoding.category_logits, categories)
    if len(pairs.first):
        total = total + _pair_loss(network, encoding, pairs)
    return total


def _draw_batch_pairs(batch: Batch, clusters: list[Codes], rng: np.random.Generator) -> _BatchPairs:
    per_set = []
    n_items = n_pairs = 0
    device = batch.features.device
    for codes in clusters:
        drawn = draw_pairs(codes, _PAIRS_PER_SET, rng)
        positions = torch.from_numpy(pair_positions(drawn.first, drawn.second, len(codes)))
        per_set.append(
            _BatchPairs(
                torch.from_numpy(drawn.first + n_items),
                torch.from_numpy(drawn.second + n_items),
                positions + n_pairs,
                torch.from_numpy(drawn.is_same.astype(np.float32)).to(device),
                torch.from_numpy(drawn.weights.astype(np.float32)).to(device),
            )
        )
        n_items += len(codes)
        n_pairs += n_pairs_of(len(codes))
    return _BatchPairs(*(torch.cat(parts) for parts in zip(*per_set, strict=True)))


def _category_loss(logits: Tensor, categories: list[Codes]) -> Tensor:
    """Return the sum over sets of the mean cross-entropy of their items with a known category."""
    total = torch.zeros((), device=logits.device)
    of_sets = logits.split([len(codes) for codes in categories])
    for set_logits, codes in zip(of_sets, categories, strict=True):
        targets = torch.from_numpy(codes.astype(np.int64)).to(logits.device)
        if (targets >= 0).any():
            total = total + cross_entropy(set_logits, targets, ignore_index=-1)
    return total


def _pair_loss(network: SetNetwork, encoding: Encoding, pairs: _BatchPairs) -> Tensor:
    """Return the sum over sets of the weighted mean cross-entropy of their pairs, of both heads."""
    both = network.log_odds(
        encoding.items[pairs.first], encoding.items[pairs.second], encoding.pairs[pairs.positions]
    )
    losses = [
        binary_cross_entropy_with_logits(
            log_odds, pairs.is_same, weight=pairs.weights, reduction="sum"
        )
        for log_odds in both
    ]
    return losses[0] + losses[1]
