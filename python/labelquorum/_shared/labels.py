"""Labels as estimators use them: known ones from `y`, codes, names of new categories.

A code is the index of a label among the sorted distinct ones; -1 stands for "no label". What users
pass is read by `label_reader`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.distinct import DistinctRows
from labelquorum._shared.label_reader import (
    Labels,
    array_of_names,
    only_column,
    read_labels,
)
from labelquorum._shared.names import natural_key


class KnownLabels(NamedTuple):
    """The labels that are known, and the samples that have them."""

    classes: NDArray[Any]  # (n_classes,), sorted
    samples: NDArray[np.int64]  # (n_labeled,), indices of the labeled samples, ascending
    shares: NDArray[np.float64]  # (n_labeled, n_classes), rows sum to 1

    def of_rows(self, distinct: DistinctRows) -> KnownLabels:
        """Return the labels of distinct rows, each the mean of its samples' labels."""
        if not distinct.has_copies:
            return self
        rows, places, counts = np.unique(
            distinct.numbers[self.samples], return_inverse=True, return_counts=True
        )
        sums = np.zeros((len(rows), len(self.classes)))
        np.add.at(sums, places, self.shares)
        return KnownLabels(self.classes, rows.astype(np.int64), sums / counts[:, None])


def known_labels(y: Any, n_samples: int, estimator: str, *, shares: bool = True) -> KnownLabels:
    """Read the labels passed to an estimator's `fit`.

    A 1-D `y` holds a class per sample, or none. With `shares`, a 2-D `y` is allowed: a column per
    class, each row the shares of the classes, or zeros for no label.
    """
    if y is None:
        raise ValueError(
            f"This {estimator} estimator requires y to be passed, but the target y is None."
        )
    table = _as_table(y)
    if shares and table is not None and table.ndim == 2:
        _check_one_per_sample(len(table), n_samples, "y")
        return _labels_of_shares(table)
    if table is not None:
        wanted = "(n_samples,)" + (", or (n_samples, n_classes) for shares" if shares else "")
        raise ValueError(f"y must have shape {wanted}, got {table.shape}")
    classes, codes = _read_target(y, n_samples)
    if not len(classes):
        raise ValueError("y must hold at least one label, got -1 or None for every sample")
    samples = np.flatnonzero(codes >= 0)
    certain = np.zeros((len(samples), len(classes)))
    certain[np.arange(len(samples)), codes[samples]] = 1
    return KnownLabels(classes, samples, certain)


def known_codes(y: Any, n: int) -> tuple[NDArray[Any], NDArray[np.int32] | None]:
    """Return the known categories, and the code of each sample's; None if no sample has a label."""
    if y is None:
        return np.empty(0, dtype=np.int64), None
    table = _as_table(y)
    if table is not None:
        raise ValueError(f"y must have shape (n_samples,), got {table.shape}")
    classes, codes = _read_target(y, n)
    return classes, codes if len(classes) else None


def _as_table(y: Any) -> NDArray[Any] | None:
    """Return y as an array if it has several columns, None if it has one."""
    if not _is_nested(y) or only_column(y) is not y:
        return None
    array = np.asarray(y)
    if array.ndim == 2 and array.shape[1] == 1:
        return None
    if isinstance(y, np.ma.MaskedArray):
        raise TypeError("a 2-D y must be a plain array of shares, got a masked array")
    return array


def _is_nested(y: Any) -> bool:
    if isinstance(y, (list, tuple)):
        first = y[0] if y else None
        return isinstance(first, (list, tuple)) or len(getattr(first, "shape", ())) > 0
    return len(getattr(y, "shape", ())) > 1


def _read_target(y: Any, n_samples: int) -> Labels:
    """Read the target of an estimator by scikit-learn's rules: whole floats are integers."""
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import assert_all_finite, column_or_1d

    if isinstance(y, (list, tuple, np.ndarray)) and _is_nested(y):
        column = column_or_1d(y, warn=True)
        y = y[:, 0] if isinstance(y, np.ma.MaskedArray) else column
    numbers = _floats_of(y)
    if len(numbers):
        is_number = ~np.isnan(numbers)
        assert_all_finite(numbers[is_number] if is_number.any() else numbers, input_name="y")
        check_classification_targets(numbers[is_number])
    labels = read_labels(y, "y", negatives="refused", whole_floats=True)
    _check_one_per_sample(len(labels.codes), n_samples, "y")
    return labels


