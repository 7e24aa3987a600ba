"""The outcome of a fit: the category of each sample, and its shares of all categories.

`ConsensusClusterer.fit` counts the ballots with `categories_of` and keeps the result as one value,
`Outcome`. Reports, displays, the command line and Dask read that value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone

from labelquorum._shared.distinct import DistinctRows
from labelquorum._shared.frame import Rows
from labelquorum._shared.names import is_numbered, natural_key
from labelquorum._shared.origins import NOTHING_REMEMBERED, Origins
from labelquorum._shared.sealed import INTEGERS, check_kinds, check_length, check_stored
from labelquorum.clustering.ballots import Ballots, Integers

LEAST_OF_SHARE = 0.1
"""Part of the share of pseudo-labels that each category gets at least, of its own samples."""
_ROWS_PER_BLOCK = 65_536
_SUSPECT_RATIO = 0.5
_ROUNDING = 1e-5  # of shares


class Categories(NamedTuple):
    """The category of each sample by number: known categories first, then by decreasing size."""

    shares: NDArray[np.float32]
    """(n_rows, n_categories): the shares of all categories, which sum to 1 in each row. There is a
    row for each signature, then one for each group."""
    rows: Integers
    """(n_samples,): the row of each sample."""
    numbers: NDArray[np.int32]
    """(n_samples,): the category of each sample; -1 without votes."""

    def __check_saved__(self) -> None:
        """Raise ValueError unless all parts fit together."""
        check_stored(self.shares, "shares", np.float32, (None, None))
        n_rows, n_categories = self.shares.shape
        check_stored(self.rows, "rows", INTEGERS, (None,), (0, n_rows - 1))
        n = len(self.rows)
        check_stored(self.numbers, "numbers", np.int32, (n,), (-1, n_categories - 1))
        if not n_categories:
            raise ValueError("shares must have a column for each category")

    @property
    def n_categories(self) -> int:
        """Number of categories."""
        return int(self.shares.shape[1])

    @property
    def confidence(self) -> NDArray[np.float32]:
        """(n_samples,): the share of its own category."""
        own: NDArray[np.float32] = self.shares[self.rows, self.numbers]
        return own

    def runners_up(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return the category with the second largest share of each sample, and that share.

        It is the largest one beside that of the sample's own category. Where that is 0, the number
        is -1.
        """
        first = self.shares.argmax(axis=1)
        second = np.empty_like(first)
        for begin in range(0, len(first), _ROWS_PER_BLOCK):
            block = slice(begin, begin + _ROWS_PER_BLOCK)
            others = self.shares[block].copy()
            np.put_along_axis(others, first[block, None], -1, axis=1)
            second[block] = others.argmax(axis=1)
        numbers = np.where(first[self.rows] != self.numbers, first[self.rows], second[self.rows])
        shares = self.shares[self.rows, numbers]
        has_none = (shares <= 0) | (self.numbers < 0) | (numbers == self.numbers)
        shares[has_none], numbers[has_none] = 0, -1
        return numbers.astype(np.int32), shares

    def shares_of(self, samples: Any) -> NDArray[np.float32]:
        """Return the shares of some samples, given as an index: a row for each sample."""
        shares: NDArray[np.float32] = self.shares[self.rows[samples]]
        return shares


