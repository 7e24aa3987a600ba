"""The base class of the estimators of clusters within sets.

A model predicts the probability that two items of a set are of one cluster and, if `fit` got
categories, the categories of the items. An estimator trains several models and holds some sets out
from each. It averages their probabilities, subtracts an offset from the log-odds, and lets
correlation clustering find the clusters. The offset is the one with which the held-out sets are
clustered best.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from scipy.spatial.distance import squareform
from scipy.special import logit
from sklearn.base import BaseEstimator
from sklearn.metrics import adjusted_rand_score
from sklearn.utils import check_random_state
from sklearn.utils.metadata_routing import UNUSED
from sklearn.utils.validation import check_is_fitted

from labelquorum._shared.arguments import as_choice, as_n_threads, as_positive
from labelquorum._shared.labels import to_labels
from labelquorum._shared.progress import progress
from labelquorum.graphs.correlation import correlation_clustering
from labelquorum.sets.examples import Examples, Items, as_examples, as_items, clusters_recur
from labelquorum.sets.metrics import MEASURES, set_f1
from labelquorum.sets.pairs import Codes, Floats, Indices, n_pairs_of, pair_blocks

_N_PARTS = 5  # of the sets, at least; one of them is held out from each model
_MAX_TUNING_PAIRS = 20_000_000  # of held-out sets; their probabilities are kept in memory
_PAIRS_PER_BLOCK = 1 << 16
_MIN_PROBABILITY = 1e-6  # probabilities are clipped to this distance from 0 and 1
_OFFSET_RANGE = 6.0
# Offsets this far apart are tried: first over the whole range, then around the best one.
_OFFSET_STEPS = (2.0, 1.0, 0.5, 0.25)
_N_OFFSETS = 2 * _OFFSET_RANGE / _OFFSET_STEPS[0] + 2 * len(_OFFSET_STEPS) - 1

METRICS = (*MEASURES, "conll", "ari")
_SCORES: dict[str, Callable[[Codes, Codes], float]] = {
    name: partial(set_f1, measure=name) for name in METRICS[:-1]
} | {"ari": adjusted_rand_score}


class SetLabels(NamedTuple):
    """The predictions for sets: a list with an array for each, or one array for all, as they came.

    Clusters are numbered from 0 within each set.
    """

    categories: Any
    clusters: Any


Views = dict[int, Floats]


class SetModel(Protocol):
    """One of an estimator's models."""

    def predict(self, features: Floats, pairs: Floats | None) -> tuple[Views, Floats | None]:
        """Return the predictions for a set.

        Returns
        -------
        same : dict of arrays of shape (n_pairs,)
            P(same cluster) of all pairs, by item weight: 1 if what the model learned about items
            counts, 0 if not. All sets have the same item weights.
        shares : array of shape (n_items, n_categories) or None
            P(category) of the items; None without categories.
        """


