"""Real data with their classes, and synthetic data: ensembles of up to a billion rows, and blobs.

In a synthetic ensemble, a sample has one of ten classes and a difficulty. Each partition names the
class right with a probability that falls with the difficulty: 0.99 for 70 % of the samples, 0.9 for
20 %, 0.5 for 10 %. Of the errors, 19 in 20 go to one of two similar classes. Every partition
numbers its clusters in its own way. Partitions err independently, which gives more distinct rows
than models with common errors would. A value depends only on the row number and the seed, so that
chunks, threads and files give the same rows.
"""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import numpy as np
from numba import njit, prange

_ROWS_PER_CHUNK = 10_000_000
_UNIT = 2.0**-32


def real_data():
    """Return the folder of real data: LABELQUORUM_DATA, or shared/data beside the checkout."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    return Path(os.environ.get("LABELQUORUM_DATA", beside))


def missing(name):
    """Say that a data set is skipped, and what to do about it."""
    return (
        f"{name}: skipped, its files are not in {real_data()}. "
        "Set LABELQUORUM_DATA to the folder that has them."
    )


def digits():
    from sklearn.datasets import load_digits  # slow to import, and some studies start processes

    return load_digits(return_X_y=True)


def table(folder, name):
    with np.load(real_data() / folder / f"{name}.npz") as loaded:
        return loaded["X"].astype(np.float32), loaded["y"].ravel()


def pendigits():
    return table("usenc", "pendigits")


def statlog():
    return table("tables", "statlog")


def coil20():
    return table("tables", "coil20")


def mnist():
    """Return the official training part, then the test part; pixels from 0 to 1."""
    with np.load(real_data() / "mnist" / "mnist.npz") as loaded:
        images = np.concatenate([loaded["x_train"], loaded["x_test"]])
        classes = np.concatenate([loaded["y_train"], loaded["y_test"]])
    return images.reshape(len(images), -1).astype(np.float32) / 255, classes


def embeddings(vectors, texts):
    """Load vectors of texts, and the field `label` of each line of the texts."""
    X = np.load(vectors).astype(np.float32)
    with gzip.open(texts, "rt") as lines:
        return X, np.array([json.loads(line)["label"] for line in lines])


def intents(name):
    folder = real_data() / "intents"
    return embeddings(folder / f"{name}_minilm.npy", folder / f"{name}.jsonl.gz")


def stackoverflow():
    return intents("stackoverflow")


def clinc150():
    """Load the 150 intents without the out-of-scope queries."""
    X, classes = intents("clinc150")
    return X[classes != "oos"], classes[classes != "oos"]


def search_snippets():
    return intents("search_snippets")


def biomedical():
    return intents("biomedical")


def news():
    folder = real_data() / "20news"
    return embeddings(folder / "20news_minilm.npy", folder / "20news_bydate.jsonl.gz")


SETS = {
    "digits": digits,
    "pendigits": pendigits,
    "mnist": mnist,
    "stackoverflow": stackoverflow,
    "clinc150": clinc150,
    "20news": news,
    "search_snippets": search_snippets,
    "biomedical": biomedical,
    "statlog": statlog,
    "coil20": coil20,
}
TEXTS = ("stackoverflow", "clinc150", "20news", "search_snippets", "biomedical")


def all_texts():
    """Join the sets of texts: a class of one set is a class of its own."""
    sets = [(name, *SETS[name]()) for name in TEXTS]
    X = np.concatenate([X for _, X, _ in sets])
    return X, np.concatenate([[f"{name} {c}" for c in classes] for name, _, classes in sets])


def grown_texts(n_rows=400_000):
    """Grow the joined sets of texts to so many rows, in random order.

    A new row is a row of the sets, moved by half of the difference between two rows of its class,
    of length 1 again. So a class varies along the directions along which it really does.
    """
    X, classes = all_texts()
    classes = np.unique(classes, return_inverse=True)[1]
    rng = np.random.default_rng(0)
    by_class = np.argsort(classes, kind="stable")
    sizes = np.bincount(classes)
    first = np.cumsum(sizes) - sizes
    rows = rng.integers(len(X), size=n_rows)
    own = classes[rows]
    a, b = (by_class[first[own] + rng.integers(sizes[own])] for _ in range(2))
    grown = X[rows] + (X[a] - X[b]) / 2
    grown /= np.linalg.norm(grown, axis=1, keepdims=True)
    return grown, own


LARGE_SETS = {"all_texts": all_texts, "grown_texts": grown_texts}
# The defaults were developed on one half of the sets, and run once on the other half.
DEVELOPED_ON = ("stackoverflow", "search_snippets", "clinc150", "digits", "statlog")
CHECKED_ON = tuple(name for name in SETS if name not in DEVELOPED_ON)


def loaded(names, n_rows=None):
    """Yield the name, the features and the classes, 0 to k - 1, of each set.

    At most `n_rows` random samples of a set are taken. Sets without files are skipped with a
    message.
    """
    for name in names:
        try:
            X, classes = SETS[name]()
        except FileNotFoundError:
            print(missing(name))
            continue
        if n_rows is not None and n_rows < len(X):
            rows = np.random.default_rng(0).choice(len(X), n_rows, replace=False)
            X, classes = X[rows], classes[rows]
        yield name, X, np.unique(classes, return_inverse=True)[1]


def blobs(n, n_features, n_clusters, *, overlap=False):
    """Make float32 samples of Gaussian clusters, far apart or overlapping."""
    rng = np.random.default_rng(0)
    shape = (n_clusters, n_features)
    centers = rng.normal(scale=0.5, size=shape) if overlap else rng.uniform(-10, 10, size=shape)
    samples = centers[rng.integers(n_clusters, size=n)] + rng.normal(size=(n, n_features))
    return samples.astype(np.float32)


@njit(inline="always")
def _mixed(x):
    """Mix the bits of a word: the finalizer of SplitMix64."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(parallel=True, cache=True)
