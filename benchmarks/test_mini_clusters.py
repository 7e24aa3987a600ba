"""Extract mini-clusters, beside a parallel Numba brute force and the naive NumPy procedure.

All three give the same labels. The second group shows how time grows with the number of rows.
"""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit, prange, set_num_threads, types
from numba.extending import intrinsic

import labelquorum as lq
from _data import ensemble, packed

SIZES = {
    "n_rows": {"small": [2000], "full": [60_000]},
    "growing_rows": {"small": [10**5, 10**6], "full": [10**5, 10**6, 10**7, 10**8]},
}
GROUP = "mini_clusters"
MIN_AGREE = MIN_DIFFER = 0.9


@pytest.fixture(scope="module")
def rows(n_rows):
    return ensemble(n_rows)


@pytest.fixture(scope="module")
def expected(rows):
    return {n_clusters: brute_force(rows, n_clusters) for n_clusters in (10, None)}


@pytest.fixture(params=[10, None], ids=["10 clusters", "all clusters"])
def n_clusters(request):
    return request.param


def test_labelquorum(timed, rows, n_clusters, expected, threads):
    labels = timed(
        f"{GROUP}, {n_clusters or 'all'} clusters",
        lambda: lq.mini_clusters(
            rows, n_clusters, min_agree=MIN_AGREE, min_differ=MIN_DIFFER, n_jobs=threads
        ),
        rows=len(rows),
        reads=[rows],
    )
    np.testing.assert_array_equal(labels, expected[n_clusters])


def test_numba_brute_force(timed, rows, n_clusters, expected, threads):
    set_num_threads(threads)
    labels = timed(
        f"{GROUP}, {n_clusters or 'all'} clusters",
        lambda: brute_force(rows, n_clusters),
        rows=len(rows),
        reads=[rows],
    )
    np.testing.assert_array_equal(labels, expected[n_clusters])


def test_naive_numpy(timed, rows, n_clusters, expected):
    labels = timed(
        f"{GROUP}, {n_clusters or 'all'} clusters",
        lambda: naive(rows, n_clusters),
        once=True,
        rows=len(rows),
        reads=[rows],
    )
    np.testing.assert_array_equal(labels, expected[n_clusters])


def test_growth(timed, growing_rows, threads):
    rows = ensemble(growing_rows)
    labels = timed(
        f"{GROUP} by the number of rows",
        lambda: lq.mini_clusters(rows, 10, min_agree=MIN_AGREE, n_jobs=threads),
        rows=len(rows),
        reads=[rows],
    )
    assert labels.max() == 9


def votes(fraction, n_partitions):
    return int(np.ceil(fraction * n_partitions - 1e-9))


def naive(rows, n_clusters):
    """Follow the published procedure sample by sample, without a matrix of n x n."""
    min_agree, min_differ = votes(MIN_AGREE, rows.shape[1]), votes(MIN_DIFFER, rows.shape[1])
    labels = np.full(len(rows), -1)
    alive = np.arange(len(rows))
    label = 0
    while len(alive) and (n_clusters is None or label < n_clusters):
        left = rows[alive]
        degrees = np.array(
            [np.count_nonzero((left == row).sum(axis=1) >= min_agree) for row in left]
        )
        tied, n_twins = np.unique(left[degrees == degrees.max()], axis=0, return_counts=True)
        seed = tied[np.argmax(n_twins)]  # the first in lexicographic order
        members = (left == seed).sum(axis=1) >= min_agree
        labels[alive[members]] = label
        stays = ~members
        for member in left[members]:
            stays &= (left != member).sum(axis=1) >= min_differ
        alive = alive[stays]
        label += 1
    return labels


@intrinsic
def popcount(_typing, _x):
    def generate(_context, builder, _signature, args):
        return builder.ctpop(args[0])

    return types.uint64(types.uint64), generate


@njit(inline="always")
def n_different(a, b):
    """Count the unequal nibbles of two words."""
    x = a ^ b
    x |= x >> np.uint64(2)
    x |= x >> np.uint64(1)
    return popcount(x & np.uint64(0x1111111111111111))


@njit(parallel=True, cache=True)
def count_close(words, others, limit, degrees, sign):
    """Add to each degree, or subtract, the number of others that differ in `limit` or fewer."""
    for i in prange(len(words)):
        word = words[i]
        count = 0
        for j in range(len(others)):
            count += n_different(word, others[j]) <= limit
        degrees[i] += sign * count


@njit(parallel=True, cache=True)
def removed_by(words, members, min_differ):
    """Mark the words that differ from any member in too few partitions."""
    gone = np.zeros(len(words), np.bool_)
    for i in prange(len(words)):
        for j in range(len(members)):
            if n_different(words[i], members[j]) < min_differ:
                gone[i] = True
                break
    return gone


def brute_force(rows, n_clusters):
    """Compare all pairs of 64-bit words once, then update the degrees in the cheaper direction."""
    n_partitions = rows.shape[1]
    limit = np.uint64(n_partitions - votes(MIN_AGREE, n_partitions))
    min_differ = np.uint64(votes(MIN_DIFFER, n_partitions))
    words = packed(rows)
    alive = np.arange(len(words))
    labels = np.full(len(words), -1)
    degrees = np.zeros(len(words), np.int64)
    count_close(words, words, limit, degrees, 1)
    label = 0
    while len(alive) and (n_clusters is None or label < n_clusters):
        tied, n_twins = np.unique(words[degrees == degrees.max()], return_counts=True)
        seed = tied[np.argmax(n_twins)]
        members = removed_by(words, np.array([seed]), limit + np.uint64(1))
        labels[alive[members]] = label
        gone = members | removed_by(words, np.unique(words[members]), min_differ)
        left, lost = words[~gone], words[gone]
        degrees = degrees[~gone]
        alive = alive[~gone]
        if len(lost) < len(left):
            count_close(left, lost, limit, degrees, -1)
        else:
            degrees[:] = 0
            count_close(left, left, limit, degrees, 1)
        words = left
        label += 1
    return labels
