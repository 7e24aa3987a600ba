"""A labeling session: questions to a person, the effects of the answers, undo and replay.

The module has no user interface. A terminal, a window or a test gets the next `Question` or `Offer`
from a `LabelingSession` and calls the method for the person's answer. Each answer is an event that
is stored before it takes effect. A new session that is given the events of an earlier one continues
where that one stopped.

A sample's group is the set of samples that at least 90 % of the partitions put in its cluster. One
answer can label a whole group. First the person labels the sample and a few others of the group
(the checks). If all get the same label, the session offers to give it to the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.origins import ACCEPTED, GIVEN, PROPOSED

_MIN_AGREE = 0.9  # share of the partitions
N_CHECKS = 3  # other samples of a group that are asked before one label is offered to the rest
_MIN_REST = 2 * N_CHECKS  # fewer other samples in a group are not worth the checks
_GROUP_CONFIDENCE = (N_CHECKS + 2) / (N_CHECKS + 3)  # by Laplace's rule of succession
_AUDITS_PER_LOOK = 10  # answered audits between two looks at the precision bound

Event = dict[str, Any]


class Proposal(NamedTuple):
    """A category to choose from."""

    category: str
    share: float | None
    """Its probability; None if it has too few labels to be predicted, or is the only category."""


class Question(NamedTuple):
    """Asks for the category of a sample."""

    row: int
    proposals: list[Proposal]
    """All categories so far, the most likely first."""
    n_alike: int
    """Number of other samples of its group that have no answer; 0 if they are too few to check."""
    check: tuple[int, int] | None
    """While a group is checked: the number of this check, from 1, and how many there are."""


class Offer(NamedTuple):
    """Offers to give the category of the checked samples of a group to the rest of it."""

    row: int
    """The sample whose group it is."""
    category: str
    rows: list[int]
    """The samples of the group that have no answer yet."""
    n_checked: int


class _Checks(NamedTuple):
    """A group that is being checked."""

    row: int
    """The sample whose group it is."""
    rows: list[int]
    """That sample and the others to ask."""


class Labels(NamedTuple):
    """The label of each sample and where it comes from; arrays of one length."""

    labels: NDArray[Any]
    """Strings; None for no label."""
    origins: NDArray[Any]
    """Each is "given" (one by one), "accepted" (for the rest of a group), "proposed" by the model,
    or "" for no label."""
    confidence: NDArray[np.float64]
    """Probability that the label is right: 1 for "given", 5/6 for "accepted", 0 for no label."""


class LabelingSession:
    """Questions to a person about samples, and the labels that follow from the answers.

    Parameters
    ----------
    sampler : PreClusteringSampler
        Fitted, without labels. Its sample i is row rows[i]; only these rows are asked about.
    partitions : int array of shape (len(rows), n_partitions)
        Clusterings of the samples. They decide which samples form a group.
    rows : sequence of int
        The rows that may be asked about, ascending.
    store : callable
        Called with each event before the event takes effect. When it returns, the event must be
        stored safely.
    events : iterable of dict, optional
        The events of an earlier session with the same sampler and rows, to continue it.
    seed : int, default=0
        Determines which samples of a group are checked.

    Attributes
    ----------
    lower_bound : float
        Lower bound of the precision of the proposed labels; 0 without audits.

    Raises
    ------
    ValueError
        If an event does not fit this session: if its row is not in `rows`, for example.
    """

    def __init__(
        self,
        sampler: Any,
        partitions: NDArray[np.integer[Any]],
        rows: Sequence[int],
        store: Callable[[Event], None],
        events: Iterable[Event] = (),
        *,
        seed: int = 0,
    ) -> None:
        self._sampler = sampler
        self._partitions = partitions
        self._rows = list(rows)
        self._places = {row: place for place, row in enumerate(self._rows)}
        self._store = store
        self._seed = seed
        self._label_of_row: dict[int, str] = {}  # labeled one by one, in the order of the answers
        self._skipped: set[int] = set()
        self._group_label_of_row: dict[int, str] = {}
        self._checks: _Checks | None = None
        self._undone_row: int | None = None  # its answer was taken back, so it is asked next
        self._history: list[tuple[Event, _Checks | None]] = []  # with the checks before the event
        self._n_audits_at_look = 0
        self.lower_bound = 0.0
        for number, event in enumerate(events, 1):
            try:
                self._apply(event)
            except (KeyError, ValueError) as error:
                raise ValueError(f"answer {number}, {event!r}, does not fit: {error}") from error

    @property
    def categories(self) -> dict[str, int]:
        """The categories, in order of first use, and how many labels the person gave to each."""
        counts: dict[str, int] = {}
        for category in self._label_of_row.values():
            counts[category] = counts.get(category, 0) + 1
        return counts

    @property
    def n_labeled(self) -> int:
        """Number of samples labeled one by one."""
        return len(self._label_of_row)

    @property
    def n_of_group(self) -> int:
        """Number of samples that got the label of their group."""
        return len(self._group_label_of_row.keys() - self._label_of_row.keys())

    @property
    def n_left(self) -> int:
        """Number of samples that have no answer."""
        return len(self._rows) - len(self._answered_rows())

    def _answered_rows(self) -> set[int]:
        return self._label_of_row.keys() | self._group_label_of_row.keys() | self._skipped

    def ask(self) -> Question | Offer | None:
        """Return what to ask next; None when nothing is left."""
        if self._undone_row is not None:
            return self._question(self._undone_row)
        if self._checks is not None:
            row, rows = self._checks
            unlabeled = [row for row in rows if row not in self._label_of_row]
            if unlabeled:
                return self._question(unlabeled[0])
            return Offer(row, self._label_of_row[row], self._rest_of_group(row), len(rows))
        samples = self._sampler.query(1)
        return self._question(self._rows[int(samples[0])]) if len(samples) else None

    def answer(self, row: int, category: str) -> None:
        """Give the sample this category."""
        self._do({"event": "label", "row": row, "label": category})

    def skip(self, row: int) -> None:
        """Leave the sample without a label and never ask it again."""
        self._do({"event": "skip", "row": row})

    def check(self, row: int) -> None:
        """Ask about a few samples of this one's group, so that one label may do for all of it."""
        rest = self._rest_of_group(row)
        if len(rest) < _MIN_REST:
            raise ValueError(
                f"the group of row {row} must have at least {_MIN_REST} other samples without an "
                f"answer, got {len(rest)}"
            )
        random = np.random.RandomState([self._seed, row])
        checked = random.choice(rest, N_CHECKS, replace=False).tolist()
        self._do({"event": "check", "row": row, "rows": [row, *checked]})

    def give(self, offer: Offer) -> None:
        """Give the rest of the group the offered category."""
        event = {"event": "give", "row": offer.row, "rows": offer.rows, "label": offer.category}
        self._do(event)

    def decline(self) -> None:
        """Ask about the rest of the group one by one instead."""
        self._do({"event": "decline"})

    @property
    def can_undo(self) -> bool:
        """Whether there is an answer to take back."""
        return bool(self._history)

    def undo(self) -> None:
        """Take back the last answer that is still in effect."""
        self._do({"event": "undo"})

    def labels(self, n_rows: int) -> Labels:
        """Return the labels of rows 0 to n_rows - 1: given one by one, to groups, or proposed."""
        labels = np.full(n_rows, None, dtype=object)
        origins = np.full(n_rows, "", dtype=object)
        confidence = np.zeros(n_rows)
        if self._has_labels_to_learn():
            rows = np.array(self._rows)
            probabilities = self._sampler.predict_proba()
            labels[rows] = self._sampler.predict()
            confidence[rows] = probabilities.max(axis=1, initial=0.0)
            is_proposed = np.array([label is not None for label in labels])
            origins[is_proposed] = PROPOSED
            confidence[~is_proposed] = 0.0
        for row, category in self._group_label_of_row.items():
            labels[row], origins[row], confidence[row] = category, ACCEPTED, _GROUP_CONFIDENCE
        for row, category in self._label_of_row.items():
            labels[row], origins[row], confidence[row] = category, GIVEN, 1.0
        return Labels(labels, origins, confidence)

    def _question(self, row: int) -> Question:
        if self._checks is not None and row in self._checks.rows:
            rows = self._checks.rows
            return Question(row, self._proposals(row), 0, (rows.index(row) + 1, len(rows)))
        n_rest = len(self._rest_of_group(row))
        return Question(row, self._proposals(row), n_rest if n_rest >= _MIN_REST else 0, None)

    def _proposals(self, row: int) -> list[Proposal]:
        categories = self.categories
        share_of: dict[str, float] = {}
        if len(categories) > 1 and self._has_labels_to_learn():
            probabilities = self._sampler.predict_proba()[self._places[row]].tolist()
            share_of = dict(zip(self._sampler.classes_.tolist(), probabilities, strict=True))
        proposals = [Proposal(category, share_of.get(category)) for category in categories]
        return sorted(proposals, key=lambda proposal: -(proposal.share or 0.0))

    def _has_labels_to_learn(self) -> bool:
        """Return whether the sampler can predict. It learns nothing from audits."""
        n_audits: int = self._sampler.n_audits_
        return len(self._label_of_row) > n_audits

    def _rest_of_group(self, row: int) -> list[int]:
        """Return the other samples of the row's group that have no answer, ascending."""
        is_vote = self._partitions == self._partitions[self._places[row]]
        is_in_group = is_vote.mean(axis=1) >= _MIN_AGREE
        excluded = self._answered_rows() | {row}
        group = [self._rows[place] for place in np.flatnonzero(is_in_group)]
        return [member for member in group if member not in excluded]

    def _do(self, event: Event) -> None:
        self._check_fits(event)
        self._store(event)
        self._apply(event)

    def _check_fits(self, event: Event) -> None:
        """Refuse an event that cannot be applied, before it is stored."""
        for row in (event.get("row", self._rows[0]), *event.get("rows", ())):
            if row not in self._places:
                raise ValueError(f"row {row} is not one of the rows to ask about")
        if event["event"] == "undo" and not self._history:
            raise ValueError("there is no answer to take back")
        if event["event"] == "check" and event["rows"][:1] != [event["row"]]:
            raise ValueError("the first of its rows must be its row")

    def _apply(self, event: Event) -> None:
        self._check_fits(event)
        if self._sampler.audit_share and self._undone_row is None and self._checks is None:
            # A query draws audits. It came before this answer, so a replay must repeat it.
            self._sampler.query(1)
        kind = event["event"]
        if kind == "undo":
            self._take_back()
            return
        row: int = event.get("row", -1)
        self._history.append((event, self._checks))
        self._undone_row = None
        if kind == "label":
            self._sampler.teach(self._places[row], event["label"])
            self._label_of_row[row] = event["label"]
            self._stop_checks_that_differ()
            self._update_lower_bound()
        elif kind == "skip":
            self._sampler.teach(self._places[row], None)
            self._skipped.add(row)
            self._checks = None
        elif kind == "check":
            self._checks = _Checks(row, event["rows"])
        elif kind == "give":
            members = [self._places[row] for row in event["rows"]]
            self._sampler.teach_cluster(self._places[row], event["label"], members)
            self._group_label_of_row.update(dict.fromkeys(event["rows"], event["label"]))
            self._checks = None
        else:
            self._checks = None

    def _stop_checks_that_differ(self) -> None:
        if self._checks is not None:
            labels = {self._label_of_row.get(row) for row in self._checks.rows} - {None}
            if len(labels) > 1:
                self._checks = None

    def _take_back(self) -> None:
        event, self._checks = self._history.pop()
        kind, row = event["event"], event.get("row", -1)
        self._undone_row = row if kind in ("label", "skip", "check") else None
        if kind in ("label", "skip"):
            self._sampler.forget(self._places[row])
            self._label_of_row.pop(row, None)
            self._skipped.discard(row)
        elif kind == "give":
            self._sampler.forget([self._places[row] for row in event["rows"]])
            for row in event["rows"]:
                self._group_label_of_row.pop(row, None)

    def _update_lower_bound(self) -> None:
        """Compute the bound after every few audits: each look weakens the later ones."""
        n_audits = self._sampler.n_audits_
        if n_audits >= self._n_audits_at_look + _AUDITS_PER_LOOK:
            self._n_audits_at_look = n_audits
            self.lower_bound = float(self._sampler.precision_bound())
