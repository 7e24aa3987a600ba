"""Assign samples to the nearest centers of 16 codebooks, beside one faiss search for each.

The codebooks have 50 to 400 centers, fitted by three steps of k-means. Labels equal those of our
own exact kneighbors; faiss rounds to single precision and may differ in near ties.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import labelquorum as lq
from _data import blobs, missing, mnist, real_data

N_CODEBOOKS = 16
N_FITTED = 20_000
DATA = {
    "blobs-5k": lambda: blobs(5000, 32, 100, overlap=True),
    "blobs-1m": lambda: blobs(1_000_000, 64, 100, overlap=True),
    "wide-blobs": lambda: blobs(100_000, 384, 100, overlap=True),
    "clinc150": lambda: np.load(real_data() / "intents" / "clinc150_minilm.npy").astype(np.float32),
    "mnist": lambda: mnist()[0],
}
SIZES = {
    "dataset": {"small": ["blobs-5k"], "full": ["blobs-1m", "wide-blobs", "clinc150", "mnist"]}
}


def fit(X, n_centers, rng):
    """Fit centers by three steps of k-means."""
    centers = X[rng.choice(len(X), min(n_centers, len(X)), replace=False)]
    for _ in range(3):
        labels = lq.assign_codebooks(X, [centers])[:, 0]
        order = np.argsort(labels, kind="stable")
        used, begins = np.unique(labels[order], return_index=True)
        sums = np.add.reduceat(X[order], begins, axis=0)
        centers[used] = sums / np.diff([*begins, len(X)])[:, None]
    return centers


@cache
def prepared(dataset):
    """Load a set; return it, the codebooks, and the nearest center of each sample in each."""
    try:
        X = np.ascontiguousarray(DATA[dataset]())
    except FileNotFoundError:
        pytest.skip(missing(dataset))
    rng = np.random.default_rng(1)
    sample = X[rng.choice(len(X), min(N_FITTED, len(X)), replace=False)]
    sizes = np.linspace(50, 400, N_CODEBOOKS).round().astype(int)
    codebooks = [fit(sample, size, rng) for size in sizes]
    return X, codebooks, with_kneighbors(X, codebooks, None)


def with_kneighbors(X, codebooks, threads):
    labels = [lq.kneighbors(centers, 1, Y=X, n_jobs=threads)[1][:, 0] for centers in codebooks]
    return np.column_stack(labels)


def with_faiss(X, codebooks, threads):
    faiss = pytest.importorskip("faiss")
    faiss.omp_set_num_threads(threads)
    labels = []
    for centers in codebooks:
        index = faiss.IndexFlatL2(X.shape[1])
        index.add(centers)
        labels.append(index.search(X, 1)[1][:, 0])
    return np.column_stack(labels)


def with_labelquorum(X, codebooks, threads):
    return lq.assign_codebooks(X, codebooks, n_jobs=threads)


@pytest.mark.parametrize("assign", [with_labelquorum, with_kneighbors, with_faiss])
def test_labels(timed, benchmark, dataset, assign, products, threads):
    X, codebooks, expected = prepared(dataset)
    labels = timed(
        f"assign to {N_CODEBOOKS} codebooks, {dataset}",
        lambda: assign(X, codebooks, threads),
        samples=len(X),
        computes=lambda: products(X, np.concatenate(codebooks)),
    )
    if assign is with_faiss:
        benchmark.extra_info["equal"] = equal = float((labels == expected).mean())
        assert equal > 0.999
    else:
        np.testing.assert_array_equal(labels, expected)


def test_to_signatures(timed, dataset, products, threads):
    X, codebooks, expected = prepared(dataset)

    def assign():
        table = lq.SignatureTable(N_CODEBOOKS)
        return lq.assign_codebooks(X, codebooks, table=table, n_jobs=threads), table

    ids, table = timed(
        f"assign to {N_CODEBOOKS} codebooks, {dataset}",
        assign,
        samples=len(X),
        computes=lambda: products(X, np.concatenate(codebooks)),
    )
    np.testing.assert_array_equal(table.signatures[ids], expected)
