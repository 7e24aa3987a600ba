"""Clustering of sets, learned from examples, by any classifier of pairs of items."""

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
from labelquorum.sets.base import (
    BaseSetClusterer,
    DrawnPairs,
    Examples,
    Floats,
    Rows,
    SetModel,
    draw_pairs,
    pair_blocks,
    places_of,
)

_VALUES_PER_BLOCK = 1 << 24


class PairwiseSetClusterer(BaseSetClusterer):
    """Learns from sets of items with known clusters how to cluster the items of other sets.

    It looks at pairs: a classifier says how probable it is that two items are of one cluster,
    another of which category each item is, and correlation clustering makes clusters of that. The
    items beside a pair do not matter to what is said of it; where they should, see `SetClusterer`.

    Parameters
    ----------
    classifier : scikit-learn classifier with predict_proba, optional
        Of pairs; None for `HistGradientBoostingClassifier`.
    category_classifier : scikit-learn classifier with predict_proba, optional
        Of items; None for `LogisticRegression` of standardised features.
    n_models : int, default=3
        Classifiers, of which each does not see a fifth of the sets (or, of more than five, as many
        parts as there are classifiers); on those the offset is tuned. Their probabilities are
        averaged.
    metric : str, default="b_cubed"
        What the offset is tuned for: "ari", or a measure of `set_scores` ("b_cubed", "ceaf_e",
        "ceaf_m", "conll", "lea", "muc" or "pairwise").
    max_pairs : int, default=100000
        Pairs that a classifier learns from, at most (or a few of each set): as many of each set,
        and of these half of one cluster, where there are so many.
    n_jobs : int, optional
        Number of threads of the correlation clustering; -1 for all cores available.
    random_state : int, RandomState instance or None, default=None
        Decides which sets and pairs are seen, and the classifiers where they leave that open.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    categories_ : array of shape (n_categories,)
        The categories.
    offset_ : float
        Log-odds above which two items rather are of one cluster.
    category_weight_ : int
        1 where P(same cluster) is multiplied by the probability that both items are of one
        category, 0 where sets held out are clustered better without.
    held_out_ : list of arrays
        The numbers of the sets that each model has not seen.
    held_out_score_ : float
        The mean `metric` of the sets held out, with these two, which were chosen among a few by
        this score; it therefore is a little too good.
    n_features_in_, n_pair_features_ : int
        Features of items and of pairs.

    See Also
    --------
    SetClusterer : looks at all items of a set at once.
    correlation_clustering : clusters from log-odds.
    evaluate_sets : how good clusters are.

    Notes
    -----
    Features of a pair (a, b) are ``|a - b|``, ``a * b``, the cosine and the Euclidean distance of
    their items' features; or, where `pairs` are given, those alone. All are the same for (b, a).
    P(same) is multiplied by the probability that both items are of one category (unless that does
    harm: see `category_weight_`); a cluster has the category that is most probable by all of its
    items.

    Pairs decided by a classifier and put together by correlation clustering: Finley and Joachims,
    "Supervised clustering with support vector machines" (ICML 2005).

    Memory: O(max_pairs * n_features), and O(n_items ** 2) for one set after the other.

    Examples
    --------
    >>> import numpy as np
    >>> import labelquorum as lq
    >>> rng = np.random.default_rng(0)
    >>> clusters = [rng.integers(4, size=12) for _ in range(30)]
    >>> sets = [rng.normal(size=(4, 2))[of] + rng.normal(0, 0.05, (12, 2)) for of in clusters]
    >>> model = lq.PairwiseSetClusterer(n_models=1, random_state=0)
    >>> found = model.fit(sets[:20], clusters[:20]).predict(sets[20:]).clusters
    >>> bool(lq.evaluate_sets(clusters[20:], found).scores["b_cubed"].f1 > 0.9)
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

    def _check_parameters(self) -> None:
        super()._check_parameters()
        as_positive(self.max_pairs, "max_pairs")
        for name in ("classifier", "category_classifier"):
            given = getattr(self, name)
            if given is not None and not hasattr(given, "predict_proba"):
                raise TypeError(
                    f"{name} is {given!r}, which has no predict_proba; wanted a classifier that "
                    "has (CalibratedClassifierCV makes one of any)"
                )

    def _learn(
        self,
        examples: Examples,
        held_out: list[Rows],
        seeds: list[int],
        show: Callable[..., None] | None,
    ) -> list[SetModel]:
        models: list[SetModel] = []
        for i, (part, seed) in enumerate(zip(held_out, seeds, strict=True)):
            chosen = np.setdiff1d(np.arange(len(examples.items)), part)
            models.append(
                _Classifiers(
                    self._of_pairs(examples, chosen, seed), *self._of_items(examples, chosen, seed)
                )
            )
            if show is not None:
                show("classifiers", (i + 1) / len(seeds))
        return models

    def _of_pairs(self, examples: Examples, chosen: Rows, seed: int) -> Any:
        rng = np.random.default_rng(seed)
        n_pairs = max(2, self.max_pairs // len(chosen))
        features, drawn = [], []
        for i in chosen:
            found = draw_pairs(examples.clusters[i], n_pairs, rng)
            if len(found.first):
                features.append(_drawn_features(*examples.items.of(i), found))
                drawn.append(found)
        same = np.concatenate([of.same for of in drawn]) if drawn else np.empty(0, dtype=bool)
        if len(np.unique(same)) < 2:
            raise ValueError(
                f"clusters of {len(chosen)} of the sets hold pairs of one kind only, since others "
                "are held out; wanted more sets"
            )
        weights = np.concatenate([of.weights for of in drawn])
        classifier = self.classifier
        if classifier is None:
            classifier = HistGradientBoostingClassifier()
        classifier = _seeded(classifier, seed)
        X = np.concatenate(features)
        if has_fit_parameter(classifier, "sample_weight"):
            return classifier.fit(X, same, sample_weight=weights * len(weights) / weights.sum())
        return classifier.fit(X, same)

    def _of_items(self, examples: Examples, chosen: Rows, seed: int) -> tuple[Any, int]:
        if examples.categories is None:
            return None, 0
        kinds = np.concatenate([examples.categories[i] for i in chosen])
        features = np.concatenate([examples.items.features[i] for i in chosen])[kinds >= 0]
        n_categories = len(examples.names)
        found = np.unique(kinds[kinds >= 0])
        if len(found) < 2:
            return (int(found[0]) if len(found) else 0), n_categories
        classifier = self.category_classifier
        if classifier is None:
            classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        return _seeded(classifier, seed).fit(features, kinds[kinds >= 0]), n_categories


class _Classifiers(NamedTuple):
    """Of pairs, and of items: a classifier, or the only category; None without categories."""

    of_pairs: Any
    of_items: Any
    n_categories: int

    def predict(self, features: Floats, pairs: Floats | None) -> tuple[Floats, Floats | None]:
        n = len(features)
        same = np.empty(n * (n - 1) // 2)
        n_columns = 2 * features.shape[1] + 2 if pairs is None else max(1, pairs.shape[1])
        for places, first, second in pair_blocks(n, _VALUES_PER_BLOCK // n_columns):
            if pairs is None:
                block = pair_features(features[first], features[second])
            else:
                block = pairs[places]
            same[places] = self.of_pairs.predict_proba(block)[:, 1]
        if self.of_items is None:
            return same, None
        shares = np.zeros((n, self.n_categories))
        if isinstance(self.of_items, int):
            shares[:, self.of_items] = 1
        else:
            shares[:, self.of_items.classes_] = self.of_items.predict_proba(features)
        return same, shares


def pair_features(a: Floats, b: Floats) -> Floats:
    """What pairs of rows have in common, the same for (b, a)."""
    apart, product = np.abs(a - b), a * b
    distance = np.sqrt(np.einsum("ij,ij->i", apart, apart))
    lengths = np.sqrt(np.einsum("ij,ij->i", a, a) * np.einsum("ij,ij->i", b, b))
    cosine = product.sum(axis=1) / np.where(lengths > 0, lengths, 1)
    return np.column_stack([apart, product, cosine, distance])


def _drawn_features(features: Floats, pairs: Floats | None, drawn: DrawnPairs) -> Floats:
    if pairs is None:
        return pair_features(features[drawn.first], features[drawn.second])
    return pairs[places_of(drawn.first, drawn.second, len(features))]


def _seeded(classifier: Any, seed: int) -> Any:
    """A copy, with the seed where it has none."""
    made = clone(classifier)
    if made.get_params().get("random_state", 0) is None:
        made.set_params(random_state=seed)
    return made
