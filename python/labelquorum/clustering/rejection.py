"""Which answers to new samples can be trusted: what predicting says where the answer is known.

1. *Labels left out.* Samples with a label are judged in five parts. For each part, the directions
   that tell categories apart are learned without its labels, and the samples are predicted from all
   others. This shows how often an answer of which probability is wrong, as it will be for new
   samples. It also calibrates the probabilities: shares are raised to a power, the most likely one.
2. *Categories left out.* A tenth of the categories is hidden at a time, and their samples are
   predicted from all others. This shows which probabilities samples of a category get that nobody
   has seen.

An answer is given only if its probability is high enough in both respects, and if the sample is no
farther from the training samples than they are from each other.

Labeled samples cannot simply be left out of their own neighbors: directions that were learned from
a label put its sample among others with the same one. The clustering itself is not repeated. A
label moves the shares of other samples a little, so that few labels look a little too good; the
bounds, which are wide for few labels, make up for it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from labelquorum._shared.frame import Float64Array, Framed, Rows, learned_metric, shaped
from labelquorum._shared.sealed import check_kinds, check_stored
from labelquorum.clustering.nearest import (
    Integers,
    Nearest,
    nearest_to,
    p_values,
    usual_distances,
)
from labelquorum.clustering.outcome import Outcome, answers_of, trained_classifier
from labelquorum.quality.checks import guaranteed_threshold, n_checks_needed

# Of the bound on wrong answers, by the wrong ones that the first test of a sequence tolerates.
_ERRORS = {None: 0.04, 4: 0.01}
_NOVELTY_LEVEL = 0.05  # the share of usual samples that are rejected as unlike the others
_SHARE_UNSEEN = 0.9  # of samples of hidden categories that are rejected
_FEWEST_CATEGORIES = 3  # to hide one of; with a single one left, all shares are 1
_N_PARTS, _N_HIDINGS = 5, 10
_MOST_JUDGED, _MOST_USUAL, _MOST_USUAL_OF_HIDING = 3_000, 3_000, 300
_MOST_ROWS = 50_000
_LEAST_SHARE = 1e-3
_LARGEST_EXPONENT = 8.0
_N_BINS = 10
_DECIMALS = 9


@dataclass(frozen=True, eq=False)
class Trial:
    """How predicting does on training samples whose answer is known."""

    exponent: float
    """The power of the shares that makes probabilities of them."""
    scores: Float64Array
    """(n_judged,): the probability of the answer to each judged sample, its own label left out."""
    right: NDArray[np.bool_]
    """(n_judged,): whether the answer is right."""
    unseen_score: float
    """The probability that 90 % of the samples whose category was hidden do not exceed, unless
    they are novelties."""
    usual_distances: Float64Array
    """(n_usual,): of training samples to the nearest others, ascending."""
    calibration_error: float
    """The expected calibration error of the probabilities; NaN if nothing could be judged."""

    def __check_saved__(self) -> None:
        """Raise an error unless the parts fit together."""
        check_stored(self.exponent, "exponent", np.float64, ())
        if not 0 < self.exponent <= 2 * _LARGEST_EXPONENT:
            raise ValueError(f"exponent must be up to {_LARGEST_EXPONENT}, got {self.exponent}")
        check_stored(self.scores, "scores", np.float64, (None,))
        check_stored(self.right, "right", np.bool_, self.scores.shape)
        check_kinds(self, unseen_score=float, calibration_error=float)
        check_stored(self.usual_distances, "usual_distances", np.float64, (None,))

    def probabilities(self, shares: NDArray[np.floating[Any]]) -> Float64Array:
        """Turn shares into calibrated probabilities, with the same order in each row."""
        return _powers(shares, self.exponent)

    def least_score(self, level: float) -> float:
        """Return the probability from which on answers are given; infinite for none.

        Of these answers, at most a share of `level` is wrong, at 95 % confidence, if new samples
        are like the judged ones; and 90 % of the samples of hidden categories get none.

        Warns
        -----
        UserWarning
            If this cannot be said of any probability.
        """
        n_needed = n_checks_needed(1 - level, level=1 - _ERRORS[None])
        threshold = np.nan
        if len(self.scores) >= n_needed:
            threshold = _guaranteed(self.scores, self.scores[~self.right], level)
        if np.isnan(threshold):
            warnings.warn(
                f"predict rejects all samples: of {len(self.scores)} samples that were judged (the "
                f"labeled ones, and as large a share of new categories), {int(self.right.sum())} "
                f"are predicted right without their label. This does not show for any probability "
                f"that at most {level:.3g} of the answers are wrong. It takes {n_needed} such "
                "samples at least: give more labels, or a higher reject_level",
                UserWarning,
                stacklevel=3,
            )
            return np.inf
        highest = float(self.scores.max())
        # Where the most probable answers are as probable as those, no more can be asked.
        least = min(float(np.nextafter(self.unseen_score, np.inf)), highest)
        return max(float(threshold), least)

    def is_answer(
        self, scores: Float64Array, distances: Float64Array, level: float
    ) -> NDArray[np.bool_]:
        """Say which answers can be given, by their probabilities and the samples' distances."""
        is_usual = p_values(distances, self.usual_distances) > _NOVELTY_LEVEL
        certain: NDArray[np.bool_] = is_usual & (scores >= self.least_score(level))
        return certain


