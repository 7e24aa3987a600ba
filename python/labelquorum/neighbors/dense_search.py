"""Exact or approximate search among dense rows by one of the extension's metrics."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from labelquorum import _core
from labelquorum._shared.progress import Show
from labelquorum._shared.samples import Points

Distances: TypeAlias = NDArray[np.floating[Any]]
Indices: TypeAlias = NDArray[np.int64]

POWERS = {"euclidean": 1, "inner_product": 2, "cosine": 0}
"""With which power of a common factor of all samples the distances grow."""
_SMALL_VALUE = 2.0**-400  # Squares of much smaller values underflow.


def dense_neighbors(
    points: Points,
    queries: Points | None,
    k: int,
    metric: str,
    recall: float | None,
    n_threads: int,
    show: Show,
) -> tuple[Distances, Indices, tuple[float, float, int]]:
    """Search with one of the extension's metrics, in values whose squares do not underflow."""
    exponent = exponent_for_squares(points, points if queries is None else queries)
    if exponent:
        points = np.ldexp(points, exponent)
        queries = None if queries is None else np.ldexp(queries, exponent)
    distances, indices, quality = _core.neighbors(
        points, queries, k, metric, 1.0 if recall is None else recall, n_threads, show
    )
    if exponent:
        distances = np.ldexp(distances, -exponent * POWERS[metric])
    return distances, indices, quality


def exponent_for_squares(points: Points, queries: Points) -> int:
    """Return the power of two to multiply extremely small values by; 0 for all others."""
    if points.dtype != np.float64 or queries.dtype != np.float64:
        return 0
    largest = max(
        float(max(values.max(initial=0), -values.min(initial=0))) for values in (points, queries)
    )
    return -math.frexp(largest)[1] if 0 < largest < _SMALL_VALUE else 0
