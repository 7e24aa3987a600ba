"""Sets of items: what is given of them, and clusters and categories from what models say of pairs.

Pairs of a set of n items are in the order of ``numpy.triu_indices(n, 1)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import squareform
from scipy.special import logit
from sklearn.base import BaseEstimator
from sklearn.metrics import adjusted_rand_score
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from labelquorum._shared.arguments import (
    as_choice,
    as_codes,
    as_n_threads,
    as_points,
    as_positive,
    check_finite,
)
from labelquorum._shared.labels import to_labels
from labelquorum._shared.progress import progress
from labelquorum.graphs.correlation import correlation_clustering
from labelquorum.sets.metrics import MEASURES, set_f1

Floats = NDArray[np.floating[Any]]
Codes = NDArray[np.int32]
Rows = NDArray[np.intp]

_N_PARTS = 5  # of which each model does not see one
_FEW_PAIRS = 20_000_000  # of held-out sets, of which probabilities are kept to tune on
_PAIRS_PER_BLOCK = 1 << 16
_SURE = 1e-6  # how near probabilities are taken to 0 and 1
_STEPS = (2.0, 1.0, 0.5, 0.25)  # of offsets tried: on all of the range, then around the best
_RANGE = 6.0
_N_OFFSETS = 2 * _RANGE / _STEPS[0] + 2 * len(_STEPS) - 1

METRICS = (*MEASURES, "conll", "ari")
_SCORES: dict[str, Callable[[Codes, Codes], float]] = {
    name: partial(set_f1, measure=name) for name in METRICS[:-1]
} | {"ari": adjusted_rand_score}


class SetLabels(NamedTuple):
    """What was found in sets: for each of them an array, or one array for all, as they were given.

    Clusters are numbered from 0 within each set.
    """

    categories: Any
    clusters: Any


class Items(NamedTuple):
    """Items and pairs of sets; `rows` are each set's, where all came in one array."""

    features: list[Floats]
    pairs: list[Floats] | None
    rows: list[Rows] | None

    def __len__(self) -> int:
        return len(self.features)

    def of(self, i: int) -> tuple[Floats, Floats | None]:
        """Features of the items and of the pairs of a set."""
        return self.features[i], None if self.pairs is None else self.pairs[i]

    def as_given(self, of_sets: list[NDArray[Any]]) -> Any:
        """Labels of each set in the form in which the sets came."""
        if self.rows is None:
            return of_sets
        together = np.empty(sum(map(len, self.rows)), dtype=of_sets[0].dtype)
        for rows, labels in zip(self.rows, of_sets, strict=True):
            together[rows] = labels
        return together


class Examples(NamedTuple):
    """Sets with what is known of them: codes, -1 where nothing is."""

    items: Items
    clusters: list[Codes]
    categories: list[Codes] | None
    names: NDArray[Any]


def as_items(sets: Any, groups: Any, pairs: Any) -> Items:
    """The sets, checked."""
    rows = None
    if groups is not None:
        together = as_points(sets, "sets")
        check_finite(together, "sets")
        rows = _rows_of(groups, len(together))
        features = [together[of] for of in rows]
    else:
        if np.ndim(sets) == 2 if isinstance(sets, np.ndarray) else hasattr(sets, "columns"):
            raise ValueError(
                f"sets is one array of shape {np.shape(sets)}; wanted a list of arrays, one for "
                "each set, or groups with it: the set of each row"
            )
        if not len(sets):
            raise ValueError("sets is empty; wanted at least one set")
        features = [as_points(sets[0], "sets[0]")]
        for i in range(1, len(sets)):
            n_features = features[0].shape[1]
            features.append(as_points(sets[i], f"sets[{i}]", n_features, "sets[0] has"))
        for i, of_set in enumerate(features):
            check_finite(of_set, f"sets[{i}]")
    return Items(features, None if pairs is None else _as_pairs(pairs, features), rows)


def _rows_of(groups: Any, n: int) -> list[Rows]:
    """The rows of each set, sets in the order of their names."""
    codes = as_codes(groups, "groups")[1]
    if len(codes) != n:
        raise ValueError(f"groups holds {len(codes)} rows, sets {n}; wanted as many")
    missing = np.flatnonzero(codes < 0)
    if len(missing):
        raise ValueError(f"groups holds no set for row {missing[0]}; wanted one for each")
    order = np.argsort(codes, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)


