"""Labels and the answers of an oracle to them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelquorum._shared.label_reader import read_labels
from labelquorum._shared.labels import in_natural_order


def as_categories(labels: ArrayLike, name: str) -> tuple[NDArray[Any], NDArray[np.int32]]:
    """The distinct labels, and the place of each sample's among them; -1 for none.

    "new 2" comes before "new 10".
    """
    categories, codes = in_natural_order(read_labels(labels, name))
    if not len(categories):
        raise ValueError(f"{name} must hold at least one label, got -1 or None for all samples")
    if isinstance(categories.tolist()[0], bool):
        raise TypeError(
            f"{name} must hold integers or strings, got bools: convert them, since bools as "
            "answers say whether a label is right"
        )
    return categories, codes


def checked_labels(
    categories: NDArray[Any], codes: NDArray[np.int32], oracle_labels: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The labeled samples that were checked, and whether their labels are right.

    `categories` and `codes` are those of the labels, as `as_categories` returns them.
    """
    # A negative number names no category: it is the answer that none is right.
    answers, answer_codes = read_labels(oracle_labels, "oracle_labels", negatives="names")
    if answer_codes.shape != codes.shape:
        raise ValueError(
            f"oracle_labels must have shape {codes.shape}, as labels does, got {answer_codes.shape}"
        )
    samples = np.flatnonzero((codes >= 0) & (answer_codes >= 0))
    if not len(samples):
        raise ValueError(
            "oracle_labels must hold a check of at least one labeled sample, got -1 or None for "
            "all of them"
        )
    given, names = answers.tolist(), categories.tolist()
    if answers.dtype.kind == "b":
        return samples, answers[answer_codes[samples]]
    if isinstance(given[0], str) != isinstance(names[0], str):
        raise TypeError(
            "oracle_labels must hold bools or the same names as labels, got "
            f"{given[answer_codes[samples[0]]]!r} for the label {names[codes[samples[0]]]!r}"
        )
    code_of = {name: code for code, name in enumerate(names)}
    code_of_answer = np.array([code_of.get(answer, -1) for answer in given])
    unknown = [answer for answer in given if isinstance(answer, str) or answer >= 0]
    if len(unknown) > 1 and not (code_of_answer >= 0).any():
        raise ValueError(
            "oracle_labels must hold names that labels has, got only others, such as "
            f"{unknown[0]!r}: use the names of labels, or bools for whether they are right"
        )
    return samples, code_of_answer[answer_codes[samples]] == codes[samples]
