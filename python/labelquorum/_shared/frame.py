"""TODO."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import eigh
from scipy.spatial.distance import cdist
from sklearn.covariance import ledoit_wolf
from sklearn.utils import check_array, check_random_state

from labelquorum._shared.arguments import as_points, check_finite

Rows = NDArray[np.float32]
Floats = NDArray[np.float64]
_SPARSE_COLUMNS = 128
MAX_COLUMNS = 64  # of smoothed features
VARIANCE_ROWS = 10_000
_ROWS_PER_BLOCK = 4096


class Frame:
    """How samples become float32 rows around 0: sparse ones reduced to fewer columns."""

    def __init__(self, X: Any, random_state: Any = None) -> None:
        self._directions: NDArray[np.floating[Any]] | None = None
        self._metric: NDArray[np.floating[Any]] | None = None
        if sparse.issparse(X) and min(X.shape) > 2:
            from sklearn.decomposition import TruncatedSVD

            n_columns = min(_SPARSE_COLUMNS, min(X.shape) - 1)
            seed = check_random_state(random_state).randint(2**31)
            reducer = TruncatedSVD(n_columns, random_state=seed).fit(_sparse_rows(X))
            self._directions = reducer.components_.T
        points = self._points(X)
        check_finite(points, "X")
        self._mean = points.mean(axis=0, dtype=np.float64)
        # Squares have to fit float32.
        low, high = float(points.min()), float(points.max())
        largest = max(high - self._mean.min(), self._mean.max() - low)
        self.scale = 2.0 ** -np.ceil(np.log2(largest)) if largest > 0 else 1.0

    def state(self) -> dict[str, NDArray[Any]]:
        """What it takes to make it again, without learned directions."""
        state = {"mean": self._mean, "scale": np.array(self.scale)}
        return state if self._directions is None else state | {"directions": self._directions}

    @classmethod
    def of_state(cls, state: Mapping[str, NDArray[Any]]) -> Frame:
        """The frame whose state it is."""
        frame = cls.__new__(cls)
        frame._mean, frame.scale = state["mean"], float(state["scale"])
        frame._directions, frame._metric = state.get("directions"), None
        return frame

    def _points(self, X: Any) -> NDArray[np.floating[Any]]:
        if not sparse.issparse(X):
            return as_points(X, "X")
        X = _sparse_rows(X)
        points: NDArray[np.floating[Any]]
        points = X.toarray() if self._directions is None else X @ self._directions
        return points

    def rows(self, X: Any) -> Rows:
        """The rows of X."""
        points = self._points(X)
        check_finite(points, "X")
        n_columns = points.shape[1] if self._metric is None else self._metric.shape[1]
        rows = np.empty((len(points), n_columns), dtype=np.float32)
        for begin in range(0, len(points), _ROWS_PER_BLOCK):
            block = slice(begin, begin + _ROWS_PER_BLOCK)
            centred = (points[block] - self._mean) * self.scale
            rows[block] = centred if self._metric is None else centred @ self._metric
        return rows

    def learn(self, X: Any, codes: NDArray[np.int32]) -> None:
        """Let samples of known categories (-1: none) say which differences matter.

        Rows become those directions in which samples vary most compared with samples of one
        category, scaled to vary alike within categories: linear discriminant analysis, but with the
        scatter of all samples in the numerator, so that unknown categories count, and both
        scatters shrunk (Ledoit and Wolf, "A well-conditioned estimator for large-dimensional
        covariance matrices", Journal of Multivariate Analysis 88(2), 2004).
        """
        rows = self.rows(X)
        some = rows[:: -(-len(rows) // VARIANCE_ROWS)].astype(np.float64)
        overall, _ = ledoit_wolf(some, assume_centered=True)
        labeled = np.flatnonzero(codes >= 0)
        known, codes = rows[labeled].astype(np.float64), codes[labeled]
        metric = _telling_directions(known, codes, overall)
        if metric is not None:
            plausible = _plausible(known @ metric, codes)
            metric = _telling_directions(known[plausible], codes[plausible], overall)
        self._metric = metric


def _telling_directions(known: Floats, codes: NDArray[np.int32], overall: Floats) -> Floats | None:
    """Directions, scaled, in which rows vary most compared with those of one category, if any."""
    counts = np.bincount(codes)
    is_repeated = counts[codes] > 1
    known, codes = known[is_repeated], codes[is_repeated]
    if len(np.unique(codes)) < 2:
        return None
    means, categories, counts = _by_category(known, codes)
    unbiased = np.sqrt(counts / (counts - 1))[categories, None]
    within, _ = ledoit_wolf((known - means[categories]) * unbiased, assume_centered=True)
    if not np.trace(within) > 0:
        return None
    ratios, directions = eigh(overall, within)
    # Where samples vary no more than those of one category, nothing is told about categories.
    weights = np.sqrt(np.maximum(0, 1 - 1 / np.maximum(ratios, 1)))
    chosen = np.flatnonzero(weights > 0)[: -MAX_COLUMNS - 1 : -1]
    return directions[:, chosen] * weights[chosen] if len(chosen) else None


def _by_category(known: Floats, codes: NDArray[np.int32]) -> tuple[Floats, Any, Any]:
    """The categories' means, the category of each row, and their sizes."""
    _, categories, counts = np.unique(codes, return_inverse=True, return_counts=True)
    means = np.zeros((len(counts), known.shape[1]))
    np.add.at(means, categories, known)
    return means / counts[:, None], categories, counts


def _plausible(known: Floats, codes: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which labeled rows are nearest to the mean of their own category, themselves left out.

    The others may be wrong, and one wrong label weighs as much in a scatter as many right ones.
    """
    means, categories, counts = _by_category(known, codes)
    distances = cdist(known, means, "sqeuclidean")
    # Without the sample itself, the distance to the mean of the others grows by n / (n - 1).
    samples = np.arange(len(known))
    n = counts[categories]
    own = distances[samples, categories] * (n / np.maximum(n - 1, 1)) ** 2
    distances[samples, categories] = np.inf
    plausible: NDArray[np.bool_] = own <= distances.min(axis=1)
    return plausible


def _sparse_rows(X: Any) -> sparse.csr_array:
    return sparse.csr_array(
        check_array(X, accept_sparse="csr", dtype=[np.float32, np.float64], input_name="X")
    )


def unit_rows(rows: Rows) -> Rows:
    """The rows, of length 1; zeros stay."""
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, None]
    result: Rows = np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)
    return result
