"""Many partitions as votes: each sample's signature, and what it tells to share a cluster."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labelquorum import _core
from labelquorum._shared.arguments import Columns

if TYPE_CHECKING:
    from scipy import sparse

Integers = NDArray[np.integer[Any]]
Floats = NDArray[np.float64]

_ROWS_PER_BLOCK = 4096
_ENTROPY_SCALE = 0.4  # theta of Huang, Wang and Lai


class Ballots:
    """Partitions collapsed into signatures, and the clusters of all partitions as one list.

    Signatures are sorted: more frequent ones first, then by their values. `kinds` are numbers of
    samples, -1 for none, that take no part in the vote but tell signatures apart. `weights` say
    what it tells to share a cluster.
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
        self.ids = _places(order)[ids]
        self.counts = counts[order]
        self.kinds = None if kinds is None else signatures[order, -1].astype(np.int32)
        self.signatures = signatures[order, : len(columns)]
        self._count()

    def _count(self) -> None:
        self.members, self.partition_of = _one_hot(self.signatures)
        self.has_votes = np.diff(self.members.indptr) > 0
        self.sizes = self.members.T @ self.counts.astype(np.float64)
        self.weights = self.surprise()

    def part(self, signatures: Integers, partitions: Integers) -> Ballots:
        """Only some signatures and partitions; the ids are those of the given signatures."""
        other = copy(self)
        chosen = self.signatures[np.ix_(signatures, partitions)]
        if self.kinds is not None:
            chosen = np.column_stack([chosen, self.kinds[signatures]])
        told, ids = np.unique(chosen, axis=0, return_inverse=True)
        ids = ids.reshape(-1)
        counts = np.bincount(ids, self.counts[signatures], minlength=len(told)).astype(np.int64)
        order = np.lexsort((np.arange(len(told)), -counts))
        other.ids, other.counts = _places(order)[ids], counts[order]
        other.signatures = told[order, : len(partitions)]
        other.kinds = None if self.kinds is None else told[order, -1].astype(np.int32)
        other._count()
        return other

    def __len__(self) -> int:
        return len(self.counts)

    def weighed(self, weights: Floats) -> Ballots:
        """The same with other weights."""
        other = copy(self)
        other.weights = weights
        return other

    def _shares(self) -> Floats:
        n_voters = max(1, int(self.counts[self.has_votes].sum()))
        shares: Floats = np.minimum(1.0, self.sizes / n_voters)
        return shares

    def surprise(self) -> Floats:
        """-log of each cluster's share: the smaller it is, the less is sharing it by chance."""
        return -np.log(self._shares())

    def reliability(self) -> Floats:
        """The more samples share a cluster beyond chance, and the less others cut it, the more.

        (1 / share - 1), as in Pearson's chi-squared, times the ensemble-driven cluster index of
        Huang, Wang and Lai, "Locally weighted ensemble clustering", IEEE Transactions on
        Cybernetics 48(5), 2018.
        """
        from scipy import sparse

        n = len(self.sizes)
        n_partitions = int(self.partition_of.max(initial=-1)) + 1
        counted = (sparse.diags_array(self.counts.astype(np.float64)) @ self.members).tocsr()
        in_partition = sparse.csr_array(
            (np.ones(n), (np.arange(n), self.partition_of)), shape=(n, n_partitions)
        )
        clusters = self.members.T.tocsr()
        uncertainty = np.empty(n)
        for begin in range(0, n, _ROWS_PER_BLOCK):
            block = slice(begin, begin + _ROWS_PER_BLOCK)
            shared = (clusters[block] @ counted).tocsr()
            voters = (shared @ in_partition).toarray()
            logs = shared.copy()
            logs.data *= np.log2(shared.data)
            terms = (logs @ in_partition).toarray()
            voted = voters > 0
            of_voters = np.where(voted, voters, 1.0)
            entropies = np.where(voted, np.log2(of_voters) - terms / of_voters, 0.0)
            uncertainty[block] = entropies.sum(axis=1) / voted.sum(axis=1)
        beyond_chance: Floats = 1 / self._shares() - 1
        return beyond_chance * np.exp(-np.maximum(0.0, uncertainty) / _ENTROPY_SCALE)

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
        lost = np.setdiff1d(clusters[clusters >= 0], found)
        kept = np.isin(clusters, lost) & self.has_votes
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
        ranks = _places(np.lexsort((firsts, -sizes, kinds)))
        result = np.full(len(clusters), -1, dtype=np.int32)
        result[known] = ranks[numbers]
        return result

    def of_samples(self, of_signatures: NDArray[Any]) -> NDArray[Any]:
        """What signatures have, for each sample."""
        return of_signatures[self.ids]


def _places(order: Integers) -> NDArray[np.int32]:
    """Where each comes to lie in an order."""
    places = np.empty(len(order), dtype=np.int32)
    places[order] = np.arange(len(order), dtype=np.int32)
    return places


def _one_hot(signatures: Integers) -> tuple[sparse.csr_array, Integers]:
    """Which clusters of all partitions each signature is in, and the partition of each cluster."""
    from scipy import sparse

    numbers = np.full(signatures.shape, -1, dtype=np.int64)
    n_clusters = []
    n = 0
    for m, column in enumerate(signatures.T):
        voted = column >= 0
        names, codes = np.unique(column[voted], return_inverse=True)
        numbers[voted, m] = n + codes
        n_clusters.append(len(names))
        n += len(names)
    rows, columns = np.nonzero(numbers >= 0)
    values = np.ones(len(rows))
    members = sparse.csr_array((values, (rows, numbers[rows, columns])), shape=(len(numbers), n))
    return members, np.repeat(np.arange(len(n_clusters)), n_clusters)
