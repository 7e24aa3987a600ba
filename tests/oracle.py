"""Naive, obviously right versions of the kernels, which the fast ones must equal.

They take quadratic time and memory. `rows` holds partitions, shape
(n_samples, n_partitions), any integers; a negative value is an abstention. With `counts`,
row i stands for counts[i] samples.
"""

from __future__ import annotations

import numpy as np


def normalized(rows):
    """Return the rows as int64, with -1 for every abstention."""
    rows = np.asarray(rows, dtype=np.int64)
    return np.where(rows < 0, -1, rows)


def pairwise_votes(rows):
    """Return the matrices agree(i, j) and differ(i, j)."""
    rows = normalized(rows)
    n = len(rows)
    agree = np.zeros((n, n), dtype=np.int64)
    differ = np.zeros((n, n), dtype=np.int64)
    for column in rows.T:
        left, right = column[:, None], column[None, :]
        both = (left >= 0) & (right >= 0)
        agree += both & (left == right)
        differ += both & (left != right)
    return agree, differ


def agreement_degrees(rows, min_agree, counts=None):
    """Return, per row, how many samples agree with it in at least min_agree partitions."""
    agree, _ = pairwise_votes(rows)
    weights = np.ones(len(agree), dtype=np.int64) if counts is None else np.asarray(counts)
    return (agree >= min_agree) @ weights


def agreement_graph(signatures, min_agree):
    """Return the dense matrix of votes; 0 where there are fewer than min_agree."""
    agree, _ = pairwise_votes(signatures)
    return np.where(agree >= min_agree, agree, 0)


def coassociation(rows, pairs):
    """Return agree / (partitions in which both have a label) per pair; NaN if there are none."""
    rows = normalized(rows)
    values = []
    for i, j in pairs:
        both = (rows[i] >= 0) & (rows[j] >= 0)
        agree = both & (rows[i] == rows[j])
        values.append(agree.sum() / both.sum() if both.any() else np.nan)
    return np.array(values, dtype=np.float64)


class Table:
    """A table of signatures in a dict, numbered by first appearance, with counts."""

    def __init__(self, n_partitions):
        self.n_partitions = n_partitions
        self.ids = {}
        self.counts = []

    def update(self, rows, counts=None):
        counts = [1] * len(rows) if counts is None else counts
        ids = []
        for row, count in zip(map(tuple, normalized(rows).tolist()), counts, strict=True):
            i = self.ids.setdefault(row, len(self.ids))
            if i == len(self.counts):
                self.counts.append(0)
            self.counts[i] += int(count)
            ids.append(i)
        return np.array(ids, dtype=np.int64)

    def lookup(self, rows):
        return np.array([self.ids.get(tuple(row), -1) for row in normalized(rows).tolist()])

    def merge(self, other):
        # Copied first: `other` may be this table.
        return self.update(other.signatures.copy(), list(other.counts))

    @property
    def signatures(self):
        return np.array(list(self.ids), dtype=np.int64).reshape(-1, self.n_partitions)


def first_appearance(rows):
    """Return ids by first appearance, signatures and counts; fast enough for many rows."""
    rows = normalized(rows)
    signatures, first, inverse, counts = np.unique(
        rows, axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[inverse.ravel()], signatures[order], counts[order]


def mini_clusters(
    rows, n_clusters=None, *, min_agree, min_differ, min_size=1, eligible=None, counts=None
):
    """Run the published greedy procedure, ties broken by content; thresholds are votes."""
    rows = normalized(rows)
    n = len(rows)
    weights = np.ones(n, dtype=np.int64) if counts is None else np.asarray(counts, dtype=np.int64)
    agree, differ = pairwise_votes(rows)
    strong = agree >= min_agree
    strongly_negative = differ >= min_differ
    identical = (rows[:, None, :] == rows[None, :, :]).all(axis=2)
    alive = np.ones(n, dtype=bool) if eligible is None else np.asarray(eligible, dtype=bool).copy()
    labels = np.full(n, -1, dtype=np.int64)
    label = 0
    while alive.any() and (n_clusters is None or label < n_clusters):
        degrees = strong @ (weights * alive)
        twins = identical @ (weights * alive)
        seed = min(
            np.flatnonzero(alive & (degrees == degrees[alive].max())),
            key=lambda i: (-twins[i], tuple(rows[i])),
        )
        if degrees[seed] < max(1, min_size):
            break
        members = alive & strong[seed]
        labels[members] = label
        label += 1
        alive &= ~members & strongly_negative[:, members].all(axis=1)
    return labels


def distances(X, Y, metric):
    """Return all distances from Y to X in float64; without Y from X, infinite to itself."""
    X = np.asarray(X, dtype=np.float64)
    queries = X if Y is None else np.asarray(Y, dtype=np.float64)

    def unit(rows):
        # Parallel rows of integers become the same row.
        largest = np.abs(rows).max(axis=1, keepdims=True)
        rows = rows / np.where(largest == 0, 1, largest)
        norms = np.sqrt((rows**2).sum(axis=1, keepdims=True))
        return rows / np.where(norms == 0, 1, norms)

    if metric == "inner_product":
        table = -np.stack([(X * row).sum(axis=1) for row in queries])
    else:
        left, right = (unit(queries), unit(X)) if metric == "cosine" else (queries, X)
        table = np.stack([((right - row) ** 2).sum(axis=1) for row in left])
        if metric == "cosine":
            table = table / 2
            table[(queries == 0).all(axis=1)] = 1
            table[:, (X == 0).all(axis=1)] = 1
        else:
            table = np.sqrt(table)
    if Y is None:
        np.fill_diagonal(table, np.inf)
    return table


def nearest(table, k):
    """Return the columns of the k smallest values of each row, ties by index."""
    return np.argsort(table, axis=1, kind="stable")[:, :k]


def cluster_members(rows):
    """Which samples are in which cluster of all partitions, and the partition of each cluster."""
    rows = np.asarray(rows)
    columns, partition_of = [], []
    for m, column in enumerate(rows.T):
        for label in np.unique(column[column >= 0]):
            columns.append(column == label)
            partition_of.append(m)
    return np.array(columns).T.astype(float), np.array(partition_of)


def cluster_reliability(members, partition_of):
    """Huang et al.: exp(-mean entropy / theta), theta 0.4; times 1 / share - 1."""
    n_voters = np.count_nonzero(members.any(axis=1))
    weights = []
    for cluster in members.T.astype(bool):
        entropies = []
        for m in np.unique(partition_of):
            sizes = members[cluster][:, partition_of == m].sum(axis=0)
            if sizes.sum() > 0:
                p = sizes[sizes > 0] / sizes.sum()
                entropies.append(-(p * np.log2(p)).sum())
        share = np.count_nonzero(cluster) / n_voters
        weights.append(np.exp(-np.mean(entropies) / 0.4) * (1 / share - 1))
    return np.array(weights)