def _as_pairs(pairs: Any, features: list[Floats]) -> list[Floats]:
    if len(pairs) != len(features):
        raise ValueError(f"pairs holds {len(pairs)} sets, sets {len(features)}; wanted as many")
    widths = {np.shape(of)[1] for of in pairs if np.ndim(of) == 2 and np.shape(of)[1]}
    n_columns = min(widths, default=0)
    found: list[Floats] = []
    for i, (of_set, items) in enumerate(zip(pairs, features, strict=True)):
        name, n_pairs = f"pairs[{i}]", n_pairs_of(len(items))
        if not n_pairs:
            found.append(np.empty((0, n_columns), dtype=np.float32))
            continue
        points = as_points(of_set, name, n_columns or None, "others have")
        check_finite(points, name)
        if len(points) != n_pairs:
            raise ValueError(
                f"{name} holds {len(points)} pairs, sets[{i}] {len(items)} items; wanted the "
                f"{n_pairs} pairs of numpy.triu_indices({len(items)}, 1)"
            )
        found.append(points)
    return found


def as_examples(sets: Any, clusters: Any, categories: Any, groups: Any, pairs: Any) -> Examples:
    """What `fit` was given, checked."""
    items = as_items(sets, groups, pairs)
    if len(items) < 2:
        raise ValueError(
            "sets holds 1 set; wanted at least 2, since the offset is tuned on sets held out"
        )
    of_sets = _split(clusters, items, "clusters")
    codes = [as_codes(labels, f"clusters[{i}]")[1] for i, labels in enumerate(of_sets)]
    is_same = np.zeros(2, dtype=bool)
    for labels in codes:
        known = np.bincount(labels[labels >= 0])
        is_same |= [len(known) > 1, known.max(initial=0) > 1]
    if not is_same.all():
        what = "items of one cluster" if is_same[0] else "items of two clusters of one set"
        raise ValueError(f"clusters holds no two {what}; wanted examples of both kinds of pairs")
    if categories is None:
        return Examples(items, codes, None, np.empty(0))
    kinds = _split(categories, items, "categories")
    names, joined = as_codes(_joined(kinds), "categories")
    if not names:
        raise ValueError("categories holds none: all are -1 or None; wanted categories=None")
    ends = np.cumsum([len(labels) for labels in kinds])[:-1]
    of_items = np.split(joined, ends)
    for i, (labels, kind) in enumerate(zip(codes, of_items, strict=True)):
        _check_one_category(labels, kind, names, i)
    return Examples(items, codes, of_items, names_of(names))


def names_of(names: list[Any]) -> NDArray[Any]:
    """An array of numbers, of strings, or, of both, of objects."""
    is_mixed = len({isinstance(name, str) for name in names}) > 1
    return np.array(names, dtype=object if is_mixed else None)


def _split(labels: Any, items: Items, name: str) -> list[NDArray[Any]]:
    """The labels of each set."""
    if items.rows is not None:
        n = sum(map(len, items.rows))
        if np.ndim(labels) != 1 or len(labels) != n:
            raise ValueError(
                f"{name} has shape {np.shape(labels)}; wanted one for each of the {n} rows"
            )
        together = _joined([labels])
        return [together[rows] for rows in items.rows]
    if len(labels) != len(items):
        raise ValueError(f"{name} holds {len(labels)} sets, sets {len(items)}; wanted as many")
    for i, (of_set, features) in enumerate(zip(labels, items.features, strict=True)):
        if np.ndim(of_set) != 1 or len(of_set) != len(features):
            raise ValueError(
                f"{name}[{i}] has shape {np.shape(of_set)}, sets[{i}] holds {len(features)} items; "
                "wanted one for each"
            )
    return [_joined([of_set]) for of_set in labels]


def _joined(labels: list[Any]) -> NDArray[Any]:
    """One array, in which names stay what they are beside None and numbers."""
    arrays = [np.asarray(of) for of in labels]
    if all(array.dtype.kind in "iu" for array in arrays):
        return np.concatenate(arrays)
    return np.concatenate([np.array([*of], dtype=object) for of in labels])


