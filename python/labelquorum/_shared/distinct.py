"""The distinct rows of samples, how often each occurs, and which one each sample has.

Neighbors are searched among distinct rows. Among all samples, the nearest neighbors of a row that
occurs often would be its copies, and a graph of neighbors would fall apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.samples import Points
from labelquorum._shared.sealed import INTEGERS, check_stored

Integers = NDArray[np.integer[Any]]
_UInt64 = NDArray[np.uint64]

_VALUES_PER_BLOCK = 1 << 20
_MIXER = np.uint64(0x9E3779B97F4A7C15)  # of splitmix64 (Steele, Lea and Flood, OOPSLA 2014)


class DistinctRows(NamedTuple):
    """The distinct rows of samples, in the order in which they first occur."""

    samples: Integers
    """(n_rows,): the first sample with each row, ascending."""
    numbers: Integers
    """(n_samples,): the row of each sample."""
    counts: Integers
    """(n_rows,): the number of samples with each row."""

    @classmethod
    def of(cls, X: Any) -> DistinctRows:
        """Find the distinct rows of an array or a CSR array, whose values are finite.

        O(n_values + n_samples log(n_samples)): rows are compared by a hash of their values, and all
        of their values are compared where hashes are equal.
        """
        n = X.shape[0]
        hash_rows = _hashes_of_sparse if hasattr(X, "indptr") else _hashes
        for seed in itertools.count():
            hashes = hash_rows(X, seed)
            ordered = np.sort(hashes)
            if not (ordered[1:] == ordered[:-1]).any():
                return cls.all_of(n)
            _, firsts, places, counts = np.unique(
                hashes, return_index=True, return_inverse=True, return_counts=True
            )
            if _have_equal_rows(X, firsts[places]):
                break
        ranks = np.empty(len(firsts), dtype=np.intp)
        by_first = np.argsort(firsts)
        ranks[by_first] = np.arange(len(firsts))
        return cls(firsts[by_first], ranks[places], counts[by_first])

    @classmethod
    def all_of(cls, n: int) -> DistinctRows:
        """Take all of n rows as distinct."""
        each = np.arange(n)
        return cls(each, each, np.ones(n, dtype=np.int64))

    def __check_saved__(self) -> None:
        """Raise ValueError unless all parts fit together."""
        check_stored(self.numbers, "numbers", INTEGERS, (None,), (0, len(self.samples) - 1))
        n, n_rows = len(self.numbers), len(self.samples)
        check_stored(self.samples, "samples", INTEGERS, (n_rows,), (0, n - 1))
        check_stored(self.counts, "counts", INTEGERS, (n_rows,), (1, n))
        if not n or self.counts.sum() != n:
            raise ValueError(f"counts must sum to the number of samples, {n}")

    @property
    def has_copies(self) -> bool:
        """Whether any row occurs more than once."""
        return len(self.samples) < len(self.numbers)

    def weights(self, counts: Integers | None = None) -> NDArray[np.float64]:
        """Return how often each row occurs, in units of the row that occurs least often.

        If the given samples are rows themselves, `counts` says how often each of them occurs. If
        all occur equally often, all weights are 1, as they are without copies.
        """
        sums = self.counts if counts is None else np.bincount(self.numbers, counts)
        weights: NDArray[np.float64] = sums / sums.min()
        return weights

    def rows_of(self, X: Any) -> Any:
        """Return the distinct rows of X, or X itself if all of its rows are distinct."""
        return X[self.samples] if self.has_copies else X

    def spread(
        self, codes: NDArray[np.int32], groups: NDArray[np.int32] | None = None
    ) -> NDArray[np.int32]:
        """Give each row's most frequent code to its samples without one, except those of groups."""
        if not self.has_copies:
            return codes
        is_free = codes < 0 if groups is None else (codes < 0) & (groups < 0)
        return np.where(is_free, self.expand(self.shared_codes(codes)), codes)

    def unified(self, partitions: NDArray[np.int32]) -> NDArray[np.int32]:
        """Put samples with equal rows into the cluster that most of them are in, by partition.

        `partitions` has shape (n_samples, n_partitions), and so has the result.
        """
        if not self.has_copies:
            return partitions
        columns = [self.expand(self.shared_codes(partition)) for partition in partitions.T]
        return np.array(columns).T

    def expand(self, values: NDArray[Any]) -> NDArray[Any]:
        """Turn one value for each row into one value for each sample."""
        return values[self.numbers] if self.has_copies else values

    def shared_codes(self, codes: NDArray[np.int32]) -> NDArray[np.int32]:
        """Return each row's most frequent code, the lowest of several; -1 for rows without codes.

        `codes` has one for each sample, -1 for none.
        """
        coded = np.flatnonzero(codes >= 0)
        width = int(codes.max(initial=0)) + 1
        pairs, n_samples = np.unique(
            self.numbers[coded].astype(np.int64) * width + codes[coded], return_counts=True
        )
        rows, pair_codes = np.divmod(pairs, width)
        # In this order, the last pair of each row is the one that counts.
        order = np.lexsort((-pair_codes, n_samples))
        shared = np.full(len(self.samples), -1, dtype=np.int32)
        shared[rows[order]] = pair_codes[order]
        return shared


