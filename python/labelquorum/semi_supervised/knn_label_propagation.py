"""The nearest labeled samples vote on the label of each sample; settings are cross-validated."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from labelquorum._shared.arguments import as_choice, as_n_threads, as_non_negative, as_positive
from labelquorum._shared.distinct import DistinctRows
from labelquorum._shared.estimators import SemiSupervisedClassifierMixin
from labelquorum._shared.labels import known_labels, to_labels
from labelquorum._shared.samples import check_finite, validated_samples
from labelquorum._shared.saving import Saved
from labelquorum._shared.sealed import INTEGERS, check_length, check_samples, check_stored
from labelquorum.graphs.affinity import METRICS
from labelquorum.neighbors.search import kneighbors
from labelquorum.semi_supervised.graph_classifier import FLOATS

WEIGHTS = ("uniform", "distance")
_DEFAULT_N_NEIGHBORS = (1, 3, 5, 10, 20, 50)


class _Setting(NamedTuple):
    """One combination of parameters to try."""

    metric: str
    weights: str
    n_neighbors: int


class _Vote(NamedTuple):
    """The result of a vote on some samples."""

    codes: NDArray[np.intp]
    """(n_samples,): the class that wins."""
    shares: NDArray[np.float64]
    """(n_samples, n_classes): the share of the votes for each class."""

    def confidence(self) -> NDArray[np.float64]:
        """Return the share of the votes for the class that wins."""
        confidence: NDArray[np.float64] = self.shares[np.arange(len(self.codes)), self.codes]
        return confidence


def _votes(
    distances: NDArray[np.floating[Any]],
    codes: NDArray[np.intp],
    n_classes: int,
    weights: str,
    n_neighbors: Sequence[int],
) -> list[_Vote]:
    """Return the votes of the nearest neighbors, for each (ascending) number of neighbors.

    If classes have equally many votes, the one with the smaller sum of distances wins, then the
    first.

    Parameters
    ----------
    distances, codes : arrays of shape (n_samples, n_neighbors[-1])
        The distances and the classes of each sample's neighbors, the nearest first.
    """
    distances = distances.astype(np.float64)
    ballot_weights = np.ones_like(distances)
    if weights == "distance":
        # 1 / distance, scaled so that the nearest has 1. Neighbors at distance 0 decide alone.
        np.divide(distances[:, :1], distances, out=ballot_weights, where=distances > 0)
    rows = np.arange(len(distances))
    totals = np.zeros((len(distances), n_classes))
    distance_sums = np.zeros_like(totals)
    votes = []
    for rank in range(n_neighbors[-1]):
        totals[rows, codes[:, rank]] += ballot_weights[:, rank]
        distance_sums[rows, codes[:, rank]] += distances[:, rank]
        if rank + 1 in n_neighbors:
            is_tied = totals >= totals.max(axis=1, keepdims=True) * (1 - 1e-12)
            winners = np.where(is_tied, distance_sums, np.inf).argmin(axis=1)
            votes.append(_Vote(winners, totals / totals.sum(axis=1, keepdims=True)))
    return votes


def wilson_interval(n_right: int, n: int) -> tuple[float, float]:
    """Return the 95 % confidence interval (Wilson's score) of a share of n_right in n."""
    interval = binomtest(n_right, n).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def _folds(
    codes: NDArray[np.intp], n_folds: int, random: np.random.RandomState
) -> NDArray[np.intp]:
    """Return the fold of each sample: samples of each class are dealt out over the folds in turn.

    scikit-learn's StratifiedKFold does not fit: it refuses classes that all have fewer samples than
    there are folds.
    """
    order = random.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    folds = np.empty(len(codes), dtype=np.intp)
    folds[order] = np.arange(len(codes)) % n_folds
    return folds


class KNNLabelPropagation(Saved, SemiSupervisedClassifierMixin, BaseEstimator):
    """Label all samples by a vote of the nearest labeled samples, with cross-validated settings.

    Cross-validation on the labeled samples chooses the number of neighbors, the metric and the
    weights. The accuracy is measured on labeled samples that were not used for this choice.

    Parameters
    ----------
    n_neighbors : int or sequence of int, optional
        Number of voters, or several to choose from. None for 1, 3, 5, 10, 20 and 50, up to the
        number of labeled samples.
    metric : {"euclidean", "cosine"} or sequence of them, optional
        The distance between samples, or several to choose from. None for both.
    weights : {"uniform", "distance"} or sequence of them, optional
        The weight of a vote: 1, or the inverse of the distance (neighbors at distance 0 decide
        alone); or several to choose from. None for both.
    cv : int, default=5
        Number of folds, at least 2; fewer if there are fewer labeled samples.
    min_confidence : float, default=0.0
        A sample gets no label if the winning class has a smaller share of the votes.
    random_state : int, RandomState instance or None, default=None
        Draws the folds.
    recall : float in (0, 1], optional
        As for `kneighbors`; None for exact neighbors.
    n_jobs : int, optional
        Number of threads; -1 for all available cores. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        The classes, sorted.
    n_neighbors_, metric_, weights_ : int, str, str
        The settings with the best accuracy in the cross-validation; among equals, those with the
        fewest neighbors.
    transduction_ : array of shape (n_samples,)
        The class of each sample; labels in `y` stay. -1 (None, if classes are strings) where
        the confidence is below `min_confidence`.
    label_distributions_ : float64 array of shape (n_samples, n_classes)
        The share of the votes for each class; 1 for the class of a labeled sample.
    confidence_ : float64 array of shape (n_samples,)
        The share of the votes for the winning class.
    validation_ : dict
        What to expect of new labels. "accuracy": the share of correct labels; "interval": its 95 %
        confidence interval (Wilson's score); "coverage": the share of samples that get a label at
        `min_confidence`; "n_samples": the number of samples tried; "precision", "recall",
        "support": arrays of one value per class. NaN where there is nothing to count.
    cv_results_ : dict of lists
        The settings tried ("metric", "weights", "n_neighbors") and the "accuracy" of each,
        regardless of `min_confidence`. The best value is biased upwards, because it decided the
        choice; use `validation_` instead.

    Warns
    -----
    UserWarning
        If a class has only one labeled sample. The validation counts that sample as wrong.

    Notes
    -----
    For `validation_`, each fold is labeled with the setting that is best in a cross-validation
    within the other folds (Varma and Simon, "Bias in error estimation when using cross-validation
    for model selection", BMC Bioinformatics 7, 2006). Equal samples with equal labels count as one,
    so that none of them is labeled by its copy. An unlabeled sample that equals labeled ones gets
    the label that most of them have. If classes have equally many votes, the one with the smaller
    sum of distances wins, then the first in `classes_`. So the order of samples does not
    matter, with one exception: if several neighbors at the same distance compete for the last
    place, those with the smaller index vote.

    With m labeled samples, for each metric: O(cv m^2 n_features) to choose settings, or
    O(m^2 n_features) if there is only one, and then O(m n_samples n_features).

    Examples
    --------
    >>> import labelquorum as lq
    >>> X = [[0.0], [0.1], [0.2], [0.3], [5.0], [5.1], [5.2], [5.3]]
    >>> y = ["a", "a", "a", None, "b", "b", "b", None]
    >>> model = lq.KNNLabelPropagation(random_state=0).fit(X, y)
    >>> model.transduction_.tolist()
    ['a', 'a', 'a', 'a', 'b', 'b', 'b', 'b']
    >>> model.validation_["accuracy"]
    1.0
    >>> low, high = model.validation_["interval"]
    >>> round(low, 2), high
    (0.61, 1.0)
    """

    __module__ = "labelquorum"

    def __init__(
        self,
        n_neighbors: int | Sequence[int] | None = None,
        *,
        metric: str | Sequence[str] | None = None,
        weights: str | Sequence[str] | None = None,
        cv: int = 5,
        min_confidence: float = 0.0,
        random_state: Any = None,
        recall: float | None = None,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.metric = metric
        self.weights = weights
        self.cv = cv
        self.min_confidence = min_confidence
        self.random_state = random_state
        self.recall = recall
        self.n_jobs = n_jobs
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def __check_saved__(self) -> None:
        """Raise an error unless what was read fits together, as after `fit`."""
        super().__check_saved__()
        m, n_classes = len(self._codes), len(self.classes_)
        check_length(self.classes_, "classes_", n_classes)
        check_samples(self._labeled, "labeled", (m, self.n_features_in_))
        check_stored(self._codes, "codes", INTEGERS, (m,), (0, n_classes - 1))
        check_stored(self._shares, "shares", np.float64, (m, n_classes))
        check_stored(self.n_neighbors_, "n_neighbors_", np.int64, (), (1, m))
        as_choice(self.metric_, "metric_", METRICS)
        as_choice(self.weights_, "weights_", WEIGHTS)
        distributions = self.label_distributions_
        check_stored(distributions, "label_distributions_", np.float64, (None, n_classes))
        for name in ("confidence_", "transduction_"):
            check_length(getattr(self, name), name, len(distributions))

    def fit(self, X: Any, y: Any) -> Self:
        """Choose the settings and label the samples that have no label.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features)
            The samples.
        y : array-like of shape (n_samples,)
            Classes; -1 (None, among strings) for a sample without a label. See docs/inputs.md for
            all forms.

        Returns
        -------
        KNNLabelPropagation
            Itself.
        """
        n_folds = as_positive(self.cv, "cv")
        if n_folds < 2:
            raise ValueError(f"cv must be at least 2, got {n_folds}")
        as_non_negative(self.min_confidence, "min_confidence")
        as_n_threads(self.n_jobs)
        X = validated_samples(self, X, reset=True, dtype=FLOATS)
        known = known_labels(y, X.shape[0], type(self).__name__, shares=False)
        check_finite(X, "X")
        distinct = DistinctRows.of(X)
        codes = known.shares.argmax(axis=1)
        self.classes_ = known.classes
        # Of equal samples with equal labels, the first one votes.
        pairs = distinct.numbers[known.samples] * len(known.classes) + codes
        voters = np.sort(np.unique(pairs, return_index=True)[1])
        self._labeled, self._codes = X[known.samples[voters]], codes[voters]
        self._choose(self._labeled, self._codes, min(n_folds, len(voters)), len(codes))

        of_rows = known.of_rows(distinct)
        rows_of_voters = distinct.numbers[known.samples[voters]]
        self._shares = of_rows.shares[np.searchsorted(of_rows.samples, rows_of_voters)]

        is_unlabeled = np.ones(X.shape[0], dtype=bool)
        is_unlabeled[known.samples] = False
        vote = _Vote(np.empty(X.shape[0], np.intp), np.empty((X.shape[0], len(known.classes))))
        if is_unlabeled.any():
            vote.codes[is_unlabeled], vote.shares[is_unlabeled] = self._vote(X[is_unlabeled])
        vote.codes[known.samples] = codes
        vote.shares[known.samples] = known.shares
        self.label_distributions_ = vote.shares
        self.confidence_ = vote.confidence()
        self.transduction_ = to_labels(known.classes, self._confident_codes(vote))
        return self

    def _settings(self, n_labeled: int, n_voters: int, n_train: int) -> list[_Setting]:
        """Return the settings to choose from, the fewest neighbors first.

        By default, only numbers of neighbors up to n_train, the smallest training set, are tried.
        """
        metrics = _as_list(self.metric, METRICS)
        weights = _as_list(self.weights, WEIGHTS)
        for metric in metrics:
            as_choice(metric, "metric", METRICS)
        for name in weights:
            as_choice(name, "weights", WEIGHTS)
        if self.n_neighbors is None:
            sizes = [k for k in _DEFAULT_N_NEIGHBORS if k <= max(1, n_train)]
        else:
            numbers = _as_list(self.n_neighbors, ())
            sizes = sorted({as_positive(k, "n_neighbors") for k in numbers})
            if not sizes or sizes[-1] > n_labeled:
                raise ValueError(
                    f"n_neighbors must be from 1 to {n_labeled}, the number of labeled samples, "
                    f"got {self.n_neighbors!r}"
                )
            sizes = sorted({min(k, n_voters) for k in sizes})
        return [_Setting(m, w, k) for k in sizes for m in metrics for w in weights]

    def _choose(self, X: Any, codes: NDArray[np.intp], n_folds: int, n_labeled: int) -> None:
        """Cross-validate on the labeled samples: set the best setting and what to expect of it."""
        n_classes = len(self.classes_)
        folds = _folds(codes, n_folds, check_random_state(self.random_state))
        sizes = np.sort(np.bincount(folds, minlength=n_folds))
        settings = self._settings(n_labeled, len(codes), int(sizes[:-2].sum()))
        predicted, confidence = self._cross_validated(X, codes, folds, settings)
        accuracies = np.full(len(settings), np.nan)
        if n_folds > 1:
            accuracies = (predicted == codes).mean(axis=1)
        best = int(np.argmax(np.nan_to_num(accuracies)))
        self.metric_, self.weights_, self.n_neighbors_ = settings[best]
        self.cv_results_ = {
            "metric": [setting.metric for setting in settings],
            "weights": [setting.weights for setting in settings],
            "n_neighbors": [setting.n_neighbors for setting in settings],
            "accuracy": accuracies.tolist(),
        }
        n_right = self._n_right_without_fold(X, codes, folds, settings)
        setting_of_sample = n_right.argmax(axis=1)[folds]
        samples = np.arange(len(codes))
        is_confident = confidence[setting_of_sample, samples] >= self.min_confidence
        validated = np.where(is_confident, predicted[setting_of_sample, samples], -1)
        self.validation_ = _validation(codes, validated, n_classes, n_folds > 1)
        _warn_of_single_labels(self.classes_, codes)

    def _cross_validated(
        self,
        X: Any,
        codes: NDArray[np.intp],
        folds: NDArray[np.intp],
        settings: list[_Setting],
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Predict each sample from the other folds, with each setting.

        Returns the classes and their confidence, of shape (n_settings, n_labeled); zeros if there
        is only one fold.
        """
        n_folds = folds.max() + 1
        predicted = np.zeros((len(settings), len(codes)), dtype=np.intp)
        confidence = np.zeros((len(settings), len(codes)))
        for fold in range(n_folds) if n_folds > 1 else ():
            is_held_out = folds == fold
            votes = self._votes_on(X, codes, is_held_out, settings)
            for s, vote in enumerate(votes):
                predicted[s, is_held_out] = vote.codes
                confidence[s, is_held_out] = vote.confidence()
        return predicted, confidence

    def _n_right_without_fold(
        self,
        X: Any,
        codes: NDArray[np.intp],
        folds: NDArray[np.intp],
        settings: list[_Setting],
    ) -> NDArray[np.int64]:
        """For each fold, cross-validate the settings within the other folds.

        Returns how many samples each setting predicts correctly, of shape (n_folds, n_settings).
        Each pair of folds is held out once and serves both.
        """
        n_folds = folds.max() + 1
        n_right = np.zeros((n_folds, len(settings)), dtype=np.int64)
        if len(settings) < 2 or n_folds < 3:
            return n_right
        for first, second in combinations(range(n_folds), 2):
            is_held_out = (folds == first) | (folds == second)
            votes = self._votes_on(X, codes, is_held_out, settings)
            for s, vote in enumerate(votes):
                is_right = vote.codes == codes[is_held_out]
                n_right[first, s] += is_right[folds[is_held_out] == second].sum()
                n_right[second, s] += is_right[folds[is_held_out] == first].sum()
        return n_right

    def _votes_on(
        self,
        X: Any,
        codes: NDArray[np.intp],
        is_held_out: NDArray[np.bool_],
        settings: list[_Setting],
    ) -> list[_Vote]:
        """Let all other samples vote on the held-out ones, once for each setting."""
        train, train_codes = X[~is_held_out], codes[~is_held_out]
        vote_of: dict[_Setting, _Vote] = {}
        for metric in dict.fromkeys(setting.metric for setting in settings):
            with_metric = [setting for setting in settings if setting.metric == metric]
            largest = min(len(train_codes), max(setting.n_neighbors for setting in with_metric))
            distances, indices = self._search(train, X[is_held_out], largest, metric)
            for weights in dict.fromkeys(setting.weights for setting in with_metric):
                group = [setting for setting in with_metric if setting.weights == weights]
                sizes = sorted({min(largest, setting.n_neighbors) for setting in group})
                votes = _votes(distances, train_codes[indices], len(self.classes_), weights, sizes)
                for setting in group:
                    vote_of[setting] = votes[sizes.index(min(largest, setting.n_neighbors))]
        return [vote_of[setting] for setting in settings]

    def _search(
        self, X: Any, queries: Any, k: int, metric: str
    ) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64]]:
        return kneighbors(
            X,
            k,
            metric=metric,
            recall=self.recall,
            Y=queries,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )

    def _validated(self, X: Any) -> Any:
        X = validated_samples(self, X, reset=False, dtype=FLOATS)
        check_finite(X, "X")
        return X

    def _vote(self, X: Any) -> _Vote:
        distances, indices = self._search(self._labeled, X, self.n_neighbors_, self.metric_)
        codes = self._codes[indices]
        (vote,) = _votes(distances, codes, len(self.classes_), self.weights_, [self.n_neighbors_])
        is_equal = distances[:, 0] == 0
        shares = self._shares[indices[is_equal, 0]]
        vote.shares[is_equal], vote.codes[is_equal] = shares, shares.argmax(axis=1)
        return vote

    def _confident_codes(self, vote: _Vote) -> NDArray[np.intp]:
        """Return the class that wins each vote; -1 below `min_confidence`."""
        return np.where(vote.confidence() >= self.min_confidence, vote.codes, -1)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Compute the share of the votes for each class in new samples.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        float64 array of shape (n_samples, n_classes)
            Rows sum to 1.
        """
        check_is_fitted(self)
        return self._vote(self._validated(X)).shares

    def predict(self, X: Any) -> NDArray[Any]:
        """Label new samples.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        array of shape (n_samples,)
            Classes; -1 (None, if classes are strings) where the confidence is below
            `min_confidence`.
        """
        check_is_fitted(self)
        vote = self._vote(self._validated(X))
        return to_labels(self.classes_, self._confident_codes(vote))


def _as_list(value: Any, default: tuple[Any, ...]) -> list[Any]:
    """Return the value, or the values, as a list; the default for None."""
    if value is None:
        return list(default)
    return [value] if isinstance(value, str) or not np.iterable(value) else list(value)


def _warn_of_single_labels(classes: NDArray[Any], codes: NDArray[np.intp]) -> None:
    single = classes[np.bincount(codes, minlength=len(classes)) == 1]
    if len(classes) > 1 and len(single):
        warnings.warn(
            f"{len(single)} of {len(classes)} classes have only one labeled sample (the first is "
            f"{single.tolist()[0]!r}), which counts as wrong in the validation",
            UserWarning,
            stacklevel=4,
        )


def _validation(
    truth: NDArray[np.intp], predicted: NDArray[np.intp], n_classes: int, is_validated: bool
) -> dict[str, Any]:
    """Compute `validation_` from the true and the predicted classes; -1 is no label."""
    is_labeled = predicted >= 0
    is_right = predicted == truth
    n_right_by_class = np.bincount(truth[is_right], minlength=n_classes)
    support = np.bincount(truth, minlength=n_classes)
    n_predicted = np.bincount(predicted[is_labeled], minlength=n_classes)
    n = int(is_labeled.sum()) if is_validated else 0
    n_right = int(is_right.sum())

    def ratios(counts: NDArray[np.intp]) -> NDArray[np.float64]:
        shares = np.full(n_classes, np.nan)
        np.divide(n_right_by_class, counts, out=shares, where=(counts > 0) & is_validated)
        return shares

    return {
        "accuracy": float(n_right / n) if n else float("nan"),
        "interval": wilson_interval(n_right, n) if n else (0.0, 1.0),
        "coverage": float(is_labeled.mean()) if is_validated else float("nan"),
        "n_samples": len(truth) if is_validated else 0,
        "precision": ratios(n_predicted),
        "recall": ratios(support),
        "support": support,
    }
