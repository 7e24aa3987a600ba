"""Read the labels that users pass as `y`, name categories, and turn codes into labels.

A code is the index of a label among the sorted distinct ones; -1 stands for "no label".
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray


class KnownLabels(NamedTuple):
    """The labels that are known, and the samples that have them."""

    classes: NDArray[Any]  # (n_classes,), sorted
    samples: NDArray[np.int64]  # (n_labeled,), indices of the labeled samples, ascending
    shares: NDArray[np.float64]  # (n_labeled, n_classes), rows sum to 1


def known_labels(y: Any, n_samples: int, estimator: str, *, shares: bool = True) -> KnownLabels:
    """Read the labels passed to an estimator's `fit`.

    A 1-D `y` holds a class per sample, and -1 (or None, in an array of objects) for no label. With
    `shares`, a 2-D `y` is allowed: a column per class, each row the shares of the classes, or zeros
    for no label.
    """
    from sklearn.utils.validation import assert_all_finite, column_or_1d

    if y is None:
        raise ValueError(
            f"This {estimator} estimator requires y to be passed, but the target y is None."
        )
    array = np.asarray(y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = column_or_1d(array, warn=True)
    if array.ndim not in ((1, 2) if shares else (1,)):
        wanted = "(n_samples,)" + (", or (n_samples, n_classes) for shares" if shares else "")
        raise ValueError(f"y must have shape {wanted}, got {array.shape}")
    _check_one_per_sample(len(array), n_samples, "y")
    if array.dtype.kind == "f":
        assert_all_finite(array, input_name="y")
    return _labels_of_shares(array) if array.ndim == 2 else _labels_of_classes(array)


def _check_one_per_sample(n_values: int, n_samples: int, name: str) -> None:
    if n_values != n_samples:
        raise ValueError(f"{name} must have {n_samples} values, one per sample, got {n_values}")


def _labels_of_classes(labels: NDArray[Any]) -> KnownLabels:
    from sklearn.utils.multiclass import check_classification_targets

    samples = np.flatnonzero(has_label(labels))
    if not len(samples):
        raise ValueError("y must hold at least one label, got -1 or None for every sample")
    known = labels[samples]
    if known.dtype.kind == "O":
        numbers = np.array(known.tolist())
        known = numbers if numbers.dtype.kind in "iufb" else known
    try:
        check_classification_targets(known)
        classes, codes = np.unique(known, return_inverse=True)
    except TypeError as error:
        raise TypeError(
            f"y must hold labels that can be sorted, got mixed types ({error})"
        ) from error
    certain = np.zeros((len(samples), len(classes)))
    certain[np.arange(len(samples)), codes] = 1
    return KnownLabels(classes, samples, certain)


def _labels_of_shares(shares: NDArray[Any]) -> KnownLabels:
    if shares.dtype.kind not in "fiub":
        raise TypeError(f"a 2-D y must hold the shares of the classes, got dtype {shares.dtype}")
    shares = shares.astype(np.float64)
    wanted = "rows of shares that sum to 1, or of zeros for no label"
    if shares.min(initial=0) < 0:
        raise ValueError(f"a 2-D y must hold {wanted}, got the negative share {shares.min():g}")
    sums = shares.sum(axis=1)
    samples = np.flatnonzero(sums)
    if not len(samples):
        raise ValueError("y must hold at least one label, got only rows of zeros")
    wrong = samples[np.abs(sums[samples] - 1) > 1e-3]
    if len(wrong):
        raise ValueError(
            f"a 2-D y must hold {wanted}, got a sum of {sums[wrong[0]]:g} in row {wrong[0]}"
        )
    return KnownLabels(np.arange(shares.shape[1]), samples, shares[samples])


def has_label(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return a mask of the samples whose label is neither -1 nor None."""
    if labels.dtype.kind == "O":
        return np.array([label is not None and label != -1 for label in labels], dtype=bool)
    if labels.dtype.kind in "USTb":
        return np.ones(len(labels), dtype=bool)
    is_labeled: NDArray[np.bool_] = labels != -1
    return is_labeled