def _check_one_category(clusters: Codes, kinds: Codes, names: list[Any], i: int) -> None:
    known = np.flatnonzero((clusters >= 0) & (kinds >= 0))
    first = np.full(clusters.max(initial=-1) + 1, -1)
    first[clusters[known[::-1]]] = known[::-1]
    wrong = known[kinds[first[clusters[known]]] != kinds[known]]
    if len(wrong):
        a, b = first[clusters[wrong[0]]], wrong[0]
        raise ValueError(
            f"clusters[{i}] has items {a} and {b} in one cluster, and categories[{i}] calls them "
            f"{names[kinds[a]]!r} and {names[kinds[b]]!r}; wanted one category in a cluster"
        )


def n_pairs_of(n: int) -> int:
    """Pairs of so many items."""
    return n * (n - 1) // 2


def pair_blocks(n: int, n_pairs: int) -> Iterator[tuple[slice, Rows, Rows]]:
    """All pairs of n items, about n_pairs at a time: their places, first and second items."""
    begin = row = 0
    while row < n - 1:
        last = row + 1
        size = n - 1 - row
        while last < n - 1 and size + n - 1 - last <= n_pairs:
            size += n - 1 - last
            last += 1
        lengths = np.arange(n - 1 - row, n - 1 - last, -1)
        first = np.repeat(np.arange(row, last), lengths)
        starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
        second = np.arange(size) - starts + first + 1
        yield slice(begin, begin + size), first, second
        begin, row = begin + size, last


def places_of(first: Rows, second: Rows, n: int) -> Rows:
    """Where pairs are among all of n items, the first item before the second."""
    places: Rows = first * (2 * n - first - 1) // 2 + second - first - 1
    return places


class DrawnPairs(NamedTuple):
    """Pairs of a set to learn from; the weights of each kind sum to the same."""

    first: Rows
    second: Rows
    same: NDArray[np.bool_]
    weights: NDArray[np.float64]


