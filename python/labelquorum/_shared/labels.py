"""Labels of some samples: what `y` says, names of categories, and labels from their numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, column_or_1d

from labelquorum._shared.arguments import as_codes


class KnownLabels(NamedTuple):
    """The classes, the labelled samples (ascending), and the shares of the classes in them."""

    classes: NDArray[Any]
    samples: NDArray[np.int64]
    shares: NDArray[np.float64]


def known_labels(y: Any, n_samples: int, estimator: str, *, shares: bool = True) -> KnownLabels:
    """Read the labels of an estimator's `fit`.

    1-D: classes, with -1 (or None, among objects) where there is no label. 2-D: one column per
    class, each row the shares of the classes, or all zeros where there is no label; only with
    `shares`.
    """
    if y is None:
        raise ValueError(
            f"This {estimator} estimator requires y to be passed, but the target y is None."
        )
    array = np.asarray(y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = column_or_1d(array, warn=True)
    if array.ndim not in ((1, 2) if shares else (1,)):
        wanted = "(n_samples,)" + (", or (n_samples, n_classes) for shares" if shares else "")
        raise ValueError(f"y has shape {array.shape}; wanted {wanted}")
    if len(array) != n_samples:
        raise ValueError(f"y holds {len(array)} samples, X or graph {n_samples}; wanted as many")
    if array.dtype.kind == "f":
        assert_all_finite(array, input_name="y")
    if array.ndim == 2:
        return _soft_labels(array)
    samples = np.flatnonzero(has_label(array))
    if not len(samples):
        raise ValueError("y holds no label: every sample is -1 or None; wanted at least one")
    known = array[samples]
    if known.dtype.kind == "O":
        numbers = np.array(known.tolist())
        known = numbers if numbers.dtype.kind in "iufb" else known
    try:
        check_classification_targets(known)
        classes, codes = np.unique(known, return_inverse=True)
    except TypeError as error:
        raise TypeError(f"y mixes types that have no order ({error})") from error
    certain = np.zeros((len(samples), len(classes)))
    certain[np.arange(len(samples)), codes] = 1
    return KnownLabels(classes, samples, certain)


def has_label(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Which samples have a label: all but -1 and None."""
    if labels.dtype.kind == "O":
        return np.array([label is not None and label != -1 for label in labels], dtype=bool)
    if labels.dtype.kind in "USTb":
        return np.ones(len(labels), dtype=bool)
    known: NDArray[np.bool_] = labels != -1
    return known


def _soft_labels(shares: NDArray[Any]) -> KnownLabels:
    if shares.dtype.kind not in "fiub":
        raise TypeError(f"y has dtype {shares.dtype} and two dimensions; wanted shares of classes")
    shares = shares.astype(np.float64)
    if shares.min(initial=0) < 0:
        raise ValueError("y holds a negative share; wanted rows of shares that sum to 1, or zeros")
    sums = shares.sum(axis=1)
    samples = np.flatnonzero(sums)
    if not len(samples):
        raise ValueError("y holds no label: every row is zero; wanted at least one")
    wrong = samples[np.abs(sums[samples] - 1) > 1e-3]
    if len(wrong):
        raise ValueError(
            f"y sums to {sums[wrong[0]]:g} in row {wrong[0]}; wanted rows of shares that sum to 1, "
            "or zeros where there is no label"
        )
    return KnownLabels(np.arange(shares.shape[1]), samples, shares[samples])


def known_codes(y: Any, n: int, estimator: str) -> tuple[NDArray[Any], NDArray[np.int32] | None]:
    """The known categories, and the number of each sample's, -1 without one; None without any."""
    if y is not None and _any_label(y):
        labels = known_labels(y, n, estimator, shares=False)
        codes = np.full(n, -1, dtype=np.int32)
        codes[labels.samples] = labels.shares.argmax(axis=1)
        return labels.classes, codes
    if y is not None and len(y) != n:
        raise ValueError(f"y holds {len(y)} samples, X {n}; wanted as many")
    return np.empty(0, dtype=np.int64), None


def _any_label(y: Any) -> bool:
    array = np.asarray(y)
    if array.dtype.kind == "O":
        return any(label is not None and label != -1 for label in array.flat)
    return array.dtype.kind not in "iuf" or bool((array != -1).any())


def category_names(known: NDArray[Any], n_clusters: int) -> NDArray[Any]:
    """The known names, and names of their kind for the rest."""
    n_new = n_clusters - len(known)
    if known.dtype.kind == "b":
        known = known.astype(np.int64)
    if known.dtype.kind in "iuf":
        first = known.max() + 1 if len(known) else 0
        return np.concatenate([known, first + np.arange(n_new, dtype=known.dtype)])
    if not n_new:
        return known
    taken = set(known.tolist())
    free = [name for i in range(n_new + len(taken)) if (name := f"new {i}") not in taken]
    return np.array([*known.tolist(), *free[:n_new]])


def group_codes(groups: Any, n: int) -> NDArray[np.int32]:
    """The number of each sample's group, -1 for none."""
    codes = as_codes(groups, "groups")[1]
    if len(codes) != n:
        raise ValueError(f"groups holds {len(codes)} samples, X {n}; wanted as many")
    return codes


def spread_over_groups(
    codes: NDArray[np.int32], groups: NDArray[np.int32], names: NDArray[Any]
) -> NDArray[np.int32]:
    """Known categories of some samples of a group given to all of it."""
    of_groups = np.full(groups.max(initial=-1) + 2, -1, dtype=np.int32)  # the last is that of -1
    labeled = np.flatnonzero((codes >= 0) & (groups >= 0))
    of_groups[groups[labeled]] = codes[labeled]
    wrong = labeled[of_groups[groups[labeled]] != codes[labeled]]
    if len(wrong):
        first = wrong[0]
        other = labeled[(groups[labeled] == groups[first]) & (codes[labeled] != codes[first])][0]
        labels = names[codes[[first, other]]].tolist()
        raise ValueError(
            f"y calls sample {first} {labels[0]!r} and sample {other} {labels[1]!r}, which are of "
            "one group; wanted the same label in a group"
        )
    return np.where(groups >= 0, of_groups[groups], codes)


def to_labels(classes: NDArray[Any], codes: NDArray[np.integer[Any]]) -> NDArray[Any]:
    """The classes of these numbers; of -1, it is -1, or None where classes are no numbers."""
    labels: NDArray[Any] = classes[codes]
    missing = codes < 0
    if not missing.any():
        return labels
    if classes.dtype.kind in "ub":
        labels = labels.astype(np.int64)
    elif classes.dtype.kind not in "if":
        labels = labels.astype(object)
    labels[missing] = None if labels.dtype.kind == "O" else -1
    return labels


def most_likely(distributions: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
    """The column of the largest value of each row, -1 where all are zero."""
    codes: NDArray[np.intp] = distributions.argmax(axis=1)
    codes[distributions[np.arange(len(codes)), codes] <= 0] = -1
    return codes
