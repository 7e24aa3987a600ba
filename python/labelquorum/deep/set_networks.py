"""Networks that look at a set of items at once, whatever their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import gelu, linear, scaled_dot_product_attention

from labelquorum.deep.networks import Ensemble
from labelquorum.sets.base import Floats, pair_blocks

_PAIRS_PER_BLOCK = 1 << 16
_N_OWN = 2  # features of pairs that the network makes itself: cosine and distance
_BIAS_WIDTH = 16


class Sizes(NamedTuple):
    """Of a network."""

    n_features: int
    n_pair_features: int
    n_categories: int
    width: int
    n_layers: int
    n_heads: int


class Batch(NamedTuple):
    """Sets side by side, those of one size next to each other, so that none is filled up."""

    features: Tensor  # (items of all sets, n_features)
    pairs: list[Tensor]  # (pairs of a set, n_pair_features)
    shapes: list[tuple[int, int]]  # how many sets of how many items


def batch_of(sets: Sequence[tuple[Tensor, Tensor]]) -> Batch:
    """Of features of items and pairs of sets, which are sorted by size."""
    sizes = [len(features) for features, _ in sets]
    return Batch(
        torch.cat([features for features, _ in sets]),
        [pairs for _, pairs in sets],
        [(len([*same]), n) for n, same in groupby(sizes)],
    )


class _Layer(nn.Module):
    """Attention within sets, in which pairs have a say, then a layer for each item."""

    def __init__(self, width: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.norm = nn.LayerNorm(width)
        self.to_attention = nn.Linear(width, 3 * width)
        self.to_bias = nn.Linear(_BIAS_WIDTH, n_heads)
        self.from_attention = nn.Linear(width, width)
        self.of_items = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Linear(2 * width, width),
            nn.Dropout(dropout),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, items: Tensor, pairs: Tensor, shapes: list[tuple[int, int]]) -> Tensor:
        parts = self.to_attention(self.norm(items))
        biases = self.to_bias(pairs)
        found = []
        i = j = 0
        for n_sets, n in shapes:
            n_rows, n_pairs = n_sets * n, n * (n - 1) // 2
            shape = (n_sets, n, 3, self.n_heads, items.shape[1] // self.n_heads)
            q, k, v = parts[i : i + n_rows].view(shape).permute(2, 0, 3, 1, 4)
            of_pairs = biases[j : j + n_sets * n_pairs].view(n_sets, n_pairs, self.n_heads)
            bias = _as_matrices(of_pairs, n)
            seen = scaled_dot_product_attention(q, k, v, attn_mask=bias)
            found.append(seen.transpose(1, 2).reshape(n_rows, -1))
            i, j = i + n_rows, j + n_sets * n_pairs
        items = items + self.dropout(self.from_attention(torch.cat(found)))
        with_own: Tensor = items + self.of_items(items)
        return with_own


def _as_matrices(pairs: Tensor, n: int) -> Tensor:
    """(n_sets, n_pairs, n_heads) as symmetric (n_sets, n_heads, n, n), 0 on the diagonal."""
    first, second = torch.triu_indices(n, n, 1, device=pairs.device)
    upper = pairs.new_zeros(len(pairs), pairs.shape[2], n * n)
    upper[:, :, first * n + second] = pairs.transpose(1, 2)
    matrices = upper.view(len(pairs), pairs.shape[2], n, n)
    return matrices + matrices.transpose(2, 3)


class SetNetwork(nn.Module):
    """Categories of the items of sets, and log-odds that two are of one cluster."""

    item_mean: Tensor
    item_spread: Tensor
    pair_mean: Tensor
    pair_spread: Tensor

    def __init__(self, sizes: Sizes, dropout: float) -> None:
        super().__init__()
        width = sizes.width
        self.n_heads = sizes.n_heads
        for name, n in (("item", sizes.n_features), ("pair", sizes.n_pair_features)):
            self.register_buffer(f"{name}_mean", torch.zeros(n))
            self.register_buffer(f"{name}_spread", torch.ones(n))
        self.of_features = nn.Linear(sizes.n_features, width)
        self.of_own = nn.Linear(_N_OWN, _BIAS_WIDTH)
        self.of_pairs = None
        if sizes.n_pair_features:
            self.of_pairs = nn.Linear(sizes.n_pair_features, _BIAS_WIDTH, bias=False)
        self.layers = nn.ModuleList(
            _Layer(width, sizes.n_heads, dropout) for _ in range(sizes.n_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.to_category = nn.Linear(width, sizes.n_categories) if sizes.n_categories else None
        self.to_pairs = nn.Linear(width, width)
        self.same = nn.Sequential(
            nn.Linear(2 * sizes.n_heads + _N_OWN + sizes.n_pair_features, width),
            nn.GELU(),
            nn.Linear(width, 1),
        )

    def learn_scale(self, items: tuple[Tensor, Tensor], pairs: tuple[Tensor, Tensor]) -> None:
        """Keep the means and the spreads of the features of items and of pairs."""
        for name, (mean, spread) in (("item", items), ("pair", pairs)):
            getattr(self, f"{name}_mean").copy_(mean)
            getattr(self, f"{name}_spread").copy_(torch.where(spread > 0, spread, 1.0))

    def encode(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        """Items as the pair head takes them, own features of pairs, and logits of categories."""
        features = (batch.features - self.item_mean) / self.item_spread
        own = _own_features(features, batch.shapes)
        items = self.dropout(self.of_features(features))
        hidden = self.of_own(own)
        if self.of_pairs is not None:
            # Scaling the weights is the same as scaling the pairs, which are many.
            weight = self.of_pairs.weight / self.pair_spread
            bias = -(weight @ self.pair_mean)
            hidden = hidden + torch.cat([linear(pairs, weight, bias) for pairs in batch.pairs])
        hidden = gelu(hidden)
        for layer in self.layers:
            items = layer(items, hidden, batch.shapes)
        items = self.norm(items)
        kinds = None if self.to_category is None else self.to_category(items)
        return self.to_pairs(items), own, kinds

    def log_odds(self, first: Tensor, second: Tensor, own: Tensor, pairs: Tensor) -> Tensor:
        """Of pairs of encoded items, the same whichever is first."""
        scaled = (pairs - self.pair_mean) / self.pair_spread
        # Few numbers, not some of each unit: those would tell clusters of training by heart.
        of_heads = (len(first), self.n_heads, -1)
        products = (first * second).view(of_heads).sum(dim=2)
        distances = (first - second).square().view(of_heads).sum(dim=2)
        both = torch.cat([products, distances, own, scaled], dim=1)
        found: Tensor = self.same(both)[:, 0]
        return found

    def predict(self, features: Floats, pairs: Floats | None) -> tuple[Floats, Floats | None]:
        """P(same cluster) of all pairs of a set, and P(category) of its items."""
        self.eval()
        device = self.of_features.weight.device
        of_set = as_tensors(features, pairs, device)
        with torch.no_grad():
            items, own, kinds = self.encode(batch_of([of_set]))
            same = np.empty(len(own))
            for places, first, second in pair_blocks(len(features), _PAIRS_PER_BLOCK):
                found = self.log_odds(items[first], items[second], own[places], of_set[1][places])
                same[places] = torch.sigmoid(found.double()).cpu().numpy()
            if kinds is None:
                return same, None
            return same, torch.softmax(kinds.double(), dim=1).cpu().numpy()


def as_tensors(
    features: Floats, pairs: Floats | None, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Features of items and of pairs, (n_pairs, 0) where there are none."""
    n = len(features)
    given = np.empty((n * (n - 1) // 2, 0)) if pairs is None else pairs
    items, of_pairs = (torch.from_numpy(of.astype(np.float32)) for of in (features, given))
    return items.to(device), of_pairs.to(device)


def _own_features(features: Tensor, shapes: list[tuple[int, int]]) -> Tensor:
    """Cosine and distance of the items of all pairs, (n_pairs, 2)."""
    found = []
    i = 0
    for n_sets, n in shapes:
        items = features[i : i + n_sets * n].view(n_sets, n, -1)
        first, second = torch.triu_indices(n, n, 1, device=items.device)
        products = items @ items.transpose(1, 2)
        squares = products.diagonal(dim1=1, dim2=2)
        product = products[:, first, second]
        a, b = squares[:, first], squares[:, second]
        cosine = product / (a * b).sqrt().clamp_min(1e-9)
        apart = (a + b - 2 * product).clamp_min(0) / features.shape[1]
        found.append(torch.stack([cosine, apart.sqrt()], dim=2).flatten(0, 1))
        i += n_sets * n
    return torch.cat(found)


class SetNetworks(Ensemble):
    """Networks of one kind, each learned from other sets."""

    def __init__(
        self, sizes: Sizes, seeds: Sequence[int], device: torch.device, *, dropout: float = 0.0
    ) -> None:
        super().__init__(seeds, device)
        made = []
        for seed in seeds:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                made.append(SetNetwork(sizes, dropout))
        self.networks = nn.ModuleList(made).to(device)

    def __iter__(self) -> Iterator[SetNetwork]:
        return iter(self.networks)


def chunks_of(chosen: NDArray[np.intp], sizes: NDArray[np.intp], n_most: int) -> list[list[int]]:
    """Sets sorted by size, in parts in which the squares of the sizes sum to little."""
    chunks: list[list[int]] = []
    total = 0
    for i in chosen[np.argsort(sizes[chosen], kind="stable")].tolist():
        total += int(sizes[i]) ** 2
        if not chunks or total > n_most:
            chunks.append([])
            total = int(sizes[i]) ** 2
        chunks[-1].append(i)
    return chunks