def known_codes(y: Any, n: int, estimator: str) -> tuple[NDArray[Any], NDArray[np.int32] | None]:
    """Return the known categories, and the code of each sample's; None if no sample has a label."""
    if y is not None and _has_any_label(y):
        labels = known_labels(y, n, estimator, shares=False)
        codes = np.full(n, -1, dtype=np.int32)
        codes[labels.samples] = labels.shares.argmax(axis=1)
        return labels.classes, codes
    if y is not None:
        _check_one_per_sample(len(y), n, "y")
    return np.empty(0, dtype=np.int64), None


def _has_any_label(y: Any) -> bool:
    array = np.asarray(y)
    if array.dtype.kind == "O":
        return any(label is not None and label != -1 for label in array.flat)
    return array.dtype.kind not in "iuf" or bool((array != -1).any())


def category_names(known: NDArray[Any], n_clusters: int) -> NDArray[Any]:
    """Return the known names, followed by new names of their kind for the other clusters.

    After numbers come the next higher numbers, after strings "new 0", "new 1" and so on.
    """
    n_new = n_clusters - len(known)
    if known.dtype.kind == "b":
        known = known.astype(np.int64)
    if known.dtype.kind in "iuf":
        first = known.max() + 1 if len(known) else 0
        return np.concatenate([known, first + np.arange(n_new, dtype=known.dtype)])
    if not n_new:
        return known
    taken = set(known.tolist())
    unused = [name for i in range(n_new + len(taken)) if (name := f"new {i}") not in taken]
    return np.array([*known.tolist(), *unused[:n_new]])


def group_codes(groups: Any, n: int) -> NDArray[np.int32]:
    """Return the code of each sample's group, -1 for no group."""
    codes = as_codes(groups, "groups")[1]
    _check_one_per_sample(len(codes), n, "groups")
    return codes


def spread_over_groups(
    codes: NDArray[np.int32], groups: NDArray[np.int32], names: NDArray[Any]
) -> NDArray[np.int32]:
    """Give each known category to all samples of the labeled sample's group."""
    code_of_group = np.full(groups.max(initial=-1) + 2, -1, dtype=np.int32)  # the last: no group
    labeled = np.flatnonzero((codes >= 0) & (groups >= 0))
    code_of_group[groups[labeled]] = codes[labeled]
    conflicting = labeled[code_of_group[groups[labeled]] != codes[labeled]]
    if len(conflicting):
        first = conflicting[0]
        second = labeled[(groups[labeled] == groups[first]) & (codes[labeled] != codes[first])][0]
        labels = names[codes[[first, second]]].tolist()
        raise ValueError(
            f"samples of one group must have the same label in y, got {labels[0]!r} for sample "
            f"{first} and {labels[1]!r} for sample {second}"
        )
    return np.where(groups >= 0, code_of_group[groups], codes)


def to_labels(classes: NDArray[Any], codes: NDArray[np.integer[Any]]) -> NDArray[Any]:
    """Return the class of each code; for the code -1, that is -1, or None if classes are names."""
    labels: NDArray[Any] = classes[codes]
    is_missing = codes < 0
    if not is_missing.any():
        return labels
    if classes.dtype.kind in "ub":
        labels = labels.astype(np.int64)
    elif classes.dtype.kind not in "if":
        labels = labels.astype(object)
    labels[is_missing] = None if labels.dtype.kind == "O" else -1
    return labels


