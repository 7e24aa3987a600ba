"""Why a sample is in its category, and what the categories are like.

The model is a fitted `ConsensusClusterer`, of which only public attributes are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labelquorum._shared.arguments import as_place
from labelquorum._shared.origins import ACCEPTED
from labelquorum._shared.tables import named_table
from labelquorum.clustering.outcome import Categories, Outcome
from labelquorum.clustering.views import Partitions

if TYPE_CHECKING:
    import pandas as pd

_N_NEIGHBORS = 10
_MAX_PRINTED_PARTITIONS = 60


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """Why a training sample is in its category; it prints as text.

    A category is None where there is none.
    """

    sample: int
    """The index of the sample."""
    names: Mapping[Any, str]
    """The name of each category, as in `category_names_`, by its label. Texts have the names."""
    category: Any
    """The category by the votes. Without `discover`, `labels_` has -1 for a new one."""
    confidence: float
    """The share of the sample's votes that this category gets, as in `confidence_`."""
    runner_up: Any
    """The category with the second largest share."""
    runner_up_share: float
    """The share of the runner-up."""
    known_label: Any
    """The label that the sample has in `y`."""
    origin: str
    """Where its label comes from, as in `label_origins_`."""
    is_suspect: bool
    """Whether the partitions contradict the known label."""
    is_pseudo_label: bool
    """Whether the sample is among the most certain ones of its category."""
    group: NDArray[np.int64]
    """The samples of its group, itself included; empty without a group."""
    clusters: NDArray[np.int32]
    """(n_partitions,), as the next four: the cluster of the sample in each partition; -1 where the
    partition abstains."""
    counts: NDArray[np.bool_]
    """Whether the partition counts, which it does not if its `partition_weights_` is 0."""
    cluster_sizes: NDArray[np.int64]
    """The number of samples in that cluster, itself included."""
    cluster_shares: NDArray[np.float64]
    """The share of the cluster's other samples that have the same category; NaN without others."""
    majorities: NDArray[Any]
    """The most frequent category among the cluster's other samples; its own category wins ties. The
    partition votes for this category, if it counts."""
    seed: int | None
    """The most certain sample of the category."""
    seed_confidence: float
    """The confidence of the seed."""
    neighbors: NDArray[np.int64]
    """The 10 samples that share its cluster in most partitions that count; of equals, lower indices
    first."""
    neighbor_categories: NDArray[Any]
    """The categories of the neighbors."""
    neighbor_agreements: NDArray[np.int64]
    """The number of partitions that count in which each neighbor shares its cluster."""

    @property
    def n_for(self) -> int:
        """Number of partitions that vote for its category."""
        return sum(majority == self.category for majority in self._votes)

    @property
    def n_against(self) -> int:
        """Number of partitions that vote for another category."""
        return len(self._votes) - self.n_for

    @property
    def _votes(self) -> list[Any]:
        return [majority for majority in self._counted if majority is not None]

    @property
    def _counted(self) -> list[Any]:
        counted: list[Any] = self.majorities[self.counts].tolist()
        return counted

    def __repr__(self) -> str:
        if self.category is None:
            return f"Sample {self.sample}: no category, since every partition abstains on it."
        return "\n".join([*self._summary(), *self._table()])

    def _summary(self) -> list[str]:
        called = self.names
        first = f"Sample {self.sample}: {called[self.category]}, confidence {self.confidence:.2f}"
        if self.runner_up is not None:
            first += f"; next {called[self.runner_up]}, {self.runner_up_share:.2f}"
        lines = [f"{first}."]
        if self.known_label is not None:
            accepted = ", a proposal that was accepted" if self.origin == ACCEPTED else ""
            suspect = "; the partitions contradict this label" if self.is_suspect else ""
            lines.append(f"Known label: {called[self.known_label]}{accepted}{suspect}.")
        if self.is_pseudo_label:
            lines.append("Pseudo-label: among the most certain samples of its category.")
        if len(self.group):
            lines.append(f"Group: votes together with {len(self.group) - 1} other samples.")
        numbers = f"{self.n_for} for it, {self.n_against} against"
        numbers += f", {len(self._counted) - len(self._votes)} none"
        n_idle = int(np.count_nonzero(~self.counts))
        if n_idle:
            numbers += f"; {n_idle} not counted"
        lines.append(f"Partitions: {numbers}.")
        lines.append(f"Seed: sample {self.seed}, confidence {self.seed_confidence:.2f}.")
        neighbors = zip(
            self.neighbors.tolist(),
            self.neighbor_categories.tolist(),
            self.neighbor_agreements.tolist(),
            strict=True,
        )
        nearest = ", ".join(f"{i} ({called.get(name)}, {n})" for i, name, n in neighbors)
        lines.append(f"Nearest samples (category, partitions): {nearest or 'none'}.")
        return lines

    def _table(self) -> list[str]:
        """One line for each partition."""
        lines = ["partition  cluster    size  in its category  most are in"]
        for m, cluster in enumerate(self.clusters[:_MAX_PRINTED_PARTITIONS].tolist()):
            if cluster < 0:
                lines.append(f"{m:9d}  abstains")
                continue
            if not self.counts[m]:
                lines.append(f"{m:9d}  does not count")
                continue
            share = f"{self.cluster_shares[m]:15.2f}" if self.cluster_sizes[m] > 1 else f"{'-':>15}"
            lines.append(
                f"{m:9d}  {cluster:7d}  {self.cluster_sizes[m]:6d}  {share}  "
                f"{self.names.get(self.majorities[m], '-')}"
            )
        n_more = len(self.clusters) - _MAX_PRINTED_PARTITIONS
        if n_more > 0:
            lines.append(f"... {n_more} more partitions")
        return lines


