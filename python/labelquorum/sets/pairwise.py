"""Clusters within sets, learned from examples by any classifier of pairs of items.

One classifier predicts from the features of a pair whether its items are of one cluster, another
predicts the category of an item.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import has_fit_parameter

from labelquorum._shared.arguments import as_positive
from labelquorum._shared.saving import Saved
from labelquorum._shared.sealed import INTEGERS, check_features, check_length, check_stored
from labelquorum.sets.base import BaseSetClusterer, SetModel, Views
from labelquorum.sets.examples import Examples
from labelquorum.sets.pairs import (
    DrawnPairs,
    Floats,
    Indices,
    draw_pairs,
    n_pairs_of,
    pair_blocks,
    pair_positions,
)

_VALUES_PER_BLOCK = 1 << 24


class PairwiseSetClusterer(Saved, BaseSetClusterer):
    """Learn from sets of items with known clusters how to cluster the items of other sets.

    The estimator looks at pairs. A classifier predicts whether two items are of one cluster,
    another predicts the category of each item, and correlation clustering turns the probabilities
    into clusters. The other items of a set do not affect the prediction for a pair. If they should,
    use `SetClusterer`.

    Parameters
    ----------
    classifier : scikit-learn classifier with predict_proba, optional
        Classifier of pairs; None for `HistGradientBoostingClassifier`.
    category_classifier : scikit-learn classifier with predict_proba, optional
        Classifier of items; None for `LogisticRegression` on standardized features.
    n_models : int, default=3
        Number of classifiers, whose probabilities are averaged. A fifth of the sets is held out
        from each, another fifth each time (a smaller part if there are more than five). The offset
        is tuned on the held-out sets.
    metric : str, default="b_cubed"
        The score that the offset is tuned for: "ari", or a measure of `set_scores` ("b_cubed",
        "ceaf_e", "ceaf_m", "conll", "lea", "muc" or "pairwise").
    max_pairs : int, default=100000
        Number of pairs that a classifier learns from, at most, but at least two from each set. Each
        set contributes the same number, half of them pairs of one cluster, if it has so many.
    n_jobs : int, optional
        Number of threads of the correlation clustering; -1 for all cores available.
    random_state : int, RandomState instance or None, default=None
        Seed of the held-out sets, the pairs drawn, and the classifiers, unless they have a seed.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    categories_ : array of shape (n_categories,)
        The categories, sorted; empty if `fit` got none.
    offset_ : float
        Log-odds above which two items count as being of one cluster.
    category_weight_ : int
        1 if P(same cluster) is multiplied by the probability that both items are of one category; 0
        if held-out sets are clustered better without, or if most clusters of the sets recur in
        other sets, so that held-out sets cannot tell.
    held_out_ : list of arrays
        The indices of the sets held out from each model.
    held_out_score_ : float
        The mean `metric` of the held-out sets. Because `offset_` and `category_weight_` were chosen
        by this score, it is slightly too high.
    n_features_in_, n_pair_features_ : int
        Number of features of items and of pairs.

    See Also
    --------
    SetClusterer : Look at all items of a set at once.
    correlation_clustering : Cluster by log-odds.
    evaluate_sets : Measure how good clusters are.

    Notes
    -----
    The features of a pair (a, b) are ``|a - b|``, ``a * b``, the cosine and the Euclidean distance
    of the features of its items; or `pairs` alone, if given. All are the same for (b, a). P(same
    cluster) is multiplied by the probability that both items are of one category, unless that does
    harm (see `category_weight_`). A cluster gets the category that is most probable for all its
    items together.

    Classifying pairs and then applying correlation clustering follows Finley and Joachims,
    "Supervised clustering with support vector machines" (ICML 2005).

    Memory: O(max_pairs * n_features), plus O(n_items ** 2) for one set at a time.

    Examples
    --------
    >>> import numpy as np
    >>> import labelquorum as lq
    >>> rng = np.random.default_rng(0)
    >>> clusters = [rng.integers(4, size=12) for _ in range(30)]
    >>> sets = [rng.normal(size=(4, 2))[labels] + rng.normal(0, 0.05, (12, 2))
    ...         for labels in clusters]
    >>> model = lq.PairwiseSetClusterer(n_models=1, random_state=0)
    >>> predicted = model.fit(sets[:20], clusters[:20]).predict(sets[20:]).clusters
    >>> bool(lq.evaluate_sets(clusters[20:], predicted).scores["b_cubed"].f1 > 0.9)
    True
    """

    __module__ = "labelquorum"

    def __init__(
        self,
        classifier: Any = None,
        category_classifier: Any = None,
        *,
        n_models: int = 3,
        metric: str = "b_cubed",
        max_pairs: int = 100_000,
        n_jobs: int | None = None,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.classifier = classifier
        self.category_classifier = category_classifier
        self.n_models = n_models
        self.metric = metric
        self.max_pairs = max_pairs
        self.n_jobs = n_jobs
        self.random_state = random_state
        self.verbose = verbose

    @classmethod
    def __saved_parts__(cls) -> tuple[type, ...]:
        """Return the classes of the values that `fit` sets."""
        return (_Classifiers,)

    def __check_saved__(self) -> None:
        """Raise an error unless what was read fits together, as after `fit`."""
        super().__check_saved__()
        n_features, n_pair_features = self.n_features_in_, self.n_pair_features_
        check_stored(n_pair_features, "n_pair_features_", np.int64, (), (0, np.iinfo(int).max))
        check_length(self.categories_, "categories_", len(self.categories_))
        check_stored(self.offset_, "offset_", np.float64, ())
        check_stored(self.item_weight_, "item_weight_", np.int64, (), (0, 1))
        check_stored(self.category_weight_, "category_weight_", np.int64, (), (0, 1))
        if not self._models:
            raise ValueError("there must be a model")
        for model in self._models:
            if not isinstance(model, _Classifiers) or model.n_categories != len(self.categories_):
                raise ValueError("models must be of the same categories")
            check_features(model.of_pairs, n_pair_features or 2 * n_features + 2)
            if model.of_items is not None and not isinstance(model.of_items, int):
                check_features(model.of_items, n_features)

    def _check_parameters(self) -> None:
        super()._check_parameters()
        as_positive(self.max_pairs, "max_pairs")
        for name in ("classifier", "category_classifier"):
            classifier = getattr(self, name)
            if classifier is not None and not hasattr(classifier, "predict_proba"):
                raise TypeError(
                    f"{name} must be a classifier with predict_proba, got {classifier!r}: "
                    "CalibratedClassifierCV adds this method to a classifier"
                )

    def _learn(
        self,
        examples: Examples,
        held_out: list[Indices],
        seeds: list[int],
        show: Callable[..., None] | None,
    ) -> list[SetModel]:
        models: list[SetModel] = []
        for i, (sets_held_out, seed) in enumerate(zip(held_out, seeds, strict=True)):
            sets = np.setdiff1d(np.arange(examples.items.n_sets), sets_held_out)
            of_pairs = self._fit_pairs(examples, sets, seed)
            models.append(_Classifiers(of_pairs, *self._fit_items(examples, sets, seed)))
            if show is not None:
                show("classifiers", (i + 1) / len(seeds))
        return models

    def _fit_pairs(self, examples: Examples, sets: Indices, seed: int) -> Any:
        """Fit a classifier of pairs drawn from the sets."""
        rng = np.random.default_rng(seed)
        n_pairs = max(2, self.max_pairs // len(sets))
        features, is_same, weights = [], [np.empty(0, dtype=bool)], []
        for i in sets:
            drawn = draw_pairs(examples.clusters[i], n_pairs, rng)
            if len(drawn.first):
                features.append(_features_of(drawn, *examples.items.of_set(i)))
                is_same.append(drawn.is_same)
                weights.append(drawn.weights)
        y = np.concatenate(is_same)
        if len(np.unique(y)) < 2:
            raise ValueError(
                "clusters must hold pairs of one cluster and pairs of different clusters even if "
                f"sets are held out, got one kind in {len(sets)} of {examples.items.n_sets} sets: "
                "pass more sets"
            )
        classifier = self.classifier
        if classifier is None:
            classifier = HistGradientBoostingClassifier()
        classifier = _seeded(classifier, seed)
        X = np.concatenate(features)
        if has_fit_parameter(classifier, "sample_weight"):
            sample_weight = np.concatenate(weights)
            sample_weight = sample_weight * len(sample_weight) / sample_weight.sum()
            return classifier.fit(X, y, sample_weight=sample_weight)
        return classifier.fit(X, y)

    def _fit_items(self, examples: Examples, sets: Indices, seed: int) -> tuple[Any, int]:
        """Return the last two fields of `_Classifiers`, learned from the sets."""
        if examples.categories is None:
            return None, 0
        categories = np.concatenate([examples.categories[i] for i in sets])
        is_known = categories >= 0
        features = np.concatenate([examples.items.features[i] for i in sets])[is_known]
        n_categories = len(examples.names)
        distinct = np.unique(categories[is_known])
        if len(distinct) < 2:
            return (int(distinct[0]) if len(distinct) else 0), n_categories
        classifier = self.category_classifier
        if classifier is None:
            # Arrays between the steps, whatever scikit-learn's global settings are.
            scaler = StandardScaler().set_output(transform="default")
            classifier = make_pipeline(scaler, LogisticRegression(max_iter=1000))
        return _seeded(classifier, seed).fit(features, categories[is_known]), n_categories


class _Classifiers(NamedTuple):
    """A classifier of pairs and one of items."""

    of_pairs: Any
    of_items: Any  # None without categories; a category if the training sets have only that one
    n_categories: int

    def __check_saved__(self) -> None:
        """Raise ValueError unless all parts fit together."""
        n = self.n_categories
        check_stored(n, "n_categories", np.int64, (), (0, np.iinfo(np.int32).max))
        check_length(self.of_pairs.classes_, "classes_", 2)
        items = self.of_items
        if isinstance(items, int):
            check_stored(items, "of_items", np.int64, (), (0, n - 1))
        elif items is not None:
            check_stored(items.classes_, "classes_", INTEGERS, (None,), (0, n - 1))

    def predict(self, features: Floats, pairs: Floats | None) -> tuple[Views, Floats | None]:
        """Return P(same cluster) of all pairs of a set, and P(category) of its items."""
        same = {1: self._predict_pairs(features, pairs)}
        if self.of_items is None:
            return same, None
        shares = np.zeros((len(features), self.n_categories))
        if isinstance(self.of_items, int):
            shares[:, self.of_items] = 1
        else:
            shares[:, self.of_items.classes_] = self.of_items.predict_proba(features)
        return same, shares

    def _predict_pairs(self, features: Floats, pairs: Floats | None) -> Floats:
        same = np.empty(n_pairs_of(len(features)))
        n_columns = 2 * features.shape[1] + 2 if pairs is None else max(1, pairs.shape[1])
        blocks = pair_blocks(len(features), _VALUES_PER_BLOCK // n_columns)
        for positions, first, second in blocks:
            if pairs is None:
                block = pair_features(features[first], features[second])
            else:
                block = pairs[positions]
            same[positions] = self.of_pairs.predict_proba(block)[:, 1]
        return same


def pair_features(a: Floats, b: Floats) -> Floats:
    """Return features of the pairs of rows of a and b; they are the same for (b, a)."""
    differences, products = np.abs(a - b), a * b
    distances = np.sqrt(np.einsum("ij,ij->i", differences, differences))
    norms = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
    cosines = products.sum(axis=1) / np.where(norms > 0, norms, 1)
    return np.column_stack([differences, products, cosines, distances])


def _features_of(drawn: DrawnPairs, features: Floats, pairs: Floats | None) -> Floats:
    if pairs is None:
        return pair_features(features[drawn.first], features[drawn.second])
    return pairs[pair_positions(drawn.first, drawn.second, len(features))]


def _seeded(classifier: Any, seed: int) -> Any:
    """Return an unfitted copy, with this seed if it has none."""
    copy = clone(classifier)
    if copy.get_params().get("random_state", 0) is None:
        copy.set_params(random_state=seed)
    return copy
