"""Labels of some samples: what `y` says, and labels from class numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, column_or_1d


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
    if array.dtype.kind == "O":
        labeled = np.array([label is not None and label != -1 for label in array], dtype=bool)
    else:
        labeled = np.ones(n_samples, bool) if array.dtype.kind in "USTb" else array != -1
    samples = np.flatnonzero(labeled)
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
