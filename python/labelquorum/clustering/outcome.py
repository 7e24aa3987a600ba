"""What the votes say of each sample: its category, and its shares of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labelquorum.clustering.ballots import Ballots

Integers = NDArray[np.integer[Any]]

_ROUNDING = 1e-5  # of shares


class Categories(NamedTuple):
    """The category of each sample, by number: known categories first, then larger ones."""

    shares: NDArray[np.float32]
    """(n_rows, n_categories), shares of 1: a row for each signature, then one for each group."""
    rows: Integers
    """The row of each sample."""
    numbers: NDArray[np.int32]
    """The category of each sample; -1 without votes."""

    @property
    def n_categories(self) -> int:
        """How many there are."""
        return int(self.shares.shape[1])

    @property
    def confidence(self) -> NDArray[np.float32]:
        """Each sample's share of its own category."""
        own: NDArray[np.float32] = self.shares[self.rows, self.numbers]
        return own

    def shares_of(self, samples: Any) -> NDArray[np.float32]:
        """The shares of some samples in all categories: a row for each sample."""
        shares: NDArray[np.float32] = self.shares[self.rows[samples]]
        return shares


@dataclass(frozen=True, eq=False)
class Outcome:
    """What `ConsensusClusterer.fit` found.

    The one value that reports, displays, the command line and Dask read.
    """

    categories: Categories
    """The category of each sample, and its shares in all of them."""
    n_known: int
    """Number of known categories; their numbers come first."""
    known: NDArray[np.int32] | None
    """The category that `y` gave each sample, -1 where it gave none; None without `y`."""
    groups: NDArray[np.int32] | None
    """The group of each sample, -1 where it has none; None without groups."""
    features: NDArray[np.float32]
    """(n_samples, n_columns): the features as the clusterer compares them."""
    is_pseudo_label: NDArray[np.bool_]
    """Whether a sample is among the most certain ones, whose labels are pseudo-labels."""
    discover: bool
    """Whether samples may get new categories as labels."""

    def as_labels(self, numbers: NDArray[np.int32]) -> NDArray[np.int32]:
        """Category numbers as labels: -1 for new categories where these are not given."""
        if self.discover:
            return numbers
        return np.where(numbers < max(1, self.n_known), numbers, np.int32(-1))


def categories_of(ballots: Ballots, clusters: Integers, groups: Integers | None) -> Categories:
    """Count the ballots, given the cluster of each signature.

    `groups` are numbers of samples, -1 for none. One with samples in several categories goes to
    that for which the shares of its samples sum to most.
    """
    of_signatures = ballots.nearest(clusters)
    scores = ballots.scores(of_signatures)
    outcome = Categories(scores, ballots.ids, ballots.of_samples(of_signatures))
    if groups is None:
        return outcome
    n_known = 0 if ballots.kinds is None else int(ballots.kinds.max()) + 1
    return _without_empty(_grouped(outcome, groups), n_known)


def _grouped(outcome: Categories, groups: Integers) -> Categories:
    scores, rows, numbers = outcome
    n_groups = int(groups.max()) + 1
    voters = np.flatnonzero((groups >= 0) & (numbers >= 0))
    places = (groups[voters], rows[voters])
    counts = sparse.csr_array((np.ones(len(voters)), places), shape=(n_groups, len(scores)))
    n_voters = np.bincount(groups[voters], minlength=n_groups)
    shares = (counts @ scores) / np.maximum(n_voters, 1)[:, None]
    shares[n_voters == 0] = 1 / outcome.n_categories
    is_candidate = np.zeros(shares.shape, dtype=bool)
    is_candidate[groups[voters], numbers[voters]] = True
    winners = np.where(is_candidate, shares, -1).argmax(axis=1)
    winners[n_voters == 0] = -1
    numbers = numbers.copy()
    numbers[groups >= 0] = winners[groups[groups >= 0]]
    rows = np.where(groups >= 0, len(scores) + groups, rows)
    return Categories(np.concatenate([scores, shares.astype(np.float32)]), rows, numbers)


def _without_empty(outcome: Categories, n_known: int) -> Categories:
    """The categories in order again; new ones from which groups took all samples are left out."""
    scores, rows, numbers = outcome
    sizes = np.bincount(numbers[numbers >= 0], minlength=outcome.n_categories)
    sizes[:n_known] = len(numbers) + 1  # these keep their places
    order = np.argsort(-sizes, kind="stable")
    order = order[sizes[order] > 0]
    places = np.full(outcome.n_categories + 1, -1, dtype=np.int32)  # the last is that of -1
    places[order] = np.arange(len(order))
    scores = scores[:, order]
    totals = scores.sum(axis=1, keepdims=True)
    # Who shared with left out categories alone now shares with all alike.
    some = totals > _ROUNDING
    scores = np.where(some, scores / np.where(some, totals, 1), 1 / len(order))
    return Categories(scores.astype(np.float32), rows, places[numbers])


LEAST_OF_SHARE = 0.1


def most_certain(
    numbers: NDArray[np.int32], confidence: NDArray[np.float32], share: float
) -> NDArray[np.bool_]:
    """The share of the samples with the most confidence, and a tenth of that of each category.

    Samples of the same confidence are all in, or all out.
    """
    chosen = confidence >= least_confidence(confidence, share)
    order = np.argsort(numbers, kind="stable")
    firsts = np.searchsorted(numbers[order], np.arange(numbers.max(initial=-1) + 2))
    for begin, end in pairwise(firsts):
        members = order[begin:end]
        if len(members):
            of_members = confidence[members]
            chosen[members] |= of_members >= least_confidence(of_members, share * LEAST_OF_SHARE)
    return chosen & (numbers >= 0)


def least_confidence(confidence: NDArray[np.float32], share: float) -> np.float32:
    """The least confidence of the share that has the most."""
    n = max(1, int(share * len(confidence)))
    least: np.float32 = np.partition(confidence, len(confidence) - n)[len(confidence) - n]
    return least
