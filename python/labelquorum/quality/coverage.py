"""TODO."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelquorum._shared.arguments import as_codes
from labelquorum.quality.metrics import is_right

if TYPE_CHECKING:
    pass

_MOST_POINTS = 1000


class Judged(NamedTuple):
    """The labels of a clusterer against true ones."""

    samples: NDArray[np.intp]
    """Those that count: their true label is known, and was not given to `fit`."""
    right: NDArray[np.bool_]
    """Whether the label of each of all samples is right."""
    classes: list[Any]
    """The true labels there are."""
    codes: NDArray[np.int32]
    """That of each sample, -1 where unknown."""


def judged(estimator: Any, y: ArrayLike | None) -> Judged | None:
    """Compare the labels of a fitted ConsensusClusterer with true ones, where there are some."""
    if y is None:
        return None
    classes, codes = as_codes(y, "y")
    known = estimator.outcome_.known
    if len(codes) != len(estimator.labels_):
        raise ValueError(
            f"y holds {len(codes)} samples, the estimator was fitted on {len(estimator.labels_)}; "
            "wanted as many"
        )
    samples = np.flatnonzero((codes >= 0) if known is None else (codes >= 0) & (known < 0))
    if not len(samples):
        raise ValueError(
            "y holds no label that was not given to fit: every other one is -1 or None; wanted at "
            "least one"
        )
    place_of = {name: place for place, name in enumerate(classes)}
    class_of = np.full(estimator.n_clusters_, -2)
    for k, name in enumerate(estimator.classes_[: estimator.outcome_.n_known].tolist()):
        class_of[k] = place_of.get(name, -1)
    of_samples = np.full(len(codes), -1, dtype=np.int32)
    of_samples[samples] = codes[samples]
    numbers = estimator.outcome_.as_labels(estimator.outcome_.categories.numbers)
    return Judged(samples, is_right(of_samples, numbers, len(classes), class_of), classes, codes)


def coverage_of(estimator: Any, truth: Judged | None) -> dict[str, Any]:
    """What a CoveragePrecisionDisplay shows of a fitted ConsensusClusterer."""
    given = estimator.outcome_.as_labels(estimator.outcome_.categories.numbers) >= 0
    samples = np.arange(len(given)) if truth is None else truth.samples
    right = None if truth is None else truth.right[samples]
    found = _coverage(given[samples], estimator.confidence_[samples], right)
    chosen = estimator.outcome_.is_pseudo_label[samples]
    values = estimator.confidence_[samples] if right is None else right
    if chosen.any():
        found["in_use"] = float(chosen.mean()), float(values[chosen].mean())
    return found


def _coverage(
    has_label: NDArray[np.bool_],
    confidence: NDArray[np.floating[Any]],
    right: NDArray[np.bool_] | None,
) -> dict[str, Any]:
    """What is kept at each threshold, of at most 1,000 of them, evenly spaced in coverage."""
    labeled = np.flatnonzero(has_label)
    if not len(labeled):
        raise ValueError("no sample that counts has a label; wanted at least one")
    order = labeled[np.argsort(-confidence[labeled], kind="stable")]
    values = confidence[order].astype(np.float64)
    # Samples of the same confidence are all in, or all out.
    lasts = np.flatnonzero(np.append(values[1:] < values[:-1], True))
    wanted = np.linspace(0, len(lasts) - 1, min(_MOST_POINTS, len(lasts))).round().astype(np.intp)
    lasts = lasts[wanted]
    n_kept = lasts + 1
    return {
        "coverage": n_kept / len(has_label),
        "threshold": values[lasts],
        "confidence": values.cumsum()[lasts] / n_kept,
        "precision": None if right is None else right[order].cumsum()[lasts] / n_kept,
    }