class BaseSetClusterer(BaseEstimator):
    """What the two estimators share: arguments, held-out sets, tuning, predictions.

    A subclass has the parameters n_models, metric, n_jobs, random_state and verbose, and defines
    `_learn`.
    """

    # scikit-learn passes these two as X and y. Without this it takes them for metadata to route.
    __metadata_request__fit = {"sets": UNUSED, "clusters": UNUSED}  # noqa: RUF012
    __metadata_request__predict = {"sets": UNUSED}  # noqa: RUF012

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
            The features of the items of each set. Sets may have any size.
        clusters : list of arrays of shape (n_items,), or one array of shape (n_rows,)
            The cluster of each item: a number or a name, which means something only within its set.
            -1 or None if it is unknown.
        categories : list of arrays of shape (n_items,), or one array of shape (n_rows,), optional
            The category of each item: a number or a name, which means the same in all sets. -1 or
            None if it is unknown. All items of a cluster are of one category.
        groups : array of shape (n_rows,), optional
            The set of each row, if `sets` is one array. Rows of a set need not be adjacent.
        pairs : list of arrays of shape (n_pairs, n_pair_features), optional
            Features of pairs of items, for example whether two names are equal or how far apart two
            items are. The rows of each array are the pairs in the order of
            ``numpy.triu_indices(n_items, 1)``, which SciPy calls condensed. With `groups`, the sets
            are in the order of their names. Features that have a direction must refer to this
            order of the items.

        Returns
        -------
        self

        Raises
        ------
        TypeError, ValueError
            If an argument or parameter has the wrong type, shape or range. If there are fewer than
            2 sets, no two items of one cluster, or no two items of different clusters in one set.
            If a cluster has items of two categories.
        """
        self._check_parameters()
        examples = as_examples(sets, clusters, categories, groups, pairs)
        n_sets = examples.items.n_sets
        random = check_random_state(self.random_state)
        n_parts = min(n_sets, max(_N_PARTS, self.n_models))
        held_out = np.array_split(random.permutation(n_sets), n_parts)[: self.n_models]
        seeds = [int(seed) for seed in random.randint(2**31, size=len(held_out))]
        self.held_out_ = held_out
        features, pair_features = examples.items.of_set(0)
        self.n_features_in_ = features.shape[1]
        self.n_pair_features_ = 0 if pair_features is None else pair_features.shape[1]
        self.categories_ = examples.names
        with progress(self.verbose) as show:
            self._models = self._learn(examples, held_out, seeds, show)
            held_out_sets = _predict_held_out(self._models, examples, held_out)
            tuning = _Tuning(held_out_sets, _SCORES[self.metric], self.n_jobs, show)
            weights, self.offset_, self.held_out_score_ = tuning.best()
            self.item_weight_, self.category_weight_ = weights
        return self

    def predict(self, sets: Any, groups: Any = None, *, pairs: Any = None) -> SetLabels:
        """Predict the category of each item and the clusters of each set.

        Parameters
        ----------
        sets, groups, pairs
            As for `fit`.

        Returns
        -------
        SetLabels
            `categories` (None if `fit` got none) and `clusters`: for each a list with an array of
            shape (n_items,) per set, or with `groups` one array of shape (n_rows,). Clusters are
            numbered from 0 within each set, in the order of their first items. All items of a
            cluster get the same category.
        """
        items = self._checked(sets, groups, pairs)
        categories, clusters = [], []
        with progress(self.verbose) as show:
            for i in range(items.n_sets):
                same, shares = self._predict_set(*items.of_set(i))
                labels = decode(same, self.offset_, len(items.features[i]), self.n_jobs)
                clusters.append(labels)
                if shares is not None:
                    codes = category_of_each(labels, shares)
                    categories.append(to_labels(self.categories_, codes))
                if show is not None:
                    show("clusters", (i + 1) / items.n_sets)
        return SetLabels(
            items.as_given(categories) if categories else None, items.as_given(clusters)
        )

    def predict_affinity(self, sets: Any, groups: Any = None, *, pairs: Any = None) -> list[Floats]:
        """Estimate the probability that two items are of one cluster.

        Parameters
        ----------
        sets, groups, pairs
            As for `fit`.

        Returns
        -------
        list of arrays of shape (n_items, n_items)
            One per set, symmetric, with 1 on the diagonal; with `groups`, the sets are in the order
            of their names. The models learn from as many pairs of one cluster as of different
            clusters, so the probabilities are those for data in which both are equally frequent.
        """
        items = self._checked(sets, groups, pairs)
        matrices: list[Floats] = []
        for i in range(items.n_sets):
            matrix = squareform(self._predict_set(*items.of_set(i))[0])
            np.fill_diagonal(matrix, 1)
            matrices.append(matrix)
        return matrices

    def _learn(
        self,
        examples: Examples,
        held_out: list[Indices],
        seeds: list[int],
        show: Callable[..., None] | None,
    ) -> list[SetModel]:
        """Train a model for each part of the sets that is held out, on all other sets."""
        raise NotImplementedError

    def _check_parameters(self) -> None:
        as_positive(self.n_models, "n_models")
        as_choice(self.metric, "metric", METRICS)
        as_n_threads(self.n_jobs)

    def _checked(self, sets: Any, groups: Any, pairs: Any) -> Items:
        check_is_fitted(self)
        items = as_items(sets, groups, pairs)
        features, pair_features = items.of_set(0)
        if features.shape[1] != self.n_features_in_:
            raise ValueError(
                f"sets must have {self.n_features_in_} features, as in fit, got {features.shape[1]}"
            )
        n_pair_features = 0 if pair_features is None else pair_features.shape[1]
        if n_pair_features != self.n_pair_features_:
            raise ValueError(
                f"pairs must have {self.n_pair_features_} features, as in fit, got "
                f"{n_pair_features}"
            )
        return items

    def _predict_set(self, features: Floats, pairs: Floats | None) -> tuple[Floats, Floats | None]:
        """Return the mean predictions of all models, of P(same cluster) and P(category)."""
        same_of_models, shares_of_models = [], []
        for model in self._models:
            views, shares = model.predict(features, pairs)
            same = views[self.item_weight_]
            if shares is not None:
                shares_of_models.append(shares)
                if self.category_weight_:
                    same = same * same_category(shares)
            same_of_models.append(same)
        mean_same: Floats = np.mean(same_of_models, axis=0)
        return mean_same, np.mean(shares_of_models, axis=0) if shares_of_models else None


class _Weights(NamedTuple):
    """What counts in P(same cluster), each 1 or 0."""

    item: int
    category: int


class _HeldOutSet(NamedTuple):
    """A set, and what a model that has not seen it predicts."""

    same: dict[_Weights, Floats]  # P(same cluster) of its pairs
    clusters: Codes  # -1 if unknown


def _predict_held_out(
    models: list[SetModel], examples: Examples, held_out: list[Indices]
) -> list[_HeldOutSet]:
    """Let each model predict the sets held out from it, as many as fit into memory."""
    predicted: list[_HeldOutSet] = []
    n_pairs = 0
    # Sets held out then hold no clusters that a model has not seen. They cannot show whether what
    # it learned about items is true of others, so only how alike items are may count.
    is_known = clusters_recur(examples)
    for model, sets in zip(models, held_out, strict=True):
        for i in sets:
            clusters = examples.clusters[i]
            n_pairs += n_pairs_of(len(clusters))
            fits = not predicted or n_pairs <= _MAX_TUNING_PAIRS
            if fits and (clusters >= 0).any():
                views, shares = model.predict(*examples.items.of_set(i))
                if is_known:
                    views, shares = {min(views): views[min(views)]}, None
                by_weight = {_Weights(item, 0): same for item, same in views.items()}
                if shares is not None:
                    together = same_category(shares)
                    by_weight |= {_Weights(k, 1): same * together for k, same in views.items()}
                predicted.append(_HeldOutSet(by_weight, clusters))
    if not predicted:
        raise ValueError(
            "clusters must hold known clusters of held-out sets, got only -1 or None there: pass "
            "more sets with known clusters"
        )
    return predicted


class _Tuning:
    """Search for the weights and the offset that cluster held-out sets best."""

    def __init__(
        self,
        sets: list[_HeldOutSet],
        score: Callable[[Codes, Codes], float],
        n_jobs: int | None,
        show: Callable[..., None] | None,
    ) -> None:
        self._sets, self._score, self._n_jobs, self._show = sets, score, n_jobs, show
        self._weights = [*sets[0].same]
        self._scores: dict[tuple[_Weights, float], float] = {}  # by weights and offset

    def best(self) -> tuple[_Weights, float, float]:
        """Return the best weights, their offset, and their mean score."""
        for weights in self._weights:
            offsets = np.arange(-_OFFSET_RANGE, _OFFSET_RANGE + 1, _OFFSET_STEPS[0]).tolist()
            offset = self._best_of(offsets, weights)
            for step in _OFFSET_STEPS[1:]:
                offset = self._best_of([offset - step, offset, offset + step], weights)
        (weights, offset), score = max(
            self._scores.items(), key=lambda item: (item[1], *item[0][0], -abs(item[0][1]))
        )
        return weights, offset, score

    def _best_of(self, offsets: list[float], weights: _Weights) -> float:
        return max(offsets, key=lambda offset: (self._mean_score(weights, offset), -abs(offset)))

    def _mean_score(self, weights: _Weights, offset: float) -> float:
        if (weights, offset) not in self._scores:
            total = 0.0
            for same, clusters in self._sets:
                predicted = decode(same[weights], offset, len(clusters), self._n_jobs)
                is_known = clusters >= 0
                total += self._score(clusters[is_known], predicted[is_known])
            self._scores[weights, offset] = total / len(self._sets)
            if self._show is not None:
                share = len(self._scores) / len(self._weights) / _N_OFFSETS
                self._show("offset", min(1.0, share))
        return self._scores[weights, offset]


def same_category(shares: Floats) -> Floats:
    """Return the probability that both items of each pair are of one category."""
    same = np.empty(n_pairs_of(len(shares)))
    for positions, first, second in pair_blocks(len(shares), _PAIRS_PER_BLOCK):
        same[positions] = np.einsum("ij,ij->i", shares[first], shares[second])
    return same


def decode(same: Floats, offset: float, n_items: int, n_jobs: int | None) -> Codes:
    """Return the clusters of n items, given P(same cluster) of their pairs."""
    if n_items == 1:
        return np.zeros(1, dtype=np.int32)
    weights = logit(np.clip(same, _MIN_PROBABILITY, 1 - _MIN_PROBABILITY)) - offset
    clusters: Codes = correlation_clustering(squareform(weights), n_jobs=n_jobs)
    return clusters


def category_of_each(clusters: Codes, shares: Floats) -> Indices:
    """Return the category of each item: the most probable one for its cluster as a whole."""
    log_shares = np.log(np.maximum(shares, np.finfo(np.float32).tiny))
    sums = np.zeros((clusters.max() + 1, shares.shape[1]))
    np.add.at(sums, clusters, log_shares)
    categories: Indices = sums.argmax(axis=1)[clusters]
    return categories
