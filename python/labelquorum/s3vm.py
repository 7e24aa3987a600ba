"""Support vector machines that learn from unlabeled samples, too."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
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

from labelquorum._labels import known_labels
from labelquorum._progress import progress
from labelquorum._validation import as_choice, as_n_threads, as_non_negative, as_positive
from labelquorum.propagation import LabelSpreading

Vector = NDArray[np.float64]

KERNELS = ("linear", "rbf")
_SHARPNESS = 3.0  # of the loss of unlabeled samples, exp(-3 f^2)
_WEIGHTS = tuple(0.25**i for i in range(5, -1, -1))  # of unlabeled samples: shares of the full one
_STANDARD_ERRORS = (0.0, 1.0, 2.0)  # from the labels' share of a class to the shares tried
_LEAST_DIFFERENCE = 0.04  # between shares tried
_NEARLY_AS_GOOD = 1.25  # times as bad as the best separator
_N_RANDOM_STARTS = 6
_TOLERANCE = 1e-6  # it is a minimum where a step lowers the objective by less, relatively
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
    if len(unlabeled):
        mean = np.asarray(features[unlabeled].mean(axis=0), dtype=np.float64).ravel()
    else:
        mean = np.zeros(features.shape[1])
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


def _minimum(objective: Any, start: Vector, *args: Any) -> tuple[Vector, float]:
    # The step, not the gradient, ends it, so that the scale of the features does not matter.
    options = {"maxiter": _MAX_STEPS, "ftol": _TOLERANCE, "gtol": 0.0}
    found = minimize(objective, start, args, "L-BFGS-B", jac=True, options=options)
    return found.x, float(found.fun)


def supervised_separator(features: Any, signs: Vector, C: float) -> Separator:
    """Fit a support vector machine to samples that are all labeled."""
    start = np.zeros(features.shape[1] + 1)
    found, value = _minimum(supervised_objective, start, features, signs, C)
    return Separator(found[:-1], float(found[-1]), value)


def shares_to_try(share: float, n_labeled: int) -> list[float]:
    """What the share of a class may be where `share` of so many labels are its (Wilson's score)."""
    shares: list[float] = []
    for z in _STANDARD_ERRORS:
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
    """One class against the rest: its labels, the supervised separator, and others to try."""

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
    unlabeled = samples.features[samples.unlabeled]
    ours, theirs = _sides(best, unlabeled), _sides(svm, unlabeled)
    differing = ours != theirs
    return not differing.any() or all(
        np.mean(_sides(other, unlabeled)[differing] == ours[differing]) > 0.5
        for other in others
        if other.badness <= _NEARLY_AS_GOOD * best.badness
    )


def _sides(separator: Separator, features: Any) -> NDArray[np.bool_]:
    sides: NDArray[np.bool_] = features @ separator.weights + separator.intercept > 0
    return sides


def random_start(samples: Samples, random: np.random.RandomState) -> Vector:
    """Draw weights of a random direction in the span of the samples, for values of variance 1."""
    signs = random.choice([-1.0, 1.0], samples.features.shape[0])
    start: Vector = samples.features.T @ signs - signs.sum() * samples.mean
    deviation = float((samples.features @ start).std())
    return start / deviation if deviation > 0 else start


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
        Number of threads, each with another fit; -1 for all cores available. The result does not
        depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
    transduction_ : array of shape (n_samples,)
        The class of each sample; given labels as they are.
    used_unlabeled_ : bool array of shape (n_classes,), or (1,) with two classes
        For each class against the rest, whether the unlabeled samples had a say. False where
        `safe` fell back, and without unlabeled samples.
    C_, gamma_ : float
        What "scale" came to; gamma_ with "rbf" only.
    coef_ : float64 array of shape (n_classes, n_features), or (1, n_features) with two classes
        The separators' normals. With "linear" only.
    intercept_ : float64 array of the same number of values
    n_features_in_, feature_names_in_
        As in scikit-learn.

    Notes
    -----
    The method is QN-S3VM: Gieseke, Airola, Pahikkala and Kramer, "Fast and simple gradient-based
    optimization for semi-supervised support vector machines", Neurocomputing 123, 2014, with the
    losses of Chapelle and Zien, "Semi-supervised classification by low density separation",
    AISTATS 2005. For each class against the rest, L-BFGS minimizes
    ``|w|**2 / 2 + C sum(max(0, 1 - y f)**2) + C unlabeled_weight sum(exp(-3 f**2))``, the first
    sum over labeled samples, the second over the others, whose mean of f is held at 2 share - 1.
    It starts from the supervised machine, which is scikit-learn's LinearSVC, and the weight of
    unlabeled samples grows in 6 steps.

    What is added to it: the share is not known, so shares up to two standard errors from that of
    the labels are tried. With "rbf" each is also tried from what `LabelSpreading` says, since
    label by label the way to classes of odd shapes is barred by local minima. What counts is the
    separator whose objective is the smallest share of that of the constant function with the same
    mean.

    `safe` asks whether the chosen separator would beat the supervised machine if another one were
    the truth: each that was tried, and others from 6 random starts, if its objective, so measured,
    is at most 1.25 times as large. After Li and Zhou, "Towards making unlabeled data never hurt",
    IEEE TPAMI 37, 2015. Where there are no groups, such separators abound, and it falls back;
    where there are several plausible ones, it costs gains.

    X is held in float64. An evaluation takes O(values of X), and there are about a hundred for each
    separator, of which there are up to 5 for a class (10 with "rbf", 6 more with `safe`). Memory
    beyond X: with "rbf" n_samples * n_components, and some 25 times n_features for each thread.

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
        samples = samples_of(features, known.samples)
        codes = known.shares.argmax(axis=1)
        guesses = None
        if self.kernel == "rbf" and len(samples.unlabeled):
            guesses = _guesses(X, known.samples, codes, n_threads)
        # Two classes need one separator, which has the second on its positive side.
        positive = [1] if n_classes == 2 else range(n_classes)
        problems = [self._problem(samples, codes, given, guesses, label) for label in positive]
        costs = self.C_, unlabeled_weight * self.C_
        tasks = [(problem, attempt) for problem in problems for attempt in problem.attempts]
        random = check_random_state(self.random_state)
        separators = []
        with progress(self.verbose) as show:
            found = self._fitted(samples, tasks, costs, n_threads, show, "separators")
            for problem in problems:
                tried, found = found[: len(problem.attempts)], found[len(problem.attempts) :]
                best = min(tried, key=lambda separator: separator.badness, default=problem.svm)
                if tried and self.safe:
                    starts = [random_start(samples, random) for _ in range(_N_RANDOM_STARTS)]
                    more = [(problem, Attempt(best.share, w, anneal=False)) for w in starts]
                    tried += self._fitted(samples, more, costs, n_threads, show, "safety")
                    if not clearly_helps(best, tried, problem.svm, samples):
                        best = problem.svm
                separators.append(best)
        self.used_unlabeled_ = np.array(
            [best is not problem.svm for best, problem in zip(separators, problems, strict=True)]
        )
        self._weights = np.stack([separator.weights for separator in separators])
        self.intercept_ = np.array([separator.intercept for separator in separators])
        if self.kernel == "linear":
            self.coef_ = self._weights
        found_codes = self._codes(self._values(features))
        found_codes[known.samples] = codes
        self.transduction_ = known.classes[found_codes]
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

    def _problem(
        self,
        samples: Samples,
        codes: NDArray[np.intp],
        given: Vector | None,
        guesses: tuple[NDArray[np.intp], NDArray[np.intp]] | None,
        label: int,
    ) -> Problem:
        signs = np.where(codes == label, 1.0, -1.0)
        svm = supervised_separator(samples.features[samples.labeled], signs, self.C_)
        if not len(samples.unlabeled) or self.unlabeled_weight == 0:
            return Problem(signs, svm, [])
        if given is None:
            shares = shares_to_try(float((signs > 0).mean()), len(signs))
        else:
            shares = [float(given[label])]
        attempts = [Attempt(share, svm.weights, anneal=True) for share in shares]
        if guesses is not None:
            reached, guessed = guesses
            sides = np.where(guessed == label, 1.0, -1.0)
            start = supervised_separator(samples.features[reached], sides, self.C_).weights
            attempts += [Attempt(share, start, anneal=False) for share in shares]
        return Problem(signs, svm, attempts)

    @staticmethod
    def _fitted(
        samples: Samples,
        tasks: list[tuple[Problem, Attempt]],
        costs: tuple[float, float],
        n_threads: int,
        show: Callable[[str, float], None] | None,
        stage: str,
    ) -> list[Separator]:
        results = Parallel(n_threads, prefer="threads", return_as="generator")(
            delayed(semi_supervised_separator)(samples, problem.signs, attempt, *costs)
            for problem, attempt in tasks
        )
        found = []
        for result in results:
            found.append(result)
            if show is not None:
                show(stage, len(found) / len(tasks))
        return found

    def _validated(self, X: Any, *, reset: bool) -> Any:
        sparse_format = "csr" if self.kernel == "linear" else False
        return validate_data(self, X, accept_sparse=sparse_format, dtype=np.float64, reset=reset)

    def _values(self, features: Any) -> Vector:
        """The value of each sample (row) on each separator."""
        values: Vector = features @ self._weights.T + self.intercept_
        return values

    def _codes(self, values: Vector) -> NDArray[np.intp]:
        codes: NDArray[np.intp]
        codes = (
            (values[:, 0] > 0).astype(np.intp) if values.shape[1] == 1 else values.argmax(axis=1)
        )
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
            more, the largest value is that of the class.
        """
        values = self._values_of(X)
        return values[:, 0] if values.shape[1] == 1 else values

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


def _guesses(
    X: NDArray[np.float64], labeled: NDArray[np.int64], codes: NDArray[np.intp], n_threads: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The samples that labels come to when they spread over the nearest neighbours, and which."""
    y = np.full(len(X), -1)
    y[labeled] = codes
    with warnings.catch_warnings():
        # Where labels have not settled, they are a start all the same.
        warnings.simplefilter("ignore", ConvergenceWarning)
        spread = LabelSpreading(n_jobs=n_threads).fit(X, y).transduction_
    reached = np.flatnonzero(spread >= 0)
    return reached, spread[reached]
