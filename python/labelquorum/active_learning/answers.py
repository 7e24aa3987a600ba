"""TODO."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_NONE, _SKIPPED = -1, -2


def as_names(labels: Any, n: int, names: list[Any]) -> list[Any]:
    """A name for each of n samples: a string, an int or, for none, None."""
    if labels is None or isinstance(labels, (str, bytes)) or np.ndim(labels) == 0:
        found = [labels] * n
    else:
        found = list(labels)
        if np.ndim(labels) != 1 or len(found) != n:
            raise ValueError(f"labels has shape {np.shape(labels)}; wanted ({n},), as indices")
    found = [_as_name(label) for label in found]
    kinds = {isinstance(name, str) for name in (*names, *found) if name is not None}
    if len(kinds) > 1:
        raise TypeError("labels holds strings and numbers; wanted one kind, as those before")
    return found


def _as_name(label: Any) -> Any:
    if isinstance(label, np.generic):
        label = label.item()
    if label is None or isinstance(label, str):
        return label
    if not isinstance(label, (int, float)) or label != label or label != int(label):
        raise TypeError(
            f"labels holds {label!r} ({type(label).__name__}); wanted integers or strings, with -1 "
            "or None for a sample that is skipped"
        )
    return None if label == _NONE else label


class Answers:
    """The labels of samples: numbers of names, in the order in which those came up.

    `codes` has what was said of a sample that was looked at, `unseen` what was said of its
    mini-cluster. The model learns from both, but for `codes` of checks (`is_audit`).
    """

    ARRAYS = ("codes", "unseen", "is_audit", "audit_order")

    def __init__(self, n: int, audit_order: NDArray[np.int32]) -> None:
        self.names: list[Any] = []
        self.codes = np.full(n, _NONE, dtype=np.int32)
        self.unseen = np.full(n, _NONE, dtype=np.int32)
        self.is_audit = np.zeros(n, dtype=bool)
        self.audit_order = audit_order
        self.n_drawn = 0  # of audit_order
        self.n_taught = 0  # samples asked and answered

    def start(self, names: list[Any], codes: NDArray[np.int32]) -> None:
        """The labels known before the first question."""
        self.names, self.codes = names, codes.copy()

    def draw(self, share: float, n: int) -> list[int]:
        """The checks among the next n questions."""
        n_due = min(n, int(share * (self.n_taught + n) + 1e-9) - int(self.checked().sum()))
        if n_due <= 0:
            return []
        places = self.audit_order[: self.n_drawn]
        waiting = places[self.is_audit[places] & (self.codes[places] == _NONE)]
        asked: list[int] = waiting[:n_due].tolist()
        while len(asked) < n_due and self.n_drawn < len(self.codes):
            sample = int(self.audit_order[self.n_drawn])
            self.n_drawn += 1
            if self.codes[sample] == _NONE:
                self.is_audit[sample] = True
                asked.append(sample)
        return asked

    def take(self, samples: NDArray[np.int64], names: list[Any]) -> None:
        self.n_taught += int((self.codes[samples] == _NONE).sum())
        self.codes[samples] = [_SKIPPED if name is None else self._code(name) for name in names]

    def take_unseen(self, samples: NDArray[np.int64], name: Any) -> NDArray[np.int64]:
        is_free = (self.codes[samples] == _NONE) & (self.unseen[samples] == _NONE)
        found: NDArray[np.int64] = samples[is_free]
        self.unseen[found] = self._code(name)
        return found

    def drop(self, samples: NDArray[np.int64]) -> None:
        self.n_taught -= int((self.codes[samples] != _NONE).sum())
        self.codes[samples] = self.unseen[samples] = _NONE

    def _code(self, name: Any) -> int:
        if name not in self.names:
            self.names.append(name)
        return self.names.index(name)

    def checked(self) -> NDArray[np.bool_]:
        """Which samples are answered checks."""
        found: NDArray[np.bool_] = self.is_audit & (self.codes >= 0)
        return found

    def is_population(self) -> NDArray[np.bool_]:
        """Which samples the checks are a random subset of."""
        found: NDArray[np.bool_] = (self.codes == _NONE) | self.checked()
        return found

    def is_open(self) -> NDArray[np.bool_]:
        """Which samples would be worth a question if there were no checks."""
        found: NDArray[np.bool_] = self.is_population() & (self.unseen == _NONE)
        return found

    def taught(self) -> NDArray[np.int32]:
        """What the model learns."""
        return np.where(self.is_population(), self.unseen, self.codes.clip(_NONE))

    def given(self) -> NDArray[np.int32]:
        """All labels, checks too."""
        return np.where(self.codes >= 0, self.codes, self.unseen)

    def is_large(self, codes: NDArray[np.int32], least: int) -> NDArray[np.bool_]:
        """Which categories have so many of these labels."""
        counts = np.bincount(codes[codes >= 0], minlength=len(self.names))
        found: NDArray[np.bool_] = counts >= least
        return found
