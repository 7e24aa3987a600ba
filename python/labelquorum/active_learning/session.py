"""A person labels samples one by one: what is asked, what an answer does, undo, and replay.

No terminal here: whatever asks a person (a terminal, a window, a test) gets the next `Question` or
`Offer` from a `LabelingSession` and calls the method that is the answer. Each answer is an event,
which is stored before it has any effect. A session that is given the events of an earlier one is
where that one ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_MIN_AGREE = 0.9
N_CHECKS = 3  # other samples of a mini-cluster that are asked before one answer is given to all
_FEWEST_ALIKE = 2 * N_CHECKS  # below that, one answer for all saves nothing
_OF_GROUP = (N_CHECKS + 2) / (N_CHECKS + 3)  # confidence, by Laplace's rule of succession
_LOOK_EVERY = 10  # audits between two looks at the bound of the precision

Event = dict[str, Any]


class Proposal(NamedTuple):
    """A category that a sample may have."""

    category: str
    share: float | None  # how likely; None where it is too small to be predicted, or the only one


class Question(NamedTuple):
    """Which category a sample has."""

    row: int
    proposals: list[Proposal]  # all categories so far, the likeliest first
    n_alike: int  # other samples of its mini-cluster that have no label; 0 where they are too few
    check: tuple[int, int] | None  # of a mini-cluster: which (from 1), of how many


class Offer(NamedTuple):
    """Whether all other samples of a mini-cluster have a category, too."""

    row: int
    category: str
    rows: list[int]  # which have no label yet
    n_checked: int


class _Checks(NamedTuple):
    """A mini-cluster of which a few samples are asked."""

    row: int  # the one that led to it
    rows: list[int]  # that one and those to check


class Labels(NamedTuple):
    """A label for each sample, and where it is from."""

    labels: NDArray[Any]  # strings, None where there is none
    sources: NDArray[Any]  # "you", "group", "proposed" or ""
    confidence: NDArray[np.float64]
    """How likely the label is: 1 for "you", 5/6 for "group" (after four of four), 0 for none."""


class LabelingSession:
    """Questions to a person about samples, and what the answers come to.

    Parameters
    ----------
    sampler : PreClusteringSampler
        Fitted, without labels. Knows only the samples that can be asked: its sample i is row
        rows[i].
    partitions : int array of shape (len(rows), n_partitions)
        Clusterings of the samples. Those that nine of ten put together with a sample are its
        mini-cluster, and one answer may do for all of it.
    rows : sequence of int
        Ascending.
    store : callable
        Is given each event before it counts; when it returns, the event is safe.
    events : iterable of dict, optional
        Those of an earlier session with the same sampler and rows.
    seed : int, default=0
        Chooses the checks.

    Raises
    ------
    ValueError
        If an event does not fit (a row that is none of `rows`, say); the message says which.
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
        self._own: dict[int, str] = {}  # rows in the order of the answers
        self._skipped: set[int] = set()
        self._of_group: dict[int, str] = {}
        self._checks: _Checks | None = None
        self._again: int | None = None  # whose answer was taken back
        self._history: list[tuple[Event, _Checks | None]] = []  # with the checks before
        self._audits_seen = 0
        self.lower_bound = 0.0
        """Of the precision of the proposed labels; 0 where no sample was drawn to check them."""
        for number, event in enumerate(events, 1):
            try:
                self._apply(event)
            except (KeyError, ValueError) as error:
                raise ValueError(f"answer {number}, {event!r}, does not fit: {error}") from error

    @property
    def categories(self) -> dict[str, int]:
        """The categories in the order they came up, and how many labels a person gave to each."""
        counts: dict[str, int] = {}
        for category in self._own.values():
            counts[category] = counts.get(category, 0) + 1
        return counts

    @property
    def n_labeled(self) -> int:
        """Samples labelled one by one."""
        return len(self._own)

    @property
    def n_of_group(self) -> int:
        """Samples that got the label of their mini-cluster."""
        return len(self._of_group.keys() - self._own.keys())

    @property
    def n_left(self) -> int:
        """Samples without any answer."""
        return len(self._rows) - len(self._own.keys() | self._of_group.keys() | self._skipped)

    def ask(self) -> Question | Offer | None:
        """What to ask next; None when nothing is left."""
        if self._again is not None:
            return self._question(self._again)
        if self._checks is not None:
            row, rows = self._checks
            left = [row for row in rows if row not in self._own]
            if left:
                return self._question(left[0])
            return Offer(row, self._own[row], self._alike(row), len(rows))
        found = self._sampler.query(1)
        return self._question(self._rows[int(found[0])]) if len(found) else None

    def answer(self, row: int, category: str) -> None:
        """The sample has this category."""
        self._do({"event": "label", "row": row, "label": category})

    def skip(self, row: int) -> None:
        """The sample gets no label and is not asked again."""
        self._do({"event": "skip", "row": row})

    def check(self, row: int) -> None:
        """Ask a few samples of this one's mini-cluster, so that one answer may do for all."""
        alike = self._alike(row)
        if len(alike) < _FEWEST_ALIKE:
            raise ValueError(f"row {row} has {len(alike)} alike; wanted at least {_FEWEST_ALIKE}")
        random = np.random.RandomState([self._seed, row])
        chosen = random.choice(alike, N_CHECKS, replace=False).tolist()
        self._do({"event": "check", "row": row, "rows": [row, *chosen]})

    def give(self, offer: Offer) -> None:
        """All other samples of the mini-cluster have the category, too."""
        event = {"event": "give", "row": offer.row, "rows": offer.rows, "label": offer.category}
        self._do(event)

    def decline(self) -> None:
        """The other samples of the mini-cluster are to be asked one by one."""
        self._do({"event": "decline"})

    @property
    def can_undo(self) -> bool:
        """Whether there is an answer to take back."""
        return bool(self._history)

    def undo(self) -> None:
        """Take the last answer back that was not taken back."""
        self._do({"event": "undo"})

    def labels(self, n_rows: int) -> Labels:
        """The labels of rows 0 to n_rows - 1: given ones, those of groups, and proposed ones."""
        labels = np.full(n_rows, None, dtype=object)
        sources = np.full(n_rows, "", dtype=object)
        confidence = np.zeros(n_rows)
        if self._is_taught():
            rows = np.array(self._rows)
            shares = self._sampler.predict_proba()
            labels[rows] = self._sampler.predict()
            confidence[rows] = shares.max(axis=1, initial=0.0)
            proposed = np.array([label is not None for label in labels])
            sources[proposed] = "proposed"
            confidence[~proposed] = 0.0
        for row, category in self._of_group.items():
            labels[row], sources[row], confidence[row] = category, "group", _OF_GROUP
        for row, category in self._own.items():
            labels[row], sources[row], confidence[row] = category, "you", 1.0
        return Labels(labels, sources, confidence)

    def _question(self, row: int) -> Question:
        if self._checks is not None and row in self._checks.rows:
            rows = self._checks.rows
            return Question(row, self._proposals(row), 0, (rows.index(row) + 1, len(rows)))
        n_alike = len(self._alike(row))
        n_alike = n_alike if n_alike >= _FEWEST_ALIKE else 0
        return Question(row, self._proposals(row), n_alike, None)

    def _proposals(self, row: int) -> list[Proposal]:
        categories = self.categories
        shares: dict[str, float] = {}
        if len(categories) > 1 and self._is_taught():
            likely = self._sampler.predict_proba()[self._places[row]].tolist()
            shares = dict(zip(self._sampler.classes_.tolist(), likely, strict=True))
        found = [Proposal(category, shares.get(category)) for category in categories]
        return sorted(found, key=lambda proposal: -(proposal.share or 0.0))

    def _is_taught(self) -> bool:
        """Whether the sampler has labels to learn from: it learns nothing from checks."""
        n_checks: int = self._sampler.n_audits_
        return len(self._own) > n_checks

    def _alike(self, row: int) -> list[int]:
        """The other samples of the mini-cluster around this one that have no answer, ascending."""
        votes = self._partitions == self._partitions[self._places[row]]
        same = votes.mean(axis=1) >= _MIN_AGREE
        answered = self._own.keys() | self._of_group.keys() | self._skipped | {row}
        return [r for place in np.flatnonzero(same) if (r := self._rows[place]) not in answered]

    def _do(self, event: Event) -> None:
        self._check_fits(event)
        self._store(event)
        self._apply(event)

    def _check_fits(self, event: Event) -> None:
        """Refuse what cannot be applied before it is stored."""
        for row in (event.get("row", self._rows[0]), *event.get("rows", ())):
            if row not in self._places:
                raise ValueError(f"row {row} is none that can be asked")
        if event["event"] == "undo" and not self._history:
            raise ValueError("there is no answer to take back")
        if event["event"] == "check" and event["rows"][:1] != [event["row"]]:
            raise ValueError("its rows do not begin with its row")

    def _apply(self, event: Event) -> None:
        self._check_fits(event)
        if self._sampler.audit_share and self._again is None and self._checks is None:
            # Asking draws checks, and it is asked before each answer; also now, if this is replay.
            self._sampler.query(1)
        kind = event["event"]
        if kind == "undo":
            self._take_back()
            return
        row: int = event.get("row", -1)
        self._history.append((event, self._checks))
        self._again = None
        if kind == "label":
            self._sampler.teach(self._places[row], event["label"])
            self._own[row] = event["label"]
            self._go_on_checking()
            self._look()
        elif kind == "skip":
            self._sampler.teach(self._places[row], None)
            self._skipped.add(row)
            self._checks = None
        elif kind == "check":
            self._checks = _Checks(row, event["rows"])
        elif kind == "give":
            members = [self._places[row] for row in event["rows"]]
            self._sampler.teach_cluster(self._places[row], event["label"], members)
            self._of_group.update(dict.fromkeys(event["rows"], event["label"]))
            self._checks = None
        else:
            self._checks = None

    def _go_on_checking(self) -> None:
        """No more checks where two of them differ."""
        if self._checks is not None:
            found = {self._own[row] for row in self._checks.rows if row in self._own}
            if len(found) > 1:
                self._checks = None

    def _take_back(self) -> None:
        event, self._checks = self._history.pop()
        kind, row = event["event"], event.get("row", -1)
        self._again = row if kind in ("label", "skip", "check") else None
        if kind in ("label", "skip"):
            self._sampler.forget(self._places[row])
            self._own.pop(row, None)
            self._skipped.discard(row)
        elif kind == "give":
            self._sampler.forget([self._places[row] for row in event["rows"]])
            for row in event["rows"]:
                self._of_group.pop(row, None)

    def _look(self) -> None:
        """Look at the bound after every few checks: each look costs some of its confidence."""
        n_audits = self._sampler.n_audits_
        if n_audits >= self._audits_seen + _LOOK_EVERY:
            self._audits_seen = n_audits
            self.lower_bound = float(self._sampler.precision_bound())
