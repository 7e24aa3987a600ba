"""Data for the tests of fitted searchers, and what their answers must satisfy."""

from __future__ import annotations

import numpy as np

import labelquorum as lq

METRICS = ["euclidean", "cosine", "inner_product"]


LIFT = np.random.default_rng(99).normal(size=(2, 20))
SHAPES = [
    "clustered",
    "uniform",
    "low intrinsic dimension",
    "heavy duplicates",
    "integer grid",
    "far from zero",
    "tiny",
    "huge",
    "some zero rows",
]


def shaped(rng, shape, n):
    """Return n points of one of the SHAPES."""
    if shape == "clustered":
        return 5 * rng.normal(size=(40, 16))[rng.integers(40, size=n)] + rng.normal(size=(n, 16))
    if shape == "uniform":
        return rng.random((n, 6))
    if shape == "low intrinsic dimension":
        latent = rng.normal(size=(n, 2))
        return np.sin(latent @ LIFT)
    if shape == "heavy duplicates":
        return rng.integers(0, 6, size=(n, 3)).astype(float)
    if shape == "integer grid":
        return rng.integers(0, 30, size=(n, 3)).astype(float)
    if shape == "far from zero":
        return 1e6 + shaped(rng, "clustered", n)
    if shape == "tiny":
        return 1e-30 * shaped(rng, "clustered", n)
    if shape == "huge":
        return 1e100 * shaped(rng, "clustered", n)
    assert shape == "some zero rows"
    return shaped(rng, "clustered", n) * (rng.random((n, 1)) < 0.9)


def recall_of(X, Y, distances, k, metric):
    """Return the share of the distances that are no larger than that of the k-th neighbor."""
    exact = lq.kneighbors(X, k, metric=metric, Y=Y)[0]
    return (distances <= exact[:, -1:]).mean()


def assert_measured(X, Y, distances, indices, metric):
    """The distances are those of the rows, nearest first, ties by index; no row comes twice."""
    exact, order = lq.kneighbors(X, len(X), metric=metric, Y=Y)
    table = np.empty_like(exact)
    np.put_along_axis(table, order, exact, axis=1)
    np.testing.assert_array_equal(distances, np.take_along_axis(table, indices, axis=1))
    assert distances.dtype == exact.dtype
    assert indices.dtype == np.int64
    for row, gaps in zip(indices, distances, strict=True):
        np.testing.assert_array_equal(row, row[np.lexsort((row, gaps))])
        assert len(set(row.tolist())) == len(row)


def example(method):
    """Return a fitted searcher, exact if the method is None, and queries."""
    rows = shaped(np.random.default_rng(12), "clustered", 3100).astype(np.float32)
    recall = None if method is None else 0.8
    return lq.NeighborSearcher(recall=recall, n_neighbors=5, random_state=0).fit(rows[:3000]), rows[
        3000:
    ]


def assert_same_answers(one, other, Y):
    for ours, theirs in zip(one.query(Y, 5), other.query(Y, 5), strict=True):
        np.testing.assert_array_equal(ours, theirs)
