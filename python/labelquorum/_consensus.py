"""Consensus: one partition of all samples from many.

The module's name is private so that ``labelquorum.consensus`` is always the function.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelquorum import _core
from labelquorum._progress import progress
from labelquorum._validation import Columns, as_columns, as_n_threads, as_positive

if TYPE_CHECKING:
    from scipy import sparse

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]

_MAX_GROUPS = 2500
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
        Clusters of the result; None for as many as stand out (see Notes), which is right only for
        few that lie apart.
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
    1. Samples are collapsed into signatures, and these into at most 2,500 groups around the most
       frequent ones.
    2. Two groups are as similar as the clusters they share tell: each -log of its share of the
       samples, since sharing a small cluster is less by chance.
    3. Each group's profile is averaged over all groups, in proportion to similarity (one step of a
       random walk), and scaled to length 1. So groups that share few clusters, but the same
       neighbours, get near.
    4. Ward's linkage of the groups, cut at n_clusters; with None where the cost of merging rises
       most, relative to the merge before.
    5. A signature goes to the cluster whose members it shares most with.

    Linear in n_samples, apart from the 2,500 groups (some seconds at most). Averaging before
    linking is what makes one rule serve where average linkage is best and where spectral clustering
    is.

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
        tree = ConsensusTree(ballots, n_threads=n_threads, show=show)
        if wanted is not None and wanted > tree.n_groups:
            raise ValueError(
                f"n_clusters is {wanted}; the partitions tell only {tree.n_groups} groups apart"
            )
        of_signatures = ballots.nearest(tree.cut(wanted or tree.natural_size()))
    return ballots.of_samples(of_signatures)


class Ballots:
    """Partitions collapsed into signatures, and the clusters of all partitions as one list.

    Signatures are sorted: more frequent ones first, then by their values. `kinds` are numbers of
    samples, -1 for none, that take no part in the vote but tell signatures apart.
    """

    def __init__(
        self, columns: Columns, n_threads: int, show: Any = None, *, kinds: Any = None
    ) -> None:
        told_by = columns if kinds is None else [*columns, kinds]
        table = _core.SignatureTable(len(told_by))
        ids = np.empty(len(columns[0]), dtype=np.int32)
        table.update(told_by, ids, None, n_threads, show)
        signatures, counts = table.signatures(n_threads), table.counts()
        order = np.lexsort((*signatures.T[::-1], -counts))
        places = np.empty(len(order), dtype=np.int32)
        places[order] = np.arange(len(order), dtype=np.int32)
        self.ids = places[ids]
        self.counts = counts[order]
        self.kinds = None if kinds is None else signatures[order, -1].astype(np.int32)
        self.members = _one_hot(signatures[order, : len(columns)])
        self.has_votes = np.diff(self.members.indptr) > 0
        self.sizes = self.members.T @ self.counts.astype(np.float64)
        # A cluster of all samples tells nothing.
        n_voters = max(1, int(self.counts[self.has_votes].sum()))
        self.weights = -np.log(np.minimum(1.0, self.sizes / n_voters))

    def __len__(self) -> int:
        return len(self.counts)

    def profiles(self, numbers: Integers, n: int) -> sparse.csr_array:
        """Of each of n sets of signatures, the share of its samples in each cluster."""
        from scipy import sparse

        chosen = np.flatnonzero(numbers >= 0)
        counts = self.counts[chosen].astype(np.float64)
        sums = sparse.csr_array((counts, (numbers[chosen], chosen)), shape=(n, len(self)))
        totals = np.maximum(np.bincount(numbers[chosen], counts, minlength=n), 1e-300)
        return (sparse.diags_array(1 / totals) @ (sums @ self.members)).tocsr()

    def scores(self, clusters: Integers) -> NDArray[np.float32]:
        """How much each signature shares with the members of each cluster, as shares of 1.

        The samples of a signature count as members of its cluster but for one of them, which is
        the one that is judged.
        """
        n = int(clusters.max()) + 1
        shared = np.empty((len(self), n), dtype=np.float32)
        profiles = self.profiles(clusters, n)
        profiles.data *= self.weights[profiles.indices]
        profiles = profiles.T.tocsr()
        for begin in range(0, len(self), _ROWS_PER_BLOCK):
            block = slice(begin, begin + _ROWS_PER_BLOCK)
            shared[block] = (self.members[block] @ profiles).toarray()
        sizes = np.bincount(clusters[clusters >= 0], self.counts[clusters >= 0], minlength=n)
        voters = np.flatnonzero(clusters >= 0)
        own = clusters[voters]
        itself = self.members[voters] @ self.weights
        others = np.maximum(sizes[own] - 1, 1)
        shared[voters, own] = np.maximum(0, (shared[voters, own] * sizes[own] - itself) / others)
        totals = shared.sum(axis=1, keepdims=True)
        return np.where(totals > 0, shared / np.where(totals > 0, totals, 1), np.float32(1 / n))

    def nearest(self, clusters: Integers) -> NDArray[np.int32]:
        """For each signature the cluster whose members it shares most with, -1 without votes.

        Those with a kind stay. Numbered anew: the clusters of kinds first, in their order, then
        larger ones, then by their first signature. No cluster loses all of its signatures.
        """
        found = self.scores(clusters).argmax(axis=1).astype(np.int32)
        kept = np.isin(clusters, np.setdiff1d(clusters, found)) & self.has_votes
        if self.kinds is not None:
            kept |= self.kinds >= 0
        found[kept] = clusters[kept]
        found[~self.has_votes & ~kept] = -1
        return self._renumbered(found)

    def _renumbered(self, clusters: NDArray[np.int32]) -> NDArray[np.int32]:
        known = clusters >= 0
        names, firsts, numbers = np.unique(clusters[known], return_index=True, return_inverse=True)
        sizes = np.bincount(numbers, self.counts[known], minlength=len(names))
        kinds = np.full(len(names), np.iinfo(np.int32).max, dtype=np.int64)
        if self.kinds is not None:
            of_known = self.kinds[known]
            kinds[numbers[of_known >= 0]] = of_known[of_known >= 0]
        ranks = np.empty(len(names), dtype=np.int32)
        ranks[np.lexsort((firsts, -sizes, kinds))] = np.arange(len(names), dtype=np.int32)
        result = np.full(len(clusters), -1, dtype=np.int32)
        result[known] = ranks[numbers]
        return result

    def of_samples(self, of_signatures: NDArray[Any]) -> NDArray[Any]:
        """What signatures have, for each sample."""
        return of_signatures[self.ids]


def _one_hot(signatures: Integers) -> sparse.csr_array:
    """Which clusters of all partitions each signature is in: (n_signatures, n_clusters of all)."""
    from scipy import sparse

    numbers = np.full(signatures.shape, -1, dtype=np.int64)
    n = 0
    for m, column in enumerate(signatures.T):
        voted = column >= 0
        names, codes = np.unique(column[voted], return_inverse=True)
        numbers[voted, m] = n + codes
        n += len(names)
    rows, columns = np.nonzero(numbers >= 0)
    values = np.ones(len(rows))
    return sparse.csr_array((values, (rows, numbers[rows, columns])), shape=(len(numbers), n))


class ConsensusTree:
    """Ward's linkage of groups of signatures; see `consensus`.

    Signatures of one kind are one group, and groups of two kinds are never merged.
    """

    def __init__(self, ballots: Ballots, *, n_threads: int = 1, show: Any = None) -> None:
        self._ballots = ballots
        kinds = ballots.kinds
        self._group_of = _groups(ballots)
        self.n_groups = int(self._group_of.max(initial=-1)) + 1
        if self.n_groups == 0:
            raise ValueError("partitions hold no vote: every value is negative")
        weights = np.bincount(
            self._group_of[self._group_of >= 0],
            ballots.counts[self._group_of >= 0],
            minlength=self.n_groups,
        ).astype(np.float64)
        of_groups = None
        if kinds is not None:
            of_groups = np.full(self.n_groups, -1, dtype=np.int32)
            labeled = kinds >= 0
            of_groups[self._group_of[labeled]] = kinds[labeled]
        profiles = ballots.profiles(self._group_of, self.n_groups)
        profiles.data *= np.sqrt(ballots.weights)[profiles.indices]
        distances = _distances((profiles @ profiles.T).toarray(), weights)
        self._weights = weights
        self._trees, self._costs = _core.ward_linkage(
            distances, weights, of_groups, n_threads, show
        )

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
        sizes = np.concatenate([self._weights, np.zeros(len(self._trees))])
        for m, (first, second) in enumerate(self._trees):
            sizes[self.n_groups + m] = sizes[first] + sizes[second]
        is_large = (sizes[self._trees].min(axis=1) >= min_size)[::-1]
        most = len(is_large) if is_large.all() else int(is_large.argmin())
        most = min(most, int(np.sqrt(self._weights.sum())))
        if most == 0:
            return self.least_size
        costs = self._costs[::-1]  # of going from 2 clusters to 1, from 3 to 2, ...
        # The groups themselves are the clusters where all of them lie far apart.
        costs = np.append(costs, 0.1 * costs[0])
        ratios = costs[:most] / np.maximum(costs[1 : most + 1], 1e-12)
        return self.least_size + 1 + int(ratios.argmax())

    def cut(self, n_clusters: int) -> NDArray[np.int32]:
        """The cluster of each signature; -1 where it has no votes."""
        n_merges = min(len(self._trees), max(0, self.n_groups - n_clusters))
        roots = np.arange(self.n_groups + n_merges)
        for m in range(n_merges - 1, -1, -1):
            # From the top down, so that a tree's root is known before its parts are met.
            roots[self._trees[m]] = roots[self.n_groups + m]
        _, of_groups = np.unique(roots[: self.n_groups], return_inverse=True)
        result = np.full(len(self._group_of), -1, dtype=np.int32)
        voted = self._group_of >= 0
        result[voted] = of_groups[self._group_of[voted]]
        return result


def _groups(ballots: Ballots) -> NDArray[np.int32]:
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
    leaders = others[:_MAX_GROUPS]
    groups[leaders] = n + np.arange(len(leaders))
    rest = others[_MAX_GROUPS:]
    if len(rest):
        from scipy import sparse

        targets = (ballots.members[leaders] @ sparse.diags_array(ballots.weights)).T.tocsr()
        for begin in range(0, len(rest), _ROWS_PER_BLOCK):
            block = rest[begin : begin + _ROWS_PER_BLOCK]
            shared = (ballots.members[block] @ targets).toarray()
            groups[block] = n + shared.argmax(axis=1)
    return groups


def _distances(similarity: Floats, weights: Floats) -> Floats:
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
