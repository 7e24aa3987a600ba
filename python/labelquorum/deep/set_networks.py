"""Networks that look at all items of a set at once.

The layers use attention without positions: another order of the items gives the same results, in
that order. The features of a pair (the cosine and the distance of its items, and those passed as
`pairs`) add a bias to the attention between its items. Sets of one size are computed together, so
no set is padded. A set of n items takes O(n ** 2) time and memory.

Attributes that hold parameters are the names under which saved files store them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear, scaled_dot_product_attention

from labelquorum.deep.networks import Ensemble
from labelquorum.sets.pairs import Floats, n_pairs_of, pair_blocks

_PAIRS_PER_BLOCK = 1 << 16
_N_OWN = 2  # features of a pair that the network computes itself: cosine and distance
_BIAS_WIDTH = 16


class Sizes(NamedTuple):
    """The sizes of a network."""

    n_features: int
    n_pair_features: int
    n_categories: int  # 0 for no category head
    width: int
    n_layers: int
    n_heads: int


class Batch(NamedTuple):
    """Sets one after the other, sorted by size."""

    features: Tensor  # (items of all sets, n_features)
    pairs: list[Tensor]  # of each set, (n_pairs, n_pair_features)
    shapes: list[tuple[int, int]]  # runs of sets of one size: their number, and their size


class Encoding(NamedTuple):
    """What a network computes for the sets of a batch."""

    items: Tensor  # (items of all sets, width), the input of the pair head
    own: Tensor  # (pairs of all sets, 2), their cosine and distance
    category_logits: Tensor | None  # (items of all sets, n_categories)


def batch_of(sets: Sequence[tuple[Tensor, Tensor]]) -> Batch:
    """Build a batch from the features of the items and of the pairs of sets sorted by size."""
    sizes = [len(features) for features, _ in sets]
    return Batch(
        torch.cat([features for features, _ in sets]),
        [pairs for _, pairs in sets],
        [(len([*same_size]), size) for size, same_size in groupby(sizes)],
    )


class _Layer(nn.Module):
    """Attention within each set, biased by its pairs, then a small network for each item."""

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
        projected = self.to_attention(self.norm(items))
        biases = self.to_bias(pairs)
        attended = []
        row = pair = 0
        for n_sets, n in shapes:
            n_rows, n_pairs = n_sets * n, n_sets * n_pairs_of(n)
            shape = (n_sets, n, 3, self.n_heads, items.shape[1] // self.n_heads)
            q, k, v = projected[row : row + n_rows].view(shape).permute(2, 0, 3, 1, 4)
            bias = _as_matrices(biases[pair : pair + n_pairs].view(n_sets, -1, self.n_heads), n)
            values = scaled_dot_product_attention(q, k, v, attn_mask=bias)
            attended.append(values.transpose(1, 2).reshape(n_rows, -1))
            row, pair = row + n_rows, pair + n_pairs
        items = items + self.dropout(self.from_attention(torch.cat(attended)))
        transformed: Tensor = items + self.of_items(items)
        return transformed


def _as_matrices(pairs: Tensor, n: int) -> Tensor:
    """Turn (n_sets, n_pairs, n_heads) into symmetric (n_sets, n_heads, n, n) with diagonal 0."""
    first, second = torch.triu_indices(n, n, 1, device=pairs.device)
    upper = pairs.new_zeros(len(pairs), pairs.shape[2], n * n)
    upper[:, :, first * n + second] = pairs.transpose(1, 2)
    matrices = upper.view(len(pairs), pairs.shape[2], n, n)
    return matrices + matrices.transpose(2, 3)


class SetNetwork(nn.Module):
    """Predicts the categories of the items, and log-odds that two items are of one cluster."""

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
        """Store the mean and the spread of each feature of items and of pairs."""
        for name, (mean, spread) in (("item", items), ("pair", pairs)):
            getattr(self, f"{name}_mean").copy_(mean)
            getattr(self, f"{name}_spread").copy_(torch.where(spread > 0, spread, 1.0))

    def encode(self, batch: Batch) -> Encoding:
        """Run the layers and the category head."""
        features = (batch.features - self.item_mean) / self.item_spread
        own = _own_features(features, batch.shapes)
        items = self.dropout(self.of_features(features))
        hidden = self.of_own(own)
        if self.of_pairs is not None:
            # Scale the weights instead of the features: there are far more pairs.
            weight = self.of_pairs.weight / self.pair_spread
            bias = -(weight @ self.pair_mean)
            hidden = hidden + torch.cat([linear(pairs, weight, bias) for pairs in batch.pairs])
        hidden = gelu(hidden)
        for layer in self.layers:
            items = layer(items, hidden, batch.shapes)
        items = self.norm(items)
        category_logits = None if self.to_category is None else self.to_category(items)
        return Encoding(self.to_pairs(items), own, category_logits)

    def log_odds(self, first: Tensor, second: Tensor, own: Tensor, pairs: Tensor) -> Tensor:
        """Return the log-odds that two encoded items are of one cluster, whichever is first.

        Parameters
        ----------
        first, second : Tensor of shape (n, width)
            Rows of `Encoding.items`.
        own : Tensor of shape (n, 2)
            The pairs' rows of `Encoding.own`.
        pairs : Tensor of shape (n, n_pair_features)
        """
        scaled = (pairs - self.pair_mean) / self.pair_spread
        # One number per head. With one per unit, the network could memorize the clusters.
        by_head = (len(first), self.n_heads, -1)
        products = (first * second).view(by_head).sum(dim=2)
        distances = (first - second).square().view(by_head).sum(dim=2)
        log_odds: Tensor = self.same(torch.cat([products, distances, own, scaled], dim=1))[:, 0]
        return log_odds

    def predict(self, features: Floats, pairs: Floats | None) -> tuple[Floats, Floats | None]:
        """Return P(same cluster) of all pairs of a set, and P(category) of its items."""
        self.eval()
        features_on_device, pairs_on_device = as_tensors(
            features, pairs, self.of_features.weight.device
        )
        with torch.no_grad():
            items, own, category_logits = self.encode(
                batch_of([(features_on_device, pairs_on_device)])
            )
            same = np.empty(len(own))
            for positions, first, second in pair_blocks(len(features), _PAIRS_PER_BLOCK):
                log_odds = self.log_odds(
                    items[first], items[second], own[positions], pairs_on_device[positions]
                )
                same[positions] = torch.sigmoid(log_odds.double()).cpu().numpy()
            if category_logits is None:
                return same, None
            return same, torch.softmax(category_logits.double(), dim=1).cpu().numpy()


def as_tensors(
    features: Floats, pairs: Floats | None, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the features of items and of pairs on the device; pairs without any have 0 columns."""
    if pairs is None:
        pairs = np.empty((n_pairs_of(len(features)), 0))
    items, rows = (torch.from_numpy(array.astype(np.float32)) for array in (features, pairs))
    return items.to(device), rows.to(device)