def _hashes(X: Points, seed: int) -> _UInt64:
    """Hash the values of each row to 64 bits."""
    n, n_columns = X.shape
    n_words = n_columns * max(1, X.dtype.itemsize // 4)
    factors = _odd_factors(n_words, seed)
    hashes = np.empty(n, dtype=np.uint64)
    for block in _blocks(n, n_columns):
        hashes[block] = _mixed(_words(X[block]), factors).sum(axis=1, dtype=np.uint64)
    return hashes


def _hashes_of_sparse(X: Any, seed: int) -> _UInt64:
    X = X.copy()
    X.sum_duplicates()
    X.eliminate_zeros()
    factors = _odd_factors(2, seed)
    words = _words(X.data[:, None]) if X.nnz else np.empty((0, 1), dtype=np.uint64)
    keys = _mixed(X.indices.astype(np.uint64) + np.uint64(1), factors[0])
    mixed = np.zeros(X.nnz, dtype=np.uint64)
    for word in words.T:
        keys = _mixed(keys ^ word, factors[1])
        mixed += keys
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(mixed, dtype=np.uint64)])
    hashes: _UInt64 = sums[X.indptr[1:]] - sums[X.indptr[:-1]]
    return hashes


def _words(values: NDArray[Any]) -> _UInt64:
    """Return the bits of floats as 32-bit words in uint64; 0.0 and -0.0 have the same."""
    if values.dtype.itemsize < 4:
        values = values.astype(np.float32)
    plain = np.ascontiguousarray(values + values.dtype.type(0))  # -0.0 + 0.0 is 0.0
    return plain.view(np.uint32).astype(np.uint64)


def _mixed(words: _UInt64, factors: Any) -> _UInt64:
    mixed = words * _MIXER
    mixed ^= mixed >> np.uint64(32)
    mixed *= factors
    result: _UInt64 = mixed ^ (mixed >> np.uint64(29))
    return result


def _odd_factors(n: int, seed: int) -> _UInt64:
    factors = np.random.default_rng(seed).integers(0, 2**63, n, dtype=np.uint64)
    return 2 * factors + np.uint64(1)


def _blocks(n: int, n_columns: int) -> Iterator[slice]:
    n_rows = max(1, _VALUES_PER_BLOCK // max(1, n_columns))
    for begin in range(0, n, n_rows):
        yield slice(begin, begin + n_rows)


def _have_equal_rows(X: Any, firsts: Integers) -> bool:
    """Say whether each row of X equals the row that `firsts` names for it."""
    copies = np.flatnonzero(firsts != np.arange(len(firsts)))
    if hasattr(X, "indptr"):
        return not (X[copies] != X[firsts[copies]]).nnz
    return all(
        np.array_equal(X[copies[block]], X[firsts[copies[block]]])
        for block in _blocks(len(copies), X.shape[1])
    )
