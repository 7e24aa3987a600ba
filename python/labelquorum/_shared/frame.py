"""Samples as rows that can be compared: dense, centered and scaled.

`Frame.fit` reads the samples once, and learns from them how to turn these and later samples into
rows:

1. Sparse samples are projected on 128 directions by a truncated singular value decomposition.
2. The mean is subtracted, less samples that are extremely far away. The result is scaled by a power
   of two, so that squares fit float32. Rows are float32, or float64 where float32 would make
   values equal that differ.
3. If categories of some samples are known, rows are projected on the directions that tell these
   categories apart (see `_category_directions`).

Time and memory are linear in the number of samples.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import eigh
from scipy.spatial.distance import cdist
from sklearn.covariance import ledoit_wolf
from sklearn.utils import check_random_state
from threadpoolctl import threadpool_limits

from labelquorum._shared.distinct import DistinctRows
from labelquorum._shared.samples import Points, Samples, as_samples, check_finite
from labelquorum._shared.sealed import check_stored

Rows = NDArray[np.floating[Any]]
Float64Array = NDArray[np.float64]

MAX_COLUMNS = 64
"""Columns of rows that are averaged over neighbors, or projected on directions of categories."""
VARIANCE_ROWS = 10_000
"""Rows that are enough to estimate a covariance."""
OUTLIER_RATIO = 100
"""A sample is extremely far away if its distance from the median is this many times the usual."""
_SPARSE_COLUMNS = 128
_FINEST_FLOAT32 = 1e-12  # Squares of smaller values, and their differences, underflow.
_LOWEST_EXPONENT = -1000  # The scale of lower ones would overflow.
_LARGEST_VALUE = {"float32": 1e15, "float64": 1e140}
_ROWS_PER_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class Frame:
    """How samples become rows; see the module's docstring."""

    center: Float64Array
    """(n_columns,): subtracted from the samples, after the projection of sparse ones."""
    scale: float
    """A power of two by which centered samples are multiplied."""
    is_double: bool
    """Whether rows are float64; float32 otherwise."""
    projection: NDArray[np.floating[Any]] | None = None
    """(n_features, n_columns): the directions that sparse samples are projected on; None for dense
    samples, and for sparse ones of at most two rows or columns."""
    metric: Float64Array | None = None
    """(n_columns, n_directions): the directions that tell known categories apart; None without."""

    @classmethod
    def fit(
        cls, X: Any, random_state: Any = None, known: NDArray[np.int32] | None = None
    ) -> Framed:
        """Learn a frame from the distinct samples.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features)
            The samples.
        random_state : int, RandomState instance or None
            Seeds the decomposition of sparse samples.
        known : int32 array of shape (n_samples,), optional
            The number of each sample's known category, -1 where it is unknown. If given, rows
            emphasize the differences between these categories. Of equal samples, the most frequent
            one counts.

        Raises
        ------
        TypeError, ValueError
            If X has the wrong type or shape, or holds values that are not finite.
        """
        samples = _finite_samples(X)
        distinct = DistinctRows.of(samples)
        samples = distinct.rows_of(samples)
        projection = _sparse_projection(samples, random_state)
        points = _points(samples, projection)
        center, usual_distance = center_of_most(points)
        largest = largest_distance(points, center)
        scale = 2.0 ** -max(math.frexp(largest)[1], _LOWEST_EXPONENT)
        frame = cls(center, scale, is_double=False, projection=projection)
        rows = frame._rows_of_points(points)
        is_coarse = projection is None and _is_coarser(rows, points)
        if usual_distance < _FINEST_FLOAT32 * largest or is_coarse:
            frame = replace(frame, is_double=True)
            rows = frame._rows_of_points(points)
        plain = rows
        metric = None if known is None else learned_metric(rows, distinct.shared_codes(known))
        if metric is not None:
            frame = replace(frame, metric=metric)
            rows = frame._rows_of_points(points)
        return Framed(frame, rows, distinct, plain)

    def rows(self, X: Any) -> Rows:
        """Turn samples into rows of shape (n_samples, n_columns) or (n_samples, n_directions).

        Raises TypeError or ValueError as `fit` does.
        """
        rows = self._rows_of_points(_points(_finite_samples(X), self.projection))
        # New samples may be much farther away than those of `fit`. Squares must not overflow.
        limit = _LARGEST_VALUE[rows.dtype.name]
        return rows.clip(-limit, limit, out=rows)

    def _rows_of_points(self, points: Points) -> Rows:
        n_columns = points.shape[1] if self.metric is None else self.metric.shape[1]
        dtype = np.float64 if self.is_double else np.float32
        rows: Rows = np.empty((len(points), n_columns), dtype)
        for begin in range(0, len(points), _ROWS_PER_BLOCK):
            block = slice(begin, begin + _ROWS_PER_BLOCK)
            with np.errstate(over="ignore"):
                centered = (points[block] - self.center) * self.scale
                rows[block] = centered if self.metric is None else centered @ self.metric
        return rows

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the arrays from which `of_state` makes a frame that was fitted without `known`."""
        state = {
            "mean": self.center,
            "scale": np.array(self.scale),
        }
        if self.is_double:
            state["is_double"] = np.array(True)
        if self.projection is not None:
            state["directions"] = self.projection
        return state

    def __check_saved__(self) -> None:
        """Raise ValueError unless all parts fit together."""
        check_stored(self.center, "center", np.float64, (None,))
        check_stored(self.scale, "scale", np.float64, ())
        check_stored(self.is_double, "is_double", np.bool_, ())
        if not self.scale > 0:
            raise ValueError(f"scale must be above 0, got {self.scale}")
        n_columns = len(self.center)
        if self.projection is not None:
            check_stored(self.projection, "projection", (np.float32, np.float64), (None, n_columns))
        if self.metric is not None:
            check_stored(self.metric, "metric", np.float64, (n_columns, None))

    @property
    def shape(self) -> tuple[int, int]:
        """The number of features of samples, and of columns of their rows."""
        n_features = len(self.center) if self.projection is None else len(self.projection)
        n_columns = len(self.center) if self.metric is None else self.metric.shape[1]
        return n_features, n_columns

    @classmethod
    def of_state(cls, state: Mapping[str, NDArray[Any]]) -> Frame:
        """Make a frame from what `state` returned; raise ValueError if it is out of range."""
        directions = state.get("directions")
        check_stored(state["mean"], "mean", np.float64, (None,))
        check_stored(state["scale"], "scale", np.float64, ())
        if not state["scale"] > 0:
            raise ValueError(f"scale must be above 0, got {state['scale']}")
        if directions is not None:
            check_stored(
                directions, "directions", (np.float32, np.float64), (None, len(state["mean"]))
            )
        is_double = "is_double" in state  # Files of before have only rows of float32.
        return cls(state["mean"], float(state["scale"]), is_double, directions)


class Framed(NamedTuple):
    """Samples in their frame."""

    frame: Frame
    rows: Rows
    """(n_rows, n_columns): the distinct samples."""
    distinct: DistinctRows
    plain: Rows
    """(n_rows, n_features): the same as `rows`, before known categories shaped them."""


def shaped(plain: Rows, metric: Float64Array | None) -> Rows:
    """Turn rows as in `Framed.plain` into rows of another metric, by `learned_metric`."""
    if metric is None:
        return plain
    rows: Rows = (plain @ metric).astype(plain.dtype, copy=False)
    return rows


def unit_rows(rows: Rows) -> Rows:
    """Scale the rows to length 1; rows of zeros stay."""
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    result: Rows = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    return result


def _finite_samples(X: Any) -> Samples:
    samples = as_samples(X, "X")
    check_finite(samples, "X")
    return samples


def _sparse_projection(X: Any, random_state: Any) -> NDArray[np.floating[Any]] | None:
    """Find the directions to project sparse samples on; None where there is nothing to reduce."""
    if not sparse.issparse(X) or min(X.shape) <= 2:
        return None
    from sklearn.decomposition import TruncatedSVD

    n_columns = min(_SPARSE_COLUMNS, min(X.shape) - 1)
    seed = check_random_state(random_state).randint(2**31)
    projection: NDArray[np.floating[Any]]
    projection = TruncatedSVD(n_columns, random_state=seed).fit(X).components_.T
    return projection


def _points(samples: Samples, projection: NDArray[np.floating[Any]] | None) -> Points:
    """Return the samples as a dense array, projected if they are sparse."""
    if isinstance(samples, np.ndarray):
        return samples if projection is None else samples @ projection
    points: Points = samples.toarray() if projection is None else samples @ projection
    return points


def center_of_most(points: Points) -> tuple[Float64Array, float]:
    """Return the mean of the points, and a usual distance from the median (in one column).

    Points that are more than 100 times as far away do not count: a single one of 1e10 would move
    the mean far away from all others.
    """
    step = -(-len(points) // VARIANCE_ROWS)
    some = points[::step].astype(np.float64)
    median = np.median(some, axis=0)
    usual_distance = float(np.median(np.abs(some - median).max(axis=1)))
    limit = OUTLIER_RATIO * usual_distance
    if usual_distance == 0 or largest_distance(points, median) <= limit:
        return points.mean(axis=0, dtype=np.float64), usual_distance
    total, n_counted = np.zeros(points.shape[1]), 0
    for begin in range(0, len(points), _ROWS_PER_BLOCK):
        block = points[begin : begin + _ROWS_PER_BLOCK].astype(np.float64)
        near = block[np.abs(block - median).max(axis=1) <= limit]
        total += near.sum(axis=0)
        n_counted += len(near)
    return total / n_counted, usual_distance


def without_outliers(points: Points) -> Points:
    """Return the points that are not extremely far away from the median."""
    center, usual_distance = center_of_most(points)
    limit = OUTLIER_RATIO * usual_distance
    if not 0 < limit < largest_distance(points, center):
        return points
    near: Points = points[np.abs(points - center).max(axis=1) <= limit]
    return near


def _is_coarser(rows: Rows, points: Points) -> bool:
    """Say whether rows are equal, or most values of a column are, that differ in the points."""
    some = slice(None, None, -(-len(points) // VARIANCE_ROWS))
    loses_values = 2 * _n_distinct_values(rows[some]) < _n_distinct_values(points[some])
    return bool(loses_values.any()) or DistinctRows.of(rows).has_copies


def _n_distinct_values(points: Points) -> NDArray[np.intp]:
    """Return the number of distinct values in each column."""
    ordered = np.sort(points, axis=0)
    n_changes: NDArray[np.intp] = np.count_nonzero(ordered[1:] != ordered[:-1], axis=0)
    return n_changes + 1


def largest_distance(points: Points, center: Float64Array) -> float:
    """Return the largest distance of a point from the center in one column."""
    above = points.max(axis=0).astype(np.float64) - center
    below = center - points.min(axis=0).astype(np.float64)
    return float(max(above.max(), below.max()))


def learned_metric(rows: Rows, known: NDArray[np.int32]) -> Float64Array | None:
    """Find the directions that tell known categories apart; None where there are none.

    `known` has the category of each row, -1 where it is unknown. The directions are found twice:
    the second time without samples whose label the first result contradicts.
    """
    if np.count_nonzero(np.bincount(known[known >= 0]) > 1) < 2:
        return None
    # More threads save little, and wait for one another for long where others use the processor.
    with threadpool_limits(1, user_api="blas"):
        step = -(-len(rows) // VARIANCE_ROWS)
        overall, _ = ledoit_wolf(rows[::step].astype(np.float64), assume_centered=True)
        labeled = np.flatnonzero(known >= 0)
        labeled_rows, categories = rows[labeled].astype(np.float64), known[labeled]
        metric = _category_directions(labeled_rows, categories, overall)
        if metric is None:
            return None
        plausible = _is_plausible(labeled_rows @ metric, categories)
        return _category_directions(labeled_rows[plausible], categories[plausible], overall)


def _category_directions(
    rows: Float64Array, categories: NDArray[np.int32], overall: Float64Array
) -> Float64Array | None:
    """Find the directions in which samples vary more than samples of one category do.

    The directions are scaled so that samples vary alike within categories. This is linear
    discriminant analysis with two changes. The numerator is the covariance of all samples
    (`overall`), so that unknown categories count, too. Both covariances are shrunk (Ledoit and
    Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", Journal of
    Multivariate Analysis 88(2), 2004).

    Returns an array of shape (n_columns, n_directions), n_directions <= 64; None if fewer than two
    categories have two samples, or if no direction tells categories apart.
    """
    is_repeated = np.bincount(categories)[categories] > 1
    rows, categories = rows[is_repeated], categories[is_repeated]
    if len(np.unique(categories)) < 2:
        return None
    means, places, sizes = _category_means(rows, categories)
    unbiased = np.sqrt(sizes / (sizes - 1))[places, None]
    within, _ = ledoit_wolf((rows - means[places]) * unbiased, assume_centered=True)
    if not np.trace(within) > 0:
        return None
    n_columns = len(overall)
    largest = (max(0, n_columns - MAX_COLUMNS), n_columns - 1)
    ratios, directions = eigh(overall, within, subset_by_index=largest)
    # A direction in which all samples vary no more than those of one category gets weight 0.
    weights = np.sqrt(np.maximum(0, 1 - 1 / np.maximum(ratios, 1)))
    chosen = np.flatnonzero(weights > 0)[::-1]
    return directions[:, chosen] * weights[chosen] if len(chosen) else None


class _CategoryMeans(NamedTuple):
    means: Float64Array
    """(n_categories, n_columns)."""
    places: NDArray[np.intp]
    """The place of each row's category among the means."""
    sizes: NDArray[np.intp]
    """The number of rows of each category."""


def _category_means(rows: Float64Array, categories: NDArray[np.int32]) -> _CategoryMeans:
    _, places, sizes = np.unique(categories, return_inverse=True, return_counts=True)
    sums = np.zeros((len(sizes), rows.shape[1]))
    np.add.at(sums, places, rows)
    return _CategoryMeans(sums / sizes[:, None], places, sizes)


def _is_plausible(rows: Float64Array, categories: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Say which rows are nearest to the mean of their own category, computed without them.

    The other rows may have wrong labels. One wrong label changes a covariance as much as many right
    ones.
    """
    means, places, sizes = _category_means(rows, categories)
    distances = cdist(rows, means, "sqeuclidean")
    # Leaving a row out of the mean of n rows makes it farther from that mean by n / (n - 1).
    samples = np.arange(len(rows))
    n = sizes[places]
    own = distances[samples, places] * (n / np.maximum(n - 1, 1)) ** 2
    distances[samples, places] = np.inf
    plausible: NDArray[np.bool_] = own <= distances.min(axis=1)
    return plausible
