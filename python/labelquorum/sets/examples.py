"""The arguments of `fit` and `predict`: sets of items, checked and brought into one form.

Sets come as a list of arrays, or as one array with the set of each row (`groups`). `Items` holds
the features either way, and `Examples` adds the known clusters and categories as codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from labelquorum._shared.label_reader import Labels, array_of_names, read_labels
from labelquorum._shared.labels import as_codes
from labelquorum._shared.samples import as_points, check_finite
from labelquorum.sets.pairs import Codes, Floats, Indices, n_pairs_of

# Clusters that recur: some items may be equal by chance and link clusters that are different.
_LEAST_APART = 0.9


class Items(NamedTuple):
    """The items of sets, and what is known of their pairs."""

    features: list[Floats]  # of each set, (n_items, n_features)
    pairs: list[Floats] | None  # of each set, (n_pairs, n_pair_features)
    rows: list[Indices] | None  # of each set in the array they came in; None if they came as a list

    @property
    def n_sets(self) -> int:
        """Number of sets."""
        return len(self.features)

    def of_set(self, i: int) -> tuple[Floats, Floats | None]:
        """Return the features of the items and of the pairs of set i."""
        return self.features[i], None if self.pairs is None else self.pairs[i]

    def as_given(self, labels: list[NDArray[Any]]) -> Any:
        """Return labels of each set in the form in which the sets came: a list, or one array."""
        if self.rows is None:
            return labels
        joined = np.empty(sum(map(len, self.rows)), dtype=labels[0].dtype)
        for rows, labels_of_set in zip(self.rows, labels, strict=True):
            joined[rows] = labels_of_set
        return joined


class Examples(NamedTuple):
    """Sets to learn from."""

    items: Items
    clusters: list[Codes]  # of each set, (n_items,); -1 if unknown
    categories: list[Codes] | None  # of each set, (n_items,), indices of names; -1 if unknown
    names: NDArray[Any]  # of the categories


def clusters_recur(examples: Examples) -> bool:
    """Say whether the sets show the same clusters again and again.

    Clusters of two sets that share an item are taken as one. They recur if that leaves at most half
    as many, while clusters of one set stay apart. If items have few values, those that are equal
    are not the same item, and hardly any clusters stay apart.
    """
    _, of_item = np.unique(np.concatenate(examples.items.features), axis=0, return_inverse=True)
    starts = np.cumsum([0, *(codes.max() + 1 for codes in examples.clusters)])
    shifted = zip(examples.clusters, starts[:-1], strict=True)
    of_row = np.concatenate([np.where(codes < 0, -1, codes + start) for codes, start in shifted])
    is_known = of_row >= 0
    clusters, items = of_row[is_known], of_item.reshape(-1)[is_known]
    n_clusters, n_items = int(starts[-1]), int(items.max()) + 1
    shared = sparse.coo_array((np.ones(len(items)), (clusters, items)), shape=(n_clusters, n_items))
    n_distinct, distinct = connected_components(shared @ shared.T, directed=False)
    of_sets = np.split(distinct, starts[1:-1])
    n_apart = sum(len(np.unique(of_set)) for of_set in of_sets)
    return 2 * n_distinct <= n_clusters and n_apart >= _LEAST_APART * n_clusters


def as_items(sets: Any, groups: Any, pairs: Any) -> Items:
    """Check the sets and the features of their pairs."""
    if groups is None:
        features, rows = _features_of_list(sets), None
    else:
        array = _as_features(sets, "sets")
        rows = _rows_of_groups(groups, len(array))
        features = [array[rows_of_set] for rows_of_set in rows]
    return Items(features, None if pairs is None else _as_pairs(pairs, features), rows)


def _features_of_list(sets: Any) -> list[Floats]:
    is_table = hasattr(sets, "columns") or getattr(sets, "ndim", None) == 2
    if is_table:
        raise ValueError(
            f"sets must be a list of arrays, one per set, got one array of shape {np.shape(sets)}: "
            "pass groups with it, the set of each row"
        )
    if isinstance(sets, (str, Mapping)) or not hasattr(sets, "__getitem__"):
        raise TypeError(f"sets must be a list of arrays, one per set, got {type(sets).__name__}")
    if not len(sets):
        raise ValueError("sets must hold at least one set, got none")
    n_columns = as_points(sets[0], "sets[0]").shape[1]
    return [_as_features(sets[i], f"sets[{i}]", n_columns, "sets[0] has") for i in range(len(sets))]


def _as_features(values: Any, name: str, n_columns: int | None = None, as_in: str = "") -> Floats:
    """Return finite features, of float32 or float64: products of float16 could overflow."""
    points = as_points(values, name, n_columns, as_in)
    check_finite(points, name)
    return points.astype(np.promote_types(points.dtype, np.float32), copy=False)


def _rows_of_groups(groups: Any, n_rows: int) -> list[Indices]:
    """Return the rows of each set, the sets in the order of their names."""
    codes = as_codes(groups, "groups")[1]
    if len(codes) != n_rows:
        raise ValueError(f"groups must have {n_rows} values, one per row of sets, got {len(codes)}")
    missing = np.flatnonzero(codes < 0)
    if len(missing):
        raise ValueError(f"groups must name a set for each row, got none for row {missing[0]}")
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


def _as_pairs(pairs: Any, features: list[Floats]) -> list[Floats]:
    if len(pairs) != len(features):
        raise ValueError(f"pairs must hold {len(features)} arrays, one per set, got {len(pairs)}")
    widths = {np.shape(array)[1] for array in pairs if np.ndim(array) == 2 and np.shape(array)[1]}
    n_columns = min(widths, default=0)
    checked: list[Floats] = []
    for i, (array, items) in enumerate(zip(pairs, features, strict=True)):
        name, n_pairs = f"pairs[{i}]", n_pairs_of(len(items))
        if not n_pairs:
            checked.append(np.empty((0, n_columns), dtype=np.float32))
            continue
        points = _as_features(array, name, n_columns or None, "other sets have")
        if len(points) != n_pairs:
            raise ValueError(
                f"{name} must have {n_pairs} rows, one per pair of the {len(items)} items of "
                f"sets[{i}] in the order of numpy.triu_indices({len(items)}, 1), got {len(points)}"
            )
        checked.append(points)
    return checked


def as_examples(sets: Any, clusters: Any, categories: Any, groups: Any, pairs: Any) -> Examples:
    """Check the arguments of `fit`."""
    items = as_items(sets, groups, pairs)
    if items.n_sets < 2:
        raise ValueError(
            "sets must hold at least 2 sets, since the offset is tuned on held-out sets, got 1"
        )
    codes = [labels.codes for labels in _labels_of_sets(clusters, items, "clusters")]
    _check_both_kinds_of_pairs(codes)
    if categories is None:
        return Examples(items, codes, None, np.empty(0))
    labels_of_sets = [
        labels.as_objects() for labels in _labels_of_sets(categories, items, "categories")
    ]
    names, joined = as_codes(np.concatenate(labels_of_sets), "categories")
    if not names:
        raise ValueError(
            "categories must hold at least one category, got -1 or None for every item: pass "
            "categories=None"
        )
    ends = np.cumsum([len(labels) for labels in labels_of_sets])[:-1]
    category_codes = np.split(joined, ends)
    for i, (clusters_of_set, categories_of_set) in enumerate(
        zip(codes, category_codes, strict=True)
    ):
        _check_one_category_per_cluster(clusters_of_set, categories_of_set, names, i)
    return Examples(items, codes, category_codes, array_of_names(names))


def _labels_of_sets(labels: Any, items: Items, name: str) -> list[Labels]:
    """Read the labels of each set."""
    if items.rows is not None:
        joined = read_labels(labels, name, mixed=True).as_objects()
        n_rows = sum(map(len, items.rows))
        if len(joined) != n_rows:
            raise ValueError(
                f"{name} must have shape ({n_rows},), one value per row of sets, got {joined.shape}"
            )
        return [read_labels(joined[rows], name, mixed=True) for rows in items.rows]
    if len(labels) != items.n_sets:
        raise ValueError(f"{name} must hold {items.n_sets} arrays, one per set, got {len(labels)}")
    labels_of_sets = []
    for i, (labels_of_set, features) in enumerate(zip(labels, items.features, strict=True)):
        read = read_labels(labels_of_set, f"{name}[{i}]", mixed=True)
        if len(read.codes) != len(features):
            raise ValueError(
                f"{name}[{i}] must have shape ({len(features)},), one value per item of sets[{i}], "
                f"got {read.codes.shape}"
            )
        labels_of_sets.append(read)
    return labels_of_sets


def _check_both_kinds_of_pairs(clusters: list[Codes]) -> None:
    has_same = has_different = False
    for codes in clusters:
        sizes = np.bincount(codes[codes >= 0])
        has_same |= bool(sizes.max(initial=0) > 1)
        has_different |= len(sizes) > 1
    if not (has_same and has_different):
        missing = "two items of different clusters" if has_same else "two items of one cluster"
        raise ValueError(
            "clusters must hold sets with two items of one cluster and sets with two items of "
            f"different clusters, got no {missing}"
        )


def _check_one_category_per_cluster(
    clusters: Codes, categories: Codes, names: list[Any], i: int
) -> None:
    known = np.flatnonzero((clusters >= 0) & (categories >= 0))
    first_of_cluster = np.full(clusters.max(initial=-1) + 1, -1)
    first_of_cluster[clusters[known[::-1]]] = known[::-1]
    firsts = first_of_cluster[clusters[known]]
    wrong = np.flatnonzero(categories[firsts] != categories[known])
    if len(wrong):
        a, b = firsts[wrong[0]], known[wrong[0]]
        raise ValueError(
            f"categories[{i}] must name one category for all items of a cluster, got "
            f"{names[categories[a]]!r} for item {a} and {names[categories[b]]!r} for item {b}, "
            f"which are in one cluster in clusters[{i}]"
        )
