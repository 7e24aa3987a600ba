"""How precise labels are when only the most confident ones are kept."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelquorum._shared.labels import as_codes
from labelquorum.quality.metrics import TO_MATCH, UNMATCHED, is_right

_MOST_POINTS = 1000
_MOST_NAMES, _CHARACTERS_PER_NAME = 3, 40  # in a note
_SUSPICIOUS_RATIO, _LEAST_MATCHED = 2, 0.5


class Judgment(NamedTuple):
    """The labels of a clusterer, compared with true ones."""

    samples: NDArray[np.intp]
    """The samples that count: their true label is known, and `fit` was not given it."""
    right: NDArray[np.bool_]
    """(n_samples,): whether the label of a sample that counts is right; False elsewhere."""
    classes: list[Any]
    """The distinct true labels."""
    codes: NDArray[np.int32]
    """(n_samples,): index of each true label in `classes`, -1 where unknown."""
    note: str | None
    """What to know about the names that were compared: a sentence; None if all is as expected."""


class Coverage(NamedTuple):
    """What thresholds on the confidence keep, from the highest threshold to the lowest.

    The arguments of `CoveragePrecisionDisplay`; each array has the shape (n_points,).
    """

    coverage: NDArray[np.float64]
    """Share of the samples whose label is kept."""
    threshold: NDArray[np.float64]
    """The lowest confidence that is kept."""
    confidence: NDArray[np.float64]
    """Mean confidence of the labels kept."""
    precision: NDArray[np.float64] | None
    """Share of the labels kept that are right; None without true labels."""
    in_use: tuple[float, float] | None = None
    """Coverage and precision (or mean confidence) of the pseudo-labels."""
    note: str | None = None
    """What to know about the precision: a sentence."""


def judge(estimator: Any, y: ArrayLike) -> Judgment:
    """Compare the labels of a fitted `ConsensusClusterer` with true ones.

    A known category is right where `y` has its name. New categories are matched with the other
    classes one to one. So are all categories if `y` has none of the names of two or more known
    categories, since it then has other names for them.
    """
    classes, codes = as_codes(y, "y")
    n_samples = len(estimator.labels_)
    if len(codes) != n_samples:
        raise ValueError(
            f"y has {len(codes)} values, but the estimator was fitted on {n_samples} samples: they "
            "must have the same length"
        )
    outcome = estimator.outcome_
    counts = codes >= 0 if outcome.known is None else (codes >= 0) & (outcome.known < 0)
    samples = np.flatnonzero(counts)
    if not len(samples):
        raise ValueError(
            "y must hold at least one label that was not given to fit, got -1 or None for all "
            "other samples"
        )
    index_of = {name: index for index, name in enumerate(classes)}
    all_open = np.full(estimator.n_clusters_, TO_MATCH)
    class_of = all_open.copy()
    known_names = estimator.classes_[: outcome.n_known].tolist()
    for k, name in enumerate(known_names):
        class_of[k] = index_of.get(name, UNMATCHED)
    absent = [name for name in known_names if name not in index_of]
    labels = outcome.as_labels(outcome.categories.numbers)
    counted = np.where(counts, codes, -1)
    right = is_right(counted, labels, len(classes), class_of)
    note = None
    if len(known_names):
        matched = is_right(counted, labels, len(classes), all_open)
        if len(absent) == len(known_names) > 1:
            right = matched
            note = (
                "y has none of the names of the known categories: all categories were matched with "
                "its classes one to one"
            )
        else:
            note = _note(absent, right[samples], matched[samples])
    return Judgment(samples, right, classes, codes, note)


def _note(absent: list[Any], right: NDArray[np.bool_], matched: NDArray[np.bool_]) -> str | None:
    """Say which known categories count as wrong, and whether names seem to mean other things.

    `matched` says which labels would be right if all categories were matched with the classes.
    """
    parts = []
    if absent:
        listed = [f"{name!s:.{_CHARACTERS_PER_NAME}}" for name in absent[:_MOST_NAMES]]
        n_more = len(absent) - len(listed)
        more = f" and {n_more} more" if n_more else ""
        parts.append(
            f"y does not have the known categories {', '.join(listed)}{more}: labels of these "
            "count as wrong"
        )
    share, best = right.mean(), matched.mean()
    if best >= _LEAST_MATCHED and best > _SUSPICIOUS_RATIO * share:
        parts.append(
            f"{best:.1%} of the labels instead of {share:.1%} would be right if all categories "
            "were matched with the classes of y one to one: check that its names mean the same"
        )
    return "; ".join(parts) or None


def coverage_of(estimator: Any, judgment: Judgment | None) -> Coverage:
    """Coverage of a fitted `ConsensusClusterer`, with precision where its labels were judged."""
    outcome = estimator.outcome_
    has_label = outcome.as_labels(outcome.categories.numbers) >= 0
    samples = np.arange(len(has_label)) if judgment is None else judgment.samples
    right = None if judgment is None else judgment.right[samples]
    confidence = estimator.confidence_[samples]
    coverage = coverage_at_thresholds(has_label[samples], confidence, right)
    if judgment is not None:
        coverage = coverage._replace(note=judgment.note)
    is_pseudo_label = outcome.is_pseudo_label[samples]
    if not is_pseudo_label.any():
        return coverage
    values = confidence if right is None else right
    in_use = float(is_pseudo_label.mean()), float(values[is_pseudo_label].mean())
    return coverage._replace(in_use=in_use)


def coverage_at_thresholds(
    has_label: NDArray[np.bool_],
    confidence: NDArray[np.floating[Any]],
    right: NDArray[np.bool_] | None,
) -> Coverage:
    """What each threshold keeps; of more than 1,000 thresholds, 1,000 evenly spaced ones.

    All arrays have the shape (n_samples,).
    """
    labeled = np.flatnonzero(has_label)
    if not len(labeled):
        raise ValueError("at least one sample that counts must have a label, got none")
    order = labeled[np.argsort(-confidence[labeled], kind="stable")]
    values = confidence[order].astype(np.float64)
    # A threshold keeps all samples of the same confidence, or none of them.
    last_kept = np.flatnonzero(np.append(values[1:] < values[:-1], True))
    n_points = min(_MOST_POINTS, len(last_kept))
    last_kept = last_kept[np.linspace(0, len(last_kept) - 1, n_points).round().astype(np.intp)]
    n_kept = last_kept + 1
    return Coverage(
        coverage=n_kept / len(has_label),
        threshold=values[last_kept],
        confidence=values.cumsum()[last_kept] / n_kept,
        precision=None if right is None else right[order].cumsum()[last_kept] / n_kept,
    )