def _fill(rows, truth, first, names, abstain, seed):
    n, m = rows.shape
    k = names.shape[1]
    step = np.uint64(0x9E3779B97F4A7C15)
    for i in prange(n):
        state = _mixed(
            (np.uint64(first) + np.uint64(i)) * np.uint64(2654435761) + np.uint64(seed) * step
        )
        true = (state >> np.uint64(32)) % np.uint64(k)
        truth[i] = true
        difficulty = (state & np.uint64(0xFFFFFFFF)) * _UNIT
        # 92.3 % of all votes are right.
        right = 0.99 if difficulty < 0.7 else (0.9 if difficulty < 0.9 else 0.5)
        for j in range(m):
            state += step
            bits = _mixed(state)
            u = (bits & np.uint64(0xFFFFFFFF)) * _UNIT
            other = bits >> np.uint64(32)
            vote = true
            if u >= right:
                v = (u - right) / (1.0 - right)
                if v < 0.7:
                    vote = (true + np.uint64(1)) % np.uint64(k)
                elif v < 0.95:
                    vote = (true + np.uint64(3)) % np.uint64(k)
                else:
                    vote = other % np.uint64(k)
            rows[i, j] = names[j, vote]
            if abstain > 0.0 and _mixed(bits) * _UNIT * _UNIT < abstain:
                rows[i, j] = -1


def fill(rows, k=10, *, first=0, abstain=0.0, seed=0):
    """Fill `rows` with the ensemble's rows from number `first` on; return their classes."""
    rng = np.random.default_rng(seed)
    names = np.array([rng.permutation(k) for _ in range(rows.shape[1])], dtype=np.int8)
    truth = np.empty(len(rows), dtype=np.int8)
    _fill(rows, truth, first, names, abstain, seed)
    return truth


def ensemble(n, m=10, k=10, *, abstain=0.0, seed=0):
    """Make int8 rows of shape (n, m): clusters 0 to k - 1, and -1 where a partition abstains."""
    rows = np.empty((n, m), dtype=np.int8)
    fill(rows, k, abstain=abstain, seed=seed)
    return rows


def ensemble_file(path: Path, n: int, m: int = 10):
    """Open the same rows as a memory-mapped .npy file, which is written if it is missing."""
    if path.exists():
        rows = np.load(path, mmap_mode="r")
        if rows.shape == (n, m):
            return rows
    partial = path.with_suffix(".partial")
    rows = np.lib.format.open_memmap(partial, "w+", np.int8, (n, m))
    for first in range(0, n, _ROWS_PER_CHUNK):
        fill(rows[first : first + _ROWS_PER_CHUNK], first=first)
    rows.flush()
    partial.rename(path)
    return np.load(path, mmap_mode="r")


@njit(parallel=True, cache=True)
def _fill_distinct(rows):
    n, m = rows.shape
    n_digits = min(m, 10)
    modulus = np.uint64(10) ** np.uint64(n_digits)
    for i in prange(n):
        # The factor and ten are coprime, so no two i give the same digits.
        number = np.uint64(i) * np.uint64(7_236_067_977) % modulus
        for j in range(n_digits):
            rows[i, j] = number % np.uint64(10)
            number //= np.uint64(10)
        for j in range(n_digits, m):
            rows[i, j] = _mixed(np.uint64(i) * np.uint64(m) + np.uint64(j)) % np.uint64(10)


def all_distinct(n, m=10):
    """Make int8 rows of shape (n, m), clusters 0 to 9, no two alike."""
    if n > 10 ** min(m, 9):
        raise ValueError(f"n must be at most {10 ** min(m, 9)} for {m} digits, got {n}.")
    rows = np.empty((n, m), dtype=np.int8)
    _fill_distinct(rows)
    return rows


def packed(rows):
    """Pack rows of up to 15 values 0 to 15 into 64-bit words that sort as the rows do."""
    if rows.shape[1] > 15 or rows.min() < 0 or rows.max() > 15:
        raise ValueError("rows must have at most 15 columns, of values from 0 to 15.")
    words = np.zeros(len(rows), dtype=np.uint64)
    for column in rows.T:
        words = words << np.uint64(4) | column.astype(np.uint64)
    return words
