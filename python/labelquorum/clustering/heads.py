"""Clustering heads: linear classifiers trained without labels on pairs of near neighbors.

The objective is TEMI's (Adaloglou, Michels, Kalisch and Kollmann, "Exploring the limits of deep
image clustering using pretrained models", BMVC 2023): a sample and one of its near neighbors shall
be in the same cluster with high probability, and all clusters are to be used. A single head is
mediocre, but heads that start from different random weights err in different places, and the loss
of a head tells without labels how good it is among others of the same samples.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelquorum import _core
from labelquorum._shared.progress import Show
from labelquorum.neighbors.search import kneighbors

_BATCH_SIZE = 1024
_TEMPERATURE = 0.05
_MAX_ROWS, _N_NEIGHBORS, _RECALL = 20_000, 25, 0.95
_N_STEPS, _FEWEST_STEPS = 1_200, 300
_MAX_PRODUCTS = 4e11  # of a row's value and a weight: some 8 seconds on 2 cores with AVX-512
_CANDIDATES = 4  # heads trained for each one that is chosen, at most


class Heads(NamedTuple):
    """Linear classifiers of rows of length 1. A row is in the cluster of its largest product."""

    weights: NDArray[np.float32]
    """(n_heads, n_columns, n_clusters): each column has length 1."""
    losses: NDArray[np.float32]
    """(n_heads,): the mean loss in the last quarter of the training. Lower is better."""

    def partitions(self, rows: NDArray[np.floating[Any]], n_threads: int) -> NDArray[np.int32]:
        """Return the cluster of each row by each head: (n_rows, n_heads)."""
        n_heads = len(self.weights)
        result = np.empty((len(rows), n_heads), dtype=np.int32)
        _core.assign_codebooks(
            rows,
            [weights.T for weights in self.weights],
            [None] * n_heads,
            "inner_product",
            result.reshape(-1),
            n_threads,
            None,
        )
        return result


def train_heads(
    rows: NDArray[np.floating[Any]],
    neighbors: NDArray[np.integer[Any]],
    n_clusters: int,
    *,
    n_heads: int = 16,
    n_passes: int = 60,
    seed: int,
    n_threads: int,
    show: Show = None,
) -> Heads:
    """Train heads on pairs of rows and their near neighbors.

    Parameters
    ----------
    rows : float array of shape (n_rows, n_columns)
        Finite, of length 1 (or 0); centered before they were scaled.
    neighbors : int32 or int64 array of shape (n_rows, n_neighbors)
        The near neighbors of each row, itself left out. There may be none: then a row makes pairs
        with itself.
    n_clusters : int
        The clusters of each head, at least 1. A head may leave some of them empty.
    n_heads : int, default=16
        The heads. They start from random weights of their own and see the same pairs.
    n_passes : int, default=60
        Passes over the rows, in steps of 1,024 pairs (or n_rows, if there are fewer).
    seed : int
        Determines the initial weights and the pairs.
    n_threads : int
        The result does not depend on it. More threads than heads are of no use.
    show : callable, optional
        Reports progress.

    Returns
    -------
    Heads

    Raises
    ------
    ValueError
        If a neighbor is not the number of a row.
    MemoryError
        If too little memory is available.

    Notes
    -----
    Products are of bytes, scaled row by row, where the processor has instructions for it, otherwise
    in single precision. So the result depends on the instruction set; how good it is does not. The
    time is O(n_passes n_rows n_columns n_heads n_clusters): 20,000 rows of 384 columns, 16 heads
    and 20 clusters take about 3 seconds on 2 cores with AVX-512. Memory: the rows once more (a
    quarter of it in bytes), 28 bytes per weight and 2 MiB per thread.
    """
    shape = (n_heads, n_clusters, rows.shape[1])
    weights = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    losses = _core.train_heads(
        np.ascontiguousarray(rows, dtype=np.float32),
        np.ascontiguousarray(neighbors),
        weights,
        n_passes,
        _BATCH_SIZE,
        _TEMPERATURE,
        seed,
        n_threads,
        show,
    )
    return Heads(weights.transpose(0, 2, 1), losses)


def best_heads(
    rows: NDArray[np.floating[Any]], n_clusters: int, n_heads: int, seed: int, n_threads: int
) -> NDArray[np.int32]:
    """Return the clusters of rows by the heads of the lowest loss: (n_rows, `n_heads`), best first.

    At most 20,000 rows, drawn at random, are learned from. Up to four times as many heads are
    trained, fewer if there are many clusters or columns: the time is limited. `rows` are those of
    `train_heads`.
    """
    rng = np.random.RandomState(seed)
    drawn = rows
    if len(rows) > _MAX_ROWS:
        drawn = rows[np.sort(rng.choice(len(rows), _MAX_ROWS, replace=False))]
    batch_size = min(len(drawn), _BATCH_SIZE)
    products_per_step = batch_size * rows.shape[1] * n_clusters
    n_affordable = int(_MAX_PRODUCTS / (_N_STEPS * products_per_step))
    n_trained = int(np.clip(n_affordable, n_heads, _CANDIDATES * n_heads))
    n_steps = _MAX_PRODUCTS / (n_trained * products_per_step)
    n_steps = np.clip(n_steps, _FEWEST_STEPS, _N_STEPS)
    n_neighbors = min(_N_NEIGHBORS, len(drawn) - 1)
    neighbors = kneighbors(drawn, n_neighbors, recall=_RECALL, n_jobs=n_threads)[1]
    heads = train_heads(
        drawn,
        neighbors,
        n_clusters,
        n_heads=n_trained,
        n_passes=int(np.ceil(n_steps / (len(drawn) // batch_size))),
        seed=int(rng.randint(2**31)),
        n_threads=n_threads,
    )
    best = np.argsort(heads.losses, kind="stable")[:n_heads]
    return Heads(heads.weights[best], heads.losses[best]).partitions(rows, n_threads)
