"""Support vector machines that learn from labeled and unlabeled samples."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import combinations
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_approximation import Nystroem
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.sparsefuncs import mean_variance_axis
from sklearn.utils.validation import check_is_fitted

from labelquorum._shared.arguments import as_choice, as_n_threads, as_non_negative, as_positive
from labelquorum._shared.estimators import SemiSupervisedClassifierMixin, forget
from labelquorum._shared.frame import without_outliers
from labelquorum._shared.labels import known_labels
from labelquorum._shared.progress import progress
from labelquorum._shared.samples import as_array, check_finite, validated_samples
from labelquorum._shared.saving import Saved
from labelquorum._shared.sealed import check_features, check_kinds, check_length, check_stored
from labelquorum.semi_supervised.propagation import LabelSpreading
from labelquorum.semi_supervised.separators import (
    Attempt,
    Float64Array,
    Problem,
    Separator,
    best_separator,
    samples_of,
    shares_to_try,
    supervised_separator,
)

KERNELS = ("linear", "rbf")
# Standard errors from the share of a class among the labels up to which shares are tried. With more
# than two classes, samples of other classes among the unlabeled ones make a wider search worse.
_N_STANDARD_ERRORS, _N_STANDARD_ERRORS_OF_PAIRS = 2, 1
# The solver takes smaller differences for none; with "rbf", their squares underflow.
_LEAST_SPREAD = {"linear": 1e-12, "rbf": 1e-140}


class S3VM(Saved, SemiSupervisedClassifierMixin, BaseEstimator):
    """A support vector machine that also keeps its margin clear of unlabeled samples.

    Parameters
    ----------
    kernel : {"linear", "rbf"}, default="linear"
        What separates the classes: a plane, or a surface made of Gaussian bumps,
        ``exp(-gamma d**2)``.
    C : float or "scale", default="scale"
        The weight of errors on labeled samples against a wide margin, as for scikit-learn's
        LinearSVC. "scale": 1 / the total variance of the features (with "rbf", of the kernel
        features), so that the scale of X does not matter.
    gamma : float or "scale", default="scale"
        For "rbf". "scale" is 1 / (n_features * X.var()), as for scikit-learn's SVC.
    unlabeled_weight : float, default=1.0
        The weight of an unlabeled sample relative to a labeled one.
    class_shares : array-like of shape (n_classes,), optional
        The share of each class among the unlabeled samples, in the order of `classes_`; they sum to
        1. None to search near the shares among the labels.
    safe : bool, default=False
        Fall back to the supervised machine unless unlabeled samples clearly help; see Notes.
    n_components : int, default=1000
        For "rbf": the number of samples whose kernel makes the features. If there are no more
        samples than that, the kernel is exact. Otherwise it is the approximation of scikit-learn's
        Nystroem with random samples.
    random_state : int, RandomState instance or None, default=None
        Draws these samples, and the random starts of `safe`.
    n_jobs : int, optional
        Number of threads; -1 for all available cores. They fit different pairs of classes. The
        result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        The classes, sorted.
    transduction_ : array of shape (n_samples,)
        The class of each sample. Labels in `y` stay.
    used_unlabeled_ : bool array of shape (n_pairs,)
        For each pair of classes, n_pairs = n_classes * (n_classes - 1) / 2, whether unlabeled
        samples influenced its separator. False where `safe` fell back, or where the pair has none.
    C_, gamma_ : float
        The values used; `gamma_` with "rbf" only.
    coef_ : float64 array of shape (n_pairs, n_features)
        The normal of each pair's separator, in the order 0-1, 0-2, ..., 1-2, .... Its positive side
        is the second class. With "linear" only.
    intercept_ : float64 array of shape (n_pairs,)
        The intercepts of these separators.
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    The method is QN-S3VM (Gieseke, Airola, Pahikkala and Kramer, "Fast and simple gradient-based
    optimization for semi-supervised support vector machines", Neurocomputing 123, 2014) with the
    losses of Chapelle and Zien, "Semi-supervised classification by low density separation",
    AISTATS 2005. For each pair of classes, L-BFGS minimizes
    ``|w|**2 / 2 + C sum(max(0, 1 - y f)**2) + C unlabeled_weight sum(exp(-3 f**2))``. The first sum
    is over labeled samples, the second over unlabeled ones. The mean of f over unlabeled samples is
    fixed at 2 share - 1, where share is that of the second class. The search starts at the
    supervised machine (as scikit-learn's LinearSVC), and the weight of unlabeled samples grows in 6
    steps.

    Three things are added. First, the share is unknown, so several are tried: up to two standard
    errors from that of the labels (one with more than two classes). Second, with "rbf" each share
    is also tried from the labels of `LabelSpreading`, because local minima block the way to classes
    of odd shapes. Third, separators are compared by their objective divided by that of the constant
    function with the same mean; the smallest wins.

    With more than two classes, supervised machines of one class against the rest assign unlabeled
    samples to classes. Each pair uses the samples of its two classes, and the pairs vote.
    Semi-supervised machines of one class against the rest were worse than supervised ones on all
    data tried: if the rest consists of many groups, the widest gap is seldom around the class.

    `safe` asks whether the chosen separator would beat the supervised machine if another plausible
    separator were the truth. A separator is plausible if its cost is at most 1.25 times that of the
    chosen one; candidates are all that were tried, and others from 6 random starts. This follows Li
    and Zhou, "Towards making unlabeled data never hurt", IEEE TPAMI 37, 2015. Data without groups
    has many plausible separators, so `safe` falls back. Where it has several, `safe` costs some of
    the gain.

    X is held in float64. One evaluation takes O(values of X). There are about a hundred evaluations
    for each separator, and up to 5 separators for a pair (10 with "rbf", 6 more with `safe`).
    Memory beyond X, as a count of float64 values: n_pairs * n_features, about 25 * n_features for
    each thread, and n_samples * n_components with "rbf".

    Examples
    --------
    Two groups in a plane, with one label each:

    >>> import labelquorum as lq
    >>> X = [[0, 0], [0, 1], [1, 0], [1, 1], [5, 0], [5, 1], [6, 0], [6, 1]]
    >>> y = ["left", None, None, None, None, "right", None, None]
    >>> model = lq.S3VM().fit(X, y)
    >>> model.transduction_.tolist()
    ['left', 'left', 'left', 'left', 'right', 'right', 'right', 'right']
    >>> model.predict([[2, 0], [4, 1]]).tolist()
    ['left', 'right']
    """

    __module__ = "labelquorum"

    def __init__(
        self,
        kernel: Literal["linear", "rbf"] = "linear",
        *,
        C: float | Literal["scale"] = "scale",
        gamma: float | Literal["scale"] = "scale",
        unlabeled_weight: float = 1.0,
        class_shares: Any = None,
        safe: bool = False,
        n_components: int = 1000,
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: bool = False,
    ) -> None:
        self.kernel = kernel
        self.C = C
        self.gamma = gamma
        self.unlabeled_weight = unlabeled_weight
        self.class_shares = class_shares
        self.safe = safe
        self.n_components = n_components
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = self.kernel == "linear"
        return tags

    def __check_saved__(self) -> None:
        """Raise an error unless what was read fits together, as after `fit`."""
        super().__check_saved__()
        as_choice(self.kernel, "kernel", KERNELS)
        n_columns, n_classes = self.n_features_in_, len(self.classes_)
        if self.kernel == "rbf":
            check_kinds(self, _map=Nystroem)
            check_features(self._map, n_columns)
            check_stored(self._center, "center", np.float64, (n_columns,))
            n_columns = len(self._map.components_)
        n_pairs = n_classes * (n_classes - 1) // 2
        check_length(self.classes_, "classes_", n_classes)
        check_stored(self._weights, "weights", np.float64, (n_pairs, n_columns))
        check_stored(self.intercept_, "intercept_", np.float64, (n_pairs,))
        check_stored(self.used_unlabeled_, "used_unlabeled_", np.bool_, (n_pairs,))
        check_length(self.transduction_, "transduction_", len(self.transduction_))

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to labeled and unlabeled samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The samples; with "linear" also a SciPy sparse matrix.
        y : array-like of shape (n_samples,)
            Classes, at least two; -1 (None, among strings) for a sample without a label. See
            docs/inputs.md for all forms.

        Returns
        -------
        S3VM
            Itself.

        Raises
        ------
        TypeError, ValueError
            If an argument or parameter has the wrong type, shape or range, or if y holds no label
            or only one class.
        """
        as_choice(self.kernel, "kernel", KERNELS)
        unlabeled_weight = as_non_negative(self.unlabeled_weight, "unlabeled_weight")
        n_components = as_positive(self.n_components, "n_components")
        n_threads = as_n_threads(self.n_jobs)
        X = self._validated(X, reset=True)
        check_finite(X, "X")
        known = known_labels(y, X.shape[0], type(self).__name__, shares=False)
        self.classes_ = known.classes
        n_classes = len(known.classes)
        if n_classes < 2:
            only = known.classes.tolist()[0]
            raise ValueError(f"y must hold labels of two or more classes, got one class, {only!r}")
        class_shares = self._as_class_shares(n_classes)
        forget(self, "coef_", "gamma_", "_map", "_center")  # Only one kernel sets them.
        features = self._fit_features(X, n_components)
        self.C_ = _as_scaled(self.C, "C", lambda: _total_variance(features))
        codes = np.full(X.shape[0], -1)
        codes[known.samples] = known.shares.argmax(axis=1)

        pairs = list(combinations(range(n_classes), 2))
        supervised = [_supervised_separator(features, codes, pair, self.C_) for pair in pairs]
        self._set_separators(supervised)
        self.used_unlabeled_ = np.zeros(len(pairs), dtype=bool)
        if unlabeled_weight > 0:
            training = _Training(
                features=features,
                codes=codes,
                spread_codes=self._spread_codes(X, codes, n_threads),
                likely_codes=_one_vs_rest_codes(features, codes, n_classes, self.C_),
                n_labels=known.shares.sum(axis=0),
                class_shares=class_shares,
                C=self.C_,
                C_unlabeled=unlabeled_weight * self.C_,
            )
            self._set_separators(self._fit_pairs(training, pairs, supervised, n_threads))
        if self.kernel == "linear":
            self.coef_ = self._weights
        predicted = self._codes(self._values(features))
        self.transduction_ = self.classes_[np.where(codes >= 0, codes, predicted)]
        return self

    def _as_class_shares(self, n_classes: int) -> Float64Array | None:
        if self.class_shares is None:
            return None
        wanted = f"class_shares must be {n_classes} numbers above 0 that sum to 1, one per class"
        shares = as_array(self.class_shares, "class_shares")
        if shares.dtype.kind not in "iuf":
            raise TypeError(f"{wanted}, got dtype {shares.dtype}")
        if shares.shape != (n_classes,):
            raise ValueError(f"{wanted}, got shape {shares.shape}")
        if not (shares > 0).all() or not abs(shares.sum() - 1) <= 1e-6:
            raise ValueError(f"{wanted}, got {shares.tolist()}")
        return shares.astype(np.float64)

    def _fit_features(self, X: Any, n_components: int) -> Any:
        """Return the features in which separators are linear."""
        _check_spread(X, self.kernel)
        if self.kernel == "linear":
            return X
        usual = without_outliers(X)
        self.gamma_ = _as_scaled(
            self.gamma, "gamma", lambda: X.shape[1] * float(usual.var()) or 1.0
        )
        self._center = usual.mean(axis=0)  # The kernel's distances lose digits far from zero.
        self._map = Nystroem(
            gamma=self.gamma_,
            n_components=min(n_components, X.shape[0]),
            random_state=self.random_state,
        ).set_output(transform="default")  # whatever scikit-learn's global settings are
        return self._map.fit_transform(X - self._center)

    def _spread_codes(self, X: Any, codes: NDArray[np.intp], n_threads: int) -> NDArray[np.intp]:
        """With "rbf", spread labels over the nearest neighbors for a second start; -1 for none."""
        if self.kernel == "linear" or (codes >= 0).all():
            return codes
        with warnings.catch_warnings():
            # Labels that have not settled are good enough for a start.
            warnings.simplefilter("ignore", ConvergenceWarning)
            spread: NDArray[np.intp] = LabelSpreading(n_jobs=n_threads).fit(X, codes).transduction_
        return np.where(codes >= 0, codes, spread)

    def _fit_pairs(
        self,
        training: _Training,
        pairs: list[tuple[int, int]],
        supervised: list[Separator],
        n_threads: int,
    ) -> list[Separator]:
        """Fit the separator of each pair with the unlabeled samples; set `used_unlabeled_`."""
        seeds = check_random_state(self.random_state).randint(2**31 - 1, size=len(pairs))
        tasks = zip(pairs, supervised, seeds, strict=True)
        separators = []
        with progress(self.verbose) as show:
            results = Parallel(n_threads, prefer="threads", return_as="generator")(
                delayed(_fit_pair)(training, pair, separator, seed if self.safe else None)
                for pair, separator, seed in tasks
            )
            for place, (separator, used_unlabeled) in enumerate(results):
                separators.append(separator)
                self.used_unlabeled_[place] = used_unlabeled
                if show is not None:
                    show("pairs of classes", (place + 1) / len(pairs))
        return separators

    def _set_separators(self, separators: list[Separator]) -> None:
        self._weights = np.stack([separator.weights for separator in separators])
        self.intercept_ = np.array([separator.intercept for separator in separators])

    def _validated(self, X: Any, *, reset: bool) -> Any:
        is_linear = self.kernel == "linear"
        return validated_samples(self, X, reset=reset, accept_sparse=is_linear, dtype=np.float64)

    def _values(self, features: Any) -> Float64Array:
        """Return the value of each sample (row) on the separator of each pair (column)."""
        values: Float64Array = features @ self._weights.T + self.intercept_
        return values

    def _codes(self, values: Float64Array) -> NDArray[np.intp]:
        """Return the class that wins for each row of values."""
        codes: NDArray[np.intp]
        if len(self.classes_) == 2:
            codes = (values[:, 0] > 0).astype(np.intp)
        else:
            codes = votes(values, len(self.classes_)).argmax(axis=1)
        return codes

    def _values_of_new(self, X: Any) -> Float64Array:
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        return self._values(self._map.transform(X - self._center) if self.kernel == "rbf" else X)

    def decision_function(self, X: Any) -> Float64Array:
        """Compute on which side of the separators samples lie, and how far away.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features), as for `fit`

        Returns
        -------
        float64 array of shape (n_samples,) or (n_samples, n_classes)
            With two classes: positive for the second class; below -1 or above 1 outside the margin.
            With more: the number of pairs that each class wins, plus less than 1/3 to break ties.
        """
        values = self._values_of_new(X)
        n_classes = len(self.classes_)
        return values[:, 0] if n_classes == 2 else votes(values, n_classes)

    def predict(self, X: Any) -> NDArray[Any]:
        """Label samples.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features), as for `fit`

        Returns
        -------
        array of shape (n_samples,)
        """
        codes = self._codes(self._values_of_new(X))
        labels: NDArray[Any] = self.classes_[codes]
        return labels


class _Training(NamedTuple):
    """What the separators of all pairs of classes are fitted to."""

    features: Any
    """(n_samples, n_features), dense or CSR."""
    codes: NDArray[np.intp]
    """(n_samples,): the class of each labeled sample, -1 for unlabeled ones."""
    spread_codes: NDArray[np.intp]
    """(n_samples,): `codes`, with unlabeled samples guessed as far as a second start needs it."""
    likely_codes: NDArray[np.intp]
    """(n_samples,): `codes`, with the most likely class of each unlabeled sample."""
    n_labels: Float64Array
    """(n_classes,): the number of labels of each class."""
    class_shares: Float64Array | None
    """(n_classes,): the share of each class among the unlabeled samples, if it is known."""
    C: float
    C_unlabeled: float

    def shares_to_try(self, pair: tuple[int, int]) -> list[float]:
        """Return the shares of the pair's second class to try."""
        first, second = pair
        weights = self.n_labels if self.class_shares is None else self.class_shares
        share = float(weights[second] / (weights[first] + weights[second]))
        if self.class_shares is not None:
            return [share]
        n_labels = int(self.n_labels[first] + self.n_labels[second])
        is_only_pair = len(self.n_labels) == 2
        n_errors = _N_STANDARD_ERRORS if is_only_pair else _N_STANDARD_ERRORS_OF_PAIRS
        return shares_to_try(share, n_labels, n_errors)


def _fit_pair(
    training: _Training, pair: tuple[int, int], supervised: Separator, seed: int | None
) -> tuple[Separator, bool]:
    """Fit the separator of two classes; return also whether unlabeled samples influenced it."""
    members = np.flatnonzero(np.isin(training.likely_codes, pair))
    features = training.features
    if len(members) < len(training.codes):
        features = features[members]
    columns = _nonzero_columns(features)
    problem = _problem(
        features[:, columns],
        (training.codes[members], training.spread_codes[members]),
        pair,
        training.shares_to_try(pair),
        supervised._replace(weights=supervised.weights[columns]),
        training.C,
    )
    separator, used_unlabeled = best_separator(problem, training.C, training.C_unlabeled, seed)
    if not used_unlabeled:
        return supervised, False
    weights = np.zeros(training.features.shape[1])
    weights[columns] = separator.weights
    return separator._replace(weights=weights), True


def _problem(
    features: Any,
    codes: tuple[NDArray[np.intp], NDArray[np.intp]],
    pair: tuple[int, int],
    shares: list[float],
    supervised: Separator,
    C: float,
) -> Problem:
    """Say what to try on the samples of two classes, given their known codes and spread codes."""
    known, spread = codes
    samples = samples_of(features, np.flatnonzero(known >= 0))
    signs = np.where(known[samples.labeled] == pair[1], 1.0, -1.0)
    if not len(samples.unlabeled):
        return Problem(samples, signs, supervised, [])
    attempts = [Attempt(share, supervised.weights, is_gradual=True) for share in shares]
    reached = np.flatnonzero(np.isin(spread, pair))
    if len(reached) > len(signs):
        spread_signs = np.where(spread[reached] == pair[1], 1.0, -1.0)
        start = supervised_separator(features[reached], spread_signs, C).weights
        attempts += [Attempt(share, start, is_gradual=False) for share in shares]
    return Problem(samples, signs, supervised, attempts)


def _supervised_separator(
    features: Any, codes: NDArray[np.intp], pair: tuple[int, int], C: float
) -> Separator:
    """Fit the supervised separator of two classes."""
    members = np.flatnonzero(np.isin(codes, pair))
    member_features = features[members]
    columns = _nonzero_columns(member_features)
    signs = np.where(codes[members] == pair[1], 1.0, -1.0)
    separator = supervised_separator(member_features[:, columns], signs, C)
    weights = np.zeros(features.shape[1])
    weights[columns] = separator.weights
    return separator._replace(weights=weights)


def _one_vs_rest_codes(
    features: Any, codes: NDArray[np.intp], n_classes: int, C: float
) -> NDArray[np.intp]:
    """Return the most likely class of each sample; labels stay.

    It comes from supervised separators of each class from the rest. With two classes, all unlabeled
    samples belong to the only pair, so they may have any code.
    """
    labeled = np.flatnonzero(codes >= 0)
    labeled_features = features[labeled]
    columns = _nonzero_columns(labeled_features)
    labeled_features = labeled_features[:, columns]
    largest = np.full(len(codes), -np.inf)
    likely = np.zeros(len(codes), dtype=np.intp)
    for code in range(n_classes) if n_classes > 2 else ():
        signs = np.where(codes[labeled] == code, 1.0, -1.0)
        separator = supervised_separator(labeled_features, signs, C)
        weights = np.zeros(features.shape[1])
        weights[columns] = separator.weights
        values = features @ weights + separator.intercept
        is_larger = values > largest
        largest[is_larger], likely[is_larger] = values[is_larger], code
    likely[labeled] = codes[labeled]
    return likely


def votes(values: Float64Array, n_classes: int) -> Float64Array:
    """Return how many pairs each class wins, plus less than 1/3 that breaks ties.

    Parameters
    ----------
    values : float64 array of shape (n_samples, n_pairs)
        The values on the separators of the pairs 0-1, 0-2, ..., 1-2, ...
    n_classes : int

    Returns
    -------
    float64 array of shape (n_samples, n_classes)
        The tie breaker grows with the sum of the values in favor of the class.
    """
    wins = np.zeros((len(values), n_classes))
    sums = np.zeros_like(wins)
    for place, (first, second) in enumerate(combinations(range(n_classes), 2)):
        pair_values = values[:, place]
        wins[:, first] += pair_values <= 0
        wins[:, second] += pair_values > 0
        sums[:, first] -= pair_values
        sums[:, second] += pair_values
    totals: Float64Array = wins + sums / (3 * (np.abs(sums) + 1))
    return totals


def _nonzero_columns(features: Any) -> Any:
    """Return the columns of sparse features that hold anything; all of dense ones."""
    return np.unique(features.indices) if sparse.issparse(features) else slice(None)


def _as_scaled(value: Any, name: str, scale: Callable[[], float]) -> float:
    """Return the positive number given, or 1 / scale() for "scale"."""
    if isinstance(value, str):
        as_choice(value, name, ("scale",))
        return 1 / scale()
    number = as_non_negative(value, name)
    if number == 0:
        raise ValueError(f"{name} must be a number above 0 or 'scale', got 0")
    return number


def _check_spread(X: Any, kernel: str) -> None:
    """Refuse samples so close to each other that the solver sees none of their differences."""
    lowest, highest = X.min(axis=0), X.max(axis=0)
    spread = float((highest - lowest).max())
    least = _LEAST_SPREAD[kernel]
    if 0 < spread < least:
        raise ValueError(
            f"X must vary by at least {least:g} in some column for the kernel {kernel!r}, got "
            f"{spread:g}: multiply it by a constant"
        )


def _total_variance(features: Any) -> float:
    """Return the mean squared distance of the samples from their mean; 1 if they are all equal.

    Dense samples that are extremely far away do not count: a single one would decide.
    """
    if sparse.issparse(features):
        variance = float(mean_variance_axis(features, axis=0)[1].sum())
    else:
        variance = float(without_outliers(features).var(axis=0).sum())
    return variance if variance > 0 else 1.0