def explain(model: Any, i: int) -> Explanation:
    """Explain why a sample is in its category: O(n_samples n_partitions)."""
    outcome: Outcome = model.outcome_
    classes, partitions = model.classes_, model.partitions_
    sample = as_place(i, "i", len(outcome.categories.numbers), "a training sample")
    categories = outcome.categories
    names = np.array([*classes.tolist(), None], dtype=object)  # the last one is for -1
    number = int(categories.numbers[sample])
    shares = categories.shares_of(sample).astype(np.float64)
    runner_up = -1
    if number >= 0 and len(shares) > 1:
        runner_up = int(np.where(np.arange(len(shares)) == number, -1, shares).argmax())
    counts = model.partition_weights_ > 0
    votes = _votes_on(sample, categories, partitions, counts)
    neighbors = np.argsort(-votes.agreements, kind="stable")[:_N_NEIGHBORS]
    neighbors = neighbors[votes.agreements[neighbors] > 0]
    confidence = categories.confidence
    seed = None
    if number >= 0:
        members = np.flatnonzero(categories.numbers == number)
        seed = int(members[confidence[members].argmax()])
    group = np.empty(0, dtype=np.int64)
    if outcome.groups is not None and outcome.groups[sample] >= 0:
        group = np.flatnonzero(outcome.groups == outcome.groups[sample])
    return Explanation(
        sample=sample,
        names=dict(zip(classes.tolist(), model.category_names_.tolist(), strict=True)),
        category=names[number],
        confidence=float(confidence[sample]),
        runner_up=names[runner_up],
        runner_up_share=float(shares[runner_up]) if runner_up >= 0 else 0.0,
        known_label=None if outcome.known is None else names[outcome.known[sample]],
        origin=str(outcome.label_origins()[sample]),
        is_suspect=bool((model.suspect_labels_ == sample).any()),
        is_pseudo_label=bool(outcome.is_pseudo_label[sample]),
        group=group,
        clusters=np.array(partitions[sample]),
        counts=counts,
        cluster_sizes=votes.cluster_sizes,
        cluster_shares=votes.cluster_shares,
        majorities=names[votes.majorities],
        seed=seed,
        seed_confidence=float("nan") if seed is None else float(confidence[seed]),
        neighbors=neighbors,
        neighbor_categories=names[categories.numbers[neighbors]],
        neighbor_agreements=votes.agreements[neighbors],
    )


