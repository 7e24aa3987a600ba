"""How much new samples differ from the training data, and which of them are a new category.

- Scores: conformal p-values of the mean distance to the 5 nearest training samples that differ. A
  score is high if few training samples are as far from the others.
- Groups: communities of the graph of all samples, training and new, in which new samples are much
  more frequent than elsewhere, by an exact test.

Nearly linear in the number of samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, stats

from labelquorum._shared.arguments import as_level
from labelquorum._shared.distinct import DistinctRows
from labelquorum._shared.frame import Rows
from labelquorum._shared.html import Table, as_html
from labelquorum.clustering.views import RECALL, Partitions
from labelquorum.graphs.affinity import Search, affinity_of_rows
from labelquorum.graphs.communities import communities
from labelquorum.neighbors.search import kneighbors

Integers = NDArray[np.integer[Any]]

_N_NEAREST = 5
_N_NEIGHBORS = 15
_RESOLUTIONS = (0.1, 0.3, 1.0, 3.0, 10.0)
_TIMES_AS_FREQUENT = 5
_ERROR = 0.05


@dataclass(frozen=True, eq=False, repr=False)
class Novelty:
    """What is new in new samples; it prints as text."""

    scores: NDArray[np.float64]
    """(n_new,), 0 to 1: the share of training samples that are closer to the other training samples
    than the new sample is. If nothing is new, a score exceeds 0.95 with a probability of 5 %, and
    0.5 with a probability of 50 %."""
    level: float
    """Samples with scores of at least 1 - level count as novel. If nothing is new, a sample counts
    with this probability."""
    share: float
    """The share of new samples that are novel, less those that are expected by chance."""
    share_at_least: float
    """A lower bound of that share, at 95 % confidence. The true share may be much larger: novel
    samples that look like training samples are not counted."""
    groups: NDArray[np.int32]
    """(n_new,): the emerging category of each sample, numbered from 0; -1 for none."""
    group_shares: NDArray[np.float64]
    """(n_new,): the share of the sample's neighbors, by their affinity, that are of its emerging
    category, too; 0 without one."""
    training_groups: NDArray[np.int32]
    """(n_samples,): the emerging category among whose samples a training sample is; -1 for none."""

    @property
    def n_groups(self) -> int:
        """Number of emerging categories."""
        return int(self.groups.max()) + 1

    @property
    def _summary(self) -> str:
        return (
            f"{self.share:.1%} of {len(self.scores)} new samples are novel (at least "
            f"{self.share_at_least:.1%}), beyond the {self.level:.1%} expected by chance."
        )

    @property
    def _sizes(self) -> list[tuple[int, int]]:
        """The number of each emerging category, and its samples."""
        return list(enumerate(np.bincount(self.groups[self.groups >= 0]).tolist()))

    def __repr__(self) -> str:
        lines = [f"Emerging category {k}: {size} samples." for k, size in self._sizes]
        return "\n".join([self._summary, *lines])

    def _repr_html_(self) -> str:
        tables = [Table(["emerging category", "samples"], self._sizes)] if self._sizes else []
        return as_html(self._summary, *tables)


def novelty(
    training: Rows,
    distinct: DistinctRows,
    new: Rows,
    *,
    level: float,
    min_group_size: int,
    n_threads: int,
    verbose: bool = False,
) -> Novelty:
    """Compare new rows with distinct training rows; see `ConsensusClusterer.novelty`.

    `distinct` says which training samples have each training row.
    """
    level = as_level(level, "level")
    counts = distinct.counts
    n, n_new = int(counts.sum()), len(new)
    n_nearest = min(_N_NEAREST, len(training) - 1)
    usual_distances = _mean_distances(training, n_nearest, None, n_threads, verbose)
    distances = _mean_distances(training, n_nearest, new, n_threads, verbose)
    order = np.argsort(usual_distances)
    n_up_to = np.concatenate([[0], np.cumsum(counts[order])])
    n_closer = n_up_to[np.searchsorted(usual_distances[order], distances)]
    n_counted = int(np.count_nonzero((n + 1 - n_closer) / (n + 1) <= level))
    share = max(0.0, (n_counted / n_new - level) / (1 - level))
    groups = np.full(len(training) + n_new, -1, dtype=np.int32)
    group_shares = np.zeros(len(groups))
    if n_new >= min_group_size:
        groups, group_shares = _emerging_groups(
            training, counts, new, min_group_size, n_threads, verbose
        )
    first = len(training)  # of the new rows
    return Novelty(
        scores=n_closer / (n + 1),
        level=level,
        share=share,
        share_at_least=_lower_bound(n, n_new, n_counted, level),
        groups=groups[first:],
        group_shares=group_shares[first:],
        training_groups=groups[:first][distinct.numbers],
    )


def _lower_bound(n: int, n_new: int, n_counted: int, level: float) -> float:
    """A lower bound of the novel share, at 95 % confidence.

    Both the training samples and the new ones are random: each gets half of the error.
    """
    if not n_counted:
        return 0.0
    n_rare = int(level * (n + 1) + 1e-9)
    by_chance = float(stats.beta.ppf(1 - _ERROR / 2, n_rare, n + 1 - n_rare))
    counted = float(stats.beta.ppf(_ERROR / 2, n_counted, n_new - n_counted + 1))
    return max(0.0, (counted - by_chance) / (1 - by_chance))


def _mean_distances(
    training: Rows,
    n_nearest: int,
    new: Rows | None,
    n_threads: int,
    verbose: bool,
) -> NDArray[np.float64]:
    """The mean distance of new rows to their nearest training rows; of training rows if None."""
    distances = kneighbors(
        training, n_nearest, Y=new, recall=RECALL, n_jobs=n_threads, verbose=verbose
    )[0]
    means: NDArray[np.float64] = distances.mean(axis=1, dtype=np.float64)
    return means


class _Candidate(NamedTuple):
    """A community that may be an emerging category."""

    excess: float
    """By how many its new rows outnumber those that 5 times the usual frequency would give."""
    partition: int
    community: int
    p_value: float


def _emerging_groups(
    training: Rows,
    counts: Integers,
    new: Rows,
    min_size: int,
    n_threads: int,
    verbose: bool,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Find communities with many new rows.

    Returns the community of each row, training rows first, -1 for none; and the share of its
    neighbors in it.

    Communities are taken by decreasing excess. A row joins the first one only.
    """
    n, n_new = int(counts.sum()), len(new)
    rows = np.concatenate([training, new])
    distinct = DistinctRows.of(rows)
    weights = distinct.weights(np.concatenate([counts, np.ones(n_new, counts.dtype)]))
    search = Search("euclidean", RECALL, n_threads, verbose)
    graph = affinity_of_rows(distinct.rows_of(rows), weights, _N_NEIGHBORS, search)
    partitions = distinct.expand(
        communities(graph, _RESOLUTIONS, random_state=0, n_jobs=n_threads, verbose=verbose)
    )
    training_partitions, new_partitions = np.split(partitions, [len(training)])
    candidates = _candidates(training_partitions, counts, new_partitions, min_size)
    groups = np.full(len(rows), -1, dtype=np.int32)
    is_unassigned = np.ones(len(rows), dtype=bool)
    n_first = len(training)
    n_groups = 0
    for candidate in sorted(candidates, key=lambda c: (-c.excess, c.partition, c.community)):
        if candidate.excess < 0 or candidate.p_value * len(candidates) > _ERROR:
            continue
        members = (partitions[:, candidate.partition] == candidate.community) & is_unassigned
        n_training_members = int(counts[members[:n_first]].sum())
        n_new_members = int(np.count_nonzero(members[n_first:]))
        if n_new_members < min_size or _excess(n_new_members, n_training_members, n_new, n) < 0:
            continue
        groups[members] = n_groups
        n_groups += 1
        is_unassigned &= ~members
    shares = _shares_within(graph, groups[distinct.samples])
    return groups, distinct.expand(shares)