@dataclass(frozen=True, eq=False)
class Outcome:
    """What `ConsensusClusterer.fit` found, and what it was told about the samples."""

    categories: Categories
    """The category of each sample, and its shares of all categories."""
    n_known: int
    """Number of known categories; their numbers come first."""
    known: NDArray[np.int32] | None
    """(n_samples,): the category in `y`, -1 where it has none; None without known labels."""
    groups: NDArray[np.int32] | None
    """(n_samples,): the group of each sample, -1 without one; None without groups."""
    distinct: DistinctRows
    """Which samples are equal."""
    features: Rows
    """(n_rows, n_columns): the distinct rows of the samples, as the clusterer compares them."""
    is_certain: NDArray[np.bool_]
    """(n_samples,): whether a sample is among the most certain ones, by `most_certain`."""
    discover: bool
    """Whether samples may get new categories as labels."""
    origins: Origins = NOTHING_REMEMBERED
    """Which known labels are accepted proposals, and what an earlier model proposed."""
    doubted: NDArray[np.bool_] | None = None
    """(n_samples,): whether the features, too, contradict the known label; None if they were not
    asked."""

    def __check_saved__(self) -> None:
        """Raise ValueError unless all parts fit together."""
        check_kinds(self, categories=Categories, distinct=DistinctRows, origins=Origins)
        n, n_categories = len(self.categories.numbers), self.categories.n_categories
        check_stored(self.n_known, "n_known", np.int64, (), (0, n_categories))
        if self.known is not None:
            check_stored(self.known, "known", np.int32, (n,), (-1, n_categories - 1))
        if self.groups is not None:
            check_stored(self.groups, "groups", np.int32, (n,), (-1, n - 1))
        check_stored(self.distinct.numbers, "numbers", INTEGERS, (n,))
        n_rows = len(self.distinct.samples)
        check_stored(self.features, "features", (np.float32, np.float64), (n_rows, None))
        check_stored(self.is_certain, "is_certain", np.bool_, (n,))
        check_stored(self.discover, "discover", np.bool_, ())
        if self.origins.is_accepted is not None:
            check_length(self.origins.is_accepted, "is_accepted", n)
        if self.origins.proposed is not None:
            check_length(self.origins.proposed.codes, "codes", n)
        if self.doubted is not None:
            check_stored(self.doubted, "doubted", np.bool_, (n,))

    def as_labels(self, numbers: NDArray[np.int32]) -> NDArray[np.int32]:
        """Replace the numbers of new categories by -1, unless `discover`."""
        if self.discover:
            return numbers
        return np.where(numbers < max(1, self.n_known), numbers, np.int32(-1))

    def names(self, known: NDArray[Any], numbers: NDArray[np.int32]) -> NDArray[Any]:
        """Name the categories of some partition of the samples, the known ones first."""
        n_categories = max(self.n_known, int(numbers.max(initial=-1)) + 1)
        return self.origins.names(known[: self.n_known], numbers, n_categories)

    def is_known(self, names: NDArray[Any]) -> NDArray[np.bool_]:
        """Say of each category, given their names, whether it is known.

        It is if people or voters named it, and not if only an earlier model did.
        """
        is_known = np.arange(len(names)) < self.n_known
        if self.origins.proposed is not None and self.known is not None:
            is_labeled = np.isin(np.arange(len(names)), self.known)
            old = set(self.origins.proposed.classes.tolist())
            is_known &= is_labeled | np.array([name not in old for name in names.tolist()])
        return is_known

    def numbered(self, names: NDArray[Any]) -> list[int]:
        """Return the new categories that nobody has named yet."""
        is_known, listed = self.is_known(names), names.tolist()
        return [k for k, name in enumerate(listed) if not is_known[k] and is_numbered(name)]

    def label_origins(self) -> NDArray[np.str_]:
        """Return where the label of each sample comes from, "" without one; see `origins`."""
        return self.origins.words(self.known, self.as_labels(self.categories.numbers))

    def listing(self, names: Sequence[Any]) -> list[int]:
        """Return the numbers of the categories in the order of lists, given their names.

        Known categories come first, "part 2" before "part 10", then new ones by decreasing size.
        """
        known = sorted(range(self.n_known), key=lambda k: natural_key(names[k]))
        return [*known, *range(self.n_known, len(names))]

    @cached_property
    def is_pseudo_label(self) -> NDArray[np.bool_]:
        """(n_samples,): whether the label of a sample is a pseudo-label."""
        return self.is_certain & (self.as_labels(self.categories.numbers) >= 0)

    def as_round(self, n_partitions: int) -> dict[str, Any]:
        """Return the entry of `ConsensusClusterer.history_` for a round with this outcome."""
        return {
            "round": 0,
            "n_partitions": n_partitions,
            "n_clusters": self.categories.n_categories,
            "coverage": float(self.is_pseudo_label.mean()),
            "confidence": float(self.categories.confidence.mean()),
        }

    def suspects(self) -> NDArray[np.intp]:
        """Return the samples whose known label gets less than half of the largest share.

        The features must contradict the label, too, if they were asked. Else right labels near
        another category would be suspect, and without them that part would seem new. Most suspect
        first: the lower the ratio of the two shares, the more suspect.
        """
        if self.known is None:
            return np.empty(0, dtype=np.intp)
        labeled = np.flatnonzero((self.known >= 0) & (self.doubted is None or self.doubted))
        shares = self.categories.shares_of(labeled)
        own = shares[np.arange(len(labeled)), self.known[labeled]]
        ratios = own / np.maximum(shares.max(axis=1), 1e-30)
        order = np.argsort(ratios, kind="stable")
        suspects: NDArray[np.intp] = labeled[order[ratios[order] < _SUSPECT_RATIO]]
        return suspects

    def features_of(self, samples: Any) -> Rows:
        """Return the rows of some samples, given as an index."""
        rows: Rows = self.features[self.distinct.numbers[samples]]
        return rows


def categories_of(
    ballots: Ballots, clusters: Integers, groups: Integers | None, min_size: int = 1
) -> Categories:
    """Count the ballots.

    Parameters
    ----------
    ballots : Ballots
        Of n_signatures signatures.
    clusters : integer array of shape (n_signatures,)
        The cluster of each signature, -1 for none.
    groups : integer array of shape (n_samples,), optional
        The group of each sample, -1 for none. If samples of a group are in several categories, the
        group goes to the one that gets the largest sum of its samples' shares.
    min_size : int
        The smallest number of samples of a new category, unless it is the only category. Signatures
        of smaller ones join the others.
    """
    n_known = 0 if ballots.known is None else int(ballots.known.max()) + 1
    numbers = ballots.reassigned(clusters)
    while True:
        categories = Categories(ballots.shares(numbers), ballots.ids, ballots.expand(numbers))
        if groups is not None:
            categories = _grouped(categories, groups)
        dissolved = _smallest(categories, n_known, min_size)
        if not len(dissolved):
            break
        numbers = ballots.joined(numbers, dissolved)
    return categories if groups is None else _without_empty(categories, n_known)