def tried(
    framed: Framed,
    outcome: Outcome,
    fixed: NDArray[np.int32] | None,
    classifier: Any,
    X: Any,
    n_threads: int,
) -> Trial:
    """Predict training samples whose answer is known.

    These are the samples with labels in `y` and, at the rate at which others are labeled, samples
    of new categories. Without `y`, they are any samples: the answer is right if it is their label.

    Parameters
    ----------
    framed : Framed
        The samples.
    outcome : Outcome
        What the fit found.
    fixed : int32 array of shape (n_samples,), optional
        The categories that shaped the rows, -1 for none.
    classifier : scikit-learn classifier, optional
        Gives the answers. Trained once for each part.
    X : array or sparse matrix of shape (n_samples, n_features)
        The samples for the classifier.
    n_threads : int
        Number of threads.
    """
    random = np.random.default_rng(0)
    judged, targets = _judged(outcome, random)
    bench = _Bench.of(framed, outcome, fixed, judged, random, n_threads)
    parts = list(_parts(bench, classifier, X))
    places = np.concatenate([part.places for part in parts]) if parts else np.empty(0, np.intp)
    usual = random.permutation(len(outcome.features))[:_MOST_USUAL]
    distances = usual_distances(usual, outcome.features, n_threads)
    if not len(places):
        none = np.empty(0)
        return Trial(1.0, none, none.astype(bool), -np.inf, distances, np.nan)
    targets_of = targets[places]
    shares = np.concatenate([part.shares for part in parts])
    answers = np.concatenate([part.answers for part in parts])
    exponent = _best_exponent(shares, targets_of)
    scores = _powers(shares, exponent)[np.arange(len(answers)), answers]
    stated = scores if classifier is None else np.concatenate([part.stated for part in parts])
    right = answers == targets_of
    is_label = outcome.as_labels(answers) >= 0
    return Trial(
        exponent,
        scores[is_label],
        right[is_label],
        _unseen_score(list(_hidden(bench, targets, exponent))),
        distances,
        expected_calibration_error(stated, right),
    )


def expected_calibration_error(probabilities: Float64Array, right: NDArray[np.bool_]) -> float:
    """Return the mean difference of probability and share of right answers, in bins of 0.1.

    Answers without a probability (NaN) do not count; NaN if there are no others.
    """
    is_stated = np.isfinite(probabilities)
    probabilities, right = probabilities[is_stated], right[is_stated]
    if not len(right):
        return np.nan
    bins = np.minimum((probabilities * _N_BINS).astype(np.intp), _N_BINS - 1)
    sums = np.bincount(bins, probabilities - right, minlength=_N_BINS)
    return float(np.abs(sums).sum() / len(right))


