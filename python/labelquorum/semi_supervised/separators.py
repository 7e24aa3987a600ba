"""Separators of two classes that learn from unlabeled samples, too: objectives, minima, choice.

A separator is a linear function ``x @ w + b`` of the features; its sign says the class. The
supervised one minimizes a convex objective. The semi-supervised objective has many local minima, so
L-BFGS starts from several points, and `best_separator` takes the best result.

An evaluation takes O(values of the features), a minimum about a hundred evaluations.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Float64Array = NDArray[np.float64]

_SHARPNESS = 3.0  # of the loss of an unlabeled sample, exp(-3 f^2)
_WEIGHT_STEPS = tuple(0.25**i for i in range(5, -1, -1))  # of unlabeled samples, up to the full one
_MIN_SHARE_DIFFERENCE = 0.04  # between the shares to try
_PLAUSIBLE_RATIO = 1.25  # of the relative cost of a separator to that of the best one
_N_RANDOM_STARTS = 6
_TOLERANCE = 1e-6  # the relative decrease of the objective at which the search ends
_SUPERVISED_TOLERANCE = 1e-12  # cheap, since samples are few and the objective is convex
_MAX_STEPS = 200  # of one search


class Samples(NamedTuple):
    """The features of all samples, and which samples are labeled."""

    features: Any
    """(n_samples, n_features), dense or CSR."""
    labeled: NDArray[np.int64]
    """Rows of the labeled samples, ascending."""
    unlabeled: NDArray[np.int64]
    """All other rows, ascending."""
    mean: Float64Array
    """(n_features,): the mean of the unlabeled samples; 0 if there are none."""


class Separator(NamedTuple):
    """The function ``x @ weights + intercept``, positive for the second class."""

    weights: Float64Array
    intercept: float
    relative_cost: float
    """The lower, the better: see `semi_supervised_separator`. Has no meaning if supervised."""
    share: float = math.nan
    """The share of the second class among the unlabeled samples that was assumed."""


class Attempt(NamedTuple):
    """What a search for a semi-supervised separator assumes, and where it starts."""

    share: float
    """The share of the second class among the unlabeled samples."""
    start: Float64Array
    """(n_features,): the first weights."""
    is_gradual: bool
    """Whether the weight of unlabeled samples grows in steps, for a start far from a minimum."""


class Problem(NamedTuple):
    """Two classes to separate."""

    samples: Samples
    signs: Float64Array
    """(n_labeled,): -1 for the first class, 1 for the second."""
    supervised: Separator
    attempts: list[Attempt]


def samples_of(features: Any, labeled: NDArray[np.int64]) -> Samples:
    """Split samples into labeled and unlabeled ones."""
    is_unlabeled = np.ones(features.shape[0], dtype=bool)
    is_unlabeled[labeled] = False
    unlabeled = np.flatnonzero(is_unlabeled)
    mean = features.T @ is_unlabeled.astype(np.float64) / max(1, len(unlabeled))
    return Samples(features, labeled, unlabeled, mean)


def supervised_objective(
    parameters: Float64Array, features: Any, signs: Float64Array, C: float
) -> tuple[float, Float64Array]:
    """Compute 1/2 (|w|^2 + b^2) + C sum(max(0, 1 - y f)^2), f = x @ w + b, and its gradient.

    `parameters` is (w, b), and so is the gradient.
    """
    slack = np.maximum(1 - signs * (features @ parameters[:-1] + parameters[-1]), 0)
    slopes = -2 * C * signs * slack
    gradient = parameters + np.append(features.T @ slopes, slopes.sum())
    return float(0.5 * (parameters @ parameters) + C * (slack @ slack)), gradient


def semi_supervised_objective(
    w: Float64Array,
    samples: Samples,
    signs: Float64Array,
    balance: float,
    C: float,
    C_unlabeled: float,
) -> tuple[float, Float64Array]:
    """Compute the objective of labeled and unlabeled samples, and its gradient in w.

    The objective is 1/2 |w|^2 + C sum(max(0, 1 - y f)^2) over the labeled samples plus
    C_unlabeled sum(exp(-3 f^2)) over the unlabeled ones, with f = (x - mean) @ w + balance. Here
    mean is that of the unlabeled samples. So f has the mean `balance` over them, whatever w is.
    """
    f = samples.features @ w
    f += balance - samples.mean @ w
    slack = np.maximum(1 - signs * f[samples.labeled], 0)
    losses = np.exp(-_SHARPNESS * f * f)
    losses[samples.labeled] = 0
    value = 0.5 * (w @ w) + C * (slack @ slack) + C_unlabeled * losses.sum()
    slopes = (-2 * _SHARPNESS * C_unlabeled) * f * losses
    slopes[samples.labeled] = -2 * C * signs * slack
    gradient: Float64Array = samples.features.T @ slopes
    gradient += w
    gradient -= slopes.sum() * samples.mean
    return float(value), gradient


def _minimum(
    objective: Any, start: Float64Array, *args: Any, tolerance: float = _TOLERANCE
) -> tuple[Float64Array, float]:
    """Return a local minimum and the objective there."""
    # A limit on the gradient would depend on the scale of the features.
    options = {"maxiter": _MAX_STEPS, "ftol": tolerance, "gtol": 0.0}
    result = minimize(objective, start, args, "L-BFGS-B", jac=True, options=options)
    return result.x, float(result.fun)


def supervised_separator(features: Any, signs: Float64Array, C: float) -> Separator:
    """Fit a support vector machine to labeled samples."""
    start = np.zeros(features.shape[1] + 1)
    args = features, signs, C
    parameters, value = _minimum(
        supervised_objective, start, *args, tolerance=_SUPERVISED_TOLERANCE
    )
    return Separator(parameters[:-1], float(parameters[-1]), value)


def semi_supervised_separator(
    samples: Samples, signs: Float64Array, attempt: Attempt, C: float, C_unlabeled: float
) -> Separator:
    """Fit a separator to labeled and unlabeled samples.

    Its relative cost is the objective divided by that of the constant function with the same
    balance. The objectives themselves are not comparable: a large balance makes the losses of
    unlabeled samples small, whatever the weights are.
    """
    balance = 2 * attempt.share - 1
    w, value = attempt.start, 0.0
    for weight in _WEIGHT_STEPS if attempt.is_gradual else _WEIGHT_STEPS[-1:]:
        args = samples, signs, balance, C, weight * C_unlabeled
        w, value = _minimum(semi_supervised_objective, w, *args)
    constant, _ = semi_supervised_objective(
        np.zeros_like(w), samples, signs, balance, C, C_unlabeled
    )
    intercept = float(balance - samples.mean @ w)
    return Separator(w, intercept, value / constant, attempt.share)


def shares_to_try(share: float, n_labeled: int, n_standard_errors: int) -> list[float]:
    """Return the shares of a class that are plausible if `share` of n_labeled labels are its own.

    The share itself, then both ends of its Wilson interval at 1, ..., n_standard_errors standard
    errors, without those within 0.04 of an earlier one.
    """
    shares: list[float] = []
    for z in range(n_standard_errors + 1):
        z2 = z * z / n_labeled
        middle = (share + z2 / 2) / (1 + z2)
        half_width = np.sqrt(z2 * (share * (1 - share) + z2 / 4)) / (1 + z2)
        for candidate in (float(middle - half_width), float(middle + half_width)):
            if all(abs(candidate - other) >= _MIN_SHARE_DIFFERENCE for other in shares):
                shares.append(candidate)
    return shares


def best_separator(
    problem: Problem, C: float, C_unlabeled: float, seed: int | None
) -> tuple[Separator, bool]:
    """Return the best separator, and whether unlabeled samples influenced it.

    With a seed, the choice is safe: the supervised separator is returned unless the best one
    clearly helps.
    """
    samples, signs, supervised, attempts = problem
    if not attempts:
        return supervised, False

    def separators_of(attempts: list[Attempt]) -> list[Separator]:
        return [
            semi_supervised_separator(samples, signs, attempt, C, C_unlabeled)
            for attempt in attempts
        ]

    separators = separators_of(attempts)
    best = min(separators, key=lambda separator: separator.relative_cost)
    if seed is not None:
        random = np.random.RandomState(seed)
        starts = [random_start(samples, random) for _ in range(_N_RANDOM_STARTS)]
        separators += separators_of(
            [Attempt(best.share, start, is_gradual=False) for start in starts]
        )
        if not clearly_helps(best, separators, supervised, samples):
            return supervised, False
    return best, True


def clearly_helps(
    best: Separator, others: list[Separator], supervised: Separator, samples: Samples
) -> bool:
    """Return whether `best` beats the supervised separator whichever plausible one is the truth.

    A separator is plausible if its relative cost is at most 1.25 times that of the best one.
    """
    best_sides = _is_on_positive_side(best, samples)
    is_contested = best_sides != _is_on_positive_side(supervised, samples)
    return not is_contested.any() or all(
        np.mean(_is_on_positive_side(other, samples)[is_contested] == best_sides[is_contested])
        > 0.5
        for other in others
        if other.relative_cost <= _PLAUSIBLE_RATIO * best.relative_cost
    )


def _is_on_positive_side(separator: Separator, samples: Samples) -> NDArray[np.bool_]:
    """Return on which side of the separator each unlabeled sample is."""
    values = samples.features @ separator.weights + separator.intercept
    is_positive: NDArray[np.bool_] = values[samples.unlabeled] > 0
    return is_positive


def random_start(samples: Samples, random: np.random.RandomState) -> Float64Array:
    """Draw weights in the span of the samples for which values have a variance of 1."""
    signs = random.choice([-1.0, 1.0], samples.features.shape[0])
    start: Float64Array = samples.features.T @ signs - signs.sum() * samples.mean
    deviation = float((samples.features @ start).std())
    return start / deviation if deviation > 0 else start
