"""mini_clusters against the naive NumPy procedure and a parallel Numba brute force.

All three give the same labels; that is asserted at every size where they run. The naive procedure
is timed at two smaller sizes and extrapolated to the full one by its square law.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange, set_num_threads, types
from numba.extending import intrinsic

import _data
import labelquorum as lq
from _record import best_of, parser, record

MIN_AGREE, MIN_DIFFER = 0.9, 0.9
BAR_NAIVE, BAR_NUMBA = 2000, 30


def votes(fraction, m):
    return int(np.ceil(fraction * m - 1e-9))


def naive_degrees(rows, t):
    """Count, row by row, the rows that agree with it in t partitions or more."""
    return np.array([np.count_nonzero((rows == row).sum(axis=1) >= t) for row in rows])


def naive(rows, n_clusters):
    """Follow the published procedure on samples, without any matrix of n x n."""
    t, d = votes(MIN_AGREE, rows.shape[1]), votes(MIN_DIFFER, rows.shape[1])
    labels = np.full(len(rows), -1)
    alive = np.arange(len(rows))
    label = 0
    while len(alive) and (n_clusters is None or label < n_clusters):
        left = rows[alive]
        degrees = naive_degrees(left, t)
        tied, twins = np.unique(left[degrees == degrees.max()], axis=0, return_counts=True)
        seed = tied[np.argmax(twins)]  # the first of the lexicographically sorted rows
        members = (left == seed).sum(axis=1) >= t
        labels[alive[members]] = label
        stays = ~members
        for member in left[members]:
            stays &= (left != member).sum(axis=1) >= d
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


@njit(parallel=True)
def count_close(words, others, limit, degrees, sign):
    """Add (or take off) for each word the number of others that differ in `limit` or fewer."""
    for i in prange(len(words)):
        word = words[i]
        count = 0
        for j in range(len(others)):
            count += n_different(word, others[j]) <= limit
        degrees[i] += sign * count


@njit(parallel=True)
def removed_by(words, members, d):
    gone = np.zeros(len(words), np.bool_)
    for i in prange(len(words)):
        for j in range(len(members)):
            if n_different(words[i], members[j]) < d:
                gone[i] = True
                break
    return gone


def brute_force(rows, n_clusters):
    """Compare all pairs of 64-bit words once, then keep the degrees up to date, the cheaper way."""
    m = rows.shape[1]
    limit, d = np.uint64(m - votes(MIN_AGREE, m)), np.uint64(votes(MIN_DIFFER, m))
    words = _data.packed(rows)
    alive = np.arange(len(words))
    labels = np.full(len(words), -1)
    degrees = np.zeros(len(words), np.int64)
    count_close(words, words, limit, degrees, 1)
    label = 0
    while len(alive) and (n_clusters is None or label < n_clusters):
        tied, twins = np.unique(words[degrees == degrees.max()], return_counts=True)
        seed = tied[np.argmax(twins)]
        members = removed_by(words, np.array([seed]), limit + np.uint64(1))
        labels[alive[members]] = label
        gone = members | removed_by(words, np.unique(words[members]), d)
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


def main():
    options = parser(__doc__)
    options.add_argument("--rows", type=int, default=60_000)
    options.add_argument("--naive-rows", type=int, nargs="+", default=[10_000, 20_000])
    args = options.parse_args()
    set_num_threads(args.threads)
    brute_force(_data.ensemble(100), None)  # compiled before it is timed

    def ours(rows, n_clusters):
        return lq.mini_clusters(
            rows, n_clusters, min_agree=MIN_AGREE, min_differ=MIN_DIFFER, n_jobs=args.threads
        )

    rows = _data.ensemble(args.rows)
    results = []
    for n_clusters in (10, None):
        print(f"{args.rows:,} rows x 10, n_clusters={n_clusters}, {args.threads} threads")
        ours_s, labels = best_of(10, lambda c=n_clusters: ours(rows, c))
        numba_s, expected = best_of(3, lambda c=n_clusters: brute_force(rows, c))
        np.testing.assert_array_equal(labels, expected)
        timed, degrees_once = [], []
        for n in args.naive_rows:
            part = rows[:n]
            seconds, expected = best_of(1, lambda c=n_clusters, part=part: naive(part, c))
            np.testing.assert_array_equal(ours(part, n_clusters), expected)
            np.testing.assert_array_equal(brute_force(part, n_clusters), expected)
            timed.append(seconds)
            degrees_once.append(best_of(1, lambda part=part: naive_degrees(part, 9))[0])
        square = (args.rows / args.naive_rows[-1]) ** 2
        naive_s, once_s = timed[-1] * square, degrees_once[-1] * square
        for n, seconds in zip(args.naive_rows, timed, strict=True):
            print(f"  naive NumPy, {n:,} rows     {seconds:10.3f} s")
        print(f"  naive NumPy, extrapolated   {naive_s:10.3f} s (square law, from the last line)")
        print(f"    of it degrees, once       {once_s:10.3f} s (as extrapolated)")
        print(f"  Numba brute force           {numba_s:10.3f} s")
        print(f"  labelquorum                 {ours_s:10.6f} s")
        print(f"  {naive_s / ours_s:12,.0f}x faster than naive (bar: {BAR_NAIVE:,}x)")
        print(f"  {numba_s / ours_s:12,.1f}x faster than Numba (bar: {BAR_NUMBA}x)")
        results.append(
            {
                "rows": args.rows,
                "n_clusters": n_clusters,
                "n_found": int(labels.max()) + 1,
                "naive_s": dict(zip(args.naive_rows, timed, strict=True)),
                "naive_extrapolated_s": naive_s,
                "naive_degrees_once_extrapolated_s": once_s,
                "numba_s": numba_s,
                "labelquorum_s": ours_s,
                "times_faster_than_naive": naive_s / ours_s,
                "times_faster_than_numba": numba_s / ours_s,
                "bars": [BAR_NAIVE, BAR_NUMBA],
            }
        )
    record(args, results)


if __name__ == "__main__":
    main()
