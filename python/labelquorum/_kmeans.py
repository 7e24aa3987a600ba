"""Lloyd's algorithm, the same for any number of threads."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from labelquorum.neighbors import kneighbors

Rows = NDArray[np.float32]


def kmeans_centers(
    rows: Rows,
    n_centers: int,
    n_rounds: int,
    rng: np.random.RandomState,
    n_threads: int,
    show: Callable[[str, float], None] | None = None,
) -> Rows:
    """Centres of the rows, from random rows on; fewer than n_centers where there are fewer rows."""
    from scipy import sparse

    n = len(rows)
    centers = rows[np.sort(rng.choice(n, min(n, n_centers), replace=False))].copy()
    ones = np.ones(n, dtype=np.float32)
    for i in range(n_rounds):
        nearest = nearest_center(rows, centers, n_threads)
        members = sparse.csr_array((ones, (nearest, np.arange(n))), shape=(len(centers), n))
        counts = np.bincount(nearest, minlength=len(centers))
        filled = counts > 0
        centers[filled] = (members @ rows)[filled] / counts[filled, None]
        if show is not None:
            show("centres", (i + 1) / n_rounds)
    return centers


def nearest_center(rows: Rows, centers: Rows, n_threads: int) -> NDArray[np.int64]:
    """The nearest centre of each row."""
    return kneighbors(centers, 1, Y=rows, n_jobs=n_threads)[1].ravel()
