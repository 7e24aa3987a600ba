"""Why a sample is in its category, and what the categories are like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from labelquorum.clustering.outcome import Categories

if TYPE_CHECKING:
    import pandas as pd

_N_NEIGHBORS = 10
_MAX_ROWS = 60  # of a table that is printed


@dataclass(frozen=True, eq=False, repr=False)
class Explanation:
    """Why a training sample is in its category; it prints as a text.

    Where there is no category, it is None.
    """

    sample: int
    """Its index."""
    category: Any
    """What the votes make of it. Without `discover`, `labels_` has -1 where that is a new one."""
    confidence: float
    """Its share of that category, as in `confidence_`."""
    runner_up: Any
    """The other category with the largest share."""
    runner_up_share: float
    """That share."""
    known_label: Any
    """What `y` said of it."""
    is_suspect: bool
    """Whether the partitions speak against that."""
    is_pseudo_label: bool
    """Whether it is among the most certain samples of its category."""
    group: NDArray[np.int64]
    """The samples that vote as one with it, itself included; empty without a group."""
    clusters: NDArray[np.int32]
    """Of each partition: the cluster it is in; -1 where the partition abstains. Each array from
    here to `majorities` has one value for each partition."""
    cluster_sizes: NDArray[np.int64]
    """The samples in that cluster, itself included."""
    cluster_shares: NDArray[np.float64]
    """The share of the cluster's other samples that are in its category; NaN without others."""
    majorities: NDArray[Any]
    """The category that most of the cluster's other samples are in: its own one where that is as
    large as any. The partition speaks for that category."""
    seed: int | None
    """The most certain sample of its category."""
    seed_confidence: float
    """How certain that is."""
    neighbors: NDArray[np.int64]
    """The 10 samples that most partitions put into its cluster, then by index."""
    neighbor_categories: NDArray[Any]
    """Their categories."""
    neighbor_agreements: NDArray[np.int64]
    """How many partitions put them into its cluster."""

    @property
    def n_for(self) -> int:
        """Partitions that speak for its category."""
        return sum(majority == self.category for majority in self._votes)

    @property
    def n_against(self) -> int:
        """Partitions that speak for another category."""
        return len(self._votes) - self.n_for

    @property
    def _votes(self) -> list[Any]:
        return [majority for majority in self.majorities.tolist() if majority is not None]

    def __repr__(self) -> str:
        if self.category is None:
            return f"Sample {self.sample}: no category, since no partition has a vote for it."
        about = f"Sample {self.sample}: {self.category}, confidence {self.confidence:.2f}"
        if self.runner_up is not None:
            about += f"; next {self.runner_up}, {self.runner_up_share:.2f}"
        lines = [about + "."]
        if self.known_label is not None:
            suspect = ", against which the partitions speak" if self.is_suspect else ""
            lines.append(f"Known as {self.known_label}{suspect}.")
        if self.is_pseudo_label:
            lines.append("Among the most certain of its category: a pseudo-label.")
        if len(self.group):
            lines.append(f"Votes as one with {len(self.group) - 1} other samples.")
        n_silent = len(self.clusters) - len(self._votes)
        lines.append(f"Partitions: {self.n_for} for it, {self.n_against} against, {n_silent} none.")
        lines.append(f"Seed: sample {self.seed}, confidence {self.seed_confidence:.2f}.")
        nearest = zip(
            self.neighbors.tolist(),
            self.neighbor_categories.tolist(),
            self.neighbor_agreements.tolist(),
            strict=True,
        )
        found = ", ".join(f"{sample} ({category}, {n})" for sample, category, n in nearest)
        lines.append(f"Nearest samples (category, partitions): {found or 'none'}.")
        lines.append("partition  cluster    size  in its category  most are in")
        for m, cluster in enumerate(self.clusters[:_MAX_ROWS].tolist()):
            if cluster < 0:
                lines.append(f"{m:9d}  abstains")
                continue
            share = f"{self.cluster_shares[m]:15.2f}" if self.cluster_sizes[m] > 1 else f"{'-':>15}"
            lines.append(
                f"{m:9d}  {cluster:7d}  {self.cluster_sizes[m]:6d}  {share}  "
                f"{'-' if self.majorities[m] is None else self.majorities[m]}"
            )
        if len(self.clusters) > _MAX_ROWS:
            lines.append(f"... {len(self.clusters) - _MAX_ROWS} more partitions")
        return "\n".join(lines)