def _guaranteed(scores: Float64Array, wrong: Float64Array, level: float) -> float:
    """Find the lowest score above which at most that share is wrong; NaN if there is none.

    Thresholds are tested in two sequences, which share an error of 5 %: one that begins with about
    a quarter of the samples, and one that begins with few, in case that only few are certain.
    """
    found = [
        guaranteed_threshold(scores, wrong, len(scores), error, 1 - level, n_tolerated)[0]
        for n_tolerated, error in _ERRORS.items()
    ]
    return min((threshold for threshold in found if not np.isnan(threshold)), default=np.nan)


class _Part(NamedTuple):
    places: NDArray[np.intp]
    """The places of its samples among the judged ones."""
    shares: NDArray[np.float32]
    """(n, n_categories): as predicted without them."""
    answers: NDArray[np.int32]
    """(n,): the category that is the answer."""
    stated: Float64Array
    """(n,): the probability of the answer by the classifier; NaN without one."""


@dataclass(frozen=True, eq=False)
class _Bench:
    """The samples, to be predicted without some of them."""

    plain: Rows
    """(n_rows, n_features): rows before categories shaped them, or some of them."""
    rows: Integers
    """(n_rows,): their numbers among all distinct rows."""
    fixed: NDArray[np.int32] | None
    """(n_samples,): the categories that shape rows."""
    judged: Integers
    """(n_judged,): the judged samples."""
    outcome: Outcome
    random: np.random.Generator
    n_threads: int

    @classmethod
    def of(
        cls,
        framed: Framed,
        outcome: Outcome,
        fixed: NDArray[np.int32] | None,
        judged: Integers,
        random: np.random.Generator,
        n_threads: int,
    ) -> _Bench:
        """Take all rows, or those of the judged samples and random others."""
        rows = np.arange(len(framed.plain))
        if len(rows) > _MOST_ROWS:
            own = np.unique(outcome.distinct.numbers[judged])
            others = random.permutation(np.setdiff1d(rows, own))
            rows = np.sort(np.concatenate([own, others[: _MOST_ROWS - len(own)]]))
        return cls(framed.plain[rows], rows, fixed, judged, outcome, random, n_threads)

    def without(
        self, samples: NDArray[np.bool_], places: NDArray[np.intp]
    ) -> tuple[Rows, Nearest] | None:
        """Predict judged samples, given by their places, from all rows but those of `samples`.

        Returns the other rows, and what they say. None if nothing is left, or to be predicted.
        """
        distinct = self.outcome.distinct
        is_left = np.ones(len(distinct.samples), dtype=bool)
        is_left[distinct.numbers[samples]] = False
        left = np.flatnonzero(is_left[self.rows])
        if not len(left) or not len(places):
            return None
        queries = np.searchsorted(self.rows, distinct.numbers[self.judged[places]])
        metric = None
        if self.fixed is not None:
            codes = distinct.shared_codes(np.where(samples, np.int32(-1), self.fixed))
            metric = learned_metric(self.plain[left], codes[self.rows[left]])
        training = shaped(self.plain[left], metric)
        first_samples = distinct.samples[self.rows[left]]
        nearest = nearest_to(
            shaped(self.plain[queries], metric),
            training,
            lambda index: self.outcome.categories.shares_of(first_samples[index]),
            self.n_threads,
        )
        return training, nearest


def _judged(outcome: Outcome, random: np.random.Generator) -> tuple[Integers, NDArray[np.int32]]:
    """Choose the samples to judge; return them with their categories."""
    numbers, known = outcome.categories.numbers, outcome.known
    if known is None:
        chosen, targets = numbers >= 0, numbers
    else:
        labeled = known >= 0
        is_new = ~labeled & (numbers >= outcome.n_known)
        of_known = np.count_nonzero(labeled | ((numbers >= 0) & (numbers < outcome.n_known)))
        rate = np.count_nonzero(labeled) / of_known
        chosen = labeled | (is_new & (random.random(len(numbers)) < rate))
        targets = np.where(labeled, known, numbers)
    judged = np.flatnonzero(chosen)
    if len(judged) > _MOST_JUDGED:
        judged = np.sort(random.permutation(judged)[:_MOST_JUDGED])
    return judged, targets[judged]