def most_likely(distributions: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
    """Return the column of the largest value in each row, -1 for rows of zeros."""
    codes: NDArray[np.intp] = distributions.argmax(axis=1)
    codes[distributions[np.arange(len(codes)), codes] <= 0] = -1
    return codes


def as_codes(labels: Any, name: str) -> tuple[list[Any], NDArray[np.int32]]:
    """Return the distinct labels in order, and each sample's index among them.

    The index is -1 where a sample has no label. Labels are integers, negative for "no label", or
    strings, None or NaN for "no label". If there are both, integers come before strings.
    """
    array = labels if isinstance(labels, np.ma.MaskedArray) else _as_array(labels, name)
    is_nullable = hasattr(getattr(labels, "dtype", None), "na_value")  # a pandas extension array
    if array.dtype.kind in "OUT" or is_nullable:
        # NumPy turns a list of strings and numbers into strings, and nullable integers into floats.
        distinct_labels, codes = _codes_of_objects(_as_array(labels, name, object), name)
    else:
        column = _as_column(array if array.size else labels, name)
        is_labeled = column >= 0
        distinct, indices = np.unique(column[is_labeled], return_inverse=True)
        codes = np.full(len(column), -1, dtype=np.int32)
        codes[is_labeled] = indices
        distinct_labels = distinct.tolist()
    if not len(codes):
        raise ValueError(f"{name} must hold at least one sample, got none")
    return distinct_labels, codes


def _as_array(value: Any, name: str, dtype: Any = None) -> NDArray[Any]:
    try:
        return np.asarray(value, dtype=dtype)
    except ValueError as error:
        raise ValueError(
            f"{name} must be an array or rectangular nested lists, got ragged data ({error})"
        ) from error


def _codes_of_objects(array: NDArray[Any], name: str) -> tuple[list[Any], NDArray[np.int32]]:
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D, (n_samples,), got shape {array.shape}")
    first_seen: dict[Any, int] = {}  # each label's number in order of first appearance
    numbers = np.empty(len(array), dtype=np.int32)
    for i, value in enumerate(array.tolist()):
        if isinstance(value, str):
            numbers[i] = first_seen.setdefault(value, len(first_seen))
        elif isinstance(value, (int, np.integer)) and not isinstance(value, bool):
            numbers[i] = first_seen.setdefault(value, len(first_seen)) if value >= 0 else -1
        elif _is_missing(value):
            numbers[i] = -1
        else:
            raise TypeError(
                f"{name} must hold strings or integers, with None or -1 for no label, got "
                f"{value!r} ({type(value).__name__}) at position {i}"
            )
    labels = sorted(first_seen, key=lambda value: (isinstance(value, str), value))
    # One more entry, the last, maps -1 to -1.
    codes_of_numbers = np.full(len(labels) + 1, -1, dtype=np.int32)
    for code, label in enumerate(labels):
        codes_of_numbers[first_seen[label]] = code
    return labels, codes_of_numbers[numbers]


def _is_missing(value: Any) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or type(value).__name__ == "NAType"  # pandas.NA


def _as_column(value: Any, name: str) -> NDArray[np.integer[Any]]:
    dtype = getattr(value, "dtype", None)
    if hasattr(dtype, "na_value"):  # a pandas extension array
        raise TypeError(
            f"{name} must hold plain integers, got the extension dtype {dtype}: fill missing "
            "values with -1, then convert with .astype('int64')"
        )
    array = _as_integers(value, name)
    if array.ndim != 1:
        raise ValueError(f"{name} must be 1-D, (n_samples,), got shape {array.shape}")
    return array


def _as_integers(value: Any, name: str) -> NDArray[np.integer[Any]]:
    """Return an integer array in native byte order; refuse floats, bools and objects."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(
            f"{name} must be a plain integer array, got a masked array: use .filled(-1)"
        )
    array = _as_array(value, name)
    if array.dtype.kind not in "iu":
        # NumPy makes floats of an empty list. Let the caller report that it is empty.
        if array.size == 0 and isinstance(value, (list, tuple)):
            return np.empty(array.shape, dtype=np.int64)
        _refuse_non_integers(array, value, name)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _refuse_non_integers(array: NDArray[Any], value: Any, name: str) -> NoReturn:
    if array.dtype.kind == "O" and array.ndim == 0:
        raise TypeError(f"{name} must be an array of integers, got {type(value).__name__}")
    if array.dtype.kind == "f":
        # min() is NaN if any value is, and needs no array of flags.
        has_nan = array.size > 0 and np.isnan(array.min())
        problem = (
            f"{'NaN' if has_nan else f'floats ({array.dtype})'}: fill missing values with -1, then "
            "convert to int64"
        )
    elif array.dtype.kind == "b":
        problem = "bools: convert with .astype('int8')"
    else:
        problem = f"dtype {array.dtype}"
    raise TypeError(f"{name} must hold integers, got {problem}")