class _Votes(NamedTuple):
    """What the partitions say about a sample."""

    cluster_sizes: NDArray[np.int64]
    """(n_partitions,), as the next two: see `Explanation`."""
    cluster_shares: NDArray[np.float64]
    majorities: NDArray[np.int64]
    """Numbers of categories; -1 for none."""
    agreements: NDArray[np.int64]
    """(n_samples,): in how many partitions that count each sample shares its cluster; 0 for the
    sample."""


def _votes_on(
    sample: int, categories: Categories, partitions: Partitions, is_counted: NDArray[np.bool_]
) -> _Votes:
    n_samples, n_partitions = partitions.shape
    number = int(categories.numbers[sample])
    sizes = np.zeros(n_partitions, dtype=np.int64)
    shares = np.full(n_partitions, np.nan)
    majorities = np.full(n_partitions, -1)
    agreements = np.zeros(n_samples, dtype=np.int64)
    for m, column in enumerate(partitions.T):
        if column[sample] < 0:
            continue
        together = column == column[sample]
        if is_counted[m]:
            agreements += together
        sizes[m] = np.count_nonzero(together)
        # The first place is for -1.
        counts = np.bincount(
            categories.numbers[together] + 1, minlength=categories.n_categories + 1
        )
        counts[number + 1] -= 1
        if sizes[m] > 1:
            shares[m] = counts[number + 1] / (sizes[m] - 1)
        counts = counts[1:]
        if counts.any():
            has_most = number >= 0 and counts[number] == counts.max()
            majorities[m] = number if has_most else counts.argmax()
    agreements[sample] = 0
    return _Votes(sizes, shares, majorities, agreements)


def mean_shares(categories: Categories) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the size of each category, and the mean shares of its samples: a row for each."""
    n = categories.n_categories
    voted = categories.numbers >= 0
    numbers, rows = categories.numbers[voted], categories.rows[voted]
    sizes = np.bincount(numbers, minlength=n)
    entries = (np.ones(len(rows)), (numbers, rows))
    counts = sparse.csr_array(entries, shape=(n, len(categories.shares)))
    return sizes, (counts @ categories.shares) / np.maximum(sizes, 1)[:, None]


def category_table(model: Any) -> pd.DataFrame | NDArray[np.void]:
    """Make the table of the categories, with a row for each; see `category_table_`."""
    outcome: Outcome = model.outcome_
    classes = model.classes_
    n = outcome.categories.n_categories
    sizes, shares = mean_shares(outcome.categories)
    own_shares = shares.diagonal().copy()
    np.fill_diagonal(shares, -1)
    nearest = shares.argmax(axis=1)
    n_labeled = n_accepted = n_suspect = np.zeros(n, dtype=np.int64)
    if outcome.known is not None:
        n_labeled = np.bincount(outcome.known[outcome.known >= 0], minlength=n)
        is_accepted = outcome.origins.is_accepted
        if is_accepted is not None:
            n_accepted = np.bincount(outcome.known[is_accepted], minlength=n)
        n_suspect = np.bincount(outcome.known[model.suspect_labels_], minlength=n)
    columns = {
        "name": model.category_names_,
        "size": sizes,
        "share": sizes / len(outcome.categories.numbers),
        "confidence": own_shares,
        "known": n_labeled > 0,
        "n_labeled": n_labeled,
        "n_accepted": n_accepted,
        "n_suspect": n_suspect,
        "nearest": classes.astype(object)[nearest] if n > 1 else np.array([None]),
        "nearest_share": shares.max(axis=1) if n > 1 else np.array([np.nan]),
    }
    return named_table("category", classes, columns)