def draw_pairs(clusters: Codes, n_pairs: int, rng: np.random.Generator) -> DrawnPairs:
    """Up to so many pairs of items with known clusters, half of them of one cluster if possible."""
    known = np.flatnonzero(clusters >= 0)
    first, second = (known[of] for of in np.triu_indices(len(known), 1))
    same = clusters[first] == clusters[second]
    kinds = [np.flatnonzero(same), np.flatnonzero(~same)]
    n_same = min(len(kinds[0]), max(n_pairs // 2, n_pairs - len(kinds[1])))
    sizes = [n_same, min(len(kinds[1]), n_pairs - n_same)]
    drawn = [rng.choice(of, n, replace=False) for of, n in zip(kinds, sizes, strict=True)]
    chosen = np.concatenate(drawn)
    n_kinds = max(1, sum(n > 0 for n in sizes))
    weights = np.concatenate([np.full(n, 1 / (n_kinds * max(1, n))) for n in sizes])
    return DrawnPairs(first[chosen], second[chosen], same[chosen], weights)


class SetModel(Protocol):
    """What one of an estimator's models says of a set."""

    def predict(self, features: Floats, pairs: Floats | None) -> tuple[Floats, Floats | None]:
        """P(same cluster) of all pairs, and P(category), (n_items, n_categories), if any."""


class BaseSetClusterer(BaseEstimator):
    """What the two estimators share: input, models that each leave sets out, offset, decoding.

    A subclass has the parameters n_models, metric, n_jobs, random_state and verbose, and _learn.
    """

    def fit(
        self,
        sets: Any,
        clusters: Any,
        categories: Any = None,
        groups: Any = None,
        *,
        pairs: Any = None,
    ) -> Self:
        """Learn from sets whose clusters are known.

        Parameters
        ----------
        sets : list of arrays of shape (n_items, n_features), or one array with `groups`
            The features of the items of each set, which may hold any number of them.
        clusters : list of arrays of shape (n_items,), or one array of shape (n_rows,)
            The cluster of each item: numbers or names, which mean something within a set only. -1
            or None where it is not known.
        categories : list of arrays of shape (n_items,), or one array of shape (n_rows,), optional
            The category of each item: numbers or names, the same ones in all sets. -1 or None
            where it is not known. The items of a cluster are of one category.
        groups : array of shape (n_rows,), optional
            The set of each row, where `sets` is one array; rows of a set need not be neighbours.
        pairs : list of arrays of shape (n_pairs, n_pair_features), optional
            What is known of pairs of items beside what their features say: whether two names are
            the same, how far they are apart. In each set the pairs of
            ``numpy.triu_indices(n_items, 1)``, which SciPy calls condensed; with `groups`, the sets
            in the order of their names. What has a direction has to be told by the order of the
            items.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If an argument or parameter is of the wrong type, shape or range; if there are fewer
            than 2 sets, no pair of items of one cluster, or none of two; if a cluster holds two
            categories.
        """
        self._check_parameters()
        examples = as_examples(sets, clusters, categories, groups, pairs)
        n_sets = len(examples.items)
        random = check_random_state(self.random_state)
        n_parts = min(n_sets, max(_N_PARTS, self.n_models))
        held_out = np.array_split(random.permutation(n_sets), n_parts)[: self.n_models]
        seeds = [int(seed) for seed in random.randint(2**31, size=len(held_out))]
        self.held_out_ = held_out
        self.n_features_in_ = examples.items.features[0].shape[1]
        first = examples.items.of(0)[1]
        self.n_pair_features_ = 0 if first is None else first.shape[1]
        self.categories_ = examples.names
        with progress(self.verbose) as show:
            self._models = self._learn(examples, held_out, seeds, show)
            self._tune(examples, held_out, show)
        return self

    def predict(self, sets: Any, groups: Any = None, *, pairs: Any = None) -> SetLabels:
        """Say of which category items are, and find the clusters of each set.

        Parameters
        ----------
        sets, groups, pairs
            As for `fit`.

        Returns
        -------
        SetLabels
            `categories` (None without categories in `fit`) and `clusters`: a list with an array of
            shape (n_items,) for each set; with `groups`, one array of shape (n_rows,). Clusters are
            numbered from 0 within each set, in the order of their first items, and each is of one
            category.
        """
        items = self._checked(sets, groups, pairs)
        kinds, clusters = [], []
        with progress(self.verbose) as show:
            for i in range(len(items)):
                same, shares = self._predicted(*items.of(i))
                found = decode(same, self.offset_, len(items.features[i]), self.n_jobs)
                clusters.append(found)
                if shares is not None:
                    kinds.append(to_labels(self.categories_, category_of_each(found, shares)))
                if show is not None:
                    show("clusters", (i + 1) / len(items))
        categories = items.as_given(kinds) if kinds else None
        return SetLabels(categories, items.as_given(clusters))

    def predict_affinity(self, sets: Any, groups: Any = None, *, pairs: Any = None) -> list[Floats]:
        """Estimate how probable it is that two items are of one cluster.

        Parameters
        ----------
        sets, groups, pairs
            As for `fit`.

        Returns
        -------
        list of arrays of shape (n_items, n_items)
            Of each set, symmetric, 1 on the diagonal; with `groups`, the sets in the order of their
            names. Pairs of one cluster and pairs of two weigh the same in what the models learn:
            the probabilities are those where there are as many of these as of those.
        """
        items = self._checked(sets, groups, pairs)
        found: list[Floats] = []
        for i in range(len(items)):
            matrix = squareform(self._predicted(*items.of(i))[0])
            np.fill_diagonal(matrix, 1)
            found.append(matrix)
        return found

    def _learn(
        self,
        examples: Examples,
        held_out: list[Rows],
        seeds: list[int],
        show: Callable[..., None] | None,
    ) -> list[SetModel]:
        """A model for each part held out, which has seen all sets but those."""
        raise NotImplementedError

    def _check_parameters(self) -> None:
        as_positive(self.n_models, "n_models")
        as_choice(self.metric, "metric", METRICS)
        as_n_threads(self.n_jobs)

    def _checked(self, sets: Any, groups: Any, pairs: Any) -> Items:
        check_is_fitted(self)
        items = as_items(sets, groups, pairs)
        n_features = items.features[0].shape[1]
        if n_features != self.n_features_in_:
            raise ValueError(
                f"sets has {n_features} features; wanted {self.n_features_in_}, as in fit"
            )
        n_pair_features = 0 if items.pairs is None else items.pairs[0].shape[1]
        if n_pair_features != self.n_pair_features_:
            raise ValueError(
                f"pairs has {n_pair_features} features; wanted {self.n_pair_features_}, as in fit"
            )
        return items

    def _predicted(self, features: Floats, pairs: Floats | None) -> tuple[Floats, Floats | None]:
        """The mean of what all models say."""
        said = [model.predict(features, pairs) for model in self._models]
        same: Floats = np.mean([self._weighted(*of) for of in said], axis=0)
        shares = [of for _, of in said if of is not None]
        return same, np.mean(shares, axis=0) if shares else None

    def _weighted(self, same: Floats, shares: Floats | None) -> Floats:
        """P(same cluster), with that of one category where that helps."""
        if shares is None or not self.category_weight_:
            return same
        return same * of_one_category(shares)

    def _tune(
        self, examples: Examples, held_out: list[Rows], show: Callable[..., None] | None
    ) -> None:
        """Find with what offset sets that a model has not seen are clustered best."""
        seen: list[tuple[dict[int, Floats], Codes]] = []
        n_pairs = 0
        for model, part in zip(self._models, held_out, strict=True):
            for i in part:
                clusters = examples.clusters[i]
                n_pairs += n_pairs_of(len(clusters))
                if (clusters >= 0).any() and (not seen or n_pairs <= _FEW_PAIRS):
                    same, shares = model.predict(*examples.items.of(i))
                    of_weights = {0: same}
                    if shares is not None:
                        of_weights = {1: same * of_one_category(shares), 0: same}
                    seen.append((of_weights, clusters))
        if not seen:
            raise ValueError("clusters holds too few sets with known clusters; wanted more")
        scores: dict[tuple[int, float], float] = {}
        weights = [*seen[0][0]]

        def score(weight: int, offset: float) -> float:
            if (weight, offset) not in scores:
                total = 0.0
                for of_weights, clusters in seen:
                    found = decode(of_weights[weight], offset, len(clusters), self.n_jobs)
                    known = clusters >= 0
                    total += _SCORES[self.metric](clusters[known], found[known])
                scores[weight, offset] = total / len(seen)
                if show is not None:
                    show("offset", min(1.0, len(scores) / len(weights) / _N_OFFSETS))
            return scores[weight, offset]

        for weight in weights:
            tried = np.arange(-_RANGE, _RANGE + 1, _STEPS[0]).tolist()
            for step in (*_STEPS[1:], 0.0):
                best = max(tried, key=lambda offset: (score(weight, offset), -abs(offset)))
                tried = [best - step, best, best + step]
        (self.category_weight_, self.offset_), self.held_out_score_ = max(
            scores.items(), key=lambda of: (of[1], of[0][0], -abs(of[0][1]))
        )


def of_one_category(shares: Floats) -> Floats:
    """The probability that both items of each pair are of one category."""
    n = len(shares)
    found = np.empty(n_pairs_of(n))
    for places, first, second in pair_blocks(n, _PAIRS_PER_BLOCK):
        found[places] = np.einsum("ij,ij->i", shares[first], shares[second])
    return found


def decode(same: Floats, offset: float, n: int, n_jobs: int | None) -> Codes:
    """The clusters of n items from P(same cluster) of their pairs."""
    if n == 1:
        return np.zeros(1, dtype=np.int32)
    weights = logit(np.clip(same, _SURE, 1 - _SURE)) - offset
    found: Codes = correlation_clustering(squareform(weights), n_jobs=n_jobs)
    return found


def category_of_each(clusters: Codes, shares: Floats) -> Rows:
    """The category of each item: that of its cluster, most probable by all its items."""
    logs = np.log(np.maximum(shares, np.finfo(np.float32).tiny))
    sums = np.zeros((clusters.max() + 1, shares.shape[1]))
    np.add.at(sums, clusters, logs)
    kinds: Rows = sums.argmax(axis=1)[clusters]
    return kinds
