"""Where labels come from: people, the model with people's consent, or the model alone.

Each label has one of three origins:

- "given": a person said it;
- "accepted": the model proposed it, and a person accepted it;
- "proposed": the model said it alone.

What people said, given or accepted, is known. A proposal is not: if it is passed to the next fit,
it votes beside known labels (`clustering.proposals`), and without any the category keeps its name.
So results can be passed on, week after week, and what the model once said does not become certain
by itself.

A label without an origin is given, since results of this package always have one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labelquorum._shared.arguments import shown
from labelquorum._shared.label_reader import Labels, read_labels
from labelquorum._shared.labels import category_names, known_codes
from labelquorum._shared.sealed import check_kinds, check_stored

GIVEN, ACCEPTED, PROPOSED = "given", "accepted", "proposed"
ORIGINS = (GIVEN, ACCEPTED, PROPOSED)
ORIGIN = "origin"
"""The name of the column of origins in files."""

_LEAST_COMMON = 0.5  # share of samples of either category, for one to be the other


class Origins(NamedTuple):
    """What is remembered of labels beside the known ones."""

    is_accepted: NDArray[np.bool_] | None = None
    """(n_samples,): whether the known label is an accepted one; None if none is."""
    proposed: Labels | None = None
    """The labels that an earlier model proposed; None if there are none."""

    def __check_saved__(self) -> None:
        """Raise an error unless the parts are of the right kind."""
        if self.is_accepted is not None:
            check_stored(self.is_accepted, "is_accepted", np.bool_, (None,))
        if self.proposed is not None:
            check_kinds(self, proposed=Labels)

    def words(
        self, known: NDArray[np.int32] | None, numbers: NDArray[np.int32]
    ) -> NDArray[np.str_]:
        """Return the origin of each label, "" for no label.

        Parameters
        ----------
        known : int32 array of shape (n_samples,), optional
            The known category of each sample, -1 without one.
        numbers : int32 array of shape (n_samples,)
            The category of each sample in the result, -1 without one.
        """
        words = np.full(len(numbers), PROPOSED)
        if known is not None:
            words[known >= 0] = GIVEN
        if self.is_accepted is not None:
            words[self.is_accepted] = ACCEPTED
        words[numbers < 0] = ""
        return words

    def names(
        self, known_names: NDArray[Any], numbers: NDArray[np.int32], n_categories: int
    ) -> NDArray[Any]:
        """Return the names of categories, of which the first are the known ones.

        A new category keeps the name of a proposed one if more than half of the samples that are in
        either of them are in both. Of the new category, only samples with a proposal count. Other
        new categories get new names, which no proposed one had.
        """
        if self.proposed is None:
            return category_names(known_names, n_categories)
        old_names, codes = self.proposed
        known, old = set(known_names.tolist()), old_names.tolist()
        # If only voters named the known ones, these may be of another kind.
        if len({isinstance(name, str) for name in [*known, *old]}) > 1:
            return category_names(known_names, n_categories)
        counted = (numbers >= 0) & (codes >= 0)
        counts = sparse.csr_array(
            (np.ones(counted.sum()), (numbers[counted], codes[counted])),
            shape=(n_categories, len(old_names)),
        ).tocoo()
        # Two categories that share more than half share so much with no other.
        sizes = np.bincount(numbers[counted], minlength=n_categories)
        old_sizes = np.bincount(codes[codes >= 0], minlength=len(old))
        either = sizes[counts.row] + old_sizes[counts.col] - counts.data
        is_same = (counts.data > _LEAST_COMMON * either) & (counts.row >= len(known))
        pairs = zip(counts.row[is_same].tolist(), counts.col[is_same].tolist(), strict=True)
        kept = {place: old[k] for place, k in pairs if old[k] not in known}
        return category_names(known_names, n_categories, kept=kept, taken=old)


NOTHING_REMEMBERED = Origins()


class KnownByOrigin(NamedTuple):
    """The known labels of samples, and what is remembered of the others."""

    names: NDArray[Any]
    """(n_known,): the known categories, sorted."""
    codes: NDArray[np.int32] | None
    """(n_samples,): the known category of each sample, -1 without one; None if none is known."""
    origins: Origins


def known_by_origin(y: Any, origins: Any, n_samples: int) -> KnownByOrigin:
    """Read labels and where they come from, and tell what is known.

    Parameters
    ----------
    y : array-like of shape (n_samples,), optional
        Labels, as for `known_codes`.
    origins : array-like of shape (n_samples,), optional
        The origin of each label; None if all are given.
    n_samples : int
        Number of samples.
    """
    names, codes = known_codes(y, n_samples)
    if origins is None:
        return KnownByOrigin(names, codes, NOTHING_REMEMBERED)
    if y is None:
        raise ValueError("origins must come with y, the labels whose origins they are")
    words = as_origins(origins, "origins")
    if len(words) != n_samples:
        raise ValueError(f"origins must have {n_samples} values, one per sample, got {len(words)}")
    if codes is None:
        return KnownByOrigin(names, None, NOTHING_REMEMBERED)
    is_proposal = words == PROPOSED
    proposed = _used(names, np.where(is_proposal, codes, np.int32(-1)))
    names, codes = _used(names, np.where(is_proposal, np.int32(-1), codes))
    is_accepted = (words == ACCEPTED) & (codes >= 0)
    return KnownByOrigin(
        names,
        codes if len(names) else None,
        Origins(
            is_accepted if is_accepted.any() else None,
            proposed if len(proposed.classes) else None,
        ),
    )


def as_origins(values: Any, name: str) -> NDArray[np.str_]:
    """Return the words in a column of origins, "" where there is none.

    `name` is that of the column, for messages.
    """
    labels = read_labels(values, name, mixed=True)
    words = [word.strip().lower() if isinstance(word, str) else word for word in labels.classes]
    for i, word in enumerate(words):
        if word not in ORIGINS:
            position = int((labels.codes == i).argmax())
            raise ValueError(
                f"{name} must hold 'given', 'accepted' or 'proposed', or nothing for labels that "
                f"people gave, got {shown(labels.classes[[i]].tolist()[0])} at position {position}"
            )
    return np.array([*words, ""], dtype=f"U{len(ACCEPTED)}")[labels.codes]


def said_by_people(labels: NDArray[Any], words: NDArray[np.str_]) -> NDArray[Any]:
    """Return the labels without proposals: None, or -1 among integers, instead of these."""
    said = labels.copy()
    said[words == PROPOSED] = None if labels.dtype.kind == "O" else -1
    return said


def _used(names: NDArray[Any], codes: NDArray[np.int32]) -> Labels:
    """Return the labels without the names that no sample has."""
    is_used = np.bincount(codes[codes >= 0], minlength=len(names)) > 0
    new_codes = np.append(np.where(is_used, np.cumsum(is_used) - 1, -1), -1).astype(np.int32)
    return Labels(names[is_used], new_codes[codes])
