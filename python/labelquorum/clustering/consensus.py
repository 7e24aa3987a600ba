"""Consensus: one partition of all samples from many.

`consensus` collapses the partitions into ballots, links groups of signatures into a tree by one of
two rules (`ConsensusTree`), chooses the rule by dealing the partitions into halves
(`elected_tree`), cuts the tree, and expands the result. The notes of `consensus` give the
algorithm and its cost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from labelquorum import _core
from labelquorum._shared.arguments import as_columns, as_n_threads, as_positive
from labelquorum._shared.matching import mutual_information
from labelquorum._shared.progress import progress
from labelquorum._shared.sealed import INTEGERS, check_kinds, check_stored
from labelquorum.clustering.ballots import Ballots, Float64Array, Integers
from labelquorum.votes.named import remembered

Rule = Literal["ward", "average"]

_MIN_GROUPS, _GROUPS_PER_CLUSTER, _MAX_GROUPS = 1000, 8, 4000
_N_DEALS, _STANDARD_ERRORS = 8, 3
_MAX_ELECTORS, _GROUPS_OF_ELECTORS = 5_000, 400
_MIN_PARTITIONS_PER_HALF = 2
_OUTLIER_SHARE = 0.1  # of the mean size of a cluster
_LAST_COST_FACTOR = 0.1
_MAJORITY, _OTHER_MAJORITIES, _ROUNDING = 0.5, (0.4, 0.6), 1e-6  # of the partitions
_ISLAND_SHARE = 0.01  # of the mean size of a cluster
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
        value means that the model abstains on the sample. Partitions with 2 to 6 times as many
        clusters as the result work best. Columns count by their weights if `combine_votes` made it.
    n_clusters : int, optional
        Number of clusters of the result. None chooses the number below which the cost of merging
        rises most. This is only reliable for a few well-separated clusters. `ConsensusClusterer`
        sees the samples and finds the number better.
    n_jobs : int, optional
        Number of threads; -1 for all cores available. The result does not depend on it.
    verbose : bool, default=False
        Show progress on stderr.

    Returns
    -------
    int32 array of shape (n_samples,)
        The cluster of each sample. Clusters are numbered from 0 by decreasing size. -1 only where
        all partitions abstain.

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type, shape or range, or if the partitions tell fewer groups of
        samples apart than `n_clusters`.
    MemoryError
        If too little memory is available.

    See Also
    --------
    mini_clusters : the samples that nearly all partitions put together, and no others.

    Notes
    -----
    1. Samples are collapsed into signatures. Signatures are put into at most 1,000 groups (or 8 per
       cluster, up to 4,000) around the most frequent ones.
    2. The groups are linked into a tree, which is cut at `n_clusters`, by one of two rules:

       - Ward's linkage. The similarity of two groups is the sum over the clusters they share of
         -log of the cluster's share of the samples, since two samples rarely share a small cluster
         by chance. Each group's similarities are then averaged over all groups, weighted by
         similarity (one step of a random walk). This brings groups together that share few clusters
         but have the same neighbors.
       - Average linkage. A shared cluster counts more if it is small and if the other partitions do
         not split it (the ensemble-driven cluster index of Huang, Wang and Lai, "Locally weighted
         ensemble clustering", IEEE Transactions on Cybernetics 48(5), 2018). Clusters under a tenth
         of the mean size are outliers and do not count towards `n_clusters`.

       Samples of different *islands* are not even connected by a chain of samples of which each
       shares a cluster with the next in more than half of the partitions. If there are exactly
       `n_clusters` islands, by 0.4 or 0.6 instead of half as well, they are the clusters, whatever
       their sizes. (Ward's linkage would split a large one rather than keep a small one.) Islands
       that no partition connects are kept apart if there are fewer than clusters, too. Islands of
       one sample, under a hundredth of the mean size of a cluster, or on which a partition abstains
       do not count.
    3. Neither rule is best on all ensembles. The partitions are dealt into two halves eight times.
       Average linkage is used unless Ward's results on the two halves share more information by
       three standard errors. With fewer than four partitions, Ward's linkage is used.
    4. Each signature moves to the cluster (of its island) that gets the largest share of its votes.

    Linear in n_samples, apart from linking the groups (a few seconds at most).

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
    known = remembered(partitions)
    weights = None if known is None else np.array(known[1])
    with progress(verbose) as show:
        ballots = Ballots.of(columns, n_threads, show, weights=weights)
        if wanted is None:
            wanted = ConsensusTree(ballots, n_threads=n_threads, show=show).natural_size()
        tree = elected_tree(ballots, wanted, n_threads, show)
        if wanted > tree.n_groups:
            raise ValueError(
                f"n_clusters must be at most {tree.n_groups}, the number of groups that the "
                f"partitions tell apart (never more than {_MAX_GROUPS:,}), got {wanted}"
            )
        clusters = tree.ballots.reassigned(tree.cut(wanted))
    return ballots.expand(clusters)


def elected_tree(
    ballots: Ballots,
    n_clusters: int,
    n_threads: int,
    show: Callable[..., None] | None = None,
) -> ConsensusTree:
    """Build the tree by the rule that suits these partitions better."""
    rule = _elected_rule(ballots, n_clusters, n_threads, show)
    return ConsensusTree(ballots, rule, n_clusters=n_clusters, n_threads=n_threads, show=show)


def _elected_rule(
    ballots: Ballots, n_clusters: int, n_threads: int, show: Callable[..., None] | None
) -> Rule:
    """Choose average linkage, unless Ward's gives halves of the partitions clearly more in common.

    The partitions are dealt into two halves again and again. A rule's results on the two halves
    have some mutual information. It is measured in nats and not normalized: a rule must not gain by
    agreeing on few or unequal clusters. "Clearly" means by more than three standard errors, since
    halves of the same partitions are not independent.
    """
    n_partitions = ballots.n_partitions
    n_deals = _N_DEALS if n_partitions >= 2 * _MIN_PARTITIONS_PER_HALF else 0
    electors = np.arange(0, len(ballots), -(-len(ballots) // _MAX_ELECTORS))
    counts = ballots.counts[electors]
    rng = np.random.RandomState(0)
    gains_of_ward = []
    for _ in range(n_deals):
        order = rng.permutation(n_partitions)
        middle = n_partitions // 2
        halves = [ballots.part(electors, half) for half in (order[:middle], order[middle:])]
        if not all(half.has_votes.any() for half in halves):
            continue
        information = {}
        for rule in ("ward", "average"):
            first, second = (
                _labels_of_electors(half, rule, n_clusters, n_threads, show) for half in halves
            )
            information[rule] = _mutual_information(first, second, counts)
        gains_of_ward.append(information["ward"] - information["average"])
    if not gains_of_ward:
        return "ward"
    standard_error = np.std(gains_of_ward) / np.sqrt(max(1, len(gains_of_ward) - 1))
    is_ward = np.mean(gains_of_ward) > _STANDARD_ERRORS * standard_error
    return "ward" if is_ward else "average"


def _labels_of_electors(
    half: Ballots, rule: Rule, n_clusters: int, n_threads: int, show: Callable[..., None] | None
) -> NDArray[np.int32]:
    """The clusters of the electors by a rule, from half of the partitions."""
    tree = ConsensusTree(
        half,
        rule,
        n_clusters=n_clusters,
        min_groups=_GROUPS_OF_ELECTORS,
        n_threads=n_threads,
        show=show,
    )
    labels: NDArray[np.int32] = half.expand(tree.ballots.reassigned(tree.cut(n_clusters)))
    return labels


def _mutual_information(first: Integers, second: Integers, counts: Integers) -> float:
    """Mutual information in nats, over the signatures that have a cluster in both."""
    voted = (first >= 0) & (second >= 0)
    return mutual_information(first[voted], second[voted], counts[voted].astype(np.float64))


class ConsensusTree:
    """A tree of groups of signatures, linked by one of two rules; see `consensus`.

    Signatures of one known category are one group, and groups of two known categories are never
    merged. If there are known categories, the tree is therefore a forest.

    Parameters
    ----------
    ballots : Ballots
        With at least one vote.
    rule : {"ward", "average"}
        The linkage, and the weights of shared clusters.
    n_clusters : int, optional
        Number of clusters that the tree will be cut at; allows for 8 groups for each.
    min_groups : int
        Number of groups if that is larger.
    n_threads : int
        Number of threads.
    show : callable, optional
        Reports progress.

    Attributes
    ----------
    ballots : Ballots
        With the weights of the rule.
    n_groups : int
        Number of groups, the leaves of the tree.
    """

    def __init__(
        self,
        ballots: Ballots,
        rule: Rule = "ward",
        *,
        n_clusters: int | None = None,
        min_groups: int = _MIN_GROUPS,
        n_threads: int = 1,
        show: Callable[..., None] | None = None,
    ) -> None:
        is_ward = rule == "ward"
        self.ballots = ballots.weighted(ballots.surprise() if is_ward else ballots.reliability())
        max_groups = max(min_groups, min(_MAX_GROUPS, _GROUPS_PER_CLUSTER * (n_clusters or 0)))
        self._group_of = _groups(self.ballots, max_groups)
        self.n_groups = int(self._group_of.max(initial=-1)) + 1
        if self.n_groups == 0:
            raise ValueError("partitions must hold at least one vote, got only negative values")
        sizes, known = self._sizes_of_groups(), self._known_of_groups()
        self._outlier_share = 0.0 if is_ward else _OUTLIER_SHARE
        similarity = self._similarity()
        if is_ward:
            distances = _walked_distances(similarity, sizes)
        else:
            distances = similarity.max() - similarity
        # Not even the smallest islands are merged before all others are one cluster each.
        farther = 2 * sizes.sum() * max(1.0, distances.max())
        if ballots.known_apart:
            is_known = known >= 0
            distances[is_known[:, None] != is_known] += farther
            islands = None  # Samples that are not recognized would stay on those of their category.
        else:
            islands = None if n_clusters is None else _islands(self.ballots, n_clusters, max_groups)
        if islands is not None:
            self._outlier_share = _ISLAND_SHARE
            self.ballots = self.ballots.with_islands(islands)
            of_groups = islands[np.unique(self._group_of, return_index=True)[1][-self.n_groups :]]
            distances[of_groups[:, None] != of_groups] += farther
        self._merges, self._costs = _core.linkage(
            distances,
            sizes,
            known,
            _core.LinkageMethod.ward if is_ward else _core.LinkageMethod.average,
            n_threads,
            show,
        )
        self._sizes, self._is_known = self._of_all_nodes(sizes, known >= 0)

    def __check_saved__(self) -> None:
        """Raise ValueError unless all parts fit together."""
        check_kinds(self, ballots=Ballots)
        n = self.n_groups
        check_stored(n, "n_groups", np.int64, (), (1, len(self.ballots)))
        check_stored(self._group_of, "groups", np.int32, (len(self.ballots),), (-1, n - 1))
        check_stored(self._merges, "merges", INTEGERS, (None, 2), (0, 2 * n))
        n_merges = len(self._merges)
        if n_merges >= n or (self._merges.max(axis=1) >= n + np.arange(n_merges)).any():
            raise ValueError("merges must join groups and earlier merges")
        check_stored(self._costs, "costs", np.float64, (n_merges,))
        check_stored(self._sizes, "sizes", np.float64, (n + n_merges,), (1, len(self.ballots.ids)))
        check_stored(self._is_known, "is_known", np.bool_, (n + n_merges,))
        check_stored(self._outlier_share, "outlier_share", np.float64, (), (0, 1))

    @property
    def rule(self) -> Rule:
        """The linkage, as the weights tell."""
        is_ward = np.array_equal(self.ballots.weights, self.ballots.surprise())
        return "ward" if is_ward else "average"

    def linked_anew(
        self, known: NDArray[np.int32], n_clusters: int, n_threads: int
    ) -> ConsensusTree:
        """Link the same votes by the same rule, with other known categories of the samples."""
        ballots = self.ballots.with_known(known, n_threads)
        if self.ballots.known_apart:
            ballots = ballots.with_known_apart()
        return ConsensusTree(ballots, self.rule, n_clusters=n_clusters, n_threads=n_threads)

    def _sizes_of_groups(self) -> Float64Array:
        grouped = self._group_of >= 0
        counts = self.ballots.counts[grouped]
        sizes = np.bincount(self._group_of[grouped], counts, minlength=self.n_groups)
        return sizes.astype(np.float64)

    def _known_of_groups(self) -> NDArray[np.int32]:
        known = np.full(self.n_groups, -1, dtype=np.int32)
        if self.ballots.known is not None:
            labeled = self.ballots.known >= 0
            known[self._group_of[labeled]] = self.ballots.known[labeled]
        return known

    def _similarity(self) -> Float64Array:
        """The mean weight of the clusters that samples of two groups share: a square matrix."""
        profiles = self.ballots.profiles(self._group_of, self.n_groups)
        profiles.data *= np.sqrt(self.ballots.weights)[profiles.indices]
        similarity: Float64Array = (profiles @ profiles.T).toarray()
        return similarity

    def _of_all_nodes(
        self, sizes: Float64Array, is_known: NDArray[np.bool_]
    ) -> tuple[Float64Array, NDArray[np.bool_]]:
        """Extend sizes and flags of the groups to all nodes: the groups, then the merges."""
        all_sizes, all_flags = sizes.tolist(), is_known.tolist()
        for first, second in self._merges.tolist():
            all_sizes.append(all_sizes[first] + all_sizes[second])
            all_flags.append(all_flags[first] or all_flags[second])
        return np.array(all_sizes), np.array(all_flags)

    @property
    def least_size(self) -> int:
        """The least number of clusters: known categories are never merged."""
        return self.n_groups - len(self._merges)

    def persistence(self) -> Float64Array:
        """Return for each number of clusters over which range of costs it persists.

        Item n is the logarithm of the ratio of two costs: that of merging n clusters into one fewer
        to that of the merge before it. 0 for numbers that are not merged. Shape (n_groups + 1,).
        """
        scores = np.zeros(self.n_groups + 1)
        costs = np.log(np.maximum(self._costs, 1e-12))[::-1]
        n = self.least_size + 1 + np.arange(len(costs))
        scores[n[:-1]] = np.maximum(0.0, costs[:-1] - costs[1:])
        return scores

    def natural_size(self, min_size: int = 1) -> int:
        """Return the number of clusters below which the cost of a merge rises most, relatively.

        It is not higher than the number before a cluster of fewer than `min_size` samples splits
        off, nor than the root of the number of samples.
        """
        if not len(self._costs):
            return self.n_groups
        is_large = (self._sizes[self._merges].min(axis=1) >= min_size)[::-1]
        most = len(is_large) if is_large.all() else int(is_large.argmin())
        most = min(most, int(np.sqrt(self._sizes[: self.n_groups].sum())))
        if most == 0:
            return self.least_size
        costs = self._costs[::-1]  # of merging 2 clusters into 1, 3 into 2, ...
        # An assumed cost beyond the last merge: all groups are clusters if all of them lie apart.
        costs = np.append(costs, _LAST_COST_FACTOR * costs[0])
        ratios = costs[:most] / np.maximum(costs[1 : most + 1], 1e-12)
        return self.least_size + 1 + int(ratios.argmax())

    def cut(self, n_clusters: int, min_size: int = 1) -> NDArray[np.int32]:
        """Cut the tree: the cluster of each signature, -1 without votes and for outliers.

        New clusters of fewer than `min_size` samples are outliers; by average linkage, also those
        under a tenth of the mean size. They do not count towards `n_clusters`.
        `Ballots.reassigned` moves their signatures to other clusters. If there are not so many
        clusters of `min_size`, there are fewer, but at least one.
        """
        n_merges, is_counted = self._level(n_clusters, min_size)
        root_of = list(range(self.n_groups + n_merges))
        # From the top down, so that a node has its root before its parts are reached.
        for m, (first, second) in reversed([*enumerate(self._merges[:n_merges].tolist())]):
            root_of[first] = root_of[second] = root_of[self.n_groups + m]
        roots = np.array(root_of[: self.n_groups])
        in_cluster = is_counted[roots]
        clusters_of_groups = np.full(self.n_groups, -1, dtype=np.int32)
        clusters_of_groups[in_cluster] = np.unique(roots[in_cluster], return_inverse=True)[1]
        return _of_signatures(clusters_of_groups, self._group_of)

    def _level(self, n_clusters: int, min_size: int) -> tuple[int, NDArray[np.bool_]]:
        """Return the number of merges that leave so many clusters, and which nodes are no outliers.

        If there are not so many clusters of the least size, that is halved, down to `min_size`.
        """
        n_samples = self._sizes[: self.n_groups].sum()
        min_size = min(min_size, n_samples)  # so that there is a cluster
        least_size = max(min_size, self._outlier_share * n_samples / n_clusters)
        while True:
            is_counted = (self._sizes >= least_size) | self._is_known
            n_parts = is_counted[self._merges].sum(axis=1)
            n_lost = n_parts - is_counted[self.n_groups :].astype(np.int64)
            n_left = is_counted[: self.n_groups].sum() - np.concatenate([[0], np.cumsum(n_lost)])
            if n_left.max() >= n_clusters or least_size == min_size:
                enough = n_left >= min(n_clusters, n_left.max())
                return int(np.flatnonzero(enough)[-1]), is_counted
            least_size = max(min_size, least_size / 2)


def _groups(ballots: Ballots, max_groups: int, *, with_known: bool = True) -> NDArray[np.int32]:
    """Put signatures into at most `max_groups` groups around the most frequent ones.

    If `with_known`, each known category is a group of its own, beyond that number. Returns the
    group of each signature, -1 without votes.
    """
    groups = np.full(len(ballots), -1, dtype=np.int32)
    n_known = 0
    is_unknown = ballots.has_votes.copy()
    if with_known and ballots.known is not None:
        labeled = ballots.known >= 0
        names, codes = np.unique(ballots.known[labeled], return_inverse=True)
        groups[labeled] = codes
        n_known = len(names)
        is_unknown &= ~labeled
    unknown = np.flatnonzero(is_unknown)
    leaders, followers = unknown[:max_groups], unknown[max_groups:]
    groups[leaders] = n_known + np.arange(len(leaders))
    if len(followers):
        from scipy import sparse

        weights = sparse.diags_array(ballots.weights)
        weighted_leaders = (ballots.members[leaders] @ weights).T.tocsr()
        for begin in range(0, len(followers), _ROWS_PER_BLOCK):
            block = followers[begin : begin + _ROWS_PER_BLOCK]
            shared = (ballots.members[block] @ weighted_leaders).toarray()
            groups[block] = n_known + shared.argmax(axis=1)
    return groups


def _islands(ballots: Ballots, n_clusters: int, max_groups: int) -> NDArray[np.int32] | None:
    """Return the island of each signature, if they are to be kept apart; see `consensus`.

    By chance, there may be as many as clusters for one majority. Their number must be the same for
    a smaller or larger one, too. Groups of outliers do not count, and samples on which a partition
    abstains may all be outliers. Known categories are never divided.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    group_of = _groups(ballots, max_groups, with_known=False)
    n_groups = int(group_of.max()) + 1
    profiles = ballots.profiles(group_of, n_groups)
    columns = np.arange(len(ballots.partition_of))
    votes = profiles @ csr_array((np.ones(len(columns)), (columns, ballots.partition_of)))
    n_both = (votes @ votes.T).toarray()
    n_shared = (profiles @ profiles.T).toarray() - _ROUNDING
    is_one_category = np.zeros_like(n_both, dtype=bool)
    if ballots.known is not None:
        labeled = (ballots.known >= 0) & ballots.has_votes
        firsts = np.unique(ballots.known[labeled], return_index=True, return_inverse=True)[1:]
        groups = group_of[labeled]
        is_one_category[groups[firsts[0]][firsts[1]], groups] = True
    has_all_votes = np.diff(ballots.members.indptr) == ballots.n_partitions
    least_size = max(2.0, _ISLAND_SHARE * ballots.counts.sum() / n_clusters)

    def islands_by(majority: float) -> tuple[NDArray[np.int32], int]:
        is_connected = csr_array((n_shared > majority * n_both) | is_one_category)
        of_groups = connected_components(is_connected, directed=False)[1]
        islands = _of_signatures(of_groups, group_of)
        sizes = np.bincount(islands[has_all_votes], ballots.counts[has_all_votes], minlength=1)
        return islands, int(np.count_nonzero(sizes >= least_size))

    if n_clusters == 1:
        return None
    islands, n_islands = islands_by(_MAJORITY)
    if n_islands == n_clusters and n_islands in [islands_by(m)[1] for m in _OTHER_MAJORITIES]:
        return islands
    islands, n_islands = islands_by(0.0)
    return islands if 1 < n_islands <= n_clusters else None


def _of_signatures(values: NDArray[np.int32], group_of: Integers) -> NDArray[np.int32]:
    """Turn one value for each group into one for each signature, -1 without a group."""
    result = np.full(len(group_of), -1, dtype=np.int32)
    result[group_of >= 0] = values[group_of[group_of >= 0]]
    return result


def _walked_distances(similarity: Float64Array, sizes: Float64Array) -> Float64Array:
    """Squared distances of groups after one step of a random walk.

    Each group's profile becomes the mean of all groups' profiles, weighted by similarity and size,
    and is scaled to length 1.
    """
    walk = similarity * sizes
    walk /= np.maximum(walk.sum(axis=1, keepdims=True), 1e-300)
    products = walk @ similarity @ walk.T
    lengths = np.sqrt(np.maximum(np.diag(products), 1e-300))
    products /= lengths
    products /= lengths[:, None]
    distances = np.maximum(0.0, 2 - (products + products.T))
    np.fill_diagonal(distances, 0.0)
    return distances