def _own_features(features: Tensor, shapes: list[tuple[int, int]]) -> Tensor:
    """Return the cosine and the distance of the items of each pair, shape (n_pairs, 2)."""
    own = []
    row = 0
    for n_sets, n in shapes:
        items = features[row : row + n_sets * n].view(n_sets, n, -1)
        first, second = torch.triu_indices(n, n, 1, device=items.device)
        products = items @ items.transpose(1, 2)
        squares = products.diagonal(dim1=1, dim2=2)
        product = products[:, first, second]
        a, b = squares[:, first], squares[:, second]
        cosine = product / (a * b).sqrt().clamp_min(1e-9)
        mean_square = (a + b - 2 * product).clamp_min(0) / features.shape[1]
        own.append(torch.stack([cosine, mean_square.sqrt()], dim=2).flatten(0, 1))
        row += n_sets * n
    return torch.cat(own)


class SetNetworks(Ensemble):
    """Networks of one kind, each trained on other sets."""

    def __init__(
        self, sizes: Sizes, seeds: Sequence[int], device: torch.device, *, dropout: float = 0.0
    ) -> None:
        super().__init__(seeds, device)
        networks = []
        for seed in seeds:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                networks.append(SetNetwork(sizes, dropout))
        self.networks = nn.ModuleList(networks).to(device)

    def __iter__(self) -> Iterator[SetNetwork]:
        return iter(self.networks)
