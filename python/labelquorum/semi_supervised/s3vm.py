"""Support vector machines that learn from unlabeled samples, too."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from itertools import combinations
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import minimize
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_approximation import Nystroem
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.sparsefuncs import mean_variance_axis
from sklearn.utils.validation import check_is_fitted, validate_data

from labelquorum._shared.arguments import as_choice, as_n_threads, as_non_negative, as_positive
from labelquorum._shared.labels import known_labels
from labelquorum._shared.progress import progress
from labelquorum.semi_supervised.propagation import LabelSpreading

Vector = NDArray[np.float64]

KERNELS = ("linear", "rbf")
_SHARPNESS = 3.0  # of the loss of unlabeled samples, exp(-3 f^2)
_WEIGHTS = tuple(0.25**i for i in range(5, -1, -1))  # of unlabeled samples: shares of the full one
_STANDARD_ERRORS = 2  # from the labels' share of a class to the shares tried, with two classes;
_STANDARD_ERRORS_OF_PAIRS = 1  # with more, where samples of other classes blur what fits best
_LEAST_DIFFERENCE = 0.04  # between shares tried
_NEARLY_AS_GOOD = 1.25  # times as bad as the best separator
_N_RANDOM_STARTS = 6
_TOLERANCE = 1e-6  # it is a minimum where a step lowers the objective by less, relatively
_SUPERVISED_TOLERANCE = 1e-12  # few samples, and a convex objective: cheap
_MAX_STEPS = 200  # on the way to a minimum


class Samples(NamedTuple):
    """The features of all samples, which of them have a label, and the mean of those without."""

    features: Any
    labeled: NDArray[np.int64]
    unlabeled: NDArray[np.int64]
    mean: Vector


class Separator(NamedTuple):
    """The function x @ weights + intercept, what speaks against it, and the share held to."""

    weights: Vector
    intercept: float
    badness: float
    share: float = math.nan


def samples_of(features: Any, labeled: NDArray[np.int64]) -> Samples:
    """Tell the samples with a label from those without."""
    rest = np.ones(features.shape[0], dtype=bool)
    rest[labeled] = False
    unlabeled = np.flatnonzero(rest)
    mean = features.T @ rest.astype(np.float64) / max(1, len(unlabeled))
    return Samples(features, labeled, unlabeled, mean)


def supervised_objective(
    parameters: Vector, features: Any, signs: Vector, C: float
) -> tuple[float, Vector]:
    """1/2 (|w|^2 + b^2) + C sum(max(0, 1 - y f)^2), f = x @ w + b; and its gradient in (w, b)."""
    slack = np.maximum(1 - signs * (features @ parameters[:-1] + parameters[-1]), 0)
    slopes = -2 * C * signs * slack
    gradient = parameters + np.append(features.T @ slopes, slopes.sum())
    return float(0.5 * (parameters @ parameters) + C * (slack @ slack)), gradient


def semi_supervised_objective(
    w: Vector, samples: Samples, signs: Vector, balance: float, C: float, C_unlabeled: float
) -> tuple[float, Vector]:
    """That of the labeled samples, and C_unlabeled sum(exp(-3 f^2)) of the others.

    f = (x - mean) @ w + balance, mean that of the unlabeled samples, over which the mean of f is
    `balance` whatever w is.
    """
    f = samples.features @ w
    f += balance - samples.mean @ w
    slack = np.maximum(1 - signs * f[samples.labeled], 0)
    losses = np.exp(-_SHARPNESS * f * f)
    losses[samples.labeled] = 0
    value = 0.5 * (w @ w) + C * (slack @ slack) + C_unlabeled * losses.sum()
    slopes = (-2 * _SHARPNESS * C_unlabeled) * f * losses
    slopes[samples.labeled] = -2 * C * signs * slack
    gradient: Vector = samples.features.T @ slopes
    gradient += w
    gradient -= slopes.sum() * samples.mean
    return float(value), gradient


def _minimum(
    objective: Any, start: Vector, *args: Any, tolerance: float = _TOLERANCE
) -> tuple[Vector, float]:
    # The step, not the gradient, ends it, so that the scale of the features does not matter.
    options = {"maxiter": _MAX_STEPS, "ftol": tolerance, "gtol": 0.0}
    found = minimize(objective, start, args, "L-BFGS-B", jac=True, options=options)
    return found.x, float(found.fun)


def supervised_separator(features: Any, signs: Vector, C: float) -> Separator:
    """Fit a support vector machine to samples that are all labeled."""
    start = np.zeros(features.shape[1] + 1)
    args = features, signs, C
    found, value = _minimum(supervised_objective, start, *args, tolerance=_SUPERVISED_TOLERANCE)
    return Separator(found[:-1], float(found[-1]), value)


def shares_to_try(share: float, n_labeled: int, standard_errors: int) -> list[float]:
    """What the share of a class may be where `share` of so many labels are its (Wilson's score)."""
    shares: list[float] = []
    for z in range(standard_errors + 1):
        z2 = z * z / n_labeled
        middle = (share + z2 / 2) / (1 + z2)
        half = np.sqrt(z2 * (share * (1 - share) + z2 / 4)) / (1 + z2)
        for wanted in (float(middle - half), float(middle + half)):
            if all(abs(wanted - other) >= _LEAST_DIFFERENCE for other in shares):
                shares.append(wanted)
    return shares


class Attempt(NamedTuple):
    """A share of positive samples, and weights to start from; `anneal` where those are rough."""

    share: float
    start: Vector
    anneal: bool


class Problem(NamedTuple):
    """Two classes: their labels (1 for the second), the supervised separator, and what to try."""

    samples: Samples
    signs: Vector
    svm: Separator
    attempts: list[Attempt]


def semi_supervised_separator(
    samples: Samples, signs: Vector, attempt: Attempt, C: float, C_unlabeled: float
) -> Separator:
    """Fit with labeled and unlabeled samples.

    Its badness is the objective as a share of that of the constant function with the same balance,
    since a large balance alone makes the losses of unlabeled samples small.
    """
    balance = 2 * attempt.share - 1
    w, value = attempt.start, 0.0
    for weight in _WEIGHTS if attempt.anneal else _WEIGHTS[-1:]:
        args = samples, signs, balance, C, weight * C_unlabeled
        w, value = _minimum(semi_supervised_objective, w, *args)
    nothing = np.zeros_like(w)
    constant, _ = semi_supervised_objective(nothing, samples, signs, balance, C, C_unlabeled)
    intercept = float(balance - samples.mean @ w)
    return Separator(w, intercept, value / constant, attempt.share)


def clearly_helps(
    best: Separator, others: list[Separator], svm: Separator, samples: Samples
) -> bool:
    """Whether `best` beats `svm` whichever separator nearly as good as it is the true one."""
    ours, theirs = _sides(best, samples), _sides(svm, samples)
    differing = ours != theirs
    return not differing.any() or all(
        np.mean(_sides(other, samples)[differing] == ours[differing]) > 0.5
        for other in others
        if other.badness <= _NEARLY_AS_GOOD * best.badness
    )


def _sides(separator: Separator, samples: Samples) -> NDArray[np.bool_]:
    """On which side the unlabeled samples are."""
    values = samples.features @ separator.weights + separator.intercept
    sides: NDArray[np.bool_] = values[samples.unlabeled] > 0
    return sides


def random_start(samples: Samples, random: np.random.RandomState) -> Vector:
    """Draw weights of a random direction in the span of the samples, for values of variance 1."""
    signs = random.choice([-1.0, 1.0], samples.features.shape[0])
    start: Vector = samples.features.T @ signs - signs.sum() * samples.mean
    deviation = float((samples.features @ start).std())
    return start / deviation if deviation > 0 else start


def _supervised(
    features: Any, codes: NDArray[np.intp], pair: tuple[int, int], C: float
) -> Separator:
    """Fit the supervised machine of two classes."""
    members = np.flatnonzero((codes == pair[0]) | (codes == pair[1]))
    part = features[members]
    columns = _columns_in_use(part)
    signs = np.where(codes[members] == pair[1], 1.0, -1.0)
    found = supervised_separator(part[:, columns], signs, C)
    weights = np.zeros(features.shape[1])
    weights[columns] = found.weights
    return found._replace(weights=weights)


def _seeming(features: Any, codes: NDArray[np.intp], n_classes: int, C: float) -> NDArray[np.intp]:
    """The classes of all samples as the supervised machines of one class against the rest see it.

    An unlabeled sample counts in the pairs that its class is in.
    """
    labeled = np.flatnonzero(codes >= 0)
    part = features[labeled]
    columns = _columns_in_use(part)
    part = part[:, columns]
    best = np.full(len(codes), -np.inf)
    seeming = np.zeros(len(codes), dtype=np.intp)
    for label in range(n_classes) if n_classes > 2 else ():
        signs = np.where(codes[labeled] == label, 1.0, -1.0)
        found = supervised_separator(part, signs, C)
        weights = np.zeros(features.shape[1])
        weights[columns] = found.weights
        values = features @ weights + found.intercept
        better = values > best
        best[better], seeming[better] = values[better], label
    seeming[labeled] = codes[labeled]
    return seeming


def _problem(
    features: Any,
    codes: tuple[NDArray[np.intp], NDArray[np.intp]],
    pair: tuple[int, int],
    shares: list[float],
    svm: Separator,
    C: float,
) -> Problem:
    """Say what to try on the samples of two classes, of known `codes` and guessed ones."""
    known, guessed = codes
    samples = samples_of(features, np.flatnonzero(known >= 0))
    signs = np.where(known[samples.labeled] == pair[1], 1.0, -1.0)
    if not len(samples.unlabeled):
        return Problem(samples, signs, svm, [])
    attempts = [Attempt(share, svm.weights, anneal=True) for share in shares]
    reached = np.flatnonzero((guessed == pair[0]) | (guessed == pair[1]))
    if len(reached) > len(signs):
        sides = np.where(guessed[reached] == pair[1], 1.0, -1.0)
        start = supervised_separator(features[reached], sides, C).weights
        attempts += [Attempt(share, start, anneal=False) for share in shares]
    return Problem(samples, signs, svm, attempts)


def _solved(
    problem: Problem, C: float, C_unlabeled: float, seed: int | None
) -> tuple[Separator, bool]:
    """Fit the separator of two classes; whether unlabeled samples had a say. Safe with a seed."""
    samples, signs, svm, attempts = problem
    if not attempts:
        return svm, False

    def fitted(attempts: list[Attempt]) -> list[Separator]:
        return [
            semi_supervised_separator(samples, signs, attempt, C, C_unlabeled)
            for attempt in attempts
        ]

    found = fitted(attempts)
    best = min(found, key=lambda separator: separator.badness)
    if seed is not None:
        random = np.random.RandomState(seed)
        starts = [random_start(samples, random) for _ in range(_N_RANDOM_STARTS)]
        found += fitted([Attempt(best.share, start, anneal=False) for start in starts])
        if not clearly_helps(best, found, svm, samples):
            return svm, False
    return best, True


def _votes(values: Vector, n_classes: int) -> Vector:
    """The pairs that each class wins, and less than 1/3 by the sum of its values."""
    wins = np.zeros((len(values), n_classes))
    sums = np.zeros_like(wins)
    for place, (first, second) in enumerate(combinations(range(n_classes), 2)):
        of_pair = values[:, place]
        wins[:, first] += of_pair <= 0
        wins[:, second] += of_pair > 0
        sums[:, first] -= of_pair
        sums[:, second] += of_pair
    votes: Vector = wins + sums / (3 * (np.abs(sums) + 1))
    return votes


def _columns_in_use(features: Any) -> Any:
    """The columns of sparse features that hold anything; all of dense ones."""
    return np.unique(features.indices) if sparse.issparse(features) else slice(None)


def _total_variance(features: Any) -> float:
    """The mean squared distance of the samples from their mean; 1 where they are all equal."""
    if sparse.issparse(features):
        variance = float(mean_variance_axis(features, axis=0)[1].sum())
    else:
        variance = float(features.var(axis=0).sum())
    return variance if variance > 0 else 1.0


class S3VM(ClassifierMixin, BaseEstimator):
    """Fit a support vector machine whose margin keeps clear of unlabeled samples, too.

    Parameters
    ----------
    kernel : {"linear", "rbf"}, default="linear"
        What separates the classes: a plane, or a surface made of Gaussian bumps of
        ``exp(-gamma d**2)``.
    C : float or "scale", default="scale"
        What an error on a labeled sample costs beside a narrow margin, as for scikit-learn's
        LinearSVC. "scale": 1 / the total variance of the features (with "rbf", of those of the
        kernel), so that the scale of X does not matter.
    gamma : float or "scale", default="scale"
        For "rbf"; as for scikit-learn's SVC, "scale" is 1 / (n_features * X.var()).
    unlabeled_weight : float, default=1.0
        What an unlabeled sample counts beside a labeled one.
    class_shares : array-like of shape (n_classes,), optional
        The share of each class (in the order of `classes_`) among the unlabeled samples, summing
        to 1. None to find them near those of the labels.
    safe : bool, default=False
        Fall back to the supervised support vector machine where the unlabeled samples do not say
        clearly that they help; see Notes.
    n_components : int, default=1000
        For "rbf": the number of samples whose kernel makes the features. With no more samples than
        that it is exact, else the approximation of scikit-learn's Nystroem with samples drawn at
        random.
    random_state : int, RandomState instance or None, default=None
        Draws these samples, and the random starts of `safe`.
    n_jobs : int, optional
        Number of threads, each with another pair of classes; -1 for all cores available. The
        result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    transduction_ : array of shape (n_samples,)
        The class of each sample; given labels as they are.
    used_unlabeled_ : bool array of shape (n_pairs,)
        For each pair of classes, n_pairs = n_classes * (n_classes - 1) / 2, whether unlabeled
        samples had a say: not where `safe` fell back, nor where there are none.
    C_, gamma_ : float
        What "scale" came to; `gamma_` with "rbf" only.
    coef_ : float64 array of shape (n_pairs, n_features)
        For each pair, in the order 0-1, 0-2, ..., 1-2, ..., the normal of the separator, which has
        the second class on its positive side. With "linear" only.
    intercept_ : float64 array of shape (n_pairs,)
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    The method is QN-S3VM: Gieseke, Airola, Pahikkala and Kramer, "Fast and simple gradient-based
    optimization for semi-supervised support vector machines", Neurocomputing 123, 2014, with the
    losses of Chapelle and Zien, "Semi-supervised classification by low density separation",
    AISTATS 2005. For each pair of classes, L-BFGS minimizes
    ``|w|**2 / 2 + C sum(max(0, 1 - y f)**2) + C unlabeled_weight sum(exp(-3 f**2))``, the first
    sum over labeled samples, the second over the others, whose mean of f is held at 2 share - 1.
    It starts from the supervised machine, which is scikit-learn's LinearSVC, and the weight of
    unlabeled samples grows in 6 steps.

    What is added to it: the share is not known, so shares up to two standard errors (one with more
    than two classes) from that of the labels are tried. With "rbf" each is also tried from what
    `LabelSpreading` says, since label by label the way to classes of odd shapes is barred by local
    minima. What counts is the separator whose objective is the smallest share of that of the
    constant function with the same mean.

    With more than two classes, each pair has the unlabeled samples that supervised machines of one
    class against the rest put in either, and the pairs vote. Semi-supervised machines of one class
    against the rest were worse than supervised ones on all data tried: where the rest is of many
    groups, the widest gap is seldom the one around the class.

    `safe` asks whether the chosen separator would beat the supervised machine if another one were
    the truth: each that was tried, and others from 6 random starts, if its objective, so measured,
    is at most 1.25 times as large. After Li and Zhou, "Towards making unlabeled data never hurt",
    IEEE TPAMI 37, 2015. Where there are no groups, such separators abound, and it falls back;
    where there are several plausible ones, it costs gains.

    X is held in float64. An evaluation takes O(values of X), and there are about a hundred for each
    separator, of which there are up to 5 for a pair (10 with "rbf", 6 more with `safe`). Memory
    beyond X, in numbers: n_pairs * n_features, some 25 times n_features for each thread, and with
    "rbf" n_samples * n_components.

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

    def fit(self, X: Any, y: Any) -> Self:
        """Fit from labeled and unlabeled samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or with "linear" also a SciPy sparse one
        y : array-like of shape (n_samples,)
            Classes, with -1 (or None, among strings) for a sample without a label. At least two
            classes.

        Returns
        -------
        S3VM
            Itself.

        Raises
        ------
        TypeError, ValueError
            If an argument or parameter is of the wrong type, shape or range; if y holds no label,
            or only one class.
        """
        as_choice(self.kernel, "kernel", KERNELS)
        unlabeled_weight = as_non_negative(self.unlabeled_weight, "unlabeled_weight")
        n_components = as_positive(self.n_components, "n_components")
        n_threads = as_n_threads(self.n_jobs)
        X = self._validated(X, reset=True)
        known = known_labels(y, X.shape[0], type(self).__name__, shares=False)
        self.classes_ = known.classes
        n_classes = len(known.classes)
        if n_classes < 2:
            only = known.classes.tolist()[0]
            raise ValueError(f"y holds one class only, {only!r}; wanted labels of two or more")
        given = self._given_shares(n_classes)
        if self.kernel == "rbf":
            self.gamma_ = _as_scaled(
                self.gamma, "gamma", lambda: X.shape[1] * float(X.var()) or 1.0
            )
            self._map = Nystroem(
                gamma=self.gamma_,
                n_components=min(n_components, X.shape[0]),
                random_state=self.random_state,
            )
            features = self._map.fit_transform(X)
        else:
            features = X
        self.C_ = _as_scaled(self.C, "C", lambda: _total_variance(features))
        codes = np.full(X.shape[0], -1)
        codes[known.samples] = known.shares.argmax(axis=1)
        guesses = codes
        if self.kernel == "rbf" and len(known.samples) < len(codes):
            guesses = _guesses(X, codes, n_threads)
        pairs = list(combinations(range(n_classes), 2))
        supervised = [_supervised(features, codes, pair, self.C_) for pair in pairs]
        self._weights = np.stack([separator.weights for separator in supervised])
        self.intercept_ = np.array([separator.intercept for separator in supervised])
        seeming = _seeming(features, codes, n_classes, self.C_)
        seeds = check_random_state(self.random_state).randint(2**31 - 1, size=len(pairs))

        counts = known.shares.sum(axis=0)
        standard_errors = _STANDARD_ERRORS if n_classes == 2 else _STANDARD_ERRORS_OF_PAIRS

        def fitted(place: int) -> tuple[Separator, bool, Any]:
            first, second = pair = pairs[place]
            members = np.flatnonzero((seeming == first) | (seeming == second))
            part = features[members] if len(members) < len(codes) else features
            columns = _columns_in_use(part)
            weights = given if given is not None else counts
            share = float(weights[second] / (weights[first] + weights[second]))
            shares = [share]
            if given is None:
                shares = shares_to_try(share, int(counts[first] + counts[second]), standard_errors)
            start = Separator(self._weights[place, columns], self.intercept_[place], math.nan)
            problem = _problem(
                part[:, columns],
                (codes[members], guesses[members]),
                pair,
                shares,
                start,
                self.C_,
            )
            costs = self.C_, unlabeled_weight * self.C_
            return *_solved(problem, *costs, seeds[place] if self.safe else None), columns

        if unlabeled_weight == 0:
            pairs = []
        self.used_unlabeled_ = np.zeros(len(supervised), dtype=bool)
        with progress(self.verbose) as show:
            results = Parallel(n_threads, prefer="threads", return_as="generator")(
                delayed(fitted)(place) for place in range(len(pairs))
            )
            for place, (separator, used, columns) in enumerate(results):
                if used:
                    self._weights[place] = 0
                    self._weights[place, columns] = separator.weights
                    self.intercept_[place] = separator.intercept
                    self.used_unlabeled_[place] = True
                if show is not None:
                    show("pairs of classes", (place + 1) / len(pairs))
        if self.kernel == "linear":
            self.coef_ = self._weights
        labeled = codes >= 0
        self.transduction_ = self.classes_[
            np.where(labeled, codes, self._codes(self._values(features)))
        ]
        return self

    def _given_shares(self, n_classes: int) -> Vector | None:
        if self.class_shares is None:
            return None
        wanted = f"wanted {n_classes}, one for each class, above 0 and summing to 1"
        shares = np.asarray(self.class_shares)
        if shares.dtype.kind not in "iuf":
            raise TypeError(f"class_shares has dtype {shares.dtype}; {wanted}")
        if shares.shape != (n_classes,):
            raise ValueError(f"class_shares has shape {shares.shape}; {wanted}")
        if not (shares > 0).all() or not abs(shares.sum() - 1) <= 1e-6:
            raise ValueError(f"class_shares is {shares.tolist()}; {wanted}")
        return shares.astype(np.float64)

    def _validated(self, X: Any, *, reset: bool) -> Any:
        sparse_format = "csr" if self.kernel == "linear" else False
        return validate_data(self, X, accept_sparse=sparse_format, dtype=np.float64, reset=reset)

    def _values(self, features: Any) -> Vector:
        """The value of each sample (row) on the separator of each pair of classes."""
        values: Vector = features @ self._weights.T + self.intercept_
        return values

    def _codes(self, values: Vector) -> NDArray[np.intp]:
        codes: NDArray[np.intp]
        if len(self.classes_) == 2:
            codes = (values[:, 0] > 0).astype(np.intp)
        else:
            codes = _votes(values, len(self.classes_)).argmax(axis=1)
        return codes

    def _values_of(self, X: Any) -> Vector:
        check_is_fitted(self)
        X = self._validated(X, reset=False)
        return self._values(self._map.transform(X) if self.kernel == "rbf" else X)

    def decision_function(self, X: Any) -> Vector:
        """Compute on which side of the separators samples lie, and how far.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features), as for `fit`

        Returns
        -------
        float64 array of shape (n_samples,) or (n_samples, n_classes)
            With two classes, above 0 for the second; beyond -1 and 1 clear of the margin. With
            more, how many pairs a class wins, and less than 1/3 that tells equal numbers apart.
        """
        values = self._values_of(X)
        n_classes = len(self.classes_)
        return values[:, 0] if n_classes == 2 else _votes(values, n_classes)

    def predict(self, X: Any) -> NDArray[Any]:
        """Label samples.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features), as for `fit`

        Returns
        -------
        array of shape (n_samples,)
        """
        codes = self._codes(self._values_of(X))
        labels: NDArray[Any] = self.classes_[codes]
        return labels


def _as_scaled(value: Any, name: str, scale: Callable[[], float]) -> float:
    """The positive number given, or 1 / scale() for "scale"."""
    if isinstance(value, str):
        as_choice(value, name, ("scale",))
        return 1 / scale()
    number = as_non_negative(value, name)
    if number == 0:
        raise ValueError(f"{name} is 0; wanted a number above 0, or 'scale'")
    return number


def _guesses(X: Vector, codes: NDArray[np.intp], n_threads: int) -> NDArray[np.intp]:
    """The classes when labels spread over the nearest neighbours, -1 where none comes."""
    with warnings.catch_warnings():
        # Where labels have not settled, they are a start all the same.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found: NDArray[np.intp] = LabelSpreading(n_jobs=n_threads).fit(X, codes).transduction_
    found[codes >= 0] = codes[codes >= 0]
    return found