def explain(
    sample: int,
    outcome: Categories,
    classes: NDArray[Any],
    partitions: NDArray[np.int32],
    *,
    known: NDArray[np.int32] | None,
    groups: NDArray[np.int32] | None,
    is_suspect: bool,
    is_pseudo_label: bool,
) -> Explanation:
    """Explain a sample: O(n_samples n_partitions)."""
    names = np.array([*classes.tolist(), None], dtype=object)  # the last is that of -1
    number = int(outcome.numbers[sample])
    scores = outcome.shares_of(sample).astype(np.float64)
    runner_up = -1
    if number >= 0 and len(scores) > 1:
        runner_up = int(np.where(np.arange(len(scores)) == number, -1, scores).argmax())

    n_partitions = partitions.shape[1]
    sizes = np.zeros(n_partitions, dtype=np.int64)
    shares = np.full(n_partitions, np.nan)
    majorities = np.full(n_partitions, -1)
    agreements = np.zeros(len(partitions), dtype=np.int64)
    for m, column in enumerate(partitions.T):
        if column[sample] < 0:
            continue
        together = column == column[sample]
        agreements += together
        sizes[m] = np.count_nonzero(together)
        # One more place, the first, for -1.
        counts = np.bincount(outcome.numbers[together] + 1, minlength=len(scores) + 1)
        counts[number + 1] -= 1
        if sizes[m] > 1:
            shares[m] = counts[number + 1] / (sizes[m] - 1)
        counts = counts[1:]
        if counts.any():
            has_most = number >= 0 and counts[number] == counts.max()
            majorities[m] = number if has_most else counts.argmax()

    agreements[sample] = 0
    nearest = np.argsort(-agreements, kind="stable")[:_N_NEIGHBORS]
    nearest = nearest[agreements[nearest] > 0]
    members = np.flatnonzero(outcome.numbers == number) if number >= 0 else np.empty(0, np.intp)
    confidence = outcome.confidence
    seed = int(members[confidence[members].argmax()]) if len(members) else None
    group = np.empty(0, dtype=np.int64)
    if groups is not None and groups[sample] >= 0:
        group = np.flatnonzero(groups == groups[sample])
    return Explanation(
        sample=sample,
        category=names[number],
        confidence=float(confidence[sample]),
        runner_up=names[runner_up],
        runner_up_share=float(scores[runner_up]) if runner_up >= 0 else 0.0,
        known_label=None if known is None else names[known[sample]],
        is_suspect=is_suspect,
        is_pseudo_label=is_pseudo_label,
        group=group,
        clusters=partitions[sample].copy(),
        cluster_sizes=sizes,
        cluster_shares=shares,
        majorities=names[majorities],
        seed=seed,
        seed_confidence=float("nan") if seed is None else float(confidence[seed]),
        neighbors=nearest,
        neighbor_categories=names[outcome.numbers[nearest]],
        neighbor_agreements=agreements[nearest],
    )


def mean_shares(outcome: Categories) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The size of each category, and the mean share of its samples in each: a row for each."""
    n = outcome.n_categories
    voted = outcome.numbers >= 0
    numbers, rows = outcome.numbers[voted], outcome.rows[voted]
    sizes = np.bincount(numbers, minlength=n)
    ones = sparse.csr_array((np.ones(len(rows)), (numbers, rows)), shape=(n, len(outcome.shares)))
    return sizes, (ones @ outcome.shares) / np.maximum(sizes, 1)[:, None]


def category_table(
    outcome: Categories,
    classes: NDArray[Any],
    *,
    known: NDArray[np.int32] | None,
    suspects: NDArray[np.intp],
) -> pd.DataFrame:
    """Make the table of the categories: a row for each, in order."""
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError("category_table_ needs pandas: pip install pandas") from error
    n = outcome.n_categories
    sizes, shares = mean_shares(outcome)
    own = shares.diagonal().copy()
    np.fill_diagonal(shares, -1)
    nearest = shares.argmax(axis=1)
    n_labeled = np.zeros(n, dtype=np.int64)
    n_suspect = np.zeros(n, dtype=np.int64)
    if known is not None:
        n_labeled = np.bincount(known[known >= 0], minlength=n)
        n_suspect = np.bincount(known[suspects], minlength=n)
    names = classes.astype(object)
    return pd.DataFrame(
        {
            "size": sizes,
            "share": sizes / len(outcome.numbers),
            "confidence": own,
            "known": n_labeled > 0,
            "n_labeled": n_labeled,
            "n_suspect": n_suspect,
            "nearest": names[nearest] if n > 1 else None,
            "nearest_share": shares.max(axis=1) if n > 1 else np.nan,
        },
        index=pd.Index(classes, name="category"),
    )