def _shares_within(graph: sparse.csr_array, groups: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the share of each row's affinity that goes to rows of its group; 0 without one."""
    rows = np.repeat(np.arange(len(groups)), np.diff(graph.indptr))
    is_within = (groups[rows] >= 0) & (groups[rows] == groups[graph.indices])
    within = np.bincount(rows, graph.data * is_within, len(groups))
    whole = np.bincount(rows, graph.data, len(groups))
    shares: NDArray[np.float64] = np.divide(
        within, whole, out=np.zeros(len(groups)), where=whole > 0
    )
    return shares


def _candidates(
    training: Partitions, counts: Integers, new: Partitions, min_size: int
) -> list[_Candidate]:
    """List the communities with at least `min_size` new rows."""
    n, n_new = int(counts.sum()), len(new)
    candidates = []
    for m in range(new.shape[1]):
        n_communities = int(max(training[:, m].max(), new[:, m].max())) + 1
        training_sizes = np.bincount(training[:, m], counts, minlength=n_communities)
        new_sizes = np.bincount(new[:, m], minlength=n_communities)
        for community in np.flatnonzero(new_sizes >= min_size).tolist():
            n_new_members = int(new_sizes[community])
            n_training_members = int(training_sizes[community])
            n_members = n_new_members + n_training_members
            # If nothing is new, any n_new of all rows are equally likely to be the new ones.
            p_value = float(stats.hypergeom.sf(n_new_members - 1, n + n_new, n_new, n_members))
            excess = _excess(n_new_members, n_training_members, n_new, n)
            candidates.append(_Candidate(excess, m, community, p_value))
    return candidates


def _excess(n_new_members: int, n_training_members: int, n_new: int, n: int) -> float:
    return n_new_members - _TIMES_AS_FREQUENT * n_training_members * (n_new / n)
