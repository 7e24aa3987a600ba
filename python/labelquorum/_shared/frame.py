"""Samples as rows that can be compared: dense, float32, centered and scaled.

`Frame.fit` reads the samples once, and learns from them how to turn these and later samples into
rows:

1. Sparse samples are projected on 128 directions by a truncated singular value decomposition.
2. The mean is subtracted. The result is scaled by a power of two, so that squares fit float32.
3. If categories of some samples are known, rows are projected on the directions that tell these
   categories apart (see `_category_directions`).

Time and memory are linear in the number of samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import eigh
from scipy.spatial.distance import cdist
from sklearn.covariance import ledoit_wolf
from sklearn.utils import check_array, check_random_state

from labelquorum._shared.arguments import Points, as_points, check_finite
from labelquorum._shared.sealed import check_stored

Float32Rows = NDArray[np.float32]
Float64Array = NDArray[np.float64]

MAX_COLUMNS = 64
"""Columns of rows that are averaged over neighbors, or projected on directions of categories."""
VARIANCE_ROWS = 10_000
"""Rows that are enough to estimate a covariance."""
_SPARSE_COLUMNS = 128
_ROWS_PER_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class Frame:
    """How samples become rows; see the module's docstring."""

    mean: Float64Array
    """(n_columns,): subtracted from the samples, after the projection of sparse ones."""
    scale: float
    """A power of two by which centered samples are multiplied."""
    projection: NDArray[np.floating[Any]] | None = None
    """(n_features, n_columns): the directions that sparse samples are projected on; None for dense
    samples, and for sparse ones of at most two rows or columns."""
    metric: Float64Array | None = None
    """(n_columns, n_directions): the directions that tell known categories apart; None without."""

    @classmethod
    def fit(
        cls, X: Any, random_state: Any = None, known: NDArray[np.int32] | None = None
    ) -> tuple[Frame, Float32Rows]:
        """Learn a frame from samples, and return it with their rows.

        Parameters
        ----------
        X : array-like or SciPy sparse matrix of shape (n_samples, n_features)
            The samples.
        random_state : int, RandomState instance or None
            Seeds the decomposition of sparse samples.
        known : int32 array of shape (n_samples,), optional
            The number of each sample's known category, -1 where it is unknown. If given, rows
            emphasize the differences between these categories.

        Raises
        ------
        TypeError, ValueError
            If X has the wrong type or shape, or holds values that are not finite.
        """
        if sparse.issparse(X):
            X = _as_sparse_floats(X)
        projection = _sparse_projection(X, random_state)
        points = _as_finite_points(X, projection)
        mean = points.mean(axis=0, dtype=np.float64)
        lowest, highest = float(points.min()), float(points.max())
        largest = max(highest - mean.min(), mean.max() - lowest)
        scale = 2.0 ** -np.ceil(np.log2(largest)) if largest > 0 else 1.0
        frame = cls(mean, scale, projection)
        rows = frame._rows_of_points(points)
        if known is None:
            return frame, rows
        metric = _learned_metric(rows, known)
        if metric is None:
            return frame, rows
        frame = cls(mean, scale, projection, metric)
        return frame, frame._rows_of_points(points)

    def rows(self, X: Any) -> Float32Rows:
        """Turn samples into rows: float32, (n_samples, n_columns) or (n_samples, n_directions).

        Raises TypeError or ValueError as `fit` does.
        """
        if sparse.issparse(X):
            X = _as_sparse_floats(X)
        return self._rows_of_points(_as_finite_points(X, self.projection))

    def _rows_of_points(self, points: Points) -> Float32Rows:
        n_columns = points.shape[1] if self.metric is None else self.metric.shape[1]
        rows = np.empty((len(points), n_columns), dtype=np.float32)
        for begin in range(0, len(points), _ROWS_PER_BLOCK):
            block = slice(begin, begin + _ROWS_PER_BLOCK)
            centered = (points[block] - self.mean) * self.scale
            rows[block] = centered if self.metric is None else centered @ self.metric
        return rows

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the arrays from which `of_state` makes a frame that was fitted without `known`."""
        state = {"mean": self.mean, "scale": np.array(self.scale)}
        return state if self.projection is None else state | {"directions": self.projection}

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
        return cls(state["mean"], float(state["scale"]), directions)


def unit_rows(rows: Float32Rows) -> Float32Rows:
    """Scale the rows to length 1; rows of zeros stay."""
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    result: Float32Rows = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    return result


def _as_sparse_floats(X: Any) -> sparse.csr_array:
    return sparse.csr_array(
        check_array(X, accept_sparse="csr", dtype=[np.float32, np.float64], input_name="X")
    )


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


def _as_finite_points(X: Any, projection: NDArray[np.floating[Any]] | None) -> Points:
    """Convert samples to a dense array, projected if they are sparse."""
    if not sparse.issparse(X):
        points = as_points(X, "X")
    else:
        points = X.toarray() if projection is None else X @ projection
    check_finite(points, "X")
    return points


def _learned_metric(rows: Float32Rows, known: NDArray[np.int32]) -> Float64Array | None:
    """Find the directions that tell known categories apart; None where there are none.

    They are found twice: the second time without samples whose label the first result contradicts.
    """
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
    ratios, directions = eigh(overall, within)
    # A direction in which all samples vary no more than those of one category gets weight 0.
    weights = np.sqrt(np.maximum(0, 1 - 1 / np.maximum(ratios, 1)))
    chosen = np.flatnonzero(weights > 0)[: -MAX_COLUMNS - 1 : -1]
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