def _parts(bench: _Bench, classifier: Any, X: Any) -> Iterator[_Part]:
    """Predict the judged samples in parts, each without its samples, their copies and groups."""
    outcome, judged, random = bench.outcome, bench.judged, bench.random
    rows = outcome.distinct.numbers
    keys = (
        rows
        if outcome.groups is None
        else np.where(outcome.groups >= 0, len(rows) + outcome.groups, rows)
    )
    of_judged = np.unique(keys[judged])
    part_of_key = np.full(int(keys.max()) + 1, -1)
    part_of_key[of_judged] = random.permutation(len(of_judged)) % _N_PARTS
    part_of = part_of_key[keys]
    for part in range(_N_PARTS):
        places = np.flatnonzero(part_of[judged] == part)
        samples = part_of == part
        found = bench.without(samples, places)
        if found is None:
            continue
        shares = found[1].shares
        answers = shares.argmax(axis=1).astype(np.int32)
        stated = np.full(len(places), np.nan)
        if classifier is not None:
            others = replace(outcome, is_certain=outcome.is_certain & ~samples)
            trained = trained_classifier(classifier, others, X)
            if trained is not None:
                answers, stated = answers_of(trained, X[judged[places]])
        yield _Part(places, shares, answers, stated)


def _hidden(bench: _Bench, targets: NDArray[np.int32], exponent: float) -> Iterator[Float64Array]:
    """Hide some categories at a time; yield the largest probabilities of their samples.

    They are -inf for samples that are rejected as novelties.
    """
    numbers = bench.outcome.categories.numbers
    n_categories = bench.outcome.categories.n_categories
    if n_categories < _FEWEST_CATEGORIES:
        return
    n_hidings = min(_N_HIDINGS, n_categories)
    hiding_of = bench.random.permutation(n_categories) % n_hidings
    for hiding in range(n_hidings):
        is_hidden = hiding_of == hiding
        places = np.flatnonzero(is_hidden[targets])
        samples = (numbers >= 0) & is_hidden[numbers]
        samples[bench.judged[places]] = True
        found = bench.without(samples, places)
        if found is None:
            continue
        training, nearest = found
        shares = np.where(is_hidden, 0, nearest.shares)
        sums = shares.sum(axis=1, keepdims=True)
        scores = _powers(shares / np.where(sums > 0, sums, 1), exponent).max(axis=1)
        some = bench.random.permutation(len(training))[:_MOST_USUAL_OF_HIDING]
        usual = usual_distances(some, training, bench.n_threads)
        yield np.where(p_values(nearest.distances, usual) > _NOVELTY_LEVEL, scores, -np.inf)


def _unseen_score(hidden: list[Float64Array]) -> float:
    scores = np.sort(np.concatenate([*hidden, np.empty(0)]))
    return float(scores[int(np.ceil(_SHARE_UNSEEN * len(scores))) - 1]) if len(scores) else -np.inf


def _powers(shares: NDArray[np.floating[Any]], exponent: float) -> Float64Array:
    powers: Float64Array = (shares.astype(np.float64) + _LEAST_SHARE) ** exponent
    powers /= powers.sum(axis=1, keepdims=True)
    # Sums of equal shares differ by rounding, and thresholds would tell them apart.
    return powers.round(_DECIMALS)


def _best_exponent(shares: NDArray[np.float32], targets: NDArray[np.int32]) -> float:
    """Find the power of the shares that makes the targets most likely."""
    logs = np.log(shares.astype(np.float64) + _LEAST_SHARE)
    own = logs[np.arange(len(logs)), targets]

    def loss(log_exponent: float) -> float:
        exponent = np.exp(log_exponent)
        return float((np.log(np.exp(exponent * logs).sum(axis=1)) - exponent * own).mean())

    limit = float(np.log(_LARGEST_EXPONENT))
    return float(np.exp(minimize_scalar(loss, bounds=(-limit, limit), method="bounded").x))
