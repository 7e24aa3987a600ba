"""Labels for all samples by a vote of the nearest labelled ones, its settings cross-validated."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from labelquorum._shared.arguments import as_choice, as_n_threads, as_non_negative, as_positive
from labelquorum._shared.labels import known_labels, to_labels
from labelquorum.graphs.affinity import METRICS
from labelquorum.neighbors.search import kneighbors
from labelquorum.semi_supervised.propagation import FLOATS

WEIGHTS = ("uniform", "distance")
_CANDIDATES = (1, 3, 5, 10, 20, 50)
_NORMAL_QUANTILE = 1.959963984540054  # of 0.975


class _Setting(NamedTuple):
    metric: str
    weights: str
    n_neighbors: int


class _Vote(NamedTuple):
    """The class of each sample, and the shares of the votes."""

    codes: NDArray[np.intp]
    shares: NDArray[np.float64]

    def confidence(self) -> NDArray[np.float64]:
        confidence: NDArray[np.float64] = self.shares[np.arange(len(self.codes)), self.codes]
        return confidence


def _votes(
    distances: NDArray[np.floating[Any]],
    codes: NDArray[np.intp],
    n_classes: int,
    weights: str,
    n_neighbors: Sequence[int],
) -> list[_Vote]:
    """The votes of the first so many neighbours, for several numbers of them (ascending).

    Of classes with as many votes, that with the smaller sum of distances counts, then the first.
    """
    distances = distances.astype(np.float64)
    powers = np.ones_like(distances)
    if weights == "distance":
        # 1 / distance, scaled so that the nearest has 1; among equal samples they alone count.
        np.divide(distances[:, :1], distances, out=powers, where=distances > 0)
    rows = np.arange(len(distances))
    votes = np.zeros((len(distances), n_classes))
    far = np.zeros_like(votes)
    results = []
    for rank in range(n_neighbors[-1]):
        votes[rows, codes[:, rank]] += powers[:, rank]
        far[rows, codes[:, rank]] += distances[:, rank]
        if rank + 1 in n_neighbors:
            tied = votes >= votes.max(axis=1, keepdims=True) * (1 - 1e-12)
            chosen = np.where(tied, far, np.inf).argmin(axis=1)
            results.append(_Vote(chosen, votes / votes.sum(axis=1, keepdims=True)))
    return results


def _wilson(n_right: float, n: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share by Wilson's score."""
    z2 = _NORMAL_QUANTILE**2
    share = n_right / n
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _NORMAL_QUANTILE / (1 + z2 / n) * np.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def _folds(
    codes: NDArray[np.intp], n_folds: int, random: np.random.RandomState
) -> NDArray[np.intp]:
    """The fold of each sample: every class dealt out over the folds, one after the other."""
    order = random.permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    folds = np.empty(len(codes), dtype=np.intp)
    folds[order] = np.arange(len(codes)) % n_folds
    return folds


