"""Labels and the answers of an oracle: integers, strings or bools, with -1 or None for none.

Unlike elsewhere, a negative number other than -1 is an answer: no category is right.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelquorum._shared.names import natural_key


def as_categories(labels: ArrayLike, name: str) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """The distinct labels, sorted, and the place of each sample's among them; -1 for none.

    "new 2" comes before "new 10".
    """
    array = np.asarray(labels)
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (n_samples,), got {array.shape}")
    labeled = _is_label(array, name)
    if not labeled.any():
        raise ValueError(f"{name} must hold at least one label, got -1 or None for all samples")
    plain = _plain(array[labeled], name)
    if plain.dtype.kind == "b":
        raise TypeError(f"{name} must hold integers or strings, got bools")
    categories, found = np.unique(plain, return_inverse=True)
    names = categories.tolist()
    order = np.array(sorted(range(len(names)), key=lambda i: natural_key(names[i])))
    codes = np.full(len(array), -1, dtype=np.intp)
    codes[labeled] = np.argsort(order)[found]
    return categories[order], codes


def checked_labels(
    labels: NDArray[Any], codes: NDArray[np.intp], oracle_labels: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The labeled samples that were checked, and whether their labels are right."""
    oracle = np.asarray(oracle_labels)
    if oracle.shape != codes.shape:
        raise ValueError(
            f"oracle_labels must have shape {codes.shape}, as labels does, got {oracle.shape}"
        )
    samples = np.flatnonzero((codes >= 0) & _is_label(oracle, "oracle_labels"))
    if not len(samples):
        raise ValueError(
            "oracle_labels must hold a check of at least one labeled sample, got -1 or None for "
            "all of them"
        )
    answers = _plain(oracle[samples], "oracle_labels")
    if answers.dtype.kind == "b":
        return samples, answers
    of_samples = _plain(labels[samples], "labels")
    if answers.dtype.kind.replace("u", "i") != of_samples.dtype.kind.replace("u", "i"):
        raise TypeError(
            "oracle_labels must hold bools or the same names as labels, got "
            f"{answers[0].item()!r} for the label {of_samples[0].item()!r}"
        )
    answer_names = np.unique(answers)
    if (
        len(answer_names) > 1
        and not np.isin(answer_names, _plain(labels[codes >= 0], "labels")).any()
    ):
        raise ValueError(
            "oracle_labels must hold names that labels has, got only others, such as "
            f"{answer_names[0].item()!r}: use the names of labels, or bools for whether they are "
            "right"
        )
    return samples, answers == of_samples


def _is_label(array: NDArray[Any], name: str) -> NDArray[np.bool_]:
    """Which samples have a label: neither None nor -1."""
    if array.dtype.kind == "O":
        return np.array([value is not None and not _is_minus_one(value) for value in array], bool)
    if array.dtype.kind not in "iubUST" and array.size:
        raise TypeError(
            f"{name} must hold integers (-1 for no label) or strings (None for no label), got "
            f"dtype {array.dtype}"
        )
    return array != -1 if array.dtype.kind == "i" else np.ones(len(array), bool)


def _is_minus_one(value: Any) -> bool:
    return _kind(value) == "int" and value == -1


def _plain(array: NDArray[Any], name: str) -> NDArray[Any]:
    """The labels as an array of integers, strings or bools."""
    if array.dtype.kind == "O":
        kinds = {_kind(value) for value in array}
        if len(kinds) > 1 or not kinds <= {"str", "int", "bool"}:
            raise TypeError(
                f"{name} must hold integers only or strings only, got {', '.join(sorted(kinds))}"
            )
        return np.array(array.tolist())
    return array.astype(str) if array.dtype.kind == "T" else array


def _kind(value: Any) -> str:
    for name, types in (("str", str), ("bool", (bool, np.bool_)), ("int", (int, np.integer))):
        if isinstance(value, types):
            return name
    return type(value).__name__
