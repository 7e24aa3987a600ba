"""Which categories and samples a report shows: what it holds is bounded, whatever the data.

The largest categories get a row in the table, the largest of these a card. A card shows samples
that are typical of its category and samples at its border. All random draws have a fixed seed, so
that the same model gives the same report.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelquorum.quality.checks import samples_to_check
from labelquorum.report.data import ReportData
from labelquorum.text.terms import representatives

SampleNumbers = NDArray[np.intp]
CategoryNumbers = NDArray[np.intp]

_MOST_CHECKS = 200  # rows of the tables of samples to check
_MOST_CARDS, _MOST_ROWS = 300, 1000
_N_TYPICAL, _N_BORDERLINE = 3, 3  # on a card
_MOST_PAIRS = 12
_LEAST_LIKENESS = 0.3  # of categories that may be one
_MAP_POINTS, _MAP_POINTS_OF_CATEGORY = 1500, 3


@dataclass(frozen=True, eq=False)
class Selection:
    """The categories and samples to show."""

    rows: CategoryNumbers
    """Categories in the table, the largest first."""
    cards: CategoryNumbers
    """Categories with a card, in the same order."""
    card_of: NDArray[np.intp]
    """(n_categories + 1,): index of each category's card, -1 without one. The last is for -1."""
    members: list[SampleNumbers]
    """Samples of each category, most confident first."""
    typical: list[SampleNumbers]
    """For each card, samples that stand for its category."""
    borderline: list[SampleNumbers]
    """For each card, other samples with little confidence, least first."""
    checks: SampleNumbers
    """Samples to check by hand, in this order."""
    suspects: SampleNumbers
    """Samples whose known label looks wrong, most suspect first."""

    @property
    def shown(self) -> SampleNumbers:
        """All samples shown, each as often as it is shown."""
        return np.concatenate([*self.typical, *self.borderline, self.checks, self.suspects])

    def has_card(self, category: int) -> bool:
        """Whether a category has a card."""
        return bool(self.card_of[category] >= 0)


def select(data: ReportData) -> Selection:
    """Choose what to show."""
    n_categories = len(data.names)
    cards = data.by_size[:_MOST_CARDS]
    card_of = np.full(n_categories + 1, -1, dtype=np.intp)
    card_of[cards] = np.arange(len(cards))
    members = _members(data)
    typical = _typical(data, cards, card_of, members)
    return Selection(
        rows=data.by_size[:_MOST_ROWS],
        cards=cards,
        card_of=card_of,
        members=members,
        typical=typical,
        borderline=_borderline(data, cards, members, typical),
        checks=_checks(data),
        suspects=data.suspects[:_MOST_CHECKS].astype(np.intp),
    )


def _members(data: ReportData) -> list[SampleNumbers]:
    order = np.lexsort((-data.confidence, data.numbers))
    bounds = np.searchsorted(data.numbers[order], np.arange(len(data.names) + 1))
    return np.split(order, bounds)[1:-1]


def _typical(
    data: ReportData,
    cards: CategoryNumbers,
    card_of: NDArray[np.intp],
    members: list[SampleNumbers],
) -> list[SampleNumbers]:
    if data.texts is None:
        return [members[k][:_N_TYPICAL] for k in cards]
    # The most confident texts would often say the same.
    chosen = representatives(
        data.texts,
        np.where(card_of[data.numbers] >= 0, data.numbers, -1),
        _N_TYPICAL,
        confidence=data.confidence.clip(0),
        X=data.outcome.features_of(slice(None)) if data.has_features else None,
        verbose=data.verbose,
    )
    return [chosen.get(k, members[k][:_N_TYPICAL]) for k in cards.tolist()]


def _borderline(
    data: ReportData,
    cards: CategoryNumbers,
    members: list[SampleNumbers],
    typical: list[SampleNumbers],
) -> list[SampleNumbers]:
    chosen = []
    for k, shown_already in zip(cards, typical, strict=True):
        least_confident = np.setdiff1d(members[k][-_N_BORDERLINE:], shown_already)
        order = np.argsort(data.confidence[least_confident], kind="stable")
        chosen.append(least_confident[order])
    return chosen


def _checks(data: ReportData) -> SampleNumbers:
    """Labels that `fit` was given need no check."""
    labels = data.outcome.as_labels(data.numbers).astype(np.int64)
    if data.outcome.known is not None:
        labels[data.outcome.known >= 0] = -1
    n_labels = int(np.count_nonzero(labels >= 0))
    if not n_labels:
        return np.empty(0, dtype=np.intp)
    n_checks = min(_MOST_CHECKS, n_labels)
    drawn = samples_to_check(labels, data.confidence, n_checks, random_state=0)
    return drawn.astype(np.intp)


def select_map_samples(data: ReportData, card_of: NDArray[np.intp]) -> SampleNumbers:
    """Draw 1,500 samples for the map, and at least 3 of each category with a card; ascending."""
    n = data.n_samples
    order = np.random.RandomState(0).permutation(n)
    cards = card_of[data.numbers[order]]
    by_card = np.argsort(cards, kind="stable")
    rank_in_card = np.empty(n, dtype=np.intp)
    rank_in_card[by_card] = np.arange(n) - np.searchsorted(cards[by_card], cards[by_card])
    is_drawn = np.arange(n) < _MAP_POINTS
    is_drawn |= (rank_in_card < _MAP_POINTS_OF_CATEGORY) & (cards >= 0)
    samples: SampleNumbers = np.sort(order[is_drawn])
    return samples


def select_merges(
    agreement: NDArray[np.float64], is_known: NDArray[np.bool_]
) -> list[tuple[int, int, float]]:
    """The 12 pairs most likely to be one category, as (row, column, likeness).

    The likeness is how often samples of the two are together, relative to samples of the less
    coherent of them. Two known categories are apart because people said so.
    """
    within = np.nan_to_num(agreement.diagonal())
    rows, columns = np.triu_indices(len(agreement), 1)
    least = np.minimum(within[rows], within[columns])
    likeness = np.nan_to_num(agreement[rows, columns]) / np.where(least > 0, least, np.inf)
    likeness[is_known[rows] & is_known[columns]] = 0
    best = np.argsort(-likeness, kind="stable")[:_MOST_PAIRS]
    best = best[likeness[best] >= _LEAST_LIKENESS]
    return list(zip(*(a[best].tolist() for a in (rows, columns, likeness)), strict=True))
