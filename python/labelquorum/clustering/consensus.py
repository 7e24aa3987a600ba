"""Consensus: one partition of all samples from many.

The module's name is private so that ``labelquorum.consensus`` is always the function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelquorum import _core
from labelquorum._shared.arguments import as_columns, as_n_threads, as_positive
from labelquorum._shared.progress import progress
from labelquorum.clustering.ballots import Ballots

if TYPE_CHECKING:
    pass

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]

_MIN_GROUPS, _GROUPS_PER_CLUSTER, _MAX_GROUPS = 1000, 8, 4000
_RULES = ("ward", "average")
_DEALS, _CLEARLY = 8, 3  # standard errors
_MAX_ELECTORS, _ELECTORS_GROUPS = 5_000, 400
_LEAST_HALF = 2  # partitions
_LEAST_SHARE = 0.1  # of the mean size of a cluster
_ROWS_PER_BLOCK = 4096


def consensus(
    partitions: Any,
    n_clusters: int | None = None,
    *,
    n_jobs: int | None = None,
    verbose: bool = False,
) -> NDArray[np.int32]:
    """Combine partitions into one of all samples.

    Parameters
    ----------
    partitions : integer array-like of shape (n_samples, n_partitions)
        Also a pandas or polars DataFrame, or a list of 1-D arrays, one per partition. A negative
        value means that the model abstains on the sample. Partitions with more clusters than are
        wanted (2 to 6 times as many) serve best.
    n_clusters : int, optional
        Clusters of the result; None for as many as stand out (where the cost of merging rises
        most), which is right only for few that lie apart. `ConsensusClusterer`, which sees the
        samples, finds the number better.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    int32 array of shape (n_samples,)
        Cluster of each sample, numbered from 0, larger ones first; -1 only where all partitions
        abstain.

    Raises
    ------
    TypeError, ValueError
        If an argument is of the wrong type, shape or range, or fewer samples differ than clusters
        are wanted.
    MemoryError
        If too little memory is available.

    See Also
    --------
    mini_clusters : the samples that nearly all partitions put together, and no others.

    Notes
    -----
    1. Samples are collapsed into signatures, and these into at most 1,000 groups (or 8 per cluster,
       up to 4,000) around the most frequent ones.
    2. By one of two rules the groups become a tree, which is cut at n_clusters:

       - Ward's linkage. Two groups are as similar as the clusters they share tell: each -log of
         its share of the samples, since sharing a small cluster is less by chance. Each group's
         profile is averaged over all groups in proportion to similarity (one step of a random
         walk), so that groups that share few clusters, but the same neighbours, get near.
       - Average linkage. A shared cluster tells more the smaller it is and the less the other
         partitions cut it (the ensemble-driven cluster index of Huang, Wang and Lai, "Locally
         weighted ensemble clustering", IEEE Transactions on Cybernetics 48(5), 2018). Clusters
         under a tenth of the mean size are outliers and do not count.

    3. No rule is best on all ensembles. From four partitions on, they are dealt into two halves
       eight times, and average linkage is taken unless the results of Ward's on the halves tell
       more of each other (mutual information) by three standard errors. With fewer partitions it is
       Ward's linkage.
    4. A signature goes to the cluster whose members it shares most with.

    Linear in n_samples, apart from the groups (some seconds at most).

    Examples
    --------
    >>> import labelquorum as lq
    >>> partitions = [[0, 0, 1, 2, 2, 3], [5, 5, 5, 4, 4, 4], [1, 2, 2, 0, 3, 3]]
    >>> lq.consensus(partitions, 2)
    array([0, 0, 0, 1, 1, 1], dtype=int32)
    """
    n_threads = as_n_threads(n_jobs)
    wanted = None if n_clusters is None else as_positive(n_clusters, "n_clusters")
    columns = as_columns(partitions)
    with progress(verbose) as show:
        ballots = Ballots(columns, n_threads, show)
        n_found = wanted or ConsensusTree(ballots, n_threads=n_threads, show=show).natural_size()
        tree = elected_tree(ballots, n_found, n_threads, show)
        if n_found > tree.n_groups:
            raise ValueError(
                f"n_clusters is {n_found}; the partitions tell only {tree.n_groups} groups apart "
                f"(of at most {_MAX_GROUPS:,})"
            )
        of_signatures = tree.ballots.nearest(tree.cut(n_found))
    return ballots.of_samples(of_signatures)


def elected_tree(
    ballots: Ballots, n_clusters: int, n_threads: int, show: Any = None
) -> ConsensusTree:
    """The tree by average linkage, or by Ward's where its results on halves tell clearly more.

    The partitions are dealt into two halves again and again, and it is measured how much a rule's
    results on the two tell of each other: mutual information in nats, not normalised, since a rule
    that finds few or unequal clusters must not gain by agreeing on those alone. Clearly is by more
    than three standard errors, since halves of the same partitions are not independent.
    """
    n_partitions = int(ballots.partition_of.max(initial=-1)) + 1
    some = np.arange(0, len(ballots), -(-len(ballots) // _MAX_ELECTORS))
    rng = np.random.RandomState(0)
    gains = []
    for _ in range(_DEALS if n_partitions >= 2 * _LEAST_HALF else 0):
        order = rng.permutation(n_partitions)
        middle = n_partitions // 2
        halves = [ballots.part(some, part) for part in (order[:middle], order[middle:])]
        if not all(half.has_votes.any() for half in halves):
            continue
        told = {}
        for rule in _RULES:
            found = []
            for half in halves:
                tree = ConsensusTree(
                    half,
                    rule,
                    n_clusters=n_clusters,
                    min_groups=_ELECTORS_GROUPS,
                    n_threads=n_threads,
                    show=show,
                )
                found.append(half.of_samples(tree.ballots.nearest(tree.cut(n_clusters))))
            told[rule] = _mutual_information(found[0], found[1], ballots.counts[some])
        gains.append(told["ward"] - told["average"])
    error = np.std(gains) / np.sqrt(max(1, len(gains) - 1)) if gains else 0.0
    is_ward = not gains or np.mean(gains) > _CLEARLY * error
    rule = "ward" if is_ward else "average"
    return ConsensusTree(ballots, rule, n_clusters=n_clusters, n_threads=n_threads, show=show)


def _mutual_information(first: Integers, second: Integers, counts: Integers) -> float:
    """In nats, over what has a cluster in both."""
    voted = (first >= 0) & (second >= 0)
    joint = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(joint, (first[voted], second[voted]), counts[voted])
    total = joint.sum()
    if total == 0:
        return 0.0
    joint /= total
    by_chance = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    known = joint > 0
    return float((joint[known] * np.log(joint[known] / by_chance[known])).sum())


class ConsensusTree:
    """A linkage of groups of signatures, by one of two rules; see `consensus`.

    `ballots` have the rule's weights. Signatures of one kind are one group, and groups of two kinds
    are never merged.
    """

    def __init__(
        self,
        ballots: Ballots,
        rule: str = "ward",
        *,
        n_clusters: int | None = None,
        min_groups: int = _MIN_GROUPS,
        n_threads: int = 1,
        show: Any = None,
    ) -> None:
        max_groups = max(min_groups, min(_MAX_GROUPS, _GROUPS_PER_CLUSTER * (n_clusters or 0)))
        is_ward = rule == "ward"
        self.ballots = ballots.weighed(ballots.surprise() if is_ward else ballots.reliability())
        self._least_share = 0.0 if is_ward else _LEAST_SHARE
        self._group_of = _groups(self.ballots, max_groups)
        self.n_groups = int(self._group_of.max(initial=-1)) + 1
        if self.n_groups == 0:
            raise ValueError("partitions hold no vote: every value is negative")
        voted = self._group_of >= 0
        weights = np.bincount(
            self._group_of[voted], ballots.counts[voted], minlength=self.n_groups
        ).astype(np.float64)
        kinds = np.full(self.n_groups, -1, dtype=np.int32)
        if ballots.kinds is not None:
            labeled = ballots.kinds >= 0
            kinds[self._group_of[labeled]] = ballots.kinds[labeled]
        profiles = self.ballots.profiles(self._group_of, self.n_groups)
        profiles.data *= np.sqrt(self.ballots.weights)[profiles.indices]
        similarity = (profiles @ profiles.T).toarray()
        self._trees, self._costs = _core.linkage(
            _walked(similarity, weights) if is_ward else similarity.max() - similarity,
            weights,
            kinds,
            _core.LinkageMethod.ward if is_ward else _core.LinkageMethod.average,
            n_threads,
            show,
        )
        # Of all trees: the groups, then those made by merging.
        sizes, is_known = weights.tolist(), (kinds >= 0).tolist()
        for first, second in self._trees.tolist():
            sizes.append(sizes[first] + sizes[second])
            is_known.append(is_known[first] or is_known[second])
        self._sizes = np.array(sizes)
        self._is_known = np.array(is_known)

    @property
    def least_size(self) -> int:
        """The least number of clusters: kinds are never merged."""
        return self.n_groups - len(self._trees)

    def natural_size(self, min_size: int = 1) -> int:
        """The number of clusters after whose merging costs rise most, relatively.

        Not more than there are before a cluster of fewer samples splits off.
        """
        if not len(self._costs):
            return self.n_groups
        is_large = (self._sizes[self._trees].min(axis=1) >= min_size)[::-1]
        most = len(is_large) if is_large.all() else int(is_large.argmin())
        most = min(most, int(np.sqrt(self._sizes[: self.n_groups].sum())))
        if most == 0:
            return self.least_size
        costs = self._costs[::-1]  # of going from 2 clusters to 1, from 3 to 2, ...
        # The groups themselves are the clusters where all of them lie far apart.
        costs = np.append(costs, 0.1 * costs[0])
        ratios = costs[:most] / np.maximum(costs[1 : most + 1], 1e-12)
        return self.least_size + 1 + int(ratios.argmax())

    def cut(self, n_clusters: int) -> NDArray[np.int32]:
        """The cluster of each signature; -1 where it has no votes, or is an outlier.

        Outliers are clusters too small to count as one of n_clusters (under a tenth of the mean
        size, by average linkage); `Ballots.nearest` gives them to those they share most with.
        """
        n_merges, counted = self._level(n_clusters)
        root_of = list(range(self.n_groups + n_merges))
        for m, (first, second) in reversed([*enumerate(self._trees[:n_merges].tolist())]):
            # From the top down, so that a tree's root is known before its parts are met.
            root_of[first] = root_of[second] = root_of[self.n_groups + m]
        roots = np.array(root_of[: self.n_groups])
        _, numbers = np.unique(roots[counted[roots]], return_inverse=True)
        of_groups = np.full(self.n_groups, -1, dtype=np.int32)
        of_groups[counted[roots]] = numbers
        result = np.full(len(self._group_of), -1, dtype=np.int32)
        voted = self._group_of >= 0
        result[voted] = of_groups[self._group_of[voted]]
        return result

    def _level(self, n_clusters: int) -> tuple[int, NDArray[np.bool_]]:
        """After how many merges so many clusters are left, and which trees count as clusters."""
        least = self._least_share * self._sizes[: self.n_groups].sum() / n_clusters
        while True:
            counted = (self._sizes >= least) | self._is_known
            lost = counted[self._trees].sum(axis=1) - counted[self.n_groups :].astype(np.int64)
            n_left = counted[: self.n_groups].sum() - np.concatenate([[0], np.cumsum(lost)])
            enough = np.flatnonzero(n_left >= n_clusters)
            if len(enough):
                return int(enough[-1]), counted
            if least < 1:
                return 0, counted
            least /= 2  # there are not so many of this size


def _groups(ballots: Ballots, max_groups: int) -> NDArray[np.int32]:
    """A group for each signature: at most so many, around the most frequent ones.

    Each kind is a group of its own. -1 without votes.
    """
    groups = np.full(len(ballots), -1, dtype=np.int32)
    n = 0
    free = ballots.has_votes.copy()
    kinds = ballots.kinds
    if kinds is not None:
        labeled = kinds >= 0
        names, codes = np.unique(kinds[labeled], return_inverse=True)
        groups[labeled] = codes
        n = len(names)
        free &= ~labeled
    others = np.flatnonzero(free)
    leaders = others[:max_groups]
    groups[leaders] = n + np.arange(len(leaders))
    rest = others[max_groups:]
    if len(rest):
        from scipy import sparse

        targets = (ballots.members[leaders] @ sparse.diags_array(ballots.weights)).T.tocsr()
        for begin in range(0, len(rest), _ROWS_PER_BLOCK):
            block = rest[begin : begin + _ROWS_PER_BLOCK]
            shared = (ballots.members[block] @ targets).toarray()
            groups[block] = n + shared.argmax(axis=1)
    return groups


def _walked(similarity: Floats, weights: Floats) -> Floats:
    """Squared distances of the groups' rows, averaged by a step of a random walk, of length 1."""
    walk = similarity * weights
    walk /= np.maximum(walk.sum(axis=1, keepdims=True), 1e-300)
    products = walk @ similarity @ walk.T
    lengths = np.sqrt(np.maximum(np.diag(products), 1e-300))
    products /= lengths
    products /= lengths[:, None]
    distances = np.maximum(0.0, 2 - (products + products.T))
    np.fill_diagonal(distances, 0.0)
    return distances