def _floats_of(y: Any) -> NDArray[np.floating[Any]]:
    """Return the values of y if it holds floats, for scikit-learn's checks; otherwise none."""
    if isinstance(y, (list, tuple)):
        types = set(map(type, y))
        if types == {float, int}:
            y = [value for value in y if isinstance(value, float) and value == value]
        return np.array(y if float in types <= {float, int} else [], dtype=np.float64)
    dtype = getattr(y, "dtype", None)
    if not isinstance(dtype, np.dtype) or dtype.kind != "f":
        return np.empty(0)
    return y.compressed() if isinstance(y, np.ma.MaskedArray) else np.asarray(y)


def _check_one_per_sample(n_values: int, n_samples: int, name: str) -> None:
    if n_values != n_samples:
        raise ValueError(f"{name} must have {n_samples} values, one per sample, got {n_values}")


def _labels_of_shares(shares: NDArray[Any]) -> KnownLabels:
    from sklearn.utils.validation import assert_all_finite

    if shares.dtype.kind not in "fiub":
        raise TypeError(f"a 2-D y must hold the shares of the classes, got dtype {shares.dtype}")
    shares = shares.astype(np.float64)
    assert_all_finite(shares, input_name="y")
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


def as_codes(labels: Any, name: str) -> tuple[list[Any], NDArray[np.int32]]:
    """Return the distinct labels in order, and each sample's index among them.

    The index is -1 where a sample has no label. If there are both integers and strings, integers
    come first. Numbers within strings count as numbers: "new 2" comes before "new 10".
    """
    classes, codes = in_natural_order(read_labels(labels, name, mixed=True))
    if not len(codes):
        raise ValueError(f"{name} must hold at least one sample, got none")
    return classes.tolist(), codes


def in_natural_order(labels: Labels) -> Labels:
    """Return the labels with their classes in the order in which people list them."""
    names = labels.classes.tolist()
    order = np.array(sorted(range(len(names)), key=lambda i: natural_key(names[i])), dtype=np.intp)
    ranks = np.empty(len(order) + 1, dtype=np.int32)
    ranks[order] = np.arange(len(order))
    ranks[-1] = -1  # for the code -1
    return Labels(labels.classes[order], ranks[labels.codes])


def has_label(labels: Any) -> NDArray[np.bool_]:
    """Return a mask of the samples that have a label."""
    codes = read_labels(labels, "y", mixed=True, whole_floats=True).codes
    is_labeled: NDArray[np.bool_] = codes >= 0
    return is_labeled


def category_names(
    known: NDArray[Any],
    n_clusters: int,
    *,
    kept: Mapping[int, Any] | None = None,
    taken: Iterable[Any] = (),
) -> NDArray[Any]:
    """Return the known names, followed by names for the other clusters.

    `kept` names some of these by their number. The rest get new names, none of which is `taken`.
    After strings come "new 0", "new 1" and so on, after numbers (or bools, which count as 0 and 1)
    the next higher ones; where there are none, the lowest that are free.
    """
    names, kept = known.tolist(), kept or {}
    used, n_new = {*names, *taken}, n_clusters - len(names)
    if not n_new:
        return known
    n_candidates = len(used) + n_new
    if any(isinstance(name, str) for name in used):
        candidates: Any = (f"new {i}" for i in range(n_candidates))
    else:
        first = int(max(used, default=-1)) + 1
        has_room = first + n_new - 1 <= np.iinfo(np.int64).max
        candidates = range(first, first + n_new) if has_room else range(n_candidates)
    free = (x for x in candidates if x not in used)
    new = [kept[k] if k in kept else next(free) for k in range(len(names), n_clusters)]
    return array_of_names([*names, *new])


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
    if classes.dtype.kind == "u" and int(classes.max()) <= np.iinfo(np.int64).max:
        labels = labels.astype(np.int64)
    elif classes.dtype.kind not in "if":
        labels = labels.astype(object)
    has_strings = any(isinstance(name, str) for name in classes.tolist())
    labels[is_missing] = None if has_strings else -1
    return labels


def most_likely(distributions: NDArray[np.floating[Any]]) -> NDArray[np.intp]:
    """Return the column of the largest value in each row, -1 for rows of zeros."""
    codes: NDArray[np.intp] = distributions.argmax(axis=1)
    codes[distributions[np.arange(len(codes)), codes] <= 0] = -1
    return codes
