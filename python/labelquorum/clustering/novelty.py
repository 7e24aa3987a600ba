"""How unlike the training data new samples are, and which of them are a new category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from labelquorum.graphs.affinity import affinity_graph
from labelquorum.graphs.communities import communities
from labelquorum.neighbors.search import kneighbors

Rows = NDArray[np.float32]

_RECALL = 0.95
_N_NEAREST = 5
_N_NEIGHBORS = 15
_RESOLUTIONS = (1.0, 3.0, 10.0)
_TIMES_AS_FREQUENT = 5
_ERROR = 0.05


@dataclass(frozen=True, eq=False, repr=False)
class Novelty:
    """What is new in new samples."""

    scores: NDArray[np.float64]
    """How unlike the training data each new sample is, 0 to 1: the share of training samples that
    are nearer than it to their nearest training samples. Where nothing is new, a score is above
    0.95 with a chance of 5 %, above 0.5 with one of 50 %."""
    level: float
    """That chance for the samples counted in `share`: those with scores from 1 - level on."""
    share: float
    """The share of new samples that are novel: how many more are counted than chance explains."""
    share_at_least: float
    """A lower bound of it, at 95 % confidence; for novel samples that look like training samples,
    the true share may be much larger."""
    groups: NDArray[np.int32]
    """Emerging categories: a number from 0 for samples of the same one, -1 for samples of none."""

    @property
    def n_groups(self) -> int:
        """Emerging categories."""
        return int(self.groups.max()) + 1

    def __repr__(self) -> str:
        lines = [
            f"{self.share:.1%} of {len(self.scores)} new samples are novel (at least "
            f"{self.share_at_least:.1%}), beyond the {self.level:.1%} that would seem so by chance."
        ]
        sizes = np.bincount(self.groups[self.groups >= 0]).tolist()
        lines += [f"Emerging category {k}: {size} samples." for k, size in enumerate(sizes)]
        return "\n".join(lines)


def novelty(
    training: Rows,
    new: Rows,
    *,
    level: float,
    min_group_size: int,
    n_threads: int,
    verbose: bool = False,
) -> Novelty:
    """Compare new rows with training rows; see `ConsensusClusterer.novelty`."""
    n, n_new = len(training), len(new)
    n_nearest = min(_N_NEAREST, n - 1)
    usual = np.sort(_distances(training, n_nearest, None, n_threads, verbose))
    found = _distances(training, n_nearest, new, n_threads, verbose)
    n_nearer = np.searchsorted(usual, found)
    n_counted = int(np.count_nonzero((n + 1 - n_nearer) / (n + 1) <= level))
    share = max(0.0, (n_counted / n_new - level) / (1 - level))
    least = 0.0
    if n_counted:
        # Chance is in the training samples and in the new ones: half of the error for each.
        n_rare = int(level * (n + 1) + 1e-9)
        by_chance = float(stats.beta.ppf(1 - _ERROR / 2, n_rare, n + 1 - n_rare))
        counted = float(stats.beta.ppf(_ERROR / 2, n_counted, n_new - n_counted + 1))
        least = max(0.0, (counted - by_chance) / (1 - by_chance))
    groups = np.full(n_new, -1, dtype=np.int32)
    if n_new >= min_group_size:
        groups = _emerging(training, new, min_group_size, n_threads, verbose)
    return Novelty(n_nearer / (n + 1), level, share, least, groups)


def _distances(
    training: Rows, n_nearest: int, new: Rows | None, n_threads: int, verbose: bool
) -> NDArray[np.float64]:
    """The mean distance to the nearest training rows."""
    distances = kneighbors(
        training, n_nearest, Y=new, recall=_RECALL, n_jobs=n_threads, verbose=verbose
    )[0]
    means: NDArray[np.float64] = distances.mean(axis=1, dtype=np.float64)
    return means


def _emerging(
    training: Rows, new: Rows, min_size: int, n_threads: int, verbose: bool
) -> NDArray[np.int32]:
    """Communities of training and new rows together in which new rows abound."""
    n, n_new = len(training), len(new)
    rows = np.concatenate([training, new])
    n_neighbors = min(_N_NEIGHBORS, len(rows) - 1)
    graph = affinity_graph(rows, n_neighbors, recall=_RECALL, n_jobs=n_threads, verbose=verbose)
    partitions = communities(graph, _RESOLUTIONS, random_state=0, n_jobs=n_threads, verbose=verbose)

    def excess(n_of_new: int, n_of_training: int) -> float:
        return n_of_new - _TIMES_AS_FREQUENT * n_of_training * (n_new / n)

    candidates: list[_Candidate] = []
    n_tests = 0
    for m, partition in enumerate(partitions.T):
        n_communities = int(partition.max()) + 1
        of_training = np.bincount(partition[:n], minlength=n_communities)
        of_new = np.bincount(partition[n:], minlength=n_communities)
        for community in np.flatnonzero(of_new >= min_size).tolist():
            counts = int(of_new[community]), int(of_training[community])
            # Were there no difference, any n_new rows of all would be as likely to be the new ones.
            p_value = float(stats.hypergeom.sf(counts[0] - 1, n + n_new, n_new, sum(counts)))
            candidates.append(_Candidate(excess(*counts), m, community, p_value))
            n_tests += 1
    groups = np.full(n_new, -1, dtype=np.int32)
    is_free = np.ones(len(rows), dtype=bool)
    n_groups = 0
    for candidate in sorted(candidates, key=lambda c: (-c.excess, c.partition, c.community)):
        if candidate.excess < 0 or candidate.p_value * n_tests > _ERROR:
            continue
        members = (partitions[:, candidate.partition] == candidate.community) & is_free
        n_of_new = int(np.count_nonzero(members[n:]))
        if n_of_new >= min_size and excess(n_of_new, int(np.count_nonzero(members[:n]))) >= 0:
            groups[members[n:]] = n_groups
            n_groups += 1
            is_free &= ~members
    return groups


class _Candidate(NamedTuple):
    """A community of one of the partitions that may be an emerging category."""

    excess: float
    partition: int
    community: int
    p_value: float
