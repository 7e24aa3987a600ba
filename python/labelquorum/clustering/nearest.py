"""New samples by the training samples that are nearest to them: shares, and usual distances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from labelquorum._shared.frame import Float64Array, Rows
from labelquorum.clustering.views import RECALL
from labelquorum.neighbors.search import kneighbors

Integers = NDArray[np.integer[Any]]

N_MEASURED = 5
"""The number of nearest training rows whose mean distance tells how usual a row is."""
_N_NEAREST = 10
_ROWS_PER_BLOCK = 65_536


class Nearest(NamedTuple):
    """What the nearest training rows say about new rows."""

    shares: NDArray[np.float32]
    """(n_new, n_categories): the mean shares of the 10 nearest training rows."""
    distances: Float64Array
    """(n_new,): the mean distance to the 5 nearest training rows."""


def nearest_to(
    new: Rows, training: Rows, shares_of: Callable[[Integers], NDArray[np.float32]], n_threads: int
) -> Nearest:
    """Average the shares of the 10 distinct training rows that are nearest to each new row.

    A new row that equals one of them has its shares. `shares_of` returns the shares of training
    rows, given as an index.
    """
    n_nearest = min(_N_NEAREST, len(training))
    distances, nearest = kneighbors(training, n_nearest, Y=new, recall=RECALL, n_jobs=n_threads)
    blocks = []
    for begin in range(0, len(new), _ROWS_PER_BLOCK):
        block = slice(begin, begin + _ROWS_PER_BLOCK)
        of_rows = shares_of(nearest[block])
        is_equal = distances[block, :1] == 0
        blocks.append(np.where(is_equal, of_rows[:, 0], of_rows.mean(axis=1)))
    return Nearest(np.concatenate(blocks), _means(distances[:, :N_MEASURED]))


def shares_by_others(
    some: Integers,
    training: Rows,
    shares_of: Callable[[Integers], NDArray[np.float32]],
    n_threads: int,
) -> NDArray[np.float32]:
    """Average the shares of the 10 other training rows that are nearest to some of them.

    So a training row is judged like a new one. `shares_of` is as for `nearest_to`.
    """
    n_nearest = min(_N_NEAREST + 1, len(training))
    if n_nearest == 1:
        return shares_of(some)
    _, nearest = kneighbors(training, n_nearest, Y=training[some], recall=RECALL, n_jobs=n_threads)
    blocks = []
    for begin in range(0, len(some), _ROWS_PER_BLOCK):
        block = slice(begin, begin + _ROWS_PER_BLOCK)
        blocks.append(shares_of(nearest[block, 1:]).mean(axis=1))  # the first one is the row itself
    return np.concatenate(blocks)


def usual_distances(some: Integers, training: Rows, n_threads: int) -> Float64Array:
    """Return the mean distances of some training rows to the 5 nearest others, ascending."""
    n_nearest = min(N_MEASURED + 1, len(training))
    distances, _ = kneighbors(
        training, n_nearest, Y=training[some], recall=RECALL, n_jobs=n_threads
    )
    return np.sort(_means(distances[:, 1:]))  # the first one is the row itself


def p_values(distances: Float64Array, usual: Float64Array) -> Float64Array:
    """Return conformal p-values: the share of usual distances, and this one, that are as large."""
    n_closer = np.searchsorted(usual, distances)
    p: Float64Array = (len(usual) + 1 - n_closer) / (len(usual) + 1)
    return p


def _means(distances: NDArray[np.floating[Any]]) -> Float64Array:
    if not distances.shape[1]:
        return np.zeros(len(distances))
    means: Float64Array = distances.mean(axis=1, dtype=np.float64)
    return means
