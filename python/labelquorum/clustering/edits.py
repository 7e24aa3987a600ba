"""What people change about categories after a fit: names, merges, parts, and what they accept.

Each function takes a `Named` outcome and returns another one; nothing is computed from features.
Known categories come first, new ones by decreasing size, as after a fit. Three rules hold:

- Labels that people gave are never changed, apart from the name of their category.
- What a person names or merges is known from then on: its most certain samples become accepted, so
  that the next fit keeps it.
- Shares of merged categories are added, and a category's shares are divided among its parts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labelquorum._shared.arguments import shown
from labelquorum._shared.label_reader import Labels, array_of_names, is_no_label_word
from labelquorum._shared.labels import category_names
from labelquorum._shared.names import as_name
from labelquorum.clustering.ballots import Ballots, Integers
from labelquorum.clustering.consensus import ConsensusTree
from labelquorum.clustering.outcome import Categories, Outcome, categories_of, most_certain

_MOST_LISTED = 10


class Named(NamedTuple):
    """The outcome of a fit, and what its categories are called."""

    outcome: Outcome
    labels: list[Any]
    """What `labels_` has for each category: all strings, or all integers."""
    names: list[str]
    """What people read for each category."""
    places: NDArray[np.int32]
    """The number that each category has now, by the number that it had at first."""
    used: list[Any]
    """Labels that categories have, or had; no new one gets any of them."""

    @classmethod
    def of(cls, outcome: Outcome, labels: Sequence[Any], names: Sequence[str]) -> Named:
        """Begin with what nobody has changed."""
        proposed = outcome.origins.proposed
        used = [*labels, *([] if proposed is None else proposed.classes.tolist())]
        places = np.arange(len(labels), dtype=np.int32)
        return cls(outcome, list(labels), list(names), places, used)

    def find(self, name: Any, argument: str) -> int:
        """Return the number of a category by its label or name.

        The integer of before finds the category "new 3", too, which was 3 until one got a name.
        """
        name = name.item() if isinstance(name, np.generic) else name
        if isinstance(name, (int, str)) and not isinstance(name, bool):
            texts = list(map(str, self.labels))
            candidates: tuple[list[Any], ...] = (self.labels, self.names, texts)
            for called in candidates:
                if name in called:
                    return called.index(name)
            if f"new {name}" in texts:
                return texts.index(f"new {name}")
        raise self._unknown(name, argument)

    def find_all(self, names: Any, argument: str) -> list[int]:
        """Return the numbers of several categories; a single name counts as a list of one."""
        if isinstance(names, (str, int, np.generic)):
            names = [names]
        try:
            items = list(names)
        except TypeError:
            raise TypeError(
                f"{argument} must be a list of names, got {type(names).__name__}"
            ) from None
        numbers = [self.find(name, argument) for name in items]
        if not numbers:
            raise ValueError(f"{argument} must hold at least one name, got none")
        for i, number in enumerate(numbers):
            if number in numbers[:i]:
                raise ValueError(
                    f"{argument} must hold different categories, got {shown(items[i])} for one "
                    f"that {shown(items[numbers.index(number)])} is, too"
                )
        return numbers

    def _unknown(self, name: Any, argument: str) -> ValueError:
        known = list(dict.fromkeys([*self.names, *map(str, self.labels)]))
        near = get_close_matches(name, known, 3, 0.5) if isinstance(name, str) else []
        listed = ", ".join(map(repr, near or known[:_MOST_LISTED]))
        if not near and len(known) > _MOST_LISTED:
            listed += ", ..."
        what = "the nearest are" if near else "there are"
        return ValueError(
            f"{argument} must be the name of a category or its label, got {shown(name)}: "
            f"{what} {listed}"
        )


def is_only_named(new: Outcome, old: Outcome) -> bool:
    """Whether two outcomes differ in nothing but names."""
    is_same = new.categories is old.categories and new.n_known == old.n_known
    return is_same and np.array_equal(new.known, old.known)  # type: ignore[arg-type]  # or None


def renamed(state: Named, new: Mapping[int, Any]) -> Named:
    """Give categories new names, which become their labels, too; what was new becomes known."""
    called, n_known = _called(state, new), state.outcome.n_known
    confirmed = [k for k in new if k >= n_known]
    is_rest_the_same = not confirmed and called.labels[n_known:] == state.labels[n_known:]
    return called if is_rest_the_same else _confirmed(called, confirmed)


def accepted(state: Named, numbers: Collection[int]) -> Named:
    """Accept the most certain samples of categories, which keep the names that people read."""
    new = {k: state.names[k] for k in numbers if state.names[k] != str(state.labels[k])}
    return _confirmed(_called(state, new), numbers)


def merged(state: Named, numbers: Sequence[int], name: Any, pseudo_share: float) -> Named:
    """Join categories into one with this name, which is known from then on."""
    outcome, target = state.outcome, min(numbers)
    given = [k for k in numbers if _has_given_labels(outcome, k)]
    if len(given) > 1:
        found = " and ".join(shown(state.labels[k]) for k in given[:2])
        raise ValueError(
            "names must hold at most one category with labels that people gave, got "
            f"{found}: change these labels (y), and fit again"
        )
    kept = [k for k in range(len(state.labels)) if k == target or k not in numbers]
    step = np.empty(len(state.labels), dtype=np.int32)
    step[kept] = np.arange(len(kept))
    step[list(numbers)] = place = kept.index(target)
    categories = outcome.categories
    shares = categories.shares[:, kept]
    shares[:, place] = np.minimum(1, categories.shares[:, sorted(numbers)].sum(axis=1))
    changed = _changed(
        state,
        Categories(shares, categories.rows, _moved(categories.numbers, step)),
        [state.labels[k] for k in kept],
        [state.names[k] for k in kept],
        step,
        n_known=sum(k < outcome.n_known for k in kept),
        known=None if outcome.known is None else _moved(outcome.known, step),
        pseudo_share=pseudo_share,
    )
    return _confirmed(_called(changed, {place: name}), [place])


def split(
    state: Named,
    number: int,
    n_parts: int,
    ballots: Ballots,
    *,
    min_size: int,
    pseudo_share: float,
    n_threads: int,
) -> Named:
    """Divide a category into the parts that its samples' votes tell apart best.

    The part with most known labels keeps the name; of equals, the largest one. Accepted samples of
    other parts become proposals again; samples with a given label stay.
    """
    outcome = state.outcome
    members = np.flatnonzero(outcome.categories.numbers == number)
    parts = _parts(outcome, members, n_parts, ballots, min_size, n_threads)
    n_found = int(parts.max(initial=-1)) + 1
    known = np.full(len(members), -1) if outcome.known is None else outcome.known[members]
    is_accepted = _accepted_samples(outcome)
    is_given = (known >= 0) & ~is_accepted[members]
    n_known = np.bincount(parts[(known >= 0) & (parts >= 0)], minlength=max(1, n_found))
    first = int(n_known.argmax())
    new_parts = np.where(parts < first, parts + 1, parts)
    new_parts[is_given | (parts < 0) | (parts == first)] = 0
    sizes = np.bincount(new_parts, minlength=n_parts)
    if n_found < n_parts or sizes.min() == 0:
        raise ValueError(
            f"name must be a category that the partitions divide into {n_parts} parts"
            f"{f' of at least {min_size} samples' if min_size > 1 else ''}, got "
            f"{shown(state.names[number])}, of which they find {max(1, np.count_nonzero(sizes))}"
        )
    numbers = outcome.categories.numbers.copy()
    n_before = len(state.labels)
    numbers[members] = np.where(new_parts == 0, number, n_before + new_parts - 1)
    shares = outcome.categories.shares
    divided = shares[:, [number]] * _ratios(outcome, ballots, members, new_parts, n_parts)
    shares = np.concatenate([shares, divided[:, 1:]], axis=1)
    shares[:, number] = divided[:, 0]
    codes, origins = outcome.known, outcome.origins
    if codes is not None:
        left = members[new_parts > 0]
        codes, is_accepted = codes.copy(), is_accepted.copy()
        codes[left], is_accepted[left] = -1, False
        origins = origins._replace(is_accepted=is_accepted)
    labels = _with_new_labels(state, n_parts - 1)
    changed = _changed(
        state._replace(outcome=replace(outcome, origins=origins)),
        Categories(shares, outcome.categories.rows, numbers),
        labels,
        [*state.names, *map(str, labels[n_before:])],
        np.arange(n_before, dtype=np.int32),
        n_known=outcome.n_known,
        known=codes,
        pseudo_share=pseudo_share,
    )
    return _arranged(changed)


def _parts(
    outcome: Outcome,
    members: Integers,
    n_parts: int,
    ballots: Ballots,
    min_size: int,
    n_threads: int,
) -> NDArray[np.int32]:
    """Cluster some samples by their votes: the part of each, the largest first; -1 without."""
    columns = list(ballots.signatures[ballots.ids[members]].T)
    part = Ballots.of(columns, n_threads, weights=ballots.partition_weights)
    if not part.has_votes.any():
        return np.zeros(len(members), dtype=np.int32)
    tree = ConsensusTree(part, n_clusters=n_parts, n_threads=n_threads)
    groups = None
    if outcome.groups is not None and (outcome.groups[members] >= 0).any():
        codes = np.unique(outcome.groups[members], return_inverse=True)[1]
        groups = (codes - int((outcome.groups[members] < 0).any())).astype(np.int32)
    return categories_of(tree.ballots, tree.cut(n_parts, min_size), groups, min_size).numbers


def _ratios(
    outcome: Outcome, ballots: Ballots, members: Integers, parts: Integers, n_parts: int
) -> NDArray[np.float32]:
    """Say how each row of shares divides those of a category among its parts; rows sum to 1."""
    codes = np.full(len(ballots), -1)
    codes[ballots.ids[members]] = parts
    shares = ballots.shares(codes)
    of_signatures = np.zeros((len(ballots), n_parts))
    of_signatures[:, : shares.shape[1]] = shares
    rows, n_rows = outcome.categories.rows, len(outcome.categories.shares)
    means = sparse.csr_array((np.ones(len(rows)), (rows, ballots.ids)), (n_rows, len(ballots)))
    counts = np.bincount(rows, minlength=n_rows)[:, None]
    ratios = np.where(counts > 0, (means @ of_signatures) / np.maximum(counts, 1), 1 / n_parts)
    return ratios.astype(np.float32)


def _called(state: Named, new: Mapping[int, Any]) -> Named:
    """Give categories other names. If the first string replaces an integer, all become strings."""
    labels, names = list(state.labels), list(state.names)
    given = {k: _as_new_name(name, labels) for k, name in new.items()}
    if _are_integers(labels) and any(isinstance(name, str) for name in given.values()):
        for k, label in enumerate(state.labels):
            labels[k] = str(label) if k < state.outcome.n_known else f"new {label}"
            names[k] = labels[k] if names[k] == str(label) else names[k]
        given = {k: str(name) for k, name in given.items()}
    for k, name in given.items():
        labels[k], names[k] = name, str(name)
    for k, name in given.items():
        for other in range(len(labels)):
            taken = [labels[other], names[other]]
            taken += [] if other in given else [state.labels[other]]
            if other != k and str(name) in map(str, taken):
                advice = "choose two" if other in given else "use merge to join the two"
                raise ValueError(
                    f"new names must be free, got {name!r} for category {state.names[k]!r}, which "
                    f"category {state.names[other]!r} has, too: {advice}"
                )
    return state._replace(labels=labels, names=names)


def _as_new_name(name: Any, labels: list[Any]) -> Any:
    name = name.item() if isinstance(name, np.generic) else name
    if isinstance(name, int) and not isinstance(name, bool) and _are_integers(labels):
        if not 0 <= name <= np.iinfo(np.int64).max:
            raise ValueError(
                f"new names must be strings, or integers from 0 to 2^63 - 1, got {name}"
            )
        return name
    name = as_name(name, "a new name")
    if is_no_label_word(name):
        raise ValueError(f"a new name must be none that means 'no label' in files, got {name!r}")
    return name


def _are_integers(labels: Sequence[Any]) -> bool:
    return not any(isinstance(label, str) for label in labels)


def _with_new_labels(state: Named, n_more: int) -> list[Any]:
    """Return the labels, followed by new ones that no category has, or had."""
    labels = state.labels
    taken = [*_of_same_kind(state.used, labels), *_of_same_kind(state.names, labels)]
    n = len(labels) + n_more
    more: list[Any] = category_names(array_of_names(labels), n, taken=taken).tolist()
    return more


def _of_same_kind(names: Sequence[Any], labels: Sequence[Any]) -> list[Any]:
    return [name for name in names if isinstance(name, str) != _are_integers(labels)]


def _has_given_labels(outcome: Outcome, number: int) -> bool:
    if outcome.known is None:
        return False
    return bool(((outcome.known == number) & ~_accepted_samples(outcome)).any())


def _accepted_samples(outcome: Outcome) -> NDArray[np.bool_]:
    """(n_samples,): whether the label is accepted."""
    is_accepted = outcome.origins.is_accepted
    return np.zeros(len(outcome.categories.numbers), bool) if is_accepted is None else is_accepted


def _confirmed(state: Named, numbers: Collection[int]) -> Named:
    """Make the most certain samples of categories accepted ones, and the categories known."""
    outcome = state.outcome
    own = outcome.categories.numbers
    known = np.full(len(own), -1, dtype=np.int32) if outcome.known is None else outcome.known
    chosen = outcome.is_certain & np.isin(own, list(numbers)) & (known < 0)
    origins = outcome.origins._replace(is_accepted=_accepted_samples(outcome) | chosen)
    outcome = replace(outcome, known=np.where(chosen, own, known), origins=origins)
    return _arranged(state._replace(outcome=outcome), numbers)


def _changed(
    state: Named,
    categories: Categories,
    labels: list[Any],
    names: list[str],
    step: NDArray[np.int32],
    *,
    n_known: int,
    known: NDArray[np.int32] | None,
    pseudo_share: float,
) -> Named:
    """Put samples into other categories; `step` is the new number of each category of before."""
    certain = most_certain(categories.numbers, categories.confidence, pseudo_share)
    outcome = replace(
        state.outcome, categories=categories, n_known=n_known, known=known, is_certain=certain
    )
    return Named(outcome, labels, names, _moved(state.places, step), state.used)


def _arranged(state: Named, confirmed: Collection[int] = ()) -> Named:
    """Number the categories anew: known ones first, then by decreasing size."""
    outcome, categories = state.outcome, state.outcome.categories
    n, n_known = categories.n_categories, outcome.n_known
    sizes = np.bincount(categories.numbers[categories.numbers >= 0], minlength=n)
    rank = [0 if k < n_known else 1 if k in confirmed else 2 for k in range(n)]
    order = sorted(range(n), key=lambda k: (rank[k], -sizes[k] if rank[k] == 2 else k))
    step = np.empty(n, dtype=np.int32)
    step[order] = np.arange(n)
    if order != list(range(n)):
        numbers = _moved(categories.numbers, step)
        categories = Categories(categories.shares[:, order], categories.rows, numbers)
    outcome = replace(
        outcome,
        categories=categories,
        n_known=sum(place < 2 for place in rank),
        known=None if outcome.known is None else _moved(outcome.known, step),
    )
    is_known = state.outcome.is_known(array_of_names(state.labels))
    labels, names = [state.labels[k] for k in order], [state.names[k] for k in order]
    # As for the next fit: categories of other cuts keep these names.
    used = list(dict.fromkeys([*labels, *_of_same_kind(state.used, labels)]))
    known_labels = {state.labels[k] for k in np.flatnonzero(is_known)}
    proposed = _without(Labels(array_of_names(used), categories.numbers), known_labels)
    outcome = replace(outcome, origins=outcome.origins._replace(proposed=proposed))
    return Named(outcome, labels, names, _moved(state.places, step), [*used, *state.used])


def _without(labels: Labels, left_out: set[Any]) -> Labels:
    """Leave out labels with some names."""
    names = labels.classes.tolist()
    kept = [k for k, name in enumerate(names) if name not in left_out]
    step = np.full(len(names), -1, dtype=np.int32)
    step[kept] = np.arange(len(kept))
    return Labels(array_of_names([names[k] for k in kept]), _moved(labels.codes, step))


def _moved(numbers: NDArray[np.int32], step: NDArray[np.int32]) -> NDArray[np.int32]:
    """Replace each number by its new one; -1 stays."""
    return np.where(numbers >= 0, step[numbers], np.int32(-1))
