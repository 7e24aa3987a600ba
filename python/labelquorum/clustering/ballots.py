"""Ballots: many partitions as votes on which samples belong together.

Samples with the same votes are collapsed into one signature. Everything after that works on
signatures and on the clusters of all partitions in one list, as sparse matrices of signatures by
clusters. Two signatures are similar if they share clusters, and each shared cluster counts by its
weight. Linear in the number of signatures, and in the clusters of a consensus.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelquorum import _core
from labelquorum._shared.arguments import Columns
from labelquorum._shared.sealed import INTEGERS, check_stored

if TYPE_CHECKING:
    from scipy import sparse

Integers = NDArray[np.integer[Any]]
Float64Array = NDArray[np.float64]

_ROWS_PER_BLOCK = 4096
_SHARE_OF_KNOWN = 0.5
_ENTROPY_SCALE = 0.4  # theta of Huang, Wang and Lai


class Ballots:
    """Signatures, the number of their samples, and the clusters of all partitions.

    Signatures are sorted by decreasing number of samples, then by their values.
    """

    ids: NDArray[np.int32]
    """(n_samples,): the signature of each sample."""
    counts: NDArray[np.int64]
    """(n_signatures,): the number of samples with each signature."""
    signatures: Integers
    """(n_signatures, n_partitions): their clusters; negative where a partition abstains."""
    known: NDArray[np.int32] | None
    """(n_signatures,): the known category, -1 without one; None if there are no known categories.
    Samples with different known categories have different signatures. They are no votes."""
    members: sparse.csr_array
    """(n_signatures, n_clusters): 1 where a signature is in a cluster."""
    partition_of: Integers
    """(n_clusters,): the partition of each cluster."""
    has_votes: NDArray[np.bool_]
    """(n_signatures,): whether any partition has a cluster for it."""
    sizes: Float64Array
    """(n_clusters,): the number of samples in each cluster."""
    weights: Float64Array
    """(n_clusters,): how much it counts to share a cluster. At first that is `surprise`."""
    partition_weights: Float64Array
    """(n_partitions,): how much an agreement in each partition counts."""
    islands: NDArray[np.int32] | None
    """(n_signatures,): the island of each signature, -1 without one; None if there are no islands.
    Signatures are only moved to clusters of their own island."""
    known_apart: bool
    """Whether signatures without a known category seem to have a new one. They are not linked with
    known categories, and are moved to one only if it gets twice the share of any new one."""

    def __init__(
        self,
        ids: NDArray[np.int32],
        counts: NDArray[np.int64],
        signatures: Integers,
        known: NDArray[np.int32] | None,
        partition_weights: Float64Array | None = None,
    ) -> None:
        self.ids = ids
        self.counts = counts
        self.signatures = signatures
        self.known = known
        self.members, self.partition_of = _members(signatures)
        self.has_votes = np.diff(self.members.indptr) > 0
        self.sizes = self.members.T @ counts.astype(np.float64)
        if partition_weights is None:
            partition_weights = np.ones(signatures.shape[1])
        self.partition_weights = partition_weights
        self.weights = self.surprise()
        self.islands = None
        self.known_apart = False

    def __saved_state__(self) -> dict[str, Any]:
        """Return what the other attributes do not follow from."""
        follows = ("members", "partition_of", "has_votes", "sizes")
        return {name: value for name, value in vars(self).items() if name not in follows}

    @classmethod
    def __of_saved_state__(cls, **state: Any) -> Ballots:
        """Make ballots of what `__saved_state__` returned."""
        later = {name: state.pop(name) for name in ("weights", "islands", "known_apart")}
        check_stored(state["signatures"], "signatures", INTEGERS, (None, None))
        ballots = cls(**state)
        vars(ballots).update(later)
        return ballots

    def __check_saved__(self) -> None:
        """Raise ValueError unless all parts fit together."""
        n, n_partitions = self.signatures.shape
        check_stored(self.ids, "ids", np.int32, (None,), (0, n - 1))
        check_stored(self.counts, "counts", np.int64, (n,), (1, len(self.ids)))
        for name in ("known", "islands"):
            if getattr(self, name) is not None:
                check_stored(getattr(self, name), name, np.int32, (n,), (-1, len(self.ids)))
        check_stored(self.partition_weights, "partition_weights", np.float64, (n_partitions,))
        check_stored(self.weights, "weights", np.float64, self.sizes.shape)
        check_stored(self.known_apart, "known_apart", np.bool_, ())

    @classmethod
    def of(
        cls,
        columns: Columns,
        n_threads: int,
        show: Callable[..., None] | None = None,
        *,
        known: NDArray[np.int32] | None = None,
        weights: Float64Array | None = None,
    ) -> Ballots:
        """Collapse partitions. `known` is the known category of each sample, -1 without one.

        `weights` says how much an agreement in each partition counts, 1 by default. Partitions of
        weight 0 are left out.
        """
        if weights is not None:
            columns = [columns[j] for j in np.flatnonzero(weights)]
            weights = weights[weights > 0]
        keys = columns if known is None else [*columns, known]
        table = _core.SignatureTable(len(keys))
        ids = np.empty(len(columns[0]), dtype=np.int32)
        table.update(keys, ids, None, n_threads, show)
        signatures, counts = table.signatures(n_threads), table.counts()
        order = np.lexsort((*signatures.T[::-1], -counts))
        return cls(
            _ranks(order)[ids],
            counts[order],
            signatures[order, : len(columns)],
            None if known is None else signatures[order, -1].astype(np.int32),
            weights,
        )

    def part(self, signatures: Integers, partitions: Integers) -> Ballots:
        """Keep only these signatures and partitions.

        The ids of the result are those of the given signatures, which take the place of samples.
        """
        keys = self.signatures[np.ix_(signatures, partitions)]
        if self.known is not None:
            keys = np.column_stack([keys, self.known[signatures]])
        distinct, ids = np.unique(keys, axis=0, return_inverse=True)
        counts = np.bincount(ids.reshape(-1), self.counts[signatures], minlength=len(distinct))
        counts = counts.astype(np.int64)
        order = np.lexsort((np.arange(len(distinct)), -counts))
        return Ballots(
            _ranks(order)[ids.reshape(-1)],
            counts[order],
            distinct[order, : len(partitions)],
            None if self.known is None else distinct[order, -1].astype(np.int32),
            self.partition_weights[partitions],
        )

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def n_partitions(self) -> int:
        """Number of partitions, up to the last one that has a cluster."""
        return int(self.partition_of.max(initial=-1)) + 1

    def weighted(self, weights: Float64Array) -> Ballots:
        """Return the same ballots with other weights of the clusters."""
        ballots = copy(self)
        ballots.weights = weights
        return ballots

    def with_islands(self, islands: NDArray[np.int32]) -> Ballots:
        """Return the same ballots with islands."""
        ballots = copy(self)
        ballots.islands = islands
        return ballots

    def with_known(self, known: NDArray[np.int32], n_threads: int) -> Ballots:
        """Collapse the same partitions anew, with other known categories of the samples."""
        columns = list(self.expand(self.signatures).T)
        return Ballots.of(columns, n_threads, known=known, weights=self.partition_weights)

    def with_known_apart(self) -> Ballots:
        """Return the same ballots, with known categories kept apart from other signatures."""
        ballots = copy(self)
        ballots.known_apart = True
        return ballots

    def _cluster_shares(self) -> Float64Array:
        """The share of the samples with votes that is in each cluster."""
        n_voters = max(1, int(self.counts[self.has_votes].sum()))
        shares: Float64Array = np.minimum(1.0, self.sizes / n_voters)
        return shares

    def surprise(self) -> Float64Array:
        """Weigh each cluster by -log of its share: two samples rarely share a small one by chance.

        Returns an array of shape (n_clusters,), in nats.
        """
        return self._weighted(-np.log(self._cluster_shares()))

    def _weighted(self, weights: Float64Array) -> Float64Array:
        """Multiply weights of clusters by those of their partitions."""
        weighted: Float64Array = weights * self.partition_weights[self.partition_of]
        return weighted

    def reliability(self) -> Float64Array:
        """Weigh clusters more if they are small, and if other partitions do not split them.

        The weight is 1 / share - 1, as in Pearson's chi-squared, times the ensemble-driven cluster
        index of Huang, Wang and Lai, "Locally weighted ensemble clustering", IEEE Transactions on
        Cybernetics 48(5), 2018. Returns an array of shape (n_clusters,).
        """
        beyond_chance: Float64Array = 1 / self._cluster_shares() - 1
        entropies = np.maximum(0.0, self._mean_entropies())
        return self._weighted(beyond_chance * np.exp(-entropies / _ENTROPY_SCALE))

    def _mean_entropies(self) -> Float64Array:
        """The entropy of the other partitions within each cluster: their mean, in bits."""
        from scipy import sparse

        n_clusters = len(self.sizes)
        counted = (sparse.diags_array(self.counts.astype(np.float64)) @ self.members).tocsr()
        in_partition = sparse.csr_array(
            (np.ones(n_clusters), (np.arange(n_clusters), self.partition_of)),
            shape=(n_clusters, self.n_partitions),
        )
        clusters = self.members.T.tocsr()
        means = np.empty(n_clusters)
        for begin in range(0, n_clusters, _ROWS_PER_BLOCK):
            block = slice(begin, begin + _ROWS_PER_BLOCK)
            shared = (clusters[block] @ counted).tocsr()
            n_voters = (shared @ in_partition).toarray()
            logs = shared.copy()
            logs.data *= np.log2(shared.data)
            terms = (logs @ in_partition).toarray()
            voted = n_voters > 0
            n_voters = np.where(voted, n_voters, 1.0)
            entropies = np.where(voted, np.log2(n_voters) - terms / n_voters, 0.0)
            means[block] = entropies.sum(axis=1) / voted.sum(axis=1)
        return means

    def profiles(self, groups: Integers, n_groups: int) -> sparse.csr_array:
        """Return the share of each group's samples that is in each cluster.

        `groups` has the group of each signature, -1 for none. The result has shape (n_groups,
        n_clusters).
        """
        from scipy import sparse

        grouped = np.flatnonzero(groups >= 0)
        counts = self.counts[grouped].astype(np.float64)
        sums = sparse.csr_array((counts, (groups[grouped], grouped)), shape=(n_groups, len(self)))
        totals = np.maximum(np.bincount(groups[grouped], counts, minlength=n_groups), 1e-300)
        return (sparse.diags_array(1 / totals) @ (sums @ self.members)).tocsr()

    def shares(self, categories: Integers) -> NDArray[np.float32]:
        """Return the share of each signature's votes that each category gets.

        A category gets the mean weight of the clusters that the signature shares with a member. One
        sample of the signature is left out of its own category, since it is the one that is judged.
        Rows sum to 1; a signature that shares nothing has equal shares of all categories.

        Parameters
        ----------
        categories : integer array of shape (n_signatures,)
            The category of each signature, -1 for none.

        Returns
        -------
        float32 array of shape (n_signatures, n_categories)
        """
        n = int(categories.max()) + 1
        shared = np.empty((len(self), n), dtype=np.float32)
        profiles = self.profiles(categories, n)
        profiles.data *= self.weights[profiles.indices]
        profiles = profiles.T.tocsr()
        for begin in range(0, len(self), _ROWS_PER_BLOCK):
            block = slice(begin, begin + _ROWS_PER_BLOCK)
            shared[block] = (self.members[block] @ profiles).toarray()
        members = np.flatnonzero(categories >= 0)
        own = categories[members]
        sizes = np.bincount(own, self.counts[members], minlength=n)
        with_itself = self.members[members] @ self.weights
        n_others = np.maximum(sizes[own] - 1, 1)
        shared[members, own] = np.maximum(
            0, (shared[members, own] * sizes[own] - with_itself) / n_others
        )
        totals = shared.sum(axis=1, keepdims=True)
        return np.where(totals > 0, shared / np.where(totals > 0, totals, 1), np.float32(1 / n))

    def reassigned(self, clusters: Integers) -> NDArray[np.int32]:
        """Move each signature to the cluster that gets the largest share of its votes.

        If there are islands, it is a cluster of the signature's own. Signatures with a known
        category stay, and no cluster loses all of its signatures. The result has shape
        (n_signatures,), -1 without votes. Clusters are numbered anew: known categories first, in
        their order, then by decreasing size, then by their first signature.
        """
        best = self._best_clusters(clusters)
        stays = np.zeros(len(self), dtype=bool) if self.known is None else self.known >= 0
        best[~self.has_votes] = -1
        while True:
            best[stays] = clusters[stays]
            # Those that stay may leave another cluster without the signatures it would have got.
            emptied = np.setdiff1d(clusters[clusters >= 0], best)
            staying = np.isin(clusters, emptied) & self.has_votes & ~stays
            if not staying.any():
                break
            stays |= staying
        return self._renumbered(best)

    def _best_clusters(self, clusters: Integers) -> NDArray[np.int32]:
        shares = self.shares(clusters)
        if self.known_apart and self.known is not None:
            shares[:, np.unique(clusters[self.known >= 0])] *= _SHARE_OF_KNOWN
        if self.islands is not None:
            has_both = (self.islands >= 0) & (clusters >= 0)
            is_in = np.zeros((self.islands.max() + 1, shares.shape[1]), dtype=bool)
            is_in[self.islands[has_both], clusters[has_both]] = True
            is_in[~is_in.any(axis=1)] = True
            shares = np.where((self.islands < 0)[:, None] | is_in[self.islands], shares, -1)
        best: NDArray[np.int32] = shares.argmax(axis=1).astype(np.int32)
        return best

    def joined(self, clusters: Integers, dissolved: Integers) -> NDArray[np.int32]:
        """Move the signatures of some clusters to the others, by the largest share of their votes.

        Other signatures stay. The result is as for `reassigned`.
        """
        moves = np.isin(clusters, dissolved)
        numbers = self._renumbered(np.where(moves, np.int32(-1), clusters).astype(np.int32))
        numbers[moves] = self.shares(numbers)[moves].argmax(axis=1)
        return self._renumbered(numbers)

    def _renumbered(self, clusters: NDArray[np.int32]) -> NDArray[np.int32]:
        assigned = clusters >= 0
        names, firsts, codes = np.unique(clusters[assigned], return_index=True, return_inverse=True)
        sizes = np.bincount(codes, self.counts[assigned], minlength=len(names))
        known_first = np.full(len(names), np.iinfo(np.int32).max, dtype=np.int64)
        if self.known is not None:
            known = self.known[assigned]
            known_first[codes[known >= 0]] = known[known >= 0]
        ranks = _ranks(np.lexsort((firsts, -sizes, known_first)))
        renumbered = np.full(len(clusters), -1, dtype=np.int32)
        renumbered[assigned] = ranks[codes]
        return renumbered

    def expand(self, values: NDArray[Any]) -> NDArray[Any]:
        """Turn one value for each signature into one value for each sample."""
        return values[self.ids]


def _ranks(order: Integers) -> NDArray[np.int32]:
    """The place of each item in an order."""
    ranks = np.empty(len(order), dtype=np.int32)
    ranks[order] = np.arange(len(order), dtype=np.int32)
    return ranks


def _members(signatures: Integers) -> tuple[sparse.csr_array, Integers]:
    """Number the clusters of all partitions, and say which ones each signature is in.

    Returns `Ballots.members` and `Ballots.partition_of`.
    """
    from scipy import sparse

    numbers = np.full(signatures.shape, -1, dtype=np.int64)
    n_clusters_by_partition = []
    n_clusters = 0
    for m, column in enumerate(signatures.T):
        voted = column >= 0
        names, codes = np.unique(column[voted], return_inverse=True)
        numbers[voted, m] = n_clusters + codes
        n_clusters_by_partition.append(len(names))
        n_clusters += len(names)
    rows, columns = np.nonzero(numbers >= 0)
    entries = (np.ones(len(rows)), (rows, numbers[rows, columns]))
    members = sparse.csr_array(entries, shape=(len(numbers), n_clusters))
    n_partitions = len(n_clusters_by_partition)
    return members, np.repeat(np.arange(n_partitions), n_clusters_by_partition)