class KNNLabelPropagation(ClassifierMixin, BaseEstimator):
    """Label all samples by a vote of their nearest labelled ones, with settings that prove best.

    Number of neighbours, metric and weights are chosen by cross-validation on the labelled samples,
    and how well that does is measured on labelled samples that had no part in the choice.

    Parameters
    ----------
    n_neighbors : int or sequence of int, optional
        Voters, or the numbers to choose from. None for 1, 3, 5, 10, 20 and 50, as far as there are
        labelled samples enough.
    metric : {"euclidean", "cosine"} or sequence of them, optional
        The distance between samples, or those to choose from; None for both.
    weights : {"uniform", "distance"} or sequence of them, optional
        Votes count all the same, or the inverse of the distance (where neighbours equal the sample,
        they alone count); or those to choose from. None for both.
    cv : int, default=5
        Folds of the cross-validation, at least 2; fewer where there are fewer labelled samples.
    min_confidence : float, default=0.0
        A sample whose class has a smaller share of the votes gets no label.
    random_state : int, RandomState instance or None, default=None
        Draws the folds.
    recall : float in (0, 1], optional
        As for `kneighbors`; None for exact neighbours.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    n_neighbors_, metric_, weights_ : int, str, str
        What was chosen: the best in the cross-validation; of equal ones, the fewest neighbours.
    transduction_ : array of shape (n_samples,)
        The class of each sample, given labels as they are; -1 (None, where classes are no numbers)
        where the vote is below `min_confidence`.
    label_distributions_ : float64 array of shape (n_samples, n_classes)
        The shares of the votes; the labelled have all of their own class.
    confidence_ : float64 array of shape (n_samples,)
        The share of the votes for the class with most of them.
    validation_ : dict
        What to expect of new labels. "accuracy": the share of right ones; "interval": its 95 %
        confidence interval (Wilson's score); "coverage": the share of samples that got a label at
        `min_confidence`; "n_samples": how many were tried; "precision", "recall", "support": arrays
        by class. NaN where there is nothing to count.
    cv_results_ : dict of lists
        The settings tried ("metric", "weights", "n_neighbors") and the "accuracy" of each, without
        abstaining. That of the best is too good: it is what made it the best.

    Warns
    -----
    UserWarning
        If a class has one labelled sample only, which counts as wrong in the validation.

    Notes
    -----
    Each fold of `validation_` is labelled by the setting that is best in a cross-validation within
    the other folds (Varma and Simon, "Bias in error estimation when using cross-validation for
    model selection", BMC Bioinformatics 7, 2006). Samples that stand more than once, in different
    folds, make it too good all the same: drop duplicates before. Of classes with as many votes,
    that with the smaller sum of distances counts, then the first of `classes_`, so that the order
    of samples does not matter (but where the last of several neighbours at the same distance is
    cut off: those of smaller index come first).

    With m labelled samples, for each metric: O(cv m^2 n_features) to choose, or O(m^2 n_features)
    where nothing is left to choose, and then O(m n_samples n_features).

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

    def fit(self, X: Any, y: Any) -> Self:
        """Choose the settings and label the samples that have no label.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            Classes, with -1 (or None, among strings) for a sample without a label.

        Returns
        -------
        self
        """
        n_folds = as_positive(self.cv, "cv")
        if n_folds < 2:
            raise ValueError(f"cv is {n_folds}; wanted at least 2 folds")
        as_non_negative(self.min_confidence, "min_confidence")
        as_n_threads(self.n_jobs)
        X = validate_data(self, X, dtype=FLOATS)
        known = known_labels(y, len(X), type(self).__name__, shares=False)
        codes = known.shares.argmax(axis=1)
        labeled = X[known.samples]
        self.classes_ = known.classes
        self._choose(labeled, codes, min(n_folds, len(codes)))
        self._labeled, self._codes = labeled, codes

        unlabeled = np.ones(len(X), dtype=bool)
        unlabeled[known.samples] = False
        chosen = np.empty(len(X), dtype=np.intp)
        chosen[known.samples] = codes
        self.label_distributions_ = np.empty((len(X), len(known.classes)))
        self.label_distributions_[known.samples] = known.shares
        if unlabeled.any():
            chosen[unlabeled], self.label_distributions_[unlabeled] = self._vote(X[unlabeled])
        vote = _Vote(chosen, self.label_distributions_)
        self.confidence_ = vote.confidence()
        self.transduction_ = to_labels(known.classes, self._abstaining(vote))
        return self

    def _settings(self, n_labeled: int, n_train: int) -> list[_Setting]:
        """What to choose from, the simplest first; n_train labels vote at the choice."""
        metrics = _listed(self.metric, METRICS)
        weights = _listed(self.weights, WEIGHTS)
        for metric in metrics:
            as_choice(metric, "metric", METRICS)
        for name in weights:
            as_choice(name, "weights", WEIGHTS)
        if self.n_neighbors is None:
            sizes = [k for k in _CANDIDATES if k <= max(1, n_train)]
        else:
            given = _listed(self.n_neighbors, ())
            sizes = sorted({as_positive(k, "n_neighbors") for k in given})
            if not sizes or sizes[-1] > n_labeled:
                raise ValueError(
                    f"n_neighbors is {self.n_neighbors!r}; wanted 1 to {n_labeled}: the labelled "
                    "samples"
                )
        return [_Setting(m, w, k) for k in sizes for m in metrics for w in weights]

    def _choose(self, X: Any, codes: NDArray[np.intp], n_folds: int) -> None:
        """Cross-validate: the best setting, and what to expect of it."""
        n_classes = len(self.classes_)
        folds = _folds(codes, n_folds, check_random_state(self.random_state))
        sizes = np.sort(np.bincount(folds, minlength=n_folds))
        settings = self._settings(len(codes), int(sizes[:-2].sum()))
        # The class and confidence that each setting gives to each sample, by the other folds.
        chosen = np.zeros((len(settings), len(codes)), dtype=np.intp)
        confidence = np.zeros((len(settings), len(codes)))
        # How many of the other folds' samples a setting gets right without fold f, by fold f.
        n_right = np.zeros((n_folds, len(settings)), dtype=np.int64)
        if n_folds > 1:
            for fold in range(n_folds):
                held = folds == fold
                for s, vote in enumerate(self._tried(X, codes, held, settings)):
                    chosen[s, held], confidence[s, held] = vote.codes, vote.confidence()
        if len(settings) > 1 and n_folds > 2:
            for first, second in combinations(range(n_folds), 2):
                held = (folds == first) | (folds == second)
                for s, vote in enumerate(self._tried(X, codes, held, settings)):
                    right = vote.codes == codes[held]
                    n_right[first, s] += right[folds[held] == second].sum()
                    n_right[second, s] += right[folds[held] == first].sum()
        accuracies = (
            (chosen == codes).mean(axis=1) if n_folds > 1 else np.full(len(settings), np.nan)
        )
        best = int(np.argmax(np.nan_to_num(accuracies)))
        self.metric_, self.weights_, self.n_neighbors_ = settings[best]
        self.cv_results_ = {
            "metric": [setting.metric for setting in settings],
            "weights": [setting.weights for setting in settings],
            "n_neighbors": [setting.n_neighbors for setting in settings],
            "accuracy": accuracies.tolist(),
        }
        of_fold = n_right.argmax(axis=1)[folds]
        samples = np.arange(len(codes))
        answered = confidence[of_fold, samples] >= self.min_confidence
        self.validation_ = _report(
            codes, np.where(answered, chosen[of_fold, samples], -1), n_classes, n_folds > 1
        )
        alone = self.classes_[np.bincount(codes, minlength=n_classes) == 1]
        if n_classes > 1 and len(alone):
            warnings.warn(
                f"{len(alone)} of {n_classes} classes have one labelled sample only (the first is "
                f"{alone[0]!r}), which counts as wrong in the validation",
                UserWarning,
                stacklevel=3,
            )

    def _tried(
        self, X: Any, codes: NDArray[np.intp], held: NDArray[np.bool_], settings: list[_Setting]
    ) -> list[_Vote]:
        """The votes on the samples held out, by all others, for each setting."""
        train, train_codes = X[~held], codes[~held]
        found: dict[_Setting, _Vote] = {}
        for metric in dict.fromkeys(setting.metric for setting in settings):
            of_metric = [setting for setting in settings if setting.metric == metric]
            most = min(len(train), max(setting.n_neighbors for setting in of_metric))
            distances, indices = self._search(train, X[held], most, metric)
            for weights in dict.fromkeys(setting.weights for setting in of_metric):
                alike = [setting for setting in of_metric if setting.weights == weights]
                sizes = sorted({min(most, setting.n_neighbors) for setting in alike})
                votes = _votes(distances, train_codes[indices], len(self.classes_), weights, sizes)
                for setting in alike:
                    found[setting] = votes[sizes.index(min(most, setting.n_neighbors))]
        return [found[setting] for setting in settings]

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

    def _vote(self, X: Any) -> _Vote:
        distances, indices = self._search(self._labeled, X, self.n_neighbors_, self.metric_)
        codes = self._codes[indices]
        return _votes(distances, codes, len(self.classes_), self.weights_, [self.n_neighbors_])[0]

    def _abstaining(self, vote: _Vote) -> NDArray[np.intp]:
        return np.where(vote.confidence() >= self.min_confidence, vote.codes, -1)

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Compute the shares of the votes on new samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        float64 array of shape (n_samples, n_classes)
        """
        check_is_fitted(self)
        return self._vote(validate_data(self, X, dtype=FLOATS, reset=False)).shares

    def predict(self, X: Any) -> NDArray[Any]:
        """Label new samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,)
            -1 (None, where classes are no numbers) where the vote is below `min_confidence`.
        """
        check_is_fitted(self)
        vote = self._vote(validate_data(self, X, dtype=FLOATS, reset=False))
        return to_labels(self.classes_, self._abstaining(vote))


def _listed(value: Any, default: tuple[Any, ...]) -> list[Any]:
    """What is given, as a list; the default for None."""
    if value is None:
        return list(default)
    return [value] if isinstance(value, str) or not np.iterable(value) else list(value)


def _report(
    truth: NDArray[np.intp], found: NDArray[np.intp], n_classes: int, validated: bool
) -> dict[str, Any]:
    """Accuracy, its interval, coverage and the figures of each class; -1 is no label."""
    answered = found >= 0
    right = found == truth
    hits = np.bincount(truth[right], minlength=n_classes)
    support = np.bincount(truth, minlength=n_classes)
    given = np.bincount(found[answered], minlength=n_classes)
    n = int(answered.sum()) if validated else 0
    nothing = np.full(n_classes, np.nan)
    return {
        "accuracy": float(right.sum() / n) if n else float("nan"),
        "interval": _wilson(int(right.sum()), n) if n else (0.0, 1.0),
        "coverage": float(answered.mean()) if validated else float("nan"),
        "n_samples": len(truth) if validated else 0,
        "precision": np.divide(hits, given, out=nothing.copy(), where=(given > 0) & validated),
        "recall": np.divide(hits, support, out=nothing.copy(), where=(support > 0) & validated),
        "support": support,
    }
