"""Networks that look at all items of a set at once.

The layers use attention without positions: another order of the items gives the same results, in
that order. The features of a pair (how alike its items are in their set, see `pair_context`, and
those passed as `pairs`) add a bias to the attention between its items. Sets of one size are
computed together, so no set is padded. A set of n items takes O(n ** 2) time and memory.

Attributes that hold parameters are the names under which saved files store them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from labelquorum.deep.networks import Ensemble
from labelquorum.sets.base import Views
from labelquorum.sets.context import N_CONTEXT, pair_context
from labelquorum.sets.examples import Examples
from labelquorum.sets.pairs import Floats, n_pairs_of, pair_blocks

_PAIRS_PER_BLOCK = 1 << 16
_BIAS_WIDTH = 16
_N_OWN = 2  # first columns of the context: cosine and distance


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

    features: Tensor  # (items of all sets, n_features), scaled
    pairs: Tensor  # (pairs of all sets, N_CONTEXT + n_pair_features), scaled
    shapes: list[tuple[int, int]]  # runs of sets of one size: their number, and their size


class Encoding(NamedTuple):
    """What a network computes for the sets of a batch."""

    items: Tensor  # (items of all sets, width), the input of the pair head
    pairs: Tensor  # those of the batch
    category_logits: Tensor | None  # (items of all sets, n_categories)


def batch_of(sets: Sequence[tuple[Tensor, Tensor]]) -> Batch:
    """Build a batch from the features of the items and of the pairs of sets sorted by size."""
    sizes = [len(features) for features, _ in sets]
    return Batch(
        torch.cat([features for features, _ in sets]),
        torch.cat([pairs for _, pairs in sets]),
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
        n_pair_columns = N_CONTEXT + sizes.n_pair_features
        for name, n in (("item", sizes.n_features), ("pair", n_pair_columns)):
            self.register_buffer(f"{name}_mean", torch.zeros(n))
            self.register_buffer(f"{name}_spread", torch.ones(n))
        self.of_features = nn.Linear(sizes.n_features, width)
        self.of_pairs = nn.Linear(_N_OWN + sizes.n_pair_features, _BIAS_WIDTH)
        self.layers = nn.ModuleList(
            _Layer(width, sizes.n_heads, dropout) for _ in range(sizes.n_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.to_category = nn.Linear(width, sizes.n_categories) if sizes.n_categories else None
        self.to_pairs = nn.Linear(width, width)
        self.alike = nn.Sequential(
            nn.Linear(n_pair_columns, width),
            nn.GELU(),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, 1),
        )
        self.same = nn.Sequential(
            nn.Linear(2 * sizes.n_heads + _N_OWN + sizes.n_pair_features, width),
            nn.GELU(),
            nn.Linear(width, 1),
        )

    def parts(self) -> list[list[nn.Parameter]]:
        """Return the parameters of the head that takes no items, and all others: none is shared."""
        alike = [*self.alike.parameters()]
        others = [p for name, p in self.named_parameters() if not name.startswith("alike.")]
        return [alike, others]

    def learn_scale(self, examples: Examples) -> None:
        """Store the mean and the spread of each feature of items and of pairs."""
        sets = [examples.items.of_set(i) for i in range(examples.items.n_sets)]
        self._store_scale("item", (features for features, _ in sets))
        self._store_scale("pair", (self._columns(*of_set) for of_set in sets))

    def _store_scale(self, name: str, arrays: Iterable[Floats]) -> None:
        scaler = StandardScaler()
        for array in arrays:
            if len(array):
                scaler.partial_fit(array)
        getattr(self, f"{name}_mean").copy_(torch.from_numpy(scaler.mean_))
        getattr(self, f"{name}_spread").copy_(torch.from_numpy(scaler.scale_))

    def _columns(self, features: Floats, pairs: Floats | None) -> Floats:
        """Return what the network takes of the pairs of a set: how alike they are, and `pairs`."""
        mean, spread = (of.cpu().numpy() for of in (self.item_mean, self.item_spread))
        context = pair_context((features - mean) / spread)
        return context if pairs is None else np.column_stack([context, pairs])

    def scaled(self, features: Floats, pairs: Floats | None) -> tuple[Tensor, Tensor]:
        """Return what the network takes of a set: scaled features of its items and its pairs."""
        arrays = features, self._columns(features, pairs)
        items, rows = (
            torch.from_numpy(array.astype(np.float32)).to(self.item_mean.device) for array in arrays
        )
        return (
            (items - self.item_mean) / self.item_spread,
            (rows - self.pair_mean) / self.pair_spread,
        )

    def encode(self, batch: Batch) -> Encoding:
        """Run the layers and the category head."""
        items = self.dropout(self.of_features(batch.features))
        hidden = gelu(self.of_pairs(_without_standing(batch.pairs)))
        for layer in self.layers:
            items = layer(items, hidden, batch.shapes)
        items = self.norm(items)
        category_logits = None if self.to_category is None else self.to_category(items)
        return Encoding(self.to_pairs(items), batch.pairs, category_logits)

    def log_odds(self, first: Tensor, second: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the log-odds that two items are of one cluster, whichever is first.

        Parameters
        ----------
        first, second : Tensor of shape (n, width)
            Rows of `Encoding.items`.
        pairs : Tensor of shape (n, N_CONTEXT + n_pair_features)
            The pairs' rows of `Encoding.pairs`.

        Returns
        -------
        alike, same : Tensor of shape (n,)
            From `pairs` alone, and from the encoded items too.
        """
        # One number per head. With one per unit, the network could memorize the clusters.
        by_head = (len(first), self.n_heads, -1)
        products = (first * second).view(by_head).sum(dim=2)
        distances = (first - second).square().view(by_head).sum(dim=2)
        alike: Tensor = self.alike(pairs)[:, 0]
        columns = torch.cat([products, distances, _without_standing(pairs)], dim=1)
        same: Tensor = self.same(columns)[:, 0]
        return alike, same

    def predict(self, features: Floats, pairs: Floats | None) -> tuple[Views, Floats | None]:
        """Return P(same cluster) of all pairs of a set, both ways, and P(category) of its items."""
        self.eval()
        with torch.no_grad():
            encoding = self.encode(batch_of([self.scaled(features, pairs)]))
            both = np.empty((2, len(encoding.pairs)))
            for positions, first, second in pair_blocks(len(features), _PAIRS_PER_BLOCK):
                log_odds = self.log_odds(
                    encoding.items[first], encoding.items[second], encoding.pairs[positions]
                )
                both[:, positions] = torch.sigmoid(torch.stack(log_odds).double()).cpu().numpy()
            views: Views = dict(enumerate(both))
            if encoding.category_logits is None:
                return views, None
            return views, torch.softmax(encoding.category_logits.double(), dim=1).cpu().numpy()


def _without_standing(pairs: Tensor) -> Tensor:
    """Leave out how pairs stand out in their set: the layers see the other items themselves."""
    return torch.cat([pairs[:, :_N_OWN], pairs[:, N_CONTEXT:]], dim=1)


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
