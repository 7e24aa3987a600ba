"""The answers given so far: the label of each sample, skipped samples, and random audits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labelquorum._shared.label_reader import array_of_names, read_labels
from labelquorum._shared.labels import to_labels
from labelquorum._shared.samples import as_array
from labelquorum._shared.sealed import check_stored, check_stored_order

_NO_LABEL, _SKIPPED = -1, -2


def as_names(labels: Any, n: int, known_names: list[Any]) -> list[Any]:
    """Return the category name of each of n samples: a string, an int, or None for "skip".

    Parameters
    ----------
    labels : label or array-like of shape (n,)
        A single label counts for all n samples. What means "no label" means "skip".
    n : int
        Number of samples.
    known_names : list
        Category names so far. The new ones must be of the same kind, strings or integers.
    """
    is_single = (
        isinstance(labels, (str, bytes))
        or not hasattr(labels, "__len__")
        or getattr(labels, "shape", None) == ()
    )
    column = [labels] if is_single else labels
    read = read_labels(column, "labels", negatives="refused", mixed=True, whole_floats=True)
    if not is_single and len(read.codes) != n:
        raise ValueError(
            f"labels must have shape ({n},), one label per index, got {read.codes.shape}"
        )
    names: list[Any] = read.as_objects().tolist() * (n if is_single else 1)
    given = {(type(name), name) for name in (*known_names, *names) if name is not None}
    if len({kind is str for kind, _ in given}) > 1:
        raise TypeError("labels must be all strings or all integers, like earlier labels, got both")
    if any(kind is bool and (int, int(name)) in given for kind, name in given):
        raise TypeError(
            "labels must be bools or the integers 0 and 1, like earlier labels, got both: True "
            "equals 1"
        )
    return names


def as_samples(indices: ArrayLike, n: int) -> NDArray[np.int64]:
    """Return the indices as a 1-D array of distinct integers from 0 to n - 1."""
    array = as_array(indices, "indices")
    if array.size == 0 and array.ndim == 1:
        return np.empty(0, dtype=np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(f"indices must be integers, got dtype {array.dtype}")
    if array.ndim > 1:
        raise ValueError(f"indices must be an integer or a 1-D array, got shape {array.shape}")
    samples: NDArray[np.int64] = np.atleast_1d(array).astype(np.int64)
    outside = samples[(samples < 0) | (samples >= n)]
    if len(outside):
        raise ValueError(f"indices must be from 0 to {n - 1} (training samples), got {outside[0]}")
    values, counts = np.unique(samples, return_counts=True)
    if len(values) < len(samples):
        raise ValueError(f"indices must be distinct, got {values[counts > 1][0]} more than once")
    return samples


class AuditResults(NamedTuple):
    """How many labels of the model were audited, and how many of them are right."""

    n_right: int
    n_audited: int
    n_labels: int
    """Labels that the audits are a random subset of."""


class LabelBook:
    """The label of each sample as far as it is known, and which samples are audits.

    A label is stored as a code: its place in `names`, or -1 for no label. The model learns from all
    labels except those of audits.

    Parameters
    ----------
    n : int
        Number of samples.
    audit_order : int32 array of shape (n,)
        A random order of the samples. Audits are drawn in this order.

    Attributes
    ----------
    names : list
        The categories, strings or integers, in the order in which they were first given.
    codes : int32 array of shape (n,)
        Labels of samples that a person looked at; -2 for skipped samples.
    unseen_codes : int32 array of shape (n,)
        Labels given to a group of samples at once, without a look at each.
    is_audit : bool array of shape (n,)
        Which samples were drawn as audits.
    audit_order : int32 array of shape (n,)
        As given.
    """

    def __init__(self, n: int, audit_order: NDArray[np.int32]) -> None:
        self.names: list[Any] = []
        self.codes = np.full(n, _NO_LABEL, dtype=np.int32)
        self.unseen_codes = np.full(n, _NO_LABEL, dtype=np.int32)
        self.is_audit = np.zeros(n, dtype=bool)
        self.audit_order = audit_order
        self._n_drawn = 0  # samples of audit_order that were looked at when audits were drawn
        self._n_answered = 0  # samples with a label or skipped, those known to `fit` not counted

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        # joblib maps arrays of files and of other processes into memory read-only. These change.
        self.codes, self.unseen_codes = np.array(self.codes), np.array(self.unseen_codes)
        self.is_audit = np.array(self.is_audit)

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return the values and the arrays that `of_state` needs, by their names in a file."""
        values = {"names": self.names, "n_drawn": self._n_drawn, "n_taught": self._n_answered}
        arrays = {
            "codes": self.codes,
            "unseen": self.unseen_codes,
            "is_audit": self.is_audit,
            "audit_order": self.audit_order,
        }
        return values, arrays

    @classmethod
    def of_state(cls, values: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> LabelBook:
        """Make the book that `state` described; raise ValueError if it is out of range."""
        n, n_names = len(arrays["codes"]), len(values["names"])
        is_text = [isinstance(name, str) for name in values["names"]]
        is_number = [isinstance(name, (int, float)) for name in values["names"]]
        if not (all(is_text) or all(is_number)) or len(set(values["names"])) != n_names:
            raise ValueError("names must be distinct, and all strings or all numbers")
        check_stored(arrays["codes"], "codes", np.int32, (n,), (_SKIPPED, n_names - 1))
        check_stored(arrays["unseen"], "unseen", np.int32, (n,), (_NO_LABEL, n_names - 1))
        check_stored(arrays["is_audit"], "is_audit", np.bool_, (n,))
        check_stored_order(arrays["audit_order"], "audit_order", np.int32, n)
        check_stored(values["n_drawn"], "n_drawn", np.int64, (), (0, n))
        check_stored(values["n_taught"], "n_taught", np.int64, (), (-n, n))
        book = cls(n, arrays["audit_order"])
        book.names = values["names"]
        book.codes, book.unseen_codes = arrays["codes"], arrays["unseen"]
        book.is_audit = arrays["is_audit"]
        book._n_drawn, book._n_answered = values["n_drawn"], values["n_taught"]
        return book

    def set_known(self, names: list[Any], codes: NDArray[np.int32]) -> None:
        """Enter the labels that are known before the first question."""
        self.names, self.codes = names, codes.copy()

    def draw_audits(self, share: float, n: int) -> list[int]:
        """Return the audits among the next n questions, so that `share` of all answers are audits.

        Audits that were drawn before and have no answer yet come first.
        """
        n_answered_audits = int(self.is_answered_audit().sum())
        n_due = min(n, int(share * (self._n_answered + n) + 1e-9) - n_answered_audits)
        if n_due <= 0:
            return []
        drawn = self.audit_order[: self._n_drawn]
        waiting = drawn[self.is_audit[drawn] & (self.codes[drawn] == _NO_LABEL)]
        audits: list[int] = waiting[:n_due].tolist()
        while len(audits) < n_due and self._n_drawn < len(self.codes):
            sample = int(self.audit_order[self._n_drawn])
            self._n_drawn += 1
            if self.codes[sample] == _NO_LABEL:
                self.is_audit[sample] = True
                audits.append(sample)
        return audits

    def record(self, samples: NDArray[np.int64], names: list[Any]) -> None:
        """Enter one name per sample; None marks the sample as skipped."""
        self._n_answered += int((self.codes[samples] == _NO_LABEL).sum())
        self.codes[samples] = [_SKIPPED if name is None else self._code(name) for name in names]

    def record_unseen(self, samples: NDArray[np.int64], name: Any) -> NDArray[np.int64]:
        """Enter one name for those of the samples that have no answer, and return them."""
        has_no_answer = (self.codes[samples] == _NO_LABEL) & (
            self.unseen_codes[samples] == _NO_LABEL
        )
        labeled: NDArray[np.int64] = samples[has_no_answer]
        self.unseen_codes[labeled] = self._code(name)
        return labeled

    def erase(self, samples: NDArray[np.int64]) -> None:
        """Take back all answers about the samples."""
        self._n_answered -= int((self.codes[samples] != _NO_LABEL).sum())
        self.codes[samples] = self.unseen_codes[samples] = _NO_LABEL

    def release_audit(self, sample: int) -> bool:
        """Make an audit an ordinary sample; return whether it has a label to learn from now on."""
        self.is_audit[sample] = False
        return bool(self.codes[sample] >= 0)

    def _code(self, name: Any) -> int:
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)

    def is_answered_audit(self) -> NDArray[np.bool_]:
        """Return which samples are audits that have a label."""
        is_audited: NDArray[np.bool_] = self.is_audit & (self.codes >= 0)
        return is_audited

    def is_population(self) -> NDArray[np.bool_]:
        """Return which samples the audits are a random subset of: all that were not learned from.

        Samples with an unseen label are among them, skipped ones are not.
        """
        is_in_population: NDArray[np.bool_] = (self.codes == _NO_LABEL) | self.is_answered_audit()
        return is_in_population

    def is_open(self) -> NDArray[np.bool_]:
        """Return which samples would be worth a question if there were no audits."""
        is_unlabeled: NDArray[np.bool_] = self.is_population() & (self.unseen_codes == _NO_LABEL)
        return is_unlabeled

    def codes_to_learn(self) -> NDArray[np.int32]:
        """Return the labels that the model learns from; -1 elsewhere."""
        return np.where(self.is_population(), self.unseen_codes, self.codes.clip(_NO_LABEL))

    def all_codes(self) -> NDArray[np.int32]:
        """Return all labels, those of audits included; -1 elsewhere."""
        return np.where(self.codes >= 0, self.codes, self.unseen_codes)

    def has_enough(self, codes: NDArray[np.int32], min_samples: int) -> NDArray[np.bool_]:
        """Return which categories have at least `min_samples` of these labels."""
        counts = np.bincount(codes[codes >= 0], minlength=len(self.names))
        is_large: NDArray[np.bool_] = counts >= min_samples
        return is_large

    def categories(self, min_samples: int) -> tuple[NDArray[Any], NDArray[np.intp]]:
        """Return the categories with at least `min_samples` labels, sorted, and their codes."""
        names = array_of_names(self.names)
        codes = np.flatnonzero(self.has_enough(self.all_codes(), min_samples))
        codes = codes[np.argsort(names[codes])]
        return names[codes], codes

    def labels_of(self, codes: NDArray[np.integer[Any]], min_samples: int) -> NDArray[Any]:
        """Turn codes into labels: -1 or None where a category has fewer than `min_samples`."""
        categories, category_codes = self.categories(min_samples)
        places = np.full(len(self.names) + 1, -1)  # the last one is for code -1
        places[category_codes] = np.arange(len(category_codes))
        if not len(categories):
            categories = array_of_names(self.names)[:1]  # for the type of the labels
        return to_labels(categories, places[codes])

    def audit_results(self, predicted: NDArray[np.integer[Any]]) -> AuditResults:
        """Compare the labels of audits with what the model says of these samples.

        Parameters
        ----------
        predicted : int array of shape (n,)
            The model's code for each sample, -1 for none. Unseen labels take its place.
        """
        codes = np.where(self.unseen_codes >= 0, self.unseen_codes, predicted)
        is_counted = self.is_population() & (codes >= 0)
        is_audited = self.is_answered_audit() & is_counted
        n_right = int((self.codes == codes)[is_audited].sum())
        return AuditResults(n_right, int(is_audited.sum()), int(is_counted.sum()))
