"""Features of the pairs of a set that see the whole set.

Two items that are fairly alike belong together if the set holds none that are more alike, and apart
if it holds many. So a pair is compared with the other pairs of its two items. All features are the
same for (b, a), and another order of the items gives the same features, in that order.
"""

from __future__ import annotations

import numpy as np

from labelquorum.sets.pairs import Floats

N_CONTEXT = 20
_NEAREST = (1, 3, 8)  # neighbors whose mean cosine a pair is compared with
_TIE = 1e-4  # cosines this close have the same rank, so that rounding does not count
_LEAST = 1e-6  # shorter items have no direction; smaller spreads count as this one


def pair_context(features: Floats) -> Floats:
    """Describe how alike the items of each pair are, also compared with the rest of the set.

    Parameters
    ----------
    features : array of shape (n_items, n_features)
        Features on comparable scales, around 0.

    Returns
    -------
    array of shape (n_pairs, N_CONTEXT), float32
        Cosine and distance; the cosine seen from the middle of the set; then, of this cosine,
        smaller and larger values of its two items: rank, share of the items with a higher rank,
        standard score, excess over the nearest neighbors, mean; the correlation of the two items'
        cosines; the logarithm of the set's size.
    """
    n = len(features)
    if n < 2:
        return np.empty((0, N_CONTEXT), dtype=np.float32)
    features = features.astype(np.float64)
    i, j = np.triu_indices(n, 1)
    squares = np.einsum("ij,ij->i", features, features)
    products = features @ features.T
    distances = np.sqrt(np.maximum(squares[i] + squares[j] - 2 * products[i, j], 0))
    cosines = _cosines(features - features.mean(axis=0))
    others = cosines[~np.eye(n, dtype=bool)].reshape(n, n - 1)  # without the item itself
    mean = others.mean(axis=1)
    spread = np.maximum(others.std(axis=1), _LEAST)
    descending = -np.sort(-others, axis=1)
    ranks = _ranks(cosines, descending)
    columns = [_cosines(features)[i, j], distances / np.sqrt(features.shape[1]), cosines[i, j]]
    of_first_and_second = [
        (np.log1p(ranks[i, j]), np.log1p(ranks[j, i])),
        (ranks[i, j] / n, ranks[j, i] / n),
        ((cosines[i, j] - mean[i]) / spread[i], (cosines[i, j] - mean[j]) / spread[j]),
        (mean[i], mean[j]),
    ]
    for k in _NEAREST:
        nearest = descending[:, :k].mean(axis=1)
        of_first_and_second.append((cosines[i, j] - nearest[i], cosines[i, j] - nearest[j]))
    for first, second in of_first_and_second:
        columns += [np.minimum(first, second), np.maximum(first, second)]
    np.fill_diagonal(cosines, 1)
    alike = _cosines(cosines - cosines.mean(axis=1, keepdims=True))
    columns += [alike[i, j], ranks[i, j] * ranks[j, i] / n**2, np.full(len(i), np.log(n))]
    return np.column_stack(columns).astype(np.float32)


def _cosines(items: Floats) -> Floats:
    """Return the cosines of all rows; 0 for rows at 0."""
    lengths = np.sqrt(np.einsum("ij,ij->i", items, items))
    units = items / np.maximum(lengths, _LEAST)[:, None]
    cosines: Floats = units @ units.T
    return cosines


def _ranks(cosines: Floats, descending: Floats) -> Floats:
    """Return how many items are nearer to each item (row) than each other one (column)."""
    rows = zip(descending, cosines, strict=True)
    return np.array([np.searchsorted(-of, -row - _TIE) for of, row in rows], dtype=np.float64)