def trained_classifier(classifier: Any, outcome: Outcome, X: Any) -> Any:
    """Train a clone on the most certain samples, including those of new categories.

    Without these, it would put samples of new categories into known ones. None for None, and if
    there is a single category.
    """
    if classifier is None:
        return None
    chosen = outcome.is_certain
    numbers = outcome.categories.numbers[chosen]
    if (numbers == numbers[:1]).all():  # Classifiers want two classes.
        return None
    return clone(classifier).fit(X[chosen], numbers)


def answers_of(classifier: Any, X: Any) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Return the categories that a trained classifier predicts, and their probabilities.

    These are NaN if it has none.
    """
    if not hasattr(classifier, "predict_proba"):
        numbers: NDArray[np.int32] = classifier.predict(X).astype(np.int32)
        return numbers, np.full(len(numbers), np.nan)
    probabilities = classifier.predict_proba(X)
    answers: NDArray[np.int32] = classifier.classes_[probabilities.argmax(axis=1)]
    return answers.astype(np.int32), probabilities.max(axis=1).astype(np.float64)


def _smallest(categories: Categories, n_known: int, min_size: int) -> NDArray[np.intp]:
    """The smaller half of the new categories under `min_size`, so that others may grow by them."""
    numbers = categories.numbers
    sizes = np.bincount(numbers[numbers >= 0], minlength=categories.n_categories)
    occurs = sizes > 0
    is_small = occurs & (sizes < min_size) & (np.arange(len(sizes)) >= n_known)
    small = np.flatnonzero(is_small)
    if occurs.sum() < 2:
        return small[:0]
    order = np.argsort(sizes[small], kind="stable")
    return small[order[: (len(small) + 1) // 2]]


def _grouped(categories: Categories, groups: Integers) -> Categories:
    """Give all samples of a group the same category, and the mean of their shares."""
    shares, rows, numbers = categories
    n_groups = int(groups.max()) + 1
    voters = np.flatnonzero((groups >= 0) & (numbers >= 0))
    places = (groups[voters], rows[voters])
    counts = sparse.csr_array((np.ones(len(voters)), places), shape=(n_groups, len(shares)))
    n_voters = np.bincount(groups[voters], minlength=n_groups)
    group_shares = (counts @ shares) / np.maximum(n_voters, 1)[:, None]
    group_shares[n_voters == 0] = 1 / categories.n_categories
    is_candidate = np.zeros(group_shares.shape, dtype=bool)
    is_candidate[groups[voters], numbers[voters]] = True
    winners = np.where(is_candidate, group_shares, -1).argmax(axis=1)
    winners[n_voters == 0] = -1
    grouped_numbers = numbers.copy()
    grouped_numbers[groups >= 0] = winners[groups[groups >= 0]]
    return Categories(
        np.concatenate([shares, group_shares.astype(np.float32)]),
        np.where(groups >= 0, len(shares) + groups, rows),
        grouped_numbers,
    )


def _without_empty(categories: Categories, n_known: int) -> Categories:
    """Sort the categories by size again, and drop new ones that groups left without samples."""
    shares, rows, numbers = categories
    sizes = np.bincount(numbers[numbers >= 0], minlength=categories.n_categories)
    sizes[:n_known] = len(numbers) + 1  # known categories keep their places
    order = np.argsort(-sizes, kind="stable")
    order = order[sizes[order] > 0]
    new_numbers = np.full(categories.n_categories + 1, -1, dtype=np.int32)  # the last one is for -1
    new_numbers[order] = np.arange(len(order))
    shares = shares[:, order]
    totals = shares.sum(axis=1, keepdims=True)
    # A row that had shares only of dropped categories gets equal shares of all.
    has_shares = totals > _ROUNDING
    shares = np.where(has_shares, shares / np.where(has_shares, totals, 1), 1 / len(order))
    return Categories(shares.astype(np.float32), rows, new_numbers[numbers])


def most_certain(
    numbers: NDArray[np.int32], confidence: NDArray[np.float32], share: float
) -> NDArray[np.bool_]:
    """Say which samples become pseudo-labels.

    These are the share of all samples with the highest confidence, and in each category a tenth of
    that share. Of samples with equal confidence, all or none are chosen.
    """
    chosen = confidence >= least_confidence(confidence, share)
    order = np.argsort(numbers, kind="stable")
    bounds = np.searchsorted(numbers[order], np.arange(numbers.max(initial=-1) + 2))
    for begin, end in pairwise(bounds):
        members = order[begin:end]
        if len(members):
            of_members = confidence[members]
            chosen[members] |= of_members >= least_confidence(of_members, share * LEAST_OF_SHARE)
    return chosen & (numbers >= 0)


def least_confidence(confidence: NDArray[np.float32], share: float) -> np.float32:
    """Return the lowest confidence among the share of samples with the highest confidence."""
    n = max(1, int(share * len(confidence) + 1e-6))  # 0.29 * 100 is less than 29
    least: np.float32 = np.partition(confidence, len(confidence) - n)[len(confidence) - n]
    return least
